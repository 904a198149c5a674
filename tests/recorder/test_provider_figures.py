"""Row S0-66: figures of providers grow with every close, and add up over days."""

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import accumulate
from typing import Any

from riskgate.v1 import types_pb2 as types
from server.record.archive import Database
from server.record.provider_days import DaySums, periods_of
from tests.recorded_journal import SECOND_NS, RecordedJournal
from tests.recorder.conftest import Record

FILL = types.REPORT_KIND_FILL
CLOSE = types.REPORT_KIND_CLOSE


def metrics(database: Database, provider_id: str = "7") -> dict[tuple[str, date], tuple[Any, ...]]:
    rows = database.execute(
        "SELECT period_type, period_start, total_signals, winning_signals, losing_signals, "
        "win_rate_fraction, max_drawdown_money, worst_trade_money, avg_slippage_pips, "
        "max_slippage_pips, avg_improvement_pips FROM riskgate.provider_metric "
        "WHERE provider_id = %s AND provider_type = 'channel_source'",
        [provider_id],
    ).fetchall()
    return {row[:2]: row[2:] for row in rows}


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND_NS


def test_a_close_when_recorded_then_the_day_week_and_month_have_it(
    journal: RecordedJournal, record: Record, database: Database
) -> None:
    journal.now_ns = at("2026-09-01 12:00")  # a Tuesday
    journal.decide("order-1")
    journal.report(FILL, "order-1", price=1.1002, lots=1.2)
    journal.report(CLOSE, "order-1", price=1.12, realised_pnl=100.0, commission=10.0)
    record()
    journal.decide("order-2")
    journal.report(FILL, "order-2", price=1.0999, lots=1.2)
    journal.report(CLOSE, "order-2", price=1.0898, realised_pnl=-120.0)
    journal.report(CLOSE, "order-2", price=1.0898, realised_pnl=-120.0, outcome=2)
    journal.decide("order-3", provider_id="8")
    journal.report(CLOSE, "order-3", price=1.12, realised_pnl=0.0)
    record()
    # Slipped by 2, −1 and, behind the stop at 1.08985, 0.5 pips; earned 90 and lost 120.
    expected = (2, 1, 1, Decimal("0.5"), 120, 120, Decimal("2.5") / 3, 2, Decimal(-1) / 3)
    found = metrics(database)
    assert list(found) == [
        ("daily", date(2026, 9, 1)),
        ("monthly", date(2026, 9, 1)),
        ("weekly", date(2026, 8, 31)),
    ]
    for figures in found.values():
        assert [round(figure, 12) for figure in figures] == [round(each, 12) for each in expected]
    assert set(metrics(database, "8").values()) == {(1, 0, 0, 0, 0, 0, None, None, None)}


def test_figures_when_worked_out_again_then_not_even_their_time_changes(
    journal: RecordedJournal, record: Record, database: Database
) -> None:
    journal.decide("order-1")
    journal.report(CLOSE, "order-1", price=1.0898, realised_pnl=-5.0)
    record()
    before = database.execute("SELECT * FROM riskgate.provider_metric").fetchall()
    day = datetime.fromtimestamp(journal.now_ns // SECOND_NS, UTC).date()
    for period in periods_of(day):
        database.execute(
            "SELECT riskgate.refresh_provider_metric('7', 'channel_source', %s, %s, %s)", period
        )
    assert database.execute("SELECT * FROM riskgate.provider_metric").fetchall() == before


def test_a_score_when_figures_come_in_then_stays_what_the_server_gave(
    journal: RecordedJournal, record: Record, database: Database
) -> None:
    journal.decide("order-1")
    journal.report(CLOSE, "order-1", price=1.0898, realised_pnl=-5.0)
    record()
    database.execute("UPDATE riskgate.provider_metric SET performance_score = 87.5")
    journal.report(CLOSE, "order-1", price=1.0898, realised_pnl=-6.0)
    record()
    scores = database.execute(
        "SELECT DISTINCT performance_score, total_signals FROM riskgate.provider_metric"
    ).fetchall()
    assert scores == [(Decimal("87.5"), 2)]


def test_a_week_when_made_of_its_days_then_equals_one_made_of_the_closes(
    journal: RecordedJournal, record: Record, database: Database
) -> None:
    dice = random.Random(20260907)
    journal.now_ns = at("2026-12-28 00:00")  # the ISO week runs over the year's end
    profits = []
    for number in range(120):
        journal.now_ns += dice.randrange(2 * 3_600) * SECOND_NS
        journal.decide(f"order-{number}")
        profit = Decimal(dice.randrange(-10_000, 10_001)) / 100
        profits.append((datetime.fromtimestamp(journal.now_ns // SECOND_NS, UTC), profit))
        journal.report(CLOSE, f"order-{number}", realised_pnl=float(profit))
        if not dice.randrange(10):
            record()
    record()
    for (period_type, start), figures in metrics(database).items():
        last = next(end for kind, first, end in periods_of(start) if kind == period_type)
        inside = [profit for time, profit in profits if start <= time.date() <= last]
        running = list(accumulate(inside, initial=Decimal(0)))
        drawdown = max(high - low for index, high in enumerate(running) for low in running[index:])
        wins = sum(profit > 0 for profit in inside)
        assert figures[:3] == (len(inside), wins, sum(profit < 0 for profit in inside))
        assert abs(figures[3] * len(inside) - wins) < Decimal("1e-9")
        assert figures[4:6] == (drawdown, max(-min(inside), 0))
    assert {kind for kind, _ in metrics(database)} == {"daily", "weekly", "monthly"}


def test_a_day_when_cut_anywhere_then_comes_to_the_same() -> None:
    dice = random.Random(3)
    profits = [Decimal(dice.randrange(-50, 51)) for _ in range(60)]
    whole = DaySums()
    for profit in profits:
        whole.add_close(profit)
    for cut in range(len(profits) + 1):
        first, second = DaySums(), DaySums()
        for sums, part in ((first, profits[:cut]), (second, profits[cut:])):
            for profit in part:
                sums.add_close(profit)
        first.add(second)
        assert first == whole


def test_periods_when_named_then_hold_their_day() -> None:
    for offset in range(800):
        day = date(2026, 1, 1) + timedelta(days=offset)
        (_, first, last), (_, monday, sunday), (_, start, end) = periods_of(day)
        assert first == last == day
        assert monday <= day <= sunday
        assert (monday.isoweekday(), sunday - monday) == (1, timedelta(days=6))
        assert start <= day <= end
        assert (start.day, (end + timedelta(days=1)).day) == (1, 1)
