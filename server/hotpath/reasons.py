"""The closed list of reasons inside the engine: index, status and unit of each.

REASON_CODES turns an index into its number of riskgate.v1.Reason. Append only; the order is the
order of severity inside one status. R_* name the indices.
"""

from __future__ import annotations

from typing import Final

REASON_CODES: Final = (
    101, 104, 102, 103, 201, 202, 203, 204, 205, 206, 501, 502, 307, 306, 207, 301,
    302, 304, 305, 303, 308, 505, 310, 503, 504, 410, 309, 401, 403, 404, 405, 406,
    407, 408, 409, 402, 411, 801, 802, 803, 701, 702, 703, 105, 106, 506, 601, 602,
    603, 604, 605, 804, 107, 108, 109,
)  # fmt: skip
REASONS_MAX: Final = 64

R_FEED_STALE: Final = 0
R_FEED_MISSING: Final = 1
R_CLOCK_UNCONFIRMED: Final = 2
R_RESTARTED: Final = 3
R_ACCOUNT_UNKNOWN: Final = 4
R_SYMBOL_UNKNOWN: Final = 5
R_EXCHANGE_MISMATCH: Final = 6
R_PROVIDER_UNKNOWN: Final = 7
R_CONFIGURATION_MISSING: Final = 8
R_ENUM_VALUE_UNKNOWN: Final = 9
R_ACCOUNT_REDUCING: Final = 10
R_ACCOUNT_HALTED: Final = 11
R_EQUITY_EXHAUSTED: Final = 12
R_EQUITY_STALE: Final = 13
R_PROVIDER_SCORE_LOW: Final = 14
R_STOP_REQUIRED: Final = 15
R_CONVERSION_RATE_MISSING: Final = 16
R_ATR_MISSING: Final = 17
R_VOLATILITY_MISSING: Final = 18
R_INPUT_STALE: Final = 19
R_REGIME_MISSING: Final = 20
R_REGIME_BLOCKED: Final = 21
R_WINDOW_MISSING: Final = 22
R_BREAKER_TRIPPED: Final = 23
R_COOLING_OFF: Final = 24
R_POSITION_DRAWDOWN: Final = 25
R_ARITHMETIC_RANGE: Final = 26
R_RISK_PER_TRADE: Final = 27
R_MAX_LOT: Final = 28
R_POSITION_SIZE: Final = 29
R_LEVERAGE: Final = 30
R_CORRELATED_EXPOSURE: Final = 31
R_DAILY_LOSS_BUDGET: Final = 32
R_WEEKLY_LOSS_BUDGET: Final = 33
R_MONTHLY_LOSS_BUDGET: Final = 34
R_BELOW_MIN_LOT: Final = 35
R_LOT_STEP: Final = 36
R_RESERVATIONS_FULL: Final = 37
R_IDEMPOTENCY_FULL: Final = 38
R_POSITIONS_FULL: Final = 39
R_POSITION_UNKNOWN: Final = 40
R_NOT_REDUCING: Final = 41
R_EXIT_CLIPPED: Final = 42
R_FEED_DEGRADED: Final = 43
R_RECORD_AWAY: Final = 44
R_BREAKER_REDUCED_SIZE: Final = 45
R_NEW_PROVIDER: Final = 46
R_SCORE_STALE: Final = 47
R_MODEL_MISSING: Final = 48
R_MODEL_OUTPUT_INVALID: Final = 49
R_MODEL_OUTPUT_CAPPED: Final = 50
R_BATCH_DENIED: Final = 51
R_JOURNAL_FULL: Final = 52
R_JOURNAL_FAILED: Final = 53
R_FENCED: Final = 54

# Status of a reason in one decision (riskgate.v1.CheckStatus).
S_ABSENT: Final = 0
S_PASS: Final = 1
S_CUT: Final = 2
S_DENY: Final = 3
S_NOTE: Final = 4
S_NOT_APPLICABLE: Final = 5

# Units of the numbers of a check (riskgate.v1.Unit): how limit and observed are turned into
# doubles.
U_NONE: Final = 0
U_RATIO: Final = 1
U_MONEY: Final = 2
U_LOTS: Final = 3
U_MILLISECONDS: Final = 4
U_POINTS: Final = 5
U_COUNT: Final = 6

CHECK_UNITS: Final[dict[int, int]] = {
    R_FEED_STALE: U_MILLISECONDS,
    R_RESTARTED: U_MILLISECONDS,
    R_EQUITY_EXHAUSTED: U_MONEY,
    R_EQUITY_STALE: U_MILLISECONDS,
    R_PROVIDER_SCORE_LOW: U_POINTS,
    R_CONVERSION_RATE_MISSING: U_MILLISECONDS,
    R_INPUT_STALE: U_MILLISECONDS,
    R_COOLING_OFF: U_MILLISECONDS,
    R_POSITION_DRAWDOWN: U_RATIO,
    R_RISK_PER_TRADE: U_MONEY,
    R_MAX_LOT: U_LOTS,
    R_POSITION_SIZE: U_RATIO,
    R_LEVERAGE: U_RATIO,
    R_CORRELATED_EXPOSURE: U_RATIO,
    R_DAILY_LOSS_BUDGET: U_MONEY,
    R_WEEKLY_LOSS_BUDGET: U_MONEY,
    R_MONTHLY_LOSS_BUDGET: U_MONEY,
    R_BELOW_MIN_LOT: U_LOTS,
    R_RESERVATIONS_FULL: U_COUNT,
    R_IDEMPOTENCY_FULL: U_COUNT,
    R_EXIT_CLIPPED: U_LOTS,
}
# What `CheckResult.status` may be for a reason that is only ever a note.
NOTES: Final = frozenset(range(R_FEED_DEGRADED, R_MODEL_OUTPUT_CAPPED + 1))
