"""The wire's side of the journal: room before a call is judged, an entry behind its answer."""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.clock import take_reading_nb
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.journal.appending import (
    append_call_nb,
    append_clock_nb,
    call_entry_bytes_nb,
)
from server.hotpath.journal.entries import ENTRY_BYTES, KIND_BATCH, KIND_SYNC
from server.hotpath.journal.event_entries import append_events_nb
from server.hotpath.journal.journal_record import MODE_OFF
from server.hotpath.journal.segment_room import (
    ROOM,
    ROOM_FOR_EXITS,
    ROOM_NONE,
    make_room_nb,
)
from server.hotpath.layout import ID_BYTES_MAX
from server.hotpath.memory import engine_of
from server.hotpath.reasons import R_FENCED, R_JOURNAL_FAILED, R_JOURNAL_FULL
from server.hotpath.wire.batch import RESULT_BYTES_MAX, count_items_nb
from server.hotpath.wire.readings import begin_readings_nb
from server.hotpath.wire.response import ANSWER_BYTES_MAX

# What gRPC and streams put around an answer.
_AROUND_BYTES: Final = 64
# Of the differences that a SyncAccount answers, 16,384 of at most 160 bytes.
SYNC_BYTES_MAX: Final = 16_384 * 160


@kernel
def _reason_nb(journal: Any) -> int:
    if journal.fenced != 0:
        return i64(R_FENCED)
    return i64(R_JOURNAL_FAILED if journal.failed != 0 else R_JOURNAL_FULL)


@routine
def begin_call_nb(wire: Any, journal: Any, kind: int, request: int, request_bytes: int) -> None:
    """Make room for a call of KIND_* and tell the wire whether it may decide."""
    begin_readings_nb(wire)
    wire.barred = 0
    wire.room = i64(ROOM)
    if journal.mode == MODE_OFF:
        return
    batch = kind == KIND_BATCH
    readings = i64(1)
    answer_bytes = i64(ANSWER_BYTES_MAX + _AROUND_BYTES)
    if batch:
        readings = count_items_nb(wire, request, request_bytes)
        answer_bytes = readings * i64(RESULT_BYTES_MAX)
    elif kind == KIND_SYNC:
        answer_bytes = i64(SYNC_BYTES_MAX)
    entry_bytes = call_entry_bytes_nb(readings, request_bytes, answer_bytes, i64(ID_BYTES_MAX))
    wire.room = make_room_nb(journal, entry_bytes)
    if wire.room == ROOM:
        return
    journal.barred += 1
    wire.barred = 1 + _reason_nb(journal)
    # A batch is kept whole or not at all.
    wire.exits_only = 1 if wire.room == ROOM_FOR_EXITS and not batch else 0


@routine
def end_call_nb(
    state: Any,
    wire: Any,
    journal: Any,
    kind: int,
    reading_ns: int,
    request: int,
    request_bytes: int,
    answer: int,
    answer_bytes: int,
    identity: int,
    identity_bytes: int,
) -> None:
    """Journal a call that has changed something, or the time alone if only that has moved.

    The events that it has made follow it.
    """
    if wire.reading_count > 0 or wire.applied != 0:
        append_call_nb(
            state,
            journal,
            kind,
            reading_ns,
            wire.readings,
            wire.reading_count,
            request,
            request_bytes,
            answer,
            answer_bytes,
            identity,
            identity_bytes,
        )
    elif engine_of(state).reading_ns != journal.reading_ns and wire.room != ROOM_NONE:
        append_clock_nb(state, journal, engine_of(state).reading_ns)
    append_events_nb(state, journal)


@routine
def tick_nb(state: Any, journal: Any, reading_ns: int) -> None:
    """Take in a reading of the clock while nothing else happens, if it can be kept."""
    if make_room_nb(journal, i64(ENTRY_BYTES)) != ROOM_NONE:
        take_reading_nb(state, reading_ns)
        append_clock_nb(state, journal, reading_ns)
    append_events_nb(state, journal)
