from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class Side(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SIDE_UNSPECIFIED: _ClassVar[Side]
    SIDE_BUY: _ClassVar[Side]
    SIDE_SELL: _ClassVar[Side]

class ProviderType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PROVIDER_TYPE_UNSPECIFIED: _ClassVar[ProviderType]
    PROVIDER_TYPE_CHANNEL_SOURCE: _ClassVar[ProviderType]
    PROVIDER_TYPE_USER: _ClassVar[ProviderType]

class OrderType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ORDER_TYPE_UNSPECIFIED: _ClassVar[OrderType]
    ORDER_TYPE_MARKET: _ClassVar[OrderType]
    ORDER_TYPE_LIMIT: _ClassVar[OrderType]
    ORDER_TYPE_STOP: _ClassVar[OrderType]
    ORDER_TYPE_STOP_LIMIT: _ClassVar[OrderType]

class TimeInForce(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TIME_IN_FORCE_UNSPECIFIED: _ClassVar[TimeInForce]
    TIME_IN_FORCE_GTC: _ClassVar[TimeInForce]
    TIME_IN_FORCE_DAY: _ClassVar[TimeInForce]
    TIME_IN_FORCE_IOC: _ClassVar[TimeInForce]
    TIME_IN_FORCE_FOK: _ClassVar[TimeInForce]

class TradingSession(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRADING_SESSION_UNSPECIFIED: _ClassVar[TradingSession]
    TRADING_SESSION_ASIAN: _ClassVar[TradingSession]
    TRADING_SESSION_TOKYO: _ClassVar[TradingSession]
    TRADING_SESSION_LONDON: _ClassVar[TradingSession]
    TRADING_SESSION_NEW_YORK: _ClassVar[TradingSession]
    TRADING_SESSION_OVERLAP: _ClassVar[TradingSession]

class Verdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERDICT_UNSPECIFIED: _ClassVar[Verdict]
    VERDICT_ALLOW: _ClassVar[Verdict]
    VERDICT_REDUCE: _ClassVar[Verdict]
    VERDICT_DENY: _ClassVar[Verdict]

class Mode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODE_UNSPECIFIED: _ClassVar[Mode]
    MODE_NORMAL: _ClassVar[Mode]
    MODE_DEGRADED: _ClassVar[Mode]
    MODE_REFUSE: _ClassVar[Mode]

class Durability(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DURABILITY_UNSPECIFIED: _ClassVar[Durability]
    DURABILITY_MEMORY: _ClassVar[Durability]
    DURABILITY_PROCESS: _ClassVar[Durability]
    DURABILITY_DISK: _ClassVar[Durability]

class TradingState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRADING_STATE_UNSPECIFIED: _ClassVar[TradingState]
    TRADING_STATE_ACTIVE: _ClassVar[TradingState]
    TRADING_STATE_REDUCING: _ClassVar[TradingState]
    TRADING_STATE_HALTED: _ClassVar[TradingState]

class ReportKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REPORT_KIND_UNSPECIFIED: _ClassVar[ReportKind]
    REPORT_KIND_ACK: _ClassVar[ReportKind]
    REPORT_KIND_PARTIAL_FILL: _ClassVar[ReportKind]
    REPORT_KIND_FILL: _ClassVar[ReportKind]
    REPORT_KIND_REJECT: _ClassVar[ReportKind]
    REPORT_KIND_CANCEL: _ClassVar[ReportKind]
    REPORT_KIND_EXPIRE: _ClassVar[ReportKind]
    REPORT_KIND_CLOSE: _ClassVar[ReportKind]
    REPORT_KIND_UNKNOWN: _ClassVar[ReportKind]

class BreakerCondition(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BREAKER_CONDITION_UNSPECIFIED: _ClassVar[BreakerCondition]
    BREAKER_CONDITION_MAX_DRAWDOWN: _ClassVar[BreakerCondition]
    BREAKER_CONDITION_DAILY_LOSS: _ClassVar[BreakerCondition]
    BREAKER_CONDITION_WEEKLY_LOSS: _ClassVar[BreakerCondition]
    BREAKER_CONDITION_MONTHLY_LOSS: _ClassVar[BreakerCondition]
    BREAKER_CONDITION_CONSECUTIVE_LOSSES: _ClassVar[BreakerCondition]
    BREAKER_CONDITION_VOLATILITY: _ClassVar[BreakerCondition]
    BREAKER_CONDITION_EXPRESSION: _ClassVar[BreakerCondition]

class BreakerAction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BREAKER_ACTION_UNSPECIFIED: _ClassVar[BreakerAction]
    BREAKER_ACTION_BLOCK: _ClassVar[BreakerAction]
    BREAKER_ACTION_REDUCE_ONLY: _ClassVar[BreakerAction]
    BREAKER_ACTION_REDUCE_SIZE: _ClassVar[BreakerAction]
    BREAKER_ACTION_CLOSE: _ClassVar[BreakerAction]
    BREAKER_ACTION_ALERT: _ClassVar[BreakerAction]

class BreakerState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BREAKER_STATE_UNSPECIFIED: _ClassVar[BreakerState]
    BREAKER_STATE_CLOSED: _ClassVar[BreakerState]
    BREAKER_STATE_TRIPPED: _ClassVar[BreakerState]
    BREAKER_STATE_COOLING: _ClassVar[BreakerState]
    BREAKER_STATE_HALF_OPEN: _ClassVar[BreakerState]
    BREAKER_STATE_LOCKED: _ClassVar[BreakerState]

class DirectiveKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DIRECTIVE_KIND_UNSPECIFIED: _ClassVar[DirectiveKind]
    DIRECTIVE_KIND_CLOSE: _ClassVar[DirectiveKind]
    DIRECTIVE_KIND_REDUCE_ONLY: _ClassVar[DirectiveKind]
    DIRECTIVE_KIND_BLOCK: _ClassVar[DirectiveKind]
    DIRECTIVE_KIND_ALERT: _ClassVar[DirectiveKind]
    DIRECTIVE_KIND_REDUCE_SIZE: _ClassVar[DirectiveKind]

class Unit(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    UNIT_UNSPECIFIED: _ClassVar[Unit]
    UNIT_RATIO: _ClassVar[Unit]
    UNIT_MONEY: _ClassVar[Unit]
    UNIT_LOTS: _ClassVar[Unit]
    UNIT_MILLISECONDS: _ClassVar[Unit]
    UNIT_POINTS: _ClassVar[Unit]
    UNIT_COUNT: _ClassVar[Unit]
    UNIT_PRICE: _ClassVar[Unit]

class CheckStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHECK_STATUS_UNSPECIFIED: _ClassVar[CheckStatus]
    CHECK_STATUS_PASS: _ClassVar[CheckStatus]
    CHECK_STATUS_CUT: _ClassVar[CheckStatus]
    CHECK_STATUS_DENY: _ClassVar[CheckStatus]
    CHECK_STATUS_NOTE: _ClassVar[CheckStatus]
    CHECK_STATUS_NOT_APPLICABLE: _ClassVar[CheckStatus]

class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REASON_UNSPECIFIED: _ClassVar[Reason]
    REASON_FEED_STALE: _ClassVar[Reason]
    REASON_CLOCK_UNCONFIRMED: _ClassVar[Reason]
    REASON_RESTARTED: _ClassVar[Reason]
    REASON_FEED_MISSING: _ClassVar[Reason]
    REASON_FEED_DEGRADED: _ClassVar[Reason]
    REASON_RECORD_AWAY: _ClassVar[Reason]
    REASON_JOURNAL_FULL: _ClassVar[Reason]
    REASON_JOURNAL_FAILED: _ClassVar[Reason]
    REASON_FENCED: _ClassVar[Reason]
    REASON_ACCOUNT_UNKNOWN: _ClassVar[Reason]
    REASON_SYMBOL_UNKNOWN: _ClassVar[Reason]
    REASON_EXCHANGE_MISMATCH: _ClassVar[Reason]
    REASON_PROVIDER_UNKNOWN: _ClassVar[Reason]
    REASON_CONFIGURATION_MISSING: _ClassVar[Reason]
    REASON_ENUM_VALUE_UNKNOWN: _ClassVar[Reason]
    REASON_PROVIDER_SCORE_LOW: _ClassVar[Reason]
    REASON_INSTRUMENT_RESTRICTED: _ClassVar[Reason]
    REASON_STRATEGY_REQUIRED: _ClassVar[Reason]
    REASON_STOP_REQUIRED: _ClassVar[Reason]
    REASON_CONVERSION_RATE_MISSING: _ClassVar[Reason]
    REASON_INPUT_STALE: _ClassVar[Reason]
    REASON_ATR_MISSING: _ClassVar[Reason]
    REASON_VOLATILITY_MISSING: _ClassVar[Reason]
    REASON_EQUITY_STALE: _ClassVar[Reason]
    REASON_EQUITY_EXHAUSTED: _ClassVar[Reason]
    REASON_REGIME_MISSING: _ClassVar[Reason]
    REASON_ARITHMETIC_RANGE: _ClassVar[Reason]
    REASON_WINDOW_MISSING: _ClassVar[Reason]
    REASON_HOURS_MISSING: _ClassVar[Reason]
    REASON_QUOTE_MISSING: _ClassVar[Reason]
    REASON_QUOTE_STALE: _ClassVar[Reason]
    REASON_RISK_PER_TRADE: _ClassVar[Reason]
    REASON_BELOW_MIN_LOT: _ClassVar[Reason]
    REASON_MAX_LOT: _ClassVar[Reason]
    REASON_POSITION_SIZE: _ClassVar[Reason]
    REASON_LEVERAGE: _ClassVar[Reason]
    REASON_CORRELATED_EXPOSURE: _ClassVar[Reason]
    REASON_DAILY_LOSS_BUDGET: _ClassVar[Reason]
    REASON_WEEKLY_LOSS_BUDGET: _ClassVar[Reason]
    REASON_MONTHLY_LOSS_BUDGET: _ClassVar[Reason]
    REASON_POSITION_DRAWDOWN: _ClassVar[Reason]
    REASON_LOT_STEP: _ClassVar[Reason]
    REASON_PRICE_COLLAR: _ClassVar[Reason]
    REASON_PRICE_COLLAR_WINDOW: _ClassVar[Reason]
    REASON_ORDER_VALUE: _ClassVar[Reason]
    REASON_ORDER_VOLUME: _ClassVar[Reason]
    REASON_ACCOUNT_NOTIONAL: _ClassVar[Reason]
    REASON_LONG_POSITION: _ClassVar[Reason]
    REASON_SHORT_POSITION: _ClassVar[Reason]
    REASON_STRATEGY_NOTIONAL: _ClassVar[Reason]
    REASON_MESSAGE_RATE: _ClassVar[Reason]
    REASON_REPEATED_EXECUTION: _ClassVar[Reason]
    REASON_DUPLICATE_ORDER: _ClassVar[Reason]
    REASON_ACCOUNT_REDUCING: _ClassVar[Reason]
    REASON_ACCOUNT_HALTED: _ClassVar[Reason]
    REASON_BREAKER_TRIPPED: _ClassVar[Reason]
    REASON_COOLING_OFF: _ClassVar[Reason]
    REASON_REGIME_BLOCKED: _ClassVar[Reason]
    REASON_BREAKER_REDUCED_SIZE: _ClassVar[Reason]
    REASON_KILL_ALL: _ClassVar[Reason]
    REASON_KILL_NEW_RISK: _ClassVar[Reason]
    REASON_SESSION_CLOSED: _ClassVar[Reason]
    REASON_NEW_PROVIDER: _ClassVar[Reason]
    REASON_SCORE_STALE: _ClassVar[Reason]
    REASON_MODEL_MISSING: _ClassVar[Reason]
    REASON_MODEL_OUTPUT_INVALID: _ClassVar[Reason]
    REASON_MODEL_OUTPUT_CAPPED: _ClassVar[Reason]
    REASON_POSITION_UNKNOWN: _ClassVar[Reason]
    REASON_NOT_REDUCING: _ClassVar[Reason]
    REASON_EXIT_CLIPPED: _ClassVar[Reason]
    REASON_RESERVATIONS_FULL: _ClassVar[Reason]
    REASON_IDEMPOTENCY_FULL: _ClassVar[Reason]
    REASON_POSITIONS_FULL: _ClassVar[Reason]
    REASON_BATCH_DENIED: _ClassVar[Reason]
    REASON_STRATEGIES_FULL: _ClassVar[Reason]
    REASON_CONTENTS_FULL: _ClassVar[Reason]
SIDE_UNSPECIFIED: Side
SIDE_BUY: Side
SIDE_SELL: Side
PROVIDER_TYPE_UNSPECIFIED: ProviderType
PROVIDER_TYPE_CHANNEL_SOURCE: ProviderType
PROVIDER_TYPE_USER: ProviderType
ORDER_TYPE_UNSPECIFIED: OrderType
ORDER_TYPE_MARKET: OrderType
ORDER_TYPE_LIMIT: OrderType
ORDER_TYPE_STOP: OrderType
ORDER_TYPE_STOP_LIMIT: OrderType
TIME_IN_FORCE_UNSPECIFIED: TimeInForce
TIME_IN_FORCE_GTC: TimeInForce
TIME_IN_FORCE_DAY: TimeInForce
TIME_IN_FORCE_IOC: TimeInForce
TIME_IN_FORCE_FOK: TimeInForce
TRADING_SESSION_UNSPECIFIED: TradingSession
TRADING_SESSION_ASIAN: TradingSession
TRADING_SESSION_TOKYO: TradingSession
TRADING_SESSION_LONDON: TradingSession
TRADING_SESSION_NEW_YORK: TradingSession
TRADING_SESSION_OVERLAP: TradingSession
VERDICT_UNSPECIFIED: Verdict
VERDICT_ALLOW: Verdict
VERDICT_REDUCE: Verdict
VERDICT_DENY: Verdict
MODE_UNSPECIFIED: Mode
MODE_NORMAL: Mode
MODE_DEGRADED: Mode
MODE_REFUSE: Mode
DURABILITY_UNSPECIFIED: Durability
DURABILITY_MEMORY: Durability
DURABILITY_PROCESS: Durability
DURABILITY_DISK: Durability
TRADING_STATE_UNSPECIFIED: TradingState
TRADING_STATE_ACTIVE: TradingState
TRADING_STATE_REDUCING: TradingState
TRADING_STATE_HALTED: TradingState
REPORT_KIND_UNSPECIFIED: ReportKind
REPORT_KIND_ACK: ReportKind
REPORT_KIND_PARTIAL_FILL: ReportKind
REPORT_KIND_FILL: ReportKind
REPORT_KIND_REJECT: ReportKind
REPORT_KIND_CANCEL: ReportKind
REPORT_KIND_EXPIRE: ReportKind
REPORT_KIND_CLOSE: ReportKind
REPORT_KIND_UNKNOWN: ReportKind
BREAKER_CONDITION_UNSPECIFIED: BreakerCondition
BREAKER_CONDITION_MAX_DRAWDOWN: BreakerCondition
BREAKER_CONDITION_DAILY_LOSS: BreakerCondition
BREAKER_CONDITION_WEEKLY_LOSS: BreakerCondition
BREAKER_CONDITION_MONTHLY_LOSS: BreakerCondition
BREAKER_CONDITION_CONSECUTIVE_LOSSES: BreakerCondition
BREAKER_CONDITION_VOLATILITY: BreakerCondition
BREAKER_CONDITION_EXPRESSION: BreakerCondition
BREAKER_ACTION_UNSPECIFIED: BreakerAction
BREAKER_ACTION_BLOCK: BreakerAction
BREAKER_ACTION_REDUCE_ONLY: BreakerAction
BREAKER_ACTION_REDUCE_SIZE: BreakerAction
BREAKER_ACTION_CLOSE: BreakerAction
BREAKER_ACTION_ALERT: BreakerAction
BREAKER_STATE_UNSPECIFIED: BreakerState
BREAKER_STATE_CLOSED: BreakerState
BREAKER_STATE_TRIPPED: BreakerState
BREAKER_STATE_COOLING: BreakerState
BREAKER_STATE_HALF_OPEN: BreakerState
BREAKER_STATE_LOCKED: BreakerState
DIRECTIVE_KIND_UNSPECIFIED: DirectiveKind
DIRECTIVE_KIND_CLOSE: DirectiveKind
DIRECTIVE_KIND_REDUCE_ONLY: DirectiveKind
DIRECTIVE_KIND_BLOCK: DirectiveKind
DIRECTIVE_KIND_ALERT: DirectiveKind
DIRECTIVE_KIND_REDUCE_SIZE: DirectiveKind
UNIT_UNSPECIFIED: Unit
UNIT_RATIO: Unit
UNIT_MONEY: Unit
UNIT_LOTS: Unit
UNIT_MILLISECONDS: Unit
UNIT_POINTS: Unit
UNIT_COUNT: Unit
UNIT_PRICE: Unit
CHECK_STATUS_UNSPECIFIED: CheckStatus
CHECK_STATUS_PASS: CheckStatus
CHECK_STATUS_CUT: CheckStatus
CHECK_STATUS_DENY: CheckStatus
CHECK_STATUS_NOTE: CheckStatus
CHECK_STATUS_NOT_APPLICABLE: CheckStatus
REASON_UNSPECIFIED: Reason
REASON_FEED_STALE: Reason
REASON_CLOCK_UNCONFIRMED: Reason
REASON_RESTARTED: Reason
REASON_FEED_MISSING: Reason
REASON_FEED_DEGRADED: Reason
REASON_RECORD_AWAY: Reason
REASON_JOURNAL_FULL: Reason
REASON_JOURNAL_FAILED: Reason
REASON_FENCED: Reason
REASON_ACCOUNT_UNKNOWN: Reason
REASON_SYMBOL_UNKNOWN: Reason
REASON_EXCHANGE_MISMATCH: Reason
REASON_PROVIDER_UNKNOWN: Reason
REASON_CONFIGURATION_MISSING: Reason
REASON_ENUM_VALUE_UNKNOWN: Reason
REASON_PROVIDER_SCORE_LOW: Reason
REASON_INSTRUMENT_RESTRICTED: Reason
REASON_STRATEGY_REQUIRED: Reason
REASON_STOP_REQUIRED: Reason
REASON_CONVERSION_RATE_MISSING: Reason
REASON_INPUT_STALE: Reason
REASON_ATR_MISSING: Reason
REASON_VOLATILITY_MISSING: Reason
REASON_EQUITY_STALE: Reason
REASON_EQUITY_EXHAUSTED: Reason
REASON_REGIME_MISSING: Reason
REASON_ARITHMETIC_RANGE: Reason
REASON_WINDOW_MISSING: Reason
REASON_HOURS_MISSING: Reason
REASON_QUOTE_MISSING: Reason
REASON_QUOTE_STALE: Reason
REASON_RISK_PER_TRADE: Reason
REASON_BELOW_MIN_LOT: Reason
REASON_MAX_LOT: Reason
REASON_POSITION_SIZE: Reason
REASON_LEVERAGE: Reason
REASON_CORRELATED_EXPOSURE: Reason
REASON_DAILY_LOSS_BUDGET: Reason
REASON_WEEKLY_LOSS_BUDGET: Reason
REASON_MONTHLY_LOSS_BUDGET: Reason
REASON_POSITION_DRAWDOWN: Reason
REASON_LOT_STEP: Reason
REASON_PRICE_COLLAR: Reason
REASON_PRICE_COLLAR_WINDOW: Reason
REASON_ORDER_VALUE: Reason
REASON_ORDER_VOLUME: Reason
REASON_ACCOUNT_NOTIONAL: Reason
REASON_LONG_POSITION: Reason
REASON_SHORT_POSITION: Reason
REASON_STRATEGY_NOTIONAL: Reason
REASON_MESSAGE_RATE: Reason
REASON_REPEATED_EXECUTION: Reason
REASON_DUPLICATE_ORDER: Reason
REASON_ACCOUNT_REDUCING: Reason
REASON_ACCOUNT_HALTED: Reason
REASON_BREAKER_TRIPPED: Reason
REASON_COOLING_OFF: Reason
REASON_REGIME_BLOCKED: Reason
REASON_BREAKER_REDUCED_SIZE: Reason
REASON_KILL_ALL: Reason
REASON_KILL_NEW_RISK: Reason
REASON_SESSION_CLOSED: Reason
REASON_NEW_PROVIDER: Reason
REASON_SCORE_STALE: Reason
REASON_MODEL_MISSING: Reason
REASON_MODEL_OUTPUT_INVALID: Reason
REASON_MODEL_OUTPUT_CAPPED: Reason
REASON_POSITION_UNKNOWN: Reason
REASON_NOT_REDUCING: Reason
REASON_EXIT_CLIPPED: Reason
REASON_RESERVATIONS_FULL: Reason
REASON_IDEMPOTENCY_FULL: Reason
REASON_POSITIONS_FULL: Reason
REASON_BATCH_DENIED: Reason
REASON_STRATEGIES_FULL: Reason
REASON_CONTENTS_FULL: Reason
