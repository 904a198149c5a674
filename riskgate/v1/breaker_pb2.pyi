import datetime

from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from riskgate.v1 import admin_pb2 as _admin_pb2
from riskgate.v1 import rights_pb2 as _rights_pb2
from riskgate.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CircuitBreaker(_message.Message):
    __slots__ = ("breaker_id", "name", "description", "account_id", "condition", "action", "parameters", "symbols", "exchanges", "enabled", "version", "created_at", "updated_at", "expression", "providers", "strategies", "over_request", "reset_at")
    BREAKER_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    SYMBOLS_FIELD_NUMBER: _ClassVar[int]
    EXCHANGES_FIELD_NUMBER: _ClassVar[int]
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    EXPRESSION_FIELD_NUMBER: _ClassVar[int]
    PROVIDERS_FIELD_NUMBER: _ClassVar[int]
    STRATEGIES_FIELD_NUMBER: _ClassVar[int]
    OVER_REQUEST_FIELD_NUMBER: _ClassVar[int]
    RESET_AT_FIELD_NUMBER: _ClassVar[int]
    breaker_id: str
    name: str
    description: str
    account_id: str
    condition: _types_pb2.BreakerCondition
    action: _types_pb2.BreakerAction
    parameters: BreakerParameters
    symbols: _containers.RepeatedScalarFieldContainer[str]
    exchanges: _containers.RepeatedScalarFieldContainer[str]
    enabled: bool
    version: int
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    expression: str
    providers: _containers.RepeatedCompositeFieldContainer[BreakerProvider]
    strategies: _containers.RepeatedScalarFieldContainer[str]
    over_request: bool
    reset_at: _timestamp_pb2.Timestamp
    def __init__(self, breaker_id: _Optional[str] = ..., name: _Optional[str] = ..., description: _Optional[str] = ..., account_id: _Optional[str] = ..., condition: _Optional[_Union[_types_pb2.BreakerCondition, str]] = ..., action: _Optional[_Union[_types_pb2.BreakerAction, str]] = ..., parameters: _Optional[_Union[BreakerParameters, _Mapping]] = ..., symbols: _Optional[_Iterable[str]] = ..., exchanges: _Optional[_Iterable[str]] = ..., enabled: _Optional[bool] = ..., version: _Optional[int] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expression: _Optional[str] = ..., providers: _Optional[_Iterable[_Union[BreakerProvider, _Mapping]]] = ..., strategies: _Optional[_Iterable[str]] = ..., over_request: _Optional[bool] = ..., reset_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class BreakerProvider(_message.Message):
    __slots__ = ("provider_id", "provider_type")
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_TYPE_FIELD_NUMBER: _ClassVar[int]
    provider_id: str
    provider_type: _types_pb2.ProviderType
    def __init__(self, provider_id: _Optional[str] = ..., provider_type: _Optional[_Union[_types_pb2.ProviderType, str]] = ...) -> None: ...

class BreakerParameters(_message.Message):
    __slots__ = ("threshold", "multiplier", "cooling_off_minutes", "half_open_minutes", "lock_after_trips")
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    MULTIPLIER_FIELD_NUMBER: _ClassVar[int]
    COOLING_OFF_MINUTES_FIELD_NUMBER: _ClassVar[int]
    HALF_OPEN_MINUTES_FIELD_NUMBER: _ClassVar[int]
    LOCK_AFTER_TRIPS_FIELD_NUMBER: _ClassVar[int]
    threshold: float
    multiplier: float
    cooling_off_minutes: int
    half_open_minutes: int
    lock_after_trips: int
    def __init__(self, threshold: _Optional[float] = ..., multiplier: _Optional[float] = ..., cooling_off_minutes: _Optional[int] = ..., half_open_minutes: _Optional[int] = ..., lock_after_trips: _Optional[int] = ...) -> None: ...

class CircuitBreakerEvent(_message.Message):
    __slots__ = ("event_id", "breaker_id", "occurred_at", "triggered_values", "action_taken", "action_result", "positions_affected", "account_id", "breaker_name", "directive_id", "epoch", "acknowledged_at", "acknowledged_by")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    BREAKER_ID_FIELD_NUMBER: _ClassVar[int]
    OCCURRED_AT_FIELD_NUMBER: _ClassVar[int]
    TRIGGERED_VALUES_FIELD_NUMBER: _ClassVar[int]
    ACTION_TAKEN_FIELD_NUMBER: _ClassVar[int]
    ACTION_RESULT_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_AFFECTED_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    BREAKER_NAME_FIELD_NUMBER: _ClassVar[int]
    DIRECTIVE_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_AT_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_BY_FIELD_NUMBER: _ClassVar[int]
    event_id: int
    breaker_id: str
    occurred_at: _timestamp_pb2.Timestamp
    triggered_values: _struct_pb2.Struct
    action_taken: _types_pb2.BreakerAction
    action_result: _struct_pb2.Struct
    positions_affected: _struct_pb2.ListValue
    account_id: str
    breaker_name: str
    directive_id: int
    epoch: int
    acknowledged_at: _timestamp_pb2.Timestamp
    acknowledged_by: str
    def __init__(self, event_id: _Optional[int] = ..., breaker_id: _Optional[str] = ..., occurred_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., triggered_values: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., action_taken: _Optional[_Union[_types_pb2.BreakerAction, str]] = ..., action_result: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., positions_affected: _Optional[_Union[_struct_pb2.ListValue, _Mapping]] = ..., account_id: _Optional[str] = ..., breaker_name: _Optional[str] = ..., directive_id: _Optional[int] = ..., epoch: _Optional[int] = ..., acknowledged_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., acknowledged_by: _Optional[str] = ...) -> None: ...

class CreateBreakerRequest(_message.Message):
    __slots__ = ("breaker", "note")
    BREAKER_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    breaker: CircuitBreaker
    note: _admin_pb2.ChangeNote
    def __init__(self, breaker: _Optional[_Union[CircuitBreaker, _Mapping]] = ..., note: _Optional[_Union[_admin_pb2.ChangeNote, _Mapping]] = ...) -> None: ...

class CreateBreakerResponse(_message.Message):
    __slots__ = ("breaker", "state_version")
    BREAKER_FIELD_NUMBER: _ClassVar[int]
    STATE_VERSION_FIELD_NUMBER: _ClassVar[int]
    breaker: CircuitBreaker
    state_version: int
    def __init__(self, breaker: _Optional[_Union[CircuitBreaker, _Mapping]] = ..., state_version: _Optional[int] = ...) -> None: ...

class UpdateBreakerRequest(_message.Message):
    __slots__ = ("breaker", "expected_version", "note")
    BREAKER_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    breaker: CircuitBreaker
    expected_version: int
    note: _admin_pb2.ChangeNote
    def __init__(self, breaker: _Optional[_Union[CircuitBreaker, _Mapping]] = ..., expected_version: _Optional[int] = ..., note: _Optional[_Union[_admin_pb2.ChangeNote, _Mapping]] = ...) -> None: ...

class UpdateBreakerResponse(_message.Message):
    __slots__ = ("breaker", "outcome", "state_version")
    BREAKER_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    STATE_VERSION_FIELD_NUMBER: _ClassVar[int]
    breaker: CircuitBreaker
    outcome: _admin_pb2.ChangeOutcome
    state_version: int
    def __init__(self, breaker: _Optional[_Union[CircuitBreaker, _Mapping]] = ..., outcome: _Optional[_Union[_admin_pb2.ChangeOutcome, str]] = ..., state_version: _Optional[int] = ...) -> None: ...

class DeleteBreakerRequest(_message.Message):
    __slots__ = ("breaker_id", "note")
    BREAKER_ID_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    breaker_id: str
    note: _admin_pb2.ChangeNote
    def __init__(self, breaker_id: _Optional[str] = ..., note: _Optional[_Union[_admin_pb2.ChangeNote, _Mapping]] = ...) -> None: ...

class DeleteBreakerResponse(_message.Message):
    __slots__ = ("state_version",)
    STATE_VERSION_FIELD_NUMBER: _ClassVar[int]
    state_version: int
    def __init__(self, state_version: _Optional[int] = ...) -> None: ...

class GetBreakerRequest(_message.Message):
    __slots__ = ("breaker_id", "name", "account_id")
    BREAKER_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    breaker_id: str
    name: str
    account_id: str
    def __init__(self, breaker_id: _Optional[str] = ..., name: _Optional[str] = ..., account_id: _Optional[str] = ...) -> None: ...

class GetBreakerResponse(_message.Message):
    __slots__ = ("breaker",)
    BREAKER_FIELD_NUMBER: _ClassVar[int]
    breaker: CircuitBreaker
    def __init__(self, breaker: _Optional[_Union[CircuitBreaker, _Mapping]] = ...) -> None: ...

class ListBreakersRequest(_message.Message):
    __slots__ = ("account_id", "page_size", "page_token")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    page_size: int
    page_token: str
    def __init__(self, account_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListBreakersResponse(_message.Message):
    __slots__ = ("breakers", "next_page_token")
    BREAKERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    breakers: _containers.RepeatedCompositeFieldContainer[CircuitBreaker]
    next_page_token: str
    def __init__(self, breakers: _Optional[_Iterable[_Union[CircuitBreaker, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class EnableBreakerRequest(_message.Message):
    __slots__ = ("breaker_id", "note")
    BREAKER_ID_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    breaker_id: str
    note: _admin_pb2.ChangeNote
    def __init__(self, breaker_id: _Optional[str] = ..., note: _Optional[_Union[_admin_pb2.ChangeNote, _Mapping]] = ...) -> None: ...

class EnableBreakerResponse(_message.Message):
    __slots__ = ("breaker", "outcome", "state_version")
    BREAKER_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    STATE_VERSION_FIELD_NUMBER: _ClassVar[int]
    breaker: CircuitBreaker
    outcome: _admin_pb2.ChangeOutcome
    state_version: int
    def __init__(self, breaker: _Optional[_Union[CircuitBreaker, _Mapping]] = ..., outcome: _Optional[_Union[_admin_pb2.ChangeOutcome, str]] = ..., state_version: _Optional[int] = ...) -> None: ...

class DisableBreakerRequest(_message.Message):
    __slots__ = ("breaker_id", "note")
    BREAKER_ID_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    breaker_id: str
    note: _admin_pb2.ChangeNote
    def __init__(self, breaker_id: _Optional[str] = ..., note: _Optional[_Union[_admin_pb2.ChangeNote, _Mapping]] = ...) -> None: ...

class DisableBreakerResponse(_message.Message):
    __slots__ = ("breaker", "outcome", "state_version")
    BREAKER_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    STATE_VERSION_FIELD_NUMBER: _ClassVar[int]
    breaker: CircuitBreaker
    outcome: _admin_pb2.ChangeOutcome
    state_version: int
    def __init__(self, breaker: _Optional[_Union[CircuitBreaker, _Mapping]] = ..., outcome: _Optional[_Union[_admin_pb2.ChangeOutcome, str]] = ..., state_version: _Optional[int] = ...) -> None: ...

class ResetBreakerRequest(_message.Message):
    __slots__ = ("breaker_id", "note")
    BREAKER_ID_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    breaker_id: str
    note: _admin_pb2.ChangeNote
    def __init__(self, breaker_id: _Optional[str] = ..., note: _Optional[_Union[_admin_pb2.ChangeNote, _Mapping]] = ...) -> None: ...

class ResetBreakerResponse(_message.Message):
    __slots__ = ("breaker", "state_version")
    BREAKER_FIELD_NUMBER: _ClassVar[int]
    STATE_VERSION_FIELD_NUMBER: _ClassVar[int]
    breaker: CircuitBreaker
    state_version: int
    def __init__(self, breaker: _Optional[_Union[CircuitBreaker, _Mapping]] = ..., state_version: _Optional[int] = ...) -> None: ...

class TestBreakerRequest(_message.Message):
    __slots__ = ("account_id", "breaker", "decision_count", "assumed_values")
    class AssumedValuesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    BREAKER_FIELD_NUMBER: _ClassVar[int]
    DECISION_COUNT_FIELD_NUMBER: _ClassVar[int]
    ASSUMED_VALUES_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    breaker: CircuitBreaker
    decision_count: int
    assumed_values: _containers.ScalarMap[str, float]
    def __init__(self, account_id: _Optional[str] = ..., breaker: _Optional[_Union[CircuitBreaker, _Mapping]] = ..., decision_count: _Optional[int] = ..., assumed_values: _Optional[_Mapping[str, float]] = ...) -> None: ...

class TestBreakerResponse(_message.Message):
    __slots__ = ("decision_count", "in_scope_count", "tripped_count", "unknown_count", "known_variables", "partly_known_variables", "unknown_variables", "decisions", "expression")
    DECISION_COUNT_FIELD_NUMBER: _ClassVar[int]
    IN_SCOPE_COUNT_FIELD_NUMBER: _ClassVar[int]
    TRIPPED_COUNT_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_COUNT_FIELD_NUMBER: _ClassVar[int]
    KNOWN_VARIABLES_FIELD_NUMBER: _ClassVar[int]
    PARTLY_KNOWN_VARIABLES_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_VARIABLES_FIELD_NUMBER: _ClassVar[int]
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    EXPRESSION_FIELD_NUMBER: _ClassVar[int]
    decision_count: int
    in_scope_count: int
    tripped_count: int
    unknown_count: int
    known_variables: _containers.RepeatedScalarFieldContainer[str]
    partly_known_variables: _containers.RepeatedScalarFieldContainer[str]
    unknown_variables: _containers.RepeatedScalarFieldContainer[str]
    decisions: _containers.RepeatedCompositeFieldContainer[TestedDecision]
    expression: str
    def __init__(self, decision_count: _Optional[int] = ..., in_scope_count: _Optional[int] = ..., tripped_count: _Optional[int] = ..., unknown_count: _Optional[int] = ..., known_variables: _Optional[_Iterable[str]] = ..., partly_known_variables: _Optional[_Iterable[str]] = ..., unknown_variables: _Optional[_Iterable[str]] = ..., decisions: _Optional[_Iterable[_Union[TestedDecision, _Mapping]]] = ..., expression: _Optional[str] = ...) -> None: ...

class TestedDecision(_message.Message):
    __slots__ = ("decision_id", "epoch", "decided_at", "client_order_id", "symbol", "unknown", "values")
    class ValuesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    DECIDED_AT_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    decision_id: int
    epoch: int
    decided_at: _timestamp_pb2.Timestamp
    client_order_id: str
    symbol: str
    unknown: bool
    values: _containers.ScalarMap[str, float]
    def __init__(self, decision_id: _Optional[int] = ..., epoch: _Optional[int] = ..., decided_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., client_order_id: _Optional[str] = ..., symbol: _Optional[str] = ..., unknown: _Optional[bool] = ..., values: _Optional[_Mapping[str, float]] = ...) -> None: ...

class LogBreakerEventRequest(_message.Message):
    __slots__ = ("breaker_id", "triggered_values", "action_taken", "action_result", "positions_affected", "note")
    BREAKER_ID_FIELD_NUMBER: _ClassVar[int]
    TRIGGERED_VALUES_FIELD_NUMBER: _ClassVar[int]
    ACTION_TAKEN_FIELD_NUMBER: _ClassVar[int]
    ACTION_RESULT_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_AFFECTED_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    breaker_id: str
    triggered_values: _struct_pb2.Struct
    action_taken: _types_pb2.BreakerAction
    action_result: _struct_pb2.Struct
    positions_affected: _struct_pb2.ListValue
    note: _admin_pb2.ChangeNote
    def __init__(self, breaker_id: _Optional[str] = ..., triggered_values: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., action_taken: _Optional[_Union[_types_pb2.BreakerAction, str]] = ..., action_result: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., positions_affected: _Optional[_Union[_struct_pb2.ListValue, _Mapping]] = ..., note: _Optional[_Union[_admin_pb2.ChangeNote, _Mapping]] = ...) -> None: ...

class LogBreakerEventResponse(_message.Message):
    __slots__ = ("event",)
    EVENT_FIELD_NUMBER: _ClassVar[int]
    event: CircuitBreakerEvent
    def __init__(self, event: _Optional[_Union[CircuitBreakerEvent, _Mapping]] = ...) -> None: ...

class ListBreakerEventsRequest(_message.Message):
    __slots__ = ("breaker_id", "page_size", "page_token")
    BREAKER_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    breaker_id: str
    page_size: int
    page_token: str
    def __init__(self, breaker_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListBreakerEventsResponse(_message.Message):
    __slots__ = ("events", "next_page_token")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[CircuitBreakerEvent]
    next_page_token: str
    def __init__(self, events: _Optional[_Iterable[_Union[CircuitBreakerEvent, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
