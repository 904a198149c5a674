"""An engine of several answers for its own accounts, on both kinds of decision port."""

from collections.abc import Iterator
from typing import Any, Final

import grpc
import pytest

from riskgate.shards import find_shard
from riskgate.v1 import decision_pb2 as pb
from riskgate.v1.types_pb2 import REPORT_KIND_ACK, VERDICT_ALLOW, VERDICT_DENY
from server.services.refusal import WRONG_SHARD
from tests.decision_harness import PortCalls, good_request
from tests.lane_harness import OPENERS
from tests.port_calls import refused, stream_of

COUNT: Final = 4
OWN: Final = find_shard("A", COUNT)
REFUSED: Final = WRONG_SHARD[:3]
# Of the engine that answers for account A, and one that it does not answer for.
FOREIGN: Final = next(f"B{n}" for n in range(99) if find_shard(f"B{n}", COUNT) != OWN)


@pytest.fixture(params=list(OPENERS))
def own(request: pytest.FixtureRequest) -> Iterator[PortCalls]:
    """The port of the engine that account A belongs to."""
    with OPENERS[request.param](shard=f"{OWN}/{COUNT}") as port:
        yield port


@pytest.fixture(params=list(OPENERS))
def other(request: pytest.FixtureRequest) -> Iterator[PortCalls]:
    """The port of another engine, which has the same state."""
    with OPENERS[request.param](shard=f"{(OWN + 1) % COUNT}/{COUNT}") as port:
        yield port


def sequence(port: PortCalls) -> int:
    return int(port.engine.state.engine[0]["sequence"])


def raw_calls() -> list[tuple[str, Any]]:
    report = pb.ExecutionReport(
        report_id="r", account_id="A", client_order_id="o", kind=REPORT_KIND_ACK, lots=1
    )
    return [
        ("Decide", good_request()),
        ("ReportExecution", pb.ReportExecutionRequest(report=report)),
        ("SyncAccount", pb.SyncAccountRequest(account_id="A", equity=5.0)),
    ]


def test_the_owner_of_an_account_answers(own: PortCalls) -> None:
    answer = own.decide(good_request(client_order_id="one"))
    assert (answer.verdict, answer.lot_size) == (VERDICT_ALLOW, 0.32)
    reported = own.report(
        report_id="r", account_id="A", client_order_id="one", kind=1, lots=0.32, price=1.1
    )
    assert reported.sequence > answer.decision_id
    sync = pb.SyncAccountRequest(account_id="A", equity=9_000.0)
    assert own.call("SyncAccount", sync.SerializeToString())


def test_another_engine_refuses_each_call_and_changes_nothing(other: PortCalls) -> None:
    for method, message in raw_calls():
        before = sequence(other)
        assert refused(other, method, message.SerializeToString()) == REFUSED, method
        assert sequence(other) == before


def test_another_engine_refuses_each_item_of_a_stream(other: PortCalls) -> None:
    items = [pb.DecideStreamRequest(tag=tag, request=good_request()) for tag in range(3)]
    answers = stream_of(other, *items)
    assert [one.tag for one in answers] == [0, 1, 2]
    assert all(one.error == WRONG_SHARD.to_error() for one in answers)


def test_a_batch_of_accounts_of_several_engines_is_answered_in_part(own: PortCalls) -> None:
    first, second, third = own.batch(
        good_request(), good_request(account_id=FOREIGN), good_request()
    )
    assert first.response.verdict == third.response.verdict == VERDICT_ALLOW
    assert (second.error.code, second.error.field) == (9, "account_id")


def test_all_or_none_with_an_account_of_another_engine_denies_all(own: PortCalls) -> None:
    first, second = own.batch(good_request(), good_request(account_id=FOREIGN), all_or_none=True)
    assert first.response.verdict == VERDICT_DENY
    assert second.error.message == WRONG_SHARD.message
    assert own.decide(good_request()).lot_size == 0.32


def test_another_engine_does_not_wait_for_the_state_first(other: PortCalls) -> None:
    raw = good_request(min_state_version=1_000).SerializeToString()
    assert refused(other, "Decide", raw) == REFUSED


def test_a_wrong_request_is_called_wrong_wherever_it_goes(other: PortCalls) -> None:
    for message, field in (
        (good_request(account_id=None), "account_id"),
        (good_request(account_id="x" * 1_000), "account_id"),
    ):
        code, named, _ = refused(other, "Decide", message.SerializeToString())
        assert (code, named) == (grpc.StatusCode.INVALID_ARGUMENT, field)
