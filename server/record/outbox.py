"""The outbox: state changes in the order of their versions, as the publisher reads them."""

from dataclasses import dataclass

from riskgate.v1.state_pb2 import StateChange
from server.record.pool import Pool, connection


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """One state change: `change` holds the serialised StateChange, without revision and seal."""

    version: int
    kind: int
    key: str
    change: bytes
    layout_version: int
    revision: int

    def numbered(self) -> bytes:
        """Return the change as it travels, still unsealed: with its revision."""
        message = StateChange.FromString(self.change)
        message.revision = self.revision
        return message.SerializeToString()


class Outbox:
    """Reads what admin changes have left to be published."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def newest_version(self) -> int:
        """Return the version of the newest committed change, 0 before the first."""
        async with connection(self._pool) as database:
            cursor = await database.execute("SELECT version FROM riskgate.state_version")
            row = await cursor.fetchone()
        return 0 if row is None else int(row["version"])

    async def after(self, version: int, limit: int) -> list[OutboxEntry]:
        """Return up to `limit` changes newer than `version`, oldest first."""
        query = (
            "SELECT version, kind, key, change, layout_version, revision FROM riskgate.state_change"
            " WHERE version > %s ORDER BY version LIMIT %s"
        )
        async with connection(self._pool) as database:
            rows = await (await database.execute(query, [version, limit])).fetchall()
        return [OutboxEntry(**row) for row in rows]

    async def latest_of_each(self, kind: int, after_key: str, limit: int) -> list[OutboxEntry]:
        """Return the newest change of each entity of a kind, deletions included, by key."""
        query = (
            "SELECT DISTINCT ON (key) version, kind, key, change, layout_version, revision"
            " FROM riskgate.state_change WHERE kind = %s AND key > %s"
            " ORDER BY key, version DESC LIMIT %s"
        )
        async with connection(self._pool) as database:
            rows = await (await database.execute(query, [kind, after_key, limit])).fetchall()
        return [OutboxEntry(**row) for row in rows]
