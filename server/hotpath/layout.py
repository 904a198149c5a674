"""The memory of the engine.

The dtype of every table, change, request and answer, readable in one place.

Numbers are integers unless they come from or go to the edge: prices in ticks, lots in lot steps,
money in micros (1e-6 of a currency unit), ratios in ppm, scores and indices in micropoints (1e-6
point), pips in micropips, time in Unix nanoseconds. Text is zero padded little-endian words: 64
bytes = 8 words for ids, 32 bytes = 4 words for symbols. -1 means "not configured" where a column
says so; 0 in a time column means "never". All dtypes are packed without gaps in 8-byte columns
first, so that a row is also a plain array of words.
"""

from __future__ import annotations

from typing import Final

import numpy as np

LAYOUT_VERSION: Final = 2
ARITHMETIC_VERSION: Final = 2

ID_WORDS: Final = 8
SYMBOL_WORDS: Final = 4
ID_BYTES_MAX: Final = 64
SYMBOL_BYTES_MAX: Final = 32

PPM: Final = 1_000_000
MICROS: Final = 1_000_000
PICOS: Final = 1_000_000_000_000
NOT_SET: Final = -1

PRICE_TICKS_MAX: Final = 2**31
LOT_STEPS_MAX: Final = 1_000_000_000
PPM_MAX: Final = 10_000_000_000
EQUITY_MICROS_MAX: Final = 1_000_000_000_000 * MICROS

MILLISECOND_NS: Final = 1_000_000
SECOND_NS: Final = 1_000_000_000
HEARTBEAT_DEGRADED_NS: Final = 2 * SECOND_NS
HEARTBEAT_REFUSE_NS: Final = 30 * SECOND_NS
CLOCK_LEAP_NS: Final = 5 * SECOND_NS
SCORE_STALE_NS: Final = 7 * 86_400 * SECOND_NS
MARKET_STALE_NS: Final = 3_600 * SECOND_NS
CONVERSION_RATE_STALE_NS: Final = 72 * 3_600 * SECOND_NS
QUOTE_STALE_NS: Final = 5 * SECOND_NS

NEUTRAL_SCORE_MICROPOINTS: Final = 50 * MICROS
NEW_PROVIDER_PPM: Final = 500_000
DEGRADED_PPM: Final = 500_000
HARD_CAP_PPM: Final = 1_500_000

REGIMES_MAX: Final = 8
BREAKER_SYMBOLS_MAX: Final = 32
BREAKER_EXCHANGES_MAX: Final = 8
BREAKER_PROVIDERS_MAX: Final = 8
BREAKER_STRATEGIES_MAX: Final = 8
PROGRAM_STEPS_MAX: Final = 64
PROGRAM_CONSTANTS_MAX: Final = 16
TRADING_HOURS_MAX: Final = 14
DECISION_BREAKERS_MAX: Final = 8
KNOTS_MAX: Final = 8

_I8 = "<i8"
_F8 = "<f8"
_U1 = "u1"
_ID = (_I8, (ID_WORDS,))
_SYMBOL = (_I8, (SYMBOL_WORDS,))


def packed_dtype(*columns: tuple[str, object]) -> np.dtype[np.void]:
    """Build a dtype without gaps whose size is whole 8-byte words."""
    packed = np.dtype(
        [(name, *(kind if isinstance(kind, tuple) else (kind,))) for name, kind in columns],
        align=True,
    )
    if packed.itemsize % 8:
        msg = "columns must fill whole words"
        raise ValueError(msg)
    return packed


def columns_of(dtype: np.dtype[np.void]) -> list[tuple[str, object]]:
    """Return the columns of a packed dtype, to build a wider one that starts with them."""
    return [
        (column[0], tuple(column[1:]) if len(column) > 2 else column[1]) for column in dtype.descr
    ]


# --- Changes: rows of riskgate.v1.StateChange.rows, by kind
# -----------------------------------------------------

