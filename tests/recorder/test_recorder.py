"""Entries of a journal become rows of the record, each once."""

import threading
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from riskgate.v1 import types_pb2 as types
from riskgate.v1.decision_pb2 import DecideRequest, DecideResponse
from server.embedded.process import wait_until
from server.hotpath.reasons import REASON_CODES
from server.journal.reader import Tail
from server.record.archive import Database, Position
from server.recorder.progress import Progress
from server.recorder.recording import Recorder, read_batch
from tests.journal_builder import NOW_NS
from tests.recorded_journal import DIGEST, SECOND_NS, RecordedJournal
from tests.recorder.conftest import Record

NOW = datetime.fromtimestamp(NOW_NS // SECOND_NS, UTC)


def ids(database: Database) -> list[tuple[int, int]]:
    return database.execute(
        "SELECT epoch, sequence FROM riskgate.decision ORDER BY epoch, sequence"
    ).fetchall()


def problem_of(path: Path) -> str:
    progress = Progress.read(path)
    return progress.problem if progress else ""


def test_a_decision_when_recorded_then_has_what_was_asked_and_answered(
    journal: RecordedJournal, record: Record, database: Database
) -> None:
    journal.decide("order-1", strategy_id="breakout", connection_id="line-3")
    record()
    (row,) = database.execute(
        "SELECT decided_at, shard, entry_number, account_id, connection_id, client_order_id, "
        "signal_id, strategy_id, provider_id, provider_type, symbol, side, reduce_only, dry_run, "
        "verdict, mode, durability, lots, sl_buffer_pips, stop_price, performance_score, "
        "trading_session, reasons, binding_reason, state_version, model_version, model_digest, "
        "policy_version, policy_digest, server_ns FROM riskgate.decision"
    ).fetchall()
    assert row == (
        *(NOW.replace(microsecond=1), 0, 2, "desk", "line-3", "order-1", "signal-1", "breakout"),
        *("7", "channel_source", "EURUSD", "buy", False, False, "reduce", "normal", "process"),
        *(Decimal("1.2"), Decimal("1.5"), Decimal("1.08985"), None, "london"),
        *([types.REASON_RISK_PER_TRADE], types.REASON_RISK_PER_TRADE, 9, "1.2.3", DIGEST),
        *("1.0.0", DIGEST, 1_000),
    )
    ((request, answer),) = database.execute(
        "SELECT request, answer FROM riskgate.decision"
    ).fetchall()
    assert DecideRequest.FromString(request).strategy_id == "breakout"
    assert DecideResponse.FromString(answer).decision_id == 1


def test_checks_when_looked_at_then_each_has_a_name_and_a_status(
    journal: RecordedJournal, record: Record, database: Database
) -> None:
    journal.decide("order-1")
    record()
    checks = database.execute(
        "SELECT reason, unit, status, binds FROM riskgate.decision_check ORDER BY index"
    ).fetchall()
    assert checks == [
        ("feed_stale", "milliseconds", "pass", False),
        ("risk_per_trade", "money", "cut", True),
    ]
    named = database.execute("SELECT code FROM riskgate.reason ORDER BY index").fetchall()
    assert named == [(code,) for code in REASON_CODES]


def test_what_bound_a_decision_when_recorded_then_has_its_numbers_in_plain_units(
    journal: RecordedJournal, record: Record, database: Database
) -> None:
    journal.decide("order-1")
    record()
    bound = database.execute(
        "SELECT sequence, reason, status, unit, limit_value, observed, lots_max "
        "FROM riskgate.decision_binding"
    ).fetchall()
    # 100,000,000 millionths of the account's money; 120 steps of 0.01 lots.
    assert bound == [
        (1, types.REASON_RISK_PER_TRADE, "cut", "money", Decimal(100), Decimal(0), Decimal("1.20"))
    ]


def test_a_prediction_when_a_model_spoke_then_names_it(
    journal: RecordedJournal, record: Record, database: Database
) -> None:
    journal.decide("order-1")
    journal.decide("order-2", predicted_pips=None)
    record()
    predictions = database.execute(
        "SELECT sequence, prediction_type, created_at, signal_id, provider_id, provider_type, "
        "symbol, trading_session, day_of_week, market_atr, volatility_index, predicted_value, "
        "predicted_q90, confidence_fraction, actual_value, accuracy_fraction, model_version, "
        "model_algorithm, model_digest FROM riskgate.prediction"
    ).fetchall()
    assert predictions == [
        (
            *(1, "slippage", NOW.replace(microsecond=1), "signal-1", "7", "channel_source"),
            *("EURUSD", "london", NOW.isoweekday(), Decimal("0.0012"), None, Decimal("0.5")),
            *(Decimal("1.1"), Decimal(0), None, None, "1.2.3", "gradient_boosting", DIGEST),
        )
    ]


def test_a_dry_run_when_recorded_then_neither_predicts_nor_holds(
    journal: RecordedJournal, record: Record, database: Database
) -> None:
    journal.decide("order-1", dry_run=True)
    record()
    assert ids(database) == [(1, 1)]
    assert database.execute("SELECT FROM riskgate.prediction").rowcount == 0
    assert database.execute("SELECT FROM riskgate.reservation").rowcount == 0


def test_a_batch_when_one_item_repeats_an_order_then_only_the_new_ones_are_added(
    journal: RecordedJournal, record: Record, database: Database
) -> None:
    first = journal.decide("earlier")
    repeated = DecideResponse(epoch=1, decision_id=first[1])
    made = journal.batch("order-2", "order-3", repeated=repeated)
    streamed = journal.stream("order-4")
    record()
    assert ids(database) == [first, *made, streamed]
    orders = database.execute(
        "SELECT client_order_id, server_ns FROM riskgate.decision ORDER BY sequence"
    ).fetchall()
    assert orders == [
        ("earlier", 1_000),
        ("order-2", 1_000),
        ("order-3", 1_001),
        ("order-4", 1_000),
    ]


def test_entries_when_they_come_later_then_only_they_are_added(
    journal: RecordedJournal, record: Record, database: Database
) -> None:
    made = [journal.decide() for _ in range(30)]
    record()
    made += [journal.decide() for _ in range(30)]
    journal.clock()
    recorder = record()
    assert ids(database) == made
    assert recorder.position == Position(62, 1, 60)


def test_a_decision_when_its_id_was_there_before_then_the_entry_is_named_and_those_before_kept(
    journal: RecordedJournal, migrated_url: str, database: Database, tmp_path: Path
) -> None:
    made = [journal.decide() for _ in range(20)]
    # The same id at the same time once more, which no engine does.
    journal.sequence, journal.now_ns = 9, NOW_NS + 9 * SECOND_NS
    journal.decide()
    progress_path = tmp_path / "recorder.json"
    recorder = Recorder(journal.folder, migrated_url, progress_path)
    thread = threading.Thread(target=recorder.run)
    thread.start()
    try:
        assert wait_until(lambda: bool(problem_of(progress_path)), timeout_s=30)
    finally:
        recorder.stop_asked.set()
        thread.join()
    assert "entry 22" in problem_of(progress_path)
    assert ids(database) == made
    assert recorder.position.entry_number == 21


def test_a_journal_of_a_new_engine_when_the_old_one_is_gone_then_is_recorded_from_its_start(
    journal: RecordedJournal, record: Record, database: Database
) -> None:
    made = [journal.decide() for _ in range(5)]
    record()
    for path in journal.folder.iterdir():
        path.unlink()
    with RecordedJournal(journal.folder, epoch=2) as later:
        made += [later.decide() for _ in range(3)]
        journal.number = later.number
        record()
    assert ids(database) == made


def test_a_journal_when_it_lost_recorded_entries_then_the_next_epoch_is_recorded_all_the_same(
    journal: RecordedJournal, record: Record, database: Database
) -> None:
    made = [journal.decide() for _ in range(5)]
    record()
    # Power was lost, and with it all but START and two decisions; the next engine goes on there.
    lost = journal.written[3]
    with lost.path.open("r+b") as file:
        size_bytes = lost.path.stat().st_size
        file.truncate(lost.offset)
        file.truncate(size_bytes)
    with RecordedJournal(journal.folder, epoch=2, number=lost.number) as later:
        made += [later.decide() for _ in range(4)]
        journal.number = later.number
        record()
    assert ids(database) == made


def test_progress_when_recorded_then_says_how_far(
    journal: RecordedJournal, record: Record, database: Database
) -> None:
    journal.decide()
    record()
    progress = Progress.read(journal.folder.parent / "run" / "recorder.json")
    assert progress is not None
    assert (progress.entry_number, progress.epoch, progress.problem) == (2, 1, "")


def test_days_when_decisions_are_years_apart_then_each_has_its_partition(
    journal: RecordedJournal, record: Record, database: Database
) -> None:
    for year in (1999, 2026, 2031):
        journal.now_ns = int(datetime(year, 3, 1, 23, 59, 59, tzinfo=UTC).timestamp()) * SECOND_NS
        journal.decide()
        journal.decide()
    record()
    stored = database.execute(
        "SELECT relname, count(*) FROM riskgate.decision AS d JOIN pg_class AS c "
        "ON c.oid = d.tableoid GROUP BY 1 ORDER BY 1"
    ).fetchall()
    assert stored == [
        (f"decision_{year}030{day}", 1) for year in (1999, 2026, 2031) for day in (1, 2)
    ]


def test_days_when_the_recorder_starts_then_some_are_made_ahead(
    journal: RecordedJournal, record: Record, database: Database
) -> None:
    journal.decide()
    record()
    ahead = database.execute(
        "SELECT count(*) FROM generate_series(0, 3) AS n WHERE to_regclass("
        "'riskgate.prediction_' || to_char(timezone('UTC', now())::date + n::integer, 'YYYYMMDD'))"
        " IS NOT NULL"
    ).fetchone()
    assert ahead == (4,)


def test_texts_when_they_hold_what_postgresql_cannot_then_are_recorded_all_the_same(
    journal: RecordedJournal, record: Record, database: Database
) -> None:
    journal.decide("a\0b", provider_id="\0" * 64)
    journal.report(types.REPORT_KIND_FILL, "a\0b", price=1.1, realised_pnl=-5.0)
    record()
    (row,) = database.execute(
        "SELECT client_order_id, length(provider_id), request FROM riskgate.decision"
    ).fetchall()
    assert row[:2] == ("a?b", 64)
    assert DecideRequest.FromString(row[2]).client_order_id == "a\0b"
    assert database.execute("SELECT decision_sequence FROM riskgate.execution_log").fetchone() == (
        1,
    )


def test_two_recorders_when_they_have_the_same_journal_then_each_row_is_there_once(
    journal: RecordedJournal, migrated_url: str, database: Database, tmp_path: Path
) -> None:
    made = [journal.decide() for _ in range(60)]
    both = [Recorder(journal.folder, migrated_url, tmp_path / f"{name}.json") for name in "ab"]
    for recorder in both:
        recorder._batch_entries = 2
        recorder._careful_until = journal.number
    threads = [threading.Thread(target=recorder.run) for recorder in both]
    for thread in threads:
        thread.start()
    last = journal.number - 1
    try:
        assert wait_until(
            lambda: all(each.position.entry_number == last for each in both), timeout_s=60
        )
    finally:
        for recorder in both:
            recorder.stop_asked.set()
        for thread in threads:
            thread.join()
    assert ids(database) == made


def test_postgresql_when_it_is_away_then_the_progress_says_so_and_nothing_is_lost(
    journal: RecordedJournal,
    migrated_url: str,
    database: Database,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    made = [journal.decide() for _ in range(5)]
    progress_path = tmp_path / "recorder.json"
    recorder = Recorder(journal.folder, "postgresql:///nothing?host=/nowhere", progress_path)
    thread = threading.Thread(target=recorder.run)
    thread.start()
    try:
        assert wait_until(lambda: bool(problem_of(progress_path)), timeout_s=30)
        recorder._database_url = migrated_url
        assert wait_until(lambda: ids(database) == made, timeout_s=30)
        assert wait_until(lambda: not problem_of(progress_path), timeout_s=30)
    finally:
        recorder.stop_asked.set()
        thread.join()
    said = [record.message for record in caplog.records if "will try again" in record.message]
    assert len(said) == 1


def test_a_batch_when_its_entries_are_large_then_is_bounded_by_bytes(
    journal: RecordedJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        journal.batch(*(f"order-{number}-{item}" for item in range(80)))
    monkeypatch.setattr("server.recorder.recording._SLICE_ENTRIES", 4)
    monkeypatch.setattr("server.recorder.recording.BATCH_BYTES_MAX", 1)
    sizes = []
    with Tail(journal.folder, 1) as tail:
        may_have_more = True
        while may_have_more:
            entries, may_have_more = read_batch(tail, 10)
            sizes.append(len(entries))
    # START and 30 batches, four at a time until there are fewer.
    assert sizes == [4] * 7 + [3]
    with Tail(journal.folder, 1) as tail:
        monkeypatch.setattr("server.recorder.recording.BATCH_BYTES_MAX", 1 << 30)
        assert len(read_batch(tail, 10)[0]) == 10
