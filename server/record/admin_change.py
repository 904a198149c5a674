"""One admin change: the row, its audit row and its state change in a single transaction.

The counter row is locked first and until commit. That puts all admin changes in one order, makes
versions visible in that order without gaps (a sequence would let a late commit be skipped), and
rules out deadlocks between changes.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Jsonb

from riskgate.v1 import state_pb2
from server.changes import state_change
from server.entities import plain
from server.record.pool import Database, Pool, connection


@dataclass(frozen=True, slots=True)
class Note:
    """Who asked for a change, and why."""

    actor: str = ""
    reason: str = ""


@dataclass(slots=True)
class AdminChange:
    """An open transaction that holds the version counter.

    Attributes:
        version: newest version in the record, this change's own ones included.
    """

    database: Database
    note: Note
    version: int

    async def audit(
        self, action: str, subject: str, key: str, *, old: object = None, new: object = None
    ) -> None:
        """Write one audit row."""
        await self.database.execute(
            "INSERT INTO riskgate.audit_log (actor, action, subject, subject_key, reason,"
            " old_value, new_value, state_version) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            [
                self.note.actor,
                action,
                subject,
                key,
                self.note.reason,
                _json(old),
                _json(new),
                self.version,
            ],
        )

    async def publish(
        self, kind: state_pb2.ChangeKind, key: str, rows: bytes, *, proof: bytes = b""
    ) -> int:
        """Put a change with the next version into the outbox; empty rows delete the entity.

        Args:
            kind: Of the change.
            key: Of the entity.
            rows: Its new content.
            proof: A serialised ActivationProof where the kind asks for one.

        Returns:
            The version.
        """
        cursor = await self.database.execute(
            "UPDATE riskgate.state_version SET version = version + 1 RETURNING version"
        )
        row = await cursor.fetchone()
        self.version = 0 if row is None else int(row["version"])
        change = state_change(kind, key, rows, version=self.version)
        change.proof = proof
        await self.database.execute(
            "INSERT INTO riskgate.state_change (version, kind, key, change, layout_version)"
            " VALUES (%s, %s, %s, %s, %s)",
            [self.version, kind, key, change.SerializeToString(), change.layout_version],
        )
        return self.version


@asynccontextmanager
async def admin_change(pool: Pool, note: Note) -> AsyncIterator[AdminChange]:
    """Open a change; it commits when the block ends and leaves nothing behind when it raises.

    Raises:
        UnavailableError: PostgreSQL is away.
        RiskgateError: what the database refused, as one of our errors.
    """
    async with connection(pool) as database:
        cursor = await database.execute("SELECT version FROM riskgate.state_version FOR UPDATE")
        row = await cursor.fetchone()
        yield AdminChange(database, note, 0 if row is None else int(row["version"]))


def _json(value: Any) -> Jsonb | None:
    return None if value is None else Jsonb(plain(value))