CHANGE_INSTRUMENT: Final = packed_dtype(
    ("symbol", _SYMBOL),
    ("exchange", _SYMBOL),
    ("correlation_group", _SYMBOL),  # empty: the instrument is its own group
    ("base_currency", _I8),  # up to 8 bytes of text in one word
    ("quote_currency", _I8),
    ("tick_size", _F8),  # price units, > 0; equals tick_mantissa / tick_scale
    ("tick_mantissa", _I8),  # 1 .. 1e10
    ("tick_scale", _I8),  # a power of ten, 1 .. 1e12
    ("ticks_per_pip", _I8),  # ≥ 1
    ("tick_value_picos", _I8),  # quote currency per lot and tick, > 0
    ("tick_notional_picos", _I8),  # tick_size × contract_size in quote currency per lot, > 0
    ("lot_mantissa", _I8),  # lot step = lot_mantissa / lot_scale, 1 .. 1e6
    ("lot_scale", _I8),  # a power of ten, 1 .. 1e8
    ("min_lot_steps", _I8),  # ≥ 1
    ("max_lot_steps", _I8),  # ≥ min, ≤ 1e9
    ("default_slippage_micropips", _I8),  # ≥ 0
    ("commission_per_lot_micros", _I8),  # account currency, ≥ 0, both ways together
    ("restricted", _I8),  # 1: no new risk in it
    ("collar_ppm", _I8),  # largest distance of a price from the quote's middle; 0: no collar
    ("collar_window_ppm", _I8),  # the same from the middle at the window's start; 0: no collar
    ("collar_window_ns", _I8),  # length of that window, > 0 where there is such a collar
    ("hours_timezone", _SYMBOL),  # IANA name in whose days the hours count
    ("hours_count", _I8),  # 0: always open
    ("hours_open_minute", (_I8, (TRADING_HOURS_MAX,))),  # from Monday 00:00, rising
    ("hours_close_minute", (_I8, (TRADING_HOURS_MAX,))),  # > open, ≤ 10,080
)

CHANGE_ACCOUNT: Final = packed_dtype(
    ("account_id", _ID),
    ("timezone", _SYMBOL),  # IANA name, up to 32 bytes
    ("currency", _I8),
    ("equity_micros", _I8),
    ("equity_at_ns", _I8),  # when the mark was true; an older or equal mark changes nothing
    ("equity_max_age_ns", _I8),  # NOT_SET: unbounded
    ("reservation_ttl_ns", _I8),  # 1 ms .. 300 s
    ("trading_state", _I8),  # riskgate.v1.TradingState: 1 active, 2 reducing, 3 halted
    ("allow_new_providers", _I8),  # 0 or 1
)

# First row: symbol empty, the account's own values. Further rows: overrides; only the marked
# columns count there.
CHANGE_RISK_CONFIGURATION: Final = packed_dtype(
    ("account_id", _ID),
    ("symbol", _SYMBOL),
    (
        "override",
        _I8,
    ),  # (override) 1: these values replace the account's instead of the stricter winning
    ("position_max_drawdown_ppm", _I8),  # (override) NOT_SET: no limit of this row
    ("max_position_size_ppm", _I8),  # (override) notional / equity
    ("max_leverage_ppm", _I8),  # (override)
    ("risk_per_trade_ppm", _I8),  # (override)
    ("position_trailing_stop_ppm", _I8),  # multiple of the ATR; NOT_SET: none
    ("daily_max_drawdown_ppm", _I8),
    ("weekly_max_drawdown_ppm", _I8),
    ("monthly_max_drawdown_ppm", _I8),
    ("max_correlated_exposure_ppm", _I8),
    ("volatility_adjustment_ppm", _I8),  # ≥ 0
    ("cooling_off_ns", _I8),  # ≥ 0
    ("consecutive_loss_threshold", _I8),  # 0: off
    ("min_provider_score_micropoints", _I8),  # NOT_SET: none
    ("regime_count", _I8),  # 0: regimes do not matter
    ("regime_names", (_I8, (REGIMES_MAX * SYMBOL_WORDS,))),
    ("regime_multiplier_ppm", (_I8, (REGIMES_MAX,))),  # ≤ 1e6
    ("regime_blocked", (_I8, (REGIMES_MAX,))),  # 0 or 1
    # From here on 0: no limit.
    ("max_order_value_micros", _I8),  # (override) notional of one order, account currency
    ("max_order_microlots", _I8),  # (override) lots of one order
    ("max_long_microlots", _I8),  # (override) long position in one symbol
    ("max_short_microlots", _I8),  # (override)
    ("restricted", _I8),  # (override) 1: no new risk; of the account's row unused
    ("max_notional_micros", _I8),  # gross, open and held
    ("max_strategy_notional_micros", _I8),  # the same of one strategy
    ("message_limit", _I8),  # orders let through per message_window_ns
    ("message_window_ns", _I8),  # > 0 with a message_limit
    ("repeat_limit", _I8),  # executions of one strategy, then a person re-enables it
    ("repeat_window_ns", _I8),  # in which they count; 0: since it was enabled
    ("duplicate_window_ns", _I8),  # in which an order of the same content is a duplicate
)

