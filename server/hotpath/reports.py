"""What became of an order.

Holds turn into positions or go back, equity and the count of losses move.

Each report is applied once, in any order. Rules: docs/decision.md, section 6.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from server.hotpath.accounts import roll_account_nb
from server.hotpath.breakers import refresh_breakers_nb
from server.hotpath.clock import take_reading_nb
from server.hotpath.idempotency import find_order_nb
from server.hotpath.jit import i64, routine
from server.hotpath.layout import ID_WORDS, SYMBOL_WORDS
from server.hotpath.memory import (
    account_at,
    accounts_of,
    engine_of,
    instrument_at,
    instruments_of,
    position_at,
    positions_of,
    remembered_at,
    report_of,
    reservation_at,
    result_of,
)
from server.hotpath.positions import (
    net_key_nb,
)
from server.hotpath.records import (
    P_RANGE,
    P_REQUIRED,
    REPORT_ACCOUNT_UNKNOWN,
    REPORT_APPLIED,
    REPORT_DUPLICATE,
    REPORT_FULL,
    REPORT_HAS_CUMULATIVE,
    REPORT_HAS_PRICE,
    REPORT_INVALID,
    REPORT_UNMATCHED,
)
from server.hotpath.report_memory import is_new_report_nb, remember_report_nb
from server.hotpath.report_money import settle_money_nb
from server.hotpath.report_positions import (
    closable_steps_nb,
    move_rows_nb,
    position_key_of_report_nb,
    rows_fit_nb,
    unmatched_notional_nb,
)
from server.hotpath.report_rules import (
    FIELD_CUMULATIVE,
    FIELD_LOTS,
    FIELD_PRICE,
    FIELD_SIDE,
    FIELD_SYMBOL,
    KIND_ACK,
    KIND_CANCEL,
    KIND_CLOSE,
    KIND_EXPIRE,
    KIND_FILL,
    KIND_PARTIAL_FILL,
    KIND_REJECT,
    KIND_UNKNOWN,
    SIDE_BUY,
    SIDE_SELL,
    names_are_valid_nb,
    numbers_are_valid_nb,
    refuse_nb,
)
from server.hotpath.reservations import (
    add_to_sums_nb,
    find_reservation_nb,
    is_live_nb,
    leave_wheel_nb,
    release_nb,
)
from server.hotpath.rows import RESERVATION_HELD, RESERVATION_WORKING
from server.hotpath.table import find_nb
from server.hotpath.units import (
    DOWN,
    OUT_OF_RANGE,
    cost_nb,
    largest_if_fault_nb,
    lot_steps_nb,
    mul_div_nb,
)


@routine
def _find_order_row_nb(state: Any, account_row: int) -> int:
    """Return the reservation the report is about, open or closed; 0 if it is not known."""
    report = report_of(state)
    row = i64(0)
    if report.client_order_id[0] != 0:
        order = find_order_nb(state, account_row, report.client_order_id)
        if order != 0:
            row = find_reservation_nb(state, remembered_at(state, order).decision_id)
    if row == 0 and report.decision_id > 0:
        row = find_reservation_nb(state, report.decision_id)
    return row if row != 0 and reservation_at(state, row).account_row == account_row else i64(0)


@routine
def _moved_steps_nb(state: Any, row: int, instrument_row: int, closing: bool) -> int:
    """Return how many lot steps this report moves, OUT_OF_RANGE if it cannot be counted."""
    report = report_of(state)
    instrument = instrument_at(state, instrument_row)
    order = reservation_at(state, row)
    if report.present & REPORT_HAS_CUMULATIVE:
        total, _ = lot_steps_nb(
            report.cumulative_lots, instrument.lot_mantissa, instrument.lot_scale
        )
        if total == OUT_OF_RANGE:
            return total
        done = order.closed_steps if closing else order.filled_steps
        return max(total - (done if row != 0 else 0), i64(0))
    steps, _ = lot_steps_nb(report.lots, instrument.lot_mantissa, instrument.lot_scale)
    return steps


@routine
def _price_ticks_nb(state: Any, instrument_row: int) -> int:
    """Return the execution price to the nearest tick, 0 when it is absent or out of range."""
    report = report_of(state)
    if not report.present & REPORT_HAS_PRICE:
        return i64(0)
    scaled = np.rint(report.price / instrument_at(state, instrument_row).tick_size)
    return i64(scaled) if 1.0 <= scaled <= 2.0**31 else i64(0)


@routine
def _give_up_hold_nb(state: Any, row: int, steps: int) -> tuple[int, int]:
    """Take `steps` out of a live hold.

    Return the risk and notional that went with them and with any excess.
    """
    held = reservation_at(state, row)
    instrument = instrument_at(state, held.instrument_row)
    part = i64(0)
    risk = i64(0)
    notional = i64(0)
    if is_live_nb(held.state) and held.left_steps > 0:
        part = min(steps, held.left_steps)
        add_to_sums_nb(state, row, i64(-1))
        risk = mul_div_nb(state, held.risk_micros, part, held.left_steps, DOWN)
        notional = mul_div_nb(state, held.notional_micros, part, held.left_steps, DOWN)
        held.left_steps -= part
        held.risk_micros -= risk
        held.notional_micros -= notional
        add_to_sums_nb(state, row, i64(1))
    over = steps - part
    if over > 0 and held.is_exit == 0:
        mantissa, scale = instrument.lot_mantissa, instrument.lot_scale
        risk += cost_nb(state, over, held.loss_per_lot_micros, mantissa, scale)
        notional += cost_nb(state, over, held.notional_per_lot_micros, mantissa, scale)
    return largest_if_fault_nb(state, risk), largest_if_fault_nb(state, notional)


@routine
def _apply_execution_nb(
    state: Any, account_row: int, instrument_row: int, row: int, steps: int, closing: bool
) -> None:
    """Move hold and position by a fill or a close of `steps` > 0."""
    report = report_of(state)
    order = reservation_at(state, row)
    side = order.side if row != 0 else report.side
    price = _price_ticks_nb(state, instrument_row)
    signed = steps if (side == SIDE_BUY) != closing else -steps
    risk = i64(0)
    notional = i64(0)
    if row != 0:
        if price == 0:
            price = order.entry_ticks if not closing else i64(0)
        if closing:
            order.closed_steps += steps
        else:
            risk, notional = _give_up_hold_nb(state, row, steps)
            order.filled_steps += steps
    elif not closing:
        notional = unmatched_notional_nb(state, account_row, instrument_row, steps, price)
    position_key_of_report_nb(state, account_row, instrument_row, row, closing)
    if row != 0 and not closing and order.is_exit == 0:
        for word in range(ID_WORDS):
            order.position_id[word] = state.scratch[2 + word]
    strategy_row = order.strategy_row if row != 0 else i64(0)
    move_rows_nb(state, account_row, instrument_row, strategy_row, signed, price, risk, notional)


@routine
def _settle_hold_nb(state: Any, row: int) -> None:
    """Close the hold of an order that has ended.

    Or keep it without a lifetime once the market has it.
    """
    kind = report_of(state).kind
    order = reservation_at(state, row)
    if not is_live_nb(order.state):
        return
    exited = kind == KIND_CLOSE and order.is_exit != 0
    if exited or kind in (KIND_FILL, KIND_REJECT, KIND_CANCEL, KIND_EXPIRE):
        release_nb(state, row)
    elif kind in (KIND_ACK, KIND_PARTIAL_FILL, KIND_UNKNOWN) and order.state == RESERVATION_HELD:
        leave_wheel_nb(state, row)
        order.state = RESERVATION_WORKING


@routine
def _instrument_of_report_nb(state: Any, row: int) -> int:
    if row != 0:
        return reservation_at(state, row).instrument_row
    instrument_row = find_nb(instruments_of(state), report_of(state).symbol, SYMBOL_WORDS)
    return instrument_row if instrument_at(state, instrument_row).alive != 0 else i64(0)


@routine
def _judge_execution_nb(state: Any, instrument_row: int, row: int, steps: int) -> int:
    """Return 0 if a fill or close makes sense, else REPORT_INVALID with the field named."""
    report, result = report_of(state), result_of(state)
    if instrument_row == 0:
        refuse_nb(result, FIELD_SYMBOL, P_REQUIRED)
        return REPORT_INVALID
    if row == 0 and not (SIDE_BUY <= report.side <= SIDE_SELL):
        refuse_nb(result, FIELD_SIDE, P_REQUIRED)
        return REPORT_INVALID
    if steps == OUT_OF_RANGE:
        by_total = report.present & REPORT_HAS_CUMULATIVE
        refuse_nb(result, FIELD_CUMULATIVE if by_total else FIELD_LOTS, P_RANGE)
        return REPORT_INVALID
    if report.present & REPORT_HAS_PRICE and _price_ticks_nb(state, instrument_row) == 0:
        refuse_nb(result, FIELD_PRICE, P_RANGE)
        return REPORT_INVALID
    return i64(0)


@routine
def _execute_nb(state: Any, account_row: int, instrument_row: int, row: int) -> int:
    """Apply a fill or close; return 0, or the outcome that refuses it."""
    # The close of an exit order is its fill.
    closing = report_of(state).kind == KIND_CLOSE and reservation_at(state, row).is_exit == 0
    steps = i64(0)
    if instrument_row != 0:
        steps = _moved_steps_nb(state, row, instrument_row, closing)
    refusal = _judge_execution_nb(state, instrument_row, row, steps)
    if refusal != 0:
        return refusal
    if row == 0 and closing:
        steps = closable_steps_nb(state, account_row, instrument_row, steps)
    if steps == 0:
        return i64(0)
    if not rows_fit_nb(state, account_row, instrument_row, row, closing):
        return REPORT_FULL
    _apply_execution_nb(state, account_row, instrument_row, row, steps, closing)
    return i64(0)


@routine
def _answer_nb(state: Any, account_row: int, instrument_row: int, row: int) -> None:
    result = result_of(state)
    result.equity_micros = account_at(state, account_row).equity_micros
    result.held_steps = reservation_at(state, row).left_steps if row != 0 else i64(0)
    if instrument_row != 0:
        net_key_nb(state, account_row, instrument_row)
        position_row = find_nb(positions_of(state), state.scratch, 2 + ID_WORDS)
        result.position_steps = (
            position_at(state, position_row).net_steps if position_row != 0 else i64(0)
        )
        result.lot_mantissa = instrument_at(state, instrument_row).lot_mantissa
        result.lot_scale = instrument_at(state, instrument_row).lot_scale


@routine
def report_nb(state: Any, reading_ns: int) -> int:
    """Apply `state.report`; write `state.report_result` and return its outcome (REPORT_*)."""
    now_ns = take_reading_nb(state, reading_ns)
    state.fault = 0
    report, result = report_of(state), result_of(state)
    result.field = 0
    result.problem = 0
    result.held_steps = 0
    result.position_steps = 0
    result.lot_mantissa = 1
    result.lot_scale = 1
    if not (names_are_valid_nb(report, result) and numbers_are_valid_nb(report, result)):
        return REPORT_INVALID
    account_row = find_nb(accounts_of(state), report.account_id, ID_WORDS)
    if account_row == 0 or account_at(state, account_row).alive == 0:
        return REPORT_ACCOUNT_UNKNOWN
    row = _find_order_row_nb(state, account_row)
    instrument_row = _instrument_of_report_nb(state, row)
    outcome = REPORT_DUPLICATE
    if is_new_report_nb(state, account_row):
        outcome = REPORT_APPLIED if row != 0 else REPORT_UNMATCHED
        if report.kind in (KIND_PARTIAL_FILL, KIND_FILL, KIND_CLOSE):
            refusal = _execute_nb(state, account_row, instrument_row, row)
            if refusal != 0:
                return refusal
        roll_account_nb(state, account_row, now_ns)
        remember_report_nb(state, account_row)
        if row != 0:
            _settle_hold_nb(state, row)
        settle_money_nb(
            state, account_row, report.event_time_ns if report.event_time_ns > 0 else now_ns, now_ns
        )
        refresh_breakers_nb(state, account_row, now_ns)
    engine_of(state).sequence += 1
    result.sequence = engine_of(state).sequence
    result.outcome = outcome
    _answer_nb(state, account_row, instrument_row, row)
    return outcome
