"""One turn after the other: wait, apply changes, read, judge, sweep, flush, accept.

The thread that calls `serve_nb` owns the engine until it returns. It returns when it has been
stopped, or with an errand: a call that ordinary Python answers, on this same thread.
"""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.change_frame import drain_nb
from server.hotpath.jit import entry, i64, kernel, routine
from server.hotpath.journal.journal_record import journal_at
from server.hotpath.lane.accept import (
    TAG_LISTENER,
    TAG_LOCAL,
    accept_connections_nb,
)
from server.hotpath.lane.connection import close_connection_nb, read_connection_nb
from server.hotpath.lane.directives import queue_watchers_nb
from server.hotpath.lane.drain import flush_touched_nb, wind_up_nb
from server.hotpath.lane.foreign import epoll_wait, read
from server.hotpath.lane.handshake import collect_judgements_nb, continue_handshake_nb
from server.hotpath.lane.health import tell_watchers_nb
from server.hotpath.lane.keeping import drop_unsafe_answers_nb
from server.hotpath.lane.queue import (
    QUEUE_HEAVY,
    QUEUE_PARKED,
    QUEUE_READY,
    QUEUE_URGENT,
    touch_connection_nb,
    wake_parked_nb,
)
from server.hotpath.lane.structs import (
    CONNECTION_FREE,
    CONNECTION_HANDSHAKE,
    CONNECTION_OPEN,
    EPOLL_EVENT_BYTES,
    connection_at,
    epoll_event_at,
)
from server.hotpath.lane.sweep import SWEEP_INTERVAL_NS, sweep_nb
from server.hotpath.lane.turn import judge_calls_nb
from server.hotpath.lane.watching import EPOLL_OUT
from server.hotpath.libc import monotonic_ns_nb, realtime_ns_nb
from server.hotpath.memory import engine_of
from server.hotpath.wire.journaling import tick_nb

# What `serve_nb` returns.
STOPPED: Final = 0
ERRAND: Final = 1

EVENTS_MAX: Final = 256
TAG_WAKE: Final = 4
CHANGES_PER_TURN: Final = 256
_SLEEP_MS_MAX: Final = 100
_PARKED_SLEEP_MS: Final = 1
_EPOLL_BROKEN: Final = 0x18  # ERR | HUP


@kernel
def _sleep_ms_nb(lane: Any, state: Any, ring: Any) -> int:
    """Return how long the next wait may take, milliseconds."""
    if (
        lane.queue_first[QUEUE_READY] != 0
        or lane.queue_first[QUEUE_HEAVY] != 0
        or lane.queue_first[QUEUE_URGENT] != 0
        or engine_of(state).event_count != lane.told_event
        or lane.touched_first != 0
    ):
        return i64(0)
    if ring.written_bytes != ring.read_bytes:
        return i64(_PARKED_SLEEP_MS if lane.changes_wait != 0 else 0)
    if lane.busy_poll_ns > 0 and lane.now_ns - lane.polled_ns < lane.busy_poll_ns:
        return i64(0)
    return i64(_PARKED_SLEEP_MS if lane.queue_first[QUEUE_PARKED] != 0 else _SLEEP_MS_MAX)


@kernel
def _see_time_nb(lane: Any) -> None:
    lane.now_ns = monotonic_ns_nb(lane.timespec)
    lane.received_ns = realtime_ns_nb(lane.timespec)
    lane.beat_ns = lane.now_ns


@routine
def _handle_event_nb(lane: Any, address: int, events: int) -> None:
    connection = connection_at(address)
    if connection.state == CONNECTION_OPEN:
        if connection.watched == EPOLL_OUT:
            touch_connection_nb(lane, address)
        else:
            read_connection_nb(lane, address)
    elif connection.state == CONNECTION_HANDSHAKE:
        continue_handshake_nb(lane, address)
    elif connection.state != CONNECTION_FREE and events & _EPOLL_BROKEN:
        close_connection_nb(lane, address)


@routine
def _take_events_nb(lane: Any, count: int) -> int:
    """Act on what epoll has reported; return which listeners have new connections, as bits."""
    waiting = i64(0)
    for position in range(count):
        event = epoll_event_at(lane.events + position * i64(EPOLL_EVENT_BYTES))
        tag = event.data
        if tag in (TAG_LISTENER, TAG_LOCAL):
            waiting |= tag
        elif tag == TAG_WAKE:
            read(lane.wake_fd, lane.chunk, i64(8))
        else:
            _handle_event_nb(lane, tag, i64(event.events))
    return waiting


@kernel
def _accept_nb(lane: Any, waiting: int) -> None:
    if waiting & TAG_LISTENER:
        accept_connections_nb(lane, False)
    if waiting & TAG_LOCAL:
        accept_connections_nb(lane, True)
    flush_touched_nb(lane)


@entry
def serve_nb(lane: Any, state: Any, wire: Any, ring: Any) -> int:
    """Serve until stopped or until an errand; returns STOPPED or ERRAND.

    Args:
        lane: LANE record, prepared by `server.hotpath.lane.memory.new_lane`.
        state: MEMORY record of the engine.
        wire: WIRE record.
        ring: RING record of changes.
    """
    while True:
        sleep_ms = _sleep_ms_nb(lane, state, ring)
        count = epoll_wait(lane.epoll_fd, lane.events, i64(EVENTS_MAX), sleep_ms)
        _see_time_nb(lane)
        lane.turns += 1
        if count > 0:
            lane.polled_ns = lane.now_ns
        journal = journal_at(lane.journal)
        applied = drain_nb(state, ring, journal, lane.received_ns, i64(CHANGES_PER_TURN))
        lane.changes_wait = 1 if applied == 0 else 0  # if any are left, the journal is full
        waiting = _take_events_nb(lane, i64(count))
        collect_judgements_nb(lane)
        wake_parked_nb(lane, engine_of(state).state_version)
        if engine_of(state).event_count != lane.told_event:
            queue_watchers_nb(lane, state)
        errand = judge_calls_nb(lane, state, wire)
        if lane.health != lane.said_health:
            lane.said_health = lane.health
            tell_watchers_nb(lane)
        if lane.now_ns - lane.swept_ns >= SWEEP_INTERVAL_NS:
            tick_nb(state, journal, lane.received_ns)
            sweep_nb(lane)
        drop_unsafe_answers_nb(lane)
        flush_touched_nb(lane)
        if waiting != 0:
            _accept_nb(lane, waiting)
        if errand:
            return ERRAND
        if lane.stop != 0 and wind_up_nb(lane):
            return STOPPED
