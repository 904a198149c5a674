"""Identity entries: what the record knows of a caller beyond its certificate.

An entry is never deleted: an identity that was revoked stays revoked.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from psycopg.rows import DictRow

from riskgate.v1 import state_pb2
from server.changes import identity_rows
from server.entities import IdentityEntry, IdentityStatus
from server.record.admin_change import AdminChange
from server.record.pool import Database

KIND: Final = "identity"
_ACTIONS: Final[dict[IdentityStatus, str]] = {
    "active": "restore",
    "frozen": "freeze",
    "revoked": "revoke",
}
# Status wanted, status there is.
_NOTHING_TO_DO: Final = {
    ("active", "active"),
    ("frozen", "frozen"),
    ("frozen", "revoked"),
    ("revoked", "revoked"),
}

_SELECT: Final = (
    "SELECT identity.*, EXISTS (SELECT 1 FROM riskgate.second_factor AS factor"
    " WHERE factor.uri = identity.uri) AS has_second_factor FROM riskgate.identity"
)
_PUT: Final = (
    "INSERT INTO riskgate.identity (uri, accounts, every_account, providers, calls_per_second,"
    " burst, status) VALUES (%(uri)s, %(accounts)s, %(every_account)s, %(providers)s,"
    " %(calls_per_second)s, %(burst)s, %(status)s) ON CONFLICT (uri) DO UPDATE SET"
    " accounts = EXCLUDED.accounts, every_account = EXCLUDED.every_account,"
    " providers = EXCLUDED.providers, calls_per_second = EXCLUDED.calls_per_second,"
    " burst = EXCLUDED.burst, status = EXCLUDED.status, version = identity.version + 1,"
    " updated_at = now()"
)


class IdentityRepository:
    """Entries by uri; each method runs in the caller's transaction."""

    async def find(self, database: Database, uri: str) -> IdentityEntry | None:
        """Return the entry, or None."""
        row = await (await database.execute(f"{_SELECT} WHERE uri = %s", [uri])).fetchone()
        return None if row is None else _entry(row)

    async def page(
        self, database: Database, *, after: Sequence[str] | None, limit: int
    ) -> list[IdentityEntry]:
        """Return entries in the order of their uris."""
        last = after[0] if after else ""
        query = f"{_SELECT} WHERE uri > %s ORDER BY uri LIMIT %s"
        found = await (await database.execute(query, [last, limit])).fetchall()
        return [_entry(row) for row in found]

    async def put(self, database: Database, entry: IdentityEntry) -> IdentityEntry:
        """Create or replace the entry and return it as stored, its version raised by one."""
        values = {
            "uri": entry.uri,
            "accounts": list(entry.accounts),
            "every_account": entry.every_account,
            "providers": list(entry.providers),
            "calls_per_second": entry.calls_per_second,
            "burst": entry.burst,
            "status": entry.status,
        }
        await database.execute(_PUT, values)
        stored = await self.find(database, entry.uri)
        assert stored is not None  # noqa: S101 - written in this transaction
        return stored


async def put_identity(
    change: AdminChange, old: IdentityEntry | None, new: IdentityEntry, action: str
) -> IdentityEntry:
    """Store an entry, tell the engines, write the audit row, and return the entry as stored."""
    stored = await IdentityRepository().put(change.database, new)
    await change.publish(state_pb2.CHANGE_KIND_IDENTITY, stored.uri, identity_rows(stored))
    await change.audit(action, KIND, stored.uri, old=old, new=stored)
    return stored


async def set_identity_status(
    change: AdminChange, uri: str, status: IdentityStatus
) -> tuple[IdentityEntry | None, IdentityEntry]:
    """Freeze, revoke or restore an identity; an unknown one gets an entry.

    To freeze what is revoked changes nothing: that would be less.

    Returns:
        The entry before, None if there was none, and the entry now; the same when it was so.
    """
    old = await IdentityRepository().find(change.database, uri)
    if old is not None and (status, old.status) in _NOTHING_TO_DO:
        return old, old
    new = replace(old or IdentityEntry(uri=uri), status=status)
    return old, await put_identity(change, old, new, _ACTIONS[status])


def _entry(row: DictRow) -> IdentityEntry:
    return IdentityEntry(
        uri=row["uri"],
        accounts=tuple(row["accounts"]),
        every_account=row["every_account"],
        providers=tuple(row["providers"]),
        calls_per_second=row["calls_per_second"],
        burst=row["burst"],
        status=row["status"],
        has_second_factor=row["has_second_factor"],
        version=row["version"],
        updated_at=row["updated_at"],
    )
