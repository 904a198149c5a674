"""Entries of a journal in order, also while an engine writes it.

Numbers run without a gap through all segments, so a reader always knows which comes next. A zero
word is the end, unless the next segment is begun and says that it goes on there.
"""

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple, Self

import numpy as np

from server.errors import JournalCorruptError, JournalTrimmedError
from server.hotpath.journal.entries import (
    CALL_BYTES,
    CALL_KINDS,
    ENTRY_BYTES,
    EVENT_KEPT,
    HEADER_BYTES,
    KIND_CHANGE,
    KIND_EVENT,
    KIND_NAMES,
    KIND_START,
    READING,
    READING_BYTES,
    START,
)
from server.hotpath.ring_frame import FRAME_BYTES
from server.journal.scan import (
    Found,
    extend_checksum,
    find_problem,
    find_valid,
    is_zero_word,
    map_segment,
    read_head,
    start_checksum,
)
from server.journal.segments import Segment, list_numbers, list_segments, segment_path

_BATCH: Final = 4_096
_KINDS: Final = len(KIND_NAMES)


class Entry(NamedTuple):
    """One entry.

    Attributes:
        number: 1, 2, 3 … through all segments.
        sequence: Of the engine behind this entry.
        kind: KIND_* of server/hotpath/journal/entries.py.
        reading_ns: Clock reading that it was made at, Unix nanoseconds.
        epoch: Of the engine process that wrote it.
        segment_number: Where it stands.
        offset: Of its first byte in that segment.
        raw: All its bytes, the first word included.
    """

    number: int
    sequence: int
    kind: int
    reading_ns: int
    epoch: int
    segment_number: int
    offset: int
    raw: bytes


def read_entries(
    folder: Path, first_number: int | None = None, last_number: int | None = None
) -> Iterator[Entry]:
    """Read entries in order until the last one asked for or the end of the journal.

    Args:
        folder: Of the journal.
        first_number: Where to begin; None: the oldest entry that is there.
        last_number: Where to end, included; None: the end as it is when the reader gets there.

    Raises:
        JournalCorruptError: An entry is damaged and valid ones lie behind it.
        JournalTrimmedError: The first one is deleted by now.
    """
    if first_number is None:
        segments = list_segments(folder)
        first_number = segments[0].first_entry if segments else 1
    with Tail(folder, first_number) as tail:
        while entries := tail.read(_BATCH):
            for entry in entries:
                if last_number is not None and entry.number > last_number:
                    return
                yield entry
        tail.check_end()


