"""Follow a journal, record batch after batch, survive PostgreSQL's absence.

What it remembers is worth nothing: whenever a connection is lost it asks PostgreSQL how far it is
and reads the journal from there. So it may be killed at any instant.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError

from server.errors import BrokenInvariantError, PreconditionError, RiskgateError
from server.journal.fencing import keep_counted
from server.journal.reader import Entry, Tail
from server.journal.segments import list_segments
from server.record.archive import Archive, Database, Position, Reference, copy_rows, list_reasons
from server.record.archive_events import acknowledge_events, add_breaker_events
from server.record.archive_tables import DECISION, DECISION_BINDING, PREDICTION, RESERVATION
from server.record.kill_reports import report_engine_kills
from server.recorder.events import write_events
from server.recorder.progress import Progress
from server.recorder.reference import is_reference_change
from server.recorder.rows import Rows
from server.recorder.values import REASONS, UNITS, to_datetime

log = logging.getLogger(__name__)

BATCH_ENTRIES_MAX: Final = 5_000
# One entry may hold a thousand decisions: what is read at once is bounded by bytes as well.
BATCH_BYTES_MAX: Final = 8 << 20
_SLICE_ENTRIES: Final = 64
# A batch that was not full waits this long for more, so that a quiet system commits rarely.
BATCH_WAIT_S: Final = 0.1
_PAUSE_S_MIN: Final = 0.1
_PAUSE_S_MAX: Final = 5.0
_REASONS: Final = list_reasons(REASONS, UNITS)


class Recorder:
    """Records the journal of one shard.

    Args:
        journal: Its folder.
        database_url: Of the record.
        progress_path: Where to say how far it is.
        shard: 0 to shards - 1.
        shards: 1 without sharding.
        on_recorded: Told the newest entry that is recorded, at start and after each commit.
    """

    def __init__(
        self,
        journal: Path,
        database_url: str,
        progress_path: Path,
        *,
        shard: int = 0,
        shards: int = 1,
        on_recorded: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.stop_asked = threading.Event()
        self._journal = journal
        self._database_url = database_url
        self._progress_path = progress_path
        self._shard, self._shards = shard, shards
        self._on_recorded = on_recorded
        self._position = Position(0, 0, 0)
        self._problem = ""
        # 1 while it looks for the one entry that cannot be recorded, up to the number below.
        self._batch_entries = BATCH_ENTRIES_MAX
        self._careful_until = 0

    @property
    def position(self) -> Position:
        """Newest entry that is known to be recorded."""
        return self._position

    def run(self) -> None:
        """Record until asked to stop; what fails is tried again, later and later."""
        pause_s = _PAUSE_S_MIN
        while not self.stop_asked.is_set():
            recorded = self._position
            try:
                with Archive(self._database_url, shard=self._shard, shards=self._shards) as archive:
                    self._follow(archive)
                # Another recorder was quicker, as one that is being replaced; or we shall stop.
                self.stop_asked.wait(_PAUSE_S_MIN)
            except RiskgateError as error:
                if isinstance(error, BrokenInvariantError) and self._batch_entries > 1:
                    # Some entry cannot be recorded: all before it, then say which it is.
                    self._batch_entries = 1
                    self._careful_until = self._position.entry_number + 2 * BATCH_ENTRIES_MAX
                    continue
                self._say_problem(str(error))
                pause_s = _PAUSE_S_MIN if self._position != recorded else pause_s
                self.stop_asked.wait(pause_s)
                pause_s = min(pause_s * 2, _PAUSE_S_MAX)

    def _follow(self, archive: Archive) -> None:
        """Record batch after batch; return when asked to stop or when another was quicker.

        While one batch is written, the rows of the next one are made.
        """
        self._position = archive.prepare(_REASONS)
        self._on_recorded(self._position.entry_number)
        reference = archive.read_reference()
        next_number = find_next(self._journal, self._position)
        with Tail(self._journal, next_number) as tail, ThreadPoolExecutor(1, "commit") as pool:
            pending: Future[bool] | None = None
            while True:
                entries, may_have_more = read_batch(tail, self._batch_entries)
                # What an engine wrote after another had taken over was never answered.
                entries = keep_counted(self._journal, entries)
                if any(map(is_reference_change, entries)):
                    if not self._settle(pending):
                        return
                    pending = None
                    reference = archive.read_reference()
                rows = self._make_rows(entries, reference)
                if not self._settle(pending):
                    return
                pending = pool.submit(self._write, archive, entries[-1], rows) if entries else None
                if self.stop_asked.is_set() or not may_have_more:
                    if not self._settle(pending) or self.stop_asked.is_set():
                        return
                    pending = None
                    self._say_well()
                    self.stop_asked.wait(BATCH_WAIT_S)

    def _make_rows(self, entries: list[Entry], reference: Reference) -> Rows:
        rows = Rows(self._shard, reference)
        for entry in entries:
            try:
                rows.add(entry)
            except (BrokenInvariantError, DecodeError) as error:
                raise BrokenInvariantError(f"entry {entry.number}: {error}") from error
        return rows

    def _write(self, archive: Archive, last: Entry, rows: Rows) -> bool:
        end = Position(last.number, last.epoch, last.sequence)
        try:
            archive.make_days(rows.days)
            done = archive.record(
                self._position,
                end,
                to_datetime(last.reading_ns),
                lambda database: write_rows(database, rows),
            )
        except BrokenInvariantError as error:
            raise BrokenInvariantError(f"up to entry {last.number}: {error}") from error
        if done:
            self._position = end
            self._write_progress(last.reading_ns)
        return done

    def _settle(self, pending: Future[bool] | None) -> bool:
        """Wait for a batch; False: it was not ours to write."""
        if pending is None:
            return True
        if not pending.result():
            return False
        number = self._position.entry_number
        if number >= self._careful_until:
            self._batch_entries = BATCH_ENTRIES_MAX
        self._on_recorded(number)
        return True

    def _say_problem(self, problem: str) -> None:
        if problem != self._problem:
            log.error("not recording, will try again: %s", problem)
            self._problem = problem
            self._write_progress(0)

    def _say_well(self) -> None:
        if self._problem:
            log.info("recording again, behind entry %d", self._position.entry_number)
            self._problem = ""
            self._write_progress(0)

    def _write_progress(self, reading_ns: int) -> None:
        now_ns = time.time_ns()
        Progress(
            pid=os.getpid(),
            entry_number=self._position.entry_number,
            epoch=self._position.epoch,
            lag_ms=max(0, now_ns - reading_ns) // 1_000_000 if reading_ns else 0,
            problem=self._problem,
            written_at_ms=now_ns // 1_000_000,
        ).write(self._progress_path)


def read_batch(tail: Tail, entries_max: int) -> tuple[list[Entry], bool]:
    """Return the next entries, and whether the journal may have more of them by now."""
    entries: list[Entry] = []
    size_bytes = 0
    while len(entries) < entries_max and size_bytes < BATCH_BYTES_MAX:
        wanted = min(_SLICE_ENTRIES, entries_max - len(entries))
        found = tail.read(wanted)
        entries += found
        size_bytes += sum(len(entry.raw) for entry in found)
        if len(found) < wanted:
            return entries, False
    return entries, True


def find_next(journal: Path, recorded: Position) -> int:
    """Return the number of the first entry that is not recorded.

    A journal is in order of epoch, then number. After a loss of power it may have lost entries
    that are recorded; those of the next epoch then have numbers that were there before.

    Raises:
        JournalCorruptError: A header is damaged.
        PreconditionError: The journal ends before the epoch that is recorded.
    """
    segments = list_segments(journal)
    if segments and segments[-1].epoch < recorded.epoch:
        raise PreconditionError(
            f"the journal ends in epoch {segments[-1].epoch}, the record is in {recorded.epoch}"
        )
    newer = [segment.first_entry for segment in segments if segment.epoch > recorded.epoch]
    return min([recorded.entry_number + 1, *newer[:1]])


def write_rows(database: Database, rows: Rows) -> None:
    """Write everything that a run of entries brings."""
    copy_rows(database, DECISION, rows.decisions)
    copy_rows(database, DECISION_BINDING, rows.bindings)
    copy_rows(database, PREDICTION, rows.predictions)
    copy_rows(database, RESERVATION, rows.reservations)
    write_events(database, rows)
    add_breaker_events(database, rows.breaker_events)
    acknowledge_events(database, rows.acknowledgements)
    report_engine_kills(database, rows.kills)
