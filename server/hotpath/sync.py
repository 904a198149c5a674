"""The broker's view of an account replaces ours; what differed is reported.

Rules: docs/decision.md, section 10.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from server.hotpath.accounts import mark_equity_nb, roll_account_nb
from server.hotpath.breakers import refresh_breakers_nb
from server.hotpath.clock import take_reading_nb
from server.hotpath.idempotency import find_order_nb
from server.hotpath.inputs import find_rate_nb
from server.hotpath.jit import i64, routine
from server.hotpath.layout import NOT_SET, PICOS, SYMBOL_WORDS
from server.hotpath.memory import (
    account_at,
    engine_of,
    exposure_at,
    exposures_of,
    instrument_at,
    instruments_of,
    position_at,
    rate_at,
    remembered_at,
    reservation_at,
)
from server.hotpath.positions import (
    exposure_key_nb,
    find_position_nb,
    make_exposure_nb,
    make_position_nb,
    move_position_nb,
    net_key_nb,
    position_key_nb,
)
from server.hotpath.records import (
    DIFFERENCE_EQUITY,
    DIFFERENCE_HOLD,
    DIFFERENCE_ORDER,
    DIFFERENCE_POSITION,
)
from server.hotpath.reservations import (
    add_to_sums_nb,
    close_nb,
    find_reservation_nb,
    forget_flat_position_nb,
    is_live_nb,
    leave_wheel_nb,
)
from server.hotpath.rows import RESERVATION_HELD, RESERVATION_WORKING
from server.hotpath.sizing import loss_per_lot_nb, notional_per_lot_nb
from server.hotpath.strategies import bound_strategies_nb
from server.hotpath.table import find_nb, rows_used_nb
from server.hotpath.units import INT64_MAX, UP, cost_nb, lot_steps_nb, mul_div_nb

SIDE_BUY = 1


@routine
def _note_nb(
    differences: Any, count: int, subject: int, row: int, engine_value: int, broker_value: int
) -> int:
    if engine_value == broker_value or count >= differences.shape[0]:
        return count
    differences[count].subject = subject
    differences[count].row = row
    differences[count].engine_value = engine_value
    differences[count].broker_value = broker_value
    return count + 1


@routine
def _empty_exposures_nb(state: Any, account_row: int) -> None:
    for row in range(1, rows_used_nb(exposures_of(state)) + 1):
        exposure = exposure_at(state, row)
        if abs(exposure.account_row) == account_row:
            exposure.open_notional_micros = 0


@routine
def _empty_positions_nb(state: Any, account_row: int) -> None:
    account = account_at(state, account_row)
    if account.open_notional_micros == INT64_MAX:
        # So may groups be whose positions are all forgotten.
        _empty_exposures_nb(state, account_row)
    row = account.first_position
    while row != 0:
        position = position_at(state, row)
        position.before_sync_steps = position.net_steps
        if position.exposure_row != 0:
            exposure_at(state, position.exposure_row).open_notional_micros = 0
        position.net_steps = 0
        position.cost_ticks = 0
        position.open_risk_micros = 0
        position.open_notional_micros = 0
        row = position.next_position
    # Nothing is open now, also when a sum had left int64.
    account.open_risk_micros = 0
    account.open_notional_micros = 0


@routine
def _instrument_row_nb(state: Any, symbol: Any) -> int:
    row = find_nb(instruments_of(state), symbol, SYMBOL_WORDS)
    return row if row != 0 and instrument_at(state, row).alive != 0 else i64(0)


@routine
def _rate_nb(state: Any, account_row: int, instrument_row: int) -> int:
    quote = instrument_at(state, instrument_row).quote_currency
    currency = account_at(state, account_row).currency
    if quote == currency:
        return i64(PICOS)
    row = find_rate_nb(state, quote, currency)
    return rate_at(state, row).rate_picos if row != 0 else i64(0)


@routine
def _open_position_nb(state: Any, account_row: int, given: Any) -> None:
    instrument_row = _instrument_row_nb(state, given.symbol)
    if instrument_row == 0:
        return
    instrument = instrument_at(state, instrument_row)
    steps, _ = lot_steps_nb(given.lots, instrument.lot_mantissa, instrument.lot_scale)
    price = max(i64(np.rint(given.average_price / instrument.tick_size)), i64(1))
    if steps <= 0:
        return
    direction = 1 if given.side == SIDE_BUY else -1
    rate = _rate_nb(state, account_row, instrument_row)
    notional = i64(0)
    risk = i64(0)
    if rate > 0:
        per_lot = notional_per_lot_nb(state, price, instrument.tick_notional_picos, rate)
        notional = cost_nb(state, steps, per_lot, instrument.lot_mantissa, instrument.lot_scale)
        if given.stop_loss > 0.0:
            distance = (price - i64(np.rint(given.stop_loss / instrument.tick_size))) * direction
            per_lot = loss_per_lot_nb(
                state, max(distance, i64(0)), instrument.tick_value_picos, rate, i64(0)
            )
            risk = cost_nb(state, steps, per_lot, instrument.lot_mantissa, instrument.lot_scale)
    position_key_nb(state, account_row, instrument_row, given.position_id)
    row = make_position_nb(state)
    exposure_key_nb(state, account_row, instrument_row)
    exposure_row = make_exposure_nb(state)
    if row == 0 or exposure_row == 0:
        return
    move_position_nb(state, row, exposure_row, i64(0), direction * steps, price, risk, notional)
    if given.position_id[0] != 0:
        net_key_nb(state, account_row, instrument_row)
        net_row = make_position_nb(state)
        if net_row != 0:
            zero = i64(0)
            move_position_nb(state, net_row, zero, zero, direction * steps, price, zero, zero)


@routine
def _compare_positions_nb(state: Any, account_row: int, differences: Any, count: int) -> int:
    row = account_at(state, account_row).first_position
    while row != 0:
        position = position_at(state, row)
        after = position.next_position
        count = _note_nb(
            differences,
            count,
            DIFFERENCE_POSITION,
            row,
            position.before_sync_steps,
            position.net_steps,
        )
        row = after
    return count


@routine
def forget_flat_positions_nb(state: Any, account_row: int) -> None:
    """Free the rows of an account's named positions that are flat."""
    row = account_at(state, account_row).first_position
    while row != 0:
        after = position_at(state, row).next_position
        forget_flat_position_nb(state, row)
        row = after


