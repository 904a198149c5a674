"""Protobuf's encoding, read one field at a time: tags, varints, lengths, groups.

The same bytes are well formed here and for google.protobuf; tests compare the two on mutated
messages. Addresses run up to `end`, which is one behind the last byte.
"""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.intrinsics import load_byte
from server.hotpath.jit import i64, kernel, routine

VARINT: Final = 0
FIXED64: Final = 1
LENGTH: Final = 2
GROUP: Final = 3
GROUP_END: Final = 4
FIXED32: Final = 5

VARINT_BYTES_MAX: Final = 10
TAG_BYTES_MAX: Final = 5
DEPTH_MAX: Final = 100

# In place of an address: the bytes are no message.
MALFORMED: Final = 0


@kernel
def read_varint_nb(address: int, end: int, bytes_max: int) -> Any:
    """Return a 64-bit number, as int64, and the address behind it, or MALFORMED."""
    if address >= end:
        return i64(0), i64(MALFORMED)
    byte = load_byte(address)
    if byte < 128:
        return byte, address + 1
    value = byte & 127
    shift = i64(7)
    for position in range(1, bytes_max):
        if address + position >= end:
            break
        byte = load_byte(address + position)
        value |= (byte & 127) << shift
        if byte < 128:
            return value, address + position + 1
        shift += 7
    return i64(0), i64(MALFORMED)


@kernel
def read_tag_nb(address: int, end: int) -> Any:
    """Return field number, wire type and the address behind the tag, or MALFORMED.

    A field number of 0 is wrong in a message, but not in what google.protobuf only skips.
    """
    tag, following = read_varint_nb(address, end, i64(TAG_BYTES_MAX))
    if tag > 0xFFFFFFFF:
        return i64(0), i64(0), i64(MALFORMED)
    return tag >> 3, tag & 7, following


@kernel
def read_value_nb(address: int, end: int, wire_type: int) -> Any:
    """Read past a value that is no group.

    Returns:
        The varint or the length of the content; where the content begins; what follows, or
        MALFORMED.
    """
    if wire_type == VARINT:
        value, following = read_varint_nb(address, end, i64(VARINT_BYTES_MAX))
        return value, address, following
    size = i64(0)
    start = address
    if wire_type == LENGTH:
        # Five bytes, of which 31 bits may be set.
        size, start = read_varint_nb(address, end, i64(TAG_BYTES_MAX))
        if start == MALFORMED or size > 0x7FFFFFFF:
            return i64(0), address, i64(MALFORMED)
    elif wire_type == FIXED64:
        size = i64(8)
    elif wire_type == FIXED32:
        size = i64(4)
    else:
        return i64(0), address, i64(MALFORMED)
    if size > end - start:
        return i64(0), address, i64(MALFORMED)
    return size, start, start + size


@routine
def skip_group_nb(address: int, end: int, number: int, depth: int, open_numbers: Any) -> int:
    """Return the address behind the end of a group, or MALFORMED.

    Args:
        address: Behind the tag that begins the group.
        end: Of the message.
        number: Field number of the group.
        depth: How deep the group may nest.
        open_numbers: int64[DEPTH_MAX], overwritten.
    """
    level = 0
    open_numbers[0] = number
    while level >= 0:
        number, wire_type, address = read_tag_nb(address, end)
        if address == MALFORMED:
            return i64(MALFORMED)
        if wire_type == GROUP:
            level += 1
            if level >= depth:
                return i64(MALFORMED)
            open_numbers[level] = number
        elif wire_type == GROUP_END:
            if open_numbers[level] != number:
                return i64(MALFORMED)
            level -= 1
        else:
            _, _, address = read_value_nb(address, end, wire_type)
            if address == MALFORMED:
                return i64(MALFORMED)
    return address


@kernel
def read_field_nb(address: int, end: int, depth: int, open_numbers: Any) -> Any:
    """Read one field.

    Returns:
        Number, wire type, varint or length, address of the content, address behind it or MALFORMED.
    """
    number, wire_type, start = read_tag_nb(address, end)
    if start == MALFORMED:
        return i64(0), i64(0), i64(0), i64(0), i64(MALFORMED)
    if wire_type == GROUP:
        following = skip_group_nb(start, end, number, depth, open_numbers)
        return number, wire_type, i64(0), start, following
    value, content, following = read_value_nb(start, end, wire_type)
    return number, wire_type, value, content, following
