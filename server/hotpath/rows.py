"""The dtype of every table that one engine owns.

In every keyed table the key is the first columns of the row; row 0 is never used (its first word
counts the rows in use), so a row number of 0 means "no row" wherever a column refers to one. See
`table.py` and `memory.py`.
"""

from __future__ import annotations

from typing import Final

from server.hotpath.layout import (
    CHANGE_BREAKER,
    CHANGE_INSTRUMENT,
    CHANGE_KILL,
    CHANGE_PROVIDER,
    ID_WORDS,
    SYMBOL_WORDS,
    columns_of,
    packed_dtype,
)

_I8 = "<i8"
_F8 = "<f8"
_ID = (_I8, (ID_WORDS,))
_SYMBOL = (_I8, (SYMBOL_WORDS,))

INSTRUMENT: Final = packed_dtype(
    *columns_of(CHANGE_INSTRUMENT),
    ("alive", _I8),
    # Market context of the symbol.
    ("regime", _SYMBOL),
    ("atr", _F8),
    ("atr_at_ns", _I8),
    ("volatility_micropoints", _I8),
    ("volatility_at_ns", _I8),
    ("bid", _F8),
    ("ask", _F8),
    ("quote_at_ns", _I8),
    ("collar_start_ns", _I8),  # when the collar's window began
    ("collar_twice_ticks", _I8),  # twice the middle of its first quote; 0: none yet
)

ACCOUNT: Final = packed_dtype(
    ("account_id", _ID),
    ("alive", _I8),
    ("currency", _I8),
    ("timezone_row", _I8),
    ("equity_micros", _I8),
    ("equity_at_ns", _I8),
    ("equity_max_age_ns", _I8),
    ("peak_micros", _I8),
    ("reservation_ttl_ns", _I8),
    ("trading_state", _I8),
    ("allow_new_providers", _I8),
    ("day_start_ns", _I8),
    ("day_base_micros", _I8),
    ("week_start_ns", _I8),
    ("week_base_micros", _I8),
    ("month_start_ns", _I8),
    ("month_base_micros", _I8),
    ("consecutive_losses", _I8),
    ("cooling_until_ns", _I8),
    ("held_risk_micros", _I8),
    ("held_notional_micros", _I8),
    ("open_risk_micros", _I8),
    ("open_notional_micros", _I8),
    ("reservation_count", _I8),
    ("idempotency_count", _I8),
    ("first_breaker", _I8),
    ("first_reservation", _I8),
    ("first_position", _I8),
    ("has_configuration", _I8),
    ("override_count", _I8),
    ("generation", _I8),  # of the configuration; overrides of another generation are void
    ("first_judged", _I8),  # breakers over the request, in the order of the chain
    ("first_active", _I8),  # breakers over the state that are not closed, in that order
    ("breaker_due_ns", _I8),  # when the next of its breakers changes by time; 0: none does
    ("first_event", _I8),  # newest event that is not acknowledged
    ("message_full_at_ns", _I8),  # when all its messages may be sent at once again
    ("content_count", _I8),
    ("first_strategy", _I8),
)

OVERRIDE: Final = packed_dtype(
    ("account_row", _I8),
    ("symbol", _SYMBOL),
    ("generation", _I8),
    ("override", _I8),
    ("position_max_drawdown_ppm", _I8),
    ("max_position_size_ppm", _I8),
    ("max_leverage_ppm", _I8),
    ("risk_per_trade_ppm", _I8),
    ("max_order_value_micros", _I8),  # 0: no limit of this row, here and below
    ("max_order_microlots", _I8),
    ("max_long_microlots", _I8),
    ("max_short_microlots", _I8),
    ("restricted", _I8),
)

PROVIDER: Final = packed_dtype(*columns_of(CHANGE_PROVIDER), ("alive", _I8))

CONVERSION_RATE: Final = packed_dtype(
    ("from_currency", _I8),
    ("to_currency", _I8),
    ("rate_picos", _I8),  # 0: deleted
    ("as_of_ns", _I8),
)

