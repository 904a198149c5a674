"""Rows X-2, S0-53, S1-19 and C-12 of the requirements: archive tables in days, found by index."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from server.record.archive_tables import smallint_array, to_time
from server.record.migrate import migrate

TABLES = {"decision", "decision_binding", "execution_log", "prediction", "reservation"}
DAY = date(2024, 2, 29)

Database = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def empty_url(database_url: str) -> str:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS riskgate CASCADE")
    migrate(database_url)
    return database_url


def parts_of(database: Database) -> dict[str, list[str]]:
    """Return the bounds of each partition by the name of its table."""
    rows = database.execute(
        "SELECT parent.relname, pg_get_expr(part.relpartbound, part.oid) FROM pg_inherits "
        "JOIN pg_class AS part ON part.oid = inhrelid "
        "JOIN pg_class AS parent ON parent.oid = inhparent "
        "WHERE part.relkind = 'r' AND parent.relkind = 'p' ORDER BY 1, 2"
    )
    found: dict[str, list[str]] = {}
    for table, bound in rows:
        found.setdefault(table, []).append(bound)
    return found


def make_day(database: Database, day: date) -> None:
    database.execute("SELECT riskgate.make_archive_day(%s)", [day])


def test_a_day_when_four_make_it_at_once_then_every_table_has_it_once(empty_url: str) -> None:
    def make(_: int) -> None:
        # A session of another time zone makes the same UTC day.
        with psycopg.connect(empty_url, options="-c timezone=Asia/Tokyo") as database:
            make_day(database, DAY)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(make, range(4)))
    with psycopg.connect(empty_url, options="-c timezone=UTC") as database:
        bound = "FOR VALUES FROM ('2024-02-29 00:00:00+00') TO ('2024-03-01 00:00:00+00')"
        assert parts_of(database) == {table: [bound] for table in TABLES}


def test_a_day_when_somebody_reads_then_is_made_meanwhile(empty_url: str) -> None:
    with psycopg.connect(empty_url) as reader, psycopg.connect(empty_url) as maker:
        reader.execute(
            "SELECT FROM riskgate.decision, riskgate.decision_binding, riskgate.execution_log, "
            "riskgate.prediction, riskgate.reservation"
        )
        maker.execute("SET lock_timeout = '2s'")
        make_day(maker, DAY)
        assert set(parts_of(maker)) == TABLES


def test_unique_keys_when_listed_then_hold_the_time_that_cuts_the_table(empty_url: str) -> None:
    with psycopg.connect(empty_url) as database:
        keys = database.execute(
            "SELECT c.relname, pg_get_constraintdef(k.oid), a.attname FROM pg_partitioned_table p "
            "JOIN pg_class AS c ON c.oid = p.partrelid "
            "JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = p.partattrs[0] "
            "JOIN pg_constraint AS k ON k.conrelid = c.oid AND k.contype IN ('p', 'u')"
        ).fetchall()
    assert {table for table, _, _ in keys} == TABLES
    for _, definition, column in keys:
        assert column in definition
        assert "epoch" in definition
        assert "sequence" in definition


@pytest.mark.parametrize(
    ("condition", "index"),
    [
        ("execution_sequence = 5", "execution_sequence"),
        ("signal_id = 'signal-5'", "signal_id"),
        ("connection_id = 'line-5'", "connection_id"),
        ("prediction_type = 'slippage' AND created_at >= '2024-02-29 22:00+00'", "type"),
    ],
)
def test_predictions_when_searched_as_the_seed_does_then_an_index_of_one_day_serves(
    empty_url: str, condition: str, index: str
) -> None:
    with psycopg.connect(empty_url, options="-c timezone=UTC") as database:
        for offset in range(3):
            make_day(database, DAY + timedelta(days=offset - 1))
        database.execute(
            "INSERT INTO riskgate.prediction (epoch, sequence, prediction_type, created_at, "
            "signal_id, connection_id, account_id, provider_id, provider_type, symbol, "
            "trading_session, day_of_week, predicted_value, model_version, model_algorithm, "
            "model_digest) SELECT 1, n, 'slippage', '2024-02-28 00:00+00'::timestamptz + n * "
            "interval '5 seconds', 'signal-' || n, 'line-' || n, 'desk', '7', 'user', 'EURUSD', "
            "'london', 4, 0.5, '1.0.0', '', '' FROM generate_series(1, 50000) AS n"
        )
        database.execute("ANALYZE riskgate.prediction")
        plan = "\n".join(
            row[0]
            for row in database.execute(
                "EXPLAIN SELECT avg(predicted_value) FROM riskgate.prediction "  # noqa: S608
                f"WHERE created_at BETWEEN '2024-02-29 00:00+00' AND '2024-02-29 23:00+00' "
                f"AND {condition}"
            )
        )
    assert "prediction_20240229" in plan
    assert "prediction_20240228" not in plan
    assert "prediction_20240301" not in plan
    assert index in plan
    assert "Index" in plan


def test_values_when_sent_by_their_bytes_then_postgresql_reads_the_same(empty_url: str) -> None:
    moments = [
        datetime(1999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2000, 1, 1, tzinfo=UTC),
        datetime(2026, 11, 21, 8, 32, 21, 123_456, tzinfo=UTC),
    ]
    arrays = [(), (101,), (401, 402, -5)]
    with psycopg.connect(empty_url, options="-c timezone=UTC") as database:
        database.execute("CREATE TEMP TABLE sent (moment timestamptz, numbers smallint[])")
        with database.cursor().copy("COPY sent FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(["int8", "bytea"])
            for moment, numbers in zip(moments, arrays, strict=True):
                unix_us = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
                copy.write_row((to_time(unix_us * 1_000 + 999), smallint_array(numbers)))
        rows = database.execute("SELECT moment, numbers FROM sent").fetchall()
    assert rows == [(m, list(n)) for m, n in zip(moments, arrays, strict=True)]
