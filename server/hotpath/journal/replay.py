"""Entries back into an engine: the same calls, the same changes, every answer byte compared.

The thread that calls `replay_nb` owns the engine. It returns when the entries end, or with an entry
that needs Python: a start, a model to be loaded, a broker's view. What was done there is told by
moving on (`step_nb`).
"""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.change_frame import apply_frame_nb
from server.hotpath.change_kinds import MODEL
from server.hotpath.clock import take_reading_nb
from server.hotpath.events import same_event_nb
from server.hotpath.intrinsics import address_reference, load_acquire, load_half, load_word
from server.hotpath.jit import entry, i64, kernel, part, routine
from server.hotpath.journal.appending import call_entry_at, entry_at, padded_nb
from server.hotpath.journal.checksum import checksum_nb
from server.hotpath.journal.entries import (
    CALL_BYTES,
    ENTRY_BYTES,
    KIND_ACKNOWLEDGE,
    KIND_BATCH,
    KIND_CHANGE,
    KIND_CLOCK,
    KIND_DECIDE,
    KIND_EVENT,
    KIND_REPORT,
    KIND_START,
    KIND_STREAM,
    KIND_SYNC,
    READING_BYTES,
)
from server.hotpath.journal.event_entries import EVENT_ENTRY_BYTES
from server.hotpath.layout import packed_dtype
from server.hotpath.memory import engine_of
from server.hotpath.ring_frame import FRAME
from server.hotpath.wire.acknowledge import answer_acknowledge_nb
from server.hotpath.wire.batch import answer_batch_nb
from server.hotpath.wire.decision import answer_decide_nb
from server.hotpath.wire.outcome import RECORDED
from server.hotpath.wire.readings import begin_readings_nb
from server.hotpath.wire.report import answer_report_nb
from server.hotpath.wire.stream import answer_stream_item_nb

_I8 = "<i8"

# What `replay_nb` returns.
AT_END: Final = 0  # no whole entry stands at the mark
AT_LAST: Final = 1  # the last entry that was asked for is done
AT_START: Final = 2  # an epoch begins: Python's turn, here and in the next two
AT_MODEL: Final = 3
AT_SYNC: Final = 4
DAMAGED: Final = 5  # the checksum or the number is wrong
DIFFERENT: Final = 6  # answer, sequence or model output differ; the entry counts as done

REPLAY: Final = packed_dtype(
    ("at", _I8),  # address of the next entry
    ("end", _I8),  # address behind the segment
    ("number", _I8),  # of the next entry
    ("last_number", _I8),  # where to stop
    ("model_ready", _I8),  # number of the entry whose model is loaded
    ("answer", _I8),  # address of room for one answer
    ("answer_bytes", _I8),  # of the answer made last
    ("decisions", _I8),  # counts
    ("calls", _I8),
    ("changes", _I8),
    ("bytes_read", _I8),
)

replay_at = address_reference(REPLAY)
_KIND_OF_FRAME_AT: Final[int] = FRAME.fields["kind"][1]  # type: ignore[index]


@kernel
def _same_bytes_nb(one: int, other: int, length: int) -> bool:
    """Compare bytes that are filled up with zeros to whole words at `other`."""
    whole = length >> i64(3)
    for position in range(whole):
        if load_word(one + 8 * position) != load_word(other + 8 * position):
            return False
    rest = length & i64(7)
    if rest == 0:
        return True
    mask = (i64(1) << (8 * rest)) - 1
    tail = 8 * whole
    return (load_word(one + tail) & mask) == (load_word(other + tail) & mask)


