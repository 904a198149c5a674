"""Time limits, looked at ten times a second: nobody holds shared things by doing nothing."""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.jit import i64, kernel, routine
from server.hotpath.lane.accept import listen_nb
from server.hotpath.lane.connection import close_connection_nb
from server.hotpath.lane.flush import say_goodbye_nb
from server.hotpath.lane.foreign import session_get_last_proc_stream_id, submit_rst_stream
from server.hotpath.lane.handshake import ask_judge_nb
from server.hotpath.lane.judging import NO_CELL
from server.hotpath.lane.pool import CONNECTION_BYTES
from server.hotpath.lane.queue import queue_call_nb, touch_connection_nb
from server.hotpath.lane.replies import end_answer_nb, refuse_with_nb
from server.hotpath.lane.structs import (
    CALL_ANSWERED,
    CALL_READING,
    CONNECTION_FREE,
    CONNECTION_JUDGING,
    CONNECTION_OPEN,
    METHOD_DECIDE_STREAM,
    METHOD_HEALTH_WATCH,
    METHOD_WATCH_DIRECTIVES,
    call_at,
    connection_at,
)
from server.hotpath.lane.texts import (
    DEADLINE_EXCEEDED,
    OK,
    T_STOPPING,
    T_TOO_LATE,
    T_UNFINISHED,
    UNAVAILABLE,
)

SWEEP_INTERVAL_NS: Final = 100_000_000
# Longest wait for a peer to close after our last word.
PARTING_NS_MAX: Final = 1_000_000_000
_CANCEL: Final = 8


@kernel
def _is_unfinished_nb(lane: Any, call: Any) -> bool:
    if call.state != CALL_READING:
        return False
    since_ns = call.partial_since_ns
    if since_ns == 0 and call.method != METHOD_DECIDE_STREAM:
        since_ns = call.opened_ns
    return since_ns != 0 and lane.now_ns - since_ns > lane.request_ns_max


@kernel
def _is_untaken_nb(lane: Any, call: Any) -> bool:
    """Tell whether the one answer of a call has waited too long for a window of its peer."""
    if call.finished == 0 or call.method == METHOD_DECIDE_STREAM:
        return False
    if call.partial_since_ns == 0:
        call.partial_since_ns = lane.now_ns  # first seen waiting: the call is read, so it is free
    return lane.now_ns - call.partial_since_ns > lane.request_ns_max


@kernel
def _sweep_call_nb(lane: Any, address: int) -> None:
    call = call_at(address)
    if call.state == CALL_READING and call.deadline_ns != 0 and lane.now_ns >= call.deadline_ns:
        refuse_with_nb(lane, call, DEADLINE_EXCEEDED, T_TOO_LATE)
        touch_connection_nb(lane, call.connection)
    elif _is_unfinished_nb(lane, call):
        refuse_with_nb(lane, call, DEADLINE_EXCEEDED, T_UNFINISHED)
        touch_connection_nb(lane, call.connection)
    elif _is_untaken_nb(lane, call):
        # Or a few peers that open no window would hold every large buffer.
        lane.calls_cancelled += 1
        submit_rst_stream(connection_at(call.connection).session, 0, call.stream_id, _CANCEL)
        call.partial_since_ns = lane.now_ns
        touch_connection_nb(lane, call.connection)
    elif lane.draining_since_ns != 0 and call.finished == 0:
        if call.method == METHOD_DECIDE_STREAM and call.state == CALL_READING:
            queue_call_nb(lane, address)
        elif call.method == METHOD_HEALTH_WATCH and call.state == CALL_ANSWERED:
            end_answer_nb(call, OK)
            touch_connection_nb(lane, call.connection)
        elif call.method == METHOD_WATCH_DIRECTIVES and call.state == CALL_ANSWERED:
            refuse_with_nb(lane, call, i64(UNAVAILABLE), i64(T_STOPPING))
            touch_connection_nb(lane, call.connection)


@kernel
def _is_stalled_nb(lane: Any, connection: Any) -> bool:
    """Tell whether a peer is late with its greeting, or does not take what we send."""
    if connection.greeted == 0:
        return lane.now_ns - connection.opened_ns > lane.request_ns_max
    waits = connection.unsent_to > 0
    return waits and lane.now_ns - connection.active_ns > lane.request_ns_max


@kernel
def _holds_answers_nb(connection: Any) -> bool:
    """Tell whether answers wait for a peer that opens no window for them."""
    address = connection.first_call
    while address != 0:
        call = call_at(address)
        if call.output_from < call.output_to:
            return True
        address = call.next
    return False


@kernel
def _sweep_connection_nb(lane: Any, address: int) -> None:
    connection = connection_at(address)
    quiet_ns = lane.now_ns - connection.active_ns
    if _is_stalled_nb(lane, connection):
        lane.connections_timed_out += 1
        close_connection_nb(lane, address)
        return
    if connection.state == CONNECTION_JUDGING and connection.judge_cell == NO_CELL:
        ask_judge_nb(lane, address)
    draining = lane.draining_since_ns != 0
    if connection.state != CONNECTION_OPEN:
        if draining:
            close_connection_nb(lane, address)  # nothing was asked yet
        return
    if connection.parted_ns != 0:
        if lane.now_ns - connection.parted_ns > PARTING_NS_MAX:
            close_connection_nb(lane, address)
        return
    idle = quiet_ns > lane.idle_ns_max
    if idle and _holds_answers_nb(connection):
        lane.connections_timed_out += 1
        close_connection_nb(lane, address)
        return
    if connection.goaway == 0 and (draining or (idle and connection.calls == 0)):
        say_goodbye_nb(lane, address, i64(session_get_last_proc_stream_id(connection.session)))
    call_address = connection.first_call
    while call_address != 0:
        following = call_at(call_address).next
        _sweep_call_nb(lane, call_address)
        call_address = following


@routine
def sweep_nb(lane: Any) -> None:
    """Look at every connection and call once."""
    lane.swept_ns = lane.now_ns
    for number in range(lane.connections_fresh):
        address = lane.connections + number * i64(CONNECTION_BYTES)
        if connection_at(address).state != CONNECTION_FREE:
            _sweep_connection_nb(lane, address)
    listen_nb(lane, lane.may_listen != 0 and lane.draining_since_ns == 0)
