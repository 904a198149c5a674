"""Where the client finds a stack and what it sends in the clear."""

import json
from pathlib import Path

import pytest

import riskgate
from riskgate.channel import check_plaintext, read_address


@pytest.mark.parametrize(
    "address", ["127.0.0.1:50051", "localhost:1", "[::1]:50051", "127.8.8.8:2", "unix:/run/x"]
)
def test_plaintext_when_on_this_machine_then_it_is_allowed(address: str) -> None:
    check_plaintext(address)


@pytest.mark.parametrize("address", ["10.0.0.1:50051", "gate.example:50051", "[2001:db8::1]:1"])
def test_plaintext_when_on_another_machine_then_it_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="credentials are required"):
        riskgate.Client(address)
    with pytest.raises(ValueError, match="credentials are required"):
        riskgate.ControlClient(address)


def test_read_address_when_a_stack_listens_everywhere_then_this_machine_is_called(
    tmp_path: Path,
) -> None:
    state = {"decision_address": "0.0.0.0:7001", "control_address": "127.0.0.1:7002"}
    (tmp_path / "state.json").write_text(json.dumps(state))
    assert read_address("decision", tmp_path) == "127.0.0.1:7001"
    assert read_address("control", tmp_path) == "127.0.0.1:7002"


@pytest.mark.parametrize("content", [None, "", "{}", "[]", '{"decision_address": 5}'])
def test_connect_when_no_stack_runs_then_the_error_says_how_to_start_one(
    tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "state.json").write_text(content)
    with pytest.raises(riskgate.StackNotFoundError, match="riskgate serve"):
        riskgate.connect(tmp_path)


def test_connect_when_the_environment_names_the_directory_then_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = {"decision_address": "127.0.0.1:7001", "control_address": "127.0.0.1:7002"}
    (tmp_path / "state.json").write_text(json.dumps(state))
    monkeypatch.setenv("RISKGATE_DATA_DIR", str(tmp_path))
    riskgate.connect().close()
