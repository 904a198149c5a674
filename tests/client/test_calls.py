"""What the sync and the asyncio client do, one table for both, against a real gRPC server."""

import time
from typing import Any
from uuid import UUID

import grpc
import pytest

import riskgate
from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import types_pb2

ORDER: dict[str, Any] = {
    "account_id": "A",
    "provider_id": "channel_12345",
    "provider_type": "channel_source",
    "symbol": "EURUSD",
    "side": "buy",
    "entry_price": 1.1,
    "stop_loss": 1.098,
}
REPORT: dict[str, Any] = {"report_id": "r1", "account_id": "A", "kind": "fill", "lots": 0.1}


def refuse(code: grpc.StatusCode, detail: str = "away") -> Any:
    def script(_request: Any, context: grpc.ServicerContext, _number: int) -> Any:
        context.abort(code, detail)

    return script


def refuse_first(answer: Any, code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE) -> Any:
    def script(_request: Any, context: grpc.ServicerContext, number: int) -> Any:
        if number == 1:
            context.abort(code, "away")
        return answer

    return script


def test_decide_when_fields_are_words_then_the_request_carries_their_numbers(
    gate: Any, driver: Any
) -> None:
    answer = driver.call(gate.address, "decide", **ORDER, requested_lots=None, session="london")
    (sent,) = gate.received
    assert answer.decision_id == 1
    assert (sent.side, sent.provider_type) == (
        types_pb2.SIDE_BUY,
        types_pb2.PROVIDER_TYPE_CHANNEL_SOURCE,
    )
    assert sent.session == types_pb2.TRADING_SESSION_LONDON
    assert sent.entry_price == 1.1
    assert not sent.HasField("requested_lots")


def test_decide_when_no_order_id_then_a_new_one_is_sent_and_the_given_request_stays(
    gate: Any, driver: Any
) -> None:
    request = pb.DecideRequest(account_id="A")
    driver.call(gate.address, "decide", request)
    driver.call(gate.address, "decide", request)
    first, second = (UUID(sent.client_order_id) for sent in gate.received)
    assert first != second
    assert not request.client_order_id


RETRIES = [
    pytest.param("decide", {**ORDER, "client_order_id": "o1"}, pb.DecideResponse, id="decide"),
    pytest.param("decide", ORDER, pb.DecideResponse, id="decide_generated_id"),
    pytest.param("report", REPORT, pb.ReportExecutionResponse, id="report"),
]


@pytest.mark.parametrize(("method", "fields", "answer"), RETRIES)
def test_call_when_unavailable_once_then_it_is_repeated_unchanged(
    gate: Any, driver: Any, method: str, fields: dict[str, Any], answer: Any
) -> None:
    gate.script = refuse_first(answer())
    assert driver.call(gate.address, method, **fields) == answer()
    first, second = gate.received
    assert first == second


@pytest.mark.parametrize(("method", "fields", "answer"), RETRIES)
def test_call_when_unavailable_stays_then_it_is_tried_exactly_twice(
    gate: Any, driver: Any, method: str, fields: dict[str, Any], answer: Any
) -> None:
    gate.script = refuse(grpc.StatusCode.UNAVAILABLE)
    with pytest.raises(riskgate.NoDecisionError) as caught:
        driver.call(gate.address, method, **fields)
    assert caught.value.code is grpc.StatusCode.UNAVAILABLE
    assert len(gate.received) == 2


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        pytest.param("decide", {**ORDER, "idempotent": False}, id="decide_without_id"),
        pytest.param("report", {**REPORT, "report_id": None}, id="report_without_id"),
        pytest.param("sync_account", {"account_id": "A"}, id="sync"),
    ],
)
def test_call_when_a_repeat_is_not_safe_then_it_is_tried_once(
    gate: Any, driver: Any, method: str, fields: dict[str, Any]
) -> None:
    gate.script = refuse(grpc.StatusCode.UNAVAILABLE)
    with pytest.raises(riskgate.NoDecisionError):
        driver.call(gate.address, method, **fields)
    assert len(gate.received) == 1


@pytest.mark.parametrize(
    "code",
    [code for code in grpc.StatusCode if code.name not in {"OK", "UNAVAILABLE"}],
    ids=lambda code: code.name,
)
def test_decide_when_the_server_fails_otherwise_then_the_error_is_typed_and_not_retried(
    gate: Any, driver: Any, code: grpc.StatusCode
) -> None:
    gate.script = refuse(code, "said so")
    with pytest.raises(riskgate.NoDecisionError, match="do not trade") as caught:
        driver.call(gate.address, "decide", **ORDER)
    assert (caught.value.code, caught.value.detail) == (code, "said so")
    assert len(gate.received) == 1


def test_decide_when_a_field_is_refused_then_the_error_names_it(gate: Any, driver: Any) -> None:
    gate.script = refuse(grpc.StatusCode.INVALID_ARGUMENT, "invalid field: stop_loss: wrong side")
    with pytest.raises(riskgate.NoDecisionError) as caught:
        driver.call(gate.address, "decide", **ORDER)
    assert caught.value.field == "stop_loss"


