from datetime import date

import psycopg
import pytest

from tests.trainer.sample_rows import make_fill
from trainer.errors import RecordUnavailableError
from trainer.manifest import digest_fills
from trainer.metrics import provider_metrics
from trainer.simulate import SimulatedMarket
from trainer.source import DataFolder, iterate_bars, read_stop_fills, read_trades
from trainer.store import (
    find_database_url,
    import_bars,
    import_stop_fills,
    import_trades,
    open_record,
    read_recorded_fills,
    read_recorded_trades,
    write_metrics,
)


def test_importing_twice_adds_nothing(record_url: str, market: SimulatedMarket) -> None:
    for expected in ((len(market.trades), len(market.fills)), (0, 0)):
        with open_record(record_url) as record:
            added = import_trades(record, market.trades), import_stop_fills(record, market.fills)
        assert added == expected


def test_rows_come_back_as_they_went_in(record_url: str, market: SimulatedMarket) -> None:
    with open_record(record_url) as record:
        import_trades(record, market.trades)
        import_stop_fills(record, market.fills)
        assert read_recorded_trades(record) == market.trades
        assert read_recorded_fills(record) == market.fills


def test_real_rows_come_back_as_they_went_in(record_url: str, real_data: DataFolder) -> None:
    trades, fills = read_trades(real_data), read_stop_fills(real_data)
    with open_record(record_url) as record:
        import_trades(record, trades)
        import_stop_fills(record, fills)
        assert read_recorded_trades(record) == trades
        assert digest_fills(read_recorded_fills(record)) == digest_fills(fills)


def test_bars_are_added_once(record_url: str, real_data: DataFolder) -> None:
    bars = [bar for bar, _ in zip(iterate_bars(real_data), range(3_000), strict=False)]
    with open_record(record_url) as record:
        assert import_bars(record, bars) == 3_000
        assert import_bars(record, bars) == 0


def test_an_import_with_a_bad_row_leaves_nothing(record_url: str) -> None:
    fills = [make_fill(0), make_fill(1, slippage_pips=1e9)]
    with pytest.raises(RecordUnavailableError, match="slippage_pips"), open_record(record_url) as r:
        import_stop_fills(r, fills)
    with open_record(record_url) as record:
        assert read_recorded_fills(record) == []


def test_metrics_are_replaced_per_period_and_keep_the_score(
    record_url: str, market: SimulatedMarket
) -> None:
    metrics = provider_metrics(market.trades, market.fills)
    stored = [row for row in metrics if row.period_type != "overall"]
    with open_record(record_url) as record:
        assert write_metrics(record, metrics) == len(stored)
        record.execute("UPDATE riskgate.provider_metric SET performance_score = 87.5")
        write_metrics(record, metrics)
        rows = record.execute(
            "SELECT count(*), min(performance_score) FROM riskgate.provider_metric"
        ).fetchone()
    assert rows == (len(stored), 87.5)


METRIC = {
    "provider_id": "7",
    "provider_type": "user",
    "period_type": "daily",
    "period_start": date(2024, 12, 31),
    "period_end": date(2024, 12, 31),
    "total_signals": 3,
    "winning_signals": 2,
    "losing_signals": 1,
    "win_rate_fraction": 0.5,
}


def insert_metric(url: str, **changes: object) -> None:
    row = METRIC | changes
    columns, marks = ", ".join(row), ", ".join(f"%({name})s" for name in row)
    statement = f"INSERT INTO riskgate.provider_metric ({columns}) VALUES ({marks})"  # noqa: S608
    with psycopg.connect(url) as connection:
        connection.execute(statement, row)


def test_a_metric_counts_breakeven_signals_and_starts_neutral(record_url: str) -> None:
    insert_metric(record_url, total_signals=5)
    with psycopg.connect(record_url) as connection:
        row = connection.execute(
            "SELECT breakeven_signals, performance_score, score_trend FROM riskgate.provider_metric"
        ).fetchone()
    assert row == (2, 50, "stable")


@pytest.mark.parametrize(
    "changes",
    [
        {"provider_id": ""},
        {"provider_id": "x" * 65},
        {"provider_id": None},
        {"provider_type": "robot"},
        {"period_type": "yearly"},
        {"period_end": date(2024, 12, 30)},
        {"period_end": date(2025, 1, 1)},
        {"period_type": "weekly", "period_end": date(2025, 1, 6)},
        {"period_type": "monthly", "period_end": date(2025, 1, 30)},
        {"winning_signals": 3},
        {"losing_signals": -1},
        {"total_signals": 0, "winning_signals": 0, "losing_signals": 0},
        {"win_rate_fraction": None},
        {"win_rate_fraction": 1.01},
        {"win_rate_fraction": float("nan")},
        {"max_drawdown_fraction": -0.1},
        {"max_drawdown_fraction": 12.5},
        {"reward_to_risk_ratio": -1},
        {"sl_compliance_fraction": 70},
        {"without_stop": 4},
        {"avg_slippage_pips": -0.1},
        {"avg_slippage_pips": 2, "max_slippage_pips": 1},
        {"avg_improvement_pips": 0.1},
        {"avg_latency_ms": -1},
        {"latency_p50_ms": 3, "latency_p95_ms": 2, "latency_p99_ms": 4},
        {"performance_score": 100.5},
        {"performance_score": -1},
        {"performance_score_previous": 101},
        {"score_trend": "sideways"},
    ],
)
def test_the_database_itself_refuses_a_bad_metric(
    record_url: str, changes: dict[str, object]
) -> None:
    with pytest.raises(psycopg.errors.IntegrityError):
        insert_metric(record_url, **changes)


def test_two_metrics_of_one_provider_and_period_are_refused(record_url: str) -> None:
    insert_metric(record_url)
    insert_metric(record_url, provider_type="channel_source")
    with pytest.raises(psycopg.errors.UniqueViolation):
        insert_metric(record_url)


@pytest.mark.parametrize(
    ("period_type", "start", "end"),
    [
        ("weekly", date(2024, 12, 30), date(2025, 1, 5)),
        ("monthly", date(2024, 2, 1), date(2024, 2, 29)),
        ("monthly", date(2024, 12, 1), date(2024, 12, 31)),
    ],
)
def test_whole_periods_are_accepted_over_the_end_of_a_year(
    record_url: str, period_type: str, start: date, end: date
) -> None:
    insert_metric(record_url, period_type=period_type, period_start=start, period_end=end)


def test_an_unreachable_record_is_named_without_its_address(tmp_path: object) -> None:
    url = f"postgresql://someone:secret@/nowhere?host={tmp_path}"
    with pytest.raises(RecordUnavailableError) as caught, open_record(url):
        pass
    assert "secret" not in str(caught.value)
    assert "someone" not in str(caught.value)


def test_a_data_directory_without_a_stack_names_the_mend(tmp_path: object) -> None:
    from pathlib import Path

    with pytest.raises(RecordUnavailableError, match="riskgate serve"):
        find_database_url(Path(str(tmp_path)))
