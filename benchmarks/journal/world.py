"""The world of the lane's benchmark with a journal: a snapshot of it, and entries from there on."""

from __future__ import annotations

import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from benchmarks.lane import world
from server.engine import Engine
from server.engine_start import MODES
from server.hotpath.memory import Capacity
from server.journal.keeper import JournalKeeper
from server.journal.segments import Origin, read_boot
from server.journal.writer import append_start, new_start
from server.replays.replayer import Replayer, begin_epoch
from server.replays.restoring import start_replay
from server.snapshots import describe_state, save_snapshot

_SEGMENT_BYTES: Final = 64 << 20
_REQUEST_BYTES_MAX: Final = 65_536
JOURNAL: Final = "journal"
SNAPSHOTS: Final = "snapshots"


class _WorldModel:
    """The model of the benchmark's world, which stands in no artifact store."""

    def load_into(self, models: Any, slot: int) -> None:
        """Write it into a slot."""
        world.load_trees(models, slot)


def keep_journal(engine: Engine, folder: Path, durability: str) -> JournalKeeper | None:
    """Let a filled engine journal from now on; returns what keeps its segments.

    Args:
        engine: Not yet serving.
        folder: Empty; receives journal and snapshots.
        durability: memory, process or disk.
    """
    record = engine.journal[0]
    record["mode"] = MODES[durability]
    if durability == "memory":
        return None
    (folder / JOURNAL).mkdir(parents=True)
    (folder / SNAPSHOTS).mkdir()
    start = new_start(
        engine,
        epoch=1,
        started_at_ns=time.time_ns(),
        restarted=False,
        idempotency_min_age_ns=int(engine.state.engine["idempotency_min_age_ns"][0]),
        request_bytes_max=_REQUEST_BYTES_MAX,
    )
    meta = describe_state(engine.state, entry_number=0, made_at_ns=time.time_ns(), start={})
    save_snapshot(folder / SNAPSHOTS, engine.state, meta)
    record["epoch"] = 1
    origin = Origin(epoch=1, release=version("riskgate"), boot=read_boot())
    keeper = JournalKeeper(engine.journal, folder / JOURNAL, _SEGMENT_BYTES, origin)
    keeper.open()
    begin_epoch(engine, start[0])
    append_start(engine, start)
    keeper.start()
    return keeper


def new_replay(folder: Path) -> Replayer:
    """Return a replay of what `keep_journal` has kept."""
    return start_replay(folder / JOURNAL, folder / SNAPSHOTS, Capacity(), find_model)


def find_model(_digest: bytes) -> _WorldModel:
    """Return the one model of the benchmark's world."""
    return _WorldModel()
