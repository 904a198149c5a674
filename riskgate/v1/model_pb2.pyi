import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from riskgate.v1 import admin_pb2 as _admin_pb2
from riskgate.v1 import rights_pb2 as _rights_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ModelStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODEL_STATUS_UNSPECIFIED: _ClassVar[ModelStatus]
    MODEL_STATUS_REGISTERED: _ClassVar[ModelStatus]
    MODEL_STATUS_TESTING: _ClassVar[ModelStatus]
    MODEL_STATUS_APPROVED: _ClassVar[ModelStatus]
    MODEL_STATUS_ACTIVE: _ClassVar[ModelStatus]
    MODEL_STATUS_DEPRECATED: _ClassVar[ModelStatus]
    MODEL_STATUS_REJECTED: _ClassVar[ModelStatus]
    MODEL_STATUS_TRAINING: _ClassVar[ModelStatus]
    MODEL_STATUS_TRAINED: _ClassVar[ModelStatus]
    MODEL_STATUS_SHADOW: _ClassVar[ModelStatus]
    MODEL_STATUS_CANARY: _ClassVar[ModelStatus]
    MODEL_STATUS_ARCHIVED: _ClassVar[ModelStatus]
    MODEL_STATUS_REVOKED: _ClassVar[ModelStatus]
MODEL_STATUS_UNSPECIFIED: ModelStatus
MODEL_STATUS_REGISTERED: ModelStatus
MODEL_STATUS_TESTING: ModelStatus
MODEL_STATUS_APPROVED: ModelStatus
MODEL_STATUS_ACTIVE: ModelStatus
MODEL_STATUS_DEPRECATED: ModelStatus
MODEL_STATUS_REJECTED: ModelStatus
MODEL_STATUS_TRAINING: ModelStatus
MODEL_STATUS_TRAINED: ModelStatus
MODEL_STATUS_SHADOW: ModelStatus
MODEL_STATUS_CANARY: ModelStatus
MODEL_STATUS_ARCHIVED: ModelStatus
MODEL_STATUS_REVOKED: ModelStatus

class ModelFile(_message.Message):
    __slots__ = ("name", "content")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    name: str
    content: bytes
    def __init__(self, name: _Optional[str] = ..., content: _Optional[bytes] = ...) -> None: ...

class ModelVersion(_message.Message):
    __slots__ = ("purpose", "version", "algorithm", "status", "digest", "author", "serial", "pushed_at", "approved_at", "activated_at", "deprecated_at", "approvers", "metrics_json", "training_json")
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    PUSHED_AT_FIELD_NUMBER: _ClassVar[int]
    APPROVED_AT_FIELD_NUMBER: _ClassVar[int]
    ACTIVATED_AT_FIELD_NUMBER: _ClassVar[int]
    DEPRECATED_AT_FIELD_NUMBER: _ClassVar[int]
    APPROVERS_FIELD_NUMBER: _ClassVar[int]
    METRICS_JSON_FIELD_NUMBER: _ClassVar[int]
    TRAINING_JSON_FIELD_NUMBER: _ClassVar[int]
    purpose: str
    version: str
    algorithm: str
    status: ModelStatus
    digest: bytes
    author: str
    serial: int
    pushed_at: _timestamp_pb2.Timestamp
    approved_at: _timestamp_pb2.Timestamp
    activated_at: _timestamp_pb2.Timestamp
    deprecated_at: _timestamp_pb2.Timestamp
    approvers: _containers.RepeatedScalarFieldContainer[str]
    metrics_json: str
    training_json: str
    def __init__(self, purpose: _Optional[str] = ..., version: _Optional[str] = ..., algorithm: _Optional[str] = ..., status: _Optional[_Union[ModelStatus, str]] = ..., digest: _Optional[bytes] = ..., author: _Optional[str] = ..., serial: _Optional[int] = ..., pushed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., approved_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., activated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., deprecated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., approvers: _Optional[_Iterable[str]] = ..., metrics_json: _Optional[str] = ..., training_json: _Optional[str] = ...) -> None: ...

class PushModelRequest(_message.Message):
    __slots__ = ("files", "note")
    FILES_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    files: _containers.RepeatedCompositeFieldContainer[ModelFile]
    note: _admin_pb2.ChangeNote
    def __init__(self, files: _Optional[_Iterable[_Union[ModelFile, _Mapping]]] = ..., note: _Optional[_Union[_admin_pb2.ChangeNote, _Mapping]] = ...) -> None: ...

