"""Keyed tables: rows whose first columns are the key, found through an open-addressing index.

The index holds `tag << 32 | row` per cell, 0 when free, at most half full, so a probe touches the
row only when 31 bits of the hash agree; then the whole key is compared. Removal shifts later cells
back, so no tombstones gather. Row 0 is never used: its first word counts the rows handed out.
Reference: Knuth, TAOCP 3, 6.4, algorithm R.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from server.hotpath.intrinsics import load_word, prefetch, store_word
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.layout import packed_dtype

_MULTIPLIER = i64(-7046029254386353131)  # 2^64 / golden ratio, odd
_FACTOR_STEP = i64(0x5851F42D4C957F2E)  # even: factors stay odd and differ
_FOLD_MASK = i64(0x7FFFFFFFF)
_TAG_MASK = i64(0x7FFFFFFF)
_ROW_MASK = i64(0xFFFFFFFF)

# What a kernel knows of a table.
TABLE: Final = packed_dtype(
    ("rows", "<i8"),  # address
    ("row_bytes", "<i8"),
    ("index", "<i8"),  # address of int64 cells
    ("mask", "<i8"),  # cells − 1
    ("capacity", "<i8"),  # rows are 1 .. capacity
)


class Table(NamedTuple):
    """One keyed table.

    Attributes:
        record: TABLE[1], the way in for kernels.
        rows: records, capacity + 1 of them.
        cells: int64[power of two ≥ 2 × capacity], the index.
    """

    record: np.ndarray[Any, np.dtype[Any]]
    rows: np.ndarray[Any, np.dtype[Any]]
    cells: np.ndarray[Any, np.dtype[np.int64]]


def new_table(dtype: np.dtype[np.void], capacity: int) -> Table:
    """Allocate an empty table.

    Args:
        dtype: packed rows, key columns first.
        capacity: rows, 1 to 2^31 − 2.
    """
    rows = np.zeros(capacity + 1, dtype)
    cells = np.zeros(1 << (2 * capacity - 1).bit_length(), np.int64)
    record = np.zeros(1, TABLE)
    record["rows"] = rows.ctypes.data
    record["row_bytes"] = dtype.itemsize
    record["index"] = cells.ctypes.data
    record["mask"] = len(cells) - 1
    record["capacity"] = capacity
    return Table(record, rows, cells)


@kernel
def _mix_nb(total: int) -> int:
    folded = (total ^ ((total >> i64(32)) & _ROW_MASK)) * _MULTIPLIER
    return folded ^ ((folded >> i64(29)) & _FOLD_MASK)


@kernel
def hash_key_nb(key: np.ndarray, width: int) -> int:
    """Mix the first `width` words of a key into one.

    A multilinear sum, whose products do not wait for each other, and one mixing at the end. A
    single word is a counter and stays as it is: see `_home_nb`.
    """
    if width == 1:
        return key[0]
    total = i64(0)
    factor = _MULTIPLIER
    for position in range(width):
        total += key[position] * factor
        factor += _FACTOR_STEP
    return _mix_nb(total)


@kernel
def _hash_row_nb(table: Any, row: int, width: int) -> int:
    address = table.rows + row * table.row_bytes
    if width == 1:
        return load_word(address)
    total = i64(0)
    factor = _MULTIPLIER
    for position in range(width):
        total += load_word(address + 8 * position) * factor
        factor += _FACTOR_STEP
    return _mix_nb(total)


@kernel
def _home_nb(table: Any, hashed: int, width: int) -> int:
    """Return the cell where the search for a hash begins.

    Counters get every other cell, so that neighbours share cache lines and still leave gaps: in an
    unbroken run of cells each removal would look at all that follow. After half a turn of the index
    they get the cells between.
    """
    if width != 1:
        return hashed & table.mask
    doubled = hashed << i64(1)
    return (doubled & table.mask) | (1 if doubled & (table.mask + 1) else 0)


@kernel
def _same_nb(table: Any, row: int, key: np.ndarray, width: int) -> bool:
    address = table.rows + row * table.row_bytes
    for position in range(width):
        if load_word(address + 8 * position) != key[position]:
            return False
    return True


@kernel
def prefetch_key_nb(table: Any, key: np.ndarray, width: int) -> None:
    """Ask for the index cell of a key that will be looked up soon."""
    prefetch(table.index + 8 * _home_nb(table, hash_key_nb(key, width), width))


@kernel
def prefetch_row_nb(table: Any, row: int) -> None:
    """Ask for the first four cache lines of a row."""
    address = table.rows + row * table.row_bytes
    for line in range(4):
        prefetch(address + 64 * line)


@kernel
def find_nb(table: Any, key: np.ndarray, width: int) -> int:
    """Return the row of a key of `width` words, 0 if there is none."""
    hashed = hash_key_nb(key, width)
    tag = (hashed >> i64(33)) & _TAG_MASK
    cell = _home_nb(table, hashed, width)
    entry = load_word(table.index + 8 * cell)
    while entry != 0:
        row = entry & _ROW_MASK
        if (entry >> i64(32)) == tag and _same_nb(table, row, key, width):
            return row
        cell = (cell + 1) & table.mask
        entry = load_word(table.index + 8 * cell)
    return i64(0)


@kernel
def link_nb(table: Any, row: int, width: int) -> None:
    """Enter a row, whose key is already written and not in the index, into the index."""
    hashed = _hash_row_nb(table, row, width)
    tag = (hashed >> i64(33)) & _TAG_MASK
    cell = _home_nb(table, hashed, width)
    while load_word(table.index + 8 * cell) != 0:
        cell = (cell + 1) & table.mask
    store_word(table.index + 8 * cell, (tag << i64(32)) | i64(row))


@routine
def unlink_nb(table: Any, row: int, width: int) -> None:
    """Take a row out of the index and close the gap; the row itself is left as it is."""
    cell = _home_nb(table, _hash_row_nb(table, row, width), width)
    entry = load_word(table.index + 8 * cell)
    while (entry & _ROW_MASK) != row:
        if entry == 0:
            return
        cell = (cell + 1) & table.mask
        entry = load_word(table.index + 8 * cell)
    hole = cell
    cell = (cell + 1) & table.mask
    entry = load_word(table.index + 8 * cell)
    while entry != 0:
        home = _home_nb(table, _hash_row_nb(table, entry & _ROW_MASK, width), width)
        # The entry may move back unless its home lies between the hole and where it stands.
        if ((cell - home) & table.mask) >= ((cell - hole) & table.mask):
            store_word(table.index + 8 * hole, entry)
            hole = cell
        cell = (cell + 1) & table.mask
        entry = load_word(table.index + 8 * cell)
    store_word(table.index + 8 * hole, i64(0))


@kernel
def rows_used_nb(table: Any) -> int:
    """Return how many rows `insert_nb` has handed out."""
    return load_word(table.rows)


@routine
def insert_nb(table: Any, key: np.ndarray, width: int) -> int:
    """Return the row of a key, a fresh one if it is new; 0 if the table is full.

    Fresh rows are zero but the key.
    """
    row = find_nb(table, key, width)
    if row != 0:
        return row
    row = rows_used_nb(table) + 1
    if row > table.capacity:
        return i64(0)
    store_word(table.rows, row)
    write_key_nb(table, row, key, width)
    link_nb(table, row, width)
    return row


@kernel
def write_key_nb(table: Any, row: int, key: np.ndarray, width: int) -> None:
    """Write `width` words over the start of a row."""
    address = table.rows + row * table.row_bytes
    for position in range(width):
        store_word(address + 8 * position, key[position])


@kernel
def clear_row_nb(table: Any, row: int) -> None:
    """Fill a row with zeros."""
    address = table.rows + row * table.row_bytes
    for position in range(table.row_bytes // 8):
        store_word(address + 8 * position, i64(0))
