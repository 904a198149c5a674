"""A change on its way through the ring, and the owner's side of that way.

A frame is FRAME, then the rows, then the bytes of the StateChange, each filled up to whole words.
The rows are what is applied; they were checked where the frame was made, so nothing here can fail.
The bytes travel along because the very ones that were published, and no others, are to be kept
wherever a change is recorded. A refused change is a FRAME alone, of kind NO_CHANGE: it takes its
place in the order, is counted there, and changes nothing.
"""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.apply import apply_change_nb
from server.hotpath.change_kinds import NO_CHANGE
from server.hotpath.intrinsics import address_reference
from server.hotpath.jit import i64, routine
from server.hotpath.layout import packed_dtype
from server.hotpath.ring import pop_nb, settle_nb

_I8 = "<i8"

FRAME: Final = packed_dtype(
    ("frame_bytes", _I8),  # of the whole frame, a multiple of 8
    ("kind", _I8),  # riskgate.v1.ChangeKind; NO_CHANGE: refused
    ("version", _I8),
    ("deleted", _I8),  # 0 or 1; 1: one row with only its key columns filled
    ("slot", _I8),  # of the model that was loaded for it; also in its rows
    ("row_count", _I8),
    ("rows_bytes", _I8),
    ("change_bytes", _I8),  # length of the StateChange, which begins behind the rows
)
FRAME_BYTES: Final = FRAME.itemsize

frame_at = address_reference(FRAME)


@routine
def drain_nb(state: Any, ring: Any, reading_ns: int, changes_max: int) -> int:
    """Apply what waits in a ring, oldest first. Owner only.

    Args:
        state: MEMORY record.
        ring: RING record.
        reading_ns: wall clock, the same for every change.
        changes_max: most changes to take, refused ones included.

    Returns:
        How many were applied; refused ones are counted in the ring.
    """
    applied = i64(0)
    for _ in range(changes_max):
        if pop_nb(ring) == 0:
            break
        frame = frame_at(ring.popped)
        refused = frame.kind == NO_CHANGE
        if not refused:
            apply_change_nb(
                state,
                frame.kind,
                frame.version,
                frame.deleted != 0,
                ring.popped + FRAME_BYTES,
                frame.row_count,
                reading_ns,
            )
            applied += 1
        settle_nb(ring, refused)
    return applied
