"""Seals the journal while it grows: span after span gets a signed checkpoint.

What is covered is on the disk before it is signed, so that a loss of power never takes an entry
that a checkpoint has promised. Each checkpoint goes to PostgreSQL first, in one transaction, and
then to the file; whatever interrupts this, the next turn reads both and goes on from there. Where
journal and checkpoints contradict each other nothing more is sealed: that would bless it.
"""

import logging
import os
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.errors import (
    JournalCorruptError,
    JournalFailedError,
    JournalTamperedError,
    JournalTrimmedError,
)
from server.hotpath.journal.entries import HEADER_BYTES
from server.journal.checkpoint import (
    NO_LINK,
    Checkpoint,
    Statement,
    check_follows,
    open_checkpoint,
    sign_statement,
)
from server.journal.checkpoint_files import CheckpointFiles
from server.journal.fingerprints import fingerprint, hash_bytes
from server.journal.scan import Walked, find_problem, is_zero_word, map_segment, walk
from server.journal.segments import Segment, list_numbers, list_segments
from server.shards import WHOLE, Shard

_LOG: Final = logging.getLogger(__name__)
EVERY_S: Final = 10.0
EVERY_ENTRIES: Final = 50_000
# A turn that finds much to do, as on a journal never sealed before, does not keep its caller long.
_SPANS_PER_TURN: Final = 2


class CheckpointStore(Protocol):
    """A place that keeps checkpoints; each does so alone and knows nothing of the other."""

    @property
    def name(self) -> str:
        """What an operator calls it."""

    def read(self, first_number: int = 1) -> Iterator[bytes]:
        """Return the envelopes in order."""

    def read_last(self) -> bytes | None:
        """Return the newest envelope; None before the first."""

    def read_fingerprints(self, statement: Statement) -> bytes:
        """Return the fingerprints of a span, unverified; too few or none if they are gone."""

    def append(self, checkpoint: Checkpoint, fingerprints: bytes) -> None:
        """Add the next checkpoint for good."""


class _Span(NamedTuple):
    """A piece of a segment that no checkpoint covers yet."""

    segment: Segment
    first_entry: int
    start_offset: int
    walked: Walked
    sealed: bool