class PushModelResponse(_message.Message):
    __slots__ = ("model", "outcome")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    model: ModelVersion
    outcome: _admin_pb2.ChangeOutcome
    def __init__(self, model: _Optional[_Union[ModelVersion, _Mapping]] = ..., outcome: _Optional[_Union[_admin_pb2.ChangeOutcome, str]] = ...) -> None: ...

class ProposeActivationRequest(_message.Message):
    __slots__ = ("purpose", "version", "fallback_version", "expires_in_hours", "note")
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_VERSION_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_IN_HOURS_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    purpose: str
    version: str
    fallback_version: str
    expires_in_hours: int
    note: _admin_pb2.ChangeNote
    def __init__(self, purpose: _Optional[str] = ..., version: _Optional[str] = ..., fallback_version: _Optional[str] = ..., expires_in_hours: _Optional[int] = ..., note: _Optional[_Union[_admin_pb2.ChangeNote, _Mapping]] = ...) -> None: ...

class ProposeActivationResponse(_message.Message):
    __slots__ = ("statement", "model")
    STATEMENT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    statement: bytes
    model: ModelVersion
    def __init__(self, statement: _Optional[bytes] = ..., model: _Optional[_Union[ModelVersion, _Mapping]] = ...) -> None: ...

class ApproveModelRequest(_message.Message):
    __slots__ = ("purpose", "version", "envelope", "note")
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ENVELOPE_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    purpose: str
    version: str
    envelope: bytes
    note: _admin_pb2.ChangeNote
    def __init__(self, purpose: _Optional[str] = ..., version: _Optional[str] = ..., envelope: _Optional[bytes] = ..., note: _Optional[_Union[_admin_pb2.ChangeNote, _Mapping]] = ...) -> None: ...

class ApproveModelResponse(_message.Message):
    __slots__ = ("model", "outcome")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    model: ModelVersion
    outcome: _admin_pb2.ChangeOutcome
    def __init__(self, model: _Optional[_Union[ModelVersion, _Mapping]] = ..., outcome: _Optional[_Union[_admin_pb2.ChangeOutcome, str]] = ...) -> None: ...

class ActivateModelRequest(_message.Message):
    __slots__ = ("purpose", "version", "note")
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    purpose: str
    version: str
    note: _admin_pb2.ChangeNote
    def __init__(self, purpose: _Optional[str] = ..., version: _Optional[str] = ..., note: _Optional[_Union[_admin_pb2.ChangeNote, _Mapping]] = ...) -> None: ...

class ActivateModelResponse(_message.Message):
    __slots__ = ("model", "outcome", "state_version")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    STATE_VERSION_FIELD_NUMBER: _ClassVar[int]
    model: ModelVersion
    outcome: _admin_pb2.ChangeOutcome
    state_version: int
    def __init__(self, model: _Optional[_Union[ModelVersion, _Mapping]] = ..., outcome: _Optional[_Union[_admin_pb2.ChangeOutcome, str]] = ..., state_version: _Optional[int] = ...) -> None: ...

class RollbackModelRequest(_message.Message):
    __slots__ = ("purpose", "note")
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    purpose: str
    note: _admin_pb2.ChangeNote
    def __init__(self, purpose: _Optional[str] = ..., note: _Optional[_Union[_admin_pb2.ChangeNote, _Mapping]] = ...) -> None: ...

class RollbackModelResponse(_message.Message):
    __slots__ = ("model", "state_version")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    STATE_VERSION_FIELD_NUMBER: _ClassVar[int]
    model: ModelVersion
    state_version: int
    def __init__(self, model: _Optional[_Union[ModelVersion, _Mapping]] = ..., state_version: _Optional[int] = ...) -> None: ...

class MoveModelRequest(_message.Message):
    __slots__ = ("purpose", "version", "status", "note")
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    purpose: str
    version: str
    status: ModelStatus
    note: _admin_pb2.ChangeNote
    def __init__(self, purpose: _Optional[str] = ..., version: _Optional[str] = ..., status: _Optional[_Union[ModelStatus, str]] = ..., note: _Optional[_Union[_admin_pb2.ChangeNote, _Mapping]] = ...) -> None: ...

class MoveModelResponse(_message.Message):
    __slots__ = ("model", "outcome")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    model: ModelVersion
    outcome: _admin_pb2.ChangeOutcome
    def __init__(self, model: _Optional[_Union[ModelVersion, _Mapping]] = ..., outcome: _Optional[_Union[_admin_pb2.ChangeOutcome, str]] = ...) -> None: ...

class RevokeModelRequest(_message.Message):
    __slots__ = ("purpose", "version", "note")
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    purpose: str
    version: str
    note: _admin_pb2.ChangeNote
    def __init__(self, purpose: _Optional[str] = ..., version: _Optional[str] = ..., note: _Optional[_Union[_admin_pb2.ChangeNote, _Mapping]] = ...) -> None: ...

