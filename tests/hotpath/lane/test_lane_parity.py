"""One log of requests, two lanes over two equal engines: the same bytes but for `server_ns`."""

import random
from collections.abc import Iterator
from typing import Any, Final

import grpc
import pytest

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1.types_pb2 import UNIT_MILLISECONDS
from server.services.decision import SERVICE_NAME
from tests.decision_harness import PortCalls, good_request, new_engine
from tests.lane_harness import OPENERS

REQUESTS = 600
_OF_TIME: Final[tuple[Any, ...]] = ("server_ns", "reservation_expires_at", "input_ages")
Outcome = tuple[str, str, str, bytes]


def any_request(rng: random.Random) -> pb.DecideRequest:
    """Return a request that is mostly good."""
    fields: dict[str, Any] = {"client_order_id": f"o{rng.randrange(400)}"}
    choices: list[tuple[str, list[Any]]] = [
        ("requested_lots", [None, 0.01, 0.02, 1.0, 1e6, -1.0]),
        ("symbol", ["EURUSD", "EURUSD", "EURUSD", "XXX", None]),
        ("account_id", ["A", "A", "A", "B", ""]),
        ("side", [1, 2, 9]),
        ("stop_loss", [1.098, 1.102, 1.05, None, 1.100_005]),
        ("atr", [0.001, 0.002, None]),
        ("volatility_index", [50.0, 20.0, 101.0]),
        ("explain", [False, True]),
        ("dry_run", [False, True]),
        ("min_state_version", [None, 0, 4]),
        ("order_type", [None, 1, 2, 77]),
        ("group_id", [None, "g", "é", "x" * 65]),
    ]
    for name, values in choices:
        if rng.random() < 0.25:
            fields[name] = rng.choice(values)
    return good_request(**fields)


def any_report(rng: random.Random, number: int) -> pb.ReportExecutionRequest:
    report = pb.ExecutionReport(
        report_id=f"r{number if rng.random() < 0.9 else number // 2}",
        account_id=rng.choice(["A", "A", "A", "B"]),
        client_order_id=f"o{rng.randrange(400)}",
        kind=rng.choice([1, 2, 3, 3, 4, 5, 6, 7, 9]),  # type: ignore[arg-type]
        lots=rng.choice([0.01, 0.02, 0.0]),
        price=1.1,
    )
    if rng.random() < 0.3:
        report.realised_pnl = rng.choice([-5.0, 5.0])
    return pb.ReportExecutionRequest(report=report)


def log_of(seed: int) -> Iterator[tuple[str, bytes]]:
    """Return method and bytes of many calls."""
    rng = random.Random(seed)
    for number in range(REQUESTS):
        kind = rng.random()
        if kind < 0.7:
            raw = any_request(rng).SerializeToString()
            if rng.random() < 0.1:
                cut = rng.randrange(len(raw) + 1)
                raw = raw[:cut] + rng.randbytes(rng.randrange(4)) + raw[cut:]
            yield "Decide", raw
        elif kind < 0.85:
            yield "ReportExecution", any_report(rng, number).SerializeToString()
        elif kind < 0.97:
            items = [any_request(rng) for _ in range(rng.randrange(1, 8))]
            together = rng.random() < 0.5
            message = pb.DecideBatchRequest(requests=items, all_or_none=together)
            yield "DecideBatch", message.SerializeToString()
        else:
            equity = rng.choice([10_000.0, 9_500.0, 0.0])
            message_of_sync = pb.SyncAccountRequest(account_id="A", equity=equity)
            yield "SyncAccount", message_of_sync.SerializeToString()


def answer_of(port: PortCalls, method: str, raw: bytes) -> Outcome:
    call = port.channel.unary_unary(f"/{SERVICE_NAME}/{method}").future(raw, timeout=20)
    code: grpc.StatusCode = call.code()
    field = dict(call.trailing_metadata() or ()).get("riskgate-field", "")
    body = call.result() if code == grpc.StatusCode.OK else b""
    return code.name, field, call.details() or "", without_time(method, body)


def without_time(method: str, raw: bytes) -> bytes:
    """Take out what time alone decides: server_ns, and the moments and ages of a decision.

    The bytes themselves must be those that protobuf writes, so that equal messages are equal bytes.
    """
    if method == "Decide":
        one = pb.DecideResponse.FromString(raw)
        assert one.SerializeToString() == raw
        _forget_time(one)
        return one.SerializeToString()
    if method == "DecideBatch":
        many = pb.DecideBatchResponse.FromString(raw)
        assert many.SerializeToString() == raw
        for item in many.results:
            _forget_time(item.response)
        return many.SerializeToString()
    return raw


def _forget_time(one: pb.DecideResponse) -> None:
    for name in _OF_TIME:
        one.ClearField(name)
    for check in one.checks:
        if check.unit == UNIT_MILLISECONDS:
            check.ClearField("observed")
            check.ClearField("headroom")


@pytest.mark.parametrize("seed", [1, 2])
def test_both_lanes_answer_one_log_alike(seed: int) -> None:
    answers: dict[str, list[Outcome]] = {}
    for lane, opener in OPENERS.items():
        engine = new_engine(reservations=4_096, idempotency=4_096, positions=4_096)
        with opener(engine) as port:
            answers[lane] = []
            for number, entry in enumerate(log_of(seed)):
                if number % 100 == 0:
                    port.beat()
                answers[lane].append(answer_of(port, *entry))
    compiled, grpcio = answers["compiled"], answers["grpcio"]
    for entry, ours, theirs in zip(log_of(seed), compiled, grpcio, strict=True):
        assert ours == theirs, entry
    codes = {outcome[0] for outcome in compiled}
    assert codes >= {"OK", "INVALID_ARGUMENT", "NOT_FOUND"}
    assert sum(outcome[0] == "OK" for outcome in compiled) > REQUESTS // 3
