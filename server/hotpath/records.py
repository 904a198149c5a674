"""The records that enter and leave the engine.

Request, decision, report, sync, and the notes in between.

A kernel reads `state.request` and writes `state.decision`; nothing else passes the door. Text is
zero padded words (see `layout.py`), an absent number is 0 with its bit of `present` clear.
"""

from __future__ import annotations

from typing import Final

from server.hotpath.layout import DECISION_BREAKERS_MAX, ID_WORDS, SYMBOL_WORDS, packed_dtype
from server.hotpath.reasons import REASONS_MAX

_I8 = "<i8"
_F8 = "<f8"
_ID = (_I8, (ID_WORDS,))
_SYMBOL = (_I8, (SYMBOL_WORDS,))

# --- What enters and leaves
# --------------------------------------------------------------------------------------

# Bits of REQUEST.present: which optional numbers the caller stated.
HAS_ENTRY_PRICE: Final = 1
HAS_STOP_LOSS: Final = 2
HAS_TAKE_PROFIT: Final = 4
HAS_REQUESTED_LOTS: Final = 8
HAS_ATR: Final = 16
HAS_VOLATILITY_INDEX: Final = 32

# One DecideRequest. Text absent: all zero. Number absent: 0.0 and its bit of `present` clear. All
# columns before
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
    ("identity", _ID),  # of the caller, by its certificate; empty: unknown
)
REQUEST_DIGEST_WORDS: Final = REQUEST.fields["explain"][1] // 8  # type: ignore[index]

# Result of `decide_nb`: whether DECISION holds an answer.
DECIDED: Final = 0
INVALID: Final = 1  # DECISION.field names the field, DECISION.problem the rule
REPEATED: Final = 2  # the stored answer of DECISION.idempotency_row counts
CONFLICT: Final = 3  # the same client_order_id came with another request

# Fields that INVALID can name (DECISION.field) and what was wrong (DECISION.problem).
FIELDS: Final = (
    "",
    "account_id",
    "provider_id",
    "provider_type",
    "symbol",
    "side",
    "entry_price",
    "stop_loss",
    "take_profit",
    "requested_lots",
    "atr",
    "volatility_index",
    "client_order_id",
    "report_id",
    "kind",
    "lots",
    "price",
    "cumulative_lots",
    "realised_pnl",
    "commission",
)
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
    ("hold_risk_micros", _I8),
    ("hold_notional_micros", _I8),
    ("strategy_row", _I8),  # 0: none yet
    ("content_digest", (_I8, (2,))),  # of what the order is about
    ("first_open", _I8),  # breaker in scope that is not closed
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
SYNC_ORDER: Final = packed_dtype(
    ("client_order_id", _ID), ("symbol", _SYMBOL), ("side", _I8), ("lots", _F8)
)

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