class RevokeModelResponse(_message.Message):
    __slots__ = ("model", "active", "outcome", "state_version")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    STATE_VERSION_FIELD_NUMBER: _ClassVar[int]
    model: ModelVersion
    active: ModelVersion
    outcome: _admin_pb2.ChangeOutcome
    state_version: int
    def __init__(self, model: _Optional[_Union[ModelVersion, _Mapping]] = ..., active: _Optional[_Union[ModelVersion, _Mapping]] = ..., outcome: _Optional[_Union[_admin_pb2.ChangeOutcome, str]] = ..., state_version: _Optional[int] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ("purpose", "version")
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    purpose: str
    version: str
    def __init__(self, purpose: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("model", "proposed_statement")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROPOSED_STATEMENT_FIELD_NUMBER: _ClassVar[int]
    model: ModelVersion
    proposed_statement: bytes
    def __init__(self, model: _Optional[_Union[ModelVersion, _Mapping]] = ..., proposed_statement: _Optional[bytes] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ("purpose", "page_size", "page_token")
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    purpose: str
    page_size: int
    page_token: str
    def __init__(self, purpose: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models", "next_page_token")
    MODELS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[ModelVersion]
    next_page_token: str
    def __init__(self, models: _Optional[_Iterable[_Union[ModelVersion, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeploymentEvent(_message.Message):
    __slots__ = ("event_id", "purpose", "version", "event", "status_before", "status_after", "serial", "identity", "reason", "occurred_at", "ledger_entry_id")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    STATUS_BEFORE_FIELD_NUMBER: _ClassVar[int]
    STATUS_AFTER_FIELD_NUMBER: _ClassVar[int]
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    OCCURRED_AT_FIELD_NUMBER: _ClassVar[int]
    LEDGER_ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    event_id: int
    purpose: str
    version: str
    event: str
    status_before: ModelStatus
    status_after: ModelStatus
    serial: int
    identity: str
    reason: str
    occurred_at: _timestamp_pb2.Timestamp
    ledger_entry_id: int
    def __init__(self, event_id: _Optional[int] = ..., purpose: _Optional[str] = ..., version: _Optional[str] = ..., event: _Optional[str] = ..., status_before: _Optional[_Union[ModelStatus, str]] = ..., status_after: _Optional[_Union[ModelStatus, str]] = ..., serial: _Optional[int] = ..., identity: _Optional[str] = ..., reason: _Optional[str] = ..., occurred_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ledger_entry_id: _Optional[int] = ...) -> None: ...

class ListDeploymentEventsRequest(_message.Message):
    __slots__ = ("purpose", "version", "from_event_id", "page_size")
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    FROM_EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    purpose: str
    version: str
    from_event_id: int
    page_size: int
    def __init__(self, purpose: _Optional[str] = ..., version: _Optional[str] = ..., from_event_id: _Optional[int] = ..., page_size: _Optional[int] = ...) -> None: ...

class ListDeploymentEventsResponse(_message.Message):
    __slots__ = ("events", "next_event_id")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[DeploymentEvent]
    next_event_id: int
    def __init__(self, events: _Optional[_Iterable[_Union[DeploymentEvent, _Mapping]]] = ..., next_event_id: _Optional[int] = ...) -> None: ...

class Replica(_message.Message):
    __slots__ = ("shard", "address", "epoch", "model_digest", "model_serial", "policy_digest", "is_proven", "said_at")
    SHARD_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    MODEL_SERIAL_FIELD_NUMBER: _ClassVar[int]
    POLICY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    IS_PROVEN_FIELD_NUMBER: _ClassVar[int]
    SAID_AT_FIELD_NUMBER: _ClassVar[int]
    shard: str
    address: str
    epoch: int
    model_digest: bytes
    model_serial: int
    policy_digest: bytes
    is_proven: bool
    said_at: _timestamp_pb2.Timestamp
    def __init__(self, shard: _Optional[str] = ..., address: _Optional[str] = ..., epoch: _Optional[int] = ..., model_digest: _Optional[bytes] = ..., model_serial: _Optional[int] = ..., policy_digest: _Optional[bytes] = ..., is_proven: _Optional[bool] = ..., said_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListReplicasRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListReplicasResponse(_message.Message):
    __slots__ = ("replicas",)
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    replicas: _containers.RepeatedCompositeFieldContainer[Replica]
    def __init__(self, replicas: _Optional[_Iterable[_Union[Replica, _Mapping]]] = ...) -> None: ...
