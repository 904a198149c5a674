"""The end of the journal, found when an engine starts: a torn tail is cut, damage is refused.

The journal ends at the first word that is zero or bad. Normally nothing valid lies behind it, and
what is there is the start of an entry that nobody was answered for. Something valid behind it means
that an entry is lost which was whole once: that is damage and the engine must not start.

With one exception: when the power was off, pages reached the disk in any order, so entries may be
there whose predecessors are not. They count as torn too if none of them was written after a
restart, and none says that the lost one was known to be on disk.
"""

import logging
import os
from collections.abc import Callable, Iterator
from itertools import pairwise, zip_longest
from mmap import mmap
from pathlib import Path
from typing import Final, NamedTuple

from server.errors import JournalCorruptError, JournalFailedError
from server.hotpath.journal.entries import HEADER_BYTES
from server.journal.scan import Found, Walked, find_problem, find_valid, is_zero_word, map_segment
from server.journal.scan import walk as walk_entries
from server.journal.segments import (
    Segment,
    list_numbers,
    list_segments,
    read_boot_of,
    segment_path,
    sync_folder,
)

_LOG: Final = logging.getLogger(__name__)
_CHUNK_BYTES: Final = 1 << 20

Walk = Callable[[mmap, int, int], Walked]


class Recovered(NamedTuple):
    """What is left to go on from.

    Attributes:
        last_entry_number: Newest entry; 0 in an empty journal.
        last_sequence: Of the engine behind it.
        last_epoch: Newest epoch that any segment names; 0 in an empty journal.
        last_segment_number: Newest segment; the next one has the number behind it.
        segment_count: Begun segments.
        checked_entries: Entries whose checksum was verified.
        cut_bytes: Bytes that were not zero behind the end and are now, or whose file is gone.
        cut_entries: Whole entries among them; not 0 only after the power was off.
    """

    last_entry_number: int = 0
    last_sequence: int = 0
    last_epoch: int = 0
    last_segment_number: int = 0
    segment_count: int = 0
    checked_entries: int = 0
    cut_bytes: int = 0
    cut_entries: int = 0


class _End(NamedTuple):
    segment: Segment | None  # None: the oldest file was never begun
    path: Path
    offset: int
    number: int  # of the entry that belongs there
    problem: str = ""  # why it ends here, should something valid lie behind
    sequence: int = 0
    checked_entries: int = 0

    @property
    def segment_number(self) -> int:
        return self.segment.number if self.segment else 0


def recover(
    folder: Path,
    *,
    boot: str,
    first_number: int = 1,
    shard: int = 0,
    shards: int = 1,
    walk: Walk = walk_entries,
) -> Recovered:
    """Find the end of the journal and make sure that nothing is behind it.

    Only the one process that holds the journal's lock may call this.

    Args:
        folder: Of the journal; it may be empty or not there yet.
        boot: Of the running system, see `segments.read_boot`.
        first_number: Checksums are verified from the segment of this entry on.
        shard: Whose journal this must be.
        shards: Number of shards that there must be.
        walk: What goes over the entries of one segment; a compiled one may stand in.

    Raises:
        JournalCorruptError: Something is lost that was there; nothing was changed.
        JournalFailedError: The tail could not be cut.
    """
    segments = list_segments(folder)
    _check_headers(segments, shard, shards)
    numbers = list_numbers(folder)
    if not numbers:
        return Recovered()
    if segments and segments[0].number == numbers[0]:
        end = _find_end(segments, first_number, walk)
    else:
        path = segment_path(folder, numbers[0])
        end = _End(None, path, HEADER_BYTES, 1, "the segment was never begun")
    cut_entries = _check_rest(folder, segments, end, boot)
    cut_bytes = _cut(folder, end)
    if cut_bytes:
        _LOG.warning(
            "the journal ends with entry %d: %d bytes with %d whole entries behind it are cut",
            *(end.number - 1, cut_bytes, cut_entries),
        )
    return Recovered(
        last_entry_number=end.number - 1,
        last_sequence=end.sequence,
        last_epoch=max((segment.epoch for segment in segments), default=0),
        last_segment_number=end.segment_number,
        segment_count=sum(segment.number <= end.segment_number for segment in segments),
        checked_entries=end.checked_entries,
        cut_bytes=cut_bytes,
        cut_entries=cut_entries,
    )


def _check_headers(segments: list[Segment], shard: int, shards: int) -> None:
    for segment in segments:
        if (segment.shard, segment.shards) != (shard, shards):
            raise JournalCorruptError(
                f"it belongs to shard {segment.shard} of {segment.shards}, "
                f"this is shard {shard} of {shards}",
                path=segment.path,
            )
    for before, segment in pairwise(segments):
        if segment.epoch < before.epoch:
            raise JournalCorruptError(
                f"epoch {segment.epoch} behind epoch {before.epoch}", path=segment.path
            )


