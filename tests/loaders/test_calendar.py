"""Windows and sessions over daylight saving changes, weekends and odd time zones (S0-15)."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from riskgate.v1 import state_pb2
from server.hotpath import layout
from server.loaders.calendar import Calendar, find_session, find_session_plan, find_window

NONE, ASIAN, TOKYO, LONDON, NEW_YORK, OVERLAP = range(6)


def ns(text: str) -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return round(moment.timestamp()) * layout.SECOND_NS


@pytest.mark.parametrize(
    ("timezone", "now", "day", "week", "month"),
    [
        (
            "UTC",
            "2025-06-18T12:00",
            ("2025-06-18T00:00", "2025-06-19T00:00"),
            ("2025-06-16T00:00", "2025-06-23T00:00"),
            ("2025-06-01T00:00", "2025-07-01T00:00"),
        ),
        # The clock goes forward: this Sunday has 23 hours, its week 167.
        (
            "America/New_York",
            "2025-03-09T12:00",
            ("2025-03-09T05:00", "2025-03-10T04:00"),
            ("2025-03-03T05:00", "2025-03-10T04:00"),
            ("2025-03-01T05:00", "2025-04-01T04:00"),
        ),
        # The clock goes back: 25 hours.
        (
            "Europe/London",
            "2025-10-26T12:00",
            ("2025-10-25T23:00", "2025-10-27T00:00"),
            ("2025-10-19T23:00", "2025-10-27T00:00"),
            ("2025-09-30T23:00", "2025-11-01T00:00"),
        ),
        # Half an hour away from whole hours, and over a year's end.
        (
            "Asia/Kolkata",
            "2024-12-31T18:29:59",
            ("2024-12-30T18:30", "2024-12-31T18:30"),
            ("2024-12-29T18:30", "2025-01-05T18:30"),
            ("2024-11-30T18:30", "2024-12-31T18:30"),
        ),
        (
            "Asia/Kolkata",
            "2024-12-31T18:30",
            ("2024-12-31T18:30", "2025-01-01T18:30"),
            ("2024-12-29T18:30", "2025-01-05T18:30"),
            ("2024-12-31T18:30", "2025-01-31T18:30"),
        ),
        # Midnight itself is skipped: the day begins at 01:00 local time.
        (
            "Africa/Cairo",
            "2024-04-26T12:00",
            ("2024-04-25T22:00", "2024-04-26T21:00"),
            ("2024-04-21T22:00", "2024-04-28T21:00"),
            ("2024-03-31T22:00", "2024-04-30T21:00"),
        ),
        # Midnight happens twice: the first one counts.
        (
            "America/Havana",
            "2025-11-02T12:00",
            ("2025-11-02T04:00", "2025-11-03T05:00"),
            ("2025-10-27T04:00", "2025-11-03T05:00"),
            ("2025-11-01T04:00", "2025-12-01T05:00"),
        ),
        # A whole day never happened.
        (
            "Pacific/Apia",
            "2011-12-30T09:59:59",
            ("2011-12-29T10:00", "2011-12-30T10:00"),
            ("2011-12-26T10:00", "2012-01-01T10:00"),
            ("2011-12-01T10:00", "2011-12-31T10:00"),
        ),
        (
            "Pacific/Apia",
            "2011-12-30T10:00",
            ("2011-12-30T10:00", "2011-12-31T10:00"),
            ("2011-12-26T10:00", "2012-01-01T10:00"),
            ("2011-12-01T10:00", "2011-12-31T10:00"),
        ),
    ],
)
def test_find_window_when_clocks_change_then_boundaries_are_local_midnights(
    timezone: str,
    now: str,
    day: tuple[str, str],
    week: tuple[str, str],
    month: tuple[str, str],
) -> None:
    assert find_window(timezone, ns(now)) == tuple(map(ns, (*day, *week, *month)))


@pytest.mark.parametrize(
    "timezone",
    [
        "America/New_York",
        "America/Sao_Paulo",
        "Australia/Lord_Howe",
        "Asia/Tehran",
        "Europe/Dublin",
        "Africa/Casablanca",
        "Pacific/Chatham",
    ],
)
def test_find_window_when_days_follow_each_other_then_there_is_no_gap(timezone: str) -> None:
    now = ns("2018-01-01T06:00")
    zone = ZoneInfo(timezone)
    for _ in range(3 * 366):
        window = find_window(timezone, now)
        assert window.day_start_ns <= now < window.day_next_ns
        assert window.week_start_ns <= now < window.week_next_ns
        assert window.month_start_ns <= now < window.month_next_ns
        following = find_window(timezone, window.day_next_ns)
        assert following.day_start_ns == window.day_next_ns
        before = find_window(timezone, window.day_next_ns - 1)
        assert before.day_start_ns == window.day_start_ns
        start = datetime.fromtimestamp(window.week_start_ns // layout.SECOND_NS, zone)
        assert start.isoweekday() == 1
        now = window.day_next_ns


@pytest.mark.parametrize(
    ("moment", "session"),
    [
        # Winter: London 08-17 UTC, New York 13-22 UTC, Tokyo 00-09 UTC.
        ("2025-01-14T00:00", TOKYO),
        ("2025-01-14T07:59:59", TOKYO),
        ("2025-01-14T08:00", LONDON),
        ("2025-01-14T13:00", OVERLAP),
        ("2025-01-14T16:59:59", OVERLAP),
        ("2025-01-14T17:00", NEW_YORK),
        ("2025-01-14T21:59:59", NEW_YORK),
        ("2025-01-14T22:00", ASIAN),
        ("2025-01-14T23:59:59", ASIAN),
        # Summer: London 07-16 UTC, New York 12-21 UTC.
        ("2025-07-15T06:59:59", TOKYO),
        ("2025-07-15T07:00", LONDON),
        ("2025-07-15T12:00", OVERLAP),
        ("2025-07-15T16:00", NEW_YORK),
        ("2025-07-15T21:00", ASIAN),
        # New York changed its clocks on 9 March 2025, London only on 30 March.
        ("2025-03-11T12:00", OVERLAP),
        ("2025-03-11T16:59:59", OVERLAP),
        ("2025-03-11T17:00", NEW_YORK),
        ("2025-03-11T21:00", ASIAN),
        # London went back on 26 October 2025, New York on 2 November.
        ("2025-10-28T12:00", OVERLAP),
        ("2025-10-28T07:59:59", TOKYO),
        ("2025-10-28T08:00", LONDON),
        # Weekend: Friday 17:00 to Sunday 17:00 in New York.
        ("2025-01-17T21:59:59", NEW_YORK),
        ("2025-01-17T22:00", NONE),
        ("2025-01-18T12:00", NONE),
        ("2025-01-19T21:59:59", NONE),
        ("2025-01-19T22:00", ASIAN),
        ("2025-07-18T21:00", NONE),
        ("2025-07-20T20:59:59", NONE),
        ("2025-07-20T21:00", ASIAN),
        # The weekend on which New York's clock goes forward ends an hour earlier in UTC.
        ("2025-03-09T20:59:59", NONE),
        ("2025-03-09T21:00", ASIAN),
    ],
)
def test_find_session_when_cities_open_and_close_then_priority_holds(
    moment: str, session: int
) -> None:
    assert find_session(datetime.fromisoformat(moment).replace(tzinfo=UTC)) == session


def test_find_session_plan_when_followed_then_it_equals_a_scan_minute_by_minute() -> None:
    moment = datetime(2025, 3, 7, tzinfo=UTC)
    changes = []
    minutes = [moment + timedelta(minutes=count) for count in range(5 * 24 * 60)]
    for before, after in pairwise(minutes):
        if find_session(before) != find_session(after):
            changes.append((find_session(after), round(after.timestamp()) * layout.SECOND_NS))
    found = []
    now = ns("2025-03-07T00:00") + 1
    while now < ns("2025-03-11T20:00"):
        plan = find_session_plan(now)
        assert plan.session == find_session(datetime.fromtimestamp(now // layout.SECOND_NS, UTC))
        found.append((plan.next_session, plan.next_at_ns))
        now = plan.next_at_ns
    assert found == changes[: len(found)]
    assert len(found) >= len(changes) - 1


class Receiver:
    def __init__(self) -> None:
        self.changes: list[state_pb2.StateChange] = []
        self.is_open = True

    def put(self, change: bytes) -> bool:
        if self.is_open:
            self.changes.append(state_pb2.StateChange.FromString(change))
        return self.is_open


def test_calendar_when_boundaries_pass_then_only_what_changed_is_sent_again() -> None:
    receiver = Receiver()
    now = [ns("2025-06-18T12:30")]
    calendar = Calendar(receiver.put, clock_ns=lambda: now[0])
    calendar.add_timezone("Europe/London")
    calendar.add_timezone("Europe/London")
    calendar.refresh()
    calendar.refresh()
    kinds = [change.kind for change in receiver.changes]
    assert kinds == [state_pb2.CHANGE_KIND_WINDOW, state_pb2.CHANGE_KIND_SESSION]
    assert all(change.version == 0 for change in receiver.changes)
    window = np.frombuffer(receiver.changes[0].rows, layout.WINDOW)[0]
    assert layout.text(window["timezone"]) == "Europe/London"
    assert window["day_start_ns"] == ns("2025-06-17T23:00")
    session = np.frombuffer(receiver.changes[1].rows, layout.CHANGE_SESSION)[0]
    assert tuple(session) == (OVERLAP, NEW_YORK, ns("2025-06-18T16:00"))
    now[0] = ns("2025-06-18T16:00")
    calendar.refresh()
    assert [change.kind for change in receiver.changes[2:]] == [state_pb2.CHANGE_KIND_SESSION]
    now[0] = ns("2025-06-18T23:00")
    calendar.refresh()
    assert {change.kind for change in receiver.changes[3:]} == {10, 14}
    window = np.frombuffer(receiver.changes[3].rows, layout.WINDOW)[0]
    assert window["day_start_ns"] == ns("2025-06-18T23:00")


def test_calendar_when_a_change_is_not_taken_then_it_is_sent_again_later() -> None:
    receiver = Receiver()
    receiver.is_open = False
    calendar = Calendar(receiver.put, clock_ns=lambda: ns("2025-06-18T12:30"))
    calendar.add_timezone("UTC")
    receiver.is_open = True
    calendar.add_timezone("UTC")
    assert [change.key for change in receiver.changes] == ["UTC"]


@pytest.mark.parametrize("timezone", ["Mars/Phobos", "../../etc/passwd", "/etc/passwd", "", "."])
def test_calendar_when_the_timezone_is_unknown_then_nothing_is_sent(timezone: str) -> None:
    receiver = Receiver()
    calendar = Calendar(receiver.put, clock_ns=lambda: ns("2025-06-18T12:30"))
    calendar.add_timezone(timezone)
    assert receiver.changes == []
