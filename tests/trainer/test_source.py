from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from trainer.errors import DataFormatError
from trainer.simulate import SimulatedMarket, write_market
from trainer.source import DataFolder, iterate_bars, open_folder, read_stop_fills, read_trades

FILLS_CSV = """\
provider_id,trade_no,symbol,side,lots,ts,exit_reason,ref_price,fill_price,pip_size,slippage_pips
p1,3,EURUSD,sell,0.1,2024-03-04T08:00:00Z,sl,1.1,1.1001,0.0001,1.0
"""


def write_fills(folder: Path, text: str) -> DataFolder:
    (folder / "anything.csv").write_text(text)
    return open_folder(folder)


def test_simulated_rows_are_read_back_as_written(tmp_path: Path, market: SimulatedMarket) -> None:
    write_market(market, tmp_path)
    folder = open_folder(tmp_path)
    assert read_trades(folder) == market.trades
    assert read_stop_fills(folder) == market.fills


def test_csv_rows_equal_parquet_rows_and_count_once(
    tmp_path: Path, market: SimulatedMarket
) -> None:
    for path in write_market(market, tmp_path):
        pyarrow.csv.write_csv(pyarrow.parquet.read_table(path), path.with_suffix(".csv"))
        path.rename(path.with_suffix(".parquet.aside"))
    from_csv = read_stop_fills(open_folder(tmp_path))
    write_market(market, tmp_path)
    assert from_csv == market.fills == read_stop_fills(open_folder(tmp_path))


def test_a_csv_fill_is_read_with_its_own_values(tmp_path: Path) -> None:
    (fill,) = read_stop_fills(write_fills(tmp_path, FILLS_CSV), "user")
    assert (fill.provider_type, fill.side, fill.slippage_pips) == ("user", "sell", 1.0)
    assert fill.ts.isoformat() == "2024-03-04T08:00:00+00:00"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("08:00:00Z", "08:00:00"),
        ("sell", "hold"),
        ("0.1,2024", "-0.1,2024"),
        ("1.0\n", "nan\n"),
        ("EURUSD", "E" * 33),
        ("p1,", ","),
    ],
)
def test_a_bad_row_is_refused_by_file_and_number(tmp_path: Path, old: str, new: str) -> None:
    folder = write_fills(tmp_path, FILLS_CSV.replace(old, new))
    with pytest.raises(DataFormatError, match=r"anything\.csv, row 1"):
        read_stop_fills(folder)


def test_files_of_other_kinds_are_passed_over(tmp_path: Path) -> None:
    pyarrow.parquet.write_table(pa.table({"bid": [1.0]}), tmp_path / "ticks.parquet")
    folder = open_folder(tmp_path)
    assert (folder.files, folder.ignored) == ({}, 1)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.parquet").write_bytes(b"PAR1 is not enough")
    with pytest.raises(DataFormatError, match=r"rows\.parquet"):
        open_folder(tmp_path)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataFormatError, match="does not exist"):
        open_folder(tmp_path / "nowhere")


def test_real_files_are_recognised(real_data: DataFolder) -> None:
    assert len(read_trades(real_data)) == 4_488
    assert len(read_stop_fills(real_data)) == 1_849
    bar = next(iterate_bars(real_data))
    assert (bar.symbol, bar.source, bar.interval, bar.basis) == (
        "EURUSD",
        "mt5recent",
        "15m",
        "bid",
    )
