import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from riskgate.v1 import admin_pb2 as _admin_pb2
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
MODEL_STATUS_UNSPECIFIED: ModelStatus
MODEL_STATUS_REGISTERED: ModelStatus
MODEL_STATUS_TESTING: ModelStatus
MODEL_STATUS_APPROVED: ModelStatus
MODEL_STATUS_ACTIVE: ModelStatus
MODEL_STATUS_DEPRECATED: ModelStatus
MODEL_STATUS_REJECTED: ModelStatus

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

class ApproveModelRequest(_message.Message):
    __slots__ = ("purpose", "version", "digest", "note")
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    purpose: str
    version: str
    digest: bytes
    note: _admin_pb2.ChangeNote
    def __init__(self, purpose: _Optional[str] = ..., version: _Optional[str] = ..., digest: _Optional[bytes] = ..., note: _Optional[_Union[_admin_pb2.ChangeNote, _Mapping]] = ...) -> None: ...

class ApproveModelResponse(_message.Message):
    __slots__ = ("model", "outcome")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    model: ModelVersion
    outcome: _admin_pb2.ChangeOutcome
    def __init__(self, model: _Optional[_Union[ModelVersion, _Mapping]] = ..., outcome: _Optional[_Union[_admin_pb2.ChangeOutcome, str]] = ...) -> None: ...

class ActivateModelRequest(_message.Message):
    __slots__ = ("purpose", "version", "serial", "note")
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    purpose: str
    version: str
    serial: int
    note: _admin_pb2.ChangeNote
    def __init__(self, purpose: _Optional[str] = ..., version: _Optional[str] = ..., serial: _Optional[int] = ..., note: _Optional[_Union[_admin_pb2.ChangeNote, _Mapping]] = ...) -> None: ...

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
    __slots__ = ("purpose", "note", "version")
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    purpose: str
    note: _admin_pb2.ChangeNote
    version: str
    def __init__(self, purpose: _Optional[str] = ..., note: _Optional[_Union[_admin_pb2.ChangeNote, _Mapping]] = ..., version: _Optional[str] = ...) -> None: ...

class RollbackModelResponse(_message.Message):
    __slots__ = ("model", "state_version")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    STATE_VERSION_FIELD_NUMBER: _ClassVar[int]
    model: ModelVersion
    state_version: int
    def __init__(self, model: _Optional[_Union[ModelVersion, _Mapping]] = ..., state_version: _Optional[int] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ("purpose", "version")
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    purpose: str
    version: str
    def __init__(self, purpose: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: ModelVersion
    def __init__(self, model: _Optional[_Union[ModelVersion, _Mapping]] = ...) -> None: ...

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
