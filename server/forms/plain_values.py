"""Plain values, as JSON and YAML give them, to messages and back; any field of any message.

Names are those of the contract, which took them over from its origin. What differs from the JSON
form of protobuf: an enum is a lower-case word without its prefix, whole numbers of 64 bits are
numbers, and a value of the wrong type is refused by its path instead of being converted.
"""

import math
import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any, Final, NoReturn, TypeVar

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.message import Message

from server.errors import InvalidFieldError

M = TypeVar("M", bound=Message)
# A FieldDescriptor: the type stubs know two classes of that name.
Field = Any

TIMESTAMP: Final = "google.protobuf.Timestamp"
# What holds any JSON value.
FREE: Final = frozenset({"google.protobuf.Struct", "google.protobuf.ListValue"})
WHOLE_TYPES: Final = frozenset(
    {
        *(FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_UINT32),
        *(FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_SINT32, FieldDescriptor.TYPE_SINT64),
    }
)
NUMBER_TYPES: Final = frozenset({FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT})
# Words of the origin that are not the name in the contract.
_WORDS: Final = {("riskgate.v1.BreakerAction", "CLOSE"): "close_position"}


@cache
def enum_words(enum: EnumDescriptor) -> dict[str, int]:
    """Return the number behind each word of an enum; 0, which says nothing, has none."""
    prefix = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", enum.name).upper() + "_"
    names = {value.name.removeprefix(prefix): value.number for value in enum.values if value.number}
    return {
        _WORDS.get((enum.full_name, name), name.lower()): number for name, number in names.items()
    }


def is_map(field: Field) -> bool:
    """Tell whether a field is a map."""
    return bool(field.message_type and field.message_type.GetOptions().map_entry)


def read_plain(message: M, values: Any, path: str = "") -> M:
    """Set the fields of a message that an object names; null leaves one as it is.

    Args:
        message: Filled and returned.
        values: Object of field names and values.
        path: Of the message in the request.

    Raises:
        InvalidFieldError: It is no object, or a name in it is unknown, or a value of another type.
    """
    if not isinstance(values, Mapping):
        _refuse(path, "must be an object")
    for name, value in values.items():
        place = f"{path}.{name}" if path else str(name)
        field = message.DESCRIPTOR.fields_by_name.get(name)
        if field is None:
            _refuse(place, "is unknown")
        if value is None:
            continue
        try:
            _read_field(message, field, value, place)
        except (ValueError, TypeError, OverflowError, ParseError) as error:
            # What protobuf does not take although the type is right; its words may quote values.
            raise InvalidFieldError(place, "is out of range or malformed") from error
    return message


def write_plain(message: Message) -> dict[str, Any]:
    """Return the fields of a message; those that are absent are left out."""
    return {
        field.name: _write_field(field, getattr(message, field.name))
        for field in message.DESCRIPTOR.fields
        if not field.has_presence or message.HasField(field.name)
        if not (field.enum_type and not field.is_repeated and not getattr(message, field.name))
    }


def _read_field(message: Message, field: Field, value: Any, place: str) -> None:
    target = getattr(message, field.name)
    if is_map(field):
        _read_map(target, field.message_type.fields_by_name["value"], value, place)
    elif field.is_repeated:
        if not isinstance(value, list | tuple):
            _refuse(place, "must be a list")
        for position, item in enumerate(value):
            inner = f"{place}[{position}]"
            if field.message_type is not None:
                _read_message(target.add(), item, inner)
            else:
                target.append(_read_scalar(field, item, inner))
    elif field.message_type is not None:
        target.SetInParent()
        _read_message(target, value, place)
    else:
        setattr(message, field.name, _read_scalar(field, value, place))


def _read_map(target: Any, inner: Field, value: Any, place: str) -> None:
    if not isinstance(value, Mapping):
        _refuse(place, "must be an object")
    for key, item in value.items():
        if inner.message_type is not None:
            _read_message(target[key], item, f"{place}.{key}")
        else:
            target[key] = _read_scalar(inner, item, f"{place}.{key}")


def _read_message(target: Any, value: Any, place: str) -> None:
    kind = target.DESCRIPTOR.full_name
    if kind in FREE:
        ParseDict(value, target)
    elif kind != TIMESTAMP:
        read_plain(target, value, place)
    elif isinstance(value, datetime):
        target.FromDatetime(value)
    elif isinstance(value, str):
        target.FromJsonString(value)
    else:
        _refuse(place, "must be a time such as 2026-01-31T12:00:00Z")


def _read_scalar(field: Field, value: Any, place: str) -> Any:
    if field.enum_type is not None:
        number = enum_words(field.enum_type).get(value) if isinstance(value, str) else None
        return _refuse(place, "is unknown") if number is None else number
    if field.type == FieldDescriptor.TYPE_STRING:
        return value if isinstance(value, str) else _refuse(place, "must be text")
    if field.type == FieldDescriptor.TYPE_BOOL:
        return value if isinstance(value, bool) else _refuse(place, "must be true or false")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _refuse(place, "must be a number")
    if not math.isfinite(value):
        return _refuse(place, "must be a finite number")
    if field.type in NUMBER_TYPES:
        return float(value)
    return int(value) if value == int(value) else _refuse(place, "must be a whole number")


def _write_field(field: Field, value: Any) -> Any:
    if is_map(field):
        inner = field.message_type.fields_by_name["value"]
        return {key: _write_value(inner, value[key]) for key in sorted(value)}
    if field.is_repeated:
        return [_write_value(field, item) for item in value]
    return _write_value(field, value)


def _write_value(field: Field, value: Any) -> Any:
    if field.enum_type is not None:
        words = {number: word for word, number in enum_words(field.enum_type).items()}
        return words.get(value)
    if field.message_type is None:
        return value
    kind = field.message_type.full_name
    if kind == TIMESTAMP:
        return value.ToJsonString()
    return MessageToDict(value) if kind in FREE else write_plain(value)


def _refuse(place: str, problem: str) -> NoReturn:
    raise InvalidFieldError(place or "body", problem)
