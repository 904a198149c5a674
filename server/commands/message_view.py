"""Any message as plain JSON values: field names of the proto, plain numbers, short enum names.

`VERDICT_ALLOW` becomes "ALLOW", a digest its hex, a timestamp RFC 3339. What is absent, and an
enumeration that is not stated, is None, so every key is always there.
"""

from datetime import UTC
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import ListValue, Struct
from google.protobuf.timestamp_pb2 import Timestamp


def view_message(message: Message) -> dict[str, Any]:
    """Return all fields of a message, absent ones included."""
    return {field.name: _view_field(message, field) for field in message.DESCRIPTOR.fields}


def view_enum(enum: Any, number: int) -> str | None:
    """Return the short name of an enum number; None for zero, the number as text if unknown."""
    if number == 0:
        return None
    value = enum.values_by_number.get(number)
    if value is None:
        return str(number)
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return str(value.name.removeprefix(prefix))


def _view_field(message: Message, field: Any) -> Any:
    value = getattr(message, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        inner = field.message_type.fields_by_name["value"]
        return {str(key): _view_value(inner, value[key]) for key in sorted(value)}
    if field.is_repeated:
        return [_view_value(field, item) for item in value]
    if field.has_presence and not message.HasField(field.name):
        return None
    return _view_value(field, value)


def _view_value(field: Any, value: Any) -> Any:
    if field.enum_type is not None:
        return view_enum(field.enum_type, value)
    if isinstance(value, Timestamp):
        return value.ToDatetime(tzinfo=UTC).isoformat(timespec="microseconds")
    if isinstance(value, Struct | ListValue):
        return MessageToDict(value)
    if isinstance(value, Message):
        return view_message(value)
    return value.hex() if isinstance(value, bytes) else value


def _is_map(field: Any) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)
