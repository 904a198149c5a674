"""A protobuf message into an engine record: one loop, driven by the table of its fields.

Two steps: `scan_message_nb` takes in numbers and notes where texts stand, and may run over several
pieces of one message, which merge; `pack_message_nb` then checks and copies the texts. Unknown
fields, and known ones of another wire type, are skipped; the last of several values wins.
"""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.intrinsics import load_long, store_long
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.layout import ID_BYTES_MAX, SECOND_NS
from server.hotpath.records import P_RANGE
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
from server.hotpath.wire.refusals import (
    P_LONG_ID,
    P_LONG_SYMBOL,
    P_TIME,
    P_ZERO_BYTE,
    refuse_field_nb,
)
from server.hotpath.wire.scan import FIXED64, LENGTH, MALFORMED, VARINT, read_field_nb
from server.hotpath.wire.tables import (
    KIND,
    NAME,
    NUMBERS,
    OFFSET,
    PREFIX,
    PRESENT,
    PRESENT_AT,
    RECORD_BYTES,
    TEXT_COUNT,
    TEXT_ROW,
    TEXTS,
    TIME_AT,
    TIME_NAME,
    UNSIGNED_AT,
    UNSIGNED_NAME,
)
from server.hotpath.wire.text import is_text_nb, pack_text_nb

_SECONDS_MAX: Final = (2**63 - 1) // SECOND_NS


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
        if number == 0:
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
            is_good &= number != 0
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


@kernel
def _pack_time_nb(wire: Any, message: int, record: int) -> bool:
    if wire.has_time == 0:
        return True
    seconds, nanos = wire.seconds, wire.nanos
    total_ns = seconds * i64(SECOND_NS) + nanos
    in_range = 0 <= seconds <= _SECONDS_MAX and 0 <= nanos < SECOND_NS and total_ns > 0
    if not in_range:
        refuse_field_nb(wire, PREFIX[message], TIME_NAME[message], i64(P_TIME))
        return False
    store_long(record + TIME_AT[message], total_ns)
    return True


@kernel
def _pack_texts_nb(wire: Any, message: int, record: int) -> bool:
    for row in range(TEXT_COUNT[message]):
        size = wire.text_bytes[row]
        if size == 0:
            continue
        name, room = TEXTS[message, row, 0], TEXTS[message, row, 1]
        if size > room:
            problem = i64(P_LONG_ID if room == ID_BYTES_MAX else P_LONG_SYMBOL)
            refuse_field_nb(wire, PREFIX[message], name, problem)
            return False
        if not pack_text_nb(wire.text_at[row], size, record + TEXTS[message, row, 2]):
            refuse_field_nb(wire, PREFIX[message], name, i64(P_ZERO_BYTE))
            return False
    return True


@kernel
def _check_unsigned_nb(wire: Any, message: int, record: int) -> bool:
    # Beyond 2^63 − 1 it has come out negative.
    if load_long(record + UNSIGNED_AT[message]) < 0:
        refuse_field_nb(wire, PREFIX[message], UNSIGNED_NAME[message], i64(P_RANGE))
        return False
    return True


@routine
def pack_request_nb(wire: Any, message: int, record: int) -> bool:
    """Check what a DecideRequest cannot pack and copy its texts; refuse it by name if it must."""
    return (
        _pack_texts_nb(wire, message, record)
        and _pack_time_nb(wire, message, record)
        and _check_unsigned_nb(wire, message, record)
    )


@routine
def pack_report_nb(wire: Any, message: int, record: int) -> bool:
    """Do the same for an ExecutionReport, whose time is checked first."""
    return (
        _pack_time_nb(wire, message, record)
        and _pack_texts_nb(wire, message, record)
        and _check_unsigned_nb(wire, message, record)
    )