CHANGE_PROVIDER: Final = packed_dtype(
    ("provider_id", _ID),
    ("provider_type", _I8),  # 1 channel_source, 2 user
    ("score_micropoints", _I8),  # 0 .. 1e8
    ("calculated_at_ns", _I8),
)

CHANGE_MARKET: Final = packed_dtype(
    ("symbol", _SYMBOL),
    ("regime", _SYMBOL),  # empty: unknown, leaves the stored one
    ("atr", _F8),  # price units, > 0; NaN: leaves the stored one
    ("atr_at_ns", _I8),
    ("volatility_index", _F8),  # 0 .. 100; NaN: leaves the stored one
    ("volatility_at_ns", _I8),
    ("bid", _F8),  # NaN: leaves the stored quote
    ("ask", _F8),
    ("quote_at_ns", _I8),
)

CHANGE_CONVERSION_RATE: Final = packed_dtype(
    ("from_currency", _I8),
    ("to_currency", _I8),
    ("rate_picos", _I8),  # units of `to` for one unit of `from`, rounded up, > 0
    ("as_of_ns", _I8),
)

CHANGE_BREAKER: Final = packed_dtype(
    ("breaker_id", _ID),
    ("name", _ID),
    ("account_id", _ID),
    ("condition", _I8),  # riskgate.v1.BreakerCondition
    ("action", _I8),  # riskgate.v1.BreakerAction
    ("enabled", _I8),  # 0 or 1; 0 closes it
    (
        "threshold",
        _I8,
    ),  # ppm for drawdown and losses, count for consecutive losses, micropoints for volatility
    ("multiplier_ppm", _I8),  # of REDUCE_SIZE, 0 .. 1e6
    ("cooling_off_ns", _I8),  # of consecutive losses, > 0 there
    ("symbol_count", _I8),  # 0: every symbol
    ("exchange_count", _I8),  # 0: every exchange
    ("symbols", (_I8, (BREAKER_SYMBOLS_MAX * SYMBOL_WORDS,))),
    ("exchanges", (_I8, (BREAKER_EXCHANGES_MAX * SYMBOL_WORDS,))),
    ("provider_count", _I8),  # 0: every provider
    ("providers", (_I8, (BREAKER_PROVIDERS_MAX * (ID_WORDS + 1),))),  # id, then type
    ("strategy_count", _I8),  # 0: every strategy
    ("strategies", (_I8, (BREAKER_STRATEGIES_MAX * ID_WORDS,))),
    ("half_open_ns", _I8),  # how long it lets reduced risk through after cooling; 0: not at all
    ("lock_after_trips", _I8),  # locked by so many trips, until a person resets it; 0: never
    ("over_request", _I8),  # 1: judged in each decision; 0: when the account's state changes
    # Condition EXPRESSION only: see server/hotpath/programs.py.
    ("program_length", _I8),
    ("program", (_I8, (PROGRAM_STEPS_MAX,))),
    ("constants", (_F8, (PROGRAM_CONSTANTS_MAX,))),
)

# One scope of the kill switch. Each time only grows, so changes may come in any order and twice; it
# is killed while a kill is newer than the re-arming of that kind.
CHANGE_KILL: Final = packed_dtype(
    ("scope", _I8),  # KILL_* of server/hotpath/kills.py
    ("provider_type", _I8),  # of the scope provider; else 0
    ("name", _ID),  # of the account, connection, provider, symbol or strategy; global: empty
    ("new_risk_killed_at_ns", _I8),
    ("new_risk_rearmed_at_ns", _I8),
    ("all_killed_at_ns", _I8),  # exits too
    ("all_rearmed_at_ns", _I8),
)

# A person lets a strategy go on that its own repetition has stopped.
CHANGE_STRATEGY: Final = packed_dtype(
    ("account_id", _ID),
    ("strategy_id", _ID),
    ("enabled_at_ns", _I8),
)

# A person closes a breaker that is locked, tripped or cooling.
CHANGE_BREAKER_RESET: Final = packed_dtype(
    ("breaker_id", _ID),
    ("reset_at_ns", _I8),
)

