"""Calendar periods in UTC: days, ISO weeks and months."""

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal

PeriodType = Literal["daily", "weekly", "monthly", "overall"]
CALENDAR_PERIODS: Final[tuple[PeriodType, ...]] = ("daily", "weekly", "monthly")


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """First and last day, both included."""

    period_type: PeriodType
    start: date
    end: date


def find_period(period_type: PeriodType, moment: datetime) -> Period:
    """Return the calendar period that holds a timezone-aware moment.

    Raises:
        ValueError: `overall` is no calendar period.
    """
    day = moment.astimezone(UTC).date()
    if period_type == "daily":
        return Period(period_type, day, day)
    if period_type == "weekly":
        monday = day - timedelta(days=day.weekday())
        return Period(period_type, monday, monday + timedelta(days=6))
    if period_type == "monthly":
        first = day.replace(day=1)
        return Period(period_type, first, day.replace(day=monthrange(day.year, day.month)[1]))
    raise ValueError("overall is no calendar period")
