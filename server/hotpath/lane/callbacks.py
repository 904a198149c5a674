"""What libnghttp2 calls back while it reads frames or asks for bytes to send.

Compiled where they are decorated, so everything they call stands in modules imported above. An
exception in here would be printed and count as success: kernels never raise. `user_data` is the
address of the CONNECTION, a stream's user data the address of its CALL.
"""

from __future__ import annotations

from typing import Any, Final

from numba import types

from server.hotpath.intrinsics import address_of, copy_bytes, load_long, store_half
from server.hotpath.jit import callback, i64
from server.hotpath.lane.admission import judge_headers_nb
from server.hotpath.lane.foreign import (
    session_get_stream_user_data,
    session_set_stream_user_data,
    submit_rst_stream,
)
from server.hotpath.lane.headers import take_header_nb
from server.hotpath.lane.lane_record import lane_at
from server.hotpath.lane.pool import detach_call_nb, take_call_nb
from server.hotpath.lane.queue import end_call_nb, queue_call_nb
from server.hotpath.lane.replies import submit_trailers_nb
from server.hotpath.lane.requests import end_request_nb, take_bytes_nb
from server.hotpath.lane.structs import (
    CALL_ANSWERED,
    METHOD_DECIDE_STREAM,
    METHOD_WATCH_DIRECTIVES,
    call_at,
    connection_at,
    frame_header_at,
)

_LONG: Final = types.int64
_INT: Final = types.int32

_FRAME_DATA: Final = 0
_FRAME_HEADERS: Final = 1
_FRAME_SETTINGS: Final = 4
_FLAG_END_STREAM: Final = 1
_REFUSED_STREAM: Final = 7
_NO_ERROR: Final = 0
_DEFERRED: Final = -508
_DATA_EOF: Final = 1
_DATA_NO_END_STREAM: Final = 2


@callback(_INT(_LONG, _LONG, _LONG))
def on_begin_headers(session: int, frame: int, user_data: int) -> Any:
    """A new call begins, unless its connection has too many of the shared ones already."""
    connection = connection_at(user_data)
    lane = lane_at(connection.lane)
    stream_id = i64(frame_header_at(frame).stream_id)
    if session_get_stream_user_data(session, stream_id) != 0:
        return 0  # trailers of a request
    address = take_call_nb(lane, connection, stream_id)
    if address == 0:
        lane.calls_refused += 1
        submit_rst_stream(session, 0, stream_id, _REFUSED_STREAM)
        return 0
    call = call_at(address)
    call.opened_ns = lane.now_ns
    call.received_ns = lane.received_ns
    session_set_stream_user_data(session, stream_id, address)
    return 0


@callback(_INT(_LONG, _LONG, _LONG, _LONG, _LONG, _LONG, types.uint8, _LONG))
def on_header(
    session: int,
    frame: int,
    name: int,
    name_length: int,
    value: int,
    value_length: int,
    _flags: int,
    _user_data: int,
) -> Any:
    """One header of a request."""
    stream_id = i64(frame_header_at(frame).stream_id)
    address = session_get_stream_user_data(session, stream_id)
    if address != 0 and call_at(address).state != CALL_ANSWERED:
        take_header_nb(call_at(address), name, name_length, value, value_length)
    return 0


@callback(_INT(_LONG, _LONG, _LONG))
def on_frame(session: int, frame: int, user_data: int) -> Any:
    """A whole frame has come."""
    header = frame_header_at(frame)
    connection = connection_at(user_data)
    kind = i64(header.type)
    if kind == _FRAME_SETTINGS:
        connection.greeted = 1
    if kind not in (_FRAME_HEADERS, _FRAME_DATA):
        return 0
    address = session_get_stream_user_data(session, i64(header.stream_id))
    if address == 0:
        return 0
    lane = lane_at(connection.lane)
    call = call_at(address)
    if kind == _FRAME_HEADERS and call.judged_headers == 0:
        call.judged_headers = 1
        judge_headers_nb(lane, call)
    if i64(header.flags) & _FLAG_END_STREAM:
        end_request_nb(lane, call)
    return 0


@callback(_INT(_LONG, types.uint8, _INT, _LONG, _LONG, _LONG))
def on_data(
    session: int, _flags: int, stream_id: int, data: int, length: int, user_data: int
) -> Any:
    """A piece of a request body."""
    address = session_get_stream_user_data(session, i64(stream_id))
    if address != 0:
        take_bytes_nb(lane_at(connection_at(user_data).lane), call_at(address), data, length)
    return 0


@callback(_INT(_LONG, _LONG, _LONG))
def on_frame_sent(session: int, frame: int, _user_data: int) -> Any:
    """After the end of an answer, tell a peer that is still sending that nobody listens."""
    header = frame_header_at(frame)
    if i64(header.type) == _FRAME_HEADERS and i64(header.flags) & _FLAG_END_STREAM:
        stream_id = i64(header.stream_id)
        address = session_get_stream_user_data(session, stream_id)
        if address != 0 and call_at(address).peer_ended == 0:
            submit_rst_stream(session, 0, stream_id, _NO_ERROR)
    return 0


@callback(_INT(_LONG, _INT, types.uint32, _LONG))
def on_stream_close(session: int, stream_id: int, error_code: int, user_data: int) -> Any:
    """A stream is over: by its answer, or because the peer has gone away."""
    address = session_get_stream_user_data(session, i64(stream_id))
    if address != 0:
        lane = lane_at(connection_at(user_data).lane)
        call = call_at(address)
        if i64(error_code) != _NO_ERROR and call.finished == 0:
            lane.calls_cancelled += 1
        detach_call_nb(call)
        end_call_nb(lane, address)
    return 0


@callback(_LONG(_LONG, _INT, _LONG, _LONG, _LONG, _LONG, _LONG))
def read_answer(
    _session: int,
    _stream_id: int,
    buffer: int,
    room: int,
    data_flags: int,
    source: int,
    user_data: int,
) -> Any:
    """Hand out the next bytes of an answer; after the last one the trailers are submitted."""
    call = call_at(load_long(source))
    count = min(call.output_to - call.output_from, room)
    copy_bytes(buffer, call.output + call.output_from, count)
    call.output_from += count
    if call.output_from < call.output_to:
        return count
    if call.finished != 0:
        store_half(data_flags, _DATA_EOF | _DATA_NO_END_STREAM)
        submit_trailers_nb(call)
        return count
    # Room for more answers, which unread requests of a stream or untold events may be waiting for.
    call.output_from = 0
    call.output_to = 0
    lane = lane_at(connection_at(user_data).lane)
    if call.method == METHOD_DECIDE_STREAM:
        if call.input_from < call.input_to or call.peer_ended != 0:
            queue_call_nb(lane, address_of(call))
    elif call.method == METHOD_WATCH_DIRECTIVES and call.seen_event < lane.told_event:
        queue_call_nb(lane, address_of(call))
    if count > 0:
        return count
    call.deferred = 1
    return i64(_DEFERRED)
