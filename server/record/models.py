"""The register of models: versions, approvals, and the events in which they were deployed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from server.errors import NotFoundError, PreconditionError
from server.record import rows
from server.record.admin_change import Note
from server.record.pool import Database

_TABLE: Final = "model_version"
KIND: Final = "model"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewModel:
    """A verified artifact on its way into the register."""

    purpose: str
    version: str
    algorithm: str
    digest: bytes
    author: str
    manifest: dict[str, Any]


class ModelRepository:
    """Model versions by purpose and version; each method runs in the caller's transaction."""

    async def get(self, database: Database, purpose: str, version: str) -> DictRow | None:
        """Return a version with its approvers, or None."""
        row = await rows.find(database, _TABLE, {"purpose": purpose, "version": version})
        return None if row is None else (await _with_approvers(database, [row]))[0]

    async def require(self, database: Database, purpose: str, version: str) -> DictRow:
        """Return a version with its approvers.

        Raises:
            NotFoundError: there is none.
        """
        row = await self.get(database, purpose, version)
        if row is None:
            raise NotFoundError(KIND, f"{purpose} {version}")
        return row

    async def active(self, database: Database, purpose: str) -> DictRow | None:
        """Return the version that speaks, or None."""
        return await rows.find(database, _TABLE, {"purpose": purpose, "status": "active"})

    async def page(
        self, database: Database, *, purpose: str, after: Sequence[str] | None, limit: int
    ) -> list[DictRow]:
        """Return versions by purpose, oldest version first; empty purpose: of all."""
        query = (
            "SELECT * FROM riskgate.model_version"
            " WHERE (%(purpose)s = '' OR purpose = %(purpose)s)"
            " AND (%(first)s OR (purpose, version_order)"
            " > (%(after)s, string_to_array(%(version)s, '.')::integer[]))"
            " ORDER BY purpose, version_order LIMIT %(limit)s"
        )
        last_purpose, last_version = after or ("", "0")
        values = {
            "purpose": purpose,
            "first": after is None,
            "after": last_purpose,
            "version": last_version,
            "limit": limit,
        }
        found = await (await database.execute(query, values)).fetchall()
        return await _with_approvers(database, found)

    async def register(self, database: Database, model: NewModel, note: Note) -> DictRow:
        """Store a verified version as one that is being tested.

        Raises:
            AlreadyExistsError: purpose and version, or the digest, are taken.
        """
        values = {
            "purpose": model.purpose,
            "version": model.version,
            "algorithm": model.algorithm,
            "digest": model.digest,
            "author": model.author,
            "manifest": Jsonb(model.manifest),
        }
        row = await rows.insert(database, _TABLE, values)
        await _log(database, row, "push", note)
        return {**row, "approvers": []}

    async def approve(self, database: Database, model: DictRow, note: Note) -> DictRow:
        """Record that a person approves exactly this digest.

        Raises:
            PreconditionError: the version is past approval.
        """
        if model["status"] not in {"registered", "testing", "approved"}:
            raise PreconditionError(f"a model that is {model['status']} cannot be approved")
        approval = {
            "purpose": model["purpose"],
            "version": model["version"],
            "approver": note.actor,
            "digest": model["digest"],
        }
        await rows.insert(database, "approval", approval)
        moved = {"status": "approved", "approved_at": model["approved_at"] or datetime.now(UTC)}
        await rows.update(database, _TABLE, _key(model), moved)
        await _log(database, model, "approve", note)
        return await self.require(database, model["purpose"], model["version"])

    async def activate(
        self, database: Database, model: DictRow, note: Note, *, event: str, serial: int | None
    ) -> DictRow:
        """Let a version speak in the place of the one that does.

        Raises:
            PreconditionError: the serial is not larger than every one before.
        """
        query = "SELECT max(serial) AS newest FROM riskgate.deployment_event WHERE purpose = %s"
        row = await (await database.execute(query, [model["purpose"]])).fetchone()
        newest = (row["newest"] if row else None) or 0
        if serial is not None and serial <= newest:
            raise PreconditionError(f"serial must be above {newest}")
        now = datetime.now(UTC)
        speaking = await self.active(database, model["purpose"])
        if speaking is not None:
            moved = {"status": "deprecated", "deprecated_at": now}
            await rows.update(database, _TABLE, _key(speaking), moved)
            farewell = "withdraw" if event == "rollback" else "deprecate"
            await _log(database, speaking, farewell, note)
        number = newest + 1 if serial is None else serial
        moved = {
            "status": "active",
            "activated_at": now,
            "deprecated_at": None,
            "serial": number,
        }
        await rows.update(database, _TABLE, _key(model), moved)
        await _log(database, model, event, note, serial=number)
        return await self.require(database, model["purpose"], model["version"])

    async def previous(self, database: Database, purpose: str) -> DictRow:
        """Return the version that spoke before the active one and was not itself rolled back.

        Raises:
            PreconditionError: there is none.
        """
        query = (
            "SELECT version FROM riskgate.model_version AS model WHERE purpose = %s"
            " AND status = 'deprecated' AND serial > 0 AND (SELECT event"
            " FROM riskgate.deployment_event AS event WHERE event.purpose = model.purpose"
            " AND event.version = model.version ORDER BY event_id DESC LIMIT 1) <> 'withdraw'"
            " ORDER BY serial DESC LIMIT 1"
        )
        row = await (await database.execute(query, [purpose])).fetchone()
        if row is None:
            raise PreconditionError("no earlier version has been active")
        return await self.require(database, purpose, row["version"])


def _key(model: DictRow) -> dict[str, Any]:
    return {"purpose": model["purpose"], "version": model["version"]}


async def _log(
    database: Database, model: DictRow, event: str, note: Note, *, serial: int | None = None
) -> None:
    values = {
        **_key(model),
        "event": event,
        "serial": serial,
        "actor": note.actor,
        "reason": note.reason,
    }
    await rows.insert(database, "deployment_event", values)


async def _with_approvers(database: Database, found: Sequence[DictRow]) -> list[DictRow]:
    query = (
        "SELECT purpose, version, approver FROM riskgate.approval"
        " WHERE (purpose, version) IN (SELECT * FROM unnest(%s::text[], %s::text[]))"
        " ORDER BY approved_at, approver"
    )
    keys = [[row["purpose"] for row in found], [row["version"] for row in found]]
    approvers: dict[tuple[str, str], list[str]] = {}
    for row in await (await database.execute(query, keys)).fetchall():
        approvers.setdefault((row["purpose"], row["version"]), []).append(row["approver"])
    return [
        {**row, "approvers": approvers.get((row["purpose"], row["version"]), [])} for row in found
    ]
