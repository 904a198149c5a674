from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from trainer.sessions import Session, find_session


@pytest.mark.parametrize(
    ("text", "session"),
    [
        ("2024-01-10T13:30+00:00", Session.OVERLAP),
        ("2024-01-10T09:00+00:00", Session.LONDON),
        ("2024-01-10T07:59+00:00", Session.TOKYO),
        ("2024-07-10T07:00+00:00", Session.LONDON),  # British Summer Time
        ("2024-01-10T17:00+00:00", Session.NEW_YORK),
        ("2024-01-10T21:59+00:00", Session.NEW_YORK),
        ("2024-01-10T22:00+00:00", Session.ASIAN),
        ("2024-07-10T21:00+00:00", Session.ASIAN),
        ("2024-01-11T00:00+00:00", Session.TOKYO),
        ("2024-01-12T21:59+00:00", Session.NEW_YORK),
        ("2024-01-12T22:00+00:00", Session.NONE),  # Friday 17:00 New York
        ("2024-01-13T12:00+00:00", Session.NONE),
        ("2024-01-14T21:59+00:00", Session.NONE),
        ("2024-01-14T22:00+00:00", Session.ASIAN),
        ("2024-03-20T12:30+00:00", Session.OVERLAP),  # New York has sprung forward, London has not
        ("2024-03-06T12:30+00:00", Session.LONDON),
    ],
)
def test_session_follows_the_clocks_of_its_cities(text: str, session: Session) -> None:
    assert find_session(datetime.fromisoformat(text)) is session


def test_session_does_not_depend_on_the_timezone_of_the_moment() -> None:
    moment = datetime(2024, 7, 10, 16, 0, tzinfo=ZoneInfo("Asia/Tokyo"))
    assert find_session(moment) is find_session(moment.astimezone(ZoneInfo("America/Lima")))
