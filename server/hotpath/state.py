"""The tables that one engine owns, and the records that enter and leave a decision.

Only the owner of the engine touches these arrays. They are made once, zero filled, and never grow: the operating
system gives memory to a row when it is first used. In every keyed table the key is the first columns of the row, row 0
is the header (its first word counts the rows in use), so a row number of 0 means "no row" wherever a column refers
to one. See `table.py` for the index.
"""

from __future__ import annotations

from typing import Final

from server.hotpath.layout import (
    CHANGE_BREAKER,
    CHANGE_INSTRUMENT,
    CHANGE_PROVIDER,
    CHANGE_RISK_CONFIGURATION,
    DECISION_BREAKERS_MAX,
    ID_WORDS,
    POLICY,
    REASONS_MAX,
    SYMBOL_WORDS,
    WINDOW,
    columns_of,
    packed_dtype,
)

_I8 = "<i8"
_F8 = "<f8"
_ID = (_I8, (ID_WORDS,))
_SYMBOL = (_I8, (SYMBOL_WORDS,))

# --- What enters and leaves --------------------------------------------------------------------------------------

# Bits of REQUEST.present: which optional numbers the caller stated.
HAS_ENTRY_PRICE: Final = 1
HAS_STOP_LOSS: Final = 2
HAS_TAKE_PROFIT: Final = 4
HAS_REQUESTED_LOTS: Final = 8
HAS_ATR: Final = 16
HAS_VOLATILITY_INDEX: Final = 32

# One DecideRequest. Text absent: all zero. Number absent: 0.0 and its bit of `present` clear. All columns before
# `explain` make up the request digest.
REQUEST: Final = packed_dtype(
    ("account_id", _ID),
    ("provider_id", _ID),
    ("provider_type", _I8),
    ("symbol", _SYMBOL),
    ("exchange", _SYMBOL),
    ("client_order_id", _ID),
    ("replaces_client_order_id", _ID),
    ("position_id", _ID),
    ("connection_id", _ID),
    ("group_id", _ID),
    ("signal_id", _ID),
    ("strategy_id", _ID),
    ("side", _I8),
    ("order_type", _I8),
    ("time_in_force", _I8),
    ("session", _I8),
    ("present", _I8),
    ("entry_price", _F8),
    ("stop_loss", _F8),
    ("take_profit", _F8),
    ("requested_lots", _F8),
    ("atr", _F8),
    ("volatility_index", _F8),
    ("reduce_only", _I8),
    ("dry_run", _I8),
    ("sent_at_ns", _I8),
    ("explain", _I8),
    ("min_state_version", _I8),
)
REQUEST_DIGEST_WORDS: Final = REQUEST.fields["explain"][1] // 8  # type: ignore[index]

# Result of `decide_nb`: whether DECISION holds an answer.
DECIDED: Final = 0
INVALID: Final = 1  # DECISION.field names the field, DECISION.problem the rule
REPEATED: Final = 2  # the stored answer of DECISION.idempotency_row counts
CONFLICT: Final = 3  # the same client_order_id came with another request

# Fields that INVALID can name (DECISION.field) and what was wrong (DECISION.problem).
FIELDS: Final = (
    "", "account_id", "provider_id", "provider_type", "symbol", "side", "entry_price", "stop_loss", "take_profit",
    "requested_lots", "atr", "volatility_index", "client_order_id", "report_id", "kind", "lots", "price",
    "cumulative_lots", "realised_pnl", "commission",
)  # fmt: skip
PROBLEMS: Final = (
    "",
    "is required",
    "must be a finite number",
    "must be greater than zero",
    "is not a whole number of ticks",
    "is out of range",
    "is on the wrong side of entry_price",
    "must be between 0 and 100",
)
P_REQUIRED: Final = 1
P_FINITE: Final = 2
P_POSITIVE: Final = 3
P_OFF_TICK: Final = 4
P_RANGE: Final = 5
P_SIDE: Final = 6
P_PERCENT: Final = 7

