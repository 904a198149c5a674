"""Row S0-17 and what else a report does to what is recorded already."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from riskgate.v1 import types_pb2 as types
from server.record.archive import Database
from tests.journal_builder import NOW_NS
from tests.recorded_journal import SECOND_NS, RecordedJournal
from tests.recorder.conftest import Record

NOW = datetime.fromtimestamp(NOW_NS // SECOND_NS, UTC)
DUPLICATE = 2
UNMATCHED = 3
FILL = types.REPORT_KIND_FILL
PARTIAL = types.REPORT_KIND_PARTIAL_FILL
CLOSE = types.REPORT_KIND_CLOSE


def predictions(database: Database) -> list[tuple[Any, ...]]:
    return database.execute(
        "SELECT sequence, actual_value, round(accuracy_fraction, 6), execution_sequence "
        "FROM riskgate.prediction ORDER BY sequence"
    ).fetchall()


def holds(database: Database) -> list[tuple[Any, ...]]:
    return database.execute(
        "SELECT client_order_id, state, held_lots, changed_by FROM riskgate.reservation "
        "ORDER BY sequence"
    ).fetchall()


# Bought at 1.1 with a stop at 1.08985, predicted 0.5 pips; a pip is 0.0001.
@pytest.mark.parametrize(
    ("kind", "side", "price", "actual", "accuracy"),
    [
        # 1.10004 − 1.1 are 0.4 pips: 1 − 0.1/0.5.
        (FILL, types.SIDE_BUY, 1.10004, "0.4", "0.8"),
        (PARTIAL, types.SIDE_BUY, 1.10004, "0.4", "0.8"),
        # A better price is negative and nothing like what was predicted.
        (FILL, types.SIDE_BUY, 1.0999, "-1", "0"),
        (FILL, types.SIDE_SELL, 1.0999, "1", "0.5"),
        (FILL, types.SIDE_BUY, 1.1, "0", "0"),
        # Stopped out half a pip behind the stop.
        (CLOSE, types.SIDE_BUY, 1.0898, "0.5", "1"),
        # At the target, or closed by hand: that says nothing about slippage.
        (CLOSE, types.SIDE_BUY, 1.12, None, None),
    ],
)
def test_a_report_with_a_price_when_recorded_then_fills_actual_and_accuracy(
    kind: types.ReportKind,
    side: types.Side,
    price: float,
    actual: str | None,
    accuracy: str | None,
    journal: RecordedJournal,
    record: Record,
    database: Database,
) -> None:
    journal.decide("order-1", side=side)
    journal.report(kind, "order-1", price=price, lots=1.2, realised_pnl=-1.0)
    record()
    found = predictions(database)[0][1:3]
    assert found == tuple(None if text is None else Decimal(text) for text in (actual, accuracy))


def test_a_prediction_of_nothing_when_nothing_slipped_then_was_right(
    journal: RecordedJournal, record: Record, database: Database
) -> None:
    journal.decide("order-1", predicted_pips=0.0)
    journal.report(FILL, "order-1", price=1.1)
    record()
    assert predictions(database)[0][1:3] == (0, 1)


@pytest.mark.parametrize("apart", [True, False])
def test_a_prediction_when_filled_then_no_later_report_changes_it(
    *, apart: bool, journal: RecordedJournal, record: Record, database: Database
) -> None:
    def go_on() -> None:
        if apart:
            record()

    journal.decide("order-1")
    go_on()
    first = journal.report(FILL, "order-1", price=1.10004)
    go_on()
    journal.report(FILL, "order-1", price=1.2, outcome=DUPLICATE)
    journal.report(FILL, "order-1", price=1.3)
    go_on()
    journal.report(CLOSE, "order-1", price=1.0898, realised_pnl=-100.0)
    record()
    assert predictions(database) == [(1, Decimal("0.4"), Decimal("0.8"), first)]
    outcomes = database.execute("SELECT outcome FROM riskgate.execution_log ORDER BY sequence")
    assert [row[0] for row in outcomes] == ["applied", "duplicate", "applied", "applied"]


def test_a_duplicate_when_it_is_all_that_is_there_then_fills_nothing(
    journal: RecordedJournal, record: Record, database: Database
) -> None:
    journal.decide("order-1")
    journal.report(FILL, "order-1", price=1.2, outcome=DUPLICATE)
    record()
    assert predictions(database) == [(1, None, None, None)]


def test_a_late_report_when_the_engine_forgot_the_order_then_is_matched_all_the_same(
    journal: RecordedJournal, record: Record, database: Database
) -> None:
    journal.decide("order-1")
    record()
    journal.now_ns += 40 * 86_400 * SECOND_NS
    late = journal.report(
        FILL, "order-1", price=1.10004, outcome=UNMATCHED, symbol="EURUSD", side=types.SIDE_BUY
    )
    record()
    assert predictions(database) == [(1, Decimal("0.4"), Decimal("0.8"), late)]


def test_reports_when_they_name_the_order_in_other_ways_then_find_it(
    journal: RecordedJournal, record: Record, database: Database
) -> None:
    by_id = journal.decide("order-1")
    unnamed = journal.decide()
    opened = journal.decide("order-3")
    for apart in (False, True):
        journal.report(types.REPORT_KIND_ACK, decision_id=by_id[1])
        journal.report(PARTIAL, "no such order", decision_id=unnamed[1], price=1.1)
        journal.report(FILL, "order-3", position_id=f"p-{apart}", price=1.1)
        if apart:
            record()
        journal.report(CLOSE, position_id=f"p-{apart}", realised_pnl=-3.0)
        record()
    # Neither a fill of a position nor a close of an unknown one is any order's.
    journal.report(FILL, position_id="p-True", price=1.1, outcome=UNMATCHED)
    journal.report(CLOSE, position_id="p-9", realised_pnl=1.0, outcome=UNMATCHED)
    record()
    found = database.execute(
        "SELECT decision_sequence FROM riskgate.execution_log ORDER BY sequence"
    ).fetchall()
    orders = [by_id[1], unnamed[1], opened[1], opened[1]]
    assert [row[0] for row in found] == [*orders, *orders, None, None]


def test_an_order_id_when_it_is_used_again_then_a_report_means_the_last_one_before_it(
    journal: RecordedJournal, record: Record, database: Database
) -> None:
    journal.decide("order-1")
    journal.report(FILL, "order-1", price=1.10004)
    journal.decide("order-1")
    journal.report(FILL, "order-1", price=1.10005)
    journal.decide("order-1")
    record()
    assert [row[:2] for row in predictions(database)] == [
        (1, Decimal("0.4")),
        (3, Decimal("0.5")),
        (5, None),
    ]


def test_an_execution_when_recorded_then_has_what_the_trainer_learns_from(
    journal: RecordedJournal, record: Record, database: Database
) -> None:
    journal.decide("order-1", connection_id="line-3", volatility_index=40.0)
    happened = NOW + timedelta(milliseconds=250, microseconds=1)
    journal.report(FILL, "order-1", price=1.10004, lots=1.2, commission=7.0, event_time=happened)
    record()
    row = database.execute(
        "SELECT kind, decision_epoch, decision_sequence, decided_at, connection_id, signal_id, "
        "provider_id, provider_type, symbol, side, lots, price, expected_price, slippage, "
        "slippage_pips, commission, event_at, latency_ms, market_atr, volatility_index, "
        "day_of_week, equity FROM riskgate.execution_log"
    ).fetchone()
    assert row == (
        *("fill", 1, 1, NOW.replace(microsecond=1), "line-3", "signal-1", "7", "channel_source"),
        *("EURUSD", "buy", Decimal("1.2"), Decimal("1.10004"), Decimal("1.1")),
        *(Decimal("0.00004"), Decimal("0.4"), 7, happened, 250, Decimal("0.0012"), 40),
        *(NOW.isoweekday(), 10_000),
    )


def test_a_symbol_when_nobody_knows_its_pip_then_the_slippage_stays_a_price(
    journal: RecordedJournal, record: Record, database: Database
) -> None:
    journal.decide("order-1", symbol="XAUUSD")
    journal.report(FILL, "order-1", price=1.10004)
    record()
    assert predictions(database) == [(1, None, None, None)]
    row = database.execute("SELECT slippage, slippage_pips FROM riskgate.execution_log").fetchone()
    assert row == (Decimal("0.00004"), None)


def test_holds_when_reports_come_then_follow_them(
    journal: RecordedJournal, record: Record, database: Database
) -> None:
    for number in range(1, 8):
        journal.decide(f"order-{number}")
    journal.decide("exit-8", reduce_only=True, predicted_pips=None)
    record()
    journal.report(types.REPORT_KIND_ACK, "order-2", held_lots=1.2)
    journal.report(PARTIAL, "order-3", price=1.1, held_lots=0.7)
    journal.report(FILL, "order-4", price=1.1)
    journal.report(types.REPORT_KIND_CANCEL, "order-5")
    journal.report(PARTIAL, "order-6", price=1.1, held_lots=0.7)
    journal.report(types.REPORT_KIND_EXPIRE, "order-6")
    journal.report(types.REPORT_KIND_REJECT, "order-7", outcome=DUPLICATE)
    journal.report(CLOSE, "exit-8", price=1.1, realised_pnl=2.0)
    record()
    assert holds(database) == [
        ("order-1", "held", Decimal("1.2"), ""),
        ("order-2", "working", Decimal("1.2"), "ack"),
        ("order-3", "working", Decimal("0.7"), "partial_fill"),
        ("order-4", "committed", 0, "fill"),
        ("order-5", "released", 0, "cancel"),
        ("order-6", "released", 0, "expire"),
        ("order-7", "held", Decimal("1.2"), ""),
        ("exit-8", "committed", 0, "close"),
    ]


def test_holds_when_nothing_is_reported_then_end_by_themselves(
    journal: RecordedJournal, record: Record, database: Database
) -> None:
    # Long ago, and still to come.
    journal.now_ns = int((datetime.now(UTC) - timedelta(days=2)).timestamp()) * SECOND_NS
    journal.decide("order-1")
    journal.decide("order-2")
    journal.report(types.REPORT_KIND_ACK, "order-2", held_lots=1.2)
    journal.now_ns += 3 * 86_400 * SECOND_NS
    journal.decide("order-3")
    record()
    states = database.execute(
        "SELECT state, state_now FROM riskgate.reservation_now ORDER BY sequence"
    ).fetchall()
    assert states == [("held", "expired"), ("working", "working"), ("held", "held")]


def test_a_hold_when_its_order_is_replaced_then_ends(
    journal: RecordedJournal, record: Record, database: Database
) -> None:
    journal.decide("order-1")
    journal.decide("order-2", replaces_client_order_id="order-1")
    journal.decide("order-3", replaces_client_order_id="order-2", dry_run=True)
    record()
    assert holds(database) == [
        ("order-1", "replaced", 0, "replaced"),
        ("order-2", "held", Decimal("1.2"), ""),
    ]


def test_holds_when_the_broker_is_asked_then_only_those_it_names_stay(
    journal: RecordedJournal, record: Record, database: Database
) -> None:
    journal.decide("order-0")
    journal.now_ns += 31 * SECOND_NS
    journal.decide("order-1")
    journal.decide("order-2")
    journal.decide("order-3")
    journal.report(FILL, "order-3", price=1.1)
    record()
    journal.sync(("order-2", 0.4), ("order-3", 0.0))
    journal.decide("order-4")
    record()
    assert holds(database) == [
        # Over before the sync.
        ("order-0", "held", Decimal("1.2"), ""),
        ("order-1", "released", 0, "sync"),
        ("order-2", "working", Decimal("0.4"), "sync"),
        ("order-3", "committed", 0, "fill"),
        ("order-4", "held", Decimal("1.2"), ""),
    ]


def test_an_execution_when_deleted_then_the_prediction_stays_without_its_link(
    journal: RecordedJournal, record: Record, database: Database
) -> None:
    journal.decide("order-1")
    journal.report(FILL, "order-1", price=1.10004)
    record()
    database.execute("DELETE FROM riskgate.execution_log")
    assert predictions(database) == [(1, Decimal("0.4"), Decimal("0.8"), None)]


@pytest.mark.parametrize(
    "change",
    [
        "prediction_type = 'lot_size'",
        "predicted_value = NULL",
        "predicted_value = 'NaN'",
        "predicted_value = 'Infinity'",
        "confidence_fraction = 1.01",
        "confidence_fraction = 'NaN'",
        "accuracy_fraction = 80, actual_value = 1, filled_at = now()",
        "actual_value = 1",
        "day_of_week = 8",
        "execution_sequence = 99, execution_epoch = 9, execution_at = now()",
    ],
)
def test_a_prediction_when_a_value_is_out_of_range_then_the_record_refuses_it(
    change: Any, journal: RecordedJournal, record: Record, database: Database
) -> None:
    journal.decide("order-1")
    record()
    with pytest.raises((psycopg.IntegrityError, psycopg.DataError)):
        database.execute(f"UPDATE riskgate.prediction SET {change}")  # noqa: S608 - from above


def test_a_filled_prediction_when_changed_by_hand_then_the_record_refuses_it(
    journal: RecordedJournal, record: Record, database: Database
) -> None:
    journal.decide("order-1")
    journal.report(FILL, "order-1", price=1.10004)
    record()
    with pytest.raises(psycopg.errors.RestrictViolation, match="filled already"):
        database.execute("UPDATE riskgate.prediction SET actual_value = 9")