POLICY: Final = packed_dtype(
    ("digest", (_I8, (4,))),  # SHA-256 of the policy's canonical bytes
    ("version_major", _I8),
    ("version_minor", _I8),
    ("version_patch", _I8),
    ("multiplier_count", _I8),
    ("multiplier_score_micropoints", (_I8, (KNOTS_MAX,))),  # rising
    ("multiplier_ppm", (_I8, (KNOTS_MAX,))),
    ("quality_count", _I8),
    ("quality_score_micropoints", (_I8, (KNOTS_MAX,))),
    ("quality_ppm", (_I8, (KNOTS_MAX,))),
    ("k_slip_ppm", _I8),
    ("k_atr_ppm", _I8),
    ("slippage_cap_micropips", _I8),
    ("slippage_floor_micropips", _I8),
    ("buffer_min_micropips", _I8),
    ("buffer_max_micropips", _I8),  # NOT_SET: none
    # Weights of the performance score, ppm, sum 1e6: win rate, drawdown, reward:risk,
    # compliance, trend.
    ("score_weights_ppm", (_I8, (5,))),
    ("score_drawdown_scale_ppm", _I8),  # drawdown that scores 0
    ("score_reward_risk_scale_ppm", _I8),  # reward:risk that scores 100
)
CHANGE_POLICY: Final = POLICY

CHANGE_MODEL: Final = packed_dtype(
    ("purpose", _SYMBOL),  # "slippage"
    ("digest", (_I8, (4,))),  # SHA-256 of the manifest; all zero: no model
    ("version_major", _I8),
    ("version_minor", _I8),
    ("version_patch", _I8),
    ("serial", _I8),  # rises with each activation
    ("slot", _I8),  # 0 on the wire; the loader writes the slot that it filled
)

WINDOW: Final = packed_dtype(
    ("timezone", _SYMBOL),
    ("day_start_ns", _I8),
    ("day_next_ns", _I8),
    ("week_start_ns", _I8),
    ("week_next_ns", _I8),
    ("month_start_ns", _I8),
    ("month_next_ns", _I8),
)
CHANGE_WINDOW: Final = WINDOW

CHANGE_SESSION: Final = packed_dtype(
    ("session", _I8),  # riskgate.v1.TradingSession now
    ("next_session", _I8),
    ("next_at_ns", _I8),
)

CHANGE_HEARTBEAT: Final = packed_dtype(
    ("published_at_ns", _I8),
    ("version", _I8),  # newest version in the record
    ("record_away", _I8),  # 1: PostgreSQL cannot be reached
)

CHANGE_CLOCK: Final = packed_dtype(("reading_ns", _I8))

CHANGE_EQUITY: Final = packed_dtype(
    ("account_id", _ID), ("equity_micros", _I8), ("equity_at_ns", _I8)
)

# Number of riskgate.v1.ChangeKind -> dtype of its rows.
CHANGE_ROWS: Final[dict[int, np.dtype[np.void]]] = {
    1: CHANGE_INSTRUMENT,
    2: CHANGE_ACCOUNT,
    3: CHANGE_RISK_CONFIGURATION,
    4: CHANGE_PROVIDER,
    5: CHANGE_MARKET,
    6: CHANGE_CONVERSION_RATE,
    7: CHANGE_BREAKER,
    8: CHANGE_POLICY,
    9: CHANGE_MODEL,
    10: CHANGE_WINDOW,
    11: CHANGE_HEARTBEAT,
    12: CHANGE_CLOCK,
    13: CHANGE_EQUITY,
    14: CHANGE_SESSION,
    16: CHANGE_KILL,
    17: CHANGE_STRATEGY,
    18: CHANGE_BREAKER_RESET,
}


def words(text: str, count: int = ID_WORDS) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Pack text into `count` zero padded little-endian words.

    Raises:
        ValueError: the UTF-8 form is longer than 8 × count bytes or holds a zero byte.
    """
    data = text.encode()
    if len(data) > 8 * count or b"\0" in data:
        msg = f"text must be at most {8 * count} bytes without a zero byte"
        raise ValueError(msg)
    return np.frombuffer(data.ljust(8 * count, b"\0"), dtype="<i8")


def text(packed: np.ndarray[tuple[int], np.dtype[np.int64]]) -> str:
    """Unpack what `words` packed."""
    return bytes(packed.tobytes()).rstrip(b"\0").decode()


def currency_word(code: str) -> int:
    """Pack a currency code of up to 8 bytes into one word."""
    return int(words(code, 1)[0])
