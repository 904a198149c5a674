"""The caps on size (ETRMS limits S3-02 to S3-11).

Each says how many lot steps it lets through, and why.
"""

from __future__ import annotations

from typing import Any

from server.hotpath.checks import cap_nb, check_numbers_nb
from server.hotpath.jit import i64, kernel
from server.hotpath.layout import NOT_SET, PPM
from server.hotpath.memory import (
    account_at,
    configuration_at,
    decision_of,
    exposure_at,
    instrument_at,
    override_at,
    position_at,
    work_of,
)
from server.hotpath.reasons import (
    R_CORRELATED_EXPOSURE,
    R_DAILY_LOSS_BUDGET,
    R_LEVERAGE,
    R_MAX_LOT,
    R_MONTHLY_LOSS_BUDGET,
    R_POSITION_DRAWDOWN,
    R_POSITION_SIZE,
    R_RISK_PER_TRADE,
    R_WEEKLY_LOSS_BUDGET,
    S_NOT_APPLICABLE,
)
from server.hotpath.sizing import stricter_nb
from server.hotpath.units import UP, add_nb, allowance_nb, cost_nb, mul_div_nb, steps_nb


@kernel
def check_position_drawdown_nb(state: Any) -> None:
    """Deny adding to a position that fell further from its average entry than allowed (S3-02)."""
    work, decision = work_of(state), decision_of(state)
    configuration = configuration_at(state, work.account_row)
    override = override_at(state, work.override_row)
    position = position_at(state, work.net_row)
    decision.status[R_POSITION_DRAWDOWN] = S_NOT_APPLICABLE
    if account_at(state, work.account_row).has_configuration == 0:
        return
    limit = stricter_nb(
        configuration.position_max_drawdown_ppm,
        work.override_row != 0,
        override.override != 0,
        override.position_max_drawdown_ppm,
    )
    if limit == NOT_SET or work.net_row == 0 or not (position.net_steps * work.direction > 0):
        return
    paid = abs(position.cost_ticks)
    worth = mul_div_nb(state, abs(position.net_steps), work.entry_ticks, 1, UP)
    fall = (paid - worth) * work.direction
    observed = mul_div_nb(state, max(fall, 0), PPM, paid, UP) if paid > 0 else i64(0)
    check_numbers_nb(decision, R_POSITION_DRAWDOWN, observed <= limit, limit, observed)


@kernel
def _notional_cap_nb(state: Any, reason: int, limit_ppm: int, used_micros: int) -> None:
    """Cap by notional against equity, where `used_micros` is taken already."""
    work, decision = work_of(state), decision_of(state)
    if limit_ppm == NOT_SET:
        decision.status[reason] = S_NOT_APPLICABLE
        return
    instrument = instrument_at(state, work.instrument_row)
    equity = account_at(state, work.account_row).equity_micros
    allowed = allowance_nb(equity, limit_ppm)
    room = allowed - used_micros if allowed > used_micros else i64(0)
    steps = steps_nb(
        state, room, decision.notional_per_lot_micros, instrument.lot_mantissa, instrument.lot_scale
    )
    observed = mul_div_nb(state, used_micros, PPM, equity, UP)
    cap_nb(decision, reason, steps, limit_ppm, observed, instrument.min_lot_steps)


@kernel
def steps_of_side_nb(state: Any) -> int:
    """Return the lot steps that are open and held in the symbol on the order's side.

    An opposite position gives no credit: an exit may take it away at any moment.
    """
    work = work_of(state)
    position = position_at(state, work.net_row)
    held = position.held_buy_steps if work.direction > 0 else position.held_sell_steps
    return add_nb(state, max(position.net_steps * work.direction, i64(0)), held)