def _find_end(segments: list[Segment], first_number: int, walk: Walk) -> _End:
    fitting = [index for index, item in enumerate(segments) if item.first_entry <= first_number]
    first = fitting[-1] if fitting else 0
    _check_order(segments[: first + 1])
    end = _walk_from(segments, first, walk)
    # A segment that was begun and nothing more says nothing about the sequence.
    while not end.checked_entries and first:
        first -= 1
        end = _walk_from(segments, first, walk)
    return end


def _check_order(segments: list[Segment]) -> None:
    """Check what no walk over entries will come to."""
    for before, segment in pairwise(segments):
        if segment.number != before.number + 1:
            raise JournalCorruptError(
                f"segment {before.number + 1} is missing before it", path=segment.path
            )
        if segment.first_entry < before.first_entry:
            raise JournalCorruptError(
                f"entry {segment.first_entry} behind entry {before.first_entry}", path=segment.path
            )


def _walk_from(segments: list[Segment], first: int, walk: Walk) -> _End:
    start = segments[first].first_entry
    number = start
    sequence = 0
    for segment, behind in zip_longest(segments[first:], segments[first + 1 :]):
        with map_segment(segment.path) as memory:
            walked = walk(memory, HEADER_BYTES, number)
            sequence = walked.sequence if walked.number > number else sequence
            number = walked.number
            problem = ""
            if not is_zero_word(memory, walked.offset):
                problem = find_problem(memory, walked.offset, number)
        problem = problem or _describe_gap(segment, behind, number)
        if problem:
            break
    return _End(segment, segment.path, walked.offset, number, problem, sequence, number - start)


def _describe_gap(segment: Segment, behind: Segment | None, number: int) -> str:
    """Say why the journal does not go on in the next segment; nothing if it does."""
    if behind is None:
        return "the entry is missing"
    if behind.number != segment.number + 1:
        return f"segment {segment.number + 1} is missing"
    if behind.first_entry != number:
        return f"segment {behind.number} begins with entry {behind.first_entry}"
    return ""


def _check_rest(folder: Path, segments: list[Segment], end: _End, boot: str) -> int:
    """Return how many whole entries lie behind the end and may be cut."""
    later = [segment for segment in segments if segment.number > end.segment_number]
    found = list(_find_behind(folder, end))
    if not found and not later:
        return 0
    own_boot = read_boot_of(end.path)
    boots = {own_boot, *(segment.boot for segment in later)}
    boots |= {read_boot_of(path) for path in {entry.path for entry in found}}
    was_power_off = own_boot not in {boot, ""} and boots == {own_boot}
    was_promised = max((entry.synced for entry in found), default=0) >= end.number
    # Without its first segment a journal had been trimmed: what was in it was on disk long ago.
    was_trimmed = end.segment is None and end.path != segment_path(folder, 1)
    if not was_power_off or was_promised or was_trimmed:
        behind = found[0].describe() if found else f"segment {later[0].number}"
        raise JournalCorruptError(
            f"{end.problem}, and {behind} lies behind",
            path=end.path,
            offset=end.offset,
            number=0 if was_trimmed else end.number,
        )
    return len(found)


def _find_behind(folder: Path, end: _End) -> Iterator[Found]:
    for number in list_numbers(folder):
        if number >= end.segment_number:
            is_cut = number == end.segment_number
            yield from find_valid(
                segment_path(folder, number), end.offset if is_cut else HEADER_BYTES
            )


def _cut(folder: Path, end: _End) -> int:
    """Leave nothing but zeros behind the end; return how many bytes were not."""
    numbers = [number for number in list_numbers(folder) if number > end.segment_number]
    cut_bytes = 0
    try:
        # From the newest on: whatever interrupts this leaves the same end to find again.
        for number in reversed(numbers):
            path = segment_path(folder, number)
            cut_bytes += _count_nonzero(path, HEADER_BYTES)
            path.unlink()
        if numbers:
            sync_folder(folder)
        if end.segment:
            cut_bytes += _zero_behind(end.segment, end.offset)
    except OSError as error:
        raise JournalFailedError(f"the torn tail cannot be cut: {error}") from error
    return cut_bytes


def _zero_behind(segment: Segment, offset: int) -> int:
    size_bytes = segment.path.stat().st_size
    cut_bytes = _count_nonzero(segment.path, offset)
    if not cut_bytes and size_bytes == segment.segment_bytes:
        return 0
    with segment.path.open("r+b") as file:
        for start in range(min(offset, size_bytes), size_bytes, _CHUNK_BYTES):
            file.seek(start)
            file.write(bytes(min(_CHUNK_BYTES, size_bytes - start)))
        file.flush()
        os.ftruncate(file.fileno(), segment.segment_bytes)
        os.fsync(file.fileno())
    return cut_bytes


def _count_nonzero(path: Path, offset: int) -> int:
    count = 0
    with path.open("rb") as file:
        file.seek(offset)
        while data := file.read(_CHUNK_BYTES):
            count += len(data) - data.count(0)
    return count
