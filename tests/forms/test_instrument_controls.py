"""Collars, restrictions and trading hours of instruments: what is read, what is refused, where."""

from decimal import Decimal
from typing import Any

import pytest

from riskgate.v1 import reference_pb2 as pb
from server.entities import TradingHours
from server.errors import InvalidFieldError
from server.forms.reference import read_instrument, write_instrument
from tests.control_harness import eurusd


def hours(day: int | None, opens: str, closes: str) -> pb.TradingHours:
    return pb.TradingHours(day_of_week=day, opens=opens, closes=closes)


def refused(**changes: Any) -> tuple[str, str]:
    with pytest.raises(InvalidFieldError) as error:
        read_instrument(eurusd(**changes))
    return error.value.field, error.value.problem


def test_an_instrument_that_says_nothing_is_free() -> None:
    instrument = read_instrument(eurusd())
    assert not instrument.restricted
    assert (instrument.collar_fraction, instrument.collar_window_fraction) == (None, None)
    assert (instrument.trading_hours, instrument.hours_timezone) == ((), "")


def test_what_is_read_is_written_again() -> None:
    message = eurusd(
        exchange="fx",
        restricted=True,
        default_slippage_pips=0,
        commission_per_lot=0,
        collar_percentage=0.5,
        collar_window_percentage=3.1234,
        collar_window_ms=60_000,
        hours_timezone="America/New_York",
        trading_hours=[hours(1, "09:30", "16:00"), hours(7, "00:00", "24:00")],
    )
    instrument = read_instrument(message)
    assert instrument.collar_fraction == Decimal("0.005")
    assert instrument.trading_hours[1] == TradingHours(
        day_of_week=7, opens_minute=0, closes_minute=1_440
    )
    assert write_instrument(instrument) == message


@pytest.mark.parametrize("name", ["collar_percentage", "collar_window_percentage"])
@pytest.mark.parametrize("value", [0, -1, 100.5, 0.00001, float("nan"), float("inf")])
def test_a_collar_of_0_or_out_of_range_is_refused(name: str, value: float) -> None:
    assert refused(**{name: value}, collar_window_ms=1_000)[0] == f"instrument.{name}"


@pytest.mark.parametrize("changes", [{"collar_window_percentage": 1}, {"collar_window_ms": 60_000}])
def test_a_window_collar_needs_both_of_its_numbers(changes: dict[str, Any]) -> None:
    assert refused(**changes) == (
        "instrument.collar_window_ms",
        "goes together with collar_window_percentage",
    )


@pytest.mark.parametrize("value", [0, 86_400_001])
def test_the_window_of_a_collar_is_a_day_at_most(value: int) -> None:
    found = refused(collar_window_percentage=1, collar_window_ms=value)
    assert found[0] == "instrument.collar_window_ms"


def test_hours_without_a_zone_are_in_utc_and_a_zone_without_hours_is_refused() -> None:
    instrument = read_instrument(eurusd(trading_hours=[hours(1, "00:00", "00:01")]))
    assert instrument.hours_timezone == "UTC"
    assert refused(hours_timezone="UTC") == ("instrument.hours_timezone", "needs trading_hours")
    found = refused(hours_timezone="Mars/Base", trading_hours=[hours(1, "00:00", "24:00")])
    assert found == ("instrument.hours_timezone", "is not an IANA time zone")


def test_hours_are_put_into_the_order_of_the_week_and_may_touch() -> None:
    given = [hours(2, "12:00", "24:00"), hours(1, "10:00", "24:00"), hours(2, "00:00", "12:00")]
    read = read_instrument(eurusd(trading_hours=given)).trading_hours
    assert [(each.day_of_week, each.opens_minute) for each in read] == [(1, 600), (2, 0), (2, 720)]


@pytest.mark.parametrize(
    ("given", "field", "problem"),
    [
        (hours(None, "09:00", "10:00"), "day_of_week", "is required"),
        (hours(0, "09:00", "10:00"), "day_of_week", "at least 1"),
        (hours(8, "09:00", "10:00"), "day_of_week", "at most 7"),
        (hours(1, "", "10:00"), "opens", "is required"),
        (hours(1, "9:00", "10:00"), "opens", "must be a time"),
        (hours(1, "24:00", "24:00"), "opens", "must be a time"),
        (hours(1, "09:00", "24:01"), "closes", "must be a time"),
        (hours(1, "09:60", "10:00"), "opens", "must be a time"),
        (hours(1, "09:00 ", "10:00"), "opens", "must be a time"),
        (hours(1, "09:00", "09:00"), "closes", "must be behind opens"),
        (hours(1, "22:00", "02:00"), "closes", "must be behind opens"),
    ],
)
def test_malformed_hours_are_refused_by_their_place(
    given: pb.TradingHours, field: str, problem: str
) -> None:
    found = refused(trading_hours=[hours(1, "05:00", "06:00"), given])
    assert found[0] == f"instrument.trading_hours[1].{field}"
    assert problem in found[1]


def test_hours_that_overlap_or_are_too_many_are_refused() -> None:
    overlapping = [hours(3, "09:00", "12:00"), hours(3, "11:59", "13:00")]
    place = "instrument.trading_hours"
    assert refused(trading_hours=overlapping) == (place, "overlap on day 3")
    many = [hours(1, f"{hour:02d}:00", f"{hour:02d}:30") for hour in range(15)]
    assert refused(trading_hours=many) == (place, "must have at most 14 entries")
    assert len(read_instrument(eurusd(trading_hours=many[:14])).trading_hours) == 14
