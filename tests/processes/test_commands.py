import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from server.addresses import resolve_port, to_dial
from server.cli import _COMMANDS, app
from server.errors import ConfigurationError

ROOT = Path(__file__).parents[2]
run = CliRunner().invoke


def test_help_when_asked_then_lists_every_command() -> None:
    result = run(app, ["--help"])
    assert result.exit_code == 0
    for name in (*_COMMANDS, "data", "train", "evaluate"):
        assert name in result.stdout


@pytest.mark.parametrize("name", [*_COMMANDS, "data", "train", "evaluate"])
def test_command_when_asked_for_help_then_loads_and_explains_itself(name: str) -> None:
    result = run(app, [name, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.stdout


def test_command_when_unknown_then_says_so() -> None:
    result = run(app, ["no-such-command"])
    assert result.exit_code == 2


def test_cli_when_imported_then_loads_nothing_heavy() -> None:
    code = "import server.cli, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT
    )
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    heavy = {"grpc", "numpy", "numba", "psycopg", "redis", "onnxruntime", "pandas", "pydantic"}
    assert loaded & heavy == set()


def test_serve_when_asked_to_check_then_reports_all_problems(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert run(app, ["serve", "--check-config"]).exit_code == 0
    monkeypatch.setenv("RISKGATE_CAPACITY_ACCOUNTS", "1")
    result = run(app, ["serve", "--check-config", "--decision-listen", "x"])
    assert result.exit_code == 1
    assert "capacity_accounts" in result.stderr
    assert "decision_listen" in result.stderr


def test_doctor_when_nothing_was_started_then_fails_and_says_how_to_start() -> None:
    with tempfile.TemporaryDirectory() as folder:
        result = run(app, ["doctor", "--json", "--data-dir", f"{folder}/data"])
    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    assert answer["ok"] is False
    assert all(check["mend"] for check in answer["checks"] if not check["ok"])
    assert "riskgate serve" in answer["checks"][0]["mend"]


def test_migrate_when_run_twice_then_the_second_does_nothing(database_url: str) -> None:
    first = run(app, ["migrate", "--json", "--database-url", database_url])
    assert first.exit_code == 0, first.stderr
    second = run(app, ["migrate", "--json", "--database-url", database_url])
    assert json.loads(second.stdout) == {"ok": True, "applied": [], "problems": []}
    assert run(app, ["migrate", "--check", "--database-url", database_url]).exit_code == 0


def test_migrate_when_the_database_is_away_then_says_so_without_its_password() -> None:
    url = "postgresql://someone:hunter2@127.0.0.1:1/nothing"
    result = run(app, ["migrate", "--database-url", url])
    assert result.exit_code == 1
    assert "refused" in result.stderr
    assert "hunter2" not in result.stderr


def test_resolve_port_when_it_is_zero_then_finds_a_free_one() -> None:
    address = resolve_port("decision_listen", "127.0.0.1:0")
    assert address.startswith("127.0.0.1:")
    assert not address.endswith(":0")


def test_resolve_port_when_it_is_taken_then_names_the_setting() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigurationError, match=f"control_listen: {address}"):
            resolve_port("control_listen", address)


@pytest.mark.parametrize(
    ("listen", "dial"),
    [
        ("0.0.0.0:7", "127.0.0.1:7"),
        ("[::]:7", "[::1]:7"),
        ("10.0.0.1:7", "10.0.0.1:7"),
        ("[::1]:7", "[::1]:7"),
    ],
)
def test_to_dial_when_it_listens_everywhere_then_gives_loopback(listen: str, dial: str) -> None:
    assert to_dial(listen) == dial