@part
def _call_again_nb(state: Any, wire: Any, replay: Any, address: int) -> bool:
    """Answer a journaled call again; tell whether all came out as it was."""
    call = call_entry_at(address)
    readings = address + CALL_BYTES
    request = readings + call.reading_count * READING_BYTES
    answer = request + padded_nb(call.request_bytes)
    length, received_ns = call.request_bytes, call.reading_ns
    begin_readings_nb(wire)
    wire.readings = readings
    wire.caller = answer + padded_nb(call.answer_bytes)
    wire.caller_bytes = call.identity_bytes
    kind, out, recorded = call.kind, replay.answer, i64(RECORDED)
    before = wire.model_differences
    answered = i64(-1)
    if kind == KIND_DECIDE:
        answered = answer_decide_nb(state, wire, request, length, received_ns, recorded, out)
    elif kind == KIND_STREAM:
        answered = answer_stream_item_nb(
            state, wire, request, length, received_ns, recorded, out, i64(1)
        )
    elif kind == KIND_BATCH:
        answered = answer_batch_nb(state, wire, request, length, received_ns, recorded, out)
    elif kind == KIND_REPORT:
        answered = answer_report_nb(state, wire, request, length, received_ns, out)
    elif kind == KIND_ACKNOWLEDGE:
        answered = answer_acknowledge_nb(state, wire, request, length, received_ns, out)
    replay.answer_bytes = answered
    replay.calls += 1
    replay.decisions += wire.reading_count
    return (
        answered == call.answer_bytes
        and wire.reading_count == call.reading_count
        and wire.model_differences == before
        and _same_bytes_nb(out, answer, answered)
    )


@kernel
def _is_sound_nb(replay: Any, size_bytes: int, checksum: int) -> bool:
    if size_bytes < ENTRY_BYTES or size_bytes & 7 or size_bytes > replay.end - replay.at:
        return False
    found = checksum_nb(replay.at + 8, size_bytes // 8 - 1, size_bytes)
    return found == checksum and entry_at(replay.at).number == replay.number


@routine
def step_nb(replay: Any) -> None:
    """Move on behind the entry at the mark."""
    size_bytes = load_half(replay.at)
    replay.at += size_bytes
    replay.number += 1
    replay.bytes_read += size_bytes


@routine
def _keep_again_nb(state: Any, address: int) -> bool:
    """Compare a journaled event with the state's own, and count it as kept."""
    if load_half(address) != EVENT_ENTRY_BYTES:
        return False
    event_id = load_word(address + ENTRY_BYTES)
    engine = engine_of(state)
    follows = event_id > engine.event_kept_count
    engine.event_kept_count = max(engine.event_kept_count, event_id)
    return follows and same_event_nb(state, event_id, address + ENTRY_BYTES)


@part
def _do_entry_nb(state: Any, wire: Any, replay: Any, kind: int) -> bool:
    """Do what an entry did that needs no Python; tell whether it came out as it was."""
    address = replay.at
    if kind == KIND_CHANGE:
        apply_frame_nb(state, address + ENTRY_BYTES, entry_at(address).reading_ns)
        replay.changes += 1
    elif kind == KIND_CLOCK:
        take_reading_nb(state, entry_at(address).reading_ns)
    elif kind == KIND_EVENT:
        if not _keep_again_nb(state, address):
            return False
    elif not _call_again_nb(state, wire, replay, address):
        return False
    return engine_of(state).sequence == entry_at(address).sequence


@entry
def replay_nb(state: Any, wire: Any, replay: Any) -> int:
    """Do entries again until something needs Python, differs, or ends; returns AT_* or another.

    Args:
        state: MEMORY record of the engine.
        wire: WIRE record; `readings` is moved along.
        replay: REPLAY record whose mark stands at an entry of a mapped segment, or at its end.
    """
    while replay.number <= replay.last_number:
        if replay.end - replay.at < 8:
            return AT_END
        first = load_acquire(replay.at)
        if first == 0:
            return AT_END
        if not _is_sound_nb(replay, first & i64(0xFFFFFFFF), (first >> i64(32)) & i64(0xFFFFFFFF)):
            return DAMAGED
        kind = entry_at(replay.at).kind
        if kind == KIND_START:
            return AT_START
        if kind == KIND_SYNC:
            return AT_SYNC
        model = kind == KIND_CHANGE and load_word(
            replay.at + ENTRY_BYTES + _KIND_OF_FRAME_AT
        ) == i64(MODEL)
        if model and replay.model_ready != replay.number:
            return AT_MODEL
        same = _do_entry_nb(state, wire, replay, kind)
        step_nb(replay)
        if not same:
            return DIFFERENT
    return AT_LAST
