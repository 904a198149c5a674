"""The C structures that the lane shares with the kernel and libnghttp2, and its own records.

A numpy dtype with `align=True` has the layout of the C structure. `epoll_event` is packed on x86-64
only. Sizes are checked by tests/hotpath/lane/test_lane_structs.py against a C compiler's answer.
"""

from __future__ import annotations

import platform
from typing import Final

import numpy as np

from server.hotpath.intrinsics import address_reference
from server.hotpath.layout import packed_dtype

_I8 = "<i8"

# --- C structures ---

EPOLL_EVENT: Final = np.dtype(
    [("events", "<u4"), ("data", "<i8")], align=platform.machine() != "x86_64"
)
EPOLL_EVENT_BYTES: Final = EPOLL_EVENT.itemsize
FRAME_HEADER: Final = np.dtype(
    [
        ("length", "<i8"),
        ("stream_id", "<i4"),
        ("type", "u1"),
        ("flags", "u1"),
        ("reserved", "u1"),
    ],
    align=True,
)
NAME_VALUE: Final = np.dtype(
    [
        ("name", "<i8"),
        ("value", "<i8"),
        ("name_length", "<i8"),
        ("value_length", "<i8"),
        ("flags", "u1"),
    ],
    align=True,
)
DATA_PROVIDER: Final = np.dtype([("source", "<i8"), ("read", "<i8")], align=True)
SETTINGS_ENTRY: Final = np.dtype([("id", "<i4"), ("value", "<u4")], align=True)
SETTINGS_ENTRY_BYTES: Final = SETTINGS_ENTRY.itemsize

# --- One connection ---

CONNECTION_FREE: Final = 0
CONNECTION_HANDSHAKE: Final = 1  # TLS
CONNECTION_JUDGING: Final = 2  # the certificate is being looked at; nothing is read
CONNECTION_OPEN: Final = 3

CONNECTION: Final = packed_dtype(
    ("lane", _I8),  # address of the LANE record
    ("state", _I8),
    ("next", _I8),  # free list
    ("fd", _I8),
    ("serial", _I8),  # number of this connection since start
    ("session", _I8),  # nghttp2_session*
    ("ssl", _I8),  # SSL*, 0: plaintext
    ("watched", _I8),  # events that epoll reports now
    ("opened_ns", _I8),  # monotonic
    ("active_ns", _I8),  # last byte in or out
    ("greeted", _I8),  # 1: the peer's SETTINGS have come
    ("goaway", _I8),  # 1: told that no new call is taken
    ("parted_ns", _I8),  # monotonic; since when all is said and the peer is to close; 0: not yet
    ("first_call", _I8),  # list of its calls
    ("calls", _I8),
    ("pool_use", (_I8, (3,))),  # buffers it holds, by pool
    ("touched", _I8),  # 1: in the list of connections to flush
    ("next_touched", _I8),
    ("unsent", _I8),  # address of bytes that the socket did not take
    ("unsent_from", _I8),
    ("unsent_to", _I8),
    ("must_close", _I8),  # 1: close after the flush
    ("judge_cell", _I8),
    ("grant", _I8),  # address of the GRANT of the peer's certificate; 0: it may call nothing
)

# --- One call ---

METHOD_UNKNOWN: Final = 0
METHOD_DECIDE: Final = 1
METHOD_DECIDE_BATCH: Final = 2
METHOD_DECIDE_STREAM: Final = 3
METHOD_REPORT_EXECUTION: Final = 4
METHOD_SYNC_ACCOUNT: Final = 5
METHOD_WATCH_DIRECTIVES: Final = 6
METHOD_ACK_DIRECTIVE: Final = 7
METHOD_HEALTH_CHECK: Final = 8
METHOD_HEALTH_WATCH: Final = 9
METHOD_KILL: Final = 10
METHODS: Final = 11

CALL_FREE: Final = 0
CALL_READING: Final = 1  # headers or message are not complete
CALL_READY: Final = 2  # in a queue to be judged
CALL_PARKED: Final = 3  # waits for a newer state
CALL_ANSWERED: Final = 4  # the last byte of its answer is known; nothing more is read

CALL: Final = packed_dtype(
    ("connection", _I8),
    ("state", _I8),
    ("next", _I8),  # list of the connection's calls, or free list
    ("previous", _I8),
    ("next_queued", _I8),
    ("queued", _I8),  # 1: in a queue; a call that ends meanwhile is freed when it is taken out
    ("gone", _I8),  # 1: its stream is closed
    ("stream_id", _I8),
    ("method", _I8),
    ("opened_ns", _I8),  # monotonic
    ("deadline_ns", _I8),  # monotonic; 0: none
    ("received_ns", _I8),  # Unix time of the last bytes
    ("parked_until_ns", _I8),
    ("header_bytes", _I8),
    ("header_flags", _I8),  # HEADER_*
    ("judged_headers", _I8),
    ("peer_ended", _I8),  # 1: END_STREAM has come
    ("answering", _I8),  # 1: response headers are submitted
    ("finished", _I8),  # 1: `output` holds all there will be
    ("deferred", _I8),  # 1: nghttp2 waits for more output
    ("status", _I8),  # gRPC status of the trailers
    ("text", _I8),  # T_* of the trailers; 0: none
    ("pool", _I8),  # of its buffers; NO_POOL: none
    ("buffers", _I8),  # address
    ("prefix", _I8),  # the five bytes before a message, as they come
    ("prefix_bytes", _I8),
    ("message_bytes", _I8),  # length of the one message of a unary call
    ("input", _I8),
    ("input_size", _I8),
    ("input_from", _I8),
    ("input_to", _I8),
    ("owed_bytes", _I8),  # received on the stream, not yet given back to its window
    ("partial_since_ns", _I8),  # monotonic; when the unfinished message began; 0: none
    ("output", _I8),
    ("output_size", _I8),
    ("output_from", _I8),
    ("output_to", _I8),
    ("said_health", _I8),  # last status sent to a watcher; 0: none
    ("begun_event", _I8),  # newest event when a watch of directives began
    ("seen_event", _I8),  # newest event that it has looked at
)

CALL_PREFIX_OFFSET: Final[int] = CALL.fields["prefix"][1]  # type: ignore[index]

HEADER_POST: Final = 1
HEADER_GRPC: Final = 2  # content-type: application/grpc…
HEADER_COMPRESSED: Final = 4  # grpc-encoding other than identity
HEADER_BAD_TIMEOUT: Final = 8
HEADER_TOO_LARGE: Final = 16

connection_at = address_reference(CONNECTION)
call_at = address_reference(CALL)
frame_header_at = address_reference(FRAME_HEADER)
name_value_at = address_reference(NAME_VALUE)
data_provider_at = address_reference(DATA_PROVIDER)
settings_entry_at = address_reference(SETTINGS_ENTRY)
epoll_event_at = address_reference(EPOLL_EVENT)
