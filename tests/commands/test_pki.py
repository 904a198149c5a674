"""`riskgate pki`: the authority by hand."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from server.cli import app


def run(data_dir: Path, *words: str) -> Any:
    return CliRunner().invoke(app, ["pki", *words, "--data-dir", str(data_dir)])


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    assert run(made, "init", "--host", "gate.example").exit_code == 0
    return made


def test_an_issued_certificate_comes_with_what_its_holder_sets(data_dir: Path) -> None:
    result = run(data_dir, "issue", "risk_analyst", "ada", "--group", "risk_senior")
    assert result.exit_code == 0, result.output
    assert "spiffe://riskgate/risk_analyst/risk_senior/ada for 24 hours" in result.stdout
    for line in result.stdout.splitlines()[1:]:
        name, _, path = line.strip().partition("=")
        assert name in {"RISKGATE_CERTIFICATE", "RISKGATE_KEY", "RISKGATE_CA"}
        assert Path(path).is_file()


def test_what_was_issued_and_revoked_is_listed(data_dir: Path) -> None:
    issued = json.loads(run(data_dir, "issue", "trader", "desk-7", "--json").stdout)
    revoked = json.loads(run(data_dir, "revoke", issued["uri"], "--json").stdout)
    listed = json.loads(run(data_dir, "list", "--json").stdout)
    states = {each["name"]: (each["status"], each["serial"]) for each in listed}
    assert states[issued["uri"]] == ("revoked", *revoked["revoked"])
    assert states["spiffe://riskgate/admin/operator"][0] == "valid"
    assert any("gate.example" in name for name in states)
    assert "revoked  until" in run(data_dir, "list").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["issue", "root", "x"], "must name a role"),
        (["issue", "trader", "a/b"], "may name one group"),
        (["issue", "trader", "x", "--group", "sales"], "may name one group"),
        (["issue", "trader", "ä"], "must end with a name"),
        (["revoke", "spiffe://riskgate/trader/nobody"], "not found"),
    ],
)
def test_what_cannot_be_is_explained(data_dir: Path, words: list[str], said: str) -> None:
    result = run(data_dir, *words)
    assert result.exit_code == 1
    assert said in result.stderr


def test_without_an_authority_the_command_says_how_to_make_one(tmp_path: Path) -> None:
    result = run(tmp_path / "none", "issue", "trader", "x")
    assert result.exit_code == 1
    assert "riskgate pki init" in result.stderr
