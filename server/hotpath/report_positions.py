"""Which position a fill or close moves, and moving it."""

from __future__ import annotations

from typing import Any

from server.hotpath.inputs import find_rate_nb
from server.hotpath.jit import i64, routine
from server.hotpath.layout import ID_WORDS, PICOS
from server.hotpath.memory import (
    account_at,
    exposures_of,
    instrument_at,
    position_at,
    rate_at,
    report_of,
    reservation_at,
)
from server.hotpath.positions import (
    exposure_key_nb,
    find_exposure_nb,
    find_position_nb,
    make_exposure_nb,
    make_position_nb,
    move_position_nb,
    net_key_nb,
    position_key_nb,
    positions_have_room_nb,
)
from server.hotpath.report_rules import (
    SIDE_BUY,
)
from server.hotpath.reservations import (
    forget_flat_position_nb,
)
from server.hotpath.sizing import notional_per_lot_nb
from server.hotpath.table import rows_used_nb
from server.hotpath.units import cost_nb, largest_if_fault_nb


@routine
def unmatched_notional_nb(
    state: Any, account_row: int, instrument_row: int, steps: int, price: int
) -> int:
    """Return the notional of a fill that matches no order, 0 without a conversion rate."""
    instrument = instrument_at(state, instrument_row)
    currency = account_at(state, account_row).currency
    rate = i64(PICOS)
    if instrument.quote_currency != currency:
        found = find_rate_nb(state, instrument.quote_currency, currency)
        if found == 0:
            return i64(0)
        rate = rate_at(state, found).rate_picos
    per_lot = notional_per_lot_nb(state, price, instrument.tick_notional_picos, rate)
    notional = cost_nb(state, steps, per_lot, instrument.lot_mantissa, instrument.lot_scale)
    return largest_if_fault_nb(state, notional)


@routine
def move_rows_nb(
    state: Any,
    account_row: int,
    instrument_row: int,
    strategy_row: int,
    signed_steps: int,
    price: int,
    risk: int,
    notional: int,
) -> None:
    """Move the position that the scratch key names, and the net position if that is another."""
    named = False
    for word in range(ID_WORDS):
        named |= state.scratch[2 + word] != 0
    row = make_position_nb(state)
    exposure_key_nb(state, account_row, instrument_row)
    exposure_row = make_exposure_nb(state)
    move_position_nb(state, row, exposure_row, strategy_row, signed_steps, price, risk, notional)
    if named:
        net_key_nb(state, account_row, instrument_row)
        move_position_nb(
            state,
            make_position_nb(state),
            i64(0),
            i64(0),
            signed_steps,
            price,
            i64(0),
            i64(0),
        )
        forget_flat_position_nb(state, row)


@routine
def position_key_of_report_nb(
    state: Any, account_row: int, instrument_row: int, row: int, closing: bool
) -> None:
    """Write the key of the position that a fill or close moves into the scratch words."""
    report, order = report_of(state), reservation_at(state, row)
    follows_fills = closing and order.filled_steps > 0
    follows_order = not closing and report.position_id[0] == 0
    if row != 0 and (follows_fills or follows_order):
        # A close follows the fills of its order; an exit fills what it was to reduce.
        position_key_nb(state, account_row, instrument_row, order.position_id)
        return
    position_key_nb(state, account_row, instrument_row, report.position_id)
    if row == 0 and closing and report.position_id[0] != 0:
        found = find_position_nb(state)
        if found == 0 or position_at(state, found).net_steps == 0:
            net_key_nb(state, account_row, instrument_row)


@routine
def closable_steps_nb(state: Any, account_row: int, instrument_row: int, steps: int) -> int:
    """Return how much of an unmatched close there is to close: it never opens a position."""
    position_key_of_report_nb(state, account_row, instrument_row, i64(0), True)
    found = find_position_nb(state)
    net = position_at(state, found).net_steps if found != 0 else i64(0)
    is_long = report_of(state).side == SIDE_BUY
    return min(steps, abs(net)) if net != 0 and (net > 0) == is_long else i64(0)


@routine
def rows_fit_nb(state: Any, account_row: int, instrument_row: int, row: int, closing: bool) -> bool:
    """Tell whether the position and exposure rows that an execution moves exist or can be made."""
    position_key_of_report_nb(state, account_row, instrument_row, row, closing)
    named = state.scratch[2] != 0
    missing = 1 if find_position_nb(state) == 0 else 0
    if named:
        net_key_nb(state, account_row, instrument_row)
        missing += 1 if find_position_nb(state) == 0 else 0
    exposure_key_nb(state, account_row, instrument_row)
    exposures = exposures_of(state)
    fits = find_exposure_nb(state) != 0 or rows_used_nb(exposures) < exposures.capacity
    return fits and positions_have_room_nb(state, missing)