BREAKER: Final = packed_dtype(
    *columns_of(CHANGE_BREAKER),
    ("account_row", _I8),
    ("next_breaker", _I8),  # of the same account
    ("state", _I8),
    ("tripped_at_ns", _I8),
    ("closes_at_ns", _I8),
    ("next_judged", _I8),
    ("next_active", _I8),
    ("trip_count", _I8),  # since a person enabled or reset it
    ("event_at_ns", _I8),  # of its newest event
    ("reset_at_ns", _I8),
    ("judged_state", _I8),  # by the decision at hand, as is the next one
    ("next_open", _I8),  # not closed and in its scope
)

POSITION: Final = packed_dtype(
    ("account_row", _I8),
    ("instrument_row", _I8),
    ("position_id", _ID),  # empty: the net position
    ("net_steps", _I8),  # negative is short
    ("cost_ticks", _I8),  # |net| × average entry
    ("open_risk_micros", _I8),
    ("open_notional_micros", _I8),
    ("held_buy_steps", _I8),  # net row only
    ("held_sell_steps", _I8),
    ("working_exit_steps", _I8),
    ("next_position", _I8),  # of the same account
    ("before_sync_steps", _I8),
    ("exposure_row", _I8),  # where its notional counts
)

EXPOSURE: Final = packed_dtype(
    ("account_row", _I8),
    ("correlation_group", _SYMBOL),
    ("held_notional_micros", _I8),
    ("open_notional_micros", _I8),
)

RESERVATION_FREE: Final = 0
RESERVATION_HELD: Final = 1
RESERVATION_WORKING: Final = 2
RESERVATION_CLOSED: Final = 3

RESERVATION: Final = packed_dtype(
    ("decision_id", _I8),
    ("state", _I8),
    ("account_row", _I8),
    ("instrument_row", _I8),
    ("side", _I8),
    ("is_exit", _I8),
    ("position_row", _I8),  # net row of a new risk, the row to be reduced of an exit
    ("net_row", _I8),  # of an exit from a position with an id of its own; else 0
    ("exposure_row", _I8),
    ("left_steps", _I8),
    ("risk_micros", _I8),  # of what is left
    ("notional_micros", _I8),
    ("filled_steps", _I8),
    ("closed_steps", _I8),
    ("entry_ticks", _I8),
    ("loss_per_lot_micros", _I8),
    ("notional_per_lot_micros", _I8),
    ("position_id", _ID),  # of an exit: what it reduces; of new risk: where its fills went
    ("expires_at_ns", _I8),
    ("next_expiring", _I8),  # same wheel bucket
    ("previous_expiring", _I8),
    ("next_of_account", _I8),
    ("previous_of_account", _I8),
    ("next_closed", _I8),
    ("made_at_ns", _I8),
    ("synced", _I8),  # sequence of the last sync that named it
    ("strategy_row", _I8),  # 0: none
    ("content_row", _I8),  # of its content, as long as the call lasts that made it
)

IDEMPOTENCY: Final = packed_dtype(
    ("account_row", _I8),
    ("client_order_id", _ID),
    ("digest", (_I8, (2,))),
    ("decision_id", _I8),
    ("made_at_ns", _I8),
    ("answer_offset", _I8),
    ("answer_bytes", _I8),  # 0: not yet written
)

SEEN_REPORT: Final = packed_dtype(("account_row", _I8), ("report_id", _ID))

STRATEGY: Final = packed_dtype(
    ("account_row", _I8),
    ("strategy_id", _ID),
    ("held_notional_micros", _I8),
    ("open_notional_micros", _I8),
    ("execution_count", _I8),  # in its window
    ("window_start_ns", _I8),
    ("disabled_at_ns", _I8),  # 0: enabled
    ("enabled_at_ns", _I8),  # by a person
    ("next_of_account", _I8),
)

# Content of an order that was let through, to know it again.
CONTENT: Final = packed_dtype(
    ("account_row", _I8),  # 0: emptied, because the same content came again
    ("digest", (_I8, (2,))),
    ("made_at_ns", _I8),
    ("until_ns", _I8),  # when it is no duplicate any more
)

KILL: Final = CHANGE_KILL

EVENT_POSITIONS_MAX: Final = 8
EVENT_VALUES_MAX: Final = 8

