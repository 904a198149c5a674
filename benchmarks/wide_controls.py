"""Every control of docs/decision.md, section 13, set so wide that no order meets it.

What is measured with these is the price of looking: each check runs and passes.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from server.hotpath.change_kinds import INSTRUMENT, RISK_CONFIGURATION
from server.hotpath.kills import (
    KILL_ACCOUNT,
    KILL_CONNECTION,
    KILL_GLOBAL,
    KILL_PROVIDER,
    KILL_STRATEGY,
    KILL_SYMBOL,
)
from server.hotpath.layout import (
    CHANGE_KILL,
    CHANGE_MARKET,
    MILLISECOND_NS,
    PPM,
    SECOND_NS,
    SYMBOL_WORDS,
    TRADING_HOURS_MAX,
    words,
)

Rows = np.ndarray[Any, np.dtype[Any]]

STRATEGY: Final = "breakout"
_WIDE: Final = 10**18
_MINUTES: Final = 10_080
# Shorter than it takes any of these loads to send the same content again.
_DUPLICATE_NS: Final = MILLISECOND_NS
_MESSAGES: Final = 1_000_000


def limit_widely(rows: Rows) -> Rows:
    """Return rows of CHANGE_RISK_CONFIGURATION with every control of the account in them."""
    wide = rows.copy()
    for name in ("max_order_value_micros", "max_notional_micros", "max_strategy_notional_micros"):
        wide[name] = _WIDE
    for name in ("max_order_microlots", "max_long_microlots", "max_short_microlots"):
        wide[name] = _WIDE
    wide["message_limit"], wide["message_window_ns"] = _MESSAGES, SECOND_NS
    wide["repeat_limit"], wide["repeat_window_ns"] = _WIDE, SECOND_NS
    wide["duplicate_window_ns"] = _DUPLICATE_NS
    return wide


def collar_widely(rows: Rows) -> Rows:
    """Return rows of CHANGE_INSTRUMENT with both collars and hours that are always open."""
    wide = rows.copy()
    wide["collar_ppm"] = wide["collar_window_ppm"] = PPM
    wide["collar_window_ns"] = SECOND_NS
    wide["hours_timezone"] = words("UTC", SYMBOL_WORDS)
    wide["hours_count"] = TRADING_HOURS_MAX
    # One after the other through the week: on average half of them are passed over.
    bounds = np.linspace(0, _MINUTES, TRADING_HOURS_MAX + 1).astype(np.int64)
    wide["hours_open_minute"], wide["hours_close_minute"] = bounds[:-1], bounds[1:]
    return wide


def quotes(symbols: Rows, prices: Rows, now_ns: int) -> Rows:
    """Return rows of CHANGE_MARKET that quote symbols (words) at prices."""
    rows = np.zeros(len(symbols), CHANGE_MARKET)
    rows["symbol"] = symbols
    rows["atr"] = rows["volatility_index"] = np.nan
    rows["bid"] = rows["ask"] = prices
    rows["quote_at_ns"] = now_ns
    return rows


def rearmed_kills() -> Rows:
    """Return rows of CHANGE_KILL: one in each scope that was killed once and is armed again."""
    scopes = (
        (KILL_GLOBAL, ""),
        (KILL_ACCOUNT, "nobody"),
        (KILL_CONNECTION, "nobody"),
        (KILL_PROVIDER, "nobody"),
        (KILL_SYMBOL, "NOTHING"),
        (KILL_STRATEGY, "nothing"),
    )
    rows = np.zeros(len(scopes), CHANGE_KILL)
    for row, (scope, name) in zip(rows, scopes, strict=True):
        row["scope"], row["name"] = scope, words(name)
        row["provider_type"] = int(scope == KILL_PROVIDER)
        row["new_risk_killed_at_ns"] = row["all_killed_at_ns"] = 1
        row["new_risk_rearmed_at_ns"] = row["all_rearmed_at_ns"] = 2
    return rows


def widen(kind: int, rows: Rows) -> Rows:
    """Return the rows of a change with all controls that rows of its kind can have."""
    if kind == RISK_CONFIGURATION:
        return limit_widely(rows)
    return collar_widely(rows) if kind == INSTRUMENT else rows
