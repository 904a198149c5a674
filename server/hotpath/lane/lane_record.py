"""The record of one lane: its descriptors, bounds, memory, queues and counters.

Written by the lane's thread, except where a column says otherwise; read by any other thread as
plain integers, which may be a moment apart.
"""

from __future__ import annotations

from typing import Final

from server.hotpath.intrinsics import address_reference
from server.hotpath.lane.structs import METHODS
from server.hotpath.layout import packed_dtype

_I8 = "<i8"

# Upper bounds of the latency buckets, nanoseconds; one more bucket has no bound.
LATENCY_BOUNDS_NS: Final = (
    *(1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000),
    *(1_000_000, 2_000_000, 5_000_000, 10_000_000, 50_000_000, 100_000_000, 1_000_000_000),
)
BUCKETS: Final = len(LATENCY_BOUNDS_NS) + 1
STATUS_CODES: Final = 17

# A pool of buffer pairs: input and output of one call.
POOL: Final = packed_dtype(
    ("memory", _I8),
    ("input_bytes", _I8),
    ("output_bytes", _I8),
    ("capacity", _I8),
    ("used", _I8),
    ("fresh", _I8),  # pairs never used so far
    ("free", _I8),  # address of the first free pair, linked by its first word
)
POOL_SMALL: Final = 0  # one decision or report
POOL_MEDIUM: Final = 1  # a stream, or a request with a long text
POOL_LARGE: Final = 2  # a batch, or a broker's whole view of an account
POOLS: Final = 3
NO_POOL: Final = -1

STATUS_UNKNOWN: Final = 0
STATUS_SERVING: Final = 1
STATUS_NOT_SERVING: Final = 2

LANE: Final = packed_dtype(
    # --- descriptors ---
    ("epoll_fd", _I8),
    ("listen_fd", _I8),
    ("local_fd", _I8),  # a Unix socket, always in plaintext; -1: none
    ("wake_fd", _I8),
    ("listening", _I8),  # 1: the listeners are in the epoll set
    # --- set by other threads ---
    ("stop", _I8),  # 1: drain and return; 2: return at once
    ("may_listen", _I8),  # 1: take connections; until then they wait in the backlog
    ("is_ready", _I8),  # 1: the state is current
    ("health", _I8),  # STATUS_*
    ("tls_context", _I8),  # SSL_CTX* for the next connection; 0: plaintext
    ("tls_judged", _I8),  # 1: a client certificate is required and judged
    ("open_grant", _I8),  # address of the GRANT of peers without a certificate; 0: none is let in
    ("local_grant", _I8),  # the same at the local socket, which only its owner can open
    # --- bounds ---
    ("connections_max", _I8),
    ("idle_ns_max", _I8),
    ("request_ns_max", _I8),  # for unfinished requests, handshakes and writes
    ("drain_ns_max", _I8),
    ("state_wait_ns_max", _I8),
    ("busy_poll_ns", _I8),
    ("request_bytes_max", _I8),
    ("port_bytes_max", _I8),
    # --- memory ---
    ("timespec", _I8),
    ("events", _I8),  # epoll_event[EVENTS_MAX]
    ("inbox", _I8),  # bytes as they come from a socket
    ("outbox", _I8),  # bytes on their way to a socket
    ("headers", _I8),  # name_value[]: see replies.py
    ("chunk", _I8),  # where nghttp2 writes the address of what is to be sent
    ("connections", _I8),  # CONNECTION[connections_max]
    ("connections_fresh", _I8),
    ("connections_free", _I8),
    ("calls", _I8),  # CALL[calls_max]
    ("calls_max", _I8),
    ("calls_fresh", _I8),
    ("calls_free", _I8),
    ("pools", _I8),  # POOL[POOLS]
    ("unsent_memory", _I8),  # UNSENT_BYTES for each connection
    ("callbacks", _I8),  # nghttp2_session_callbacks*
    ("options", _I8),  # nghttp2_option*
    ("read_answer", _I8),  # address of the data source callback
    ("board", _I8),  # of certificates to be judged: judging.py
    ("certificate", _I8),  # DER bytes on their way there
    ("journal", _I8),  # address of the JOURNAL record
    ("changes_wait", _I8),  # 1: no change of the ring was taken in this turn
    ("kept_number", _I8),  # newest entry whose answers may leave
    ("pushback_ns", _I8),  # after which a caller with too many calls may try again
    # --- queues ---
    ("queue_first", (_I8, (4,))),  # calls: QUEUE_*
    ("queue_last", (_I8, (4,))),
    ("said_health", _I8),  # what the watchers were told; an errand may fall between two changes
    ("was_urgent", _I8),  # 1: the last turn began with a kill
    ("told_event", _I8),  # newest event that watchers of directives were queued for
    ("parked_version", _I8),  # state version when they were last looked at
    ("touched_first", _I8),
    ("errand", _I8),  # call that Python has to answer
    # --- time ---
    ("now_ns", _I8),  # monotonic, of this turn
    ("received_ns", _I8),  # Unix time of the bytes being read
    ("beat_ns", _I8),  # monotonic, of the last turn: a watchdog looks at it
    ("swept_ns", _I8),
    ("polled_ns", _I8),  # when something last happened
    ("draining_since_ns", _I8),
    # --- counters ---
    ("turns", _I8),
    ("connections_now", _I8),
    ("connections_accepted", _I8),
    ("connections_refused", _I8),
    ("connections_timed_out", _I8),
    ("connections_broken", _I8),  # protocol or TLS error
    ("calls_now", _I8),
    ("calls_started", _I8),
    ("calls_refused", _I8),  # no call or buffer was free for this connection
    ("calls_cancelled", _I8),
    ("streams_paused", _I8),
    ("bytes_in", _I8),
    ("bytes_out", _I8),
    ("answers", (_I8, (METHODS,))),
    ("errors", (_I8, (STATUS_CODES,))),  # whole calls, by gRPC status
    ("latency_ns", (_I8, (METHODS,))),  # sums
    ("latency_buckets", (_I8, (METHODS * BUCKETS,))),
)

lane_at = address_reference(LANE)
pool_at = address_reference(POOL)
