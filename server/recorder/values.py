"""Values of messages as the record keeps them: names for numbers, decimals for doubles."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Final, Protocol

from riskgate.v1 import decision_pb2, types_pb2

_NS_PER_S: Final = 1_000_000_000
_DAY_S: Final = 86_400
UNIX_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Timestamp(Protocol):
    """google.protobuf.Timestamp."""

    seconds: int
    nanos: int


class Names(dict[int, str]):
    """Number → lower-case name of an enumeration; "" for 0, the digits of an unknown number."""

    def __missing__(self, number: int) -> str:
        """Name a number that this release does not know."""
        return str(number)


def _names(descriptor: object, prefix: str) -> Names:
    values = descriptor.values_by_number  # type: ignore[attr-defined]
    named = {number: value.name.removeprefix(prefix).lower() for number, value in values.items()}
    return Names(named | {0: ""})


_ENUMS: Final = types_pb2.DESCRIPTOR.enum_types_by_name
SIDES: Final = _names(_ENUMS["Side"], "SIDE_")
PROVIDER_TYPES: Final = _names(_ENUMS["ProviderType"], "PROVIDER_TYPE_")
VERDICTS: Final = _names(_ENUMS["Verdict"], "VERDICT_")
MODES: Final = _names(_ENUMS["Mode"], "MODE_")
DURABILITIES: Final = _names(_ENUMS["Durability"], "DURABILITY_")
SESSIONS: Final = _names(_ENUMS["TradingSession"], "TRADING_SESSION_")
REPORT_KINDS: Final = _names(_ENUMS["ReportKind"], "REPORT_KIND_")
REASONS: Final = _names(_ENUMS["Reason"], "REASON_")
UNITS: Final = _names(_ENUMS["Unit"], "UNIT_")
STATUSES: Final = _names(_ENUMS["CheckStatus"], "CHECK_STATUS_")
OUTCOMES: Final = _names(
    decision_pb2.DESCRIPTOR.enum_types_by_name["ReportOutcome"], "REPORT_OUTCOME_"
)


@lru_cache(maxsize=65_536)
def to_decimal(number: float) -> Decimal | None:
    """Return the shortest decimal that is this double; None for what is no number."""
    if number - number != 0.0:  # infinite or NaN
        return None
    return Decimal(repr(number))


def clean(text: str) -> str:
    """Return a text without the one character that PostgreSQL cannot hold, of the same length."""
    return text.replace("\0", "?") if "\0" in text else text


def to_unix_ns(time: Timestamp) -> int:
    """Return a protobuf time in Unix nanoseconds."""
    return time.seconds * _NS_PER_S + time.nanos


def to_datetime(unix_ns: int) -> datetime:
    """Return a clock reading as the record keeps it, in whole microseconds."""
    return UNIX_EPOCH + timedelta(microseconds=unix_ns // 1_000)


def day_of(unix_ns: int) -> int:
    """Return the UTC day, counted from 1970-01-01."""
    return unix_ns // (_NS_PER_S * _DAY_S)


@lru_cache(maxsize=1_024)
def weekday_of(day: int) -> int:
    """Return the ISO weekday, 1 for Monday, of a day counted from 1970-01-01."""
    return datetime.fromtimestamp(day * _DAY_S, UTC).isoweekday()
