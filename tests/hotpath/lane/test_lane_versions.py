"""min_state_version: who asks for a newer state waits for it, and nobody else does."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import state_pb2 as kinds
from riskgate.v1.types_pb2 import VERDICT_ALLOW
from server import changes
from tests.decision_harness import drawdown_breaker, good_request
from tests.lane_harness import LanePort, open_lane
from tests.port_calls import Code, refused, stream_of

WAIT_S = 0.05
FAILED = Code.FAILED_PRECONDITION.value[0]


@pytest.fixture
def port() -> Iterator[LanePort]:
    with open_lane() as port:
        yield port


def publish(port: LanePort, version: int) -> None:
    """Let the state have a new version; the change itself does nothing."""
    rows = drawdown_breaker(enabled=False)
    change = changes.state_change(kinds.CHANGE_KIND_BREAKER, "breaker-1", rows, version=version)
    assert port.intake.put(change.SerializeToString())


def ask_one(port: LanePort, version: int) -> tuple[int, int]:
    """Return status and state version of one decision of a unary call."""
    raw = good_request(dry_run=True, min_state_version=version).SerializeToString()
    call = port.channel.unary_unary("/riskgate.v1.DecisionService/Decide").future(raw, timeout=10)
    if call.code() != Code.OK:
        assert dict(call.trailing_metadata())["riskgate-field"] == "min_state_version"
        return int(call.code().value[0]), 0
    return 0, int(pb.DecideResponse.FromString(call.result()).state_version)


def ask_batch(port: LanePort, version: int) -> tuple[int, int]:
    """Do the same with a batch whose other item waits for nothing."""
    easy, hard = port.batch(
        good_request(dry_run=True), good_request(dry_run=True, min_state_version=version)
    )
    assert easy.response.verdict == VERDICT_ALLOW
    return hard.error.code, hard.response.state_version


def ask_stream(port: LanePort, version: int) -> tuple[int, int]:
    """Do the same with a stream; what comes behind the message is answered after it."""
    hard, easy = stream_of(
        port,
        pb.DecideStreamRequest(
            tag=1, request=good_request(dry_run=True, min_state_version=version)
        ),
        pb.DecideStreamRequest(tag=2, request=good_request(dry_run=True)),
    )
    assert (hard.tag, easy.tag) == (1, 2)
    assert easy.response.verdict == VERDICT_ALLOW
    return hard.error.code, hard.response.state_version


WAYS = pytest.mark.parametrize("ask", [ask_one, ask_batch, ask_stream])
Ask = Callable[[LanePort, int], tuple[int, int]]


@WAYS
def test_a_state_that_is_new_enough_is_not_waited_for(port: LanePort, ask: Ask) -> None:
    assert ask(port, 4) == (0, 4)
    assert port.read("parked_version") == 4


@WAYS
def test_a_state_that_never_comes_fails_after_the_wait(port: LanePort, ask: Ask) -> None:
    before = time.monotonic()
    assert ask(port, 5) == (FAILED, 0)
    assert time.monotonic() - before >= WAIT_S


@WAYS
def test_a_state_that_comes_in_time_ends_the_wait(ask: Ask) -> None:
    # A long wait, so that a busy machine cannot make the change late.
    with open_lane() as port:
        port.lane.record["state_wait_ns_max"] = 10_000_000_000
        answers: list[tuple[int, int]] = []
        asker = threading.Thread(target=lambda: answers.append(ask(port, 6)))
        asker.start()
        port.wait_for(lambda: port.read("calls_now") == 1)
        publish(port, 5)
        port.wait_for(lambda: port.read("parked_version") == 5)
        assert not answers
        publish(port, 6)
        asker.join(5)
        assert answers == [(0, 6)]


def test_others_are_served_while_some_wait(port: LanePort) -> None:
    port.lane.record["state_wait_ns_max"] = 10_000_000_000
    call: Any = port.channel.unary_unary("/riskgate.v1.DecisionService/Decide")
    raw = good_request(dry_run=True, min_state_version=5).SerializeToString()
    waiting = [call.future(raw, timeout=20) for _ in range(20)]
    port.wait_for(lambda: port.read("calls_now") == 20)
    for _ in range(100):
        assert port.decide(good_request(dry_run=True)).verdict == VERDICT_ALLOW
    assert not any(one.done() for one in waiting)
    publish(port, 5)
    for one in waiting:
        assert pb.DecideResponse.FromString(one.result()).state_version == 5


def test_the_callers_deadline_ends_the_wait(port: LanePort) -> None:
    # An hour: only the deadline can end it.
    port.lane.record["state_wait_ns_max"] = 3_600 * 10**9
    call: Any = port.channel.unary_unary("/riskgate.v1.DecisionService/Decide")
    raw = good_request(min_state_version=5).SerializeToString()
    before = port.sequence
    waiting = [call.future(raw, timeout=0.3) for _ in range(3)]
    # Who is nearer to the clock says it first: the caller, or the server.
    assert {one.code() for one in waiting} <= {Code.DEADLINE_EXCEEDED, Code.FAILED_PRECONDITION}
    port.wait_for(lambda: port.read("calls_now") == 0)
    assert port.sequence == before


def test_each_message_of_a_stream_waits_anew(port: LanePort) -> None:
    hard = pb.DecideStreamRequest(request=good_request(dry_run=True, min_state_version=9))
    before = time.monotonic()
    answers = stream_of(port, hard, hard, hard)
    assert [one.error.code for one in answers] == [FAILED] * 3
    assert time.monotonic() - before >= 3 * WAIT_S


def test_a_version_that_no_state_can_reach_is_refused_at_once(port: LanePort) -> None:
    port.lane.record["state_wait_ns_max"] = 10_000_000_000
    raw = good_request(min_state_version=2**64 - 1).SerializeToString()
    before = time.monotonic()
    code, field, _ = refused(port, "Decide", raw, timeout_s=20)
    assert field == "min_state_version"
    assert code in {Code.FAILED_PRECONDITION, Code.INVALID_ARGUMENT}
    assert time.monotonic() - before < 5
