"""When days, weeks, months and trading sessions begin and end, in UTC.

The engine knows no time zones: it is told the boundaries. The functions are pure; `Calendar` hands
their results to the engine as changes, at start, for each new time zone, and again after a boundary
was passed. Each change names the present window and the next boundary, so the engine is right for
a whole window even when nobody calls.

Sessions: TOKYO 09-18 Asia/Tokyo, LONDON 08-17 Europe/London, NEW_YORK 08-17 America/New_York,
OVERLAP while London and New York are both open, ASIAN 21-24 UTC when nothing else is. Closed from
Friday 17:00 to Sunday 17:00 New York. Artifacts are trained with the same table.
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from riskgate.v1 import state_pb2, types_pb2
from server.errors import BrokenInvariantError
from server.hotpath import layout

log = logging.getLogger(__name__)

CHECK_INTERVAL_S: Final = 30.0

_TOKYO: Final = ZoneInfo("Asia/Tokyo")
_LONDON: Final = ZoneInfo("Europe/London")
_NEW_YORK: Final = ZoneInfo("America/New_York")
_CLOSE_HOUR: Final = 17
_OFFICE_HOURS: Final = range(8, _CLOSE_HOUR)
_TOKYO_HOURS: Final = range(9, 18)
_ASIAN_FROM_HOUR: Final = 21
_FRIDAY, _SATURDAY, _SUNDAY = 5, 6, 7
_HOUR: Final = timedelta(hours=1)
# A weekend is 48 hours; nothing stays as it is for longer than this.
_SESSION_HOURS_MAX: Final = 96


class Window(NamedTuple):
    """Start and next start of the present day, week and month, Unix nanoseconds."""

    day_start_ns: int
    day_next_ns: int
    week_start_ns: int
    week_next_ns: int
    month_start_ns: int
    month_next_ns: int


class SessionPlan(NamedTuple):
    """The session now (riskgate.v1.TradingSession), the next one, and when it begins."""

    session: int
    next_session: int
    next_at_ns: int


def find_window(timezone: str, now_ns: int) -> Window:
    """Return the windows around a moment; weeks begin on Monday.

    Args:
        timezone: IANA name.
        now_ns: Unix nanoseconds.

    Raises:
        ZoneInfoNotFoundError: No such time zone.
        ValueError: Not a name of a time zone.
    """
    zone = ZoneInfo(timezone)
    today = _at(now_ns).astimezone(zone).date()
    monday = today - timedelta(days=today.weekday())
    first = today.replace(day=1)
    next_first = (first + timedelta(days=32)).replace(day=1)
    return Window(
        _midnight_ns(today, zone),
        _midnight_ns(today + timedelta(days=1), zone),
        _midnight_ns(monday, zone),
        _midnight_ns(monday + timedelta(days=7), zone),
        _midnight_ns(first, zone),
        _midnight_ns(next_first, zone),
    )


def find_session(moment: datetime) -> int:
    """Return the open session at an aware time, 0 if none is."""
    new_york = moment.astimezone(_NEW_YORK)
    if _is_weekend(new_york):
        return types_pb2.TRADING_SESSION_UNSPECIFIED
    in_new_york = new_york.hour in _OFFICE_HOURS
    in_london = moment.astimezone(_LONDON).hour in _OFFICE_HOURS
    in_tokyo = moment.astimezone(_TOKYO).hour in _TOKYO_HOURS
    candidates = (
        (in_london and in_new_york, types_pb2.TRADING_SESSION_OVERLAP),
        (in_london, types_pb2.TRADING_SESSION_LONDON),
        (in_new_york, types_pb2.TRADING_SESSION_NEW_YORK),
        (in_tokyo, types_pb2.TRADING_SESSION_TOKYO),
        (moment.astimezone(UTC).hour >= _ASIAN_FROM_HOUR, types_pb2.TRADING_SESSION_ASIAN),
    )
    return next((session for is_open, session in candidates if is_open), 0)


def find_session_plan(now_ns: int) -> SessionPlan:
    """Return the session at a moment and the change that comes next."""
    now = _at(now_ns)
    session = find_session(now)
    # All three cities are whole hours away from UTC, so sessions change on the hour only.
    moment = now.replace(minute=0, second=0, microsecond=0)
    for _ in range(_SESSION_HOURS_MAX):
        moment += _HOUR
        following = find_session(moment)
        if following != session:
            return SessionPlan(session, following, round(moment.timestamp()) * layout.SECOND_NS)
    raise BrokenInvariantError("no session changes within four days")


class Calendar:
    """Keeps the engine's windows and sessions ahead of the clock.

    Args:
        put: Takes a serialised StateChange; False when it was not taken.
        clock_ns: Unix nanoseconds.
    """

    def __init__(
        self, put: Callable[[bytes], bool], *, clock_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._put = put
        self._clock_ns = clock_ns
        self._lock = threading.Lock()
        self._windows: dict[str, Window] = {}
        self._plan: SessionPlan | None = None
        self._unknown: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="calendar", daemon=True)

    def start(self) -> None:
        """Tell the engine the session, and keep it informed from now on."""
        self.refresh()
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def add_timezone(self, timezone: str) -> None:
        """Tell the engine the windows of a time zone, unless it knows them; before what needs them.

        An unknown name is logged once: accounts in it, and instruments with trading hours in it,
        are then denied for want of a window.
        """
        with self._lock:
            if timezone not in self._windows:
                self._update(timezone)

    def refresh(self) -> None:
        """Send whatever the passing of time has changed."""
        with self._lock:
            for timezone in list(self._windows):
                self._update(timezone)
            plan = find_session_plan(self._clock_ns())
            if plan != self._plan and self._put(_session_change(plan)):
                self._plan = plan

    def _update(self, timezone: str) -> None:
        try:
            window = find_window(timezone, self._clock_ns())
            change = _window_change(timezone, window)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            if timezone not in self._unknown and len(self._unknown) < layout.PPM:
                self._unknown.add(timezone)
                log.warning("time zone %r is unknown: what needs its days is denied", timezone)
            return
        if window != self._windows.get(timezone) and self._put(change):
            self._windows[timezone] = window

    def _run(self) -> None:
        while not self._stop.wait(CHECK_INTERVAL_S):
            try:
                self.refresh()
            except Exception:
                log.exception("the calendar could not be refreshed")


def _at(now_ns: int) -> datetime:
    # Whole seconds: a boundary is never between two of them.
    return datetime.fromtimestamp(now_ns // layout.SECOND_NS, UTC)


def _midnight_ns(day: date, zone: ZoneInfo) -> int:
    # fold=0: of two midnights the first. Where the clock skips midnight this is the very moment of
    # the change, the first one of that day.
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    return round(midnight.timestamp()) * layout.SECOND_NS


def _is_weekend(new_york: datetime) -> bool:
    day, hour = new_york.isoweekday(), new_york.hour
    return (
        day == _SATURDAY
        or (day == _FRIDAY and hour >= _CLOSE_HOUR)
        or (day == _SUNDAY and hour < _CLOSE_HOUR)
    )


def _window_change(timezone: str, window: Window) -> bytes:
    row = np.zeros(1, layout.WINDOW)
    row["timezone"][0] = layout.words(timezone, layout.SYMBOL_WORDS)
    for column, value in window._asdict().items():
        row[column] = value
    return _change(state_pb2.CHANGE_KIND_WINDOW, timezone, row.tobytes())


def _session_change(plan: SessionPlan) -> bytes:
    row = np.zeros(1, layout.CHANGE_SESSION)
    for column, value in plan._asdict().items():
        row[column] = value
    return _change(state_pb2.CHANGE_KIND_SESSION, "session", row.tobytes())


def _change(kind: state_pb2.ChangeKind, key: str, rows: bytes) -> bytes:
    return state_pb2.StateChange(
        kind=kind,
        key=key,
        rows=rows,
        layout_version=layout.LAYOUT_VERSION,
        made_at_ns=time.time_ns(),
    ).SerializeToString()
