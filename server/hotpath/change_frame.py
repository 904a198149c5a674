"""A change on its way through the ring, and the owner's side of that way.

A frame is FRAME, then the rows, then the bytes of the StateChange, each filled up to whole words.
The rows are what is applied; they were checked where the frame was made, so nothing here can fail.
The bytes travel along because the very ones that were published, and no others, are to be kept
wherever a change is recorded. A refused change is a FRAME alone, of kind NO_CHANGE: it takes its
place in the order, is counted there, and changes nothing.
"""

from __future__ import annotations

from typing import Any

from server.hotpath.apply import apply_change_nb
from server.hotpath.change_kinds import NO_CHANGE
from server.hotpath.intrinsics import address_reference
from server.hotpath.jit import i64, routine
from server.hotpath.journal.appending import append_change_nb
from server.hotpath.journal.entries import ENTRY_BYTES
from server.hotpath.journal.event_entries import append_events_nb
from server.hotpath.journal.segment_room import ROOM, make_room_nb
from server.hotpath.ring import next_frame_bytes_nb, pop_nb, settle_nb
from server.hotpath.ring_frame import FRAME, FRAME_BYTES

frame_at = address_reference(FRAME)


@routine
def apply_frame_nb(state: Any, address: int, reading_ns: int) -> None:
    """Apply the change of the frame at an address, from a ring or from a journal."""
    frame = frame_at(address)
    apply_change_nb(
        state,
        frame.kind,
        frame.version,
        frame.deleted != 0,
        address + FRAME_BYTES,
        frame.row_count,
        reading_ns,
    )


@routine
def drain_nb(state: Any, ring: Any, journal: Any, reading_ns: int, changes_max: int) -> int:
    """Apply and journal what waits in a ring, oldest first. Owner only.

    A change that finds no room in the journal stays in the ring.

    Args:
        state: MEMORY record.
        ring: RING record.
        journal: JOURNAL record.
        reading_ns: wall clock, the same for every change.
        changes_max: most changes to take, refused ones included.

    Returns:
        How many were applied; refused ones are counted in the ring.
    """
    applied = i64(0)
    for _ in range(changes_max):
        frame_bytes = next_frame_bytes_nb(ring)
        if frame_bytes == 0:
            break
        if make_room_nb(journal, ENTRY_BYTES + frame_bytes) != ROOM:
            journal.barred += 1
            break
        pop_nb(ring)
        refused = frame_at(ring.popped).kind == NO_CHANGE
        if not refused:
            apply_frame_nb(state, ring.popped, reading_ns)
            append_change_nb(state, journal, ring.popped, frame_bytes, reading_ns)
            append_events_nb(state, journal)
            applied += 1
        settle_nb(ring, refused)
    return applied
