"""What compiled code knows of the journal: its segments, its marks, its troubles, its counts.

The owner of the engine writes it. Another thread of the process, the keeper, prepares the next
segment and sets the columns `next_*`, `next_ready` last; the owner takes it and clears that mark.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from server.hotpath.intrinsics import address_reference
from server.hotpath.layout import packed_dtype

_I8 = "<i8"

# How answers are kept before they leave.
MODE_OFF: Final = 0  # nowhere: a restart forgets them
MODE_PROCESS: Final = 1  # in the page cache: they survive the death of the process
MODE_DISK: Final = 2  # synced once per turn: they survive the loss of power

JOURNAL: Final = packed_dtype(
    ("mode", _I8),
    ("epoch", _I8),
    # --- the segment in use ---
    ("segment", _I8),  # address where it is mapped
    ("segment_bytes", _I8),
    ("segment_fd", _I8),
    ("segment_number", _I8),
    ("at", _I8),  # offset of the next entry; 0: the header is still to be completed
    # --- the one to come, made by the keeper ---
    ("next_segment", _I8),
    ("next_bytes", _I8),
    ("next_fd", _I8),
    ("next_number", _I8),
    ("next_ready", _I8),  # 1: the four above count
    # --- marks ---
    ("entry_number", _I8),  # of the newest entry written
    ("synced_number", _I8),  # of the newest entry known to be on disk
    ("reading_ns", _I8),  # clock reading of the newest entry
    ("reserve_bytes", _I8),  # kept at the end of the last segment for exits and reports
    # --- troubles ---
    ("failed", _I8),  # errno of a sync that failed; never tried again on that file
    ("fenced", _I8),  # 1: an engine of a higher epoch is active
    ("active_epoch", _I8),  # address of the epoch that may answer, shared with other processes
    ("kill_point", _I8),  # for tests: KILL_*, the place at which the process kills itself
    ("kill_entry", _I8),  # and from which entry on
    # --- counts ---
    ("bytes_written", _I8),
    ("rotations", _I8),
    ("syncs", _I8),
    ("sync_ns", _I8),  # sum
    ("barred", _I8),  # calls and changes that found no room
    ("timespec", (_I8, (2,))),
)

journal_at = address_reference(JOURNAL)


def new_journal() -> np.ndarray[Any, np.dtype[Any]]:
    """Return a journal that keeps nothing, JOURNAL[1]."""
    return np.zeros(1, JOURNAL)
