"""Queues of calls: ready to be judged, heavy ones apart, and those that wait for a newer state.

And the list of connections that have something to send.
"""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.jit import i64, kernel, routine
from server.hotpath.lane.pool import give_call_nb
from server.hotpath.lane.structs import (
    CALL_PARKED,
    CALL_READY,
    METHOD_DECIDE_BATCH,
    METHOD_KILL,
    METHOD_SYNC_ACCOUNT,
    call_at,
    connection_at,
)

QUEUE_READY: Final = 0
QUEUE_HEAVY: Final = 1  # one of these per turn, so that single calls need not wait for many
QUEUE_PARKED: Final = 2
QUEUE_URGENT: Final = 3  # kills: before everything else


@routine
def append_call_nb(lane: Any, queue: int, address: int) -> None:
    """Put a call at the end of a queue."""
    call = call_at(address)
    call.queued = 1
    call.next_queued = 0
    if lane.queue_first[queue] == 0:
        lane.queue_first[queue] = address
    else:
        call_at(lane.queue_last[queue]).next_queued = address
    lane.queue_last[queue] = address


@routine
def next_call_nb(lane: Any, queue: int) -> int:
    """Take the oldest call of a queue; 0 when there is none. Calls that are gone are freed."""
    while lane.queue_first[queue] != 0:
        address = lane.queue_first[queue]
        call = call_at(address)
        lane.queue_first[queue] = call.next_queued
        call.queued = 0
        if call.gone == 0:
            return address
        give_call_nb(lane, address)
    return i64(0)


@routine
def queue_call_nb(lane: Any, address: int) -> None:
    """Let a call be judged."""
    call = call_at(address)
    if call.queued == 0:
        call.state = CALL_READY
        queue = i64(QUEUE_READY)
        if call.method in (METHOD_DECIDE_BATCH, METHOD_SYNC_ACCOUNT):
            queue = i64(QUEUE_HEAVY)
        elif call.method == METHOD_KILL:
            queue = i64(QUEUE_URGENT)
        append_call_nb(lane, queue, address)


@routine
def park_call_nb(lane: Any, address: int) -> None:
    """Let a call wait until the state is newer or its time is over."""
    call = call_at(address)
    if call.parked_until_ns == 0:
        call.parked_until_ns = lane.now_ns + lane.state_wait_ns_max
        if call.deadline_ns != 0:
            call.parked_until_ns = min(call.parked_until_ns, call.deadline_ns)
    call.state = CALL_PARKED
    append_call_nb(lane, QUEUE_PARKED, address)


@kernel
def _is_waking_time_nb(lane: Any, state_version: int) -> bool:
    if state_version != lane.parked_version:
        return True
    address = lane.queue_first[QUEUE_PARKED]
    while address != 0:
        call = call_at(address)
        if call.gone != 0 or lane.now_ns >= call.parked_until_ns:
            return True
        address = call.next_queued
    return False


@routine
def wake_parked_nb(lane: Any, state_version: int) -> None:
    """Queue every parked call again when the state has changed or the time of one is over."""
    waking = _is_waking_time_nb(lane, state_version)
    lane.parked_version = state_version
    if not waking:
        return
    address = lane.queue_first[QUEUE_PARKED]
    lane.queue_first[QUEUE_PARKED] = 0
    while address != 0:
        call = call_at(address)
        following = call.next_queued
        call.queued = 0
        if call.gone != 0:
            give_call_nb(lane, address)
        else:
            queue_call_nb(lane, address)
        address = following


@routine
def end_call_nb(lane: Any, address: int) -> None:
    """Free a call whose stream is closed, now or when it comes out of its queue."""
    if call_at(address).queued == 0:
        give_call_nb(lane, address)


@routine
def touch_connection_nb(lane: Any, address: int) -> None:
    """Let a connection be flushed at the end of this turn."""
    connection = connection_at(address)
    if connection.touched == 0:
        connection.touched = 1
        connection.next_touched = lane.touched_first
        lane.touched_first = address
