"""Which columns of the record are encrypted, each value bound to its place, and how keys change.

The ring belongs to a pool: whoever opens a pool for services says which (`use_ring`).
"""

import logging
from dataclasses import dataclass
from itertools import pairwise
from typing import Final
from weakref import WeakKeyDictionary

from psycopg.sql import SQL, Composed, Identifier, Placeholder

from server.errors import BrokenInvariantError
from server.record.pool import Database, Pool, connection
from server.security.field_encryption import KEY_ID_BYTES, KeyRing, Place

log = logging.getLogger(__name__)

# Older transactions, which may have sealed with the key before, have ended by then.
KEY_AGE_S_MIN: Final = 120
# Until the transaction ends. The key file is only written under it.
_LOCK: Final = "SELECT pg_advisory_xact_lock(1936023916)"
_PAGE: Final = 500
_RINGS: Final[WeakKeyDictionary[Pool, KeyRing]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """One encrypted column and the primary key of its table."""

    table: str
    column: str
    key: tuple[str, ...]

    def place(self, *key: str) -> Place:
        """Return the place of the value in the row with this key."""
        return Place(self.table, key, self.column)

    def key_id(self) -> Composed:
        """Return the expression for the key that a value is sealed with."""
        return SQL("substring({} FROM 2 FOR {})").format(Identifier(self.column), KEY_ID_BYTES)


SECOND_FACTOR_SECRET: Final = SealedColumn("second_factor", "secret", ("uri",))
MODEL_PARAMETERS: Final = SealedColumn("model_version", "sealed_parameters", ("purpose", "version"))
COLUMNS: Final = (SECOND_FACTOR_SECRET, MODEL_PARAMETERS)


@dataclass(frozen=True, slots=True)
class Rotation:
    """What a change of keys did.

    Attributes:
        newest: Key that everything is sealed with now, by id in hex.
        values: Encrypted anew.
        forgotten: Keys that were removed.
    """

    newest: str
    values: int
    forgotten: tuple[str, ...]


def use_ring(pool: Pool, ring: KeyRing) -> None:
    """Say which keys belong to the record behind a pool."""
    _RINGS[pool] = ring


def ring_of(pool: Pool) -> KeyRing:
    """Return the keys that belong to the record behind a pool.

    Raises:
        BrokenInvariantError: Nobody said which.
    """
    ring = _RINGS.get(pool)
    if ring is None:
        raise BrokenInvariantError("no key ring belongs to this pool")
    return ring


async def rotate_keys(pool: Pool, ring: KeyRing, *, now_s: float) -> Rotation:
    """Put a new key first, encrypt every value with it, and remove keys that are long unused.

    The key that was in use until now stays for the time being: another process may have sealed with
    it a moment ago. The next rotation removes it.

    Raises:
        SealedValueError: A value cannot be opened; the record stays as it was.
    """
    async with connection(pool) as database:
        await database.execute(_LOCK)
        newest = ring.add_key().key_id
        count = sum([await _reseal(database, ring, each, newest) for each in COLUMNS])
    forgotten = await _forget_unused(pool, ring, now_s)
    log.info("%d values were sealed anew, with key %s", count, newest.hex())
    return Rotation(newest.hex(), count, forgotten)


async def _reseal(database: Database, ring: KeyRing, column: SealedColumn, newest: bytes) -> int:
    where = SQL(" AND ").join(
        SQL("{} = {}").format(Identifier(name), Placeholder()) for name in column.key
    )
    find = SQL("SELECT {}, {} FROM {} WHERE {} <> %s LIMIT %s FOR UPDATE").format(
        SQL(", ").join(map(Identifier, column.key)),
        Identifier(column.column),
        Identifier("riskgate", column.table),
        column.key_id(),
    )
    write = SQL("UPDATE {} SET {} = %s WHERE {}").format(
        Identifier("riskgate", column.table), Identifier(column.column), where
    )
    count = 0
    while rows := await (await database.execute(find, [newest, _PAGE])).fetchall():
        for row in rows:
            key = [row[name] for name in column.key]
            place = column.place(*key)
            sealed = ring.seal(place, ring.open(place, row[column.column]))
            await database.execute(write, [sealed, *key])
        count += len(rows)
    return count


async def _forget_unused(pool: Pool, ring: KeyRing, now_s: float) -> tuple[str, ...]:
    """Remove keys that no value names and that were replaced long enough ago."""
    used = set()
    async with connection(pool) as database:
        await database.execute(_LOCK)
        for column in COLUMNS:
            query = SQL("SELECT DISTINCT {} AS key_id FROM {}").format(
                column.key_id(), Identifier("riskgate", column.table)
            )
            rows = await (await database.execute(query)).fetchall()
            used |= {bytes(row["key_id"]) for row in rows if row["key_id"] is not None}
        unused = {
            key.key_id
            for newer, key in pairwise(ring.list_keys())
            if key.key_id not in used and now_s - newer.made_at_s >= KEY_AGE_S_MIN
        }
        if unused:
            ring.forget(unused)
    return tuple(sorted(key_id.hex() for key_id in unused))
