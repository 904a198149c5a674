import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from riskgate.v1 import admin_pb2 as _admin_pb2
from riskgate.v1 import rights_pb2 as _rights_pb2
from riskgate.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class KillScope(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    KILL_SCOPE_UNSPECIFIED: _ClassVar[KillScope]
    KILL_SCOPE_GLOBAL: _ClassVar[KillScope]
    KILL_SCOPE_ACCOUNT: _ClassVar[KillScope]
    KILL_SCOPE_CONNECTION: _ClassVar[KillScope]
    KILL_SCOPE_PROVIDER: _ClassVar[KillScope]
    KILL_SCOPE_SYMBOL: _ClassVar[KillScope]
    KILL_SCOPE_STRATEGY: _ClassVar[KillScope]

class KillMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    KILL_MODE_UNSPECIFIED: _ClassVar[KillMode]
    KILL_MODE_NEW_RISK: _ClassVar[KillMode]
    KILL_MODE_ALL: _ClassVar[KillMode]
KILL_SCOPE_UNSPECIFIED: KillScope
KILL_SCOPE_GLOBAL: KillScope
KILL_SCOPE_ACCOUNT: KillScope
KILL_SCOPE_CONNECTION: KillScope
KILL_SCOPE_PROVIDER: KillScope
KILL_SCOPE_SYMBOL: KillScope
KILL_SCOPE_STRATEGY: KillScope
KILL_MODE_UNSPECIFIED: KillMode
KILL_MODE_NEW_RISK: KillMode
KILL_MODE_ALL: KillMode

class KillTarget(_message.Message):
    __slots__ = ("scope", "provider_type", "name")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_TYPE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    scope: KillScope
    provider_type: _types_pb2.ProviderType
    name: str
    def __init__(self, scope: _Optional[_Union[KillScope, str]] = ..., provider_type: _Optional[_Union[_types_pb2.ProviderType, str]] = ..., name: _Optional[str] = ...) -> None: ...

class KillRequest(_message.Message):
    __slots__ = ("target", "mode", "killed_at_ns", "note")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    KILLED_AT_NS_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    target: KillTarget
    mode: KillMode
    killed_at_ns: int
    note: _admin_pb2.ChangeNote
    def __init__(self, target: _Optional[_Union[KillTarget, _Mapping]] = ..., mode: _Optional[_Union[KillMode, str]] = ..., killed_at_ns: _Optional[int] = ..., note: _Optional[_Union[_admin_pb2.ChangeNote, _Mapping]] = ...) -> None: ...

class KillResponse(_message.Message):
    __slots__ = ("confirmed_by", "sequence", "latched", "killed_at_ns", "epoch", "state_version")
    CONFIRMED_BY_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    LATCHED_FIELD_NUMBER: _ClassVar[int]
    KILLED_AT_NS_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    STATE_VERSION_FIELD_NUMBER: _ClassVar[int]
    confirmed_by: str
    sequence: int
    latched: bool
    killed_at_ns: int
    epoch: int
    state_version: int
    def __init__(self, confirmed_by: _Optional[str] = ..., sequence: _Optional[int] = ..., latched: _Optional[bool] = ..., killed_at_ns: _Optional[int] = ..., epoch: _Optional[int] = ..., state_version: _Optional[int] = ...) -> None: ...

class RearmRequest(_message.Message):
    __slots__ = ("targets", "mode", "note")
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    targets: _containers.RepeatedCompositeFieldContainer[KillTarget]
    mode: KillMode
    note: _admin_pb2.ChangeNote
    def __init__(self, targets: _Optional[_Iterable[_Union[KillTarget, _Mapping]]] = ..., mode: _Optional[_Union[KillMode, str]] = ..., note: _Optional[_Union[_admin_pb2.ChangeNote, _Mapping]] = ...) -> None: ...

class RearmResponse(_message.Message):
    __slots__ = ("kill_switches", "state_version")
    KILL_SWITCHES_FIELD_NUMBER: _ClassVar[int]
    STATE_VERSION_FIELD_NUMBER: _ClassVar[int]
    kill_switches: _containers.RepeatedCompositeFieldContainer[KillSwitch]
    state_version: int
    def __init__(self, kill_switches: _Optional[_Iterable[_Union[KillSwitch, _Mapping]]] = ..., state_version: _Optional[int] = ...) -> None: ...

class KillSwitch(_message.Message):
    __slots__ = ("target", "new_risk_killed_at_ns", "new_risk_rearmed_at_ns", "all_killed_at_ns", "all_rearmed_at_ns", "stops_new_risk", "stops_all", "events")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    NEW_RISK_KILLED_AT_NS_FIELD_NUMBER: _ClassVar[int]
    NEW_RISK_REARMED_AT_NS_FIELD_NUMBER: _ClassVar[int]
    ALL_KILLED_AT_NS_FIELD_NUMBER: _ClassVar[int]
    ALL_REARMED_AT_NS_FIELD_NUMBER: _ClassVar[int]
    STOPS_NEW_RISK_FIELD_NUMBER: _ClassVar[int]
    STOPS_ALL_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    target: KillTarget
    new_risk_killed_at_ns: int
    new_risk_rearmed_at_ns: int
    all_killed_at_ns: int
    all_rearmed_at_ns: int
    stops_new_risk: bool
    stops_all: bool
    events: _containers.RepeatedCompositeFieldContainer[KillEvent]
    def __init__(self, target: _Optional[_Union[KillTarget, _Mapping]] = ..., new_risk_killed_at_ns: _Optional[int] = ..., new_risk_rearmed_at_ns: _Optional[int] = ..., all_killed_at_ns: _Optional[int] = ..., all_rearmed_at_ns: _Optional[int] = ..., stops_new_risk: _Optional[bool] = ..., stops_all: _Optional[bool] = ..., events: _Optional[_Iterable[_Union[KillEvent, _Mapping]]] = ...) -> None: ...

class KillEvent(_message.Message):
    __slots__ = ("is_rearming", "mode", "at_ns", "caller", "actor", "reason", "said_to", "recorded_at")
    IS_REARMING_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    AT_NS_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SAID_TO_FIELD_NUMBER: _ClassVar[int]
    RECORDED_AT_FIELD_NUMBER: _ClassVar[int]
    is_rearming: bool
    mode: KillMode
    at_ns: int
    caller: str
    actor: str
    reason: str
    said_to: str
    recorded_at: _timestamp_pb2.Timestamp
    def __init__(self, is_rearming: _Optional[bool] = ..., mode: _Optional[_Union[KillMode, str]] = ..., at_ns: _Optional[int] = ..., caller: _Optional[str] = ..., actor: _Optional[str] = ..., reason: _Optional[str] = ..., said_to: _Optional[str] = ..., recorded_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListKillsRequest(_message.Message):
    __slots__ = ("include_rearmed", "page_size", "page_token")
    INCLUDE_REARMED_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    include_rearmed: bool
    page_size: int
    page_token: str
    def __init__(self, include_rearmed: _Optional[bool] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListKillsResponse(_message.Message):
    __slots__ = ("kill_switches", "next_page_token")
    KILL_SWITCHES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    kill_switches: _containers.RepeatedCompositeFieldContainer[KillSwitch]
    next_page_token: str
    def __init__(self, kill_switches: _Optional[_Iterable[_Union[KillSwitch, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DrillReport(_message.Message):
    __slots__ = ("drill_id", "commanded_at_ns", "replicas", "recorded_at")
    DRILL_ID_FIELD_NUMBER: _ClassVar[int]
    COMMANDED_AT_NS_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    RECORDED_AT_FIELD_NUMBER: _ClassVar[int]
    drill_id: str
    commanded_at_ns: int
    replicas: _containers.RepeatedCompositeFieldContainer[DrillReplica]
    recorded_at: _timestamp_pb2.Timestamp
    def __init__(self, drill_id: _Optional[str] = ..., commanded_at_ns: _Optional[int] = ..., replicas: _Optional[_Iterable[_Union[DrillReplica, _Mapping]]] = ..., recorded_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class DrillReplica(_message.Message):
    __slots__ = ("shard", "address", "account_id", "confirmed", "confirmation_ns", "last_approval_ns", "approvals_before", "approvals_after_command", "approvals_after_confirmation", "denials_by_kill")
    SHARD_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    CONFIRMED_FIELD_NUMBER: _ClassVar[int]
    CONFIRMATION_NS_FIELD_NUMBER: _ClassVar[int]
    LAST_APPROVAL_NS_FIELD_NUMBER: _ClassVar[int]
    APPROVALS_BEFORE_FIELD_NUMBER: _ClassVar[int]
    APPROVALS_AFTER_COMMAND_FIELD_NUMBER: _ClassVar[int]
    APPROVALS_AFTER_CONFIRMATION_FIELD_NUMBER: _ClassVar[int]
    DENIALS_BY_KILL_FIELD_NUMBER: _ClassVar[int]
    shard: str
    address: str
    account_id: str
    confirmed: bool
    confirmation_ns: int
    last_approval_ns: int
    approvals_before: int
    approvals_after_command: int
    approvals_after_confirmation: int
    denials_by_kill: int
    def __init__(self, shard: _Optional[str] = ..., address: _Optional[str] = ..., account_id: _Optional[str] = ..., confirmed: _Optional[bool] = ..., confirmation_ns: _Optional[int] = ..., last_approval_ns: _Optional[int] = ..., approvals_before: _Optional[int] = ..., approvals_after_command: _Optional[int] = ..., approvals_after_confirmation: _Optional[int] = ..., denials_by_kill: _Optional[int] = ...) -> None: ...

class RecordDrillRequest(_message.Message):
    __slots__ = ("report", "note")
    REPORT_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    report: DrillReport
    note: _admin_pb2.ChangeNote
    def __init__(self, report: _Optional[_Union[DrillReport, _Mapping]] = ..., note: _Optional[_Union[_admin_pb2.ChangeNote, _Mapping]] = ...) -> None: ...

class RecordDrillResponse(_message.Message):
    __slots__ = ("report",)
    REPORT_FIELD_NUMBER: _ClassVar[int]
    report: DrillReport
    def __init__(self, report: _Optional[_Union[DrillReport, _Mapping]] = ...) -> None: ...

class ListDrillsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDrillsResponse(_message.Message):
    __slots__ = ("reports", "next_page_token")
    REPORTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    reports: _containers.RepeatedCompositeFieldContainer[DrillReport]
    next_page_token: str
    def __init__(self, reports: _Optional[_Iterable[_Union[DrillReport, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