# Bits of DECISION.known: which optional outputs there are.
KNOWN_STOP_PRICE: Final = 1
KNOWN_TRAILING: Final = 2
KNOWN_SLIPPAGE: Final = 4
KNOWN_SCORE: Final = 8
KNOWN_LARGEST: Final = 16
KNOWN_HOLD: Final = 32
KNOWN_MODEL: Final = 64

AGE_ABSENT: Final = -1

# One answer. Doubles are final: nothing of the instrument is needed to send them.
DECISION: Final = packed_dtype(
    ("sequence", _I8),
    ("epoch", _I8),
    ("now_ns", _I8),
    ("field", _I8),
    ("problem", _I8),
    ("idempotency_row", _I8),  # where the answer is to be remembered; 0: nowhere
    ("reservation_row", _I8),
    ("verdict", _I8),
    ("mode", _I8),
    ("state_version", _I8),
    ("binding", _I8),  # reason index + 1; 0: none
    ("known", _I8),
    ("lot_steps", _I8),
    ("target_steps", _I8),
    ("largest_steps", _I8),
    ("buffer_ticks", _I8),
    ("slippage_ticks", _I8),
    ("stop_ticks", _I8),
    ("trailing_ticks", _I8),
    ("risk_money_micros", _I8),
    ("loss_per_lot_micros", _I8),
    ("notional_per_lot_micros", _I8),
    ("score_micropoints", _I8),
    ("multiplier_ppm", _I8),
    ("slippage_micropips", _I8),
    ("predicted_slippage_pips", _F8),
    ("lot_size", _F8),
    ("sl_buffer_pips", _F8),
    ("stop_price", _F8),
    ("trailing_stop_distance", _F8),
    ("largest_passing_lots", _F8),
    ("expires_at_ns", _I8),
    ("session", _I8),
    ("model_slot", _I8),
    ("lot_mantissa", _I8),  # turns the lot numbers of checks into doubles
    ("lot_scale", _I8),
    ("heartbeat_age_ns", _I8),
    ("equity_age_ns", _I8),
    ("score_age_ns", _I8),
    ("atr_age_ns", _I8),
    ("volatility_age_ns", _I8),
    ("conversion_rate_age_ns", _I8),
    ("quote_age_ns", _I8),
    ("breaker_count", _I8),
    ("breaker_row", (_I8, (DECISION_BREAKERS_MAX,))),
    ("breaker_state", (_I8, (DECISION_BREAKERS_MAX,))),
    ("breaker_tripped_at_ns", (_I8, (DECISION_BREAKERS_MAX,))),
    ("breaker_closes_at_ns", (_I8, (DECISION_BREAKERS_MAX,))),
    ("out_of_range", _I8),
    # By reason index: status, 1 where limit and observed count, 2 where lots_max counts.
    ("status", ("u1", (REASONS_MAX,))),
    ("numbers", ("u1", (REASONS_MAX,))),
    ("limit", (_I8, (REASONS_MAX,))),
    ("observed", (_I8, (REASONS_MAX,))),
    ("lots_max", (_I8, (REASONS_MAX,))),
)

# What one decision has found out so far.
WORK: Final = packed_dtype(
    ("now_ns", _I8),
    ("account_row", _I8),
    ("instrument_row", _I8),
    ("provider_row", _I8),
    ("override_row", _I8),
    ("net_row", _I8),  # position rows; 0: none yet
    ("exit_row", _I8),
    ("exposure_row", _I8),
    ("replaced_row", _I8),
    ("direction", _I8),  # +1 buy, −1 sell
    ("entry_ticks", _I8),
    ("stop_ticks", _I8),  # 0: no stop
    ("distance_ticks", _I8),
    ("requested_steps", _I8),  # 0: none asked
    ("off_step", _I8),
    ("atr_ticks", _I8),  # 0: none
    ("atr_unusable", _I8),  # 1: needed, but missing or stale
    ("volatility_micropoints", _I8),  # NOT_SET: none
    ("regime_ppm", _I8),
    ("quality_ppm", _I8),
    ("new_provider", _I8),
    ("rate_picos", _I8),  # 0: none
    ("sizes_known", _I8),
    ("risk_steps", _I8),
)

