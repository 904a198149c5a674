from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROLE_UNSPECIFIED: _ClassVar[Role]
    ROLE_ADMIN: _ClassVar[Role]
    ROLE_RISK_ANALYST: _ClassVar[Role]
    ROLE_TRADER: _ClassVar[Role]
    ROLE_AUDITOR: _ClassVar[Role]

class Group(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    GROUP_UNSPECIFIED: _ClassVar[Group]
    GROUP_RISK_SENIOR: _ClassVar[Group]
    GROUP_TECHNOLOGY: _ClassVar[Group]

class Watch(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WATCH_UNSPECIFIED: _ClassVar[Watch]
    WATCH_DEPLOYMENT: _ClassVar[Watch]
    WATCH_BULK_READ: _ClassVar[Watch]
ROLE_UNSPECIFIED: Role
ROLE_ADMIN: Role
ROLE_RISK_ANALYST: Role
ROLE_TRADER: Role
ROLE_AUDITOR: Role
GROUP_UNSPECIFIED: Group
GROUP_RISK_SENIOR: Group
GROUP_TECHNOLOGY: Group
WATCH_UNSPECIFIED: Watch
WATCH_DEPLOYMENT: Watch
WATCH_BULK_READ: Watch
RIGHT_FIELD_NUMBER: _ClassVar[int]
right: _descriptor.FieldDescriptor

class Right(_message.Message):
    __slots__ = ("roles", "groups", "second_factor", "justification", "mutates", "account_field", "watch")
    ROLES_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    SECOND_FACTOR_FIELD_NUMBER: _ClassVar[int]
    JUSTIFICATION_FIELD_NUMBER: _ClassVar[int]
    MUTATES_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_FIELD_NUMBER: _ClassVar[int]
    WATCH_FIELD_NUMBER: _ClassVar[int]
    roles: _containers.RepeatedScalarFieldContainer[Role]
    groups: _containers.RepeatedScalarFieldContainer[Group]
    second_factor: bool
    justification: bool
    mutates: bool
    account_field: str
    watch: Watch
    def __init__(self, roles: _Optional[_Iterable[_Union[Role, str]]] = ..., groups: _Optional[_Iterable[_Union[Group, str]]] = ..., second_factor: _Optional[bool] = ..., justification: _Optional[bool] = ..., mutates: _Optional[bool] = ..., account_field: _Optional[str] = ..., watch: _Optional[_Union[Watch, str]] = ...) -> None: ...
