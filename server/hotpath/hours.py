"""Trading hours: which minute of the week it is where an instrument trades, and whether it is open.

The engine knows no time zones: the calendar tells it when the day begins and ends. It counts from
the end, because clocks change at night: the minutes behind 04:00 are right on those days too.
"""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.checks import check_nb
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.layout import SECOND_NS, SYMBOL_WORDS
from server.hotpath.memory import decision_of, instrument_at, window_at, windows_of, work_of
from server.hotpath.reasons import R_HOURS_MISSING, R_SESSION_CLOSED, S_NOT_APPLICABLE
from server.hotpath.table import find_nb

_MINUTE_NS: Final = 60 * SECOND_NS
_DAY_MINUTES: Final = 1_440
_DAY_NS: Final = _DAY_MINUTES * _MINUTE_NS
_NIGHT_MINUTES: Final = 240


@kernel
def _minute_of_day_nb(start_ns: int, next_ns: int, now_ns: int) -> int:
    """Return the minute of a day of 23, 24 or 25 hours; `next_ns` 0: its end is not known."""
    from_start = (now_ns - start_ns) // _MINUTE_NS
    if next_ns == 0:
        return min(from_start, _DAY_MINUTES - 1)
    from_end = _DAY_MINUTES - (next_ns - now_ns + _MINUTE_NS - 1) // _MINUTE_NS
    return from_end if from_end >= _NIGHT_MINUTES else min(from_start, _NIGHT_MINUTES - 1)


@kernel
def _minute_of_week_nb(window: Any, now_ns: int) -> int:
    """Return the minute since Monday 00:00 by the clocks of a time zone."""
    start, following, week = window.day_start_ns, window.day_next_ns, window.week_start_ns
    if following > 0 and now_ns >= following:
        start, following = following, i64(0)
    if window.week_next_ns > 0 and now_ns >= window.week_next_ns:
        week = window.week_next_ns
    # The day's start may be an hour early or late after a change of clocks.
    weekday = min(max((start - week + _DAY_NS // 2) // _DAY_NS, i64(0)), i64(6))
    return weekday * _DAY_MINUTES + _minute_of_day_nb(start, following, now_ns)


@routine
def _judge_hours_nb(state: Any) -> None:
    work, decision = work_of(state), decision_of(state)
    instrument = instrument_at(state, work.instrument_row)
    window = window_at(state, find_nb(windows_of(state), instrument.hours_timezone, SYMBOL_WORDS))
    known = window.day_start_ns != 0 and window.week_start_ns != 0
    if not check_nb(decision, R_HOURS_MISSING, known):
        return
    minute = _minute_of_week_nb(window, work.now_ns)
    is_open = False
    for period in range(instrument.hours_count):
        opened = instrument.hours_open_minute[period] <= minute
        is_open |= opened and minute < instrument.hours_close_minute[period]
    check_nb(decision, R_SESSION_CLOSED, is_open)


@kernel
def check_hours_nb(state: Any) -> None:
    """Deny new risk outside of the instrument's trading hours."""
    work, decision = work_of(state), decision_of(state)
    if instrument_at(state, work.instrument_row).hours_count == 0:
        decision.status[R_HOURS_MISSING] = S_NOT_APPLICABLE
        decision.status[R_SESSION_CLOSED] = S_NOT_APPLICABLE
        return
    _judge_hours_nb(state)
