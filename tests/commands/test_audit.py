"""`riskgate audit …`: rows of a running stack, and verification without one."""

import json
import signal
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
from typer.testing import CliRunner, Result

from riskgate.v1 import (
    admin_pb2,
    breaker_pb2,
    breaker_pb2_grpc,
    reference_pb2,
    reference_pb2_grpc,
)
from server.cli import app
from server.security.anomalies import MANY_DENIALS
from tests.control_harness import eurusd, reset
from tests.control_process import control_process


@pytest.fixture
def data_dir(
    database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The data directory of a control process that has stopped after two calls."""
    reset(database_url, redis_url)
    monkeypatch.setenv("RISKGATE_DATABASE_URL", database_url)
    monkeypatch.setenv("RISKGATE_HEADS_COPY_DIR", str(tmp_path / "copy"))
    with (
        control_process(tmp_path, database_url, redis_url) as control,
        grpc.insecure_channel(f"127.0.0.1:{control.port}") as channel,
    ):
        stub: Any = reference_pb2_grpc.ReferenceServiceStub(channel)
        for lots in (1, 2):
            request = reference_pb2.PutInstrumentRequest(
                instrument=eurusd(max_lot=lots), note=admin_pb2.ChangeNote(reason=f"lots \a{lots}")
            )
            stub.PutInstrument(request, timeout=60, wait_for_ready=True)
        shown = run("list", "--control", f"127.0.0.1:{control.port}", "--json")
        assert [row["reason"] for row in json.loads(shown.stdout)] == ["lots \a1", "lots \a2"]
        plain = run("list", "--control", f"127.0.0.1:{control.port}", "--count", "1").stdout
        assert "lots ?1" in plain
        assert "insecure-loopback" in plain
        assert run("anomalies", "--control", f"127.0.0.1:{control.port}").stdout == ""
        assert control.end(signal.SIGTERM) == 0
    return tmp_path


def test_a_running_control_finds_that_somebody_is_denied_again_and_again(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    reset(database_url, redis_url)
    with (
        control_process(tmp_path, database_url, redis_url) as control,
        grpc.insecure_channel(f"127.0.0.1:{control.port}") as channel,
    ):
        stub: Any = breaker_pb2_grpc.BreakerServiceStub(channel)
        for _ in range(MANY_DENIALS.threshold):
            with pytest.raises(grpc.RpcError, match="a reason is required"):
                stub.CreateBreaker(
                    breaker_pb2.CreateBreakerRequest(), timeout=60, wait_for_ready=True
                )
        address = f"127.0.0.1:{control.port}"
        while not (found := json.loads(run("anomalies", "--control", address, "--json").stdout)):
            pass
        assert [(each["rule"], each["identity"], each["frozen"]) for each in found] == [
            ("many_denials", "insecure-loopback", False)
        ]
        assert "many_denials: 20 calls" in run("anomalies", "--control", address).stdout


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["audit", *words])


def test_an_intact_log_is_said_to_be_so(data_dir: Path) -> None:
    done = run("verify", "--data-dir", str(data_dir))
    assert done.exit_code == 0, done.output
    assert "intact, signed up to row 2" in done.stdout
    said = json.loads(run("verify", "--data-dir", str(data_dir), "--json").stdout)
    assert (said["intact"], said["row_count"], said["finding"]) == (True, 2, None)


def test_an_altered_log_is_said_to_be_so_with_the_row(data_dir: Path, database_url: str) -> None:
    with psycopg.connect(database_url) as opened:
        opened.execute("ALTER TABLE riskgate.audit_log DISABLE TRIGGER USER")
        opened.execute("UPDATE riskgate.audit_log SET identity = 'eve' WHERE audit_id = 2")
    done = run("verify", "--data-dir", str(data_dir))
    assert done.exit_code == 1
    assert "row 2: altered" in done.stderr
    assert "NOT intact" in done.stdout


def test_heads_that_were_cut_are_contradicted_by_their_copy(
    data_dir: Path, database_url: str
) -> None:
    lines = data_dir / "heads" / "heads.jsonl"
    assert lines.read_bytes() == (data_dir / "copy" / "heads.jsonl").read_bytes()
    lines.unlink()
    with psycopg.connect(database_url) as opened:
        opened.execute("ALTER TABLE riskgate.audit_log DISABLE TRIGGER USER")
        opened.execute("DELETE FROM riskgate.audit_log")
        opened.execute(
            "UPDATE riskgate.audit_head SET row_count = 0, newest_hash = decode(%s, 'hex')",
            ["00" * 32],
        )
    done = run("verify", "--data-dir", str(data_dir))
    assert done.exit_code == 1
    assert "row 1: cut" in done.stderr
    alone = run("verify", "--data-dir", str(data_dir), "--heads", str(data_dir / "heads"))
    assert alone.exit_code == 1
    assert "signed head" in str(alone.stderr) + str(alone.exception)
