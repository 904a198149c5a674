"""Read trades, stop fills and bars from a folder of Parquet or CSV files.

A file is recognised by its columns, not by its name, so a folder may be laid out in any way; files
of another kind (ticks, equity curves) are passed over. Times without a timezone are refused. Rows
that occur in several files count once.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from trainer.errors import DataFormatError
from trainer.rows import Bar, StopFill, Trade
from trainer.split import order_by_time

Kind = Literal["trades", "stop_fills", "bars"]
_Row = TypeVar("_Row")
DEFAULT_PROVIDER_TYPE: Final = "channel_source"
_SUFFIXES: Final = (".parquet", ".csv")
_BATCH_ROWS: Final = 20_000
_TRADE_COLUMNS: Final = {
    "provider_id", "trade_no", "symbol", "side", "lots", "open_ts", "open_price", "close_ts",
    "close_price",
    "stop_loss", "take_profit", "exit_reason", "commission", "swap", "profit", "pip_size",
}  # fmt: skip
_FILL_COLUMNS: Final = {
    "provider_id", "symbol", "side", "lots", "ts", "ref_price", "fill_price", "pip_size",
    "slippage_pips",
}  # fmt: skip
_BAR_COLUMNS: Final = {"ts", "open", "high", "low", "close"}
_BID_BAR_COLUMNS: Final = {"ts", "bid_open", "bid_high", "bid_low", "bid_close"}


@dataclass(frozen=True, slots=True)
class DataFolder:
    """The usable files of a folder, by kind; `ignored` counts files of no kind we read."""

    files: dict[Kind, list[Path]] = field(default_factory=dict)
    ignored: int = 0

    def count(self, kind: Kind) -> int:
        """Return the number of rows in the files of a kind."""
        return sum(_count_rows(path) for path in self.files.get(kind, []))


def open_folder(path: Path) -> DataFolder:
    """Look at every file under a folder (or at one file) and sort it by its columns.

    Raises:
        DataFormatError: The path does not exist, or a file cannot be read.
    """
    if not path.exists():
        raise DataFormatError(f"{path} does not exist")
    candidates = [path] if path.is_file() else sorted(path.rglob("*"))
    files: dict[Kind, list[Path]] = {}
    ignored = 0
    for candidate in candidates:
        if candidate.suffix not in _SUFFIXES:
            continue
        kind = _recognise(_read_columns(candidate))
        if kind is None:
            ignored += 1
        else:
            files.setdefault(kind, []).append(candidate)
    return DataFolder(files, ignored)


def read_trades(folder: DataFolder, provider_type: str = DEFAULT_PROVIDER_TYPE) -> list[Trade]:
    """Return all trades, by close time.

    Args:
        folder: From `open_folder`.
        provider_type: Given to rows whose file has no such column.

    Raises:
        DataFormatError: A row is not a trade.
    """
    rows: dict[tuple[str, str, int], Trade] = {}
    for path in folder.files.get("trades", []):
        for number, row in _iterate_rows(path):
            trade = _convert(path, number, row, partial(_build_trade, provider_type=provider_type))
            rows.setdefault((trade.provider_type, trade.provider_id, trade.trade_no), trade)
    return sorted(
        rows.values(), key=lambda trade: (trade.close_ts, trade.provider_id, trade.trade_no)
    )


def read_stop_fills(
    folder: DataFolder, provider_type: str = DEFAULT_PROVIDER_TYPE
) -> list[StopFill]:
    """Return all stop and target fills, by time.

    Args:
        folder: From `open_folder`.
        provider_type: Given to rows whose file has no such column.

    Raises:
        DataFormatError: A row is not a stop fill.
    """
    rows: dict[tuple[str, str, int], StopFill] = {}
    for path in folder.files.get("stop_fills", []):
        for number, row in _iterate_rows(path):
            build = partial(_build_fill, provider_type=provider_type, number=number)
            fill = _convert(path, number, row, build)
            rows.setdefault((fill.provider_type, fill.provider_id, fill.trade_no), fill)
    return order_by_time(list(rows.values()))


def iterate_bars(folder: DataFolder) -> Iterator[Bar]:
    """Yield all bars, file by file; bars with a missing price are passed over.

    The file name names the series: SYMBOL_SOURCE_INTERVAL.

    Raises:
        DataFormatError: A row is not a bar.
    """
    for path in folder.files.get("bars", []):
        symbol, _, rest = path.stem.partition("_")
        source, _, interval = rest.rpartition("_")
        for number, row in _iterate_rows(path):
            build = partial(_build_bar, symbol=symbol, source=source, interval=interval)
            bar = _convert(path, number, row, build)
            if bar is not None:
                yield bar


def _recognise(columns: set[str]) -> Kind | None:
    if columns >= _TRADE_COLUMNS:
        return "trades"
    if columns >= _FILL_COLUMNS:
        return "stop_fills"
    if columns >= _BAR_COLUMNS or columns >= _BID_BAR_COLUMNS:
        return "bars"
    return None


def _read_columns(path: Path) -> set[str]:
    try:
        if path.suffix == ".parquet":
            return set(pyarrow.parquet.read_schema(path).names)
        with pyarrow.csv.open_csv(path) as reader:
            return set(reader.schema.names)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataFormatError(f"{path.name} cannot be read: {error}") from error


def _count_rows(path: Path) -> int:
    if path.suffix == ".parquet":
        return int(pyarrow.parquet.read_metadata(path).num_rows)
    return int(pyarrow.csv.read_csv(path).num_rows)


def _iterate_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    if path.suffix == ".parquet":
        with pyarrow.parquet.ParquetFile(path) as file:
            yield from _number_rows(file.iter_batches(batch_size=_BATCH_ROWS))
    else:
        yield from _number_rows(pyarrow.csv.read_csv(path).to_batches(_BATCH_ROWS))


def _number_rows(batches: Iterable[Any]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    number = 0
    for batch in batches:
        for row in batch.to_pylist():
            number += 1
            yield number, row


def _convert(
    path: Path, number: int, row: Mapping[str, Any], build: Callable[[Mapping[str, Any]], _Row]
) -> _Row:
    try:
        return build(row)
    except (DataFormatError, TypeError, ValueError, KeyError) as error:
        raise DataFormatError(f"{path.name}, row {number}: {error}") from error


def _build_trade(row: Mapping[str, Any], provider_type: str) -> Trade:
    return Trade(
        provider_id=_read_text(row["provider_id"]),
        provider_type=str(row.get("provider_type") or provider_type),
        trade_no=int(row["trade_no"]),
        symbol=_read_text(row["symbol"]),
        side=row["side"],
        lots=float(row["lots"]),
        open_ts=_read_time(row["open_ts"]),
        open_price=float(row["open_price"]),
        close_ts=_read_time(row["close_ts"]),
        close_price=float(row["close_price"]),
        stop_loss=_read_optional(row["stop_loss"]),
        take_profit=_read_optional(row["take_profit"]),
        exit_reason=_read_text(row["exit_reason"]),
        commission=float(row["commission"]),
        swap=float(row["swap"]),
        profit=float(row["profit"]),
        pip_size=float(row["pip_size"]),
        account_id=str(row.get("account_id") or ""),
    )


def _build_fill(row: Mapping[str, Any], provider_type: str, number: int) -> StopFill:
    trade_no = row.get("trade_no")
    return StopFill(
        provider_id=_read_text(row["provider_id"]),
        provider_type=str(row.get("provider_type") or provider_type),
        trade_no=number if trade_no is None else int(trade_no),
        symbol=_read_text(row["symbol"]),
        side=row["side"],
        lots=float(row["lots"]),
        ts=_read_time(row["ts"]),
        exit_reason=str(row.get("exit_reason") or "sl"),
        ref_price=float(row["ref_price"]),
        fill_price=float(row["fill_price"]),
        pip_size=float(row["pip_size"]),
        slippage_pips=float(row["slippage_pips"]),
        latency_ms=_read_optional(row.get("latency_ms")),
    )


def _build_bar(row: Mapping[str, Any], symbol: str, source: str, interval: str) -> Bar | None:
    prefix = "bid_" if "bid_open" in row else ""
    prices = [_read_optional(row[f"{prefix}{name}"]) for name in ("open", "high", "low", "close")]
    bar_open, high, low, close = prices
    if bar_open is None or high is None or low is None or close is None:
        return None
    is_bid = bool(prefix) or "tick_volume" in row
    volume = row.get("volume", row.get("tick_volume", row.get("tick_count")))
    return Bar(
        symbol=symbol,
        source=source or "unnamed",
        interval=interval,
        ts=_read_time(row["ts"]),
        basis="bid" if is_bid else "trade",
        open=bar_open,
        high=high,
        low=low,
        close=close,
        volume=_read_optional(volume),
    )


def _read_text(value: Any) -> str:
    # CSV turns an id such as 7 into a number, and an empty cell into None.
    return "" if value is None else str(value)


def _read_time(value: Any) -> datetime:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if hasattr(moment, "to_pydatetime"):
        moment = moment.to_pydatetime()
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        raise DataFormatError("a time carries no timezone")
    return moment.astimezone(UTC)


def _read_optional(value: Any) -> float | None:
    if value is None or value == "" or math.isnan(float(value)):
        return None
    return float(value)
