"""`riskgate decide` against a real gRPC server: JSON, exit codes and the table for people."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
import typer
from typer.testing import CliRunner

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import decision_pb2_grpc
from riskgate.v1 import types_pb2 as types
from server.commands.decide import decide

app = typer.Typer()
app.command()(decide)

ANSWER = pb.DecideResponse(
    decision_id=7,
    epoch=1,
    verdict=types.VERDICT_ALLOW,
    lot_size=0.32,
    sl_buffer_pips=0.5,
    stop_price=1.09795,
    reasons=[types.REASON_MODEL_MISSING],
    policy_digest=bytes.fromhex("ab" * 32),
    mode=types.MODE_NORMAL,
    input_ages=pb.InputAges(equity_ms=12),
    server_ns=85_000,
    checks=[
        pb.CheckResult(
            check=types.REASON_MAX_LOT,
            status=types.CHECK_STATUS_PASS,
            unit=types.UNIT_LOTS,
            limit=100.0,
            observed=0.0,
            headroom=100.0,
        )
    ],
)
OPTIONS = {
    "--account": "A",
    "--provider": "channel_12345",
    "--provider-type": "channel_source",
    "--symbol": "EURUSD",
    "--side": "buy",
    "--entry": "1.10000",
    "--stop": "1.09800",
    "--atr": "0.00100",
    "--volatility-index": "50",
}
ORDER = [word for option in OPTIONS.items() for word in option]


class Gate(decision_pb2_grpc.DecisionServiceServicer):
    """Answers with one decision, or refuses."""

    def __init__(self) -> None:
        self.received: list[pb.DecideRequest] = []
        self.answer = ANSWER
        self.refused_field = ""

    def Decide(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.received.append(request)
        if self.refused_field:
            context.set_trailing_metadata((("riskgate-field", self.refused_field),))
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "must be a multiple of the tick")
        return self.answer


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    servicer = Gate()
    server = grpc.server(ThreadPoolExecutor(max_workers=1))
    decision_pb2_grpc.add_DecisionServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    state = {"decision_address": f"127.0.0.1:{port}", "control_address": "127.0.0.1:1"}
    (tmp_path / "state.json").write_text(json.dumps(state))
    yield servicer
    server.stop(grace=None).wait()


def run(tmp_path: Path, *arguments: str) -> Any:
    return CliRunner().invoke(app, [*ORDER, *arguments, "--data-dir", str(tmp_path)])


def test_decide_when_json_then_fields_are_plain_and_the_exit_code_is_0(
    gate: Gate, tmp_path: Path
) -> None:
    result = run(tmp_path, "--json", "--lots", "0.5", "--client-order-id", "o-1")
    assert result.exit_code == 0, result.output
    document = json.loads(result.output)
    assert (document["lot_size"], document["sl_buffer_pips"]) == (0.32, 0.5)
    assert (document["verdict"], document["reasons"]) == ("ALLOW", ["MODEL_MISSING"])
    assert document["policy_digest"] == "ab" * 32
    assert document["input_ages"]["equity_ms"] == 12
    assert document["input_ages"]["atr_ms"] is None
    assert document["decision_id"] == 7
    assert document["binding_limit"] is None
    assert document["client_order_id"] == "o-1"
    (sent,) = gate.received
    assert (sent.client_order_id, sent.requested_lots, sent.atr) == ("o-1", 0.5, 0.001)
    assert not sent.HasField("take_profit")


def test_decide_when_denied_then_the_exit_code_is_still_0(gate: Gate, tmp_path: Path) -> None:
    gate.answer = pb.DecideResponse(verdict=types.VERDICT_DENY)
    result = run(tmp_path, "--json")
    assert result.exit_code == 0
    assert json.loads(result.output)["verdict"] == "DENY"


def test_decide_when_for_people_then_verdict_lots_and_checks_are_shown(
    gate: Gate, tmp_path: Path
) -> None:
    result = run(tmp_path, "--explain")
    assert result.exit_code == 0, result.output
    for part in ("ALLOW", "0.32 lots of EURUSD buy", "MODEL_MISSING", "MAX_LOT", "1.09795"):
        assert part in result.output
    assert gate.received[0].explain


def test_decide_when_refused_then_exit_code_3_and_the_field(gate: Gate, tmp_path: Path) -> None:
    gate.refused_field = "entry_price"
    result = run(tmp_path, "--json")
    assert result.exit_code == 3
    document = json.loads(result.output)
    assert (document["decided"], document["code"], document["field"]) == (
        False,
        "INVALID_ARGUMENT",
        "entry_price",
    )


def test_decide_when_no_stack_runs_then_exit_code_3(tmp_path: Path) -> None:
    result = run(tmp_path / "nothing")
    assert result.exit_code == 3
    assert "do not trade" in result.stderr
    assert "riskgate serve" in result.stderr
