"""The end of a turn, when everything ready is sent, and the end of a lane after a stop."""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.jit import i64, routine
from server.hotpath.lane.accept import listen_nb
from server.hotpath.lane.connection import close_connection_nb
from server.hotpath.lane.flush import flush_connection_nb
from server.hotpath.lane.pool import CONNECTION_BYTES
from server.hotpath.lane.queue import (
    QUEUE_HEAVY,
    QUEUE_PARKED,
    QUEUE_READY,
    QUEUE_URGENT,
    next_call_nb,
)
from server.hotpath.lane.structs import connection_at
from server.hotpath.lane.sweep import sweep_nb

_STOP_NOW: Final = 2


@routine
def flush_touched_nb(lane: Any) -> None:
    """Send what the touched connections have ready."""
    address = lane.touched_first
    lane.touched_first = 0
    while address != 0:
        following = connection_at(address).next_touched
        flush_connection_nb(lane, address)
        address = following


@routine
def wind_up_nb(lane: Any) -> bool:
    """Wind up after a stop; tell whether everything is finished."""
    if lane.draining_since_ns == 0:
        lane.draining_since_ns = lane.now_ns
        listen_nb(lane, False)
        sweep_nb(lane)
        flush_touched_nb(lane)
    late = lane.now_ns - lane.draining_since_ns > lane.drain_ns_max
    if lane.stop != _STOP_NOW and not late and lane.connections_now > 0:
        return False
    for number in range(lane.connections_fresh):
        address = lane.connections + number * i64(CONNECTION_BYTES)
        close_connection_nb(lane, address)
    for queue in (QUEUE_READY, QUEUE_HEAVY, QUEUE_PARKED, QUEUE_URGENT):
        next_call_nb(lane, queue)  # all of them are gone: it frees them and finds none
    return True
