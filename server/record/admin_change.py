"""One admin change: the row, its audit row and its state change in a single transaction.

The counter row is locked first and until commit. That puts all admin changes in one order, makes
versions visible in that order without gaps (a sequence would let a late commit be skipped), and
rules out deadlocks between changes.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from riskgate.v1 import state_pb2
from server.changes import state_change
from server.note import Note
from server.record.audit import UNCHANGED, AuditEntry, action_of, append
from server.record.pool import Database, Pool, connection
from server.security.caller import current_call

__all__ = ["AdminChange", "Note", "admin_change"]


@dataclass(slots=True)
class AdminChange:
    """An open transaction that holds the version counter.

    Attributes:
        version: newest version in the record, this change's own ones included.
        is_audited: it has a row in the audit log.
    """

    database: Database
    note: Note
    version: int
    is_audited: bool = False

    async def audit(
        self, action: str, subject: str, key: str, *, old: object = None, new: object = None
    ) -> None:
        """Write one audit row; a change without any gets one that says so."""
        entry = AuditEntry(
            action=action,
            subject=subject,
            subject_key=key,
            actor=self.note.actor,
            reason=self.note.reason,
            old=old,
            new=new,
            state_version=self.version,
        )
        await self._append(entry)

    async def audit_unchanged(self) -> None:
        """Write the row of a call that found nothing to change, unless it has written one."""
        call = current_call()
        if self.is_audited or not call.method:
            return
        entry = AuditEntry(
            action=action_of(call),
            outcome=UNCHANGED,
            actor=self.note.actor,
            reason=self.note.reason,
            state_version=self.version,
        )
        await self._append(entry)

    async def _append(self, entry: AuditEntry) -> None:
        await append(self.database, current_call(), entry)
        self.is_audited = True

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
            "INSERT INTO riskgate.state_change"
            " (version, kind, key, change, layout_version, revision)"
            " SELECT %s, %s, %s, %s, %s, 1 + coalesce(max(revision), 0)"
            " FROM riskgate.state_change WHERE kind = %s AND key = %s",
            [
                *(self.version, kind, key, change.SerializeToString(), change.layout_version),
                *(kind, key),
            ],
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
        change = AdminChange(database, note, 0 if row is None else int(row["version"]))
        yield change
        await change.audit_unchanged()
