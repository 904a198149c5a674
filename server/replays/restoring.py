"""From what is on disk to an engine that goes on: newest snapshot, then the tail of the journal.

Every entry of the tail is done again and its answer compared, so an engine that starts has proven
that it would have said the same. If it would not, it does not start.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from server.engine import Engine
from server.errors import JournalCorruptError, SnapshotError
from server.hotpath.memory import Capacity
from server.journal.recovery import Recovered, recover
from server.journal.segments import list_segments, read_boot, segment_path
from server.replays.replayer import Loadable, Replayer, load_slot
from server.replays.resizing import resize
from server.shards import WHOLE, Shard
from server.snapshots import load_snapshot, newest_snapshot
from server.snapshots.file import SnapshotMeta

log = logging.getLogger(__name__)


class Restored(NamedTuple):
    """An engine as it was behind the last entry of its journal.

    Attributes:
        engine: Belongs to no epoch yet.
        recovered: Where the journal ends.
        snapshot_number: Last entry that the snapshot held; 0 without one.
    """

    engine: Engine
    recovered: Recovered
    snapshot_number: int


def restore_engine(
    journal: Path,
    snapshots: Path,
    capacity: Capacity,
    find_model: Callable[[bytes], Loadable],
    *,
    shard: Shard = WHOLE,
) -> Restored:
    """Bring an engine to where its journal ends; the caller holds the journal's lock.

    Args:
        journal: Folder of the segments; may be empty or missing.
        snapshots: Folder of the snapshots; same.
        capacity: What the engine shall have from now on.
        find_model: Returns the verified model of a digest.
        shard: Whose journal it is.

    Raises:
        JournalCorruptError: An entry is lost or damaged, or an answer came out differently.
        SnapshotError: The journal begins behind its oldest entry and no snapshot fits.
    """
    started_s = time.monotonic()
    replayer = start_replay(journal, snapshots, capacity, find_model)
    snapshot_number = replayer.next_number - 1
    replayer.advance(stop_at_damage=True)
    if replayer.difference_count:
        first = replayer.differences[0]
        raise JournalCorruptError(
            f"{replayer.difference_count} entries come out differently, the first is entry "
            f"{first.number} ({first.kind}); see `riskgate replay --verify`",
            path=journal,
        )
    number = replayer.next_number
    recovered = recover(
        journal,
        boot=read_boot(),
        first_number=number,
        shard=shard.index,
        shards=shard.count,
    )
    if recovered.last_entry_number != number - 1:
        raise JournalCorruptError(
            f"it ends with entry {recovered.last_entry_number}, the replay with {number - 1}",
            path=journal,
        )
    engine = replayer.engine
    replayer.close()
    if engine.capacity != capacity:
        engine = resize(engine, capacity)
    log.info(
        "restored in %.2f s: snapshot of entry %d, %d entries behind it",
        time.monotonic() - started_s,
        snapshot_number,
        number - 1 - snapshot_number,
    )
    return Restored(engine, recovered, snapshot_number)


def start_replay(
    journal: Path, snapshots: Path, capacity: Capacity, find_model: Callable[[bytes], Loadable]
) -> Replayer:
    """Return a replay that stands behind the newest snapshot, or at the first entry of all.

    Raises:
        SnapshotError: The journal begins later than what any snapshot holds.
    """
    found = newest_snapshot(snapshots)
    if found is None:
        segments = list_segments(journal)
        # After a loss of power the first segment may be there without its header.
        is_trimmed = not segment_path(journal, 1).exists()
        if segments and segments[0].first_entry > 1 and is_trimmed:
            raise SnapshotError(
                f"the journal begins with entry {segments[0].first_entry} and no snapshot "
                f"in {snapshots} holds what was before"
            )
        return Replayer(Engine(capacity), journal, find_model)
    return replay_behind(*found, journal, find_model)


def replay_behind(
    path: Path, meta: SnapshotMeta, journal: Path, find_model: Callable[[bytes], Loadable]
) -> Replayer:
    """Return a replay that stands behind a snapshot.

    Raises:
        SnapshotError: The snapshot is refused.
        RiskgateError: Its model cannot be loaded.
    """
    engine = Engine(Capacity(**meta.capacity))
    load_snapshot(path, engine.state)
    slot = int(engine.state.engine[0]["model_slot"])
    if slot in meta.models:
        load_slot(engine, slot, bytes.fromhex(meta.models[slot]), find_model)
    return Replayer(
        engine, journal, find_model, next_number=meta.entry_number + 1, start=meta.start
    )
