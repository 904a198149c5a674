import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from riskgate.v1 import rights_pb2 as _rights_pb2
from riskgate.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReportOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REPORT_OUTCOME_UNSPECIFIED: _ClassVar[ReportOutcome]
    REPORT_OUTCOME_APPLIED: _ClassVar[ReportOutcome]
    REPORT_OUTCOME_DUPLICATE: _ClassVar[ReportOutcome]
    REPORT_OUTCOME_UNMATCHED: _ClassVar[ReportOutcome]
REPORT_OUTCOME_UNSPECIFIED: ReportOutcome
REPORT_OUTCOME_APPLIED: ReportOutcome
REPORT_OUTCOME_DUPLICATE: ReportOutcome
REPORT_OUTCOME_UNMATCHED: ReportOutcome

class DecideRequest(_message.Message):
    __slots__ = ("client_order_id", "account_id", "connection_id", "provider_id", "provider_type", "symbol", "exchange", "side", "order_type", "time_in_force", "entry_price", "stop_loss", "take_profit", "requested_lots", "reduce_only", "position_id", "replaces_client_order_id", "group_id", "atr", "volatility_index", "session", "signal_id", "strategy_id", "sent_at", "explain", "dry_run", "min_state_version")
    CLIENT_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    CONNECTION_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_TYPE_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    ORDER_TYPE_FIELD_NUMBER: _ClassVar[int]
    TIME_IN_FORCE_FIELD_NUMBER: _ClassVar[int]
    ENTRY_PRICE_FIELD_NUMBER: _ClassVar[int]
    STOP_LOSS_FIELD_NUMBER: _ClassVar[int]
    TAKE_PROFIT_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_LOTS_FIELD_NUMBER: _ClassVar[int]
    REDUCE_ONLY_FIELD_NUMBER: _ClassVar[int]
    POSITION_ID_FIELD_NUMBER: _ClassVar[int]
    REPLACES_CLIENT_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    ATR_FIELD_NUMBER: _ClassVar[int]
    VOLATILITY_INDEX_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_ID_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_ID_FIELD_NUMBER: _ClassVar[int]
    SENT_AT_FIELD_NUMBER: _ClassVar[int]
    EXPLAIN_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    MIN_STATE_VERSION_FIELD_NUMBER: _ClassVar[int]
    client_order_id: str
    account_id: str
    connection_id: str
    provider_id: str
    provider_type: _types_pb2.ProviderType
    symbol: str
    exchange: str
    side: _types_pb2.Side
    order_type: _types_pb2.OrderType
    time_in_force: _types_pb2.TimeInForce
    entry_price: float
    stop_loss: float
    take_profit: float
    requested_lots: float
    reduce_only: bool
    position_id: str
    replaces_client_order_id: str
    group_id: str
    atr: float
    volatility_index: float
    session: _types_pb2.TradingSession
    signal_id: str
    strategy_id: str
    sent_at: _timestamp_pb2.Timestamp
    explain: bool
    dry_run: bool
    min_state_version: int
    def __init__(self, client_order_id: _Optional[str] = ..., account_id: _Optional[str] = ..., connection_id: _Optional[str] = ..., provider_id: _Optional[str] = ..., provider_type: _Optional[_Union[_types_pb2.ProviderType, str]] = ..., symbol: _Optional[str] = ..., exchange: _Optional[str] = ..., side: _Optional[_Union[_types_pb2.Side, str]] = ..., order_type: _Optional[_Union[_types_pb2.OrderType, str]] = ..., time_in_force: _Optional[_Union[_types_pb2.TimeInForce, str]] = ..., entry_price: _Optional[float] = ..., stop_loss: _Optional[float] = ..., take_profit: _Optional[float] = ..., requested_lots: _Optional[float] = ..., reduce_only: _Optional[bool] = ..., position_id: _Optional[str] = ..., replaces_client_order_id: _Optional[str] = ..., group_id: _Optional[str] = ..., atr: _Optional[float] = ..., volatility_index: _Optional[float] = ..., session: _Optional[_Union[_types_pb2.TradingSession, str]] = ..., signal_id: _Optional[str] = ..., strategy_id: _Optional[str] = ..., sent_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., explain: _Optional[bool] = ..., dry_run: _Optional[bool] = ..., min_state_version: _Optional[int] = ...) -> None: ...

