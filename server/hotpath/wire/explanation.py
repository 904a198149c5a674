"""What only some answers have: every check in numbers, and the breakers that are not closed."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from server.hotpath.intrinsics import address_of, copy_bytes
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.layout import DECISION_BREAKERS_MAX, ID_BYTES_MAX, MICROS, MILLISECOND_NS, PPM
from server.hotpath.memory import breaker_at
from server.hotpath.reasons import (
    CHECK_UNITS,
    REASON_CODES,
    S_ABSENT,
    U_COUNT,
    U_LOTS,
    U_MILLISECONDS,
    U_MONEY,
    U_NONE,
    U_POINTS,
    U_RATIO,
)
from server.hotpath.rows import BREAKER
from server.hotpath.wire import fields as f
from server.hotpath.wire.encode import (
    TIME_BYTES_MAX,
    close_short_nb,
    put_number_nb,
    put_present_double_nb,
    put_tag_nb,
    put_time_nb,
    put_varint_nb,
    put_words_nb,
)
from server.hotpath.wire.numbers import nearest_nb
from server.hotpath.wire.scan import LENGTH

# Bits of DECISION.numbers.
HAS_LIMIT: Final = 1
HAS_LOTS_MAX: Final = 2

_REASONS: Final = len(REASON_CODES)
_CODES: Final = np.array(REASON_CODES, np.int64)
_UNITS: Final = np.array([CHECK_UNITS.get(i, U_NONE) for i in range(_REASONS)], np.int64)
# By unit: what an engine number is divided by; milliseconds are whole.
_DIVISORS: Final = np.ones(8, np.int64)
_DIVISORS[[U_RATIO, U_MONEY, U_POINTS, U_COUNT]] = (PPM, MICROS, MICROS, 1)
_BREAKER_ID: Final[int] = BREAKER.fields["breaker_id"][1]  # type: ignore[index]
_BREAKER_NAME: Final[int] = BREAKER.fields["name"][1]  # type: ignore[index]

CHECKS_BYTES_MAX: Final = _REASONS * (3 + 3 + 2 + 2 + 4 * 9)
BREAKER_BYTES_MAX: Final = 2 * (2 + ID_BYTES_MAX) + 2 * 11 + 2 * TIME_BYTES_MAX
BREAKERS_BYTES_MAX: Final = DECISION_BREAKERS_MAX * (4 + BREAKER_BYTES_MAX)


@kernel
def _to_double_nb(decision: Any, unit: int, number: int) -> float:
    if unit == U_LOTS:
        return nearest_nb(number, i64(0), decision.lot_mantissa, decision.lot_scale)
    if unit == U_MILLISECONDS:
        return float(number // i64(MILLISECOND_NS))
    return nearest_nb(number, i64(0), i64(1), _DIVISORS[unit])


@kernel
def _headroom_nb(decision: Any, unit: int, index: int) -> float:
    # Whole numbers are subtracted first, so that the double has no error of its own.
    limit, observed = decision.limit[index], decision.observed[index]
    if unit == U_LOTS:
        return nearest_nb(limit, observed, decision.lot_mantissa, decision.lot_scale)
    return nearest_nb(limit, observed, i64(1), _DIVISORS[unit])


@routine
def _put_check_nb(out: int, decision: Any, index: int) -> int:
    unit = _UNITS[index]
    numbers = i64(decision.numbers[index])
    start = put_tag_nb(out, i64(f.DECIDE_RESPONSE_CHECKS), i64(LENGTH)) + 1
    end = put_number_nb(start, i64(f.CHECK_RESULT_CHECK), _CODES[index])
    end = put_number_nb(end, i64(f.CHECK_RESULT_STATUS), i64(decision.status[index]))
    end = put_number_nb(end, i64(f.CHECK_RESULT_UNIT), unit)
    if numbers & HAS_LIMIT and (unit != U_LOTS or decision.lot_scale != 0):
        limit = _to_double_nb(decision, unit, decision.limit[index])
        observed = _to_double_nb(decision, unit, decision.observed[index])
        if unit == U_MILLISECONDS:
            headroom = limit - observed
        else:
            headroom = _headroom_nb(decision, unit, index)
        end = put_present_double_nb(end, i64(f.CHECK_RESULT_LIMIT), limit)
        end = put_present_double_nb(end, i64(f.CHECK_RESULT_OBSERVED), observed)
        end = put_present_double_nb(end, i64(f.CHECK_RESULT_HEADROOM), headroom)
    if numbers & HAS_LOTS_MAX and decision.lot_scale != 0:
        lots = _to_double_nb(decision, i64(U_LOTS), decision.lots_max[index])
        end = put_present_double_nb(end, i64(f.CHECK_RESULT_LOTS_MAX), lots)
    return close_short_nb(start, end)


@routine
def put_checks_nb(out: int, decision: Any) -> int:
    """Write every check that was judged, by rising reason index."""
    for index in range(_REASONS):
        if decision.status[index] != S_ABSENT:
            out = _put_check_nb(out, decision, i64(index))
    return out


@routine
def _put_breaker_nb(out: int, state: Any, decision: Any, position: int) -> int:
    breaker = breaker_at(state, decision.breaker_row[position])
    at, room = address_of(breaker), i64(ID_BYTES_MAX)
    out = put_words_nb(out, i64(f.BREAKER_STATUS_BREAKER_ID), at + _BREAKER_ID, room)
    out = put_words_nb(out, i64(f.BREAKER_STATUS_NAME), at + _BREAKER_NAME, room)
    out = put_number_nb(out, i64(f.BREAKER_STATUS_STATE), decision.breaker_state[position])
    out = put_number_nb(out, i64(f.BREAKER_STATUS_ACTION), breaker.action)
    tripped_at_ns = decision.breaker_tripped_at_ns[position]
    closes_at_ns = decision.breaker_closes_at_ns[position]
    if tripped_at_ns > 0:
        out = put_time_nb(out, i64(f.BREAKER_STATUS_TRIPPED_AT), tripped_at_ns)
    if closes_at_ns > 0:
        out = put_time_nb(out, i64(f.BREAKER_STATUS_CLOSES_AT), closes_at_ns)
    return out


@routine
def put_breakers_nb(out: int, state: Any, decision: Any, scratch: int) -> int:
    """Write the breakers in scope that are not closed, in the order of their chain."""
    for position in range(decision.breaker_count):
        # Built aside: its length stands before it and may take one byte or two.
        size = _put_breaker_nb(scratch, state, decision, i64(position)) - scratch
        out = put_tag_nb(out, i64(f.DECIDE_RESPONSE_BREAKERS), i64(LENGTH))
        out = put_varint_nb(out, size)
        copy_bytes(out, scratch, size)
        out += size
    return out
