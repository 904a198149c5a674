"""Moves of model versions: new status, deployment event and ledger entry, all or nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from psycopg.rows import DictRow

from riskgate.v1 import state_pb2
from server.errors import BrokenInvariantError
from server.lifecycle import Event, next_status
from server.record import ledger, rows
from server.record.admin_change import Note
from server.record.pool import Database
from server.security.caller import current_call
from server.security.canonical import decode_canonical
from server.security.ledger_tree import LedgerFault

_EVENTS: Final = "deployment_event"
_MODELS: Final = "model_version"
# What an event and its ledger entry say alike.
_SAID_ALIKE: Final = (
    "purpose",
    "version",
    "event",
    "status_before",
    "status_after",
    "identity",
    "actor",
    "reason",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One event of one version.

    Attributes:
        event: What happens.
        step: Of the lifecycle, where its name is not that of the event.
        target: Of a "move": the status that is asked for.
        evidence: Bytes that were signed or verified for it; the ledger keeps their SHA-256.
        serial: Of what speaks from now on; None: this changes nothing about that.
        proof: Why it may speak, a serialised ActivationProof; goes with a serial.
        columns: Further columns of the version that change.
    """

    event: Event
    step: Event | None = None
    target: str = ""
    evidence: bytes = b""
    serial: int | None = None
    proof: bytes | None = None
    columns: Mapping[str, Any] | None = None


async def move(database: Database, model: DictRow, what: Move, note: Note) -> None:
    """Move a version along its lifecycle, inside an open admin change.

    Raises:
        PreconditionError: The lifecycle has no such step.
    """
    before = "" if what.event == "push" else str(model["status"])
    after = next_status(what.step or what.event, before, what.target)
    changed = {**(what.columns or {}), **({"status": after} if after != before else {})}
    if changed:
        await rows.update(database, _MODELS, key_of(model), changed)
    event = {
        **key_of(model),
        "event": what.event,
        "status_before": before,
        "status_after": after,
        "identity": current_call().caller.uri,
        "actor": note.actor,
        "reason": note.reason,
    }
    occurred_at = datetime.now(UTC)
    entry = {
        **event,
        "at": occurred_at.isoformat(timespec="microseconds"),
        "digest": bytes(model["digest"]).hex(),
        "serial": what.serial or 0,
        "evidence_sha256": _digest(what.evidence or what.proof or b""),
    }
    entry_id = await ledger.append(database, entry)
    stored = {
        "serial": what.serial,
        "proof": what.proof,
        "occurred_at": occurred_at,
        "ledger_entry_id": entry_id,
    }
    await rows.insert(database, _EVENTS, event | stored)


def key_of(model: DictRow) -> dict[str, Any]:
    """Return the primary key of a version."""
    return {"purpose": model["purpose"], "version": model["version"]}


async def newest_serial(database: Database, purpose: str) -> int:
    """Return the serial of the newest activation or rollback; 0: there was none."""
    query = "SELECT max(serial) AS newest FROM riskgate.deployment_event WHERE purpose = %s"
    row = await (await database.execute(query, [purpose])).fetchone()
    return (row["newest"] if row else None) or 0


async def activation_of(database: Database, model: DictRow) -> state_pb2.ActivationProof:
    """Return the proof with which a version was last activated by an approval of its own.

    Raises:
        BrokenInvariantError: It never was.
    """
    query = (
        "SELECT proof FROM riskgate.deployment_event WHERE (purpose, version) = (%s, %s)"
        " AND event = 'activate' ORDER BY event_id DESC LIMIT 1"
    )
    cursor = await database.execute(query, [model["purpose"], model["version"]])
    row = await cursor.fetchone()
    if row is None or row["proof"] is None:
        raise BrokenInvariantError(f"{model['purpose']} {model['version']} was never activated")
    return state_pb2.ActivationProof.FromString(bytes(row["proof"]))


async def speaking(database: Database) -> list[DictRow]:
    """Return the newest event with a proof of each purpose, with the digest of what speaks.

    `digest` is None where a rollback or a revocation left no version speaking. What was activated
    before there were proofs does not count.
    """
    query = (
        "SELECT DISTINCT ON (event.purpose) event.purpose, event.version, event.serial,"
        " event.proof, CASE WHEN event.event IN ('activate', 'rollback') THEN model.digest END"
        " AS digest FROM riskgate.deployment_event AS event"
        " JOIN riskgate.model_version AS model USING (purpose, version)"
        " WHERE event.proof IS NOT NULL ORDER BY event.purpose, event.serial DESC"
    )
    return await (await database.execute(query)).fetchall()


async def events(
    database: Database, *, purpose: str, version: str, from_event_id: int, limit: int
) -> list[DictRow]:
    """Return events from one on, oldest first; empty purpose or version: of all."""
    query = (
        "SELECT * FROM riskgate.deployment_event WHERE event_id >= %(first)s"
        " AND (%(purpose)s = '' OR purpose = %(purpose)s)"
        " AND (%(version)s = '' OR version = %(version)s) ORDER BY event_id LIMIT %(limit)s"
    )
    values = {"first": from_event_id, "purpose": purpose, "version": version, "limit": limit}
    return await (await database.execute(query, values)).fetchall()


async def compare_with_ledger(database: Database) -> list[LedgerFault]:
    """Find events, and statuses of versions, that are not what the ledger says of them."""
    query = (
        "SELECT event.*, entry.entry_id, entry.entry FROM riskgate.ledger_entry AS entry"
        " FULL JOIN riskgate.deployment_event AS event ON event.ledger_entry_id = entry.entry_id"
        " WHERE entry.entry_id IS NOT NULL OR event.ledger_entry_id IS NOT NULL"
        " ORDER BY entry.entry_id"
    )
    faults = list[LedgerFault]()
    statuses: dict[tuple[str, str], tuple[int, str]] = {}
    for row in await (await database.execute(query)).fetchall():
        if row["event_id"] is None:
            faults.append(LedgerFault(row["entry_id"], "has no deployment event"))
        elif row["entry_id"] is not None:
            faults += _compare(row)
            key = (row["purpose"], row["version"])
            statuses[key] = (row["entry_id"], row["status_after"])
    models = await database.execute("SELECT purpose, version, status FROM riskgate.model_version")
    for row in await models.fetchall():
        number, said = statuses.get((row["purpose"], row["version"]), (0, row["status"]))
        if said != row["status"]:
            problem = f"says {row['purpose']} {row['version']} is {said}, not {row['status']}"
            faults.append(LedgerFault(number, problem))
    return sorted(faults, key=lambda fault: fault.entry_id)


def _compare(row: DictRow) -> list[LedgerFault]:
    try:
        said = decode_canonical(row["entry"].encode())
        alike = all(said[name] == row[name] for name in _SAID_ALIKE)
        alike &= said["serial"] == (row["serial"] or 0)
        alike &= said["at"] == row["occurred_at"].isoformat(timespec="microseconds")
        if row["proof"] is not None:
            alike &= said["evidence_sha256"] == _digest(bytes(row["proof"]))
    except (ValueError, LookupError, TypeError):
        alike = False
    if alike:
        return []
    return [LedgerFault(row["entry_id"], f"differs from deployment event {row['event_id']}")]


def _digest(content: bytes) -> str:
    return sha256(content).hexdigest() if content else ""
