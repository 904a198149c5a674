"""One item of a batch or a stream: its answer, or the error that takes its place."""

from __future__ import annotations

from typing import Any

from server.hotpath.intrinsics import copy_bytes
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.wire import fields as f
from server.hotpath.wire.encode import put_bytes_nb, put_number_nb, put_tag_nb, put_varint_nb
from server.hotpath.wire.scan import LENGTH


@routine
def put_error_nb(out: int, wire: Any) -> int:
    """Write the fields of a RequestError from the refusal in the WIRE record; count it."""
    wire.errors[wire.refusal_code] += 1
    out = put_number_nb(out, i64(f.REQUEST_ERROR_CODE), wire.refusal_code)
    if wire.refusal_field_bytes > 0:
        field = i64(f.REQUEST_ERROR_FIELD)
        out = put_bytes_nb(out, field, wire.refusal_field, wire.refusal_field_bytes)
    if wire.refusal_message_bytes > 0:
        field = i64(f.REQUEST_ERROR_MESSAGE)
        out = put_bytes_nb(out, field, wire.refusal_message, wire.refusal_message_bytes)
    return out


@kernel
def put_message_field_nb(out: int, field: int, source: int, length: int) -> int:
    """Write an encoded message as a field of another."""
    out = put_varint_nb(put_tag_nb(out, field, i64(LENGTH)), length)
    copy_bytes(out, source, length)
    return out + length


@kernel
def varint_bytes_nb(value: int) -> int:
    """Return how many bytes a varint ≥ 0 takes."""
    count = i64(1)
    while value > 127:
        value >>= 7
        count += 1
    return count


@routine
def put_result_of_nb(out: int, field: int, source: int, length: int) -> int:
    """Write one BatchResult of a batch from an encoded response or error."""
    out = put_tag_nb(out, i64(f.DECIDE_BATCH_RESPONSE_RESULTS), i64(LENGTH))
    out = put_varint_nb(out, 1 + varint_bytes_nb(length) + length)
    return put_message_field_nb(out, field, source, length)
