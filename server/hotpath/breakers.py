"""Circuit breakers with built-in conditions.

When they trip, when they close, and whom they concern.

A condition over the account's state is judged when that state changes; only volatility is judged in
the decision. A condition that cannot be judged counts as tripped.
"""

from __future__ import annotations

from typing import Any

from server.hotpath.jit import i64, kernel, routine
from server.hotpath.layout import BREAKER_EXCHANGES_MAX, BREAKER_SYMBOLS_MAX, SYMBOL_WORDS
from server.hotpath.memory import account_at, breaker_at, instrument_at
from server.hotpath.units import share_ppm_nb

MAX_DRAWDOWN = 1
DAILY_LOSS = 2
WEEKLY_LOSS = 3
MONTHLY_LOSS = 4
CONSECUTIVE_LOSSES = 5
VOLATILITY = 6

ACTION_REDUCE_SIZE = 3
ACTION_ALERT = 5

CLOSED = 1
TRIPPED = 2


@kernel
def _fell_more_nb(base_micros: int, equity_micros: int, threshold_ppm: int) -> bool:
    if base_micros <= 0:
        return True
    fall = max(base_micros - equity_micros, i64(0))
    return share_ppm_nb(fall, base_micros) > threshold_ppm


@kernel
def _condition_holds_nb(state: Any, breaker_row: int, account_row: int) -> bool:
    breaker = breaker_at(state, breaker_row)
    account = account_at(state, account_row)
    equity = account.equity_micros
    threshold = breaker.threshold
    if breaker.condition == MAX_DRAWDOWN:
        return _fell_more_nb(account.peak_micros, equity, threshold)
    if breaker.condition == DAILY_LOSS:
        return account.day_start_ns == 0 or _fell_more_nb(
            account.day_base_micros, equity, threshold
        )
    if breaker.condition == WEEKLY_LOSS:
        return account.week_start_ns == 0 or _fell_more_nb(
            account.week_base_micros, equity, threshold
        )
    if breaker.condition == MONTHLY_LOSS:
        return account.month_start_ns == 0 or _fell_more_nb(
            account.month_base_micros, equity, threshold
        )
    if breaker.condition == CONSECUTIVE_LOSSES:
        return account.consecutive_losses >= threshold
    return breaker.condition != VOLATILITY


@kernel
def close_breaker_nb(state: Any, row: int) -> None:
    """Close a breaker and forget when it tripped."""
    breaker = breaker_at(state, row)
    breaker.state = CLOSED
    breaker.tripped_at_ns = 0
    breaker.closes_at_ns = 0


@routine
def refresh_breakers_nb(state: Any, account_row: int, now_ns: int) -> None:
    """Judge every state condition of an account and trip or close its breakers."""
    row = account_at(state, account_row).first_breaker
    while row != 0:
        breaker = breaker_at(state, row)
        if breaker.enabled == 0:
            close_breaker_nb(state, row)
        elif _condition_holds_nb(state, row, account_row):
            if breaker.state != TRIPPED:
                breaker.state = TRIPPED
                breaker.tripped_at_ns = now_ns
                breaker.closes_at_ns = (
                    now_ns + breaker.cooling_off_ns
                    if breaker.condition == CONSECUTIVE_LOSSES
                    else 0
                )
        elif breaker.state == TRIPPED and breaker.condition != CONSECUTIVE_LOSSES:
            close_breaker_nb(state, row)
        row = breaker.next_breaker


@routine
def close_won_breakers_nb(state: Any, account_row: int) -> None:
    """Close the consecutive-loss breakers of an account that has just won or broken even."""
    row = account_at(state, account_row).first_breaker
    while row != 0:
        if breaker_at(state, row).condition == CONSECUTIVE_LOSSES:
            close_breaker_nb(state, row)
        row = breaker_at(state, row).next_breaker


@routine
def close_cooled_breakers_nb(state: Any, account_row: int, now_ns: int) -> bool:
    """Close the consecutive-loss breakers whose cool-off has ended, which also ends the count.

    Tell whether any did.
    """
    account = account_at(state, account_row)
    closed = False
    row = account.first_breaker
    while row != 0:
        breaker = breaker_at(state, row)
        if breaker.closes_at_ns > 0 and now_ns >= breaker.closes_at_ns:
            close_breaker_nb(state, row)
            account.consecutive_losses = 0
            closed = True
        row = breaker.next_breaker
    return closed


@kernel
def _lists_nb(names: Any, count: int, name: Any) -> bool:
    for entry in range(count):
        same = True
        for word in range(SYMBOL_WORDS):
            same &= names[entry * SYMBOL_WORDS + word] == name[word]
        if same:
            return True
    return False


@kernel
def in_scope_nb(state: Any, breaker_row: int, instrument_row: int) -> bool:
    """Tell whether an enabled breaker concerns an instrument.

    One without an exchange is in every exchange's scope.
    """
    breaker = breaker_at(state, breaker_row)
    instrument = instrument_at(state, instrument_row)
    if breaker.enabled == 0:
        return False
    if breaker.symbol_count > 0 and not _lists_nb(
        breaker.symbols, min(breaker.symbol_count, BREAKER_SYMBOLS_MAX), instrument.symbol
    ):
        return False
    if breaker.exchange_count == 0:
        return True
    anywhere = True
    for word in range(SYMBOL_WORDS):
        anywhere &= instrument.exchange[word] == 0
    return anywhere or _lists_nb(
        breaker.exchanges, min(breaker.exchange_count, BREAKER_EXCHANGES_MAX), instrument.exchange
    )


@kernel
def denies_new_risk_nb(action: int) -> bool:
    """Tell whether a tripped breaker with this action denies new risk.

    Every one but ALERT and REDUCE_SIZE.
    """
    return action not in (ACTION_ALERT, ACTION_REDUCE_SIZE)


@routine
def volatility_needed_nb(state: Any, account_row: int, instrument_row: int) -> bool:
    """Tell whether an enabled volatility breaker is in scope, so that a missing index must deny."""
    row = account_at(state, account_row).first_breaker
    while row != 0:
        if breaker_at(state, row).condition == VOLATILITY and in_scope_nb(
            state, row, instrument_row
        ):
            return True
        row = breaker_at(state, row).next_breaker
    return False


@kernel
def is_tripped_nb(state: Any, breaker_row: int, volatility_micropoints: int) -> bool:
    """Tell whether a breaker is tripped for a decision with this volatility (negative: unknown)."""
    breaker = breaker_at(state, breaker_row)
    if breaker.condition == VOLATILITY:
        return volatility_micropoints > breaker.threshold
    return breaker.state == TRIPPED
