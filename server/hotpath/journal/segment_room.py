"""Room in the journal, made before anything is judged: an entry that was begun always fits.

A full segment is left for the one that the keeper has made ready. Without one the last bytes of
the segment are for exits and reports only; then there is none, until the keeper finds space again.
"""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.intrinsics import address_of, address_reference, load_acquire, store_release
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.journal.checksum import checksum_nb
from server.hotpath.journal.entries import HEADER_BYTES, MAGIC, SEGMENT
from server.hotpath.journal.journal_record import JOURNAL, MODE_OFF
from server.hotpath.journal.syncing import sync_nb

ROOM_NONE: Final = 0
ROOM_FOR_EXITS: Final = 1
ROOM: Final = 2

_READY_AT: Final[int] = JOURNAL.fields["next_ready"][1]  # type: ignore[index]
_NUMBER_AT: Final[int] = JOURNAL.fields["segment_number"][1]  # type: ignore[index]
_CHECKED_AT: Final[int] = SEGMENT.fields["format_version"][1]  # type: ignore[index]
_CHECKED_WORDS: Final = (SEGMENT.itemsize - _CHECKED_AT) // 8

segment_at = address_reference(SEGMENT)


@kernel
def is_fenced_nb(journal: Any) -> bool:
    """Tell whether an engine of a higher epoch may answer in our place; that is never undone."""
    if journal.fenced == 0 and journal.active_epoch != 0:
        journal.fenced = 1 if load_acquire(journal.active_epoch) > journal.epoch else 0
    return journal.fenced != 0


@routine
def _begin_segment_nb(journal: Any) -> None:
    """Complete the header of a prepared segment; its magic is stored last."""
    segment = segment_at(journal.segment)
    segment.first_entry = journal.entry_number + 1
    address = journal.segment + i64(_CHECKED_AT)
    # No word before: a header is checked as it stands.
    segment.checksum = checksum_nb(address + 8, i64(_CHECKED_WORDS - 1), segment.format_version)
    store_release(journal.segment, i64(MAGIC))
    journal.at = i64(HEADER_BYTES)


@routine
def _turn_over_nb(journal: Any) -> bool:
    """Leave the segment for the next one; tell whether that was possible."""
    if load_acquire(address_of(journal) + _READY_AT) == 0 or not sync_nb(journal):
        return False
    journal.segment = journal.next_segment
    journal.segment_bytes = journal.next_bytes
    journal.segment_fd = journal.next_fd
    journal.at = 0
    journal.rotations += 1
    number = journal.next_number
    store_release(address_of(journal) + _READY_AT, i64(0))
    # The keeper may close the old segment as soon as it sees this.
    store_release(address_of(journal) + _NUMBER_AT, number)
    _begin_segment_nb(journal)
    return True


@routine
def make_room_nb(journal: Any, entry_bytes: int) -> int:
    """Make room for one entry; return for whom there is some: ROOM, ROOM_FOR_EXITS, ROOM_NONE."""
    if journal.mode == MODE_OFF:
        return i64(ROOM)
    if journal.failed != 0 or is_fenced_nb(journal):
        return i64(ROOM_NONE)
    if journal.at == 0:
        _begin_segment_nb(journal)
    if i64(HEADER_BYTES) + entry_bytes + 8 > journal.segment_bytes:
        return i64(ROOM_NONE)  # not even an empty one would do: none is left for it
    # The zero word behind the last entry ends the segment.
    left = journal.segment_bytes - journal.at - entry_bytes - 8
    if left < 0:
        if not _turn_over_nb(journal):
            return i64(ROOM_NONE)
        left = journal.segment_bytes - journal.at - entry_bytes - 8
        if left < 0:
            return i64(ROOM_NONE)
    if left >= journal.reserve_bytes:
        return i64(ROOM)
    ready = load_acquire(address_of(journal) + _READY_AT) != 0
    return i64(ROOM) if ready else i64(ROOM_FOR_EXITS)
