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

class IdentityStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    IDENTITY_STATUS_UNSPECIFIED: _ClassVar[IdentityStatus]
    IDENTITY_STATUS_ACTIVE: _ClassVar[IdentityStatus]
    IDENTITY_STATUS_FROZEN: _ClassVar[IdentityStatus]
    IDENTITY_STATUS_REVOKED: _ClassVar[IdentityStatus]
IDENTITY_STATUS_UNSPECIFIED: IdentityStatus
IDENTITY_STATUS_ACTIVE: IdentityStatus
IDENTITY_STATUS_FROZEN: IdentityStatus
IDENTITY_STATUS_REVOKED: IdentityStatus

class Identity(_message.Message):
    __slots__ = ("uri", "accounts", "every_account", "providers", "calls_per_second", "burst", "status", "has_second_factor", "version", "updated_at")
    URI_FIELD_NUMBER: _ClassVar[int]
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    EVERY_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    PROVIDERS_FIELD_NUMBER: _ClassVar[int]
    CALLS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    BURST_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    HAS_SECOND_FACTOR_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    uri: str
    accounts: _containers.RepeatedScalarFieldContainer[str]
    every_account: bool
    providers: _containers.RepeatedScalarFieldContainer[str]
    calls_per_second: int
    burst: int
    status: IdentityStatus
    has_second_factor: bool
    version: int
    updated_at: _timestamp_pb2.Timestamp
    def __init__(self, uri: _Optional[str] = ..., accounts: _Optional[_Iterable[str]] = ..., every_account: _Optional[bool] = ..., providers: _Optional[_Iterable[str]] = ..., calls_per_second: _Optional[int] = ..., burst: _Optional[int] = ..., status: _Optional[_Union[IdentityStatus, str]] = ..., has_second_factor: _Optional[bool] = ..., version: _Optional[int] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PutIdentityRequest(_message.Message):
    __slots__ = ("identity", "note")
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    identity: Identity
    note: _admin_pb2.ChangeNote
    def __init__(self, identity: _Optional[_Union[Identity, _Mapping]] = ..., note: _Optional[_Union[_admin_pb2.ChangeNote, _Mapping]] = ...) -> None: ...

class PutIdentityResponse(_message.Message):
    __slots__ = ("identity", "outcome", "state_version")
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    STATE_VERSION_FIELD_NUMBER: _ClassVar[int]
    identity: Identity
    outcome: _admin_pb2.ChangeOutcome
    state_version: int
    def __init__(self, identity: _Optional[_Union[Identity, _Mapping]] = ..., outcome: _Optional[_Union[_admin_pb2.ChangeOutcome, str]] = ..., state_version: _Optional[int] = ...) -> None: ...

class GetIdentityRequest(_message.Message):
    __slots__ = ("uri",)
    URI_FIELD_NUMBER: _ClassVar[int]
    uri: str
    def __init__(self, uri: _Optional[str] = ...) -> None: ...

class GetIdentityResponse(_message.Message):
    __slots__ = ("identity",)
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    identity: Identity
    def __init__(self, identity: _Optional[_Union[Identity, _Mapping]] = ...) -> None: ...

class ListIdentitiesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListIdentitiesResponse(_message.Message):
    __slots__ = ("identities", "next_page_token")
    IDENTITIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    identities: _containers.RepeatedCompositeFieldContainer[Identity]
    next_page_token: str
    def __init__(self, identities: _Optional[_Iterable[_Union[Identity, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class RevokeIdentityRequest(_message.Message):
    __slots__ = ("uri", "freeze", "note")
    URI_FIELD_NUMBER: _ClassVar[int]
    FREEZE_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    uri: str
    freeze: bool
    note: _admin_pb2.ChangeNote
    def __init__(self, uri: _Optional[str] = ..., freeze: _Optional[bool] = ..., note: _Optional[_Union[_admin_pb2.ChangeNote, _Mapping]] = ...) -> None: ...

class RevokeIdentityResponse(_message.Message):
    __slots__ = ("identity", "outcome", "state_version")
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    STATE_VERSION_FIELD_NUMBER: _ClassVar[int]
    identity: Identity
    outcome: _admin_pb2.ChangeOutcome
    state_version: int
    def __init__(self, identity: _Optional[_Union[Identity, _Mapping]] = ..., outcome: _Optional[_Union[_admin_pb2.ChangeOutcome, str]] = ..., state_version: _Optional[int] = ...) -> None: ...

class RestoreIdentityRequest(_message.Message):
    __slots__ = ("uri", "note")
    URI_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    uri: str
    note: _admin_pb2.ChangeNote
    def __init__(self, uri: _Optional[str] = ..., note: _Optional[_Union[_admin_pb2.ChangeNote, _Mapping]] = ...) -> None: ...

class RestoreIdentityResponse(_message.Message):
    __slots__ = ("identity", "outcome", "state_version")
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    STATE_VERSION_FIELD_NUMBER: _ClassVar[int]
    identity: Identity
    outcome: _admin_pb2.ChangeOutcome
    state_version: int
    def __init__(self, identity: _Optional[_Union[Identity, _Mapping]] = ..., outcome: _Optional[_Union[_admin_pb2.ChangeOutcome, str]] = ..., state_version: _Optional[int] = ...) -> None: ...

class EnrollSecondFactorRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class EnrollSecondFactorResponse(_message.Message):
    __slots__ = ("otpauth_uri",)
    OTPAUTH_URI_FIELD_NUMBER: _ClassVar[int]
    otpauth_uri: str
    def __init__(self, otpauth_uri: _Optional[str] = ...) -> None: ...

class WhoAmIRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WhoAmIResponse(_message.Message):
    __slots__ = ("uri", "role", "groups", "every_account", "accounts", "providers", "not_after", "methods")
    URI_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    EVERY_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    PROVIDERS_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_FIELD_NUMBER: _ClassVar[int]
    METHODS_FIELD_NUMBER: _ClassVar[int]
    uri: str
    role: _rights_pb2.Role
    groups: _containers.RepeatedScalarFieldContainer[_rights_pb2.Group]
    every_account: bool
    accounts: _containers.RepeatedScalarFieldContainer[str]
    providers: _containers.RepeatedScalarFieldContainer[str]
    not_after: _timestamp_pb2.Timestamp
    methods: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, uri: _Optional[str] = ..., role: _Optional[_Union[_rights_pb2.Role, str]] = ..., groups: _Optional[_Iterable[_Union[_rights_pb2.Group, str]]] = ..., every_account: _Optional[bool] = ..., accounts: _Optional[_Iterable[str]] = ..., providers: _Optional[_Iterable[str]] = ..., not_after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., methods: _Optional[_Iterable[str]] = ...) -> None: ...
