"""Calls to several engines: each goes to the engine of its account, the caller sees one gate."""

import asyncio
import itertools
import json
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

import riskgate
from riskgate.channel import RunningStack, read_address
from riskgate.shards import find_shard
from riskgate.streams import WAITING_MAX
from riskgate.v1 import decision_pb2 as pb
from tests.feed_harness import wait

COUNT = 3
ACCOUNTS = [f"account-{number}" for number in range(60)]


def account_of(shard: int, number: int = 0) -> str:
    """Return an account of an engine."""
    return [each for each in ACCOUNTS if find_shard(each, COUNT) == shard][number]


def addresses(gates: Any) -> list[str]:
    return [gate.address for gate in gates]


def name_accounts(gates: Any) -> None:
    """Let each answer name the account that it is about."""

    def script(request: Any, *_: Any) -> Any:
        if isinstance(request, pb.DecideBatchRequest):
            return pb.DecideBatchResponse(
                results=[pb.BatchResult(response=named(one)) for one in request.requests]
            )
        if isinstance(request, pb.DecideStreamRequest):
            return pb.DecideStreamResponse(tag=request.tag, response=named(request.request))
        return named(request)

    def named(request: pb.DecideRequest) -> pb.DecideResponse:
        return pb.DecideResponse(model_version=request.account_id)

    for gate in gates:
        gate.script = script


def accounts_in(request: Any) -> list[str]:
    if isinstance(request, pb.DecideBatchRequest):
        return [one.account_id for one in request.requests]
    inner = getattr(request, "request", getattr(request, "report", request))
    return [inner.account_id]


def assert_routed(gates: Any) -> None:
    """Every engine was asked, and about its own accounts only."""
    for shard, gate in enumerate(gates):
        seen = [each for request in gate.received for each in accounts_in(request)]
        assert seen
        assert {find_shard(each, COUNT) for each in seen} == {shard}


@pytest.mark.parametrize(
    ("method", "fields", "answer"),
    [
        ("decide", {"symbol": "EURUSD"}, pb.DecideResponse),
        ("report", {"report_id": "r", "lots": 0.1}, pb.ReportExecutionResponse),
        ("sync_account", {"equity": 5.0}, pb.SyncAccountResponse),
    ],
)
def test_call_when_there_are_several_engines_then_it_goes_to_that_of_its_account(
    gates: Any, driver: Any, method: str, fields: dict[str, Any], answer: Any
) -> None:
    for gate in gates:
        gate.script = lambda *_: answer()
    for account_id in ACCOUNTS:
        driver.call(addresses(gates), method, account_id=account_id, **fields)
    assert_routed(gates)
    assert sum(len(gate.received) for gate in gates) == len(ACCOUNTS)


def test_batch_when_accounts_differ_then_outcomes_keep_their_order(gates: Any, driver: Any) -> None:
    name_accounts(gates)
    requests = [pb.DecideRequest(account_id=each) for each in ACCOUNTS]
    outcomes = driver.call(addresses(gates), "decide_batch", requests)
    assert [outcome.model_version for outcome in outcomes] == ACCOUNTS
    assert_routed(gates)
    assert [len(gate.received) for gate in gates] == [1, 1, 1]
    for gate in gates:
        # Orders of one engine stay in order.
        (sent,) = gate.received
        assert accounts_in(sent) == sorted(accounts_in(sent), key=ACCOUNTS.index)


def test_batch_when_one_engine_is_away_then_only_its_accounts_have_no_decision(
    gates: Any, driver: Any
) -> None:
    name_accounts(gates)

    def refuse(_request: Any, context: grpc.ServicerContext, _number: int) -> Any:
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "another engine")

    gates[1].script = refuse
    requests = [pb.DecideRequest(account_id=each) for each in ACCOUNTS]
    outcomes = driver.call(addresses(gates), "decide_batch", requests)
    for account_id, outcome in zip(ACCOUNTS, outcomes, strict=True):
        if find_shard(account_id, COUNT) == 1:
            assert outcome.code is grpc.StatusCode.FAILED_PRECONDITION
        else:
            assert outcome.model_version == account_id
    for gate in gates:
        gate.script = refuse
    with pytest.raises(riskgate.NoDecisionError, match="another engine"):
        driver.call(addresses(gates), "decide_batch", requests)


def test_batch_when_it_is_all_or_none_over_two_engines_then_nothing_is_sent(
    gates: Any, driver: Any
) -> None:
    requests = [pb.DecideRequest(account_id=account_of(shard)) for shard in (0, 2)]
    with pytest.raises(riskgate.NoDecisionError) as caught:
        driver.call(addresses(gates), "decide_batch", requests, all_or_none=True)
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.field == "all_or_none"
    assert "different engines" in caught.value.detail
    assert [gate.received for gate in gates] == [[], [], []]


def test_batch_when_it_is_all_or_none_in_one_engine_then_it_is_sent_whole(
    gates: Any, driver: Any
) -> None:
    name_accounts(gates)
    own = [account_of(2, 0), account_of(2, 1)]
    requests = [pb.DecideRequest(account_id=each) for each in own]
    outcomes = driver.call(addresses(gates), "decide_batch", requests, all_or_none=True)
    assert [outcome.model_version for outcome in outcomes] == own
    assert gates[2].received[0].all_or_none
    assert [len(gate.received) for gate in gates] == [0, 0, 1]


def test_stream_when_accounts_differ_then_outcomes_keep_their_order(
    gates: Any, driver: Any
) -> None:
    name_accounts(gates)
    asked = list(itertools.islice(itertools.cycle(ACCOUNTS), 3 * WAITING_MAX))
    outcomes = driver.stream(addresses(gates), [pb.DecideRequest(account_id=one) for one in asked])
    assert [outcome.model_version for outcome in outcomes] == asked
    assert_routed(gates)