# One ExecutionReport. `present`: REPORT_HAS_*.
REPORT_HAS_LOTS: Final = 1
REPORT_HAS_PRICE: Final = 2
REPORT_HAS_CUMULATIVE: Final = 4
REPORT_HAS_PNL: Final = 8
REPORT_HAS_COMMISSION: Final = 16

REPORT: Final = packed_dtype(
    ("account_id", _ID),
    ("report_id", _ID),
    ("client_order_id", _ID),
    ("position_id", _ID),
    ("symbol", _SYMBOL),
    ("decision_id", _I8),
    ("kind", _I8),
    ("side", _I8),
    ("present", _I8),
    ("lots", _F8),
    ("price", _F8),
    ("cumulative_lots", _F8),
    ("realised_pnl", _F8),
    ("commission", _F8),
    ("event_time_ns", _I8),  # 0: when it arrived
)

REPORT_APPLIED: Final = 1
REPORT_DUPLICATE: Final = 2
REPORT_UNMATCHED: Final = 3
REPORT_INVALID: Final = 4
REPORT_ACCOUNT_UNKNOWN: Final = 5
REPORT_FULL: Final = 6

REPORT_RESULT: Final = packed_dtype(
    ("sequence", _I8),
    ("outcome", _I8),
    ("field", _I8),
    ("problem", _I8),
    ("equity_micros", _I8),
    ("held_steps", _I8),
    ("position_steps", _I8),
    ("lot_mantissa", _I8),
    ("lot_scale", _I8),
)

# What the broker says (SyncAccount), and where the engine believed otherwise.
SYNC_POSITION: Final = packed_dtype(
    ("position_id", _ID),
    ("symbol", _SYMBOL),
    ("side", _I8),
    ("lots", _F8),
    ("average_price", _F8),
    ("stop_loss", _F8),  # NaN: none
)
SYNC_ORDER: Final = packed_dtype(("client_order_id", _ID), ("symbol", _SYMBOL), ("side", _I8), ("lots", _F8))

DIFFERENCE_EQUITY: Final = 1
DIFFERENCE_POSITION: Final = 2
DIFFERENCE_HOLD: Final = 3  # of a reservation that the engine knows
DIFFERENCE_ORDER: Final = 4  # of an order that the engine does not know

DIFFERENCE: Final = packed_dtype(
    ("subject", _I8),
    ("row", _I8),  # position or reservation row, or index of the order
    ("engine_value", _I8),  # signed lot steps, or micros
    ("broker_value", _I8),
)

# --- Tables ------------------------------------------------------------------------------------------------------

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
    ("exposure_row", _I8),
    ("left_steps", _I8),
    ("risk_micros", _I8),  # of what is left
    ("notional_micros", _I8),
    ("filled_steps", _I8),
    ("closed_steps", _I8),
    ("entry_ticks", _I8),
    ("loss_per_lot_micros", _I8),
    ("notional_per_lot_micros", _I8),
    ("position_id", _ID),
    ("expires_at_ns", _I8),
    ("next_expiring", _I8),  # same wheel bucket
    ("previous_expiring", _I8),
    ("next_of_account", _I8),
    ("previous_of_account", _I8),
    ("next_closed", _I8),
    ("made_at_ns", _I8),
    ("synced", _I8),  # sequence of the last sync that named it
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

# Identities of the decision port, judged once per connection; written by the trust layer.
IDENTITY: Final = packed_dtype(
    ("identity", _ID),
    ("not_after_ns", _I8),
    ("revoked", _I8),
    ("roles", _I8),  # bit set
    ("account_count", _I8),  # 0: every account
    ("provider_count", _I8),
    ("accounts", (_I8, (16,))),  # rows
    ("providers", (_I8, (16,))),
    ("tokens_micros", _I8),
    ("tokens_at_ns", _I8),
    ("tokens_per_second", _I8),
    ("tokens_max", _I8),
)

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
)
