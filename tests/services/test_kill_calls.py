"""KillService.Kill on the decision port: the same from both lanes, and never too late."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import grpc
import pytest

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import kill_pb2, types_pb2
from server.services.decision import KILL_SERVICE, SERVICE_NAME
from tests.decision_harness import PortCalls, good_request
from tests.hotpath.lane.raw_http2 import RawClient, greeting, unary
from tests.lane_harness import OPENERS, SYNC, LanePort, open_lane
from tests.port_calls import Code
from tests.trusted_port import LANES, TrustedPort, open_trusted

KILL: Final = f"/{KILL_SERVICE}/Kill"
ANALYST: Final = "spiffe://riskgate/risk_analyst/officer"
TRADERS: Final = tuple(f"spiffe://riskgate/trader/{name}" for name in ("one", "two"))
KILLED: Final = types_pb2.REASON_KILL_NEW_RISK
KILLED_ALL: Final = types_pb2.REASON_KILL_ALL


def kill_request(
    scope: Any = kill_pb2.KILL_SCOPE_GLOBAL,
    name: str = "",
    mode: Any = kill_pb2.KILL_MODE_NEW_RISK,
    reason: str = "a test of the kill switch",
) -> bytes:
    message = kill_pb2.KillRequest(mode=mode)
    message.target.scope, message.target.name = scope, name
    message.note.reason, message.note.actor = reason, "kim"
    return message.SerializeToString()


def kill(channel: Any, raw: bytes = b"") -> kill_pb2.KillResponse:
    answer = channel.unary_unary(KILL)(raw or kill_request(), timeout=20)
    return kill_pb2.KillResponse.FromString(answer)


def refusal(channel: Any, raw: bytes = b"") -> tuple[Code, str, str]:
    with pytest.raises(grpc.RpcError) as failure:
        kill(channel, raw)
    error: Any = failure.value
    field = dict(error.trailing_metadata() or ()).get("riskgate-field", "")
    return error.code(), field, error.details()


@pytest.fixture(params=OPENERS)
def port(request: pytest.FixtureRequest) -> Iterator[PortCalls]:
    with OPENERS[request.param]() as opened:
        yield opened


@pytest.fixture(params=LANES)
def trusted(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TrustedPort]:
    with open_trusted(request.param, tmp_path) as opened:
        yield opened


def reasons_of(answer: pb.DecideResponse) -> set[int]:
    return {int(reason) for reason in answer.reasons}


# --- What it does ---


def test_behind_the_answer_to_a_kill_nothing_goes(port: PortCalls) -> None:
    assert KILLED not in reasons_of(port.decide(good_request()))
    said = kill(port.channel)
    assert said.latched
    assert said.epoch == 7
    answer = port.decide(good_request())
    assert KILLED in reasons_of(answer)
    assert answer.decision_id > said.sequence


def test_new_risk_that_is_killed_lets_exits_leave_and_all_does_not(port: PortCalls) -> None:
    exit_order = good_request(reduce_only=True)
    kill(port.channel)
    assert not reasons_of(port.decide(exit_order)) & {KILLED, KILLED_ALL}
    kill(port.channel, kill_request(mode=kill_pb2.KILL_MODE_ALL))
    assert KILLED_ALL in reasons_of(port.decide(exit_order))


def test_a_kill_counts_while_the_engine_is_not_ready(port: PortCalls) -> None:
    port.is_ready = False
    assert kill(port.channel).latched
    port.is_ready = True
    assert KILLED in reasons_of(port.decide(good_request()))


def test_a_kill_without_a_reason_is_refused(port: PortCalls) -> None:
    code, field, _ = refusal(port.channel, kill_request(reason=""))
    assert code == Code.INVALID_ARGUMENT
    assert field
    assert not reasons_of(port.decide(good_request())) & {KILLED, KILLED_ALL}


@pytest.mark.parametrize("raw", [b"\x0a", b"", b"\xff" * 20])
def test_a_kill_that_cannot_be_read_is_refused(port: PortCalls, raw: bytes) -> None:
    with pytest.raises(grpc.RpcError) as failure:
        port.channel.unary_unary(KILL)(raw, timeout=20)
    error: Any = failure.value
    assert error.code() == Code.INVALID_ARGUMENT


# --- Who may, and how often ---


def test_a_trader_may_not_kill_and_its_try_is_counted(trusted: TrustedPort) -> None:
    trusted.put(TRADERS[0], "A")
    with trusted.dial(trusted.pki.authority.issue_client(TRADERS[0])) as channel:
        assert refusal(channel)[0] == Code.PERMISSION_DENIED
    counts = [count for count in trusted.grants.denials() if count.method == KILL]
    assert [(count.identity, count.count) for count in counts] == [(TRADERS[0], 1)]


def test_no_rate_stops_a_kill(trusted: TrustedPort) -> None:
    trusted.put(ANALYST, calls_per_second=1, burst=1)
    with trusted.dial(trusted.pki.authority.issue_client(ANALYST)) as channel:
        assert all(kill(channel).latched for _ in range(20))


@pytest.mark.parametrize("method", ["Decide", "DecideBatch", "DecideStream"])
def test_a_kill_of_a_connection_stops_that_caller_alone(trusted: TrustedPort, method: str) -> None:
    trusted.put(ANALYST)
    issue = trusted.pki.authority.issue_client
    for uri in TRADERS:
        trusted.put(uri, "A")
    raw = kill_request(kill_pb2.KILL_SCOPE_CONNECTION, TRADERS[0])
    with trusted.dial(issue(ANALYST)) as analyst:
        assert kill(analyst, raw).latched
    found = []
    for uri in TRADERS:
        with trusted.dial(issue(uri)) as channel:
            found.append(KILLED in reasons_of(ask(channel, method)))
    assert found == [True, False]


def ask(channel: Any, method: str) -> pb.DecideResponse:
    """Ask for one decision by one of three ways."""
    path, request = f"/{SERVICE_NAME}/{method}", good_request()
    if method == "Decide":
        raw = channel.unary_unary(path)(request.SerializeToString(), timeout=20)
        return pb.DecideResponse.FromString(raw)
    if method == "DecideBatch":
        batch = pb.DecideBatchRequest(requests=[request]).SerializeToString()
        raw = channel.unary_unary(path)(batch, timeout=20)
        return pb.DecideBatchResponse.FromString(raw).results[0].response
    item = pb.DecideStreamRequest(tag=1, request=request).SerializeToString()
    (raw,) = channel.stream_stream(path)(iter([item]), timeout=20)
    return pb.DecideStreamResponse.FromString(raw).response


# --- Its place in the queue ---


def test_a_kill_overtakes_every_decision_that_waits(tmp_path: Path) -> None:
    batch = pb.DecideBatchRequest(requests=[good_request()] * 3).SerializeToString()
    with open_lane(data_dir=tmp_path) as port:
        release, began = threading.Event(), threading.Event()
        sync = port.lane._errands.sync

        def wait(*given: Any) -> Any:
            began.set()
            assert release.wait(20)
            return sync(*given)

        port.lane._errands = port.lane._errands._replace(sync=wait)
        with RawClient(port.tcp_address) as orders, RawClient(port.tcp_address) as officer:
            greet(port, orders, officer)
            view = pb.SyncAccountRequest(account_id="A", equity=10_000.0).SerializeToString()
            running = port.channel.unary_unary(SYNC).future(view, timeout=20)
            assert began.wait(20)
            # What loopback has taken is there when the lane looks again: all in one turn.
            one = good_request().SerializeToString()
            orders.send(*(unary(number, one) for number in range(3, 23, 2)))
            orders.send(*(unary(number, batch, "DecideBatch") for number in range(23, 29, 2)))
            officer.send(unary(3, kill_request(), KILL))
            release.set()
            assert officer.answer(3).status == 0
            for number in range(3, 23, 2):
                (raw,) = orders.answer(number).messages
                assert KILLED in reasons_of(pb.DecideResponse.FromString(raw))
            for number in range(23, 29, 2):
                (raw,) = orders.answer(number).messages
                for item in pb.DecideBatchResponse.FromString(raw).results:
                    assert KILLED in reasons_of(item.response)
            assert running.result() is not None


def greet(port: LanePort, *clients: RawClient) -> None:
    """Let connections be open and known before anything is asked."""
    for client in clients:
        client.send(greeting(), unary(1, b""))
        assert client.answer(1).status == Code.INVALID_ARGUMENT.value[0]
    assert port.read("connections_now") >= len(clients)
