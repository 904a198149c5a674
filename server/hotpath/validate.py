"""What makes a request unanswerable: the first bad field, in the order of the contract.

An invalid request gets no decision and changes nothing. NaN fails every comparison, so limits are
written as `not (x <= limit)`.
"""

from __future__ import annotations

import math
from typing import Any

from server.hotpath.jit import kernel
from server.hotpath.layout import NOT_SET
from server.hotpath.memory import decision_of, instrument_at, request_of, work_of
from server.hotpath.records import (
    HAS_ATR,
    HAS_ENTRY_PRICE,
    HAS_REQUESTED_LOTS,
    HAS_STOP_LOSS,
    HAS_TAKE_PROFIT,
    HAS_VOLATILITY_INDEX,
    P_FINITE,
    P_OFF_TICK,
    P_PERCENT,
    P_POSITIVE,
    P_RANGE,
    P_REQUIRED,
    P_SIDE,
)
from server.hotpath.units import (
    OFF_GRID,
    OUT_OF_RANGE,
    atr_ticks_nb,
    lot_steps_nb,
    price_ticks_nb,
    volatility_micropoints_nb,
)

FIELD_ACCOUNT = 1
FIELD_PROVIDER = 2
FIELD_PROVIDER_TYPE = 3
FIELD_SYMBOL = 4
FIELD_SIDE = 5
FIELD_ENTRY = 6
FIELD_STOP = 7
FIELD_TARGET = 8
FIELD_LOTS = 9
FIELD_ATR = 10
FIELD_VOLATILITY = 11

SIDE_MAX = 2
PROVIDER_TYPE_MAX = 2
ORDER_TYPE_MAX = 4
TIME_IN_FORCE_MAX = 4
SESSION_MAX = 5


@kernel
def _is_empty_nb(words: Any) -> bool:
    # Text never starts with a zero byte, so its first word is 0 only when it is empty.
    return words[0] == 0


@kernel
def _refuse_nb(decision: Any, field: int, problem: int) -> bool:
    decision.field = field
    decision.problem = problem
    return False


@kernel
def has_unknown_enum_nb(request: Any) -> bool:
    """Tell whether an enumeration carries a number that this release does not know."""
    return not (
        0 <= request.side <= SIDE_MAX
        and 0 <= request.provider_type <= PROVIDER_TYPE_MAX
        and 0 <= request.order_type <= ORDER_TYPE_MAX
        and 0 <= request.time_in_force <= TIME_IN_FORCE_MAX
        and 0 <= request.session <= SESSION_MAX
    )


@kernel
def _names_are_there_nb(request: Any, decision: Any) -> bool:
    opening = request.reduce_only == 0
    if _is_empty_nb(request.account_id):
        return _refuse_nb(decision, FIELD_ACCOUNT, P_REQUIRED)
    if opening and _is_empty_nb(request.provider_id):
        return _refuse_nb(decision, FIELD_PROVIDER, P_REQUIRED)
    if opening and request.provider_type == 0:
        return _refuse_nb(decision, FIELD_PROVIDER_TYPE, P_REQUIRED)
    if _is_empty_nb(request.symbol):
        return _refuse_nb(decision, FIELD_SYMBOL, P_REQUIRED)
    if request.side == 0:
        return _refuse_nb(decision, FIELD_SIDE, P_REQUIRED)
    return True


@kernel
def _positive_nb(decision: Any, field: int, value: float) -> bool:
    if not math.isfinite(value):
        return _refuse_nb(decision, field, P_FINITE)
    if not (value > 0.0):
        return _refuse_nb(decision, field, P_POSITIVE)
    return True


@kernel
def _price_is_valid_nb(state: Any, decision: Any, work: Any, field: int, price: float) -> int:
    """Return the ticks of a price (0 while its instrument is unknown), NOT_SET if refused."""
    if not _positive_nb(decision, field, price):
        return NOT_SET
    if work.instrument_row == 0:
        return 0
    ticks = price_ticks_nb(price, instrument_at(state, work.instrument_row).tick_size)
    if ticks in (OFF_GRID, OUT_OF_RANGE):
        _refuse_nb(decision, field, P_OFF_TICK if ticks == OFF_GRID else P_RANGE)
        return NOT_SET
    return ticks