def test_decide_when_the_server_is_slow_then_the_deadline_ends_it(gate: Any, driver: Any) -> None:
    def script(_request: Any, _context: grpc.ServicerContext, _number: int) -> pb.DecideResponse:
        time.sleep(1.0)
        return pb.DecideResponse()

    gate.script = script
    started_s = time.monotonic()
    with pytest.raises(riskgate.NoDecisionError) as caught:
        driver.call(gate.address, "decide", **ORDER, deadline_s=0.1)
    assert caught.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - started_s < 0.9


def test_decide_when_retried_then_both_tries_share_the_deadline(gate: Any, driver: Any) -> None:
    times_left_s: list[float] = []

    def script(_request: Any, context: grpc.ServicerContext, number: int) -> pb.DecideResponse:
        times_left_s.append(context.time_remaining())
        time.sleep(0.2)
        if number == 1:
            context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        return pb.DecideResponse()

    gate.script = script
    driver.call(gate.address, "decide", **ORDER, deadline_s=2.0)
    # gRPC sends the deadline rounded up a little.
    assert times_left_s[0] <= 2.1
    assert times_left_s[1] <= times_left_s[0] - 0.15


def test_decide_when_nobody_listens_then_the_error_comes_within_the_deadline(driver: Any) -> None:
    started_s = time.monotonic()
    with pytest.raises(riskgate.NoDecisionError) as caught:
        driver.call("127.0.0.1:1", "decide", **ORDER, deadline_s=0.3)
    assert caught.value.code in {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    }
    assert time.monotonic() - started_s < 2.0


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({**ORDER, "side": "byu"}, "side"),
        ({**ORDER, "entry_price": "1.1"}, "entry_price"),
        ({**ORDER, "spread": 1.0}, "spread"),
        ({**ORDER, "provider_type": 1 << 40}, "provider_type"),
        ({**ORDER, "deadline_s": 0.0}, "deadline_s"),
        ({**ORDER, "deadline_s": float("nan")}, "deadline_s"),
    ],
)
def test_decide_when_an_argument_is_unusable_then_nothing_is_sent(
    gate: Any, driver: Any, fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(riskgate.NoDecisionError) as caught:
        driver.call(gate.address, "decide", **fields)
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.field == field
    assert gate.received == []


def test_batch_when_an_item_fails_then_its_outcome_is_an_error(gate: Any, driver: Any) -> None:
    error = pb.RequestError(code=3, field="symbol", message="invalid field: symbol")
    gate.script = lambda *_: pb.DecideBatchResponse(
        results=[
            pb.BatchResult(response=pb.DecideResponse(decision_id=7)),
            pb.BatchResult(error=error),
        ]
    )
    requests = [pb.DecideRequest(account_id="A"), pb.DecideRequest(account_id="B")]
    good, bad = driver.call(gate.address, "decide_batch", requests, all_or_none=True)
    assert good.decision_id == 7
    assert isinstance(bad, riskgate.NoDecisionError)
    assert (bad.code, bad.field) == (grpc.StatusCode.INVALID_ARGUMENT, "symbol")
    (sent,) = gate.received
    assert sent.all_or_none
    assert len({item.client_order_id for item in sent.requests} - {""}) == 2


def test_batch_when_the_answer_is_short_then_there_is_no_decision(gate: Any, driver: Any) -> None:
    gate.script = lambda *_: pb.DecideBatchResponse()
    with pytest.raises(riskgate.NoDecisionError, match="another number of results"):
        driver.call(gate.address, "decide_batch", [pb.DecideRequest(account_id="A")])


def test_stream_when_items_differ_then_outcomes_keep_their_order(gate: Any, driver: Any) -> None:
    def script(item: Any, _context: grpc.ServicerContext, number: int) -> Any:
        if item.request.account_id == "bad":
            return pb.DecideStreamResponse(tag=item.tag, error=pb.RequestError(code=3))
        response = pb.DecideResponse(decision_id=number)
        return pb.DecideStreamResponse(tag=item.tag, response=response)

    gate.script = script
    requests = [pb.DecideRequest(account_id=name) for name in ("A", "bad", "B")]
    first, second, third = driver.stream(gate.address, requests)
    assert (first.decision_id, third.decision_id) == (1, 3)
    assert isinstance(second, riskgate.NoDecisionError)


@pytest.mark.parametrize(
    "script",
    [
        refuse(grpc.StatusCode.UNAVAILABLE),
        lambda item, *_: pb.DecideStreamResponse(tag=item.tag + 1),
    ],
    ids=["broken", "wrong_tag"],
)
def test_stream_when_it_breaks_then_the_error_is_typed(gate: Any, driver: Any, script: Any) -> None:
    gate.script = script
    with pytest.raises(riskgate.NoDecisionError):
        driver.stream(gate.address, [pb.DecideRequest(account_id="A")])
    assert len(gate.received) == 1
