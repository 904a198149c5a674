"""Row S3-03: a loss beyond the limit of day, week or month denies new risk until that window ends
in the time zone of the account, to the second, also on days of 23 and 25 hours.

Boundaries come from the calendar, rows from control's own forms; engine and twin must agree.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from riskgate.v1 import state_pb2
from server import changes
from server.engine import Engine
from server.entities import Account, Provider, RiskConfiguration
from server.hotpath import layout
from server.hotpath.reasons import (
    R_DAILY_LOSS_BUDGET,
    R_MONTHLY_LOSS_BUDGET,
    R_WEEKLY_LOSS_BUDGET,
    S_DENY,
)
from server.hotpath.records import DECIDED, HAS_ATR, HAS_ENTRY_PRICE, HAS_STOP_LOSS, REQUEST
from server.loaders.calendar import find_window
from server.policy import default_policy_row
from tests.decision_harness import EURUSD
from tests.desk import SMALL
from tests.reference import Reference

DENIES: Final = {
    "daily": R_DAILY_LOSS_BUDGET,
    "weekly": R_WEEKLY_LOSS_BUDGET,
    "monthly": R_MONTHLY_LOSS_BUDGET,
}
ALLOW: Final = 1


class LossDesk:
    """An account in a time zone that loses money, in an engine or its twin."""

    def __init__(self, subject: Any, zone: str, start: datetime, limited: str) -> None:
        self.subject = subject
        self.zone = zone
        self.now = start
        self.put(state_pb2.CHANGE_KIND_POLICY, default_policy_row().tobytes())
        self.put(state_pb2.CHANGE_KIND_INSTRUMENT, changes.instrument_rows(EURUSD))
        self.turn_to(start)
        self.mark(10_000)
        limits = {"daily": Decimal(1), "weekly": Decimal(1), "monthly": Decimal(1)}
        limits[limited] = Decimal("0.02")
        configuration = RiskConfiguration(
            config_id="c",
            account_id="A",
            position_max_drawdown_fraction=Decimal(1),
            position_trailing_stop_multiplier=Decimal(2),
            daily_max_drawdown_fraction=limits["daily"],
            weekly_max_drawdown_fraction=limits["weekly"],
            monthly_max_drawdown_fraction=limits["monthly"],
            max_position_size_fraction=Decimal(1000),
            max_correlated_exposure_fraction=Decimal(1000),
            risk_per_trade_fraction=Decimal("0.005"),
            volatility_adjustment_factor=Decimal(0),
            cooling_off_period_minutes=0,
            consecutive_loss_threshold=0,
        )
        rows = changes.risk_configuration_rows(configuration)
        self.put(state_pb2.CHANGE_KIND_RISK_CONFIGURATION, rows)
        provider = Provider(
            provider_id="7",
            provider_type="user",
            performance_score=Decimal(50),
            score_as_of=start,
        )
        self.put(state_pb2.CHANGE_KIND_PROVIDER, changes.provider_rows(provider))

    def put(self, kind: int, raw: bytes) -> None:
        rows = np.frombuffer(raw, layout.CHANGE_ROWS[kind]).copy()
        reading_ns = changes.unix_ns(self.now)
        is_engine = isinstance(self.subject, Engine)
        apply = self.subject.apply_rows if is_engine else self.subject.apply
        apply(kind, 1, rows, deleted=False, reading_ns=reading_ns)

    def turn_to(self, now: datetime, *, calendar: bool = True) -> None:
        """Move the clock; the feed beats, and the calendar says the windows unless told not to."""
        self.now = now
        if calendar:
            row = np.zeros(1, layout.WINDOW)
            row["timezone"] = layout.words(self.zone, layout.SYMBOL_WORDS)
            for column, value in find_window(self.zone, changes.unix_ns(now))._asdict().items():
                row[column] = value
            self.put(state_pb2.CHANGE_KIND_WINDOW, row.tobytes())
        beat = np.zeros(1, layout.CHANGE_HEARTBEAT)
        beat["published_at_ns"] = changes.unix_ns(now)
        self.put(state_pb2.CHANGE_KIND_HEARTBEAT, beat.tobytes())

    def mark(self, equity: int) -> None:
        account = Account(
            account_id="A",
            currency="USD",
            equity=Decimal(equity),
            equity_as_of=self.now,
            timezone=self.zone,
        )
        self.put(state_pb2.CHANGE_KIND_ACCOUNT, changes.account_rows(account))

    def decide(self) -> tuple[int, set[str]]:
        """Return the verdict and the windows whose budget denies."""
        row = np.zeros(1, REQUEST)
        row["account_id"] = layout.words("A")
        row["provider_id"] = layout.words("7")
        row["provider_type"], row["side"], row["dry_run"] = 2, 1, True
        row["symbol"] = layout.words("EURUSD", layout.SYMBOL_WORDS)
        row["present"] = HAS_ENTRY_PRICE | HAS_STOP_LOSS | HAS_ATR
        row["entry_price"], row["stop_loss"], row["atr"] = 1.1, 1.098, 0.001
        reading_ns = changes.unix_ns(self.now)
        is_engine = isinstance(self.subject, Engine)
        ask = self.subject.decide_record if is_engine else self.subject.decide
        result, answer = ask(row[0], reading_ns)
        assert result == DECIDED
        status = answer["status"]
        denied = {name for name, index in DENIES.items() if status[index] == S_DENY}
        return int(answer["verdict"]), denied


@pytest.fixture(params=["engine", "twin"])
def subject(request: pytest.FixtureRequest) -> Any:
    if request.param == "engine":
        return Engine(SMALL)
    return Reference(SMALL)


@pytest.mark.parametrize(
    ("zone", "limited", "lost_at", "ends_at"),
    [
        ("UTC", "daily", "2026-06-17T10:00", "2026-06-18T00:00"),
        # Sunday of 23 hours in New York, of 25 in London.
        ("America/New_York", "daily", "2026-03-08T06:00", "2026-03-09T00:00"),
        ("Europe/London", "daily", "2026-10-25T12:00", "2026-10-26T00:00"),
        # It is still Wednesday in Kolkata when Thursday has begun nowhere near.
        ("Asia/Kolkata", "daily", "2026-06-17T23:00", "2026-06-18T00:00"),
        # Weeks begin on Monday: over the change of clocks, and at the other end of the world.
        ("America/New_York", "weekly", "2026-03-05T12:00", "2026-03-09T00:00"),
        ("Pacific/Auckland", "weekly", "2026-06-17T10:00", "2026-06-22T00:00"),
        # Months of 28 and 31 days, over a change of clocks and over a year's end.
        ("UTC", "monthly", "2026-02-10T10:00", "2026-03-01T00:00"),
        ("America/New_York", "monthly", "2026-03-06T10:00", "2026-04-01T00:00"),
        ("Asia/Tokyo", "monthly", "2026-12-03T10:00", "2027-01-01T00:00"),
    ],
)
@pytest.mark.parametrize("calendar", [True, False])
def test_a_loss_denies_until_its_window_ends_where_the_account_lives(
    subject: Any, zone: str, limited: str, lost_at: str, ends_at: str, *, calendar: bool
) -> None:
    lost, ends = (
        datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
        for text in (lost_at, ends_at)
    )
    desk = LossDesk(subject, zone, lost - timedelta(hours=1), limited)
    assert desk.decide() == (ALLOW, set())
    desk.turn_to(lost)
    desk.mark(9_700)
    denied = (3, {limited})
    assert desk.decide() == denied
    # Day by day, as the calendar goes on, to the last second of the window.
    at = lost
    while at + timedelta(hours=20) < ends:
        at += timedelta(hours=20)
        desk.turn_to(at)
        assert desk.decide() == denied, at
    desk.turn_to(ends - timedelta(microseconds=1))
    assert desk.decide() == denied
    # The engine was told beforehand when it ends: nobody has to say so at that moment.
    desk.turn_to(ends, calendar=calendar)
    assert desk.decide() == (ALLOW, set())


def test_a_shorter_window_that_ends_does_not_free_a_longer_one(subject: Any) -> None:
    start = datetime(2026, 6, 17, 10, tzinfo=UTC)
    desk = LossDesk(subject, "UTC", start, "weekly")
    desk.turn_to(start + timedelta(hours=1))
    desk.mark(9_700)
    desk.turn_to(datetime(2026, 6, 18, tzinfo=UTC))
    assert desk.decide() == (3, {"weekly"})


def test_the_loss_of_one_window_is_not_carried_into_the_next(subject: Any) -> None:
    start = datetime(2026, 6, 17, 10, tzinfo=UTC)
    desk = LossDesk(subject, "UTC", start, "daily")
    desk.turn_to(start + timedelta(hours=1))
    desk.mark(9_700)
    desk.turn_to(datetime(2026, 6, 18, 9, tzinfo=UTC))
    desk.mark(9_600)
    # 100 of 9,700 is about 1 percent of the new day.
    assert desk.decide() == (ALLOW, set())
    desk.turn_to(datetime(2026, 6, 18, 10, tzinfo=UTC))
    desk.mark(9_500)
    assert desk.decide() == (3, {"daily"})