class DecideResponse(_message.Message):
    __slots__ = ("decision_id", "epoch", "verdict", "lot_size", "sl_buffer_pips", "stop_price", "trailing_stop_distance", "predicted_slippage_pips", "sizing_slippage_pips", "performance_score", "score_multiplier", "reasons", "binding_limit", "largest_passing_lots", "breakers", "directives", "experiment_arm", "model_version", "model_digest", "policy_version", "policy_digest", "mode", "durability", "reservation_expires_at", "state_version", "input_ages", "server_ns", "checks", "session")
    DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    LOT_SIZE_FIELD_NUMBER: _ClassVar[int]
    SL_BUFFER_PIPS_FIELD_NUMBER: _ClassVar[int]
    STOP_PRICE_FIELD_NUMBER: _ClassVar[int]
    TRAILING_STOP_DISTANCE_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_SLIPPAGE_PIPS_FIELD_NUMBER: _ClassVar[int]
    SIZING_SLIPPAGE_PIPS_FIELD_NUMBER: _ClassVar[int]
    PERFORMANCE_SCORE_FIELD_NUMBER: _ClassVar[int]
    SCORE_MULTIPLIER_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    BINDING_LIMIT_FIELD_NUMBER: _ClassVar[int]
    LARGEST_PASSING_LOTS_FIELD_NUMBER: _ClassVar[int]
    BREAKERS_FIELD_NUMBER: _ClassVar[int]
    DIRECTIVES_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENT_ARM_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    POLICY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    DURABILITY_FIELD_NUMBER: _ClassVar[int]
    RESERVATION_EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    STATE_VERSION_FIELD_NUMBER: _ClassVar[int]
    INPUT_AGES_FIELD_NUMBER: _ClassVar[int]
    SERVER_NS_FIELD_NUMBER: _ClassVar[int]
    CHECKS_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    decision_id: int
    epoch: int
    verdict: _types_pb2.Verdict
    lot_size: float
    sl_buffer_pips: float
    stop_price: float
    trailing_stop_distance: float
    predicted_slippage_pips: float
    sizing_slippage_pips: float
    performance_score: float
    score_multiplier: float
    reasons: _containers.RepeatedScalarFieldContainer[_types_pb2.Reason]
    binding_limit: _types_pb2.Reason
    largest_passing_lots: float
    breakers: _containers.RepeatedCompositeFieldContainer[BreakerStatus]
    directives: _containers.RepeatedCompositeFieldContainer[Directive]
    experiment_arm: str
    model_version: str
    model_digest: bytes
    policy_version: str
    policy_digest: bytes
    mode: _types_pb2.Mode
    durability: _types_pb2.Durability
    reservation_expires_at: _timestamp_pb2.Timestamp
    state_version: int
    input_ages: InputAges
    server_ns: int
    checks: _containers.RepeatedCompositeFieldContainer[CheckResult]
    session: _types_pb2.TradingSession
    def __init__(self, decision_id: _Optional[int] = ..., epoch: _Optional[int] = ..., verdict: _Optional[_Union[_types_pb2.Verdict, str]] = ..., lot_size: _Optional[float] = ..., sl_buffer_pips: _Optional[float] = ..., stop_price: _Optional[float] = ..., trailing_stop_distance: _Optional[float] = ..., predicted_slippage_pips: _Optional[float] = ..., sizing_slippage_pips: _Optional[float] = ..., performance_score: _Optional[float] = ..., score_multiplier: _Optional[float] = ..., reasons: _Optional[_Iterable[_Union[_types_pb2.Reason, str]]] = ..., binding_limit: _Optional[_Union[_types_pb2.Reason, str]] = ..., largest_passing_lots: _Optional[float] = ..., breakers: _Optional[_Iterable[_Union[BreakerStatus, _Mapping]]] = ..., directives: _Optional[_Iterable[_Union[Directive, _Mapping]]] = ..., experiment_arm: _Optional[str] = ..., model_version: _Optional[str] = ..., model_digest: _Optional[bytes] = ..., policy_version: _Optional[str] = ..., policy_digest: _Optional[bytes] = ..., mode: _Optional[_Union[_types_pb2.Mode, str]] = ..., durability: _Optional[_Union[_types_pb2.Durability, str]] = ..., reservation_expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., state_version: _Optional[int] = ..., input_ages: _Optional[_Union[InputAges, _Mapping]] = ..., server_ns: _Optional[int] = ..., checks: _Optional[_Iterable[_Union[CheckResult, _Mapping]]] = ..., session: _Optional[_Union[_types_pb2.TradingSession, str]] = ...) -> None: ...