@routine
def _finds_position_nb(state: Any, row: int) -> bool:
    """Tell whether what a hold belongs to is there, and let it name that.

    An exit that was filled whole holds nothing any more, so its position may have been forgotten,
    and its row may be another's.
    """
    held = reservation_at(state, row)
    if held.is_exit == 0:
        return True
    position_key_nb(state, held.account_row, held.instrument_row, held.position_id)
    held.position_row = find_position_nb(state)
    return held.position_row != 0


@routine
def _keep_order_nb(state: Any, row: int, steps: int) -> None:
    """Make a live hold WORKING with the broker's remaining lots; what it holds scales along."""
    held = reservation_at(state, row)
    if held.state == RESERVATION_HELD:
        leave_wheel_nb(state, row)
        held.state = RESERVATION_WORKING
    add_to_sums_nb(state, row, i64(-1))
    if held.left_steps > 0:
        held.risk_micros = mul_div_nb(state, held.risk_micros, steps, held.left_steps, UP)
        held.notional_micros = mul_div_nb(state, held.notional_micros, steps, held.left_steps, UP)
    held.left_steps = steps
    add_to_sums_nb(state, row, i64(1))


@routine
def _sync_orders_nb(
    state: Any, account_row: int, as_of_ns: int, orders: Any, differences: Any, count: int
) -> int:
    # The number that this one takes when it is done.
    stamp = engine_of(state).sequence + 1
    for index in range(orders.shape[0]):
        given = orders[index]
        order = find_order_nb(state, account_row, given.client_order_id)
        row = (
            find_reservation_nb(state, remembered_at(state, order).decision_id)
            if order != 0
            else i64(0)
        )
        instrument_row = _instrument_row_nb(state, given.symbol)
        steps = i64(0)
        if instrument_row != 0:
            instrument = instrument_at(state, instrument_row)
            steps, _ = lot_steps_nb(given.lots, instrument.lot_mantissa, instrument.lot_scale)
        is_live = row != 0 and is_live_nb(reservation_at(state, row).state)
        if is_live and steps > 0 and _finds_position_nb(state, row):
            held = reservation_at(state, row)
            held.synced = stamp
            count = _note_nb(differences, count, DIFFERENCE_HOLD, row, held.left_steps, steps)
            _keep_order_nb(state, row, steps)
        else:
            count = _note_nb(
                differences, count, DIFFERENCE_ORDER, index, i64(0), max(steps, i64(1))
            )
    row = account_at(state, account_row).first_reservation
    while row != 0:
        held = reservation_at(state, row)
        after = held.next_of_account
        # A hold that is younger than the broker's picture cannot be in it.
        if held.synced != stamp and held.made_at_ns <= as_of_ns:
            count = _note_nb(differences, count, DIFFERENCE_HOLD, row, held.left_steps, i64(0))
            # Flat positions are forgotten later: the differences still name their rows.
            add_to_sums_nb(state, row, i64(-1))
            close_nb(state, row)
        row = after
    return count


@routine
def sync_nb(
    state: Any,
    account_row: int,
    equity_micros: int,
    as_of_ns: int,
    positions: Any,
    orders: Any,
    differences: Any,
    reading_ns: int,
) -> int:
    """Replace an account's equity, positions and working orders.

    Return how many differences were written.

    Args:
        state: MEMORY record.
        account_row: a live account.
        equity_micros: NOT_SET when the broker's picture has none.
        as_of_ns: when the picture was true.
        positions: SYNC_POSITION rows.
        orders: SYNC_ORDER rows.
        differences: DIFFERENCE rows to fill; more than fit are not listed.
        reading_ns: wall clock.
    """
    now_ns = take_reading_nb(state, reading_ns)
    state.fault = 0
    roll_account_nb(state, account_row, now_ns)
    count = i64(0)
    if equity_micros != NOT_SET:
        believed = account_at(state, account_row).equity_micros
        if mark_equity_nb(state, account_row, equity_micros, as_of_ns):
            count = _note_nb(differences, count, DIFFERENCE_EQUITY, i64(0), believed, equity_micros)
    _empty_positions_nb(state, account_row)
    for index in range(positions.shape[0]):
        _open_position_nb(state, account_row, positions[index])
    bound_strategies_nb(state, account_row)
    count = _compare_positions_nb(state, account_row, differences, count)
    count = _sync_orders_nb(state, account_row, as_of_ns, orders, differences, count)
    refresh_breakers_nb(state, account_row, now_ns)
    engine_of(state).sequence += 1
    return count
