"""Trading hours of instruments: message to entity and back."""

import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Final

from riskgate.v1 import reference_pb2 as pb
from server.entities import TradingHours
from server.errors import InvalidFieldError
from server.forms import fields
from server.hotpath.layout import TRADING_HOURS_MAX

_CLOCK: Final = re.compile(r"(?P<hour>[01][0-9]|2[0-3]):(?P<minute>[0-5][0-9])")
_MIDNIGHT: Final = "24:00"
_DAY_MINUTES: Final = 1_440


def read_trading_hours(messages: Iterable[pb.TradingHours], path: str) -> tuple[TradingHours, ...]:
    """Return trading hours in the order of the week.

    Raises:
        InvalidFieldError: One is malformed, or ends before it begins, or overlaps another, or there
            are more than 14.
    """
    hours = [_read(message, f"{path}[{index}]") for index, message in enumerate(messages)]
    if len(hours) > TRADING_HOURS_MAX:
        raise InvalidFieldError(path, f"must have at most {TRADING_HOURS_MAX} entries")
    hours.sort(key=lambda each: (each.day_of_week, each.opens_minute))
    for before, after in pairwise(hours):
        is_same_day = before.day_of_week == after.day_of_week
        if is_same_day and after.opens_minute < before.closes_minute:
            raise InvalidFieldError(path, f"overlap on day {after.day_of_week}")
    return tuple(hours)


def write_trading_hours(hours: TradingHours) -> pb.TradingHours:
    """Return the message that describes them."""
    return pb.TradingHours(
        day_of_week=hours.day_of_week,
        opens=_write_clock(hours.opens_minute),
        closes=_write_clock(hours.closes_minute),
    )


def _read(message: pb.TradingHours, path: str) -> TradingHours:
    opens = _read_clock(message.opens, "opens", path)
    closes = _read_clock(message.closes, "closes", path)
    if closes <= opens:
        raise InvalidFieldError(fields.join(path, "closes"), "must be behind opens")
    return TradingHours(
        day_of_week=fields.whole(message, "day_of_week", 1, 7, path=path),
        opens_minute=opens,
        closes_minute=closes,
    )


def _read_clock(text: str, name: str, path: str) -> int:
    if name == "closes" and text == _MIDNIGHT:
        return _DAY_MINUTES
    match = _CLOCK.fullmatch(text)
    if match is None:
        problem = "is required" if not text else "must be a time such as 09:30"
        raise InvalidFieldError(fields.join(path, name), problem)
    return int(match["hour"]) * 60 + int(match["minute"])


def _write_clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