class Tail:
    """Reads on where it stopped, into new segments too; never waits.

    Args:
        folder: Of the journal; it may be empty or not there yet.
        next_number: Of the first entry wanted.
    """

    def __init__(self, folder: Path, next_number: int) -> None:
        self._folder = folder
        self._wanted = next_number
        self._segment: Segment | None = None
        self._memory: mmap.mmap | None = None
        self._offset = 0
        self._number = 0  # of the entry at the offset

    @property
    def next_number(self) -> int:
        """Number of the entry that `read` will return first."""
        return self._wanted

    def read(self, limit: int) -> list[Entry]:
        """Return the next entries, at most `limit`; none at the present end.

        Raises:
            JournalCorruptError: An entry is damaged and valid ones lie behind it.
            JournalTrimmedError: The next one was deleted before it was read.
        """
        if self._segment is None and not self._find_first():
            return []
        while not (entries := self._take(limit)):
            if not self._go_on():
                break
        return entries

    def check_end(self) -> None:
        """Make sure that nothing valid lies behind the end that `read` has come to.

        Raises:
            JournalCorruptError: Something does.
        """
        if self._segment is None or self._memory is None:
            return
        for found in self._find_behind(self._segment):
            is_end = is_zero_word(self._memory, self._offset)
            problem = self._find_problem(self._memory, is_end=is_end)
            # It may have come, here or in a segment that was begun, after the end was seen.
            if problem and not self._go_on():
                raise self._corrupt(f"{problem}, and {found.describe()} lies behind")
            return

    def close(self) -> None:
        """Give back the mapping."""
        if self._memory is not None:
            self._memory.close()
        self._segment = self._memory = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _find_first(self) -> bool:
        segments = list_segments(self._folder)
        if not segments:
            return False
        fitting = [segment for segment in segments if segment.first_entry <= self._wanted]
        if not fitting:
            raise JournalTrimmedError(self._wanted, segments[0].first_entry)
        return self._open(fitting[-1])

    def _open(self, segment: Segment) -> bool:
        try:
            memory = map_segment(segment.path)
        except FileNotFoundError:  # deleted just now: the next look at the folder says so
            return False
        self.close()
        self._segment, self._memory = segment, memory
        self._offset, self._number = HEADER_BYTES, segment.first_entry
        return True

    def _take(self, limit: int) -> list[Entry]:
        """Return what is valid from here on; the place is then behind it."""
        assert self._segment is not None  # noqa: S101 - for the type checker
        assert self._memory is not None  # noqa: S101 - same
        memory, end, wanted = self._memory, len(self._memory), self._wanted
        epoch, segment_number = self._segment.epoch, self._segment.number
        offset, number = self._offset, self._number
        entries: list[Entry] = []
        while len(entries) < limit and end - offset >= ENTRY_BYTES:
            # The first word before the rest: the writer stores it last.
            size, checksum, found, sequence, kind, _, reading_ns = read_head(memory, offset)
            raw = memory[offset : offset + size]
            if (
                found != number
                or len(raw) != size
                or size < ENTRY_BYTES
                or size % 8
                or not 0 < kind < _KINDS
                or extend_checksum(start_checksum(size), raw[8:]) != checksum
            ):
                break
            if number >= wanted:
                entries.append(
                    Entry(number, sequence, kind, reading_ns, epoch, segment_number, offset, raw)
                )
            offset += size
            number += 1
        self._offset, self._number = offset, number
        self._wanted = max(wanted, number)
        return entries

    def _go_on(self) -> bool:
        """Say whether there is more, going over to the next segment where this one ends."""
        assert self._segment is not None  # noqa: S101 - for the type checker
        assert self._memory is not None  # noqa: S101 - same
        segment, memory = self._segment, self._memory
        later = list_segments(self._folder, after=segment.number)
        # Looked at behind that: when a segment is begun, the one before it is complete.
        # One look: what is zero now may be an entry a moment later.
        is_end = is_zero_word(memory, self._offset)
        problem = self._find_problem(memory, is_end=is_end)
        if not problem:
            return True
        if is_end and not later:
            return False
        if is_end and later[0][1:3] == (segment.number + 1, self._number):
            return self._open(later[0])
        if later and not segment.path.exists():
            raise JournalTrimmedError(self._wanted, later[0].first_entry)
        for found in self._find_behind(segment):
            raise self._corrupt(f"{problem}, and {found.describe()} lies behind")
        return False

    def _find_problem(self, memory: mmap.mmap, *, is_end: bool) -> str:
        if is_end:
            return "the entry is missing"
        return find_problem(memory, self._offset, self._number)

    def _find_behind(self, segment: Segment) -> Iterator[Found]:
        yield from find_valid(segment.path, self._offset)
        for number in list_numbers(self._folder):
            if number > segment.number:
                yield from find_valid(segment_path(self._folder, number))

    def _corrupt(self, problem: str) -> JournalCorruptError:
        assert self._segment is not None  # noqa: S101 - for the type checker
        return JournalCorruptError(
            problem, path=self._segment.path, offset=self._offset, number=self._number
        )


class Call(NamedTuple):
    """What an entry of a call holds: protobuf bytes, and one READING for each decision made."""

    request: bytes
    answer: bytes
    identity: bytes
    readings: np.ndarray[tuple[int], np.dtype[np.void]]


