"""Answers on their way out: response headers, message bytes, trailers with the gRPC status.

An answer is `HEADERS, DATA…, HEADERS(trailers)`; a refusal without a message is a single
`HEADERS(trailers only)`. nghttp2 asks for message bytes when the peer's window has room.
"""

from __future__ import annotations

from typing import Any

from server.hotpath.jit import i64, routine
from server.hotpath.lane.foreign import session_resume_data, submit_response, submit_trailer
from server.hotpath.lane.header_pairs import (
    BUILT,
    CONSTANT,
    COPY_VALUE,
    GRPC,
    HTTP_200,
    HTTP_405,
    HTTP_415,
    IDENTITY,
    MESSAGE_BYTES_MAX,
    NAME_ACCEPT_ENCODING,
    NAME_CONTENT_TYPE,
    NAME_FIELD,
    NAME_GRPC_STATUS,
    NAME_MESSAGE,
    NAME_PUSHBACK,
    NAME_STATUS,
    NAME_VALUE_BYTES,
    PROVIDER_OFFSET,
    TEXT_OFFSET,
    TRAILERS_OK,
    percent_encode_nb,
    put_number_pair_nb,
    write_pair_nb,
)
from server.hotpath.lane.lane_record import lane_at
from server.hotpath.lane.structs import (
    CALL_ANSWERED,
    connection_at,
    data_provider_at,
)
from server.hotpath.lane.texts import (
    OK,
    T_COMPRESSED,
    T_CONTENT_TYPE,
    T_POST,
    T_RATE,
    code_digits_nb,
    text_address_nb,
    text_length_nb,
)
from server.hotpath.layout import MILLISECOND_NS


@routine
def begin_answer_nb(lane: Any, call: Any, address: int) -> None:
    """Submit the response headers; message bytes follow from the call's output."""
    connection = connection_at(call.connection)
    provider = data_provider_at(lane.headers + PROVIDER_OFFSET)
    provider.source = address
    provider.read = lane.read_answer
    call.answering = 1
    submit_response(
        connection.session,
        call.stream_id,
        lane.headers,
        2,
        lane.headers + PROVIDER_OFFSET,
    )


@routine
def continue_answer_nb(call: Any) -> None:
    """Tell nghttp2 that the output has grown, or that it is complete."""
    if call.deferred != 0:
        call.deferred = 0
        session_resume_data(connection_at(call.connection).session, call.stream_id)


@routine
def end_answer_nb(call: Any, status: int) -> None:
    """Let trailers with this status follow the output."""
    call.status = status
    call.finished = 1
    call.state = CALL_ANSWERED
    continue_answer_nb(call)


@routine
def submit_trailers_nb(call: Any) -> None:
    """Submit the trailers of an answer whose last byte is out; called by the data source."""
    connection = connection_at(call.connection)
    lane = lane_at(connection.lane)
    if call.status == OK:
        trailers = lane.headers + TRAILERS_OK * i64(NAME_VALUE_BYTES)
        submit_trailer(connection.session, call.stream_id, trailers, 1)
        return
    digits, digits_length = code_digits_nb(call.status)
    write_pair_nb(lane, BUILT, NAME_GRPC_STATUS, digits, digits_length, CONSTANT)
    count = 1
    if call.text != 0:
        text = text_address_nb(call.text)
        write_pair_nb(lane, BUILT + 1, NAME_MESSAGE, text, text_length_nb(call.text), CONSTANT)
        count = 2
    trailers = lane.headers + BUILT * i64(NAME_VALUE_BYTES)
    submit_trailer(connection.session, call.stream_id, trailers, count)


@routine
def refuse_nb(
    lane: Any,
    call: Any,
    status: int,
    message: int,
    message_length: int,
    field: int,
    field_length: int,
    text: int,
) -> None:
    """Answer a call with trailers only.

    Args:
        lane: The lane.
        call: Its response headers are not submitted yet.
        status: gRPC status code.
        message: Address of the public text.
        message_length: Its bytes.
        field: Address of the dotted path of the field at fault.
        field_length: Its bytes; 0: not about a field.
        text: T_* if the message is one of the lane's own, else 0.
    """
    lane.errors[status] += 1
    first = lane.headers + BUILT * i64(NAME_VALUE_BYTES)
    digits, digits_length = code_digits_nb(status)
    room = lane.headers + TEXT_OFFSET
    encoded = percent_encode_nb(message, message_length, room, i64(MESSAGE_BYTES_MAX))
    http = HTTP_200.ctypes.data
    if text == T_CONTENT_TYPE:
        http = HTTP_415.ctypes.data
    elif text == T_POST:
        http = HTTP_405.ctypes.data
    write_pair_nb(lane, BUILT, NAME_STATUS, http, 3, CONSTANT)
    write_pair_nb(lane, BUILT + 1, NAME_CONTENT_TYPE, GRPC.ctypes.data, GRPC.shape[0], CONSTANT)
    write_pair_nb(lane, BUILT + 2, NAME_GRPC_STATUS, digits, digits_length, CONSTANT)
    write_pair_nb(lane, BUILT + 3, NAME_MESSAGE, room, encoded, COPY_VALUE)
    count = i64(4)
    if field_length > 0:
        write_pair_nb(lane, BUILT + count, NAME_FIELD, field, field_length, COPY_VALUE)
        count += 1
    if text == T_COMPRESSED:
        write_pair_nb(lane, BUILT + count, NAME_ACCEPT_ENCODING, IDENTITY.ctypes.data, 8, CONSTANT)
        count += 1
    if text == T_RATE:
        pushback_ms = (lane.pushback_ns + MILLISECOND_NS - 1) // MILLISECOND_NS
        put_number_pair_nb(lane, BUILT + count, NAME_PUSHBACK, pushback_ms)
        count += 1
    call.answering = 1
    call.finished = 1
    call.status = status
    call.state = CALL_ANSWERED
    submit_response(connection_at(call.connection).session, call.stream_id, first, count, 0)


@routine
def refuse_as_found_nb(lane: Any, wire: Any, call: Any) -> None:
    """Refuse a call with what the wire has found wrong in it."""
    refuse_nb(
        lane,
        call,
        wire.refusal_code,
        wire.refusal_message,
        wire.refusal_message_bytes,
        wire.refusal_field,
        wire.refusal_field_bytes,
        i64(0),
    )


@routine
def refuse_with_nb(lane: Any, call: Any, status: int, text: int) -> None:
    """Refuse a call with one of the lane's own texts."""
    if call.answering != 0:
        # A stream that has begun ends with trailers.
        lane.errors[status] += 1
        call.text = text
        end_answer_nb(call, status)
        return
    message, length = text_address_nb(text), text_length_nb(text)
    refuse_nb(lane, call, status, message, length, i64(0), i64(0), text)
