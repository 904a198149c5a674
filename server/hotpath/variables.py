"""What conditions are about, filled into MEMORY.variables just before programs run.

Names, units and what is unknown (NaN): docs/conditions.md. Nothing is filled for an account whose
breakers have no program.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from server.hotpath.clock import age_nb
from server.hotpath.condition_codes import (
    V_ATR_PIPS,
    V_BUFFER_PIPS,
    V_CONSECUTIVE_LOSSES,
    V_DAY_LOSS,
    V_DAY_START_EQUITY,
    V_DRAWDOWN,
    V_ENTRY_PRICE,
    V_EQUITY,
    V_HELD_NOTIONAL,
    V_HELD_RISK,
    V_HOUR,
    V_IS_BUY,
    V_IS_NEW_PROVIDER,
    V_LEVERAGE,
    V_MONTH_LOSS,
    V_MONTH_START_EQUITY,
    V_OPEN_NOTIONAL,
    V_OPEN_RISK,
    V_PEAK_EQUITY,
    V_POSITION_LOTS,
    V_QUOTE_AGE_S,
    V_REQUESTED_LOTS,
    V_SCORE,
    V_SLIPPAGE_PIPS,
    V_SPREAD_PIPS,
    V_STOP_DISTANCE_PIPS,
    V_VOLATILITY_INDEX,
    V_WEEK_LOSS,
    V_WEEK_START_EQUITY,
    V_WEEKDAY,
    V_WORKING_ORDERS,
)
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.layout import QUOTE_STALE_NS, SECOND_NS
from server.hotpath.memory import (
    account_at,
    decision_of,
    instrument_at,
    position_at,
    request_of,
    work_of,
)
from server.hotpath.records import HAS_REQUESTED_LOTS
from server.hotpath.units import decimal_nb

_MILLION = 1e6
_DAY_S = 86_400
_HOUR_S = 3_600


@kernel
def _fallen_nb(known: bool, base_micros: int, equity_micros: int) -> float:
    if not known or base_micros <= 0:
        return np.nan
    return np.float64(max(base_micros - equity_micros, i64(0))) / np.float64(base_micros)


@kernel
def _money_nb(known: bool, micros: int) -> float:
    return np.float64(micros) / _MILLION if known else np.nan


@routine
def fill_state_variables_nb(state: Any, account_row: int) -> None:
    """Fill the variables over an account's state."""
    account, variables = account_at(state, account_row), state.variables
    equity = account.equity_micros
    day, week, month = (
        account.day_start_ns != 0,
        account.week_start_ns != 0,
        account.month_start_ns != 0,
    )
    open_notional = np.float64(account.open_notional_micros)
    held_notional = np.float64(account.held_notional_micros)
    variables[V_EQUITY] = np.float64(equity) / _MILLION
    variables[V_PEAK_EQUITY] = np.float64(account.peak_micros) / _MILLION
    variables[V_DRAWDOWN] = _fallen_nb(True, account.peak_micros, equity)
    variables[V_DAY_LOSS] = _fallen_nb(day, account.day_base_micros, equity)
    variables[V_WEEK_LOSS] = _fallen_nb(week, account.week_base_micros, equity)
    variables[V_MONTH_LOSS] = _fallen_nb(month, account.month_base_micros, equity)
    variables[V_CONSECUTIVE_LOSSES] = np.float64(account.consecutive_losses)
    variables[V_OPEN_RISK] = np.float64(account.open_risk_micros) / _MILLION
    variables[V_HELD_RISK] = np.float64(account.held_risk_micros) / _MILLION
    variables[V_OPEN_NOTIONAL] = open_notional / _MILLION
    variables[V_HELD_NOTIONAL] = held_notional / _MILLION
    variables[V_LEVERAGE] = (
        (open_notional + held_notional) / np.float64(equity) if equity > 0 else np.nan
    )
    variables[V_WORKING_ORDERS] = np.float64(account.reservation_count)
    variables[V_DAY_START_EQUITY] = _money_nb(day, account.day_base_micros)
    variables[V_WEEK_START_EQUITY] = _money_nb(week, account.week_base_micros)
    variables[V_MONTH_START_EQUITY] = _money_nb(month, account.month_base_micros)


@kernel
def _pips_nb(known: bool, ticks: int, pip_ticks: float) -> float:
    return np.float64(ticks) / pip_ticks if known else np.nan


@kernel
def _fill_quote_nb(variables: Any, instrument: Any, now_ns: int, pip_ticks: float) -> None:
    spread = np.nan
    age_s = np.nan
    if instrument.quote_at_ns > 0:
        age = age_nb(now_ns, instrument.quote_at_ns)
        age_s = np.float64(age) / 1e9
        if age <= QUOTE_STALE_NS:
            spread = (instrument.ask - instrument.bid) / instrument.tick_size / pip_ticks
    variables[V_SPREAD_PIPS] = spread
    variables[V_QUOTE_AGE_S] = age_s


@routine
def fill_request_variables_nb(state: Any) -> None:
    """Fill the variables over the request at hand, whose stop has its buffer already."""
    request, work, decision = request_of(state), work_of(state), decision_of(state)
    instrument, variables = instrument_at(state, work.instrument_row), state.variables
    pip_ticks = np.float64(instrument.ticks_per_pip)
    asked = (request.present & HAS_REQUESTED_LOTS) != 0
    volatility = work.volatility_micropoints
    seconds = work.now_ns // SECOND_NS
    variables[V_ENTRY_PRICE] = request.entry_price
    variables[V_STOP_DISTANCE_PIPS] = _pips_nb(work.stop_ticks > 0, work.distance_ticks, pip_ticks)
    variables[V_REQUESTED_LOTS] = request.requested_lots if asked else np.nan
    variables[V_IS_BUY] = 1.0 if work.direction > 0 else 0.0
    variables[V_ATR_PIPS] = _pips_nb(work.atr_ticks > 0, work.atr_ticks, pip_ticks)
    variables[V_VOLATILITY_INDEX] = _money_nb(volatility >= 0, volatility)
    variables[V_SCORE] = np.float64(decision.score_micropoints) / _MILLION
    _fill_quote_nb(variables, instrument, work.now_ns, pip_ticks)
    variables[V_HOUR] = np.float64(seconds % _DAY_S // _HOUR_S)
    variables[V_WEEKDAY] = np.float64((seconds // _DAY_S + 3) % 7 + 1)
    variables[V_BUFFER_PIPS] = _pips_nb(True, decision.buffer_ticks, pip_ticks)
    variables[V_SLIPPAGE_PIPS] = _pips_nb(True, decision.slippage_ticks, pip_ticks)
    net = position_at(state, work.net_row).net_steps if work.net_row != 0 else i64(0)
    variables[V_POSITION_LOTS] = decimal_nb(net, instrument.lot_mantissa, instrument.lot_scale)
    variables[V_IS_NEW_PROVIDER] = 1.0 if work.new_provider != 0 else 0.0
