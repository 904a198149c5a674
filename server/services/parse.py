"""Raw bytes to a message, with the field named when its text is not UTF-8.

The decision port takes raw bytes so that a malformed message ends here, in a typed error, and not
inside gRPC, which would answer UNKNOWN with the text of the exception. Only google.protobuf parses;
the fields of a message that it refused are found by reading the same bytes as a message without any
known field.
"""

from collections.abc import Iterator
from typing import Any, Final, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from server.errors import InvalidFieldError

M = TypeVar("M", bound=Message)

# No message of the contract nests deeper.
_DEPTH_MAX: Final = 8
_WIRE_VARINT: Final = 0
_WIRE_BYTES: Final = 2


def parse(message_class: type[M], raw: bytes) -> M:
    """Parse a message.

    Raises:
        InvalidFieldError: The bytes are not that message; names the first text field that is not
            UTF-8 by its dotted path, else `request`.
    """
    try:
        return message_class.FromString(raw)
    except DecodeError:
        path = _find_bad_text(message_class.DESCRIPTOR, raw, "", _DEPTH_MAX)
    if path:
        raise InvalidFieldError(path, "is not valid UTF-8")
    raise InvalidFieldError("request", "is not a valid message")


def split_fields(raw: bytes) -> list[tuple[int, bytes | int]]:
    """Return number and content of each length-delimited or varint field, without reading inside.

    Raises:
        InvalidFieldError: The bytes are no message at all.
    """
    try:
        # Any: the type stubs do not know that it can be iterated.
        fields: Any = UnknownFieldSet(Empty.FromString(raw))
    except DecodeError as error:
        raise InvalidFieldError("request", "is not a valid message") from error
    return [
        (field.field_number, field.data)
        for field in fields
        if field.wire_type in {_WIRE_VARINT, _WIRE_BYTES}
    ]


def _find_bad_text(descriptor: Any, raw: bytes, prefix: str, depth: int) -> str:
    """Return the path of the first text field that is not UTF-8, "" if there is none."""
    try:
        fields = list(split_fields(raw))
    except InvalidFieldError:
        return ""
    for field, content, path in _known_fields(descriptor, fields, prefix):
        if field.type == FieldDescriptor.TYPE_STRING:
            try:
                content.decode()
            except UnicodeDecodeError:
                return path
        elif field.type == FieldDescriptor.TYPE_MESSAGE and depth > 1:
            found = _find_bad_text(field.message_type, content, f"{path}.", depth - 1)
            if found:
                return found
    return ""


def _known_fields(
    descriptor: Any, fields: list[tuple[int, bytes | int]], prefix: str
) -> Iterator[tuple[FieldDescriptor, bytes, str]]:
    seen: dict[int, int] = {}
    for number, content in fields:
        field = descriptor.fields_by_number.get(number)
        if field is None or not isinstance(content, bytes):
            continue
        path = f"{prefix}{field.name}"
        if field.is_repeated:
            path = f"{path}[{seen.setdefault(number, 0)}]"
            seen[number] += 1
        yield field, content, path
