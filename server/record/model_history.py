"""What the record can show about an artifact: why it may speak, and where that is logged."""

from datetime import datetime
from typing import NamedTuple

from server.record import ledger
from server.record.pool import Database
from server.security.ledger_tree import LedgerTree


class Activated(NamedTuple):
    """The move by which an artifact came to speak.

    Attributes:
        entry_id: Of the ledger.
        content: Canonical JSON of the entry.
        proof: A serialised ActivationProof.
    """

    entry_id: int
    content: bytes
    proof: bytes


async def find_activation(
    database: Database, digest: bytes, before: datetime
) -> tuple[Activated | None, LedgerTree]:
    """Return the newest activation or rollback to an artifact before a moment, and the ledger.

    Args:
        database: Connection.
        digest: 32 bytes.
        before: Moment of the decision.
    """
    query = (
        "SELECT event.ledger_entry_id AS entry_id, event.proof"
        " FROM riskgate.deployment_event AS event"
        " JOIN riskgate.model_version AS model USING (purpose, version)"
        " WHERE model.digest = %s AND event.proof IS NOT NULL AND event.occurred_at <= %s"
        " ORDER BY event.event_id DESC LIMIT 1"
    )
    tree = await ledger.read_tree(database)
    row = await (await database.execute(query, [digest, before])).fetchone()
    if row is None:
        return None, tree
    entry = await ledger.read_entry(database, int(row["entry_id"]))
    return Activated(entry.entry_id, entry.content, bytes(row["proof"])), tree
