"""SyncAccount: the one call that Python answers, on the lane's own thread."""

import socket
import time
from collections.abc import Iterator

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1.types_pb2 import VERDICT_ALLOW
from tests.decision_harness import good_request
from tests.hotpath.lane.raw_http2 import RawClient, data, greeting, message, open_call, unary
from tests.lane_harness import SYNC, LanePort, open_lane

MARK = pb.SyncAccountRequest(account_id="A", equity=9_000.5).SerializeToString()
# A HEADERS frame for stream 0 is an error of the whole connection.
BROKEN_FRAME = b"\0\0\1\1\4\0\0\0\0\0"
WATCH = "/grpc.health.v1.Health/Watch"
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
def port() -> Iterator[LanePort]:
    with open_lane() as port:
        yield port


def test_a_sync_may_be_larger_than_a_decision(port: LanePort) -> None:
    view = pb.SyncAccountRequest(account_id="A", equity=9_000.5)
    for number in range(4_000):
        order = view.working_orders.add(symbol="EURUSD", side=1, lots=0.01, price=1.1)
        order.client_order_id = f"order-{number}"
    raw = view.SerializeToString()
    assert len(raw) > port.read("request_bytes_max")
    answer = pb.SyncAccountResponse.FromString(port.call("SyncAccount", raw))
    assert answer.differences[0].subject == "equity"


def test_calls_that_come_during_an_errand_are_answered_after_it(port: LanePort) -> None:
    slow = _slow_errand(port, 0.2)
    sync = port.channel.unary_unary(SYNC).future(MARK, timeout=10)
    port.wait_for(lambda: bool(slow))
    with port.dial() as other:
        started = time.monotonic()
        raw = other.unary_unary("/riskgate.v1.DecisionService/Decide")(
            good_request().SerializeToString(), timeout=10
        )
    assert pb.DecideResponse.FromString(raw).verdict == VERDICT_ALLOW
    assert sync.result() is not None
    assert slow[0] <= started


def test_a_decision_whose_deadline_passes_during_an_errand_is_not_made(port: LanePort) -> None:
    slow = _slow_errand(port, 0.3)
    sync = port.channel.unary_unary(SYNC).future(MARK, timeout=10)
    port.wait_for(lambda: bool(slow))
    before = port.sequence
    # By hand: a gRPC client would give up by itself and take its request back.
    with RawClient(port.tcp_address) as raw:
        request = good_request().SerializeToString()
        # Its bytes are read after the errand; what counts is when they could have been.
        raw.send(greeting(), unary(1, request, grpc_timeout="1n"), unary(3, request))
        late, in_time = raw.answer(1), raw.answer(3)
    assert (late.status, late.text) == (4, "the deadline has passed")
    assert in_time.status == 0
    assert sync.result() is not None
    # One event for the broker's view, one for the decision that was made.
    assert port.sequence - before <= 2
    assert port.engine.state.engine[0]["reservation_in_use"] == 1


@pytest.mark.parametrize("how", ["breaks the protocol", "resets", "leaves"])
def test_a_caller_that_goes_away_during_its_errand_does_no_harm(port: LanePort, how: str) -> None:
    for _ in range(20):
        client = RawClient(port.tcp_address)
        whole = unary(1, MARK, "SyncAccount")
        if how == "breaks the protocol":
            client.send(greeting(), whole + BROKEN_FRAME)
            client.read_to_end()
            client.close()
        elif how == "resets":
            client.send(greeting(), whole)
            client.close_abruptly()
        else:
            client.send(greeting(), whole)
            client.socket.shutdown(socket.SHUT_WR)
            client.read_to_end()
            client.close()
    assert port.decide(good_request()).verdict == VERDICT_ALLOW
    port.wait_for(lambda: port.read("connections_now") == 1)
    port.wait_for(lambda: port.what_is_left() == {"connections_now": 1})


def test_a_sync_is_cancelled_before_it_is_whole_and_never_reaches_python(port: LanePort) -> None:
    slow = _slow_errand(port, 0.0)
    with RawClient(port.tcp_address) as client:
        client.send(greeting(), open_call(1, "SyncAccount"), data(1, message(MARK)[:-1]))
        port.wait_for(lambda: port.read("calls_now") == 1)
        client.send(b"\0\0\4\3\0\0\0\0\1\0\0\0\x08")
        port.wait_for(lambda: port.read("calls_now") == 0)
    assert not slow
    assert port.read("calls_cancelled") == 1


def test_an_errand_that_fails_is_an_internal_error_and_the_lane_goes_on(port: LanePort) -> None:
    def fail(*_: object) -> bytes:
        raise ValueError("secret /etc/passwd path")

    port.engine.sync = fail  # type: ignore[method-assign,assignment]
    with pytest.raises(grpc.RpcError) as failure:
        port.call("SyncAccount", MARK)
    assert (failure.value.code(), failure.value.details()) == (
        grpc.StatusCode.INTERNAL,
        "internal error",
    )
    assert port.decide(good_request()).verdict == VERDICT_ALLOW


def test_watchers_hear_of_a_change_that_comes_during_an_errand(port: LanePort) -> None:
    watch = health_pb2_grpc.HealthStub(port.channel).Watch(health_pb2.HealthCheckRequest())
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
    slow = _slow_errand(port, 0.2)
    sync = port.channel.unary_unary(SYNC).future(MARK, timeout=10)
    port.wait_for(lambda: bool(slow))
    port.is_ready = False
    assert sync.result(10) is not None
    assert next(watch).status == NOT_SERVING
    watch.cancel()


def _slow_errand(port: LanePort, wait_s: float) -> list[float]:
    """Let each sync take a while; the returned list gets the time at which one begins."""
    begun: list[float] = []
    sync = port.engine.sync

    def take_long(*arguments: object) -> object:
        begun.append(time.monotonic())
        time.sleep(wait_s)
        return sync(*arguments)  # type: ignore[arg-type]

    port.engine.sync = take_long  # type: ignore[method-assign,assignment]
    return begun
