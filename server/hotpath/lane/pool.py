"""Calls, connections and buffers: slabs made before start, with free lists threaded through them.

Nothing is allocated while the lane runs. What is scarce is shared fairly: a connection may hold at
most a share of what is still free, so however many peers hoard, a newcomer finds something left.
"""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.intrinsics import address_of, load_long, store_long
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.lane.lane_record import NO_POOL, POOL, pool_at
from server.hotpath.lane.structs import (
    CALL,
    CALL_FREE,
    CALL_READING,
    CONNECTION,
    CONNECTION_FREE,
    call_at,
    connection_at,
)

CALL_BYTES: Final = CALL.itemsize
CONNECTION_BYTES: Final = CONNECTION.itemsize
POOL_BYTES: Final = POOL.itemsize
# A connection may always hold this many, and beyond that a quarter of what is free.
FAIR_MIN: Final = 1
FAIR_SHARE: Final = 4


@kernel
def pool_of(lane: Any, number: int) -> Any:
    """Return a pool of buffers."""
    return pool_at(lane.pools + number * i64(POOL_BYTES))


@kernel
def may_take_nb(held: int, free: int) -> bool:
    """Tell whether a connection that holds `held` may have one more of `free`."""
    return free > 0 and held < max(FAIR_MIN, free // FAIR_SHARE)


@routine
def take_connection_nb(lane: Any) -> int:
    """Return the address of an empty connection record, 0 when all are in use."""
    address = lane.connections_free
    if address != 0:
        lane.connections_free = connection_at(address).next
    elif lane.connections_fresh < lane.connections_max:
        address = lane.connections + lane.connections_fresh * i64(CONNECTION_BYTES)
        lane.connections_fresh += 1
    else:
        return i64(0)
    _clear_nb(address, CONNECTION_BYTES)
    connection_at(address).lane = address_of(lane)
    lane.connections_now += 1
    return address


@routine
def give_connection_nb(lane: Any, address: int) -> None:
    """Take a connection record back."""
    connection = connection_at(address)
    connection.state = CONNECTION_FREE
    connection.fd = -1
    connection.next = lane.connections_free
    lane.connections_free = address
    lane.connections_now -= 1


@routine
def take_call_nb(lane: Any, connection: Any, stream_id: int) -> int:
    """Return the address of a new call, linked to its connection; 0 when it may have none."""
    if not may_take_nb(connection.calls, lane.calls_max - lane.calls_now):
        return i64(0)
    address = lane.calls_free
    if address != 0:
        lane.calls_free = call_at(address).next
    else:
        address = lane.calls + lane.calls_fresh * i64(CALL_BYTES)
        lane.calls_fresh += 1
    _clear_nb(address, CALL_BYTES)
    call = call_at(address)
    call.state = CALL_READING
    call.connection = address_of(connection)
    call.stream_id = stream_id
    call.pool = NO_POOL
    call.next = connection.first_call
    if call.next != 0:
        call_at(call.next).previous = address
    connection.first_call = address
    connection.calls += 1
    lane.calls_now += 1
    lane.calls_started += 1
    return address


@routine
def detach_call_nb(call: Any) -> None:
    """Take a call out of its connection's list; its stream is closed."""
    connection = connection_at(call.connection)
    if call.previous != 0:
        call_at(call.previous).next = call.next
    else:
        connection.first_call = call.next
    if call.next != 0:
        call_at(call.next).previous = call.previous
    connection.calls -= 1
    if call.pool != NO_POOL:
        connection.pool_use[call.pool] -= 1
    call.gone = 1
    call.connection = 0


@routine
def give_call_nb(lane: Any, address: int) -> None:
    """Take a detached call and its buffers back."""
    call = call_at(address)
    if call.pool != NO_POOL:
        pool = pool_of(lane, call.pool)
        store_long(call.buffers, pool.free)
        pool.free = call.buffers
        pool.used -= 1
    call.state = CALL_FREE
    call.next = lane.calls_free
    lane.calls_free = address
    lane.calls_now -= 1


@routine
def take_buffers_nb(lane: Any, call: Any, number: int) -> bool:
    """Give a call input and output of one pool; tell whether there were any for it."""
    connection = connection_at(call.connection)
    pool = pool_of(lane, number)
    if not may_take_nb(connection.pool_use[number], pool.capacity - pool.used):
        return False
    address = pool.free
    if address != 0:
        pool.free = load_long(address)
    else:
        address = pool.memory + pool.fresh * (pool.input_bytes + pool.output_bytes)
        pool.fresh += 1
    pool.used += 1
    connection.pool_use[number] += 1
    call.pool = number
    call.buffers = address
    call.input = address
    call.input_size = pool.input_bytes
    call.output = address + pool.input_bytes
    call.output_size = pool.output_bytes
    return True


@kernel
def _clear_nb(address: int, count_bytes: int) -> None:
    for offset in range(0, count_bytes, 8):
        store_long(address + offset, 0)
