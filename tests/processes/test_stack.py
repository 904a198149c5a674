"""`riskgate serve` as an operator sees it: real processes, real kills."""

import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from server.embedded.postgres import EmbeddedPostgres
from server.embedded.process import wait_until
from tests.stack_harness import FREE_PORTS, Stack, lives, riskgate_command, running_stack


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running_stack() as stack:
        yield stack


def test_serve_when_ready_then_the_doctor_finds_everything_healthy(stack: Stack) -> None:
    code, checks = stack.examine()
    assert code == 0, checks
    assert all(check["ok"] and not check["problem"] for check in checks.values())
    assert {"postgres", "migrations", "redis", "control", "engine", "publisher"} <= set(checks)


def test_serve_when_ready_then_children_are_visible_by_their_commands(stack: Stack) -> None:
    for name in ("engine", "control", "recorder"):
        line = psutil.Process(stack.state.pids[name]).cmdline()
        assert line[-3:] == [name, "--data-dir", str(stack.data_dir)]
        assert Path(line[-4]).name == "riskgate"
    mode = stat.S_IMODE((stack.data_dir / "state.json").stat().st_mode)
    assert mode == 0o600


def test_serve_when_the_data_directory_is_taken_then_refuses(stack: Stack) -> None:
    done = subprocess.run(
        [*riskgate_command("serve", stack.data_dir), *FREE_PORTS],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "another `riskgate serve` runs" in done.stderr
    assert stack.is_healthy()


@pytest.mark.parametrize("name", ["engine", "control", "recorder", "postgres", "redis"])
def test_serve_when_a_part_is_killed_then_it_comes_back(stack: Stack, name: str) -> None:
    before = stack.state.pids[name]
    others = {other: pid for other, pid in stack.state.pids.items() if other != name}
    os.kill(before, signal.SIGKILL)
    assert wait_until(lambda: stack.state.pids[name] != before, timeout_s=30)
    assert wait_until(stack.is_healthy, timeout_s=90), stack.examine()
    assert {other: stack.state.pids[other] for other in others} == others


def test_doctor_when_a_table_is_missing_then_names_it_and_the_mend(stack: Stack) -> None:
    admin_url = EmbeddedPostgres(stack.data_dir).admin_url.replace("/postgres?", "/riskgate?")
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE riskgate.circuit_breaker_event RENAME TO away")
        try:
            code, checks = stack.examine()
        finally:
            connection.execute("ALTER TABLE riskgate.away RENAME TO circuit_breaker_event")
    assert code == 1
    assert "riskgate.circuit_breaker_event" in checks["migrations"]["problem"]
    assert checks["migrations"]["mend"]
    assert [name for name, check in checks.items() if not check["ok"]] == ["migrations"]


def test_doctor_when_the_engine_hangs_then_names_it(stack: Stack) -> None:
    pid = stack.state.pids["engine"]
    os.kill(pid, signal.SIGSTOP)
    try:
        code, checks = stack.examine()
    finally:
        os.kill(pid, signal.SIGCONT)
    assert code == 1
    assert not checks["engine"]["ok"]
    assert "engine.log" in checks["engine"]["mend"]
    assert checks["control"]["ok"]


def test_serve_when_the_supervisor_is_killed_then_all_end_and_it_starts_again(
    stack: Stack,
) -> None:
    pids = list(stack.state.pids.values())
    stack.end(signal.SIGKILL)
    assert wait_until(lambda: not any(lives(pid) for pid in pids), timeout_s=30)
    code, checks = stack.examine()
    assert code == 1
    assert "died" in checks["supervisor"]["problem"]
    stack.start()
    assert wait_until(stack.is_healthy, timeout_s=60), stack.examine()


def test_serve_when_asked_to_stop_then_ends_everything_and_exits_0(stack: Stack) -> None:
    pids = list(stack.state.pids.values())
    assert stack.end(signal.SIGTERM) == 0
    assert not any(lives(pid) for pid in pids)
    assert not (stack.data_dir / "state.json").exists()
    code, checks = stack.examine()
    assert code == 1
    assert "riskgate serve" in checks["supervisor"]["mend"]
