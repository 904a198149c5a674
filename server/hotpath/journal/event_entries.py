"""Events into the journal, each behind the entry whose handling made it.

An event that finds no room waits for a later entry; `engine.event_kept_count` says how far they
have come. One that is overwritten before there is room is passed over: nobody can keep it any more.
Exits and reports have the last bytes of the journal to themselves, events have not.
"""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.events import event_row_nb
from server.hotpath.intrinsics import address_of
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.journal.appending import append_made_nb
from server.hotpath.journal.entries import ENTRY_BYTES, KIND_EVENT
from server.hotpath.journal.journal_record import MODE_OFF
from server.hotpath.journal.segment_room import ROOM, make_room_nb
from server.hotpath.memory import engine_of, event_at
from server.hotpath.rows import EVENT_KEPT_BYTES

EVENT_ENTRY_BYTES: Final = ENTRY_BYTES + EVENT_KEPT_BYTES


@routine
def _append_waiting_nb(state: Any, journal: Any) -> None:
    engine = engine_of(state)
    while engine.event_kept_count < engine.event_count:
        event_id = engine.event_kept_count + 1
        row = event_row_nb(state, event_id)
        if row != 0:
            if make_room_nb(journal, i64(EVENT_ENTRY_BYTES)) != ROOM:
                return
            body = address_of(event_at(state, row))
            append_made_nb(
                state, journal, i64(KIND_EVENT), journal.reading_ns, body, i64(EVENT_KEPT_BYTES)
            )
        engine.event_kept_count = event_id


@kernel
def append_events_nb(state: Any, journal: Any) -> None:
    """Keep the events that no entry holds yet, as far as there is room.

    They bring no reading of the clock: theirs is that of the entry before, without one they wait.
    """
    engine = engine_of(state)
    waiting = engine.event_kept_count < engine.event_count
    if waiting and journal.mode != MODE_OFF and journal.reading_ns != 0:
        _append_waiting_nb(state, journal)
