"""What travels through the ring of changes, and from there into the journal: a frame.

FRAME, then the rows, then the bytes of the StateChange, each filled up to whole words.
"""

from __future__ import annotations

from typing import Final

from server.hotpath.layout import packed_dtype

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
