"""Accounts: rolling their windows and cool-offs with time, and marking their equity."""

from __future__ import annotations

from typing import Any

from server.hotpath.breakers import end_cool_offs_nb, refresh_breakers_nb
from server.hotpath.jit import kernel
from server.hotpath.memory import account_at, window_at


@kernel
def _effective_start_nb(start_ns: int, next_ns: int, now_ns: int) -> int:
    return next_ns if next_ns > 0 and now_ns >= next_ns else start_ns


@kernel
def roll_windows_nb(state: Any, account_row: int, now_ns: int) -> bool:
    """Start a new day, week or month for an account whose window boundary has passed.

    Tell whether one began.
    """
    account = account_at(state, account_row)
    window = window_at(state, account.timezone_row)
    rolled = False
    day = _effective_start_nb(window.day_start_ns, window.day_next_ns, now_ns)
    if day > account.day_start_ns:
        account.day_start_ns = day
        account.day_base_micros = account.equity_micros
        rolled = True
    week = _effective_start_nb(window.week_start_ns, window.week_next_ns, now_ns)
    if week > account.week_start_ns:
        account.week_start_ns = week
        account.week_base_micros = account.equity_micros
        rolled = True
    month = _effective_start_nb(window.month_start_ns, window.month_next_ns, now_ns)
    if month > account.month_start_ns:
        account.month_start_ns = month
        account.month_base_micros = account.equity_micros
        rolled = True
    return rolled


@kernel
def roll_account_nb(state: Any, account_row: int, now_ns: int) -> None:
    """Bring an account up to the present.

    Windows, cool-off, cooled breakers, and what follows from them.
    """
    account = account_at(state, account_row)
    changed = roll_windows_nb(state, account_row, now_ns)
    if account.cooling_until_ns > 0 and now_ns >= account.cooling_until_ns:
        account.cooling_until_ns = 0
        account.consecutive_losses = 0
        changed = True
    if account.first_breaker != 0:
        if 0 < account.breaker_due_ns <= now_ns:
            end_cool_offs_nb(state, account_row, now_ns)
            changed = True
        if changed:
            refresh_breakers_nb(state, account_row, now_ns)


@kernel
def mark_equity_nb(state: Any, account_row: int, equity_micros: int, at_ns: int) -> bool:
    """Set the equity if the mark is newer than the last one; tell whether it was."""
    account = account_at(state, account_row)
    if at_ns <= account.equity_at_ns:
        return False
    account.equity_micros = equity_micros
    account.equity_at_ns = at_ns
    account.peak_micros = max(account.peak_micros, equity_micros)
    return True
