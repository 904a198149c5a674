"""Trading sessions from UTC time, daylight saving of each city included.

TOKYO 09-18 Asia/Tokyo, LONDON 08-17 Europe/London, NEW_YORK 08-17 America/New_York, OVERLAP while
London and New York are both open, ASIAN 21:00-24:00 UTC when nothing else is. Closed from Friday
17:00 to Sunday 17:00 New York. Where several hold: OVERLAP, LONDON, NEW_YORK, TOKYO, ASIAN. The
server has the same table; artifacts fix the codes, so a change here is a change of the artifact
format.
"""

from datetime import UTC, datetime
from enum import IntEnum
from typing import Final
from zoneinfo import ZoneInfo

_TOKYO: Final = ZoneInfo("Asia/Tokyo")
_LONDON: Final = ZoneInfo("Europe/London")
_NEW_YORK: Final = ZoneInfo("America/New_York")
_OPEN_HOUR: Final = 8
_CLOSE_HOUR: Final = 17
_TOKYO_OPEN_HOUR: Final = 9
_TOKYO_CLOSE_HOUR: Final = 18
_ASIAN_FROM_HOUR: Final = 21
_FRIDAY, _SATURDAY, _SUNDAY = 5, 6, 7


class Session(IntEnum):
    """Code of a session as the model's input `session_code` carries it."""

    NONE = 0
    ASIAN = 1
    TOKYO = 2
    LONDON = 3
    NEW_YORK = 4
    OVERLAP = 5


def find_session(moment: datetime) -> Session:
    """Return the session at a timezone-aware moment."""
    new_york = moment.astimezone(_NEW_YORK)
    if _is_weekend(new_york):
        return Session.NONE
    in_new_york = _OPEN_HOUR <= new_york.hour < _CLOSE_HOUR
    in_london = _OPEN_HOUR <= moment.astimezone(_LONDON).hour < _CLOSE_HOUR
    in_tokyo = _TOKYO_OPEN_HOUR <= moment.astimezone(_TOKYO).hour < _TOKYO_CLOSE_HOUR
    candidates = (
        (in_london and in_new_york, Session.OVERLAP),
        (in_london, Session.LONDON),
        (in_new_york, Session.NEW_YORK),
        (in_tokyo, Session.TOKYO),
        (moment.astimezone(UTC).hour >= _ASIAN_FROM_HOUR, Session.ASIAN),
    )
    return next((session for is_open, session in candidates if is_open), Session.NONE)


def _is_weekend(new_york: datetime) -> bool:
    day, hour = new_york.isoweekday(), new_york.hour
    return (
        day == _SATURDAY
        or (day == _FRIDAY and hour >= _CLOSE_HOUR)
        or (day == _SUNDAY and hour < _CLOSE_HOUR)
    )
