"""Changes on their way into a lane that sleeps or works: soon, in order, none lost."""

import statistics
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import state_pb2 as kinds
from riskgate.v1.types_pb2 import REASON_BREAKER_TRIPPED, VERDICT_ALLOW, VERDICT_DENY
from server import changes
from server.intake import WAITING_MAX
from tests.decision_harness import drawdown_breaker, example_changes, good_request
from tests.lane_harness import DECIDE, STREAM, LanePort, open_lane

MEASURED = 2_000


@pytest.fixture
def port() -> Iterator[LanePort]:
    with open_lane() as port:
        yield port


def change_of(version: int, *, enabled: bool = False) -> bytes:
    rows = drawdown_breaker(enabled=enabled)
    change = changes.state_change(kinds.CHANGE_KIND_BREAKER, "breaker-1", rows, version=version)
    return change.SerializeToString()


def test_a_change_reaches_a_sleeping_lane_without_a_call(port: LanePort) -> None:
    port.intake.put(change_of(5))
    port.wait_for(lambda: port.engine.state_version == 5)
    assert port.intake.depth == 0


def test_what_was_published_is_used_by_the_next_decision(port: LanePort) -> None:
    """Every change is seen by a decision that is asked for after it, and the delay is printed."""
    turn = threading.Semaphore(0)

    def items() -> Iterator[bytes]:
        raw = pb.DecideStreamRequest(request=good_request(dry_run=True)).SerializeToString()
        while turn.acquire():
            if len(delays_ms) == MEASURED:
                return
            yield raw

    delays_ms: list[float] = []
    answers: Any = port.channel.stream_stream(STREAM)(items())
    for version in range(5, 5 + MEASURED):
        begun = time.perf_counter()
        port.intake.put(change_of(version))
        turn.release()
        answer = pb.DecideStreamResponse.FromString(next(answers)).response
        delays_ms.append((time.perf_counter() - begun) * 1_000)
        assert answer.state_version == version
    turn.release()
    assert list(answers) == []
    cuts = statistics.quantiles(delays_ms, n=100)
    print(f"published → used: p50 {cuts[49]:.3f} ms, p99 {cuts[98]:.3f} ms, n {MEASURED}")  # noqa: T201 - a figure to read


def test_changes_keep_their_order_while_decisions_are_made(port: LanePort) -> None:
    """Odd versions deny, even ones allow: no answer may mix the two."""
    port.call(
        "SyncAccount", pb.SyncAccountRequest(account_id="A", equity=8_000.0).SerializeToString()
    )
    done = threading.Event()

    def publish() -> None:
        for version in range(5, 1_505):
            assert port.intake.put(change_of(version, enabled=version % 2 == 1))
        done.set()

    publisher = threading.Thread(target=publish)
    publisher.start()
    seen = [4]
    while not done.is_set():
        answer = port.decide(good_request(dry_run=True))
        seen.append(answer.state_version)
        if answer.state_version > 4:
            is_denied = REASON_BREAKER_TRIPPED in answer.reasons
            assert is_denied == (answer.state_version % 2 == 1), answer
    publisher.join()
    assert seen == sorted(seen)
    port.wait_for(lambda: port.engine.state_version == 1_504)
    assert port.engine.refused_changes == 0


def test_a_full_ring_makes_the_publisher_wait_and_loses_nothing(port: LanePort) -> None:
    def hold_up(*_: object) -> Any:
        begun.set()
        release.wait(20)
        raise ValueError("enough")

    begun, release = threading.Event(), threading.Event()
    port.engine.sync = hold_up  # type: ignore[method-assign,assignment]
    raw = pb.SyncAccountRequest(account_id="A", equity=1.0).SerializeToString()
    call = port.channel.unary_unary("/riskgate.v1.DecisionService/SyncAccount")
    sync = call.future(raw, timeout=30)
    assert begun.wait(10)
    versions = range(5, 5 + 3 * WAITING_MAX)
    publisher = threading.Thread(target=lambda: [port.intake.put(change_of(v)) for v in versions])
    publisher.start()
    port.wait_for(lambda: port.intake.depth == WAITING_MAX)
    assert publisher.is_alive()
    release.set()
    publisher.join(20)
    assert sync.exception() is not None
    port.wait_for(lambda: port.engine.state_version == versions[-1])
    assert (port.intake.depth, port.engine.refused_changes) == (0, 0)


def test_a_refused_change_does_not_stop_those_behind_it(port: LanePort) -> None:
    port.intake.put(b"no change at all")
    port.intake.put(change_of(5))
    port.wait_for(lambda: port.engine.state_version == 5)
    assert port.engine.refused_changes == 1
    assert port.decide(good_request()).verdict == VERDICT_ALLOW


def test_the_state_can_be_loaded_again_while_decisions_are_made(port: LanePort) -> None:
    done = threading.Event()

    def load() -> None:
        version = 4
        for _ in range(100):
            for kind, key, rows in example_changes():
                version += 1
                change = changes.state_change(kind, key, rows, version=version)
                assert port.intake.put(change.SerializeToString())
        done.set()

    loader = threading.Thread(target=load)
    loader.start()
    asked = 0
    while not done.is_set() or asked < 50:
        raw = port.channel.unary_unary(DECIDE)(
            good_request(dry_run=True).SerializeToString(), timeout=10
        )
        assert pb.DecideResponse.FromString(raw).verdict != VERDICT_DENY
        asked += 1
    loader.join()
    port.wait_for(lambda: port.engine.state_version == 404)
