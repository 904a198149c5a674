"""Keeps the engine supplied with segments, from a thread beside it.

The engine never makes, maps or closes a file: it takes the segment that lies ready and goes on. The
two talk through the JOURNAL record by plain stores, each column written by one side only: the
keeper writes `next_*` while `next_ready` is 0, then sets that to 1; the engine copies them, sets it
to 0 and moves `segment_number`.
"""

import errno
import logging
import os
import threading
from collections import deque
from pathlib import Path
from typing import Any, Final

import numpy as np

from server.errors import JournalError, JournalFailedError
from server.hotpath.journal.journal_record import MODE_DISK
from server.journal.budget import JournalBudget
from server.journal.segments import (
    MappedSegment,
    Origin,
    create_segment,
    list_numbers,
    list_segments,
    read_header,
    segment_path,
)
from server.prefault import populate

_LOG: Final = logging.getLogger(__name__)
# A lane at full speed fills a segment in a third of a second.
_INTERVAL_S: Final = 0.002
_SYNC_INTERVAL_S: Final = 0.01
_RETRY_S: Final = 0.1
# Of the engine before: what it wrote, and what it had left but not yet synced.
_DOUBTFUL_SEGMENTS: Final = 3
_COPY_BYTES: Final = 1 << 20
_POPULATE_STEP_BYTES: Final = 1 << 17
_RESERVE_BYTES_MAX: Final = 16 << 20

Record = np.ndarray[Any, np.dtype[np.void]]


