"""A protobuf message into an engine record: one loop, driven by the table of its fields.

Two steps: `scan_message_nb` takes in numbers and notes where texts stand, and may run over several
pieces of one message, which merge; `packing.py` then checks and copies the texts. Unknown
fields, and known ones of another wire type, are skipped; the last of several values wins.
"""

from __future__ import annotations

from typing import Any

from server.hotpath.intrinsics import load_long, store_long
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.wire.fields import (
    BOOL,
    DOUBLE,
    ENUM,
    TEXT,
    TIMESTAMP,
    TIMESTAMP_NANOS,
    TIMESTAMP_SECONDS,
    UNSIGNED,
)
from server.hotpath.wire.scan import DEPTH_MAX, FIXED64, LENGTH, MALFORMED, VARINT, read_field_nb
from server.hotpath.wire.tables import (
    KIND,
    NAME,
    NUMBERS,
    OFFSET,
    PRESENT,
    PRESENT_AT,
    RECORD_BYTES,
    TEXT_COUNT,
    TEXT_ROW,
)
from server.hotpath.wire.text import is_text_nb


@kernel
def begin_message_nb(wire: Any, message: int, record: int) -> None:
    """Empty the record and the notes for a new message."""
    for offset in range(0, RECORD_BYTES[message], 8):
        store_long(record + offset, 0)
    for row in range(TEXT_COUNT[message]):
        wire.text_bytes[row] = 0
    wire.bad_text = 0
    wire.has_time = 0
    wire.seconds = 0
    wire.nanos = 0


@kernel
def to_int32_nb(value: int) -> int:
    """Cut a varint to 32 bits with sign, as protobuf does for int32 and enums."""
    return ((value & 0xFFFFFFFF) ^ 0x80000000) - 0x80000000


@routine
def _scan_time_nb(wire: Any, address: int, length: int, depth: int) -> bool:
    """Take in a Timestamp; tell whether it is well formed."""
    end = address + length
    wire.has_time = 1
    while address < end:
        number, wire_type, value, _, address = read_field_nb(address, end, depth, wire.open_numbers)
        if address == MALFORMED or number == 0:
            return False
        if wire_type == VARINT and number == TIMESTAMP_SECONDS:
            wire.seconds = value
        elif wire_type == VARINT and number == TIMESTAMP_NANOS:
            wire.nanos = to_int32_nb(value)
    return True


@kernel
def _take_varint_nb(message: int, record: int, number: int, kind: int, value: int) -> None:
    at = record + OFFSET[message, number]
    if kind == ENUM:
        store_long(at, to_int32_nb(value))
    elif kind == BOOL:
        store_long(at, i64(1) if value != 0 else i64(0))
    elif kind == UNSIGNED:
        store_long(at, value)


@kernel
def _take_content_nb(
    wire: Any, message: int, number: int, kind: int, content: int, size: int, depth: int
) -> bool:
    """Note a text, or take in a time; tell whether the content is well formed."""
    if kind == TEXT:
        row = TEXT_ROW[message, number]
        wire.text_at[row] = content
        wire.text_bytes[row] = size
        if not is_text_nb(content, size) and wire.bad_text == 0:
            wire.bad_text = NAME[message, number]
        return True
    return kind != TIMESTAMP or _scan_time_nb(wire, content, size, depth - 1)


@routine
def scan_message_nb(
    wire: Any, message: int, record: int, address: int, length: int, depth: int
) -> bool:
    """Take in one piece of a message; tell whether it is well formed.

    Args:
        wire: WIRE record; `bad_text` names the first text that is not UTF-8.
        message: IS_REQUEST or IS_REPORT.
        record: Address of the record, emptied before the first piece.
        address: Of the piece.
        length: Of the piece, bytes.
        depth: How deep groups may nest.
    """
    end = address + length
    is_good = True
    named_before = wire.bad_text
    while address < end:
        number, wire_type, value, content, address = read_field_nb(
            address, end, depth, wire.open_numbers
        )
        if address == MALFORMED:
            wire.bad_text = named_before  # nothing inside a broken piece is named
            return False
        is_good &= number != 0
        kind = KIND[message, number] if number < NUMBERS else i64(0)
        if kind == 0:
            continue
        if wire_type == FIXED64 and kind == DOUBLE:
            store_long(record + OFFSET[message, number], load_long(content))
            present = record + PRESENT_AT[message]
            store_long(present, load_long(present) | PRESENT[message, number])
        elif wire_type == VARINT:
            _take_varint_nb(message, record, number, kind, value)
        elif wire_type == LENGTH:
            is_good &= _take_content_nb(wire, message, number, kind, content, value, depth)
    return is_good and wire.bad_text == 0


@routine
def scan_inner_message_nb(wire: Any, message: int, record: int, address: int, length: int) -> bool:
    """Take in a message that is a field of another; tell whether it is well formed.

    Its nesting counts for both. When it is refused, a text that is not UTF-8 is looked for in it
    as in a message of its own.
    """
    depth = i64(DEPTH_MAX - 1)
    if scan_message_nb(wire, message, record, address, length, depth):
        return True
    scan_message_nb(wire, message, record, address, length, i64(DEPTH_MAX))
    return False
