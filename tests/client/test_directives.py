"""Watches of directives are joined anew when they break, and each directive is told once."""

import threading
from typing import Any

import grpc
import pytest

import riskgate
from riskgate.directives import PAUSE_S_MAX, PAUSE_S_MIN, Heard
from riskgate.shards import find_shard
from riskgate.v1 import decision_pb2 as pb

Code = grpc.StatusCode


def directive(number: int, account_id: str = "A", seconds: int = 1) -> pb.Directive:
    made = pb.Directive(directive_id=number, account_id=account_id)
    made.issued_at.seconds = seconds
    return made


def numbers(directives: Any) -> list[int]:
    return [each.directive_id for each in directives]


def test_a_watch_yields_directives_as_they_come(gate: Any, driver: Any) -> None:
    gate.script = lambda *_: [directive(1), directive(2)]
    assert numbers(driver.watch(gate.address, 2, "A", after_directive_id=7)) == [1, 2]
    assert gate.received[0] == pb.WatchDirectivesRequest(account_id="A", after_directive_id=7)


@pytest.mark.parametrize("code", [Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, None])
def test_a_watch_that_breaks_is_joined_anew_and_repeats_nothing(
    gate: Any, driver: Any, code: Code | None
) -> None:
    def script(_: Any, context: grpc.ServicerContext, number: int) -> Any:
        yield from (directive(each) for each in range(1, number + 1))
        if code is not None and number < 3:
            context.abort(code, "gone for a moment")

    gate.script = script
    assert numbers(driver.watch(gate.address, 3, after_directive_id=0)) == [1, 2, 3]
    assert {each.after_directive_id for each in gate.received} == {0}


def test_an_engine_that_counts_anew_is_heard(gate: Any, driver: Any) -> None:
    gate.script = lambda *given: [directive(1, seconds=given[-1])]
    assert numbers(driver.watch(gate.address, 3)) == [1, 1, 1]


@pytest.mark.parametrize("code", [Code.PERMISSION_DENIED, Code.NOT_FOUND, Code.UNIMPLEMENTED])
def test_a_watch_that_is_refused_ends_in_the_one_error(gate: Any, driver: Any, code: Code) -> None:
    gate.script = lambda _, context, __: context.abort(code, "no")
    with pytest.raises(riskgate.NoDecisionError) as failure:
        driver.watch(gate.address, 1)
    assert failure.value.code == code


def test_directives_of_all_engines_come_together(gates: Any, driver: Any) -> None:
    for number, gate in enumerate(gates):
        gate.script = lambda *_, number=number: [directive(1, f"of engine {number}")]
    heard = driver.watch([gate.address for gate in gates], 3)
    assert {each.account_id for each in heard} == {f"of engine {number}" for number in range(3)}


def test_one_engine_that_refuses_ends_the_watch_of_all(gates: Any, driver: Any) -> None:
    for gate in gates[:2]:
        gate.script = lambda *_: []
    gates[2].script = lambda _, context, __: context.abort(Code.PERMISSION_DENIED, "no")
    with pytest.raises(riskgate.NoDecisionError):
        driver.watch([gate.address for gate in gates], 1)


def test_of_several_engines_only_that_of_the_account_is_asked(gates: Any, driver: Any) -> None:
    shard = find_shard("A", 3)
    gates[shard].script = lambda *_: [directive(8)]
    addresses = [gate.address for gate in gates]
    assert numbers(driver.watch(addresses, 1, "A", after_directive_id=7)) == [8]
    assert [len(gate.received) for gate in gates].count(0) == 2
    with pytest.raises(riskgate.NoDecisionError, match="needs an account_id"):
        driver.watch(addresses, 1, after_directive_id=7)


def test_an_acknowledgement_goes_to_the_engine_of_the_account(gates: Any, driver: Any) -> None:
    def script(request: Any, *_: Any) -> Any:
        answer = pb.AckDirectiveResponse(directive=directive(request.directive_id))
        answer.directive.outcome.detail = request.detail
        return answer

    shard = find_shard("A", 3)
    gates[shard].script = script
    done = driver.call(
        [gate.address for gate in gates],
        "acknowledge",
        directive(5),
        success=True,
        detail="closed",
    )
    assert done.outcome.detail == "closed"
    assert gates[shard].received == [
        pb.AckDirectiveRequest(directive_id=5, success=True, detail="closed", account_id="A")
    ]


def test_an_acknowledgement_is_repeated_when_the_engine_is_away_for_a_moment(
    gate: Any, driver: Any
) -> None:
    def script(_: Any, context: grpc.ServicerContext, number: int) -> Any:
        if number == 1:
            context.abort(Code.UNAVAILABLE, "away")
        return pb.AckDirectiveResponse(directive=directive(5))

    gate.script = script
    assert driver.call(gate.address, "acknowledge", directive(5), success=True).directive_id == 5
    assert len(gate.received) == 2


def test_a_watch_ends_when_its_client_is_closed(gate: Any) -> None:
    told = threading.Event()

    def script(_: Any, context: grpc.ServicerContext, __: int) -> Any:
        yield directive(1)
        told.set()
        over = threading.Event()
        context.add_callback(over.set)
        over.wait(20)

    gate.script = script
    client = riskgate.Client(gate.address)
    watch = client.watch_directives()
    assert next(watch).directive_id == 1
    told.wait(20)
    client.close()
    with pytest.raises(riskgate.NoDecisionError) as failure:
        next(watch)
    assert failure.value.code == Code.CANCELLED


def test_pauses_grow_until_something_is_heard() -> None:
    heard = Heard("", 0)
    pauses = [heard.pause_s(None) for _ in range(8)]
    assert pauses[0] == PAUSE_S_MIN
    assert pauses[-1] == PAUSE_S_MAX
    assert pauses == sorted(pauses)
    heard.is_new(directive(1))
    assert heard.pause_s(None) == PAUSE_S_MIN