class InputAges(_message.Message):
    __slots__ = ("heartbeat_ms", "equity_ms", "score_ms", "atr_ms", "volatility_ms", "conversion_rate_ms", "quote_ms")
    HEARTBEAT_MS_FIELD_NUMBER: _ClassVar[int]
    EQUITY_MS_FIELD_NUMBER: _ClassVar[int]
    SCORE_MS_FIELD_NUMBER: _ClassVar[int]
    ATR_MS_FIELD_NUMBER: _ClassVar[int]
    VOLATILITY_MS_FIELD_NUMBER: _ClassVar[int]
    CONVERSION_RATE_MS_FIELD_NUMBER: _ClassVar[int]
    QUOTE_MS_FIELD_NUMBER: _ClassVar[int]
    heartbeat_ms: int
    equity_ms: int
    score_ms: int
    atr_ms: int
    volatility_ms: int
    conversion_rate_ms: int
    quote_ms: int
    def __init__(self, heartbeat_ms: _Optional[int] = ..., equity_ms: _Optional[int] = ..., score_ms: _Optional[int] = ..., atr_ms: _Optional[int] = ..., volatility_ms: _Optional[int] = ..., conversion_rate_ms: _Optional[int] = ..., quote_ms: _Optional[int] = ...) -> None: ...

class CheckResult(_message.Message):
    __slots__ = ("check", "status", "unit", "limit", "observed", "headroom", "lots_max")
    CHECK_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_FIELD_NUMBER: _ClassVar[int]
    HEADROOM_FIELD_NUMBER: _ClassVar[int]
    LOTS_MAX_FIELD_NUMBER: _ClassVar[int]
    check: _types_pb2.Reason
    status: _types_pb2.CheckStatus
    unit: _types_pb2.Unit
    limit: float
    observed: float
    headroom: float
    lots_max: float
    def __init__(self, check: _Optional[_Union[_types_pb2.Reason, str]] = ..., status: _Optional[_Union[_types_pb2.CheckStatus, str]] = ..., unit: _Optional[_Union[_types_pb2.Unit, str]] = ..., limit: _Optional[float] = ..., observed: _Optional[float] = ..., headroom: _Optional[float] = ..., lots_max: _Optional[float] = ...) -> None: ...

