"""Client certificates on their way to the judge, a Python thread, and the judgements back.

A board of cells, each used by one side at a time: the lane fills an EMPTY cell and marks it ASKED,
the judge answers in it and marks it JUDGED, the lane takes the judgement and marks it EMPTY. The
mark is always written last and read first. After `ask_nb` the lane writes to `asked_fd`, after an
answer the judge wakes the lane; a connection that is gone by then is recognised by its serial.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from server.hotpath.intrinsics import address_reference, copy_bytes, load_acquire, store_release
from server.hotpath.jit import i64, routine
from server.hotpath.layout import packed_dtype

_I8 = "<i8"

CELLS: Final = 64
DER_BYTES_MAX: Final = 8_192

EMPTY: Final = 0
ASKED: Final = 1
JUDGED: Final = 2

NO_CELL: Final = -1  # all are in use: ask again when a judgement was collected
TOO_LONG: Final = -2  # no certificate of that size is looked at: refuse it

# The verdict on a good certificate; every other number refuses.
ACCEPTED: Final = 1

_JUDGEMENT: Final = (
    ("connection", _I8),  # as given to `ask_nb`: address or number, and its serial
    ("serial", _I8),
    ("verdict", _I8),  # ACCEPTED or a number of server.security.peer_certificate.Finding
    ("grant", _I8),  # address of the GRANT of a good certificate
)
JUDGEMENT: Final = packed_dtype(*_JUDGEMENT)
CELL: Final = packed_dtype(
    *_JUDGEMENT,
    ("mark", _I8),
    ("der_length", _I8),
    ("der", ("u1", (DER_BYTES_MAX,))),
)
BOARD: Final = packed_dtype(
    ("cells", _I8),  # address of CELL[CELLS]
    ("waiting", _I8),  # asked and not collected; the lane's own count
    ("asked_fd", _I8),  # eventfd that the judge sleeps on
)

board_at = address_reference(BOARD)
cell_at = address_reference(CELL)
judgement_at = address_reference(JUDGEMENT)

_CELL_BYTES: Final = CELL.itemsize
_JUDGEMENT_BYTES: Final = JUDGEMENT.itemsize
_MARK_OFFSET: Final = CELL.fields["mark"][1]  # type: ignore[index]
_DER_OFFSET: Final = CELL.fields["der"][1]  # type: ignore[index]

Array = np.ndarray[Any, np.dtype[np.void]]


class Board(NamedTuple):
    """The memory behind a board; kept alive as long as the lane runs.

    Attributes:
        record: BOARD[1]; its address is what kernels take as `board`.
        cells: CELL[CELLS].
    """

    record: Array
    cells: Array


def new_board(asked_fd: int) -> Board:
    """Allocate a board whose judge sleeps on an eventfd."""
    board = Board(np.zeros(1, BOARD), np.zeros(CELLS, CELL))
    board.record["cells"] = board.cells.ctypes.data
    board.record["asked_fd"] = asked_fd
    return board


@routine
def ask_nb(board: int, connection: int, serial: int, der: int, der_length: int) -> int:
    """Copy the certificate at `der` to the board (an address); the lane's thread only.

    Connection (an address or a number) and serial come back with the judgement. Returns the number
    of the cell, or NO_CELL or TOO_LONG.
    """
    if der_length > DER_BYTES_MAX or der_length < 1:
        return i64(TOO_LONG)
    place = board_at(board)
    for number in range(CELLS):
        address = place.cells + number * _CELL_BYTES
        if load_acquire(address + _MARK_OFFSET) != EMPTY:
            continue
        cell = cell_at(address)
        cell.connection = connection
        cell.serial = serial
        cell.verdict = 0
        cell.der_length = der_length
        copy_bytes(address + _DER_OFFSET, der, der_length)
        place.waiting += 1
        store_release(address + _MARK_OFFSET, i64(ASKED))
        return i64(number)
    return i64(NO_CELL)


@routine
def collect_nb(board: int, judgement: int) -> bool:
    """Move one judgement into the JUDGEMENT record at an address; tell whether there was one.

    The lane's thread only. Cheap when nobody waits.
    """
    place = board_at(board)
    if place.waiting == 0:
        return False
    for number in range(CELLS):
        address = place.cells + number * _CELL_BYTES
        if load_acquire(address + _MARK_OFFSET) != JUDGED:
            continue
        copy_bytes(judgement, address, _JUDGEMENT_BYTES)
        place.waiting -= 1
        store_release(address + _MARK_OFFSET, i64(EMPTY))
        return True
    return False


@routine
def is_asked_nb(board: int, number: int) -> bool:
    """Tell whether a cell waits for the judge, who may read it then; the judge's thread only."""
    address = board_at(board).cells + number * _CELL_BYTES
    return bool(load_acquire(address + _MARK_OFFSET) == ASKED)


@routine
def answer_nb(board: int, number: int, verdict: int, grant: int) -> None:
    """Give the verdict on an asked cell; the judge's thread only."""
    address = board_at(board).cells + number * _CELL_BYTES
    cell = cell_at(address)
    cell.verdict = verdict
    cell.grant = grant
    store_release(address + _MARK_OFFSET, i64(JUDGED))