def test_stream_when_each_request_needs_the_answer_before_then_none_waits_for_the_next(
    gates: Any,
) -> None:
    name_accounts(gates)
    answered = threading.Semaphore(1)

    def requests() -> Iterator[pb.DecideRequest]:
        for account_id in ACCOUNTS:
            assert answered.acquire(timeout=20)
            yield pb.DecideRequest(account_id=account_id)

    seen = []
    with riskgate.Client(addresses(gates)) as client:
        for outcome in client.stream(requests()):
            assert isinstance(outcome, pb.DecideResponse)
            seen.append(outcome.model_version)
            answered.release()
    assert seen == ACCOUNTS


def test_stream_when_an_engine_breaks_it_then_the_error_is_typed(gates: Any, driver: Any) -> None:
    name_accounts(gates)

    def break_off(_item: Any, context: grpc.ServicerContext, _number: int) -> Any:
        context.abort(grpc.StatusCode.UNAVAILABLE, "away")

    gates[1].script = break_off
    with pytest.raises(riskgate.NoDecisionError) as caught:
        driver.stream(addresses(gates), [pb.DecideRequest(account_id=each) for each in ACCOUNTS])
    # grpc.aio says INTERNAL when it was about to send the next message.
    assert caught.value.code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL}


def test_stream_when_its_lifetime_ends_while_nothing_is_asked_then_it_ends(gates: Any) -> None:
    name_accounts(gates)
    released = threading.Event()

    def requests() -> Iterator[pb.DecideRequest]:
        yield pb.DecideRequest(account_id=ACCOUNTS[0])
        released.wait(60)

    with riskgate.Client(addresses(gates)) as client:
        stream = client.stream(requests(), lifetime_s=0.3)
        assert isinstance(next(stream), pb.DecideResponse)
        with pytest.raises(riskgate.NoDecisionError) as caught:
            next(stream)
    released.set()
    assert caught.value.code is grpc.StatusCode.DEADLINE_EXCEEDED


def test_aio_stream_when_its_lifetime_ends_while_nothing_is_asked_then_it_ends(gates: Any) -> None:
    name_accounts(gates)

    async def requests() -> AsyncIterator[pb.DecideRequest]:
        yield pb.DecideRequest(account_id=ACCOUNTS[0])
        await asyncio.sleep(60)

    async def run() -> riskgate.NoDecisionError:
        async with riskgate.AsyncClient(addresses(gates)) as client:
            stream = client.stream(requests(), lifetime_s=0.3)
            assert isinstance(await anext(stream), pb.DecideResponse)
            with pytest.raises(riskgate.NoDecisionError) as caught:
                await anext(stream)
            return caught.value

    assert asyncio.run(run()).code is grpc.StatusCode.DEADLINE_EXCEEDED


def test_stream_when_the_callers_iterator_fails_then_the_error_says_so(
    gates: Any, driver: Any
) -> None:
    name_accounts(gates)

    def requests() -> Iterator[pb.DecideRequest]:
        yield pb.DecideRequest(account_id=ACCOUNTS[0])
        raise ValueError("no more")

    with pytest.raises(riskgate.NoDecisionError, match="the iterator of the requests failed"):
        driver.stream(addresses(gates), requests())


def test_stream_when_the_caller_leaves_early_then_nothing_keeps_running(gates: Any) -> None:
    name_accounts(gates)
    endless = (pb.DecideRequest(account_id=each) for each in itertools.cycle(ACCOUNTS))
    with riskgate.Client(addresses(gates)) as client:
        for position, _ in enumerate(client.stream(endless)):
            if position == 100:
                break
    wait(lambda: all(thread.name != "riskgate-stream" for thread in threading.enumerate()))


def test_aio_stream_when_the_caller_leaves_early_then_no_task_keeps_running(gates: Any) -> None:
    name_accounts(gates)

    async def endless() -> AsyncIterator[pb.DecideRequest]:
        for each in itertools.cycle(ACCOUNTS):
            yield pb.DecideRequest(account_id=each)

    async def run() -> None:
        async with riskgate.AsyncClient(addresses(gates)) as client:
            stream = client.stream(endless())
            for _ in range(100):
                assert isinstance(await anext(stream), pb.DecideResponse)
            # An asynchronous generator, whatever the annotation promises.
            await stream.aclose()  # type: ignore[attr-defined]
        async with asyncio.timeout(10):
            while len(asyncio.all_tasks()) > 1:  # noqa: ASYNC110 - tasks of gRPC end on their own
                await asyncio.sleep(0.01)

    asyncio.run(run())


def test_client_when_no_address_is_given_then_it_is_refused() -> None:
    with pytest.raises(ValueError, match="no address"):
        riskgate.Client([])


def test_connect_when_a_stack_has_several_engines_then_all_are_known(
    gates: Any, tmp_path: Path
) -> None:
    name_accounts(gates)
    state = {
        "decision_address": addresses(gates)[0],
        "decision_addresses": addresses(gates),
        "control_address": "127.0.0.1:7002",
    }
    (tmp_path / "state.json").write_text(json.dumps(state))
    assert RunningStack.read(tmp_path).decision == addresses(gates)
    assert read_address("decision", tmp_path) == addresses(gates)[0]
    assert read_address("control", tmp_path) == "127.0.0.1:7002"
    with riskgate.connect(tmp_path, deadline_s=5) as client:
        for account_id in ACCOUNTS:
            assert client.decide(account_id=account_id).model_version == account_id
    assert_routed(gates)
