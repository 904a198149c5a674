"""Size from risk: the money that may be lost, what one lot can lose, and the lots that follow."""

from __future__ import annotations

from typing import Any

from server.hotpath.breaker_checks import reduce_by_breakers_nb
from server.hotpath.jit import i64, kernel
from server.hotpath.layout import (
    DEGRADED_PPM,
    HARD_CAP_PPM,
    MICROS,
    NEW_PROVIDER_PPM,
    NOT_SET,
    PICOS,
    PPM,
)
from server.hotpath.memory import (
    account_at,
    configuration_at,
    decision_of,
    instrument_at,
    override_at,
    work_of,
)
from server.hotpath.reasons import R_FEED_DEGRADED, S_NOTE
from server.hotpath.units import DOWN, UP, add_nb, mul_div_nb, scale_nb, steps_nb

_CALM_MICROPOINTS = 50 * MICROS


@kernel
def stricter_nb(of_account: int, has_override: bool, marked: bool, of_symbol: int) -> int:
    """Return the limit that counts.

    The stricter of account and symbol, unless the symbol's is marked to replace.
    """
    if not has_override or of_symbol == NOT_SET:
        return of_account
    if marked or of_account == NOT_SET:
        return of_symbol
    return min(of_account, of_symbol)


@kernel
def volatility_ppm_nb(state: Any, factor_ppm: int, volatility_micropoints: int) -> int:
    """Return 1 / (1 + factor · max(0, (v − 50)/50)) in ppm, rounded down.

    1 when v is unknown (negative).
    """
    if factor_ppm <= 0 or volatility_micropoints <= _CALM_MICROPOINTS:
        return PPM
    excess_ppm = mul_div_nb(state, volatility_micropoints - _CALM_MICROPOINTS, 1, 50, UP)
    divisor = add_nb(state, PPM, mul_div_nb(state, factor_ppm, excess_ppm, PPM, UP))
    return mul_div_nb(state, PPM, PPM, divisor, DOWN)


@kernel
def loss_per_lot_nb(
    state: Any, ticks: int, tick_value_picos: int, rate_picos: int, commission_micros: int
) -> int:
    """Return what one lot loses over `ticks`, with commission, micros of account currency.

    Rounded up.
    """
    quoted = mul_div_nb(state, ticks, tick_value_picos, MICROS, UP)
    return add_nb(state, mul_div_nb(state, quoted, rate_picos, PICOS, UP), commission_micros)


@kernel
def notional_per_lot_nb(
    state: Any, price_ticks: int, tick_notional_picos: int, rate_picos: int
) -> int:
    """Return the notional of one lot at a price, micros of account currency, rounded up.

    At least 1.
    """
    quoted = mul_div_nb(state, price_ticks, tick_notional_picos, MICROS, UP)
    return max(mul_div_nb(state, quoted, rate_picos, PICOS, UP), i64(1))


@kernel
def size_from_risk_nb(state: Any) -> None:
    """Set risk money, loss and notional per lot, and the lot steps that the risk money pays for."""
    work, decision = work_of(state), decision_of(state)
    account = account_at(state, work.account_row)
    instrument = instrument_at(state, work.instrument_row)
    configuration = configuration_at(state, work.account_row)
    override = override_at(state, work.override_row)
    configured = account.has_configuration != 0
    risk_ppm = i64(0)
    factor_ppm = i64(0)
    if configured:
        risk_ppm = stricter_nb(
            configuration.risk_per_trade_ppm,
            work.override_row != 0,
            override.override != 0,
            override.risk_per_trade_ppm,
        )
        factor_ppm = configuration.volatility_adjustment_ppm
    base = scale_nb(state, max(account.equity_micros, 0), max(risk_ppm, 0))
    money = scale_nb(state, base, decision.multiplier_ppm)
    if work.new_provider != 0:
        money = scale_nb(state, money, NEW_PROVIDER_PPM)
    money = scale_nb(
        state, money, volatility_ppm_nb(state, factor_ppm, work.volatility_micropoints)
    )
    money = scale_nb(state, money, work.regime_ppm)
    if decision.status[R_FEED_DEGRADED] == S_NOTE:
        money = scale_nb(state, money, DEGRADED_PPM)
    money = reduce_by_breakers_nb(state, money)
    decision.risk_money_micros = min(money, scale_nb(state, base, HARD_CAP_PPM))
    if work.rate_picos == 0:
        return
    decision.notional_per_lot_micros = notional_per_lot_nb(
        state, work.entry_ticks, instrument.tick_notional_picos, work.rate_picos
    )
    if work.stop_ticks == 0:
        return
    distance = add_nb(
        state, work.distance_ticks, add_nb(state, decision.buffer_ticks, decision.slippage_ticks)
    )
    decision.loss_per_lot_micros = loss_per_lot_nb(
        state,
        distance,
        instrument.tick_value_picos,
        work.rate_picos,
        instrument.commission_per_lot_micros,
    )
    if account.equity_micros > 0 and work.atr_unusable == 0:
        work.sizes_known = 1
        work.risk_steps = steps_nb(
            state,
            decision.risk_money_micros,
            decision.loss_per_lot_micros,
            instrument.lot_mantissa,
            instrument.lot_scale,
        )