class Change(NamedTuple):
    """What an entry of a change holds.

    Attributes:
        kind: riskgate.v1.ChangeKind; 0: it was refused and holds only its place.
        version: Of the state.
        deleted: Whether it deletes.
        rows: As the engine took them.
        change: Bytes of the StateChange.
    """

    kind: int
    version: int
    deleted: bool
    rows: bytes
    change: bytes


_CALL_SIZES: Final = struct.Struct("<4q").unpack_from
_FRAME: Final = struct.Struct("<8q").unpack_from


def read_call(entry: Entry) -> Call:
    """Take an entry of CALL_KINDS apart.

    Raises:
        JournalCorruptError: Its parts do not fill it, or it is no call.
    """
    if entry.kind not in CALL_KINDS or len(entry.raw) < CALL_BYTES:
        raise _malformed(entry, "it is no call")
    count, request_bytes, answer_bytes, identity_bytes = _CALL_SIZES(entry.raw, ENTRY_BYTES)
    if min(count, request_bytes, answer_bytes, identity_bytes) < 0:
        raise _malformed(entry, "a part of the call has a negative size")
    request = CALL_BYTES + count * READING_BYTES
    answer = request + _fill_words(request_bytes)
    identity = answer + _fill_words(answer_bytes)
    if identity + _fill_words(identity_bytes) != len(entry.raw):
        raise _malformed(entry, "the parts of the call do not fill it")
    return Call(
        entry.raw[request : request + request_bytes],
        entry.raw[answer : answer + answer_bytes],
        entry.raw[identity : identity + identity_bytes],
        np.frombuffer(entry.raw, READING, count, CALL_BYTES),
    )


def read_change(entry: Entry) -> Change:
    """Take an entry of KIND_CHANGE apart.

    Raises:
        JournalCorruptError: Its parts do not fill it, or it is no change.
    """
    start = ENTRY_BYTES + FRAME_BYTES
    if entry.kind != KIND_CHANGE or len(entry.raw) < start:
        raise _malformed(entry, "it is no change")
    frame_bytes, kind, version, deleted, _, _, rows_bytes, change_bytes = _FRAME(
        entry.raw, ENTRY_BYTES
    )
    rows_end = start + _fill_words(rows_bytes)
    end = rows_end + _fill_words(change_bytes)
    is_whole = end == len(entry.raw) == ENTRY_BYTES + frame_bytes
    if min(rows_bytes, change_bytes) < 0 or not is_whole:
        raise _malformed(entry, "the parts of the change do not fill it")
    return Change(
        kind,
        version,
        bool(deleted),
        entry.raw[start : start + rows_bytes],
        entry.raw[rows_end : rows_end + change_bytes],
    )


def read_start(entry: Entry) -> np.void:
    """Return the START of an entry of KIND_START.

    Raises:
        JournalCorruptError: It is none.
    """
    if entry.kind != KIND_START or len(entry.raw) != START.itemsize:
        raise _malformed(entry, "it is no start of an engine")
    start: np.void = np.frombuffer(entry.raw, START)[0]
    return start


def read_event(entry: Entry) -> np.void:
    """Return the EVENT_KEPT of an entry of KIND_EVENT.

    Raises:
        JournalCorruptError: It is none.
    """
    if entry.kind != KIND_EVENT or len(entry.raw) != ENTRY_BYTES + EVENT_KEPT.itemsize:
        raise _malformed(entry, "it is no event of a breaker")
    event: np.void = np.frombuffer(entry.raw, EVENT_KEPT, 1, ENTRY_BYTES)[0]
    return event


def _fill_words(size: int) -> int:
    return size + -size % 8


def _malformed(entry: Entry, problem: str) -> JournalCorruptError:
    return JournalCorruptError(
        problem, path=f"segment {entry.segment_number}", offset=entry.offset, number=entry.number
    )
