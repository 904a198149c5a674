"""What a record cannot hold: text too long or with a zero byte, a time or a number beyond int64.

The first problem is named, in the order in which `server/services/convert.py` meets them.
"""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.intrinsics import load_long, store_long
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.layout import ID_BYTES_MAX, SECOND_NS
from server.hotpath.records import P_RANGE
from server.hotpath.wire.refusal_texts import (
    P_LONG_ID,
    P_LONG_SYMBOL,
    P_TIME,
    P_ZERO_BYTE,
)
from server.hotpath.wire.refusals import refuse_field_nb
from server.hotpath.wire.tables import (
    PREFIX,
    TEXT_COUNT,
    TEXTS,
    TIME_AT,
    TIME_NAME,
    UNSIGNED_AT,
    UNSIGNED_NAME,
)
from server.hotpath.wire.text import pack_text_nb

_SECONDS_MAX: Final = (2**63 - 1) // SECOND_NS


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
