"""Provider metrics on their way to the control port, against a real gRPC server."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from riskgate.v1 import model_pb2, model_pb2_grpc, provider_pb2_grpc
from riskgate.v1 import provider_pb2 as pb
from trainer.artifact import FILES
from trainer.errors import ArtifactReadError
from trainer.metrics import provider_metrics
from trainer.push import ROWS_PER_CALL, PushRefusedError, push_artifact, push_provider_metrics
from trainer.rows import Trade
from trainer.simulate import simulate_market

MONDAY = datetime(2024, 1, 8, 12, tzinfo=UTC)


class Register(provider_pb2_grpc.ProviderServiceServicer, model_pb2_grpc.ModelServiceServicer):
    """Counts rows and artifacts, or refuses them."""

    def __init__(self) -> None:
        self.address = ""
        self.calls: list[pb.PutProviderMetricsRequest] = []
        self.pushed: list[model_pb2.PushModelRequest] = []
        self.refusal = ""

    def PushModel(self, request: Any, context: Any) -> Any:  # noqa: N802
        if self.refusal:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, self.refusal)
        self.pushed.append(request)
        model = model_pb2.ModelVersion(status=model_pb2.MODEL_STATUS_REGISTERED)
        return model_pb2.PushModelResponse(model=model)

    def PutProviderMetrics(self, request: Any, context: Any) -> Any:  # noqa: N802
        if self.refusal:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, self.refusal)
        self.calls.append(request)
        return pb.PutProviderMetricsResponse(
            written=len(request.metrics), scores_moved=1, state_version=len(self.calls)
        )


@pytest.fixture
def register() -> Iterator[Register]:
    servicer = Register()
    server = grpc.server(ThreadPoolExecutor(max_workers=1))
    provider_pb2_grpc.add_ProviderServiceServicer_to_server(servicer, server)
    model_pb2_grpc.add_ModelServiceServicer_to_server(servicer, server)
    servicer.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield servicer
    server.stop(grace=None).wait()


def build_trade(number: int, stop_loss: float | None, close_price: float = 1.102) -> Trade:
    return Trade(
        provider_id="p",
        provider_type="user",
        trade_no=number,
        symbol="EURUSD",
        side="buy",
        lots=0.1,
        open_ts=MONDAY + timedelta(days=number),
        open_price=1.1,
        close_ts=MONDAY + timedelta(days=number, hours=1),
        close_price=close_price,
        stop_loss=stop_loss,
        take_profit=None,
        exit_reason="other",
        commission=0.0,
        swap=0.0,
        profit=(close_price - 1.1) * 10_000,
        pip_size=0.0001,
    )


def test_push_when_figures_are_fractions_then_percents_are_sent(register: Register) -> None:
    trades = [build_trade(0, 1.099), build_trade(0, 1.098, close_price=1.099)]
    result = push_provider_metrics(provider_metrics(trades, []), register.address)
    (call,) = register.calls
    daily = next(row for row in call.metrics if row.period_type == pb.PERIOD_TYPE_DAILY)
    assert (daily.provider_id, daily.period_start, daily.period_end) == (
        "p",
        "2024-01-08",
        "2024-01-08",
    )
    assert daily.figures.win_rate == 50.0
    assert daily.figures.sl_compliance_rate == 100.0
    # Rewards of 2 and -0.5 times the risk.
    assert daily.figures.reward_to_risk_ratio == 0.75
    assert not daily.figures.HasField("avg_slippage")
    assert (result.written, result.left_out, result.state_version) == (3, 0, 1)


def test_push_when_a_period_has_no_stop_then_it_is_left_out_and_counted(register: Register) -> None:
    trades = [build_trade(0, 1.099), build_trade(1, None)]
    result = push_provider_metrics(provider_metrics(trades, []), register.address)
    days = [
        row.period_start
        for row in register.calls[0].metrics
        if row.period_type == pb.PERIOD_TYPE_DAILY
    ]
    assert days == ["2024-01-08"]
    assert result.left_out == 1


def test_push_when_there_are_many_rows_then_calls_are_bounded_and_in_order(
    register: Register,
) -> None:
    market = simulate_market(seed=3, trade_count=14_000)
    metrics = provider_metrics(market.trades, market.fills)
    result = push_provider_metrics(metrics, register.address)
    assert [len(call.metrics) for call in register.calls[:-1]] == [ROWS_PER_CALL] * (
        len(register.calls) - 1
    )
    ends = [row.period_end for call in register.calls for row in call.metrics]
    assert len(register.calls) > 1
    assert ends == sorted(ends)
    assert result.written == len(ends)


def test_push_when_refused_then_the_error_says_why(register: Register) -> None:
    register.refusal = "invalid field: metrics[0]"
    with pytest.raises(PushRefusedError, match=r"metrics\[0\]"):
        push_provider_metrics(provider_metrics([build_trade(0, 1.099)], []), register.address)


def test_push_when_nobody_listens_then_the_error_is_typed() -> None:
    with pytest.raises(PushRefusedError, match="UNAVAILABLE"):
        push_provider_metrics(provider_metrics([build_trade(0, 1.099)], []), "127.0.0.1:1")


def test_an_artifact_is_pushed_whole_and_its_status_told(
    register: Register, tmp_path: Path
) -> None:
    for name in FILES:
        (tmp_path / name).write_bytes(name.encode())
    assert push_artifact(tmp_path, register.address, reason="monthly") == "registered"
    (sent,) = register.pushed
    assert {file.name: file.content for file in sent.files} == {
        name: name.encode() for name in FILES
    }
    assert (sent.note.actor, sent.note.reason) == ("trainer", "monthly")


def test_an_artifact_that_is_refused_or_not_whole_is_an_error(
    register: Register, tmp_path: Path
) -> None:
    with pytest.raises(ArtifactReadError, match="too many or too few"):
        push_artifact(tmp_path, register.address)
    for name in FILES:
        (tmp_path / name).write_bytes(b"x")
    register.refusal = "the artifact was refused"
    with pytest.raises(PushRefusedError, match="the artifact was refused"):
        push_artifact(tmp_path, register.address)
    with pytest.raises(PushRefusedError):
        push_artifact(tmp_path, "127.0.0.1:1")
