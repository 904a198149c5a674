"""Readers of message fields: each returns a checked value or refuses by the path of the field.

A double is taken as the shortest decimal that prints the same, which is what the caller wrote.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from server.errors import InvalidFieldError
from server.note import Note

ID_BYTES_MAX: Final = 64
NAME_BYTES_MAX: Final = 32
REASON_BYTES_MAX: Final = 256
# How far a caller's clock may run ahead of ours.
FUTURE_S_MAX: Final = 60
_PRINTABLE: Final = re.compile(r"[!-~]([ -~]*[!-~])?")
_CURRENCY: Final = re.compile(r"[A-Z0-9]{3,8}")
_PERCENT: Final = Decimal(100)


def require(message: Message, name: str, path: str = "") -> Any:
    """Return a sub-message that must be there."""
    if not message.HasField(name):
        raise InvalidFieldError(join(path, name), "is required")
    return getattr(message, name)


@contextmanager
def inside(path: str) -> Iterator[None]:
    """Name a field that is refused further in by its path in the request."""
    try:
        yield
    except InvalidFieldError as error:
        name = error.field
        if name.endswith("_fraction"):
            name = name.removesuffix("_fraction") + "_percentage"
        raise InvalidFieldError(join(path, name), error.problem) from error


def join(path: str, name: str) -> str:
    """Return the path of a field inside its parent."""
    if not path or name.startswith("["):
        return path + name
    return f"{path}.{name}"


def number(
    message: Message, name: str, low: str, high: str, *, path: str = "", above_low: bool = False
) -> Decimal:
    """Return a required number between two bounds.

    Args:
        message: holder of the field.
        name: field of type `optional double` or of an unsigned integer type.
        low: least value; with `above_low` the value must be larger.
        high: greatest value.
        path: path of the message in the request.
        above_low: exclude the lower bound.
    """
    if not message.HasField(name):
        raise InvalidFieldError(join(path, name), "is required")
    value = Decimal(repr(getattr(message, name)))
    if not value.is_finite():
        raise InvalidFieldError(join(path, name), "must be a finite number")
    if not Decimal(low) <= value <= Decimal(high) or (above_low and value == Decimal(low)):
        relation = "above" if above_low else "at least"
        raise InvalidFieldError(join(path, name), f"must be {relation} {low} and at most {high}")
    return value


def optional_number(
    message: Message, name: str, low: str, high: str, *, path: str = "", above_low: bool = False
) -> Decimal | None:
    """Return a number between two bounds, or None when it is absent."""
    if not message.HasField(name):
        return None
    return number(message, name, low, high, path=path, above_low=above_low)


def fraction(
    message: Message, name: str, high: str = "100", *, path: str = "", above_zero: bool = False
) -> Decimal:
    """Return a required percent as a fraction."""
    value = number(message, name, "0", high, path=path, above_low=above_zero)
    return on_grid(value, 4, name, path) / _PERCENT


def optional_fraction(
    message: Message, name: str, *, path: str = "", above_zero: bool = False
) -> Decimal | None:
    """Return a percent as a fraction, or None when it is absent."""
    if not message.HasField(name):
        return None
    return fraction(message, name, path=path, above_zero=above_zero)


def percent(value: Decimal) -> float:
    """Return a fraction as percent."""
    return float(value * _PERCENT)


def on_grid(value: Decimal, decimals: int, name: str, path: str = "") -> Decimal:
    """Return the value when it has at most so many decimals."""
    if value != round(value, decimals):
        raise InvalidFieldError(join(path, name), f"must have at most {decimals} decimals")
    return value


def whole(message: Message, name: str, low: int, high: int, *, path: str = "") -> int:
    """Return a required whole number between two bounds."""
    return int(number(message, name, str(low), str(high), path=path))


def optional_whole(
    message: Message, name: str, low: int, high: int, *, path: str = ""
) -> int | None:
    """Return a whole number between two bounds, or None when it is absent."""
    return whole(message, name, low, high, path=path) if message.HasField(name) else None


def label(value: str, name: str, *, bytes_max: int, required: bool, path: str = "") -> str:
    """Return printable ASCII text of a bounded length without blanks at its ends."""
    if not value:
        if required:
            raise InvalidFieldError(join(path, name), "is required")
        return value
    if len(value.encode()) > bytes_max:
        raise InvalidFieldError(join(path, name), f"must be at most {bytes_max} bytes")
    if not _PRINTABLE.fullmatch(value):
        raise InvalidFieldError(join(path, name), "must be printable ASCII")
    return value


def identifier(value: str, name: str, *, path: str = "") -> str:
    """Return a required id of up to 64 bytes."""
    return label(value, name, bytes_max=ID_BYTES_MAX, required=True, path=path)


def symbol(value: str, name: str = "symbol", *, path: str = "") -> str:
    """Return a required symbol of up to 32 bytes."""
    return label(value, name, bytes_max=NAME_BYTES_MAX, required=True, path=path)


def prose(value: str, name: str, *, bytes_max: int, path: str = "") -> str:
    """Return free text of a bounded length."""
    if len(value.encode()) > bytes_max:
        raise InvalidFieldError(join(path, name), f"must be at most {bytes_max} bytes")
    if "\0" in value:
        raise InvalidFieldError(join(path, name), "must not hold a zero byte")
    return value


def currency(value: str, name: str, *, path: str = "") -> str:
    """Return a currency code."""
    if not _CURRENCY.fullmatch(value):
        raise InvalidFieldError(join(path, name), "must be 3 to 8 capital letters or digits")
    return value


def choice(
    value: int, names: Mapping[str, int], name: str, *, default: str | None = None, path: str = ""
) -> str:
    """Return the word for an enum number; 0 is the default, or refused when there is none."""
    if value == 0 and default is not None:
        return default
    for word, known in names.items():
        if known == value:
            return word
    raise InvalidFieldError(join(path, name), "is required" if value == 0 else "is unknown")


def moment(
    message: Message, name: str, *, path: str = "", now: datetime | None = None
) -> datetime | None:
    """Return a timestamp as aware UTC, or None when it is absent."""
    if not message.HasField(name):
        return None
    stamp: Timestamp = getattr(message, name)
    try:
        value = stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidFieldError(join(path, name), "is not a timestamp") from error
    ahead_s = (value - (now or datetime.now(UTC))).total_seconds()
    if value.year < 1971 or ahead_s > FUTURE_S_MAX:  # noqa: PLR2004 - before any clock of ours
        raise InvalidFieldError(join(path, name), "must not lie in the future or before 1971")
    return value


def timestamp(value: datetime | None) -> Timestamp | None:
    """Return an aware time as a timestamp message; None stays None."""
    if value is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(value)
    return stamp


def note(message: Message) -> Note:
    """Return who asks and why; both may be empty."""
    given = getattr(message, "note")  # noqa: B009 - every writing request has one
    return Note(
        actor=label(given.actor, "note.actor", bytes_max=ID_BYTES_MAX, required=False),
        reason=prose(given.reason, "note.reason", bytes_max=REASON_BYTES_MAX),
    )
