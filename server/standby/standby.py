"""A warm standby: an engine that does everything the active one has done, and can take its place.

It reads the journal of the active engine as that is written and compares every answer. Promoted,
it fences the other one, reads what was still on its way into the journal, and goes on in a journal
of its own, in a data directory of its own: a snapshot of what it has taken over first, then
segments that begin with the next entry. What the other one's callers were told stands: the same id
gets the same bytes.
"""

import logging
import shutil
import threading
import time
from pathlib import Path
from typing import Final, NamedTuple

from server.embedded.locks import FileLock
from server.engine_start import LOCK_FILE, Started, begin_serving, capacity_in, lock_journal
from server.epoch import read_epoch, take_epoch
from server.errors import (
    ConfigurationError,
    JournalCorruptError,
    JournalError,
    JournalFencedError,
    RiskgateError,
)
from server.hotpath.layout import HEARTBEAT_REFUSE_NS, SECOND_NS
from server.journal.fencing import (
    Fence,
    claim,
    complete,
    name_taker,
    order_memory,
    raise_active_epoch,
    read_fence,
    refuse_fenced,
)
from server.journal.recovery import Recovered, recover
from server.journal.segments import (
    list_numbers,
    list_segments,
    read_boot,
    read_boot_of,
    segment_path,
)
from server.loaders.copied_models import CopiedModels
from server.replays.follower import Follower
from server.replays.resizing import resize
from server.replays.restoring import Restored
from server.settings import Settings
from server.shards import JOURNAL_FOLDER, SNAPSHOT_FOLDER, Shard
from server.snapshots import snapshot_paths
from server.standby.epoch_guard import EpochStore
from server.standby.journal_stream import Receiver

log = logging.getLogger(__name__)

# By then an engine that hears nothing any more refuses new risk, because its feed is too old.
FENCE_WAIT_S: Final = HEARTBEAT_REFUSE_NS / SECOND_NS
# Replayed at a stretch, some milliseconds.
STRETCH_ENTRIES: Final = 2_000
_QUIET_LOOKS: Final = 2
_WAIT_STEP_S: Final = 0.05


class Promotion(NamedTuple):
    """What a promotion came to.

    Attributes:
        epoch: In which the engine answers.
        entry_number: Newest entry that was taken over.
        proof: Why the engine before cannot decide any more.
        took_ms: From the request until the journal has begun.
        missing_entries: What the other machine is known to have written and did not arrive.
    """

    epoch: int
    entry_number: int
    proof: str
    took_ms: float
    missing_entries: int = 0


