"""What was proposed to be activated, and who has signed it; both only grow."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from psycopg.rows import DictRow

from server.record import rows
from server.record.admin_change import Note
from server.record.deployments import key_of, newest_serial
from server.record.pool import Database
from server.security.activation import ActivationStatement
from server.security.caller import current_call
from server.security.trusted_key import TrustedKey

_PROPOSALS: Final = "activation_proposal"
_APPROVALS: Final = "approval"
_APPROVERS: Final = """
SELECT proposal.purpose, proposal.version, approval.person
FROM riskgate.activation_proposal AS proposal JOIN riskgate.approval USING (proposal_id)
WHERE proposal.proposal_id IN (
    SELECT max(proposal_id) FROM riskgate.activation_proposal
    WHERE (purpose, version) IN (SELECT * FROM unnest(%s::text[], %s::text[]))
    GROUP BY purpose, version)
ORDER BY approval.approved_at, approval.person"""


class ApprovalRepository:
    """Proposals and their approvals; each method runs in the caller's transaction."""

    async def propose(
        self, database: Database, model: DictRow, payload: bytes, said: ActivationStatement
    ) -> None:
        """Keep a statement that approvers are asked to sign; the one before is no longer current.

        Args:
            database: Of an open admin change.
            model: The version.
            payload: The bytes to be signed.
            said: What they say.
        """
        values = {
            **key_of(model),
            "serial": said.serial,
            "not_before": datetime.fromisoformat(said.not_before),
            "expires": datetime.fromisoformat(said.expires),
            "statement": payload,
            "identity": current_call().caller.uri,
            "reason": said.justification,
        }
        await rows.insert(database, _PROPOSALS, values)

    async def current(self, database: Database, model: DictRow) -> DictRow | None:
        """Return the newest proposal of a version, or None."""
        query = (
            "SELECT * FROM riskgate.activation_proposal WHERE (purpose, version) = (%s, %s)"
            " ORDER BY proposal_id DESC LIMIT 1"
        )
        cursor = await database.execute(query, [model["purpose"], model["version"]])
        return await cursor.fetchone()

    async def is_stale(self, database: Database, proposal: DictRow) -> bool:
        """Tell whether another activation of the purpose came after a proposal was made."""
        return bool(proposal["serial"] != await newest_serial(database, proposal["purpose"]) + 1)

    async def add(
        self, database: Database, proposal: DictRow, key: TrustedKey, envelope: bytes, note: Note
    ) -> None:
        """Keep one person's signature of a proposal.

        Raises:
            AlreadyExistsError: This person has signed it with another key.
        """
        values = {
            "proposal_id": proposal["proposal_id"],
            "keyid": key.keyid,
            "person": key.person,
            "key_group": key.group,
            "envelope": envelope,
            "identity": current_call().caller.uri,
            "reason": note.reason,
        }
        await rows.insert(database, _APPROVALS, values)

    async def of(self, database: Database, proposal: DictRow) -> list[DictRow]:
        """Return the signatures of a proposal, the oldest first."""
        query = "SELECT * FROM riskgate.approval WHERE proposal_id = %s ORDER BY approved_at, keyid"
        return await (await database.execute(query, [proposal["proposal_id"]])).fetchall()


async def with_approvers(database: Database, found: Sequence[DictRow]) -> list[DictRow]:
    """Return versions with `approvers`: the people who have signed the current proposal."""
    keys = [[row["purpose"] for row in found], [row["version"] for row in found]]
    people: dict[tuple[str, str], list[str]] = {}
    for row in await (await database.execute(_APPROVERS, keys)).fetchall():
        people.setdefault((row["purpose"], row["version"]), []).append(row["person"])
    return [{**row, "approvers": people.get((row["purpose"], row["version"]), [])} for row in found]
