"""How an engine begins: journal locked, state restored, a new epoch, its first entry written."""

import logging
import os
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NamedTuple

from server import hotpath
from server.embedded.locks import FileLock
from server.engine import Engine
from server.epoch import EPOCH_FILE, take_epoch
from server.errors import ConfigurationError, JournalFencedError
from server.hotpath.jit import sources_digest
from server.hotpath.journal.journal_record import MODE_DISK, MODE_OFF, MODE_PROCESS
from server.hotpath.layout import MILLISECOND_NS
from server.hotpath.memory import Capacity
from server.hotpath.rows import RESERVATION_TTL_NS_MAX
from server.journal.active_epoch import ActiveEpoch
from server.journal.budget import JournalBudget
from server.journal.fencing import refuse_fenced
from server.journal.keeper import JournalKeeper
from server.journal.segments import Origin, read_boot
from server.journal.writer import append_start, new_start
from server.loaders.model_source import ModelSource
from server.replays.replayer import begin_epoch
from server.replays.restoring import Restored, restore_engine
from server.settings import Settings
from server.shards import JOURNAL_FOLDER, SNAPSHOT_FOLDER, Shard

log = logging.getLogger(__name__)

LOCK_FILE: Final = "lock"
# Left by an engine that kept nothing: the journal beside it does not tell everything.
GAP_FILE: Final = "gap"
# For tests, `POINT:ENTRY`: the process kills itself at that place (KILL_* of the journal in the hot
# path) when it writes the first entry behind that one.
KILL_VARIABLE: Final = "RISKGATE_TEST_JOURNAL_KILL"
MODES: Final = {"memory": MODE_OFF, "process": MODE_PROCESS, "disk": MODE_DISK}


class Started(NamedTuple):
    """An engine that may serve, and what keeps its journal.

    Attributes:
        engine: Its epoch has begun.
        keeper: Of its segments; None when nothing is kept.
        held: What to release when the engine ends, in this order.
    """

    engine: Engine
    keeper: JournalKeeper | None
    held: tuple[Any, ...]

    def close(self) -> None:
        """Bring the journal to the disk and give everything back; the engine is at rest."""
        if self.keeper is not None:
            self.keeper.stop()
        for part in self.held:
            part.close() if isinstance(part, ActiveEpoch) else part.release()


def start_engine(settings: Settings) -> Started:
    """Return an engine as the settings want it, restored and in a new epoch.

    Raises:
        ConfigurationError: Another process has the journal, or the epoch cannot be taken.
        JournalError: The journal is damaged, fenced, full, or cannot be written.
        SnapshotError: No snapshot fits.
    """
    if settings.durability == "memory":
        return _start_without_journal(settings)
    shard = Shard.parse(settings.shard)
    folder = shard.folder(settings.data_dir, JOURNAL_FOLDER)
    refuse_fenced(folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = lock_journal(folder)
    source = ModelSource(settings.data_dir, settings.artifact_store_url)
    snapshots = shard.folder(settings.data_dir, SNAPSHOT_FOLDER)
    restored = restore_engine(folder, snapshots, capacity_in(settings), source.find, shard=shard)
    return begin_serving(settings, restored, folder, lock)


def begin_serving(settings: Settings, restored: Restored, folder: Path, lock: FileLock) -> Started:
    """Let a restored engine begin an epoch of its own in a journal that is locked."""
    shard = Shard.parse(settings.shard)
    engine, recovered = restored.engine, restored.recovered
    has_gap = recovered.last_entry_number == 0 or (folder / GAP_FILE).exists()
    is_split_anew = shard.finds_another_split(settings.data_dir, EPOCH_FILE)
    epoch = take_epoch(settings.data_dir, shard, above=recovered.last_epoch)
    active = ActiveEpoch(folder)
    if active.value >= epoch:
        raise JournalFencedError(active.value)
    active.raise_to(epoch)
    # Once more: whoever takes over from now on sees this epoch and chooses a higher one.
    refuse_fenced(folder)
    record = engine.journal[0]
    record["mode"] = MODES[settings.durability]
    record["epoch"] = epoch
    record["entry_number"] = recovered.last_entry_number
    record["active_epoch"] = active.address
    if KILL_VARIABLE in os.environ:
        record["kill_point"], record["kill_entry"] = map(int, os.environ[KILL_VARIABLE].split(":"))
    keeper = JournalKeeper(
        engine.journal,
        folder,
        settings.journal_segment_bytes,
        Origin(
            epoch=epoch,
            shard=shard.index,
            shards=shard.count,
            sources=sources_digest(Path(hotpath.__path__[0])),
            release=version("riskgate"),
            boot=read_boot(),
        ),
        JournalBudget(folder, settings.journal_budget_bytes),
    )
    keeper.open()
    now_ns = time.time_ns()
    # Without a journal nobody knows what an earlier start has let go.
    is_uncertain = has_gap and (epoch > 1 or is_split_anew)
    start = new_start(
        engine,
        epoch=epoch,
        started_at_ns=now_ns,
        restarted=is_uncertain or _is_still_uncertain(engine, now_ns),
        idempotency_min_age_ns=settings.idempotency_min_age_ms * MILLISECOND_NS,
        request_bytes_max=settings.request_bytes_max,
        shard=(shard.index, shard.count),
    )
    begin_epoch(engine, start[0])
    append_start(engine, start)
    (folder / GAP_FILE).unlink(missing_ok=True)
    keeper.start()
    log.info("epoch %d begins behind entry %d", epoch, recovered.last_entry_number)
    return Started(engine, keeper, (active, lock))


def _is_still_uncertain(engine: Engine, now_ns: int) -> bool:
    """Tell whether the start before did not know its holds, and they may still be out there."""
    row = engine.state.engine[0]
    return bool(row["restarted"]) and now_ns - int(row["started_at_ns"]) < RESERVATION_TTL_NS_MAX


def lock_journal(folder: Path) -> FileLock:
    """Take the lock of the one writer.

    Raises:
        ConfigurationError: Another process has it.
    """
    lock = FileLock(folder / LOCK_FILE)
    if not lock.acquire():
        raise ConfigurationError([f"data_dir: another engine writes the journal in {folder}"])
    return lock


def capacity_in(settings: Settings) -> Capacity:
    """Return the capacity that the settings ask for."""
    return Capacity(
        instruments=settings.capacity_instruments,
        accounts=settings.capacity_accounts,
        providers=settings.capacity_providers,
        overrides=settings.capacity_symbol_limits,
        rates=settings.capacity_conversion_rates,
        breakers=settings.capacity_breakers,
        positions=settings.capacity_positions,
        exposures=settings.capacity_positions,
        reservations=settings.capacity_reservations,
        idempotency=settings.capacity_idempotency,
        strategies=settings.capacity_strategies,
        contents=settings.capacity_contents,
    )


def _start_without_journal(settings: Settings) -> Started:
    shard = Shard.parse(settings.shard)
    folder = shard.folder(settings.data_dir, JOURNAL_FOLDER)
    refuse_fenced(folder)
    is_split_anew = shard.finds_another_split(settings.data_dir, EPOCH_FILE)
    epoch = take_epoch(settings.data_dir, shard)
    if folder.is_dir():
        (folder / GAP_FILE).touch(mode=0o600)
    engine = Engine(
        capacity_in(settings),
        epoch=epoch,
        started_at_ns=time.time_ns(),
        restarted=epoch > 1 or is_split_anew,
        idempotency_min_age_ns=settings.idempotency_min_age_ms * MILLISECOND_NS,
    )
    return Started(engine, None, ())
