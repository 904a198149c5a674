"""Answers on their way out: response headers, message bytes, trailers with the gRPC status.

An answer is `HEADERS, DATA…, HEADERS(trailers)`; a refusal without a message is a single
`HEADERS(trailers only)`. nghttp2 asks for message bytes when the peer's window has room.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from server.hotpath.intrinsics import load_byte, store_byte
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.lane.foreign import session_resume_data, submit_response, submit_trailer
from server.hotpath.lane.lane_record import lane_at
from server.hotpath.lane.structs import (
    CALL_ANSWERED,
    DATA_PROVIDER,
    NAME_VALUE,
    connection_at,
    data_provider_at,
    name_value_at,
)
from server.hotpath.lane.texts import (
    OK,
    T_COMPRESSED,
    T_CONTENT_TYPE,
    T_POST,
    code_digits_nb,
    text_address_nb,
    text_length_nb,
)

NAME_VALUE_BYTES: Final = NAME_VALUE.itemsize
# The lane's `headers` memory: constant pairs, pairs under construction, a provider, and text.
_STATUS_200: Final = 0
_TRAILERS_OK: Final = 2
_BUILT: Final = 3
PAIRS: Final = 12
PROVIDER_OFFSET: Final = PAIRS * NAME_VALUE_BYTES
TEXT_OFFSET: Final = PROVIDER_OFFSET + DATA_PROVIDER.itemsize
MESSAGE_BYTES_MAX: Final = 512
HEADERS_MEMORY_BYTES: Final = TEXT_OFFSET + 3 * MESSAGE_BYTES_MAX

_COPY: Final = 0
_CONSTANT: Final = 6  # NO_COPY_NAME | NO_COPY_VALUE
_COPY_VALUE: Final = 2  # NO_COPY_NAME


def _constant(text: bytes) -> Any:
    return np.frombuffer(text, np.uint8)


_STATUS: Final = _constant(b":status")
_200: Final = _constant(b"200")
_405: Final = _constant(b"405")
_415: Final = _constant(b"415")
_CONTENT_TYPE: Final = _constant(b"content-type")
_GRPC: Final = _constant(b"application/grpc")
_GRPC_STATUS: Final = _constant(b"grpc-status")
_ZERO: Final = _constant(b"0")
_MESSAGE: Final = _constant(b"grpc-message")
_FIELD: Final = _constant(b"riskgate-field")
_ACCEPT_ENCODING: Final = _constant(b"grpc-accept-encoding")
_IDENTITY: Final = _constant(b"identity")
_HEX: Final = _constant(b"0123456789ABCDEF")


@kernel
def _write_pair_nb(
    lane: Any, pair: int, name: Any, value: int, value_length: int, flags: int
) -> None:
    entry = name_value_at(lane.headers + pair * i64(NAME_VALUE_BYTES))
    entry.name = name.ctypes.data
    entry.name_length = name.shape[0]
    entry.value = value
    entry.value_length = value_length
    entry.flags = flags


@routine
def prepare_headers_nb(lane: Any) -> None:
    """Write the pairs that every good answer has; once, at start."""
    _write_pair_nb(lane, _STATUS_200, _STATUS, _200.ctypes.data, 3, _CONSTANT)
    _write_pair_nb(lane, 1, _CONTENT_TYPE, _GRPC.ctypes.data, _GRPC.shape[0], _CONSTANT)
    _write_pair_nb(lane, _TRAILERS_OK, _GRPC_STATUS, _ZERO.ctypes.data, 1, _CONSTANT)


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
        trailers = lane.headers + _TRAILERS_OK * i64(NAME_VALUE_BYTES)
        submit_trailer(connection.session, call.stream_id, trailers, 1)
        return
    digits, digits_length = code_digits_nb(call.status)
    _write_pair_nb(lane, _BUILT, _GRPC_STATUS, digits, digits_length, _CONSTANT)
    count = 1
    if call.text != 0:
        text = text_address_nb(call.text)
        _write_pair_nb(lane, _BUILT + 1, _MESSAGE, text, text_length_nb(call.text), _CONSTANT)
        count = 2
    trailers = lane.headers + _BUILT * i64(NAME_VALUE_BYTES)
    submit_trailer(connection.session, call.stream_id, trailers, count)


@routine
def percent_encode_nb(source: int, length: int, target: int, target_max: int) -> int:
    """Write a grpc-message: all but printable ASCII, and the percent sign, as %XX; return bytes."""
    written = i64(0)
    for position in range(length):
        byte = load_byte(source + position)
        if written + 3 > target_max:
            break
        if 32 <= byte <= 126 and byte != 37:
            store_byte(target + written, byte)
            written += 1
        else:
            store_byte(target + written, 37)
            store_byte(target + written + 1, i64(_HEX[byte >> 4]))
            store_byte(target + written + 2, i64(_HEX[byte & 15]))
            written += 3
    return written


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
    first = lane.headers + _BUILT * i64(NAME_VALUE_BYTES)
    digits, digits_length = code_digits_nb(status)
    room = lane.headers + TEXT_OFFSET
    encoded = percent_encode_nb(message, message_length, room, i64(MESSAGE_BYTES_MAX))
    http = _200.ctypes.data
    if text == T_CONTENT_TYPE:
        http = _415.ctypes.data
    elif text == T_POST:
        http = _405.ctypes.data
    _write_pair_nb(lane, _BUILT, _STATUS, http, 3, _CONSTANT)
    _write_pair_nb(lane, _BUILT + 1, _CONTENT_TYPE, _GRPC.ctypes.data, _GRPC.shape[0], _CONSTANT)
    _write_pair_nb(lane, _BUILT + 2, _GRPC_STATUS, digits, digits_length, _CONSTANT)
    _write_pair_nb(lane, _BUILT + 3, _MESSAGE, room, encoded, _COPY_VALUE)
    count = i64(4)
    if field_length > 0:
        _write_pair_nb(lane, _BUILT + count, _FIELD, field, field_length, _COPY_VALUE)
        count += 1
    if text == T_COMPRESSED:
        _write_pair_nb(lane, _BUILT + count, _ACCEPT_ENCODING, _IDENTITY.ctypes.data, 8, _CONSTANT)
        count += 1
    call.answering = 1
    call.finished = 1
    call.status = status
    call.state = CALL_ANSWERED
    submit_response(connection_at(call.connection).session, call.stream_id, first, count, 0)


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
