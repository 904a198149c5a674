from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ChangeKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHANGE_KIND_UNSPECIFIED: _ClassVar[ChangeKind]
    CHANGE_KIND_INSTRUMENT: _ClassVar[ChangeKind]
    CHANGE_KIND_ACCOUNT: _ClassVar[ChangeKind]
    CHANGE_KIND_RISK_CONFIGURATION: _ClassVar[ChangeKind]
    CHANGE_KIND_PROVIDER: _ClassVar[ChangeKind]
    CHANGE_KIND_MARKET: _ClassVar[ChangeKind]
    CHANGE_KIND_CONVERSION_RATE: _ClassVar[ChangeKind]
    CHANGE_KIND_BREAKER: _ClassVar[ChangeKind]
    CHANGE_KIND_POLICY: _ClassVar[ChangeKind]
    CHANGE_KIND_MODEL: _ClassVar[ChangeKind]
    CHANGE_KIND_WINDOW: _ClassVar[ChangeKind]
    CHANGE_KIND_HEARTBEAT: _ClassVar[ChangeKind]
    CHANGE_KIND_CLOCK: _ClassVar[ChangeKind]
    CHANGE_KIND_EQUITY: _ClassVar[ChangeKind]
    CHANGE_KIND_SESSION: _ClassVar[ChangeKind]
    CHANGE_KIND_IDENTITY: _ClassVar[ChangeKind]
    CHANGE_KIND_KILL: _ClassVar[ChangeKind]
    CHANGE_KIND_STRATEGY: _ClassVar[ChangeKind]
    CHANGE_KIND_BREAKER_RESET: _ClassVar[ChangeKind]
CHANGE_KIND_UNSPECIFIED: ChangeKind
CHANGE_KIND_INSTRUMENT: ChangeKind
CHANGE_KIND_ACCOUNT: ChangeKind
CHANGE_KIND_RISK_CONFIGURATION: ChangeKind
CHANGE_KIND_PROVIDER: ChangeKind
CHANGE_KIND_MARKET: ChangeKind
CHANGE_KIND_CONVERSION_RATE: ChangeKind
CHANGE_KIND_BREAKER: ChangeKind
CHANGE_KIND_POLICY: ChangeKind
CHANGE_KIND_MODEL: ChangeKind
CHANGE_KIND_WINDOW: ChangeKind
CHANGE_KIND_HEARTBEAT: ChangeKind
CHANGE_KIND_CLOCK: ChangeKind
CHANGE_KIND_EQUITY: ChangeKind
CHANGE_KIND_SESSION: ChangeKind
CHANGE_KIND_IDENTITY: ChangeKind
CHANGE_KIND_KILL: ChangeKind
CHANGE_KIND_STRATEGY: ChangeKind
CHANGE_KIND_BREAKER_RESET: ChangeKind

class StateChange(_message.Message):
    __slots__ = ("version", "kind", "key", "rows", "layout_version", "made_at_ns", "revision", "proof", "kill", "authenticator")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    LAYOUT_VERSION_FIELD_NUMBER: _ClassVar[int]
    MADE_AT_NS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    KILL_FIELD_NUMBER: _ClassVar[int]
    AUTHENTICATOR_FIELD_NUMBER: _ClassVar[int]
    version: int
    kind: ChangeKind
    key: str
    rows: bytes
    layout_version: int
    made_at_ns: int
    revision: int
    proof: bytes
    kill: KillReason
    authenticator: bytes
    def __init__(self, version: _Optional[int] = ..., kind: _Optional[_Union[ChangeKind, str]] = ..., key: _Optional[str] = ..., rows: _Optional[bytes] = ..., layout_version: _Optional[int] = ..., made_at_ns: _Optional[int] = ..., revision: _Optional[int] = ..., proof: _Optional[bytes] = ..., kill: _Optional[_Union[KillReason, _Mapping]] = ..., authenticator: _Optional[bytes] = ...) -> None: ...

class KillReason(_message.Message):
    __slots__ = ("caller", "actor", "reason", "said_to")
    CALLER_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SAID_TO_FIELD_NUMBER: _ClassVar[int]
    caller: str
    actor: str
    reason: str
    said_to: str
    def __init__(self, caller: _Optional[str] = ..., actor: _Optional[str] = ..., reason: _Optional[str] = ..., said_to: _Optional[str] = ...) -> None: ...

class ActivationProof(_message.Message):
    __slots__ = ("activation", "rollback", "activated_at_ns", "files")
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    ROLLBACK_FIELD_NUMBER: _ClassVar[int]
    ACTIVATED_AT_NS_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    activation: bytes
    rollback: bytes
    activated_at_ns: int
    files: _containers.RepeatedCompositeFieldContainer[ProofFile]
    def __init__(self, activation: _Optional[bytes] = ..., rollback: _Optional[bytes] = ..., activated_at_ns: _Optional[int] = ..., files: _Optional[_Iterable[_Union[ProofFile, _Mapping]]] = ...) -> None: ...

class ProofFile(_message.Message):
    __slots__ = ("name", "content")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    name: str
    content: bytes
    def __init__(self, name: _Optional[str] = ..., content: _Optional[bytes] = ...) -> None: ...
