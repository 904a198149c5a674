"""The trainer's side of the record: copy rows into PostgreSQL and read them back.

Rows go by COPY into a temporary table and from there into the real one, where a key that is
already present is left as it is: importing twice adds nothing, and a failed import leaves nothing.
Prices and money are sent in the shortest decimal form of the float, which NUMERIC keeps exactly.
The tables are made by the server's migrations; the trainer never changes their form.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql

from trainer.errors import RecordUnavailableError
from trainer.metrics import ProviderMetric
from trainer.rows import Bar, StopFill, Trade

_CONNECT_TIMEOUT_S: Final = 10
_SCHEMA: Final = "riskgate"
_TRADE_COLUMNS: Final = tuple(field.name for field in fields(Trade))
_FILL_COLUMNS: Final = tuple(field.name for field in fields(StopFill))
_BAR_COLUMNS: Final = (
    "symbol", "source", "bar_interval", "ts", "basis", "open", "high", "low", "close", "volume",
)  # fmt: skip
_METRIC_KEY: Final = ("provider_id", "provider_type", "period_type", "period_start", "period_end")
_STORED_PERIODS: Final = frozenset({"daily", "weekly", "monthly"})

Record = psycopg.Connection[tuple[Any, ...]]


def find_database_url(data_dir: Path) -> str:
    """Return the record of a running stack.

    Raises:
        RecordUnavailableError: No stack was started there, or its state cannot be read.
    """
    try:
        state = json.loads((data_dir / "state.json").read_bytes())
        return str(state["database_url"])
    except FileNotFoundError as error:
        raise RecordUnavailableError(
            f"no stack runs in {data_dir}: start one with `riskgate serve`, name its record with "
            "--database-url, or read a folder with --data"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordUnavailableError(f"state.json in {data_dir} cannot be read") from error


@contextmanager
def open_record(url: str) -> Iterator[Record]:
    """Connect for the length of a block; what the block did is kept only if it ends well.

    Raises:
        RecordUnavailableError: PostgreSQL cannot be reached, lacks our tables, or refuses a row.
    """
    try:
        with psycopg.connect(url, connect_timeout=_CONNECT_TIMEOUT_S) as record:
            yield record
    except psycopg.errors.UndefinedTable as error:
        raise RecordUnavailableError(
            "the record lacks the trainer's tables: start `riskgate serve` once to migrate it"
        ) from error
    except psycopg.errors.IntegrityError as error:
        constraint = error.diag.constraint_name or "a constraint"
        raise RecordUnavailableError(f"the record refuses a row: {constraint}") from error
    except psycopg.Error as error:
        # The text of libpq names host and user; it stays in the cause.
        raise RecordUnavailableError("the record cannot be used") from error


def import_trades(record: Record, trades: Iterable[Trade]) -> int:
    """Add the trades that are not there yet; return how many were new."""
    rows = (_list_values(trade, _TRADE_COLUMNS) for trade in trades)
    return _copy_new(record, "trade", _TRADE_COLUMNS, rows)


def import_stop_fills(record: Record, fills: Iterable[StopFill]) -> int:
    """Add the stop fills that are not there yet; return how many were new."""
    rows = (_list_values(fill, _FILL_COLUMNS) for fill in fills)
    return _copy_new(record, "stop_fill", _FILL_COLUMNS, rows)


def import_bars(record: Record, bars: Iterable[Bar]) -> int:
    """Add the bars that are not there yet; return how many were new."""
    names = (
        "symbol",
        "source",
        "interval",
        "ts",
        "basis",
        "open",
        "high",
        "low",
        "close",
        "volume",
    )
    rows = (_list_values(bar, names) for bar in bars)
    return _copy_new(record, "bar", _BAR_COLUMNS, rows)


def read_recorded_trades(record: Record) -> list[Trade]:
    """Return all trades by close time."""
    query = sql.SQL("SELECT {} FROM {} ORDER BY close_ts, provider_id, trade_no").format(
        _name_columns(_TRADE_COLUMNS), sql.Identifier(_SCHEMA, "trade")
    )
    return [Trade(*_read_values(row)) for row in record.execute(query)]


def read_recorded_fills(record: Record) -> list[StopFill]:
    """Return all stop fills by time."""
    query = sql.SQL("SELECT {} FROM {} ORDER BY ts, provider_id, trade_no").format(
        _name_columns(_FILL_COLUMNS), sql.Identifier(_SCHEMA, "stop_fill")
    )
    return [StopFill(*_read_values(row)) for row in record.execute(query)]


def write_metrics(record: Record, metrics: Sequence[ProviderMetric]) -> int:
    """Write the daily, weekly and monthly metrics, replacing those of the same provider and period.

    Score, previous score and trend belong to the server and are left as they are.

    Returns:
        Rows written.
    """
    stored = [metric for metric in metrics if metric.period_type in _STORED_PERIODS]
    columns = tuple(
        field.name for field in fields(ProviderMetric) if field.name != "breakeven_signals"
    )
    changed = [name for name in columns if name not in _METRIC_KEY]
    statement = sql.SQL(
        "INSERT INTO {table} ({columns}) VALUES ({values}) ON CONFLICT ({key}) "
        "DO UPDATE SET {changes}, calculated_at = now(), updated_at = now()"
    ).format(
        table=sql.Identifier(_SCHEMA, "provider_metric"),
        columns=_name_columns(columns),
        values=sql.SQL(", ").join(sql.Placeholder() * len(columns)),
        key=_name_columns(_METRIC_KEY),
        changes=sql.SQL(", ").join(
            sql.SQL("{0} = EXCLUDED.{0}").format(sql.Identifier(name)) for name in changed
        ),
    )
    with record.cursor() as cursor:
        cursor.executemany(statement, [_list_values(metric, columns) for metric in stored])
    return len(stored)


def _copy_new(
    record: Record, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]
) -> int:
    target, aside = sql.Identifier(_SCHEMA, table), sql.Identifier(f"incoming_{table}")
    with record.transaction(), record.cursor() as cursor:
        cursor.execute(
            sql.SQL("CREATE TEMP TABLE {} (LIKE {} INCLUDING DEFAULTS) ON COMMIT DROP").format(
                aside, target
            )
        )
        copy = sql.SQL("COPY {} ({}) FROM STDIN").format(aside, _name_columns(columns))
        with cursor.copy(copy) as stream:
            for row in rows:
                stream.write_row(row)
        cursor.execute(
            sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} ON CONFLICT DO NOTHING").format(
                target, _name_columns(columns), _name_columns(columns), aside
            )
        )
        added = cursor.rowcount
        # Inside an outer transaction the temporary table would outlive this block.
        cursor.execute(sql.SQL("DROP TABLE {}").format(aside))
    return added


def _name_columns(columns: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(name) for name in columns)


def _list_values(row: object, columns: Sequence[str]) -> list[object]:
    values = (getattr(row, name) for name in columns)
    return [Decimal(repr(value)) if isinstance(value, float) else value for value in values]


def _read_values(row: Sequence[Any]) -> list[Any]:
    return [
        float(value)
        if isinstance(value, Decimal)
        else value.astimezone(UTC)
        if hasattr(value, "astimezone")
        else value
        for value in row
    ]
