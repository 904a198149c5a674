"""Move rows between a folder, the record and memory: knows both `source` and `store`."""

from itertools import islice
from pathlib import Path
from typing import Final

from rich.progress import Progress

from trainer.rows import StopFill, Trade
from trainer.source import iterate_bars, open_folder, read_stop_fills, read_trades
from trainer.store import (
    import_bars,
    import_stop_fills,
    import_trades,
    open_record,
    read_recorded_fills,
    read_recorded_trades,
)

BATCH_ROWS: Final = 50_000


def import_folder(
    path: Path, url: str, provider_type: str, progress: Progress, *, with_bars: bool
) -> dict[str, dict[str, int]]:
    """Copy the rows of a folder into the record.

    Args:
        path: Folder or file.
        url: The record.
        provider_type: Given to rows whose file has no such column.
        progress: Shown while it runs.
        with_bars: Whether price bars are copied too.

    Returns:
        Rows read and rows that were new, by table.

    Raises:
        DataFormatError: A file or row cannot be read; nothing is kept of the table it belongs to.
        RecordUnavailableError: The record cannot be used.
    """
    folder = open_folder(path)
    result: dict[str, dict[str, int]] = {}
    with open_record(url) as record:
        task = progress.add_task("trades", total=None)
        trades = read_trades(folder, provider_type)
        result["trade"] = {"read": len(trades), "added": import_trades(record, trades)}
        progress.update(task, description="stop fills")
        fills = read_stop_fills(folder, provider_type)
        result["stop_fill"] = {"read": len(fills), "added": import_stop_fills(record, fills)}
        if with_bars:
            progress.update(task, description="bars", total=folder.count("bars"))
            bars = iterate_bars(folder)
            read = added = 0
            while batch := list(islice(bars, BATCH_ROWS)):
                read += len(batch)
                added += import_bars(record, batch)
                progress.update(task, completed=read, description=f"bars ({read:,})")
            result["bar"] = {"read": read, "added": added}
    return result


def load_fills(path: Path | None, url: str, provider_type: str) -> list[StopFill]:
    """Return all stop fills of a folder, or of the record when no folder is given."""
    if path is not None:
        return read_stop_fills(open_folder(path), provider_type)
    with open_record(url) as record:
        return read_recorded_fills(record)


def load_rows(
    path: Path | None, url: str, provider_type: str
) -> tuple[list[Trade], list[StopFill]]:
    """Return all trades and stop fills of a folder, or of the record when no folder is given."""
    if path is not None:
        folder = open_folder(path)
        return read_trades(folder, provider_type), read_stop_fills(folder, provider_type)
    with open_record(url) as record:
        return read_recorded_trades(record), read_recorded_fills(record)
