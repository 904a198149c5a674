"""Trading hours by the minute, on days of 23, 24 and 25 hours too."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest

from server.hotpath.hours import _minute_of_week_nb
from server.hotpath.jit import routine
from server.hotpath.layout import SECOND_NS, words
from server.hotpath.reasons import (
    R_HOURS_MISSING,
    R_SESSION_CLOSED,
    S_ABSENT,
    S_NOT_APPLICABLE,
    S_PASS,
)
from server.loaders.calendar import find_window
from tests.control_desk import ALLOW, DENY, SELL, ControlDesk, denials
from tests.desk import DAY_NS, NOW_NS

MINUTE_NS: Final = 60 * SECOND_NS
# 2026-02-02 02:40 UTC, a Monday.
MONDAY_NS: Final = NOW_NS - 160 * MINUTE_NS
HOUR: Final = 60
DAY: Final = 24 * HOUR


def hours(*periods: tuple[int, int], zone: str = "Etc/GMT") -> dict[str, Any]:
    opens, closes = [0] * 14, [0] * 14
    for at, (opened, closed) in enumerate(periods):
        opens[at], closes[at] = opened, closed
    return {
        "hours_timezone": words(zone, 4),
        "hours_count": len(periods),
        "hours_open_minute": opens,
        "hours_close_minute": closes,
    }


def desk_with(*periods: tuple[int, int]) -> ControlDesk:
    desk = ControlDesk(instrument=hours(*periods))
    put_days(desk)
    return desk


def put_days(desk: ControlDesk) -> None:
    """Tell the engine the day of the desk's time in UTC."""
    window = find_window("UTC", desk.now_ns)
    desk.put_window("Etc/GMT", **window._asdict())


def is_open(desk: ControlDesk) -> bool:
    decision = desk.order(dry_run=True)
    assert denials(decision) <= {R_SESSION_CLOSED}
    return bool(decision["status"][R_SESSION_CLOSED] == S_PASS)


def test_without_hours_an_instrument_is_always_open() -> None:
    decision = ControlDesk().order()
    assert decision["verdict"] == ALLOW
    assert decision["status"][R_HOURS_MISSING] == S_NOT_APPLICABLE
    assert decision["status"][R_SESSION_CLOSED] == S_NOT_APPLICABLE


def test_it_is_open_from_the_first_minute_and_closed_in_the_last() -> None:
    desk = desk_with((160, 162))
    assert is_open(desk)  # 02:40:00
    desk.pass_time(ns=2 * MINUTE_NS - 1)
    assert is_open(desk)
    desk.pass_time(ns=1)
    decision = desk.order()
    assert (decision["verdict"], denials(decision)) == (DENY, {R_SESSION_CLOSED})
    assert decision["binding"] == R_SESSION_CLOSED + 1
    assert decision["largest_passing_lots"] == 0.0


def test_before_the_first_minute_it_is_closed() -> None:
    assert not is_open(desk_with((161, 300)))


def test_any_of_fourteen_periods_opens_it() -> None:
    closed = [(300 + 10 * number, 305 + 10 * number) for number in range(13)]
    assert not is_open(desk_with(*closed))
    assert is_open(desk_with(*closed, (100, 200)))


# Monday 00:00 is minute 0, Sunday 24:00 minute 10,080.
@pytest.mark.parametrize("day", range(7))
def test_each_day_of_the_week_has_its_minutes(day: int) -> None:
    noon = day * DAY + 12 * HOUR
    desk = ControlDesk(instrument=hours((noon, noon + 1)))
    desk.now_ns = MONDAY_NS + day * DAY_NS + 12 * HOUR * MINUTE_NS
    desk.pass_time()
    put_days(desk)
    assert is_open(desk)
    desk.pass_time(seconds=60)
    assert not is_open(desk)


def test_a_day_that_nobody_has_announced_yet_is_counted_from_its_beginning() -> None:
    desk = desk_with((DAY + 60, DAY + 61))  # Tuesday 01:00
    desk.pass_time(seconds=(DAY + 60 - 160) * 60)
    assert is_open(desk)
    desk.pass_time(seconds=60)
    assert not is_open(desk)


@pytest.mark.parametrize(
    "window",
    [{}, {"day_start_ns": MONDAY_NS}, {"week_start_ns": MONDAY_NS, "day_next_ns": NOW_NS}],
)
def test_hours_in_a_time_zone_without_days_deny(window: dict[str, int]) -> None:
    desk = ControlDesk(instrument=hours((0, 7 * DAY)))
    if window:
        desk.put_window("Etc/GMT", **window)
    decision = desk.order()
    assert denials(decision) == {R_HOURS_MISSING}
    assert decision["status"][R_SESSION_CLOSED] == S_ABSENT
    assert decision["largest_passing_lots"] == 0.0


def test_an_exit_leaves_when_it_is_closed_or_nobody_knows() -> None:
    desk = ControlDesk()
    desk.report(desk.order(0.2), 3, 0.2)
    desk.put_instrument(**hours((0, 1)))
    assert desk.order(side=SELL, exits=True)["verdict"] == ALLOW
    put_days(desk)
    desk.put_instrument(**hours((0, 1)))
    assert desk.order(side=SELL, exits=True)["verdict"] == ALLOW


# --- When clocks change ---


@routine
def minute_of_week_nb(window: Any, now_ns: int) -> int:
    return _minute_of_week_nb(window, now_ns)


def by_the_clock(moment: datetime) -> int:
    return (moment.isoweekday() - 1) * DAY + moment.hour * HOUR + moment.minute


# London: 2026-03-29 01:00 UTC and 2026-10-25 01:00 UTC. New York: 2026-03-08 07:00 UTC and
# 2026-11-01 06:00 UTC. Lord Howe moves by half an hour, Sao Paulo does not move.
@pytest.mark.parametrize("zone", ["Europe/London", "America/New_York", "Australia/Lord_Howe",
                                  "America/Sao_Paulo"])  # fmt: skip
@pytest.mark.parametrize("first", ["2026-03-06", "2026-03-27", "2026-04-03", "2026-10-02",
                                   "2026-10-23", "2026-10-30"])  # fmt: skip
def test_behind_four_in_the_morning_the_minute_is_that_of_the_clock(zone: str, first: str) -> None:
    desk, place = ControlDesk(), ZoneInfo(zone)
    moment = datetime.fromisoformat(first).replace(tzinfo=UTC)
    for _ in range(4 * DAY // 7):
        moment += timedelta(minutes=7)
        now_ns = int(moment.timestamp()) * SECOND_NS
        desk.put_window(zone, **find_window(zone, now_ns)._asdict())
        row = desk.engine.state.windows.rows[2]
        found, local = minute_of_week_nb(row, now_ns), moment.astimezone(place)
        if local.hour >= 4:
            assert found == by_the_clock(local), local
        else:
            assert found // DAY == local.isoweekday() - 1, local
            assert found % DAY < 4 * HOUR, local


def test_london_opens_at_eight_on_the_sunday_of_the_change() -> None:
    opened = 6 * DAY + 8 * HOUR
    desk = ControlDesk(instrument=hours((opened, opened + 60), zone="Europe/London"))
    eight = datetime(2026, 3, 29, 8, tzinfo=ZoneInfo("Europe/London"))
    desk.now_ns = int(eight.timestamp()) * SECOND_NS - 1
    desk.put_window("Europe/London", **find_window("Europe/London", desk.now_ns)._asdict())
    desk.pass_time()
    assert not is_open(desk)
    desk.pass_time(ns=1)
    assert is_open(desk)