class Standby:
    """Follows one engine until it takes its place; one thread uses it.

    Args:
        settings: Of the engine that this one may become; `data_dir` is its own.
        primary: Data directory of the engine that is followed.
        epochs: Where epochs are named for other machines.
        receiver: What fills `primary` from another machine; None: it is the directory itself.

    Raises:
        ConfigurationError: The directory is in use, or is the one that is followed.
        JournalError: The journal here was begun, or the other one goes on elsewhere or is damaged.
        SnapshotError: The other journal begins behind its first entry and no snapshot fits.
    """

    def __init__(
        self,
        settings: Settings,
        primary: Path,
        epochs: EpochStore,
        receiver: Receiver | None = None,
    ) -> None:
        shard = Shard.parse(settings.shard)
        self._settings = settings
        self._shard = shard
        self._epochs = epochs
        self._receiver = receiver
        self._theirs = shard.folder(primary, JOURNAL_FOLDER)
        self._folder = shard.folder(settings.data_dir, JOURNAL_FOLDER)
        if self._theirs.resolve() == self._folder.resolve():
            raise ConfigurationError(["--follow: names the data directory of the standby itself"])
        if settings.durability == "memory":
            raise ConfigurationError(["durability: a standby needs a journal, process or disk"])
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = lock_journal(self._folder)
        if has_begun(self._folder):
            raise JournalError(f"{self._folder} has a journal of its own")
        recover(self._folder, boot=read_boot())  # what a promotion that was cut short has left
        self._taker = name_taker(self._folder)
        self._refuse_another_taker()
        self._models = CopiedModels(primary, settings.data_dir)
        self._models.copy_new()
        snapshots = shard.folder(settings.data_dir, SNAPSHOT_FOLDER)
        _copy_newest_snapshot(shard.folder(primary, SNAPSHOT_FOLDER), snapshots)
        self._follower = Follower(
            self._theirs,
            snapshots,
            capacity_in(settings),
            self._models.find,
            interval_entries=settings.snapshot_interval_entries,
        )

    @property
    def followed_number(self) -> int:
        """Newest entry that was done here too."""
        return self._follower.followed_number

    @property
    def difference_count(self) -> int:
        """Entries that came out differently."""
        return self._follower.difference_count

    @property
    def missing_entries(self) -> int:
        """Entries of another machine that have not arrived, as far as it has said."""
        return max(0, self._receiver.newest - self._receiver.number) if self._receiver else 0

    @property
    def epoch(self) -> int:
        """Of the engine that is followed."""
        return int(self._follower.engine.state.engine[0]["epoch"])

    def follow(self) -> bool:
        """Do again what was journaled, at most `STRETCH_ENTRIES`; tell whether that was all.

        Raises:
            JournalError: The journal is damaged, or its next entry was deleted.
        """
        return not self._follower.advance(self.followed_number + STRETCH_ENTRIES)

    def copy_models(self) -> None:
        """Copy the artifacts that the other data directory has got since."""
        self._models.copy_new()

    def close(self) -> None:
        """Give back what is held."""
        self._follower.close()
        self._lock.release()

    # --- Taking over -----------------------------------------------------------------------

    def promote(
        self, asked_by: str, *, primary_is_dead: bool = False, stop: threading.Event | None = None
    ) -> tuple[Started, Promotion]:
        """Take the place of the engine that is followed; return ours, which may decide.

        What fails before the other engine is fenced leaves everything as it was; afterwards the
        same call may be made again.

        Args:
            asked_by: Who asked, for the mark in the other journal.
            primary_is_dead: Take the caller's word for it instead of waiting.
            stop: Ends the wait for an engine that cannot be reached.

        Raises:
            JournalError: A replay differed, or the wait was ended.
            SnapshotError: The capacity in our settings is too small.
            JournalFencedError: Another standby has taken over.
            RiskgateError: The other engine cannot be fenced, or ours cannot begin.
        """
        began_s = time.monotonic()
        while not self.follow():
            pass
        self._refuse_differences()
        self._refuse_higher_epoch()
        self._refuse_small_tables()
        lock = FileLock(self._theirs / LOCK_FILE)
        fence = Fence.begin(self._taker, asked_by)
        try:
            is_dead = primary_is_dead or (self._receiver is None and _acquire(lock))
            fenced_epoch, proof = self._fence(fence, is_dead=is_dead)
            if not proof:
                proof = self._wait_out(stop or threading.Event())
            self._read_to_end()
            self._refuse_differences()
            number = self.followed_number
            self._sign_off(fence, fenced_epoch, number)
            started = self._begin(fenced_epoch)
            epoch = int(started.engine.journal["epoch"][0])
        finally:
            lock.release()
        took_ms = (time.monotonic() - began_s) * 1_000
        log.info("took over behind entry %d in %.0f ms: %s", number, took_ms, proof)
        return started, Promotion(epoch, number, proof, took_ms, self.missing_entries)

    def _fence(self, fence: Fence, *, is_dead: bool) -> tuple[int, str]:
        """Return the epoch that was named, and why that stops the other one; empty: not yet."""
        proof = "it is dead" if is_dead else ""
        if self._receiver is not None:
            return self._fence_in_redis(self._take_epoch(0), proof), proof
        try:
            claim(self._theirs, fence)
            epoch = raise_active_epoch(self._theirs, self._take_epoch)
            if not proof and self._is_here():
                proof = "its lane sees the epoch before its next answer"
        except OSError as error:
            log.warning("%s cannot be written: %s", self._theirs, error.strerror)
            epoch = self._take_epoch(0)
        return self._fence_in_redis(epoch, proof), proof

    def _fence_in_redis(self, epoch: int, proof: str) -> int:
        try:
            return max(epoch, self._epochs.raise_to(epoch))
        except RiskgateError:
            # Without a word to the other one only its end is proof enough.
            if not proof:
                raise
            log.exception("the epoch is not in redis yet; the engine tries again when it serves")
        return epoch

    def _take_epoch(self, above: int) -> int:
        return take_epoch(self._settings.data_dir, self._shard, above=max(above, self.epoch))

    def _is_here(self) -> bool:
        """Tell whether the other engine runs on this machine, where we share its mapped memory."""
        numbers = list_numbers(self._theirs)
        return (
            bool(numbers) and read_boot_of(segment_path(self._theirs, numbers[-1])) == read_boot()
        )

    def _wait_out(self, stop: threading.Event) -> str:
        """Go on following until the other engine refuses by itself."""
        log.warning("the other engine cannot be reached: waiting %.0f s", FENCE_WAIT_S)
        ends_at_s = time.monotonic() + FENCE_WAIT_S
        while time.monotonic() < ends_at_s:
            if stop.wait(_WAIT_STEP_S if self.follow() else 0):
                raise JournalError("the wait for the other engine was ended")
        return f"it has had no heartbeat for {FENCE_WAIT_S:.0f} s"

    def _read_to_end(self) -> None:
        """Read until nothing more can come that anybody was answered for."""
        if self._receiver is not None:
            self._receiver.finish()
        quiet = 0
        while quiet < _QUIET_LOOKS:
            number = self.followed_number
            order_memory()
            while not self.follow():
                pass
            quiet = quiet + 1 if self.followed_number == number else 0

    def _begin(self, fenced_epoch: int) -> Started:
        """Begin our own journal where the other one ends."""
        follower, number = self._follower, self.followed_number
        self.copy_models()
        if number:
            # First: the segments to come are worth nothing without it.
            follower.write_snapshot()
        engine, capacity = follower.engine, capacity_in(self._settings)
        follower.close()
        if engine.capacity != capacity:
            engine = resize(engine, capacity)
        recovered = Recovered(last_entry_number=number, last_epoch=fenced_epoch)
        restored = Restored(engine, recovered, number)
        return begin_serving(self._settings, restored, self._folder, self._lock)

    def _sign_off(self, fence: Fence, epoch: int, number: int) -> None:
        if self._receiver is not None:
            return
        said = fence.model_copy(update={"epoch": epoch, "last_entry_number": number})
        try:
            complete(self._theirs, said)
        except OSError as error:
            log.warning("%s: %s; it says: %s", self._theirs, error.strerror, said.describe())

    def _refuse_differences(self) -> None:
        if self.difference_count:
            raise JournalError(
                f"{self.difference_count} entries came out differently here: this engine must not "
                "take over; start the standby anew from a snapshot of the active engine, or see "
                "`riskgate replay --verify`"
            )

    def _refuse_higher_epoch(self) -> None:
        """Refuse when an engine has answered that we know nothing of."""
        own = max(self.epoch, read_epoch(self._settings.data_dir, self._shard))
        try:
            highest = self._epochs.raise_to(self.epoch)
        except RiskgateError:
            log.warning("redis does not say whether another engine is active")
            return
        if highest > own:
            raise JournalFencedError(
                highest,
                f"epoch {highest} is named in redis and this standby knows of {own}: another "
                "engine has decided what is not known here",
            )

    def _refuse_small_tables(self) -> None:
        """Find out now, while the other engine serves, whether our settings leave enough room."""
        engine, capacity = self._follower.engine, capacity_in(self._settings)
        if any(ours < theirs for ours, theirs in zip(capacity, engine.capacity, strict=True)):
            resize(engine, capacity)

    def _refuse_another_taker(self) -> None:
        fence = read_fence(self._theirs)
        if fence is not None and fence.taken_by != self._taker:
            refuse_fenced(self._theirs)


def has_begun(folder: Path) -> bool:
    """Tell whether a journal stands in a folder: whose standby this was has been promoted."""
    return bool(list_segments(folder))


def _acquire(lock: FileLock) -> bool:
    """Take the lock of the other engine, which the kernel frees when that has died."""
    try:
        return lock.acquire()
    except OSError:
        return False


def _copy_newest_snapshot(theirs: Path, ours: Path) -> None:
    """Begin with the other directory's snapshot if it is newer than our own."""
    newest = next(iter(snapshot_paths(theirs)), None)
    own = next(iter(snapshot_paths(ours)), None)
    if newest is None or (own is not None and own.name >= newest.name):
        return
    ours.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = ours / f".{newest.name}"
    try:
        shutil.copyfile(newest, aside)
    except FileNotFoundError as error:
        raise JournalCorruptError(
            "its snapshot was just replaced: start again", path=newest
        ) from error
    aside.replace(ours / newest.name)