@kernel
def _position_cap_nb(state: Any, limit_ppm: int) -> None:
    """Cap the resulting position in the symbol.

    Counting what is open and held on the order's side (S3-04).
    """
    work, decision = work_of(state), decision_of(state)
    if limit_ppm == NOT_SET:
        decision.status[R_POSITION_SIZE] = S_NOT_APPLICABLE
        return
    instrument = instrument_at(state, work.instrument_row)
    existing = steps_of_side_nb(state)
    equity = account_at(state, work.account_row).equity_micros
    per_lot = decision.notional_per_lot_micros
    allowed = steps_nb(
        state,
        allowance_nb(equity, limit_ppm),
        per_lot,
        instrument.lot_mantissa,
        instrument.lot_scale,
    )
    used = cost_nb(state, existing, per_lot, instrument.lot_mantissa, instrument.lot_scale)
    observed = mul_div_nb(state, used, PPM, equity, UP)
    steps = max(allowed - existing, i64(0))
    cap_nb(decision, R_POSITION_SIZE, steps, limit_ppm, observed, instrument.min_lot_steps)


@kernel
def _budget_cap_nb(
    state: Any, reason: int, base_micros: int, limit_ppm: int, start_ns: int
) -> None:
    """Cap by what a window's loss budget has left after losses and risk at stake (S3-03)."""
    work, decision = work_of(state), decision_of(state)
    if limit_ppm == NOT_SET:
        decision.status[reason] = S_NOT_APPLICABLE
        return
    if start_ns == 0:
        return
    instrument = instrument_at(state, work.instrument_row)
    account = account_at(state, work.account_row)
    limit = allowance_nb(base_micros, limit_ppm)
    lost = max(base_micros - account.equity_micros, i64(0))
    observed = add_nb(
        state, lost, add_nb(state, account.held_risk_micros, account.open_risk_micros)
    )
    room = limit - observed if limit > observed else i64(0)
    steps = steps_nb(
        state, room, decision.loss_per_lot_micros, instrument.lot_mantissa, instrument.lot_scale
    )
    cap_nb(decision, reason, steps, limit, observed, instrument.min_lot_steps)


@kernel
def apply_caps_nb(state: Any) -> None:
    """Run every cap.

    `decision.largest_steps` ends as the largest size that all of them let through.
    """
    work, decision = work_of(state), decision_of(state)
    account = account_at(state, work.account_row)
    instrument = instrument_at(state, work.instrument_row)
    minimum = instrument.min_lot_steps
    decision.largest_steps = work.risk_steps
    cap_nb(decision, R_RISK_PER_TRADE, work.risk_steps, decision.risk_money_micros, 0, minimum)
    cap_nb(decision, R_MAX_LOT, instrument.max_lot_steps, instrument.max_lot_steps, 0, minimum)
    if account.has_configuration == 0:
        return
    configuration = configuration_at(state, work.account_row)
    override = override_at(state, work.override_row)
    has_override = work.override_row != 0
    marked = override.override != 0
    _position_cap_nb(
        state,
        stricter_nb(
            configuration.max_position_size_ppm,
            has_override,
            marked,
            override.max_position_size_ppm,
        ),
    )
    leverage_ppm = stricter_nb(
        configuration.max_leverage_ppm, has_override, marked, override.max_leverage_ppm
    )
    used = add_nb(state, account.open_notional_micros, account.held_notional_micros)
    _notional_cap_nb(state, R_LEVERAGE, leverage_ppm, used)
    exposure = exposure_at(state, work.exposure_row)
    used = add_nb(state, exposure.open_notional_micros, exposure.held_notional_micros)
    _notional_cap_nb(state, R_CORRELATED_EXPOSURE, configuration.max_correlated_exposure_ppm, used)
    _budget_cap_nb(
        state,
        R_DAILY_LOSS_BUDGET,
        account.day_base_micros,
        configuration.daily_max_drawdown_ppm,
        account.day_start_ns,
    )
    _budget_cap_nb(
        state,
        R_WEEKLY_LOSS_BUDGET,
        account.week_base_micros,
        configuration.weekly_max_drawdown_ppm,
        account.week_start_ns,
    )
    _budget_cap_nb(
        state,
        R_MONTHLY_LOSS_BUDGET,
        account.month_base_micros,
        configuration.monthly_max_drawdown_ppm,
        account.month_start_ns,
    )
