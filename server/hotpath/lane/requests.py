"""Requests on their way in: headers judged, bytes gathered into messages, flow control.

A unary call gets buffers once the five bytes before its message have told its length. A stream has
them from its first byte on; bytes that it has sent and that are not judged yet are not given back
to its window, so a peer that sends without reading is paused and not reset. The connection's window
is always given back: one stream must not hold up its neighbours.
"""

from __future__ import annotations

from typing import Any

from server.hotpath.intrinsics import address_of, copy_bytes, load_byte, store_byte
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.lane.foreign import memmove, session_consume_connection, session_consume_stream
from server.hotpath.lane.frames import PREFIX_BYTES
from server.hotpath.lane.lane_record import NO_POOL, POOL_LARGE, POOL_MEDIUM, POOL_SMALL
from server.hotpath.lane.pool import pool_of, take_buffers_nb
from server.hotpath.lane.queue import queue_call_nb
from server.hotpath.lane.replies import refuse_with_nb
from server.hotpath.lane.structs import (
    CALL_ANSWERED,
    CALL_PREFIX_OFFSET,
    CALL_READING,
    METHOD_DECIDE_BATCH,
    METHOD_DECIDE_STREAM,
    METHOD_SYNC_ACCOUNT,
    connection_at,
)
from server.hotpath.lane.texts import (
    INVALID_ARGUMENT,
    RESOURCE_EXHAUSTED,
    T_COMPRESSED,
    T_ONE_MESSAGE,
    T_TOO_LARGE,
    T_TOO_MANY_CALLS,
    T_TRUNCATED,
    UNIMPLEMENTED,
)


@kernel
def message_length_nb(address: int) -> int:
    """Return the length that follows the compression flag, big endian."""
    return (
        (load_byte(address + 1) << 24)
        | (load_byte(address + 2) << 16)
        | (load_byte(address + 3) << 8)
        | load_byte(address + 4)
    )


@kernel
def _bytes_max_nb(lane: Any, method: int) -> int:
    if method in (METHOD_DECIDE_BATCH, METHOD_SYNC_ACCOUNT):
        return lane.port_bytes_max
    return lane.request_bytes_max


@routine
def prefix_is_good_nb(lane: Any, call: Any, compressed: int, length: int) -> bool:
    """Check the five bytes before a message; refuse the call if they are not acceptable."""
    if compressed != 0:
        refuse_with_nb(lane, call, UNIMPLEMENTED, T_COMPRESSED)
    elif length > _bytes_max_nb(lane, call.method):
        refuse_with_nb(lane, call, RESOURCE_EXHAUSTED, T_TOO_LARGE)
    else:
        return True
    return False


@routine
def _begin_message_nb(lane: Any, call: Any) -> bool:
    """Find buffers for the one message of a unary call."""
    prefix = address_of(call) + CALL_PREFIX_OFFSET
    length = message_length_nb(prefix)
    if not prefix_is_good_nb(lane, call, load_byte(prefix), length):
        return False
    number = i64(POOL_SMALL)
    if call.method in (METHOD_DECIDE_BATCH, METHOD_SYNC_ACCOUNT):
        number = i64(POOL_LARGE)
    elif length > pool_of(lane, POOL_SMALL).input_bytes:
        number = i64(POOL_MEDIUM)
    if not take_buffers_nb(lane, call, number):
        lane.calls_refused += 1
        refuse_with_nb(lane, call, RESOURCE_EXHAUSTED, T_TOO_MANY_CALLS)
        return False
    call.message_bytes = length
    return True


@routine
def _take_unary_bytes_nb(lane: Any, call: Any, data: int, length: int) -> None:
    while length > 0 and call.prefix_bytes < PREFIX_BYTES:
        store_byte(address_of(call) + CALL_PREFIX_OFFSET + call.prefix_bytes, load_byte(data))
        call.prefix_bytes += 1
        data += 1
        length -= 1
        if call.prefix_bytes == PREFIX_BYTES and not _begin_message_nb(lane, call):
            return
    if length == 0:
        return
    if call.input_to + length > call.message_bytes:
        refuse_with_nb(lane, call, UNIMPLEMENTED, T_ONE_MESSAGE)
        return
    copy_bytes(call.input + call.input_to, data, length)
    call.input_to += length


@routine
def _take_stream_bytes_nb(lane: Any, call: Any, data: int, length: int) -> None:
    if call.pool == NO_POOL and not take_buffers_nb(lane, call, POOL_MEDIUM):
        lane.calls_refused += 1
        refuse_with_nb(lane, call, RESOURCE_EXHAUSTED, T_TOO_MANY_CALLS)
        return
    if call.input_from > 0:
        held = call.input_to - call.input_from
        memmove(call.input, call.input + call.input_from, held)
        call.input_from = 0
        call.input_to = held
    if call.input_to + length > call.input_size:
        # Cannot happen while the peer keeps to the window that it was given.
        refuse_with_nb(lane, call, RESOURCE_EXHAUSTED, T_TOO_LARGE)
        return
    copy_bytes(call.input + call.input_to, data, length)
    call.input_to += length
    call.owed_bytes += length
    queue_call_nb(lane, address_of(call))


@routine
def take_bytes_nb(lane: Any, call: Any, data: int, length: int) -> None:
    """Take in a piece of the request body."""
    connection = connection_at(call.connection)
    session_consume_connection(connection.session, length)
    call.received_ns = lane.received_ns
    if call.partial_since_ns == 0:
        call.partial_since_ns = lane.now_ns
    if call.state == CALL_ANSWERED or call.method != METHOD_DECIDE_STREAM:
        session_consume_stream(connection.session, call.stream_id, length)
    if call.state == CALL_ANSWERED:
        return
    if call.method == METHOD_DECIDE_STREAM:
        _take_stream_bytes_nb(lane, call, data, length)
    else:
        _take_unary_bytes_nb(lane, call, data, length)


@routine
def end_request_nb(lane: Any, call: Any) -> None:
    """The peer has sent its last byte."""
    call.peer_ended = 1
    if call.state == CALL_ANSWERED:
        return
    if call.method == METHOD_DECIDE_STREAM:
        queue_call_nb(lane, address_of(call))
    elif call.state == CALL_READING:
        if call.prefix_bytes == 0:
            refuse_with_nb(lane, call, UNIMPLEMENTED, T_ONE_MESSAGE)
        elif call.prefix_bytes < PREFIX_BYTES or call.input_to < call.message_bytes:
            refuse_with_nb(lane, call, INVALID_ARGUMENT, T_TRUNCATED)
        else:
            call.partial_since_ns = 0
            queue_call_nb(lane, address_of(call))


@routine
def give_back_window_nb(call: Any) -> None:
    """Let a stream's peer send on: all it sent is judged, or is the beginning of a message."""
    if call.owed_bytes > 0 and call.gone == 0:
        connection = connection_at(call.connection)
        session_consume_stream(connection.session, call.stream_id, call.owed_bytes)
        call.owed_bytes = 0