class JournalKeeper:
    """Makes the segments of one engine, and brings those that it has left to the disk.

    Args:
        record: JOURNAL[1]. `mode` and `entry_number` must be set.
        folder: Of the journal, recovered and locked by this process; must exist.
        segment_bytes: Of each segment, whole pages.
        origin: Who writes.
        budget: Of the journal; None: only the disk sets a limit.
    """

    def __init__(
        self,
        record: Record,
        folder: Path,
        segment_bytes: int,
        origin: Origin,
        budget: JournalBudget | None = None,
    ) -> None:
        self._record = record
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._origin = origin
        self._budget = budget
        self._mapped: deque[MappedSegment] = deque()  # by number; the last may lie ready
        self._spare: MappedSegment | None = None  # the one behind that
        self._unsynced: deque[Path] = deque()  # of earlier engines, oldest first
        self._last_problem = ""
        self._stop_asked = threading.Event()
        # Two: a sync takes as long as the disk likes, and the engine needs segments meanwhile.
        self._threads = (
            threading.Thread(target=self._keep_ready, name="journal-keeper", daemon=True),
            threading.Thread(target=self._keep_synced, name="journal-syncer", daemon=True),
        )

    def open(self) -> None:
        """Give the engine its first segment; the thread puts the next ones beside it.

        With durability `disk` all earlier entries are on disk when this returns.

        Raises:
            JournalFullError: There is no space for it.
            JournalFailedError: The disk does not take it, or not what was there before.
        """
        record = self._record[0]
        self._unsynced.extend(segment.path for segment in list_segments(self._folder))
        if record["mode"] == MODE_DISK:
            # The engine before may have stopped at a sync that failed. The system then takes the
            # pages for written; only ones that are written anew are sent to the disk again.
            for path in list(self._unsynced)[-_DOUBTFUL_SEGMENTS:]:
                self._write_again(path)
            while self._unsynced:
                self._sync_earlier()
            if record["failed"]:
                raise JournalFailedError("what stands in the journal cannot be brought to the disk")
            record["synced_number"] = record["entry_number"]
        first = self._create()
        self._mapped.append(first)
        record["segment"] = first.address
        record["segment_bytes"] = first.size_bytes
        record["segment_fd"] = first.fd
        record["segment_number"] = first.number
        record["at"] = 0
        record["reserve_bytes"] = min(_RESERVE_BYTES_MAX, self._segment_bytes // 4)
        record["next_ready"] = 0

    def start(self) -> None:
        """Go on in threads of its own."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the thread, bring everything to the disk and give back the memory.

        The engine must have written its last entry.
        """
        self._stop_asked.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()
        record = self._record[0]
        if self._spare is not None:
            self._discard(self._spare)
            self._spare = None
        if record["next_ready"]:
            record["next_ready"] = 0
            self._discard(self._mapped.pop())
        if self._mapped and record["at"] == 0:
            self._discard(self._mapped.pop())
        record["segment"] = record["segment_bytes"] = record["at"] = 0
        record["segment_fd"] = -1
        while self._mapped:
            self._retire(self._mapped.popleft())

    def advance(self) -> bool:
        """Do once what is to be done; tell whether the engine has a next segment."""
        is_ready = self._prepare()
        self._retire_left()
        return is_ready

    def _keep_ready(self) -> None:
        # Not at a low priority: without a segment nothing is decided.
        wait_s = 0.0
        while not self._stop_asked.wait(wait_s):
            wait_s = _INTERVAL_S if self._prepare() else _RETRY_S

    def _keep_synced(self) -> None:
        while not self._stop_asked.wait(_SYNC_INTERVAL_S):
            self._retire_left()
            if self._unsynced:
                self._sync_earlier()

    def _retire_left(self) -> None:
        number = int(self._record[0]["segment_number"])
        while self._mapped and self._mapped[0].number < number:
            self._retire(self._mapped.popleft())

    def _prepare(self) -> bool:
        record = self._record[0]
        self._make_spare()
        if record["next_ready"] or self._spare is None:
            return bool(record["next_ready"])
        segment, self._spare = self._spare, None
        self._mapped.append(segment)
        record["next_segment"] = segment.address
        record["next_bytes"] = segment.size_bytes
        record["next_fd"] = segment.fd
        record["next_number"] = segment.number
        record["next_ready"] = 1
        return True

    def _make_spare(self) -> None:
        if self._spare is not None:
            return
        try:
            self._spare = self._create()
        except (JournalError, OSError) as error:
            self._log_once(str(error))
            return
        if self._last_problem:
            _LOG.info("the journal has space again")
            self._last_problem = ""

    def _create(self) -> MappedSegment:
        if self._budget is not None:
            self._budget.check_room(self._segment_bytes)
        segment = create_segment(
            self._folder,
            max(list_numbers(self._folder), default=0) + 1,
            self._segment_bytes,
            self._origin,
            zero_filled=bool(self._record[0]["mode"] == MODE_DISK),
        )
        for start in range(0, segment.size_bytes, _POPULATE_STEP_BYTES):
            step = min(_POPULATE_STEP_BYTES, segment.size_bytes - start)
            if not populate(segment.address + start, step):
                break  # not possible here: the engine touches the pages itself
        return segment

    def _retire(self, segment: MappedSegment) -> None:
        """Bring a segment that the engine has left to the disk, and give it back."""
        record = self._record[0]
        if not record["failed"]:
            try:
                segment.sync()
            except OSError as error:
                self._latch(error, segment.path)
        segment.close()
        # With durability `disk` the engine itself says what is on disk.
        if record["mode"] != MODE_DISK and not self._unsynced and not record["failed"]:
            behind = read_header(segment_path(self._folder, segment.number + 1))
            if behind is not None:
                record["synced_number"] = behind.first_entry - 1

    def _write_again(self, path: Path) -> None:
        """Write the bytes of a segment over themselves."""
        try:
            with path.open("r+b") as file:
                while data := file.read(_COPY_BYTES):
                    file.seek(-len(data), os.SEEK_CUR)
                    file.write(data)
        except OSError as error:
            self._latch(error, path)

    def _sync_earlier(self) -> None:
        """Bring one segment of an earlier engine to the disk."""
        path = self._unsynced.popleft()
        try:
            with path.open("rb") as file:
                os.fdatasync(file.fileno())
        except FileNotFoundError:  # no longer needed and deleted
            return
        except OSError as error:
            self._latch(error, path)

    def _latch(self, error: OSError, path: Path) -> None:
        # Never tried again: the second answer would be success, the bytes would still be lost.
        if not self._record[0]["failed"]:
            self._record[0]["failed"] = error.errno or errno.EIO
        _LOG.error("the journal is not on disk: %s: %s", path, error.strerror)

    def _discard(self, unused: MappedSegment) -> None:
        unused.close()
        unused.path.unlink()

    def _log_once(self, problem: str) -> None:
        if problem != self._last_problem:
            _LOG.error("%s; trying again until there is another segment", problem)
            self._last_problem = problem
