"""The journal of an engine from Python: its first entry, and calls that Python answers."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from server.errors import JournalFullError
from server.hotpath.journal.appending import append_made_nb
from server.hotpath.journal.entries import ENTRY_BYTES, KIND_START, START
from server.hotpath.journal.segment_room import ROOM_NONE, make_room_nb
from server.hotpath.journal.syncing import sync_nb
from server.hotpath.memory import Capacity

DURABILITY_OF_MODE: Final = (1, 2, 3)  # riskgate.v1.Durability by MODE_*


def durability_of(engine: Any) -> int:
    """Return what the answers of an engine say of their durability, riskgate.v1.Durability."""
    return DURABILITY_OF_MODE[int(engine.journal["mode"][0])]


def new_start(
    engine: Any,
    *,
    epoch: int,
    started_at_ns: int,
    restarted: bool,
    idempotency_min_age_ns: int,
    request_bytes_max: int,
    shard: tuple[int, int] = (0, 1),
) -> Any:
    """Return the START record of an engine that begins an epoch.

    Args:
        engine: Its capacity and the mode of its journal are noted.
        epoch: Number of this start.
        started_at_ns: Unix time.
        restarted: Whether earlier holds are unknown.
        idempotency_min_age_ns: How long an id is kept at least.
        request_bytes_max: Largest message besides batches.
        shard: Number of this engine and how many share the accounts.
    """
    start = np.zeros(1, START)
    start["epoch"] = epoch
    start["started_at_ns"] = started_at_ns
    start["restarted"] = int(restarted)
    start["idempotency_min_age_ns"] = idempotency_min_age_ns
    start["durability"] = durability_of(engine)
    start["request_bytes_max"] = request_bytes_max
    start["shard"], start["shards"] = shard
    start["capacity"] = [getattr(engine.capacity, name) for name in Capacity._fields]
    return start


def append_start(engine: Any, start: Any) -> None:
    """Journal the beginning of an epoch, and bring it to disk if that is promised.

    Raises:
        JournalFullError: There is no room for it.
    """
    body = start.view(np.int64)[ENTRY_BYTES // 8 :].copy()
    if make_room_nb(engine.journal[0], START.itemsize) == ROOM_NONE:
        raise JournalFullError("there is no room for the first entry")
    append_made_nb(
        engine.state.memory[0],
        engine.journal[0],
        KIND_START,
        int(start["started_at_ns"][0]),
        body.ctypes.data,
        body.nbytes,
    )
    # No reading of this epoch has been taken in yet, so there is none to be kept.
    engine.journal["reading_ns"] = engine.state.engine["reading_ns"]
    sync_nb(engine.journal[0])