# One trip of a breaker, which is also the directive to the router. Not keyed: event n lies in row
# (n − 1) mod capacity + 1.
EVENT: Final = packed_dtype(
    ("event_id", _I8),  # 1, 2, 3 …
    ("at_ns", _I8),
    ("sequence", _I8),  # of the engine event during which it tripped
    ("breaker_id", _ID),
    ("breaker_name", _ID),
    ("account_id", _ID),
    ("condition", _I8),
    ("action", _I8),
    ("state", _I8),  # that the breaker went to: tripped or locked
    ("threshold", _F8),  # as a ratio, count or points; NaN for an expression
    ("observed", _F8),  # the same; of an expression the value it was compared with, NaN: unknown
    ("equity_micros", _I8),
    ("drawdown_ppm", _I8),
    ("consecutive_losses", _I8),
    ("value_count", _I8),  # of an expression: variables it has read, at most EVENT_VALUES_MAX
    ("value_names", (_I8, (EVENT_VALUES_MAX,))),  # V_* of server/hotpath/variables.py
    ("values", (_F8, (EVENT_VALUES_MAX,))),  # NaN: unknown
    ("symbol", _SYMBOL),  # of the request that tripped it; empty: the account's state did
    ("position_count", _I8),  # positions in its scope, at most EVENT_POSITIONS_MAX are listed
    ("position_symbols", (_I8, (EVENT_POSITIONS_MAX * SYMBOL_WORDS,))),
    ("position_steps", (_I8, (EVENT_POSITIONS_MAX,))),  # negative is short
    ("position_lot_mantissa", (_I8, (EVENT_POSITIONS_MAX,))),
    ("position_lot_scale", (_I8, (EVENT_POSITIONS_MAX,))),
    # From here on it changes later; the journal keeps what stands before.
    ("account_row", _I8),
    ("acknowledged_at_ns", _I8),  # 0: not yet
    ("succeeded", _I8),
    ("detail", (_I8, (32,))),
    ("next_of_account", _I8),  # older event of the account that is not acknowledged
)
EVENT_KEPT_BYTES: Final[int] = EVENT.fields["account_row"][1]  # type: ignore[index]

# 2^20 ns per bucket × 2^19 buckets: lifetimes up to 549 s.
WHEEL_SHIFT: Final = 20
WHEEL_BUCKETS: Final = 1 << 19
RESERVATION_TTL_NS_MAX: Final = 300 * 1_000_000_000

ENGINE: Final = packed_dtype(
    ("sequence", _I8),
    ("epoch", _I8),
    ("state_version", _I8),
    ("now_ns", _I8),
    ("reading_ns", _I8),  # last clock reading as it came; 0: none yet
    ("started_at_ns", _I8),
    ("restarted", _I8),
    ("clock_unconfirmed", _I8),
    ("heartbeat_at_ns", _I8),  # publisher's time; 0: never
    ("record_away", _I8),
    ("model_slot", _I8),  # NO_MODEL_SLOT: none
    ("model_serial", _I8),
    ("session", _I8),
    ("next_session", _I8),
    ("next_session_at_ns", _I8),
    ("wheel_tick", _I8),  # buckets before this one are empty
    ("reservation_fresh", _I8),  # rows never used so far
    ("reservation_in_use", _I8),  # HELD or WORKING
    ("closed_head", _I8),  # FIFO of closed reservations
    ("closed_tail", _I8),
    ("closed_count", _I8),
    ("position_free", _I8),  # list of position rows that may be used again
    ("idempotency_oldest", _I8),
    ("idempotency_count", _I8),
    ("idempotency_min_age_ns", _I8),
    ("answer_head", _I8),  # ring of stored answers: next byte to write
    ("answer_used", _I8),
    ("report_oldest", _I8),
    ("report_count", _I8),
    ("unknown_changes", _I8),  # changes that named something unknown
    ("kills_of_new_risk", (_I8, (8,))),  # active kills by scope
    ("kills_of_all", (_I8, (8,))),
    ("kills_lost", _I8),  # that found no room: then everything is killed
    ("event_count", _I8),  # ever
    ("event_kept_count", _I8),  # of these in the journal
    ("content_oldest", _I8),
    ("content_count", _I8),
)
