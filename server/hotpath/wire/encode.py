"""Protobuf fields written one after the other: each function returns where the next one begins.

Fields are written in the order of their numbers, and those without presence are left out at zero:
the bytes are those of google.protobuf.
"""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.intrinsics import (
    copy_bytes,
    load_long,
    store_byte,
    store_double,
)
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.layout import SECOND_NS
from server.hotpath.wire.fields import TIMESTAMP_NANOS, TIMESTAMP_SECONDS
from server.hotpath.wire.scan import FIXED64, LENGTH, VARINT
from server.hotpath.wire.text import text_length_nb

TIME_BYTES_MAX: Final = 2 + 10 + 6


@routine
def _put_long_varint_nb(out: int, value: int) -> int:
    # A negative number is a large unsigned one: ten bytes.
    count = 0
    while (value < 0 or value > 127) and count < 9:
        store_byte(out, (value & 127) | 128)
        # A logical shift: what comes in at the top are zeros.
        value = (value >> 7) & 0x01FFFFFFFFFFFFFF
        out += 1
        count += 1
    store_byte(out, value)
    return out + 1


@kernel
def put_varint_nb(out: int, value: int) -> int:
    """Write a bare varint; negative numbers count as unsigned."""
    if 0 <= value < 128:
        store_byte(out, value)
        return out + 1
    return _put_long_varint_nb(out, value)


@kernel
def put_tag_nb(out: int, field: int, wire_type: int) -> int:
    """Write a tag; field numbers up to 2,047."""
    tag = (field << 3) | wire_type
    if tag < 128:
        store_byte(out, tag)
        return out + 1
    store_byte(out, (tag & 127) | 128)
    store_byte(out + 1, tag >> 7)
    return out + 2


@kernel
def put_number_nb(out: int, field: int, value: int) -> int:
    """Write an integer or enum, if it is not zero."""
    return put_present_number_nb(out, field, value) if value != 0 else out


@kernel
def put_present_number_nb(out: int, field: int, value: int) -> int:
    """Write an integer that has presence."""
    return put_varint_nb(put_tag_nb(out, field, i64(VARINT)), value)


@kernel
def put_present_double_nb(out: int, field: int, value: float) -> int:
    """Write a double that has presence."""
    out = put_tag_nb(out, field, i64(FIXED64))
    store_double(out, value)
    return out + 8


@kernel
def put_double_nb(out: int, field: int, value: float) -> int:
    """Write a double, unless all its bits are zero."""
    written = put_present_double_nb(out, field, value)
    return out if load_long(written - 8) == 0 else written


@kernel
def put_bytes_nb(out: int, field: int, source: int, length: int) -> int:
    """Write text or bytes, even if empty."""
    out = put_varint_nb(put_tag_nb(out, field, i64(LENGTH)), length)
    copy_bytes(out, source, length)
    return out + length


@kernel
def put_words_nb(out: int, field: int, source: int, bytes_max: int) -> int:
    """Write zero-padded text, if there is any."""
    length = text_length_nb(source, bytes_max)
    return put_bytes_nb(out, field, source, length) if length > 0 else out


@kernel
def close_short_nb(start: int, end: int) -> int:
    """Write the length of a message, at most 127, into the byte before it; return its end."""
    store_byte(start - 1, end - start)
    return end


@kernel
def put_time_nb(out: int, field: int, at_ns: int) -> int:
    """Write a Timestamp of Unix nanoseconds > 0."""
    start = put_tag_nb(out, field, i64(LENGTH)) + 1
    end = put_number_nb(start, i64(TIMESTAMP_SECONDS), at_ns // i64(SECOND_NS))
    end = put_number_nb(end, i64(TIMESTAMP_NANOS), at_ns % i64(SECOND_NS))
    return close_short_nb(start, end)


@kernel
def put_decimal_nb(out: int, value: int) -> int:
    """Write a number ≥ 0 in digits, without a tag."""
    digits = i64(1)
    rest = value // 10
    while rest > 0:
        digits += 1
        rest //= 10
    rest = value
    for position in range(digits - 1, -1, -1):
        store_byte(out + position, 48 + rest % 10)
        rest //= 10
    return out + digits


@kernel
def put_version_nb(out: int, field: int, version: Any) -> int:
    """Write `major.minor.patch` as text of at most 127 bytes."""
    start = put_tag_nb(out, field, i64(LENGTH)) + 1
    end = start
    for part in range(3):
        if part > 0:
            store_byte(end, 46)
            end += 1
        end = put_decimal_nb(end, version[part])
    return close_short_nb(start, end)
