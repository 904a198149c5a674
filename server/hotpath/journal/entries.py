"""The bytes of the journal: segments and the entries in them, readable in one place.

A segment is a file of fixed size: a header that fills one page, then entries back to back, each a
whole number of words, then zeros. An entry is whole when its first word is not zero and its
checksum agrees; that word is stored last. Numbers are little endian.

The checksum is CRC32C (Castagnoli) over the entry's size as one word, then all behind the first
word. Of a header it is taken over all behind `magic` and `checksum`.
"""

from __future__ import annotations

from typing import Final

from server.hotpath.layout import columns_of, packed_dtype
from server.hotpath.reasons import REASONS_MAX
from server.hotpath.rows import EVENT

_I8 = "<i8"
_F8 = "<f8"

FORMAT_VERSION: Final = 2
MAGIC: Final = int.from_bytes(b"RGJRNL01", "little")
HEADER_BYTES: Final = 4_096

# The first bytes of a segment; zeros fill the page.
SEGMENT: Final = packed_dtype(
    ("magic", _I8),
    ("checksum", _I8),
    ("format_version", _I8),
    ("segment_bytes", _I8),  # of the whole file
    ("number", _I8),  # 1, 2, 3 … in one journal
    ("first_entry", _I8),  # number of its first entry
    ("epoch", _I8),
    ("shard", _I8),
    ("shards", _I8),
    ("arithmetic_version", _I8),
    ("layout_version", _I8),
    ("made_at_ns", _I8),
    ("sources", (_I8, (4,))),  # hash of the hot-path sources, text
    ("release", (_I8, (4,))),  # version of riskgate, text
    ("boot", (_I8, (5,))),  # identity of the running system, text: another one means power was off
)

# What every entry begins with.
ENTRY: Final = packed_dtype(
    ("size_and_checksum", _I8),  # bytes of the entry in the low half, CRC32C in the high half
    ("number", _I8),  # 1, 2, 3 … through all segments, without a gap
    ("sequence", _I8),  # of the engine behind this entry
    ("kind", _I8),
    ("synced", _I8),  # number of the newest entry known to be on disk when this one was written
    ("reading_ns", _I8),  # clock reading that it was made at, Unix nanoseconds
)
ENTRY_BYTES: Final = ENTRY.itemsize

KIND_START: Final = 1  # an engine begins an epoch
KIND_CHANGE: Final = 2  # one change, as its frame came through the ring
KIND_CLOCK: Final = 3  # a reading of the clock and nothing else
KIND_DECIDE: Final = 4  # a call and its answer, here and below
KIND_BATCH: Final = 5
KIND_STREAM: Final = 6  # one message of a stream in which a decision was made
KIND_REPORT: Final = 7
KIND_SYNC: Final = 8
KIND_ACKNOWLEDGE: Final = 9  # a router says what became of a directive
KIND_EVENT: Final = 10  # a breaker has tripped: EVENT_KEPT, made by an entry before
KIND_NAMES: Final = (
    "",
    "start",
    "change",
    "clock",
    "decide",
    "batch",
    "stream",
    "report",
    "sync",
    "acknowledge",
    "event",
)
CALL_KINDS: Final = (KIND_DECIDE, KIND_BATCH, KIND_STREAM, KIND_REPORT, KIND_SYNC, KIND_ACKNOWLEDGE)

# Behind ENTRY in an entry of KIND_START: whatever changes answers besides the entries themselves.
START: Final = packed_dtype(
    *columns_of(ENTRY),
    ("epoch", _I8),
    ("started_at_ns", _I8),
    ("restarted", _I8),  # 1: earlier holds are unknown
    ("idempotency_min_age_ns", _I8),
    ("durability", _I8),  # riskgate.v1.Durability
    ("request_bytes_max", _I8),
    ("shard", _I8),
    ("shards", _I8),
    ("capacity", (_I8, (16,))),  # in the order of server.hotpath.memory.Capacity
)

# Behind ENTRY in an entry of KIND_EVENT: what of EVENT never changes.
EVENT_KEPT: Final = packed_dtype(
    *columns_of(EVENT)[: list(EVENT.names or ()).index("account_row")],
)

# Behind ENTRY in an entry of KIND_CHANGE: a FRAME as it came through the ring, with rows and bytes.

# An entry of a call: behind it the readings, the request, the answer and the identity of the
# caller, in this order, each filled up to whole words.
CALL: Final = packed_dtype(
    *columns_of(ENTRY),
    ("reading_count", _I8),
    ("request_bytes", _I8),
    ("answer_bytes", _I8),
    ("identity_bytes", _I8),
)
CALL_BYTES: Final = CALL.itemsize

# One per decision made in the call, in order.
READING: Final = packed_dtype(
    ("decided_ns", _I8),  # clock reading behind the decision, for `server_ns`
    ("q50_pips", _F8),  # what the model said; 0 without one
    ("q90_pips", _F8),
    ("binding", _I8),  # 1 + index of the binding reason; 0: none
    ("limit", _I8),  # of the binding reason, as are the next two, in the engine's units
    ("observed", _I8),
    ("lots_max", _I8),
    ("status", ("u1", (REASONS_MAX,))),  # of every check, by reason index
)
READING_BYTES: Final = READING.itemsize
