"""When the condition of a circuit breaker holds, by the account's state or by the request.

A condition that cannot be judged holds. The exception is an unknown volatility, which is denied
by a reason of its own.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from server.hotpath.jit import i64, kernel
from server.hotpath.memory import account_at, breaker_at, work_of
from server.hotpath.programs import EXPRESSION, run_program_nb
from server.hotpath.units import share_ppm_nb

MAX_DRAWDOWN: Final = 1
DAILY_LOSS: Final = 2
WEEKLY_LOSS: Final = 3
MONTHLY_LOSS: Final = 4
CONSECUTIVE_LOSSES: Final = 5
VOLATILITY: Final = 6

_UNKNOWN: Final = i64(-1)


@kernel
def is_over_request_nb(breaker: Any) -> bool:
    """Tell whether a condition is judged in each decision, not when the account changes."""
    return breaker.condition == VOLATILITY or (
        breaker.condition == EXPRESSION and breaker.over_request != 0
    )


@kernel
def _fall_ppm_nb(base_micros: int, equity_micros: int) -> int:
    """Return how far the equity has fallen below a base, ppm rounded up; negative: unknown."""
    if base_micros <= 0:
        return _UNKNOWN
    return share_ppm_nb(max(base_micros - equity_micros, i64(0)), base_micros)


@kernel
def _observed_ppm_nb(condition: int, account: Any) -> int:
    """Return the drawdown or loss that a condition looks at, ppm; negative: unknown."""
    base = account.peak_micros
    known = condition == MAX_DRAWDOWN
    if condition == DAILY_LOSS:
        base, known = account.day_base_micros, account.day_start_ns != 0
    elif condition == WEEKLY_LOSS:
        base, known = account.week_base_micros, account.week_start_ns != 0
    elif condition == MONTHLY_LOSS:
        base, known = account.month_base_micros, account.month_start_ns != 0
    return _fall_ppm_nb(base, account.equity_micros) if known else _UNKNOWN


@kernel
def holds_over_state_nb(state: Any, breaker_row: int, account_row: int) -> bool:
    """Tell whether a condition over the state holds; the variables of expressions are filled."""
    breaker, account = breaker_at(state, breaker_row), account_at(state, account_row)
    if breaker.condition == EXPRESSION:
        return run_program_nb(state, breaker) != 0.0
    if breaker.condition == CONSECUTIVE_LOSSES:
        return account.consecutive_losses >= breaker.threshold
    observed = _observed_ppm_nb(breaker.condition, account)
    return observed < 0 or observed > breaker.threshold


@kernel
def threshold_nb(breaker: Any) -> float:
    """Return the threshold of a condition as a ratio, count or points; NaN if it has none."""
    threshold = np.float64(breaker.threshold)
    if MAX_DRAWDOWN <= breaker.condition <= MONTHLY_LOSS or breaker.condition == VOLATILITY:
        return threshold / 1e6
    return threshold if breaker.condition == CONSECUTIVE_LOSSES else np.nan


@kernel
def observed_nb(state: Any, breaker_row: int, account_row: int) -> float:
    """Return what a condition looks at, in the unit of its threshold; NaN if it is unknown."""
    breaker, account = breaker_at(state, breaker_row), account_at(state, account_row)
    if breaker.condition == CONSECUTIVE_LOSSES:
        return np.float64(account.consecutive_losses)
    observed = _observed_ppm_nb(breaker.condition, account)
    if breaker.condition == VOLATILITY:
        observed = work_of(state).volatility_micropoints
    return np.float64(observed) / 1e6 if observed >= 0 else np.nan
