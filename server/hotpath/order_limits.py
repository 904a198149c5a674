"""Caps on one order, on the account's notional, on long, short and strategy positions.

In these 0 is no limit. Rules: docs/decision.md, section 13.
"""

from __future__ import annotations

from typing import Any

from server.hotpath.checks import cap_nb
from server.hotpath.jit import i64, kernel
from server.hotpath.limits import steps_of_side_nb
from server.hotpath.memory import (
    account_at,
    configuration_at,
    decision_of,
    instrument_at,
    override_at,
    request_of,
    strategy_at,
    work_of,
)
from server.hotpath.positions import strategy_notional_nb
from server.hotpath.reasons import (
    R_ACCOUNT_NOTIONAL,
    R_LONG_POSITION,
    R_ORDER_VALUE,
    R_ORDER_VOLUME,
    R_SHORT_POSITION,
    R_STRATEGY_NOTIONAL,
    S_NOT_APPLICABLE,
)
from server.hotpath.units import add_nb, steps_nb, steps_of_microlots_nb


@kernel
def stricter_of_positive_nb(state: Any, of_account: int, of_symbol: int) -> int:
    """Return the limit that counts: as `stricter_nb`, where 0 is no limit."""
    work = work_of(state)
    if work.override_row == 0 or of_symbol == 0:
        return of_account
    if of_account == 0 or override_at(state, work.override_row).override != 0:
        return of_symbol
    return min(of_account, of_symbol)


@kernel
def _cap_money_nb(state: Any, reason: int, limit_micros: int, used_micros: int) -> None:
    """Cap by notional in money, where `used_micros` is taken already."""
    work, decision = work_of(state), decision_of(state)
    instrument = instrument_at(state, work.instrument_row)
    room = limit_micros - used_micros if limit_micros > used_micros else i64(0)
    steps = steps_nb(
        state, room, decision.notional_per_lot_micros, instrument.lot_mantissa, instrument.lot_scale
    )
    cap_nb(decision, reason, steps, limit_micros, used_micros, instrument.min_lot_steps)


@kernel
def _cap_lots_nb(state: Any, reason: int, limit_microlots: int, used_steps: int) -> None:
    """Cap by lots, where `used_steps` are taken already."""
    work, decision = work_of(state), decision_of(state)
    instrument = instrument_at(state, work.instrument_row)
    limit = steps_of_microlots_nb(limit_microlots, instrument.lot_mantissa, instrument.lot_scale)
    room = limit - used_steps if limit > used_steps else i64(0)
    cap_nb(decision, reason, room, limit, used_steps, instrument.min_lot_steps)


@kernel
def _cap_order_nb(state: Any) -> None:
    """Cap value and volume of one order."""
    work, decision = work_of(state), decision_of(state)
    configuration = configuration_at(state, work.account_row)
    override = override_at(state, work.override_row)
    decision.status[R_ORDER_VALUE] = S_NOT_APPLICABLE
    decision.status[R_ORDER_VOLUME] = S_NOT_APPLICABLE
    limit = stricter_of_positive_nb(
        state, configuration.max_order_value_micros, override.max_order_value_micros
    )
    if limit > 0:
        _cap_money_nb(state, R_ORDER_VALUE, limit, i64(0))
    limit = stricter_of_positive_nb(
        state, configuration.max_order_microlots, override.max_order_microlots
    )
    if limit > 0:
        _cap_lots_nb(state, R_ORDER_VOLUME, limit, i64(0))


@kernel
def _cap_side_nb(state: Any) -> None:
    """Cap the long position that a buy makes larger, or the short one that a sell does."""
    work, decision = work_of(state), decision_of(state)
    configuration = configuration_at(state, work.account_row)
    override = override_at(state, work.override_row)
    decision.status[R_LONG_POSITION] = S_NOT_APPLICABLE
    decision.status[R_SHORT_POSITION] = S_NOT_APPLICABLE
    if work.direction > 0:
        reason = R_LONG_POSITION
        limit = stricter_of_positive_nb(
            state, configuration.max_long_microlots, override.max_long_microlots
        )
    else:
        reason = R_SHORT_POSITION
        limit = stricter_of_positive_nb(
            state, configuration.max_short_microlots, override.max_short_microlots
        )
    if limit > 0:
        _cap_lots_nb(state, reason, limit, steps_of_side_nb(state))


@kernel
def _cap_notional_nb(state: Any) -> None:
    """Cap the gross notional of the account and of the strategy."""
    work, decision = work_of(state), decision_of(state)
    configuration = configuration_at(state, work.account_row)
    account = account_at(state, work.account_row)
    strategy = strategy_at(state, work.strategy_row)
    decision.status[R_ACCOUNT_NOTIONAL] = S_NOT_APPLICABLE
    if configuration.max_notional_micros > 0:
        used = add_nb(state, account.open_notional_micros, account.held_notional_micros)
        _cap_money_nb(state, R_ACCOUNT_NOTIONAL, configuration.max_notional_micros, used)
    if configuration.max_strategy_notional_micros == 0:
        decision.status[R_STRATEGY_NOTIONAL] = S_NOT_APPLICABLE
    elif request_of(state).strategy_id[0] != 0:
        # Row 0, of a strategy that has none yet, holds nothing.
        opened = strategy_notional_nb(account, strategy)
        used = add_nb(state, opened, strategy.held_notional_micros)
        _cap_money_nb(state, R_STRATEGY_NOTIONAL, configuration.max_strategy_notional_micros, used)


@kernel
def apply_order_caps_nb(state: Any) -> None:
    """Run the caps of the order's own value and volume and of what it adds to."""
    if account_at(state, work_of(state).account_row).has_configuration == 0:
        return
    _cap_order_nb(state)
    _cap_notional_nb(state)
    _cap_side_nb(state)
