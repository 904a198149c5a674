"""The indexes of the tables are not part of a snapshot: which rows they hold, and building them.

A row that was freed, forgotten or never used must not be found again, so each table is told here
which of its rows count.
"""

from typing import Any, Final

import numpy as np

from server.hotpath.idempotency import ORDER_KEY_WORDS
from server.hotpath.inputs import PROVIDER_KEY_WORDS
from server.hotpath.jit import routine
from server.hotpath.kills import KILL_KEY_WORDS
from server.hotpath.layout import ID_WORDS, SYMBOL_WORDS
from server.hotpath.memory import State
from server.hotpath.order_contents import CONTENT_KEY_WORDS
from server.hotpath.positions import EXPOSURE_KEY_WORDS, POSITION_KEY_WORDS
from server.hotpath.rows import RESERVATION_FREE
from server.hotpath.strategies import STRATEGY_KEY_WORDS
from server.hotpath.table import Table, link_nb

Array = np.ndarray[Any, np.dtype[Any]]

# Leading words of a row that make up its key.
KEY_WORDS: Final[dict[str, int]] = {
    "instruments": SYMBOL_WORDS,
    "accounts": ID_WORDS,
    "overrides": 1 + SYMBOL_WORDS,
    "providers": PROVIDER_KEY_WORDS,
    "rates": 2,
    "breakers": ID_WORDS,
    "positions": POSITION_KEY_WORDS,
    "exposures": EXPOSURE_KEY_WORDS,
    "windows": SYMBOL_WORDS,
    "reservations": 1,
    "idempotency": ORDER_KEY_WORDS,
    "reports": 1 + ID_WORDS,
    "strategies": STRATEGY_KEY_WORDS,
    "contents": CONTENT_KEY_WORDS,
    "kills": KILL_KEY_WORDS,
}


def rows_used(rows: Array) -> int:
    """Return how many rows of a table `insert_nb` has handed out; 0 where rows come otherwise."""
    # The first word of row 0 counts them.
    return int(rows[:1].view(np.int64)[0])


def link_state(state: State) -> None:
    """Enter every row that can be found into the index of its table; the indexes are empty."""
    for name, width in KEY_WORDS.items():
        table: Table = getattr(state, name)
        link_rows_nb(table.record[0], linked_rows(state, name), width)


def linked_rows(state: State, name: str) -> Array:
    """Return the numbers of the rows of a table that its index holds."""
    engine = state.engine[0]
    table: Table = getattr(state, name)
    if name == "idempotency":
        return _rows_of_ring(table, engine["idempotency_oldest"], engine["idempotency_count"])
    if name == "reports":
        return _rows_of_ring(table, engine["report_oldest"], engine["report_count"])
    if name == "contents":
        ring = _rows_of_ring(table, engine["content_oldest"], engine["content_count"])
        # One that was emptied where it was is not found any more.
        found: Array = ring[table.rows["account_row"][ring] != 0]
        return found
    if name == "reservations":
        used = table.rows[: int(engine["reservation_fresh"]) + 1]
        # Closed ones are found by late reports until their row is needed again.
        return np.flatnonzero(used["state"] != RESERVATION_FREE)
    used = table.rows[: rows_used(table.rows) + 1]
    if name == "positions":
        # A row that was freed is all zero but its link to the next free one.
        return np.flatnonzero(used["account_row"][1:]) + 1
    return np.arange(1, len(used))


def _rows_of_ring(table: Table, oldest: int, count: int) -> Array:
    capacity = int(table.record["capacity"][0])
    rows: Array = (int(oldest) - 1 + np.arange(int(count))) % capacity + 1
    return rows


@routine
def link_rows_nb(table: Any, rows: np.ndarray, width: int) -> None:
    """Enter rows, whose keys are written and not in the index, into the index.

    Args:
        table: TABLE record.
        rows: int64 row numbers.
        width: words of the key.
    """
    for position in range(rows.shape[0]):
        link_nb(table, rows[position], width)
