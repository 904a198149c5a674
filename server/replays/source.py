"""Where a replay gets its entries, snapshots and models from, and where in it a decision stands."""

import logging
from bisect import bisect_left
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from server.engine import Engine
from server.errors import NotFoundError, SnapshotDamagedError, SnapshotError
from server.hotpath.journal.entries import KIND_START
from server.hotpath.memory import Capacity
from server.journal.reader import Entry, read_entries, read_start
from server.journal.segments import Segment, list_segments
from server.replays.replayer import Loadable, Replayer, capacity_of
from server.replays.restoring import replay_behind
from server.snapshots import snapshot_paths
from server.snapshots.file import SnapshotMeta, read_meta

log = logging.getLogger(__name__)


class ReplaySource(NamedTuple):
    """One journal with what belongs to it.

    Attributes:
        journal: Folder of the segments.
        snapshots: Folder of the snapshots; may be missing.
        find_model: Returns the verified model of a digest.
    """

    journal: Path
    snapshots: Path
    find_model: Callable[[bytes], Loadable]

    def list_segments(self) -> list[Segment]:
        """Return the begun segments.

        Raises:
            NotFoundError: There is none.
        """
        segments = list_segments(self.journal)
        if not segments:
            raise NotFoundError("journal", self.journal.name)
        return segments

    def begin_before(self, number: int) -> Replayer:
        """Return a replay that stands as near before an entry as snapshots allow.

        Args:
            number: Of the entry that must still be to come; 1 or less: the oldest that is possible.

        Raises:
            NotFoundError: There is no journal.
            SnapshotError: What was before the oldest entry is in no snapshot.
        """
        oldest = self.list_segments()[0].first_entry
        wanted = max(number, oldest)
        for path, meta in self.list_snapshots(oldest - 1, wanted - 1):
            return replay_behind(path, meta, self.journal, self.find_model)
        if oldest > 1:
            raise SnapshotError(
                f"the journal begins with entry {oldest} and no snapshot in {self.snapshots} "
                "holds what was before"
            )
        return Replayer(Engine(self._first_capacity()), self.journal, self.find_model)

    def list_snapshots(self, first: int, last: int) -> Iterator[tuple[Path, SnapshotMeta]]:
        """Yield the whole snapshots of two entries and those between, newest first."""
        for path in snapshot_paths(self.snapshots):
            if not first <= int(path.stem) <= last:
                continue
            try:
                yield path, read_meta(path)
            except SnapshotDamagedError as error:
                log.warning("a snapshot is passed over: %s", error)

    def find_entry(self, sequence: int) -> Entry:
        """Return the entry behind which the engine's sequence first was this or larger.

        Raises:
            NotFoundError: The journal ends before that.
        """
        segments = self.list_segments()
        place = bisect_left(segments, sequence, key=self._first_sequence)
        first = segments[max(place - 1, 0)].first_entry
        for entry in read_entries(self.journal, first):
            if entry.sequence >= sequence:
                return entry
        raise NotFoundError("event", f"{sequence} in the journal")

    def find_newest(self) -> int:
        """Return the number of the newest entry.

        Raises:
            NotFoundError: There is no journal.
        """
        number = self.list_segments()[-1].first_entry
        for entry in read_entries(self.journal, number):
            number = entry.number
        return number

    def _first_sequence(self, segment: Segment) -> int:
        number = segment.first_entry
        return next((entry.sequence for entry in read_entries(self.journal, number, number)), 0)

    def _first_capacity(self) -> Capacity:
        for entry in read_entries(self.journal, 1, 1):
            if entry.kind == KIND_START:
                return capacity_of(read_start(entry))
        return Capacity()
