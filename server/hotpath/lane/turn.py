"""Which calls are judged in one turn: a kill, then all that are ready, then one heavy call."""

from __future__ import annotations

from typing import Any

from server.hotpath.jit import part
from server.hotpath.lane.calls import judge_call_nb
from server.hotpath.lane.queue import (
    QUEUE_HEAVY,
    QUEUE_READY,
    QUEUE_URGENT,
    next_call_nb,
    touch_connection_nb,
)
from server.hotpath.lane.structs import call_at, connection_at
from server.hotpath.wire.grants import begin_grant_nb


@part
def _judge_next_nb(lane: Any, state: Any, wire: Any, queue: int) -> bool:
    """Judge the oldest call of a queue; tell whether Python has an errand."""
    address = next_call_nb(lane, queue)
    if address == 0:
        return False
    call = call_at(address)
    touch_connection_nb(lane, call.connection)
    if judge_call_nb(lane, state, wire, call, address):
        lane.errand = address
        # Now: its connection may be gone when Python looks at it.
        begin_grant_nb(wire, connection_at(call.connection).grant, call.method)
        call.queued = 1  # should its stream close meanwhile, it is freed after the errand
        return True
    return False


@part
def judge_calls_nb(lane: Any, state: Any, wire: Any) -> bool:
    """Judge what is ready and one heavy call; tell whether Python has an errand.

    What is judged behind a kill is judged under it. Every other turn is for the others, however
    many kills there are.
    """
    is_urgent = lane.queue_first[QUEUE_URGENT] != 0 and lane.was_urgent == 0
    lane.was_urgent = 1 if is_urgent else 0
    if is_urgent and _judge_next_nb(lane, state, wire, QUEUE_URGENT):
        return True
    last = lane.queue_last[QUEUE_READY]
    while True:
        address = next_call_nb(lane, QUEUE_READY)
        if address == 0:
            break
        call = call_at(address)
        touch_connection_nb(lane, call.connection)
        judge_call_nb(lane, state, wire, call, address)
        if address == last:
            break  # streams may have queued themselves again
    return _judge_next_nb(lane, state, wire, QUEUE_HEAVY)
