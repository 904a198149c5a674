"""Follows a journal with an engine of its own and writes snapshots, so that starts are short.

It belongs to whoever reads the journal anyway (the recorder, a standby), never to the engine that
writes it. What it replays is compared on the way: a difference is an alarm long before anybody
needs the journal.
"""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from server.engine import Engine
from server.hotpath.memory import Capacity
from server.journal.segments import list_segments
from server.replays.replayer import Loadable, Replayer
from server.replays.restoring import start_replay
from server.snapshots import describe_state, remove_old_snapshots, save_snapshot

log = logging.getLogger(__name__)


class Follower:
    """Replays one journal as it grows.

    Args:
        journal: Folder of the segments.
        snapshots: Folder of the snapshots; made when it is missing.
        capacity: Of the engine until the journal says another one.
        find_model: Returns the verified model of a digest.
        interval_entries: Entries between two snapshots.

    Raises:
        JournalError: The journal begins behind what any snapshot holds.

    Attributes:
        snapshotted_number: Newest entry that a snapshot holds; 0: none.
    """

    def __init__(
        self,
        journal: Path,
        snapshots: Path,
        capacity: Capacity,
        find_model: Callable[[bytes], Loadable],
        *,
        interval_entries: int,
    ) -> None:
        self._journal = journal
        self._snapshots = snapshots
        self._synced_segment = 0
        self._interval_entries = interval_entries
        self._replayer: Replayer = start_replay(journal, snapshots, capacity, find_model)
        self._alarmed = 0
        self.snapshotted_number = self.followed_number

    @property
    def engine(self) -> Engine:
        """What the replay has made so far; another one after an entry that says so."""
        return self._replayer.engine

    @property
    def followed_number(self) -> int:
        """Number of the newest entry that was replayed."""
        return self._replayer.next_number - 1

    @property
    def difference_count(self) -> int:
        """Entries that did not come out as they were journaled."""
        return self._replayer.difference_count

    def advance(self, last_number: int) -> bool:
        """Replay up to an entry, or as far as the journal goes; snapshot when it is time.

        Returns:
            Whether the entry was reached.

        Raises:
            JournalError: The journal is damaged.
            OSError: The snapshot cannot be written.
        """
        reached = False
        while not reached:
            target = min(last_number, self.snapshotted_number + self._interval_entries)
            reached_target = self._replayer.advance(target)
            self._raise_alarm()
            if self.followed_number - self.snapshotted_number >= self._interval_entries:
                self.write_snapshot()
            if not reached_target:
                return False
            reached = self.followed_number >= last_number
        return True

    def write_snapshot(self) -> Path | None:
        """Write what the engine is now; None when nothing may be trusted any more."""
        if self._replayer.difference_count:
            # A state that has left the journal's way must never become anybody's beginning.
            return None
        started_s = time.monotonic()
        self._sync_journal()
        state = self._replayer.engine.state
        self._snapshots.mkdir(mode=0o700, parents=True, exist_ok=True)
        meta = describe_state(
            state,
            entry_number=self.followed_number,
            made_at_ns=time.time_ns(),
            start=self._replayer.start,
        )
        path = save_snapshot(self._snapshots, state, meta)
        self.snapshotted_number = self.followed_number
        remove_old_snapshots(self._snapshots)
        log.info(
            "snapshot of entry %d, %.1f MiB in %.2f s",
            self.followed_number,
            path.stat().st_size / (1 << 20),
            time.monotonic() - started_s,
        )
        return path

    def _sync_journal(self) -> None:
        """Bring the entries to the disk that the snapshot will hold: it must never be ahead."""
        for segment in list_segments(self._journal, after=self._synced_segment - 1):
            if segment.first_entry <= self.followed_number:
                with segment.path.open("rb") as file:
                    os.fdatasync(file.fileno())
                self._synced_segment = segment.number

    def close(self) -> None:
        """Give the mapped segment back."""
        self._replayer.close()

    def _raise_alarm(self) -> None:
        count = self._replayer.difference_count
        if count > self._alarmed:
            self._alarmed = count
            first = self._replayer.differences[0]
            log.critical(
                "%d entries come out differently when they are replayed, the first is entry %d; "
                "no more snapshots are written; see `riskgate replay --verify`",
                count,
                first.number,
            )