class BreakerStatus(_message.Message):
    __slots__ = ("breaker_id", "name", "state", "action", "tripped_at", "closes_at")
    BREAKER_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    TRIPPED_AT_FIELD_NUMBER: _ClassVar[int]
    CLOSES_AT_FIELD_NUMBER: _ClassVar[int]
    breaker_id: str
    name: str
    state: _types_pb2.BreakerState
    action: _types_pb2.BreakerAction
    tripped_at: _timestamp_pb2.Timestamp
    closes_at: _timestamp_pb2.Timestamp
    def __init__(self, breaker_id: _Optional[str] = ..., name: _Optional[str] = ..., state: _Optional[_Union[_types_pb2.BreakerState, str]] = ..., action: _Optional[_Union[_types_pb2.BreakerAction, str]] = ..., tripped_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., closes_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Directive(_message.Message):
    __slots__ = ("directive_id", "kind", "account_id", "symbol", "breaker_id", "issued_at", "breaker_name", "positions", "position_count", "outcome")
    DIRECTIVE_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    BREAKER_ID_FIELD_NUMBER: _ClassVar[int]
    ISSUED_AT_FIELD_NUMBER: _ClassVar[int]
    BREAKER_NAME_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    POSITION_COUNT_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    directive_id: int
    kind: _types_pb2.DirectiveKind
    account_id: str
    symbol: str
    breaker_id: str
    issued_at: _timestamp_pb2.Timestamp
    breaker_name: str
    positions: _containers.RepeatedCompositeFieldContainer[DirectivePosition]
    position_count: int
    outcome: DirectiveOutcome
    def __init__(self, directive_id: _Optional[int] = ..., kind: _Optional[_Union[_types_pb2.DirectiveKind, str]] = ..., account_id: _Optional[str] = ..., symbol: _Optional[str] = ..., breaker_id: _Optional[str] = ..., issued_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., breaker_name: _Optional[str] = ..., positions: _Optional[_Iterable[_Union[DirectivePosition, _Mapping]]] = ..., position_count: _Optional[int] = ..., outcome: _Optional[_Union[DirectiveOutcome, _Mapping]] = ...) -> None: ...

class DirectivePosition(_message.Message):
    __slots__ = ("symbol", "lots")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    LOTS_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    lots: float
    def __init__(self, symbol: _Optional[str] = ..., lots: _Optional[float] = ...) -> None: ...

class DirectiveOutcome(_message.Message):
    __slots__ = ("success", "detail", "acknowledged_at")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_AT_FIELD_NUMBER: _ClassVar[int]
    success: bool
    detail: str
    acknowledged_at: _timestamp_pb2.Timestamp
    def __init__(self, success: _Optional[bool] = ..., detail: _Optional[str] = ..., acknowledged_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class DecideBatchRequest(_message.Message):
    __slots__ = ("requests", "all_or_none")
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    ALL_OR_NONE_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[DecideRequest]
    all_or_none: bool
    def __init__(self, requests: _Optional[_Iterable[_Union[DecideRequest, _Mapping]]] = ..., all_or_none: _Optional[bool] = ...) -> None: ...

class DecideBatchResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[BatchResult]
    def __init__(self, results: _Optional[_Iterable[_Union[BatchResult, _Mapping]]] = ...) -> None: ...

class BatchResult(_message.Message):
    __slots__ = ("response", "error")
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    response: DecideResponse
    error: RequestError
    def __init__(self, response: _Optional[_Union[DecideResponse, _Mapping]] = ..., error: _Optional[_Union[RequestError, _Mapping]] = ...) -> None: ...

class RequestError(_message.Message):
    __slots__ = ("code", "field", "message")
    CODE_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: int
    field: str
    message: str
    def __init__(self, code: _Optional[int] = ..., field: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class DecideStreamRequest(_message.Message):
    __slots__ = ("tag", "request")
    TAG_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    tag: int
    request: DecideRequest
    def __init__(self, tag: _Optional[int] = ..., request: _Optional[_Union[DecideRequest, _Mapping]] = ...) -> None: ...

class DecideStreamResponse(_message.Message):
    __slots__ = ("tag", "response", "error")
    TAG_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    tag: int
    response: DecideResponse
    error: RequestError
    def __init__(self, tag: _Optional[int] = ..., response: _Optional[_Union[DecideResponse, _Mapping]] = ..., error: _Optional[_Union[RequestError, _Mapping]] = ...) -> None: ...

class ExecutionReport(_message.Message):
    __slots__ = ("report_id", "account_id", "client_order_id", "decision_id", "kind", "lots", "price", "cumulative_lots", "realised_pnl", "commission", "event_time", "position_id", "symbol", "side")
    REPORT_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    LOTS_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    CUMULATIVE_LOTS_FIELD_NUMBER: _ClassVar[int]
    REALISED_PNL_FIELD_NUMBER: _ClassVar[int]
    COMMISSION_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    POSITION_ID_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    report_id: str
    account_id: str
    client_order_id: str
    decision_id: int
    kind: _types_pb2.ReportKind
    lots: float
    price: float
    cumulative_lots: float
    realised_pnl: float
    commission: float
    event_time: _timestamp_pb2.Timestamp
    position_id: str
    symbol: str
    side: _types_pb2.Side
    def __init__(self, report_id: _Optional[str] = ..., account_id: _Optional[str] = ..., client_order_id: _Optional[str] = ..., decision_id: _Optional[int] = ..., kind: _Optional[_Union[_types_pb2.ReportKind, str]] = ..., lots: _Optional[float] = ..., price: _Optional[float] = ..., cumulative_lots: _Optional[float] = ..., realised_pnl: _Optional[float] = ..., commission: _Optional[float] = ..., event_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., position_id: _Optional[str] = ..., symbol: _Optional[str] = ..., side: _Optional[_Union[_types_pb2.Side, str]] = ...) -> None: ...

class ReportExecutionRequest(_message.Message):
    __slots__ = ("report",)
    REPORT_FIELD_NUMBER: _ClassVar[int]
    report: ExecutionReport
    def __init__(self, report: _Optional[_Union[ExecutionReport, _Mapping]] = ...) -> None: ...

class ReportExecutionResponse(_message.Message):
    __slots__ = ("outcome", "sequence", "epoch", "equity", "held_lots", "position_lots")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    EQUITY_FIELD_NUMBER: _ClassVar[int]
    HELD_LOTS_FIELD_NUMBER: _ClassVar[int]
    POSITION_LOTS_FIELD_NUMBER: _ClassVar[int]
    outcome: ReportOutcome
    sequence: int
    epoch: int
    equity: float
    held_lots: float
    position_lots: float
    def __init__(self, outcome: _Optional[_Union[ReportOutcome, str]] = ..., sequence: _Optional[int] = ..., epoch: _Optional[int] = ..., equity: _Optional[float] = ..., held_lots: _Optional[float] = ..., position_lots: _Optional[float] = ...) -> None: ...

class SyncAccountRequest(_message.Message):
    __slots__ = ("account_id", "equity", "as_of", "positions", "working_orders")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    EQUITY_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    WORKING_ORDERS_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    equity: float
    as_of: _timestamp_pb2.Timestamp
    positions: _containers.RepeatedCompositeFieldContainer[Position]
    working_orders: _containers.RepeatedCompositeFieldContainer[WorkingOrder]
    def __init__(self, account_id: _Optional[str] = ..., equity: _Optional[float] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., positions: _Optional[_Iterable[_Union[Position, _Mapping]]] = ..., working_orders: _Optional[_Iterable[_Union[WorkingOrder, _Mapping]]] = ...) -> None: ...

class Position(_message.Message):
    __slots__ = ("position_id", "symbol", "side", "lots", "average_price", "stop_loss")
    POSITION_ID_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    LOTS_FIELD_NUMBER: _ClassVar[int]
    AVERAGE_PRICE_FIELD_NUMBER: _ClassVar[int]
    STOP_LOSS_FIELD_NUMBER: _ClassVar[int]
    position_id: str
    symbol: str
    side: _types_pb2.Side
    lots: float
    average_price: float
    stop_loss: float
    def __init__(self, position_id: _Optional[str] = ..., symbol: _Optional[str] = ..., side: _Optional[_Union[_types_pb2.Side, str]] = ..., lots: _Optional[float] = ..., average_price: _Optional[float] = ..., stop_loss: _Optional[float] = ...) -> None: ...

class WorkingOrder(_message.Message):
    __slots__ = ("client_order_id", "symbol", "side", "lots", "price")
    CLIENT_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    LOTS_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    client_order_id: str
    symbol: str
    side: _types_pb2.Side
    lots: float
    price: float
    def __init__(self, client_order_id: _Optional[str] = ..., symbol: _Optional[str] = ..., side: _Optional[_Union[_types_pb2.Side, str]] = ..., lots: _Optional[float] = ..., price: _Optional[float] = ...) -> None: ...

class SyncAccountResponse(_message.Message):
    __slots__ = ("differences", "sequence")
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    differences: _containers.RepeatedCompositeFieldContainer[SyncDifference]
    sequence: int
    def __init__(self, differences: _Optional[_Iterable[_Union[SyncDifference, _Mapping]]] = ..., sequence: _Optional[int] = ...) -> None: ...

class SyncDifference(_message.Message):
    __slots__ = ("subject", "symbol", "id", "engine_value", "broker_value")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    ENGINE_VALUE_FIELD_NUMBER: _ClassVar[int]
    BROKER_VALUE_FIELD_NUMBER: _ClassVar[int]
    subject: str
    symbol: str
    id: str
    engine_value: float
    broker_value: float
    def __init__(self, subject: _Optional[str] = ..., symbol: _Optional[str] = ..., id: _Optional[str] = ..., engine_value: _Optional[float] = ..., broker_value: _Optional[float] = ...) -> None: ...

class WatchDirectivesRequest(_message.Message):
    __slots__ = ("account_id", "after_directive_id")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_DIRECTIVE_ID_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    after_directive_id: int
    def __init__(self, account_id: _Optional[str] = ..., after_directive_id: _Optional[int] = ...) -> None: ...

class WatchDirectivesResponse(_message.Message):
    __slots__ = ("directive",)
    DIRECTIVE_FIELD_NUMBER: _ClassVar[int]
    directive: Directive
    def __init__(self, directive: _Optional[_Union[Directive, _Mapping]] = ...) -> None: ...

class AckDirectiveRequest(_message.Message):
    __slots__ = ("directive_id", "success", "detail", "account_id")
    DIRECTIVE_ID_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    directive_id: int
    success: bool
    detail: str
    account_id: str
    def __init__(self, directive_id: _Optional[int] = ..., success: _Optional[bool] = ..., detail: _Optional[str] = ..., account_id: _Optional[str] = ...) -> None: ...

class AckDirectiveResponse(_message.Message):
    __slots__ = ("directive",)
    DIRECTIVE_FIELD_NUMBER: _ClassVar[int]
    directive: Directive
    def __init__(self, directive: _Optional[_Union[Directive, _Mapping]] = ...) -> None: ...
