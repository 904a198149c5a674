"""The ledger: one append-only row for every move of every model; see `security/ledger_tree.py`."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from psycopg.rows import DictRow

from server.errors import NotFoundError
from server.record import rows
from server.record.pool import Database
from server.security.ledger_tree import LedgerEntry, LedgerHead, LedgerTree, build_entry

_TABLE: Final = "ledger_entry"
_PAGE: Final = 1_000


async def append(database: Database, entry: Mapping[str, Any]) -> int:
    """Append an entry in the caller's transaction.

    Args:
        database: Of an open admin change, whose lock puts all entries in one order.
        entry: JSON values; `entry` (its number) and `previous` (a hash) are added.

    Returns:
        The number of the entry, counted from 1.
    """
    query = "SELECT * FROM riskgate.ledger_entry ORDER BY entry_id DESC LIMIT 1"
    newest = await (await database.execute(query)).fetchone()
    built = build_entry(entry, None if newest is None else _read(newest))
    values = {
        "entry_id": built.entry_id,
        "entry": built.content.decode(),
        "leaf_hash": built.leaf_hash,
    }
    await rows.insert(database, _TABLE, values)
    return built.entry_id


async def read_head(database: Database) -> LedgerHead:
    """Return how many entries there are, and the root over what they say now."""
    return (await read_tree(database)).head


async def read_tree(database: Database) -> LedgerTree:
    """Return the tree over what the entries say now."""
    return LedgerTree([entry.content async for entry in read_entries(database)])


async def read_entries(database: Database) -> AsyncIterator[LedgerEntry]:
    """Yield all rows in the order of their numbers."""
    query = "SELECT * FROM riskgate.ledger_entry WHERE entry_id > %s ORDER BY entry_id LIMIT %s"
    # Below every number that a row could have been given.
    after = -(2**63)
    while found := await (await database.execute(query, [after, _PAGE])).fetchall():
        for row in found:
            yield _read(row)
        after = found[-1]["entry_id"]


async def read_entry(database: Database, entry_id: int) -> LedgerEntry:
    """Return one row.

    Raises:
        NotFoundError: There is none.
    """
    row = await rows.find(database, _TABLE, {"entry_id": entry_id})
    if row is None:
        raise NotFoundError("ledger entry", str(entry_id))
    return _read(row)


def _read(row: DictRow) -> LedgerEntry:
    return LedgerEntry(row["entry_id"], row["entry"].encode(), bytes(row["leaf_hash"]))
