"""Memory that the engine is about to use, touched before it gets there.

The large tables are promised by the operating system and given page by page at the first touch,
which costs microseconds each time: for the engine's owner a visible part of a decision. A thread
asks for the pages a little ahead of where the engine writes, so a small engine stays small.
"""

import ctypes
import mmap
import os
import threading
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np

from server.engine import Engine

_INTERVAL_S: Final = 0.02
_AHEAD_BYTES: Final = 32 << 20
_STEP_BYTES: Final = 1 << 17
_NICENESS: Final = 19
_POPULATE_WRITE: Final = 23  # MADV_POPULATE_WRITE, Linux 5.14 and later
_LIBC: Final = ctypes.CDLL(None)

Array = np.ndarray[Any, np.dtype[Any]]


class Region(NamedTuple):
    """An array that is filled from its beginning on, perhaps around.

    Attributes:
        start: Address of its first byte.
        size_bytes: Of the whole array.
        read_used: Returns how many bytes from the start are in use.
    """

    start: int
    size_bytes: int
    read_used: Callable[[], int]


class Prefault:
    """Keeps the pages ahead of one engine present.

    Args:
        engine: Only read.
    """

    def __init__(self, engine: Engine) -> None:
        self._regions = regions_of(engine)
        self._done = [0] * len(self._regions)
        self._stop_asked = threading.Event()
        self._thread = threading.Thread(target=self._run, name="prefault", daemon=True)

    def start(self) -> None:
        """Begin, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop_asked.set()
        if self._thread.ident is not None:
            self._thread.join()

    def advance(self) -> int:
        """Ask once for what is missing ahead of the engine; return the bytes asked for."""
        asked = 0
        for number, region in enumerate(self._regions):
            wanted = min(region.read_used() + _AHEAD_BYTES, region.size_bytes)
            while self._done[number] < wanted and not self._stop_asked.is_set():
                step = min(_STEP_BYTES, region.size_bytes - self._done[number])
                if not populate(region.start + self._done[number], step):
                    self._done[number] = region.size_bytes  # not possible here: leave it
                    break
                self._done[number] += step
                asked += step
        return asked

    def _run(self) -> None:
        # On Linux this is about one thread: whoever decides comes first.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        while not self._stop_asked.wait(_INTERVAL_S):
            self.advance()


def regions_of(engine: Engine) -> list[Region]:
    """Return what fills up as decisions are made, and the indexes that they reach into."""
    state = engine.state
    row = state.engine[0]

    def rows(table: Any, read_newest: Callable[[], int]) -> Region:
        row_bytes = table.rows.dtype.itemsize
        return _region(table.rows, lambda: read_newest() * row_bytes)

    return [
        *(_whole(table.cells) for table in (state.idempotency, state.reservations, state.reports)),
        _region(state.answers, lambda: int(row["answer_head"])),
        rows(state.reservations, lambda: int(row["reservation_fresh"])),
        rows(state.idempotency, lambda: int(row["idempotency_oldest"] + row["idempotency_count"])),
        rows(state.reports, lambda: int(row["report_oldest"] + row["report_count"])),
    ]


def _region(array: Array, read_used: Callable[[], int]) -> Region:
    return Region(array.ctypes.data, array.nbytes, read_used)


def _whole(array: Array) -> Region:
    return _region(array, lambda: array.nbytes)


def populate(start: int, size_bytes: int) -> bool:
    """Make pages present; tell whether the system can do that."""
    first = start // mmap.PAGESIZE * mmap.PAGESIZE
    length = start + size_bytes - first
    result = _LIBC.madvise(
        ctypes.c_void_p(first), ctypes.c_size_t(length), ctypes.c_int(_POPULATE_WRITE)
    )
    return bool(result == 0)
