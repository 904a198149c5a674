"""Writing entries. Room has been made before (`segment_room.py`), so nothing here can fail.

The first word of an entry is stored last: whoever finds it finds the rest, in this process, in
another that maps the file, and after a kill at any instruction.
"""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.intrinsics import address_reference, copy_bytes, store_release, store_word
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.journal.checksum import checksum_nb
from server.hotpath.journal.entries import (
    CALL,
    CALL_BYTES,
    ENTRY,
    ENTRY_BYTES,
    KIND_CHANGE,
    KIND_CLOCK,
    READING_BYTES,
)
from server.hotpath.journal.journal_record import MODE_OFF
from server.hotpath.libc import getpid, kill
from server.hotpath.memory import engine_of

# Places at which a test lets the process kill itself.
KILL_BEFORE: Final = 1
KILL_WITHOUT_HEADER: Final = 2
KILL_WITHOUT_FIRST_WORD: Final = 3
KILL_BEHIND: Final = 4
_SIGKILL: Final = 9

entry_at = address_reference(ENTRY)
call_entry_at = address_reference(CALL)


@kernel
def _reach_nb(journal: Any, point: int) -> None:
    if journal.kill_point == point and journal.entry_number >= journal.kill_entry:
        kill(i64(getpid()), i64(_SIGKILL))


@kernel
def padded_nb(length: int) -> int:
    """Return a length filled up to whole words."""
    return (length + 7) & ~i64(7)


@kernel
def call_entry_bytes_nb(readings: int, request: int, answer: int, identity: int) -> int:
    """Return the size of a call's entry from the lengths of its parts."""
    parts = padded_nb(request) + padded_nb(answer) + padded_nb(identity)
    return CALL_BYTES + readings * READING_BYTES + parts


@routine
def _finish_nb(state: Any, journal: Any, kind: int, reading_ns: int, size_bytes: int) -> None:
    """Number the entry at the end of the segment, whose body is written, and let it count."""
    address = journal.segment + journal.at
    _reach_nb(journal, i64(KILL_WITHOUT_HEADER))
    entry = entry_at(address)
    entry.number = journal.entry_number + 1
    entry.sequence = engine_of(state).sequence
    entry.kind = kind
    entry.synced = journal.synced_number
    entry.reading_ns = reading_ns
    checksum = checksum_nb(address + 8, size_bytes // 8 - 1, size_bytes)
    _reach_nb(journal, i64(KILL_WITHOUT_FIRST_WORD))
    store_release(address, size_bytes | (checksum << i64(32)))
    journal.entry_number += 1
    _reach_nb(journal, i64(KILL_BEHIND))
    journal.at += size_bytes
    journal.reading_ns = reading_ns
    journal.bytes_written += size_bytes


@kernel
def _put_part_nb(target: int, source: int, length: int) -> int:
    """Copy a part of an entry, fill its last word with zeros, and return its end."""
    end = target + padded_nb(length)
    if length > 0:
        store_word(end - 8, i64(0))
        copy_bytes(target, source, length)
    return end


@routine
def append_call_nb(
    state: Any,
    journal: Any,
    kind: int,
    reading_ns: int,
    readings: int,
    reading_count: int,
    request: int,
    request_bytes: int,
    answer: int,
    answer_bytes: int,
    identity: int,
    identity_bytes: int,
) -> None:
    """Keep a call with its answer; the arguments are addresses and lengths."""
    if journal.mode == MODE_OFF:
        return
    _reach_nb(journal, i64(KILL_BEFORE))
    address = journal.segment + journal.at
    call = call_entry_at(address)
    call.reading_count = reading_count
    call.request_bytes = request_bytes
    call.answer_bytes = answer_bytes
    call.identity_bytes = identity_bytes
    end = _put_part_nb(address + CALL_BYTES, readings, reading_count * READING_BYTES)
    end = _put_part_nb(end, request, request_bytes)
    end = _put_part_nb(end, answer, answer_bytes)
    end = _put_part_nb(end, identity, identity_bytes)
    _finish_nb(state, journal, kind, reading_ns, end - address)


@routine
def append_change_nb(
    state: Any, journal: Any, frame: int, frame_bytes: int, reading_ns: int
) -> None:
    """Keep a change that was applied, as its frame came through the ring."""
    if journal.mode == MODE_OFF:
        return
    _reach_nb(journal, i64(KILL_BEFORE))
    copy_bytes(journal.segment + journal.at + ENTRY_BYTES, frame, frame_bytes)
    _finish_nb(state, journal, i64(KIND_CHANGE), reading_ns, ENTRY_BYTES + frame_bytes)


@routine
def append_clock_nb(state: Any, journal: Any, reading_ns: int) -> None:
    """Keep a reading of the clock."""
    if journal.mode != MODE_OFF:
        _finish_nb(state, journal, i64(KIND_CLOCK), reading_ns, i64(ENTRY_BYTES))


@routine
def append_made_nb(
    state: Any, journal: Any, kind: int, reading_ns: int, body: int, body_bytes: int
) -> None:
    """Keep an entry whose body behind ENTRY stands at an address, whole words."""
    if journal.mode == MODE_OFF:
        return
    copy_bytes(journal.segment + journal.at + ENTRY_BYTES, body, body_bytes)
    _finish_nb(state, journal, kind, reading_ns, ENTRY_BYTES + body_bytes)