@kernel
def _entry_and_stop_are_valid_nb(state: Any, request: Any, decision: Any, work: Any) -> bool:
    opening = request.reduce_only == 0
    if request.present & HAS_ENTRY_PRICE:
        work.entry_ticks = _price_is_valid_nb(
            state, decision, work, FIELD_ENTRY, request.entry_price
        )
        if work.entry_ticks == NOT_SET:
            return False
    elif opening:
        return _refuse_nb(decision, FIELD_ENTRY, P_REQUIRED)
    if request.present & HAS_STOP_LOSS:
        work.stop_ticks = _price_is_valid_nb(state, decision, work, FIELD_STOP, request.stop_loss)
        if work.stop_ticks == NOT_SET:
            return False
        risk = (request.entry_price - request.stop_loss) * work.direction
        known = (work.entry_ticks - work.stop_ticks) * work.direction
        if opening and not (known > 0 if work.instrument_row != 0 else risk > 0.0):
            return _refuse_nb(decision, FIELD_STOP, P_SIDE)
    return True


@kernel
def _target_is_valid_nb(state: Any, request: Any, decision: Any, work: Any) -> bool:
    if not (request.present & HAS_TAKE_PROFIT):
        return True
    ticks = _price_is_valid_nb(state, decision, work, FIELD_TARGET, request.take_profit)
    if ticks == NOT_SET:
        return False
    gain = (request.take_profit - request.entry_price) * work.direction
    known = (ticks - work.entry_ticks) * work.direction
    if request.reduce_only == 0 and not (known > 0 if work.instrument_row != 0 else gain > 0.0):
        return _refuse_nb(decision, FIELD_TARGET, P_SIDE)
    return True


@kernel
def _lots_are_valid_nb(state: Any, request: Any, decision: Any, work: Any) -> bool:
    if not (request.present & HAS_REQUESTED_LOTS):
        return True
    if not _positive_nb(decision, FIELD_LOTS, request.requested_lots):
        return False
    if work.instrument_row != 0:
        instrument = instrument_at(state, work.instrument_row)
        steps, off_step = lot_steps_nb(
            request.requested_lots, instrument.lot_mantissa, instrument.lot_scale
        )
        if steps == OUT_OF_RANGE:
            return _refuse_nb(decision, FIELD_LOTS, P_RANGE)
        work.requested_steps = steps
        work.off_step = off_step
    return True


@kernel
def _market_is_valid_nb(state: Any, request: Any, decision: Any, work: Any) -> bool:
    if request.present & HAS_ATR:
        if not _positive_nb(decision, FIELD_ATR, request.atr):
            return False
        if work.instrument_row != 0:
            work.atr_ticks = atr_ticks_nb(
                request.atr, instrument_at(state, work.instrument_row).tick_size
            )
            if work.atr_ticks == OUT_OF_RANGE:
                return _refuse_nb(decision, FIELD_ATR, P_RANGE)
    work.volatility_micropoints = NOT_SET
    if request.present & HAS_VOLATILITY_INDEX:
        if not math.isfinite(request.volatility_index):
            return _refuse_nb(decision, FIELD_VOLATILITY, P_FINITE)
        work.volatility_micropoints = volatility_micropoints_nb(request.volatility_index)
        if work.volatility_micropoints == OUT_OF_RANGE:
            return _refuse_nb(decision, FIELD_VOLATILITY, P_PERCENT)
    return True


@kernel
def validate_nb(state: Any) -> bool:
    """Check `state.request`.

    Name the first bad field in the decision, or leave ticks and steps in `state.work`.
    """
    request = request_of(state)
    decision = decision_of(state)
    work = work_of(state)
    work.direction = 1 if request.side == 1 else -1
    return (
        _names_are_there_nb(request, decision)
        and _entry_and_stop_are_valid_nb(state, request, decision, work)
        and _target_is_valid_nb(state, request, decision, work)
        and _lots_are_valid_nb(state, request, decision, work)
        and _market_is_valid_nb(state, request, decision, work)
    )