class Sealer:
    """Makes the checkpoints of one journal.

    Args:
        folder: Of the journal; it may be empty or not there yet.
        key: Signs; see server/security/keys.py.
        files: Checkpoints outside the journal's folder.
        record: Checkpoints in PostgreSQL; None: only the file, which is a weaker witness.
        shard: Whose journal it is.
        every_s: Longest time that entries stay without a checkpoint, seconds.
        every_entries: Most entries that stay without one, about.
    """

    def __init__(
        self,
        folder: Path,
        key: Ed25519PrivateKey,
        files: CheckpointFiles,
        record: CheckpointStore | None,
        *,
        shard: Shard = WHOLE,
        every_s: float = EVERY_S,
        every_entries: int = EVERY_ENTRIES,
    ) -> None:
        self._folder = folder
        self._key = key
        self._files = files
        self._record = record
        self._journal = str(shard)
        self._every_s, self._every_entries = every_s, every_entries
        self._sealed_number = 0
        self._due_s = 0.0

    @property
    def sealed_number(self) -> int:
        """Newest entry that a checkpoint covers; 0 until `seal` has looked."""
        return self._sealed_number

    def advance(self, newest_number: int) -> int:
        """Seal if it is time to; cheap if not, so it may be called after every commit.

        Args:
            newest_number: Newest entry that the caller knows of.

        Returns:
            Checkpoints made.

        Raises:
            RiskgateError: As for `seal`; the next attempt is `every_s` later.
        """
        is_far = newest_number - self._sealed_number >= self._every_entries
        if time.monotonic() < self._due_s and not (is_far and self._sealed_number):
            return 0
        self._due_s = time.monotonic() + self._every_s
        made = self._take_turn(_SPANS_PER_TURN)
        if made == _SPANS_PER_TURN:
            self._due_s = 0.0
        return made

    def seal(self) -> int:
        """Cover everything up to the present end, however long it takes; for a clean stop.

        Returns:
            Checkpoints made.

        Raises:
            UnavailableError: PostgreSQL is away, or another process seals; try again later.
            JournalTamperedError: Journal and checkpoints contradict each other, or one is forged.
            JournalCorruptError: Entries are damaged.
            JournalTrimmedError: Entries were deleted before they were sealed.
            JournalFailedError: The disk does not take it.
        """
        # What is begun meanwhile is left: an engine may be as fast as this.
        numbers = list_numbers(self._folder)
        made = 0
        while made <= len(numbers) and (more := self._take_turn(1)):
            made += more
        return made

    def _take_turn(self, spans_max: int) -> int:
        """Make some checkpoints while nobody else can; return their number."""
        try:
            with self._files.lock():
                return self._go_on(self._bring_together(), spans_max)
        except OSError as error:
            raise JournalFailedError(f"the journal cannot be sealed: {error}") from error

    def _go_on(self, last: Checkpoint | None, spans_max: int) -> int:
        made = 0
        while made < spans_max and (span := self._find_span(last.statement if last else None)):
            last = self._store(span, last)
            made += 1
        if last:
            self._sealed_number = last.statement.next_entry - 1
        if made:
            self._files.forget_fingerprints(list_numbers(self._folder)[0])
        return made

    def _store(self, span: _Span, last: Checkpoint | None) -> Checkpoint:
        with map_segment(span.segment.path) as memory:
            _sync(span.segment.path)
            end = span.walked.offset
            fingerprints = fingerprint(memory, max(span.start_offset, HEADER_BYTES), end)
            statement = Statement(
                journal=self._journal,
                number=last.statement.number + 1 if last else 1,
                segment=span.segment.number,
                segment_first_entry=span.segment.first_entry,
                epoch=span.segment.epoch,
                first_entry=span.first_entry,
                entry_count=span.walked.number - span.first_entry,
                last_sequence=span.walked.sequence,
                start_offset=span.start_offset,
                end_offset=end,
                sealed=span.sealed,
                made_at_ns=time.time_ns(),
                bytes_sha256=hash_bytes(memory, span.start_offset, end),
                fingerprints_sha256=sha256(fingerprints).hexdigest(),
                previous_sha256=last.link if last else NO_LINK,
            )
        checkpoint = sign_statement(statement, self._key)
        check_follows(last, checkpoint, self._journal)
        if self._record:
            self._record.append(checkpoint, fingerprints)
        self._files.append(checkpoint, fingerprints)
        return checkpoint

    def _find_span(self, last: Statement | None) -> _Span | None:
        """Return what comes behind the newest checkpoint; None if there is nothing yet."""
        segments = list_segments(self._folder, after=last.segment - 1 if last else 0)
        if last and last.sealed:
            segments = [segment for segment in segments if segment.number > last.segment]
        if not segments:
            if last and not last.sealed:
                raise JournalTamperedError(f"segment {last.segment} is gone, it was not sealed")
            return None
        segment, later = segments[0], segments[1:]
        _check_place(segment, last, self._journal)
        if not last or last.sealed:
            start, number = 0, segment.first_entry
        else:
            start, number = last.end_offset, last.next_entry
        with map_segment(segment.path) as memory:
            walked = walk(memory, max(start, HEADER_BYTES), number)
            problem = ""
            if later and not is_zero_word(memory, walked.offset):
                problem = find_problem(memory, walked.offset, walked.number)
        # One that is followed by a begun one is complete.
        if later and later[0].number != segment.number + 1:
            problem = problem or f"segment {segment.number + 1} is missing behind it"
        if later and later[0].first_entry != walked.number:
            problem = problem or f"the next segment begins with entry {later[0].first_entry}"
        if problem:
            raise JournalCorruptError(
                problem, path=segment.path, offset=walked.offset, number=walked.number
            )
        if not later and walked.number == number:
            return None
        return _Span(segment, number, start, walked, sealed=bool(later))

    def _bring_together(self) -> Checkpoint | None:
        """Return the newest checkpoint, after each place has what only the other one had.

        A crash leaves the file one behind. More is missing where a place was restored or lost:
        what is signed and in its chain is taken over, and that is logged.
        """
        if self._record is None:
            return self._open_last(self._files)
        places: list[tuple[CheckpointStore, Checkpoint | None]] = [
            (self._record, self._open_last(self._record)),
            (self._files, self._open_last(self._files)),
        ]
        places.sort(key=lambda place: place[1].statement.number if place[1] else 0)
        (behind, last), (ahead, newest) = places
        if newest is None or (last and last.raw == newest.raw):
            return newest
        if last and last.statement.number == newest.statement.number:
            raise JournalTamperedError(
                f"two checkpoints have number {last.statement.number}, in {behind.name} and in "
                f"{ahead.name}"
            )
        for raw in ahead.read(last.statement.number + 1 if last else 1):
            checkpoint = open_checkpoint(raw, self._key.public_key())
            try:
                check_follows(last, checkpoint, self._journal)
            except JournalTamperedError as error:
                raise JournalTamperedError(f"{ahead.name} contradicts {behind.name}") from error
            _LOG.warning("checkpoint %d was only in %s", checkpoint.statement.number, ahead.name)
            behind.append(checkpoint, ahead.read_fingerprints(checkpoint.statement))
            last = checkpoint
        return last

    def _open_last(self, store: CheckpointStore) -> Checkpoint | None:
        raw = store.read_last()
        return open_checkpoint(raw, self._key.public_key()) if raw else None


def _check_place(segment: Segment, last: Statement | None, journal: str) -> None:
    if f"{segment.shard}/{segment.shards}" != journal:
        raise JournalTamperedError(
            f"{segment.path} belongs to shard {segment.shard}/{segment.shards}, not {journal}"
        )
    if last is None:
        return
    number = last.segment + 1 if last.sealed else last.segment
    first_entry = last.next_entry if last.sealed else last.segment_first_entry
    if segment.number > number:
        raise JournalTrimmedError(last.next_entry, segment.first_entry)
    if segment.first_entry != first_entry:
        raise JournalTamperedError(
            f"{segment.path} begins with entry {segment.first_entry}, checkpoint {last.number} "
            f"says {first_entry}"
        )


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fdatasync(fd)
    finally:
        os.close(fd)
