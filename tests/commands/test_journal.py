"""`riskgate journal ids` and `export` on a journal as an engine leaves it, with no server there."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import state_pb2
from riskgate.v1 import types_pb2 as types
from server.cli import app
from server.hotpath.journal.entries import (
    KIND_BATCH,
    KIND_DECIDE,
    KIND_REPORT,
    KIND_STREAM,
    KIND_SYNC,
    READING,
)
from server.hotpath.reasons import R_MAX_LOT, S_CUT
from tests.journal_builder import JournalBuilder, overwrite

REQUEST = pb.DecideRequest(account_id="A-1", client_order_id="order-1", symbol="EURUSD")
ANSWER = pb.DecideResponse(decision_id=9, epoch=1, verdict=types.VERDICT_REDUCE, lot_size=0.25)


def run(data_dir: Path, *words: str) -> Any:
    result = CliRunner().invoke(app, ["journal", *words, "--data-dir", str(data_dir)])
    assert result.exit_code == 0, result.output
    return result.stdout


def lines(data_dir: Path, *words: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run(data_dir, *words).splitlines()]


def write(builder: JournalBuilder, kind: int, request: Any, answer: Any, **options: Any) -> None:
    builder.call(request.SerializeToString(), answer.SerializeToString(), kind=kind, **options)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Return a data directory whose journal has one entry of each kind."""
    error = pb.RequestError(code=3, field="symbol", message="absent")
    with JournalBuilder(tmp_path / "journal", epoch=4) as builder:
        change = state_pb2.StateChange(version=12, kind=2, key="A-1")  # type: ignore[arg-type]
        builder.change(2, b"", change.SerializeToString(), version=12)
        builder.clock()
        readings = np.zeros(1, READING)
        readings["q90_pips"] = np.nan
        readings["binding"] = 1 + R_MAX_LOT
        readings["status"][0, R_MAX_LOT] = S_CUT
        write(builder, KIND_DECIDE, REQUEST, ANSWER, identity=b"trader", readings=readings)
        results = [pb.BatchResult(response=ANSWER), pb.BatchResult(error=error)]
        write(
            builder,
            KIND_BATCH,
            pb.DecideBatchRequest(requests=[REQUEST, REQUEST]),
            pb.DecideBatchResponse(results=results),
        )
        write(
            builder,
            KIND_STREAM,
            pb.DecideStreamRequest(tag=3, request=REQUEST),
            pb.DecideStreamResponse(tag=3, response=ANSWER),
        )
        report = pb.ExecutionReport(account_id="A-1", report_id="fill-1\x1b[31m")
        write(
            builder,
            KIND_REPORT,
            pb.ReportExecutionRequest(report=report),
            pb.ReportExecutionResponse(outcome=pb.REPORT_OUTCOME_APPLIED, sequence=5),
        )
        write(builder, KIND_SYNC, pb.SyncAccountRequest(account_id="A-1"), pb.SyncAccountResponse())
    return tmp_path


def test_ids_when_printed_then_name_every_decision_report_and_change(data_dir: Path) -> None:
    found = lines(data_dir, "ids", "--json")
    assert [(line["number"], line["kind"], line["account"]) for line in found] == [
        (1, "start", ""),
        (2, "change", ""),
        (3, "clock", ""),
        (4, "decide", "A-1"),
        (5, "batch", "A-1"),
        (5, "batch", "A-1"),
        (6, "stream", "A-1"),
        (7, "report", "A-1"),
        (8, "sync", "A-1"),
    ]
    assert [line["id"] for line in found[:7]] == [
        *("epoch 4", "account A-1", ""),
        *("order-1",) * 4,
    ]
    results = ["", "version 12", "", "REDUCE", "REDUCE", "error", "REDUCE", "APPLIED"]
    assert [line["result"] for line in found[:8]] == results
    assert found[3]["sequence"] == 9
    assert found[3]["time"] == "2026-09-21T14:13:20.000000000Z"


def test_ids_when_for_people_then_one_line_each_that_steers_no_terminal(data_dir: Path) -> None:
    shown = run(data_dir, "ids")
    assert len(shown.splitlines()) == 9
    assert "A-1  order-1  REDUCE" in shown
    assert "\x1b" not in shown
    assert "fill-1?[31m" in shown


def test_ids_when_a_range_is_asked_for_then_only_that_is_shown(data_dir: Path) -> None:
    assert [line["number"] for line in lines(data_dir, "ids", "--json", "--from", "7")] == [7, 8]
    found = lines(data_dir, "ids", "--json", "--from", "3", "--to", "4")
    assert [line["number"] for line in found] == [3, 4]


def test_export_when_asked_then_every_entry_is_one_json_line(data_dir: Path) -> None:
    found = lines(data_dir, "export", "--json")
    assert [line["number"] for line in found] == list(range(1, 9))
    start, change, clock, decide, batch, stream, report, sync = found
    assert start["start"]["epoch"] == 4
    assert (change["change"]["key"], change["change"]["kind"]) == ("A-1", "ACCOUNT")
    assert "request" not in clock
    assert decide["request"]["client_order_id"] == "order-1"
    assert decide["answer"]["verdict"] == "REDUCE"
    assert decide["identity"] == "trader"
    (reading,) = decide["readings"]
    assert reading["q90_pips"] is None
    assert reading["binding"] == "MAX_LOT"
    assert reading["status"] == {"MAX_LOT": "CUT"}
    assert batch["answer"]["results"][1]["error"]["field"] == "symbol"
    assert stream["request"]["tag"] == 3
    assert report["answer"]["outcome"] == "APPLIED"
    assert sync["request"]["account_id"] == "A-1"


def test_journal_when_damaged_then_the_entry_is_named_and_the_exit_status_says_so(
    data_dir: Path,
) -> None:
    overwrite(data_dir / "journal" / "0000000001.segment", 4_096 + 216 + 50, b"\xff")
    for command in ("ids", "export"):
        result = CliRunner().invoke(app, ["journal", command, "--data-dir", str(data_dir)])
        assert result.exit_code == 1
        assert "entry 2" in result.stderr
        assert len(result.stdout.splitlines()) == 1


def test_journal_when_there_is_none_then_says_so(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["journal", "ids", "--data-dir", str(tmp_path)])
    assert result.exit_code == 1
    assert "not found: journal" in result.stderr


def test_journal_when_of_a_shard_then_its_own_folder_is_read(tmp_path: Path) -> None:
    JournalBuilder(tmp_path / "journal-1of2").close()
    assert len(lines(tmp_path, "ids", "--json", "--shard", "1/2")) == 1
    for wrong in ("2/2", "1", "a/b", "/"):
        words = ["journal", "ids", "--data-dir", str(tmp_path), "--shard", wrong]
        assert CliRunner().invoke(app, words).exit_code == 1


def test_commands_when_loaded_then_need_no_compiler() -> None:
    code = (
        "import sys, server.commands.journal, server.commands.entry_view, server.settings, "
        "server.journal.recovery, server.journal.budget; sys.exit('numba' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
