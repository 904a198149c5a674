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
    __slots__ = ("breaker_id", "name", "description", "account_id", "condition", "action", "parameters", "symbols", "exchanges", "enabled", "version", "created_at", "updated_at")
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
    def __init__(self, breaker_id: _Optional[str] = ..., name: _Optional[str] = ..., description: _Optional[str] = ..., account_id: _Optional[str] = ..., condition: _Optional[_Union[_types_pb2.BreakerCondition, str]] = ..., action: _Optional[_Union[_types_pb2.BreakerAction, str]] = ..., parameters: _Optional[_Union[BreakerParameters, _Mapping]] = ..., symbols: _Optional[_Iterable[str]] = ..., exchanges: _Optional[_Iterable[str]] = ..., enabled: _Optional[bool] = ..., version: _Optional[int] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class BreakerParameters(_message.Message):
    __slots__ = ("threshold", "multiplier", "cooling_off_minutes")
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    MULTIPLIER_FIELD_NUMBER: _ClassVar[int]
    COOLING_OFF_MINUTES_FIELD_NUMBER: _ClassVar[int]
    threshold: float
    multiplier: float
    cooling_off_minutes: int
    def __init__(self, threshold: _Optional[float] = ..., multiplier: _Optional[float] = ..., cooling_off_minutes: _Optional[int] = ...) -> None: ...

class CircuitBreakerEvent(_message.Message):
    __slots__ = ("event_id", "breaker_id", "occurred_at", "triggered_values", "action_taken", "action_result", "positions_affected")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    BREAKER_ID_FIELD_NUMBER: _ClassVar[int]
    OCCURRED_AT_FIELD_NUMBER: _ClassVar[int]
    TRIGGERED_VALUES_FIELD_NUMBER: _ClassVar[int]
    ACTION_TAKEN_FIELD_NUMBER: _ClassVar[int]
    ACTION_RESULT_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_AFFECTED_FIELD_NUMBER: _ClassVar[int]
    event_id: int
    breaker_id: str
    occurred_at: _timestamp_pb2.Timestamp
    triggered_values: _struct_pb2.Struct
    action_taken: _types_pb2.BreakerAction
    action_result: _struct_pb2.Struct
    positions_affected: _struct_pb2.ListValue
    def __init__(self, event_id: _Optional[int] = ..., breaker_id: _Optional[str] = ..., occurred_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., triggered_values: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., action_taken: _Optional[_Union[_types_pb2.BreakerAction, str]] = ..., action_result: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., positions_affected: _Optional[_Union[_struct_pb2.ListValue, _Mapping]] = ...) -> None: ...

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
