"""The decision port as a caller meets it: real port, real engine, good calls and every bad one."""

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import state_pb2 as kinds
from riskgate.v1.types_pb2 import (
    REASON_BATCH_DENIED,
    REASON_BREAKER_TRIPPED,
    REASON_SYMBOL_UNKNOWN,
    VERDICT_ALLOW,
    VERDICT_DENY,
    VERDICT_REDUCE,
)
from server import changes
from server.services.decision import SERVICE_NAME
from tests.decision_harness import PortCalls, drawdown_breaker, good_request, new_engine, open_port
from tests.lane_harness import OPENERS, Opener
from tests.port_calls import Code, refused, refused_request, stream_of


@pytest.fixture(scope="module", params=sorted(OPENERS))
def opener(request: pytest.FixtureRequest) -> Opener:
    """What opens a port of each kind: both must behave alike."""
    return OPENERS[request.param]


@pytest.fixture(scope="module")
def shared_port(opener: Opener) -> Iterator[PortCalls]:
    with opener() as port:
        yield port


@pytest.fixture
def port(shared_port: PortCalls) -> PortCalls:
    shared_port.beat()
    return shared_port


# --- Good calls ---


def test_decide_when_the_worked_example_is_asked_then_the_answer_is_right(port: PortCalls) -> None:
    answer = port.decide(good_request())
    assert answer.verdict == VERDICT_ALLOW
    assert answer.lot_size == 0.32
    assert answer.sl_buffer_pips == 0.5
    assert answer.stop_price == 1.09795
    assert answer.performance_score == 87.5
    assert answer.epoch == 7
    assert answer.state_version == 4
    assert 0 < answer.server_ns < 1_000_000_000
    assert answer.policy_version == "1.0.0"
    assert answer.HasField("reservation_expires_at")
    assert not answer.checks
    explained = port.decide(good_request(explain=True, dry_run=True))
    assert len(explained.checks) > 20
    assert not explained.HasField("reservation_expires_at")


def test_decide_when_repeated_then_the_same_bytes_come_back(port: PortCalls) -> None:
    raw = good_request(client_order_id="same").SerializeToString()
    first = port.call("Decide", raw)
    time.sleep(0.01)
    again = good_request(client_order_id="same", explain=True, min_state_version=3)
    assert port.call("Decide", again.SerializeToString()) == first
    other = good_request(client_order_id="same", requested_lots=0.01).SerializeToString()
    assert refused(port, "Decide", other)[:2] == (Code.ALREADY_EXISTS, "client_order_id")
    assert port.call("Decide", raw) == first


def test_report_when_an_order_is_filled_then_its_hold_becomes_a_position(opener: Opener) -> None:
    with opener() as own:
        answer = own.decide(good_request(client_order_id="o1", requested_lots=0.1))
        assert answer.verdict == VERDICT_ALLOW
        fields = {"account_id": "A", "client_order_id": "o1", "price": 1.1, "lots": 0.1}
        report = own.report(report_id="r1", kind=3, **fields)
        assert (report.outcome, report.epoch) == (pb.REPORT_OUTCOME_APPLIED, 7)
        assert (report.position_lots, report.held_lots, report.equity) == (0.1, 0.0, 10_000.0)
        again = own.report(report_id="r1", kind=3, **fields)
        assert again.outcome == pb.REPORT_OUTCOME_DUPLICATE
        exit_request = good_request(
            side=2, reduce_only=True, requested_lots=5.0, entry_price=None, stop_loss=None
        )
        assert own.decide(exit_request).lot_size == 0.1
        closed = own.report(
            report_id="r2",
            account_id="A",
            client_order_id="o1",
            kind=7,
            lots=0.1,
            realised_pnl=-50.0,
        )
        assert (closed.equity, closed.position_lots) == (9_950.0, 0.0)


def test_sync_when_the_broker_differs_then_the_differences_are_answered(opener: Opener) -> None:
    with opener() as port:
        message = pb.SyncAccountRequest(account_id="A", equity=9_000.5)
        message.positions.add(symbol="EURUSD", side=2, lots=0.5, average_price=1.2)
        raw = port.call("SyncAccount", message.SerializeToString())
        differences = {
            one.subject: (one.engine_value, one.broker_value)
            for one in pb.SyncAccountResponse.FromString(raw).differences
        }
        assert differences == {"equity": (10_000.0, 9_000.5), "position": (0.0, -0.5)}
        again = pb.SyncAccountResponse.FromString(
            port.call("SyncAccount", message.SerializeToString())
        )
        assert not again.differences


def test_decide_when_a_change_waits_then_it_is_applied_first(opener: Opener) -> None:
    with opener() as port:
        port.decide(good_request())
        rows = drawdown_breaker()
        change = changes.state_change(kinds.CHANGE_KIND_BREAKER, "breaker-1", rows, version=5)
        port.intake.put(change.SerializeToString())
        mark = pb.SyncAccountRequest(account_id="A", equity=8_000.0)
        port.call("SyncAccount", mark.SerializeToString())
        answer = port.decide(good_request())
        assert answer.state_version == 5
        assert REASON_BREAKER_TRIPPED in answer.reasons
        assert [breaker.name for breaker in answer.breakers] == ["max_drawdown_10_percent"]
        assert answer.breakers[0].HasField("tripped_at")


def test_decide_when_the_state_is_too_old_then_it_waits_and_fails(port: PortCalls) -> None:
    started = time.monotonic()
    request = good_request(min_state_version=1_000)
    assert refused_request(port, request) == (Code.FAILED_PRECONDITION, "min_state_version")
    assert 0.045 <= time.monotonic() - started < 1.0


def test_decide_when_the_state_arrives_in_time_then_the_wait_ends_with_a_decision(
    opener: Opener,
) -> None:
    with opener() as port:
        rows = drawdown_breaker(enabled=False)
        change = changes.state_change(kinds.CHANGE_KIND_BREAKER, "breaker-1", rows, version=5)
        timer = threading.Timer(0.01, port.intake.put, [change.SerializeToString()])
        timer.start()
        answer = port.decide(good_request(min_state_version=5))
        timer.join()
        assert answer.state_version == 5


def test_decide_when_not_ready_then_unavailable(port: PortCalls) -> None:
    port.is_ready = False
    try:
        assert refused_request(port, good_request())[0] == Code.UNAVAILABLE
        stream = stream_of(port, pb.DecideStreamRequest(tag=9, request=good_request()))
        assert [(one.tag, one.error.code) for one in stream] == [(9, Code.UNAVAILABLE.value[0])]
    finally:
        port.is_ready = True


# --- Batches ---


def test_batch_when_items_differ_then_each_gets_its_own_result(port: PortCalls) -> None:
    results = port.batch(
        good_request(requested_lots=0.01),
        good_request(account_id=""),
        good_request(symbol="XXX"),
        good_request(min_state_version=1_000),
        good_request(requested_lots=0.01),
    )
    assert [one.WhichOneof("result") for one in results] == [
        "response", "error", "response", "error", "response",
    ]  # fmt: skip
    assert (results[1].error.code, results[1].error.field) == (3, "account_id")
    assert results[2].response.reasons[0] == REASON_SYMBOL_UNKNOWN
    assert (results[3].error.code, results[3].error.field) == (9, "min_state_version")


def test_batch_when_one_item_is_bad_utf8_then_it_fails_alone(port: PortCalls) -> None:
    good = good_request(requested_lots=0.01).SerializeToString()
    bad = good + b"\x12\x02\xff\xfe"
    raw = b"".join(b"\x0a" + bytes([len(one)]) + one for one in (good, bad, b"\x0a\xff", good))
    results = pb.DecideBatchResponse.FromString(port.call("DecideBatch", raw)).results
    assert [one.error.field for one in results] == ["", "account_id", "request", ""]
    assert [one.response.verdict for one in results] == [VERDICT_ALLOW, 0, 0, VERDICT_ALLOW]
    results = pb.DecideBatchResponse.FromString(port.call("DecideBatch", raw + b"\x10\x01")).results
    assert [one.response.verdict for one in results] == [VERDICT_DENY, 0, 0, VERDICT_DENY]


def test_batch_when_each_sees_the_holds_before_it_then_the_last_ones_shrink(opener: Opener) -> None:
    engine = new_engine()
    with opener(engine) as port:
        results = port.batch(*(good_request(client_order_id=f"b{i}") for i in range(8)))
        quota = [one.response for one in results]
        assert all(one.verdict == VERDICT_ALLOW for one in quota[:4])
        held = int(engine.state.engine[0]["reservation_in_use"])
        assert held == sum(one.verdict in (VERDICT_ALLOW, VERDICT_REDUCE) for one in quota)


@pytest.mark.parametrize("bad", [{"symbol": "XXX"}, {"account_id": ""}])
def test_batch_when_all_or_none_and_one_fails_then_nothing_is_held(
    opener: Opener, bad: dict[str, Any]
) -> None:
    with opener() as port:
        requests = [
            good_request(client_order_id="a1", requested_lots=0.01, explain=True),
            good_request(requested_lots=0.02),
            good_request(**bad),
            good_request(client_order_id="a1", requested_lots=0.01),
        ]
        results = port.batch(*requests, all_or_none=True)
        first, second, _, repeated = (one.response for one in results)
        for one in (first, second, repeated):
            assert one.verdict == VERDICT_DENY
            assert one.lot_size == 0.0
            assert one.reasons[0] == REASON_BATCH_DENIED
            assert one.binding_limit == REASON_BATCH_DENIED
            assert not one.HasField("reservation_expires_at")
        assert repeated == first
        assert REASON_BATCH_DENIED in [check.check for check in first.checks]
        assert not second.checks
        state = port.engine.state
        assert state.engine[0]["reservation_in_use"] == 0
        account = state.accounts.rows[1]
        assert (account["held_risk_micros"], account["held_notional_micros"]) == (0, 0)
        # A denied id stays denied, with the same bytes.
        assert port.call("Decide", requests[0].SerializeToString()) == first.SerializeToString()


def test_batch_when_all_or_none_succeeds_then_repeating_it_gives_the_same_bytes(
    opener: Opener,
) -> None:
    with opener() as port:
        requests = [good_request(client_order_id=f"c{i}", requested_lots=0.01) for i in range(3)]
        message = pb.DecideBatchRequest(requests=requests, all_or_none=True)
        first = port.call("DecideBatch", message.SerializeToString())
        assert port.call("DecideBatch", message.SerializeToString()) == first
        message.requests.add(symbol="XXX", account_id="A", provider_id="p", provider_type=1, side=1)
        message.requests[-1].entry_price, message.requests[-1].stop_loss = 2.0, 1.0
        message.requests.add().CopyFrom(good_request(client_order_id="c9", requested_lots=0.01))
        raw = port.call("DecideBatch", message.SerializeToString())
        verdicts = [one.response.verdict for one in pb.DecideBatchResponse.FromString(raw).results]
        # What was let through in an earlier call stays so; what is new is denied.
        assert verdicts == [VERDICT_ALLOW] * 3 + [VERDICT_DENY] * 2
        assert port.engine.state.engine[0]["reservation_in_use"] == 3


@pytest.mark.parametrize("count", [0, 1_001])
def test_batch_when_the_number_of_items_is_out_of_range_then_it_is_refused(
    port: PortCalls, count: int
) -> None:
    message = pb.DecideBatchRequest(requests=[good_request()] * count)
    assert refused(port, "DecideBatch", message.SerializeToString())[:2] == (
        Code.INVALID_ARGUMENT,
        "requests",
    )


def test_batch_when_it_has_a_thousand_items_then_all_are_answered(port: PortCalls) -> None:
    results = port.batch(*[good_request(dry_run=True)] * 1_000)
    assert len(results) == 1_000
    numbers = [one.response.decision_id for one in results]
    assert numbers == sorted(set(numbers))


# --- Streams ---


def test_stream_when_items_are_bad_then_each_fails_alone_in_order(port: PortCalls) -> None:
    bad_text = pb.DecideRequest(symbol="EURUSD").SerializeToString() + b"\x12\x02\xff\xfe"
    answers = stream_of(
        port,
        pb.DecideStreamRequest(tag=5, request=good_request(dry_run=True)),
        b"\x08\x06\x12" + bytes([len(bad_text)]) + bad_text,
        b"\xff\xff",
        pb.DecideStreamRequest(tag=7),
        pb.DecideStreamRequest(tag=8, request=good_request(side=None)),
        pb.DecideStreamRequest(tag=2**64 - 1, request=good_request(dry_run=True)),
    )
    found = [(one.tag, one.error.code, one.error.field) for one in answers]
    assert found == [
        (5, 0, ""),
        (6, 3, "request.account_id"),
        (0, 3, "request"),
        (7, 3, "request"),
        (8, 3, "side"),
        (2**64 - 1, 0, ""),
    ]
    assert answers[-1].response.verdict == VERDICT_ALLOW


def test_stream_when_a_message_is_too_large_then_the_stream_ends(port: PortCalls) -> None:
    good = pb.DecideStreamRequest(tag=1, request=good_request(dry_run=True))
    large = b"\x08\x09" + b"\x7a\x80\x80\x08" + bytes(131_072)
    call = port.channel.stream_stream(f"/{SERVICE_NAME}/DecideStream")
    answers = call(iter([good.SerializeToString(), large]), timeout=10)
    assert pb.DecideStreamResponse.FromString(next(answers)).tag == 1
    with pytest.raises(grpc.RpcError) as failure:
        next(answers)
    assert failure.value.code() == Code.RESOURCE_EXHAUSTED


def test_stream_when_the_client_goes_away_then_the_port_goes_on(port: PortCalls) -> None:
    call = port.channel.stream_stream(f"/{SERVICE_NAME}/DecideStream")
    release = threading.Event()

    def messages() -> Iterator[bytes]:
        yield pb.DecideStreamRequest(tag=1, request=good_request(dry_run=True)).SerializeToString()
        release.wait(5)

    answers = call(messages())
    assert next(answers)
    answers.cancel()
    release.set()
    assert port.decide(good_request(dry_run=True)).verdict == VERDICT_ALLOW


# --- Time: inside the event loop of grpcio; tests/hotpath/lane has it for the other lane ---


def test_decide_when_the_deadline_has_passed_then_nothing_is_held() -> None:
    with open_port() as port:

        async def stall() -> None:
            time.sleep(0.3)  # noqa: ASYNC251 - the owner is busy with something else

        stalled = asyncio.run_coroutine_threadsafe(stall(), port.loop)
        code, _, _ = refused(port, "Decide", good_request().SerializeToString(), timeout_s=0.05)
        assert code == Code.DEADLINE_EXCEEDED
        stalled.result(5)
        time.sleep(0.1)
        assert port.engine.state.engine[0]["reservation_in_use"] == 0


def test_decide_when_the_wait_is_cancelled_inside_then_the_caller_hears_at_once() -> None:
    with open_port() as port:

        async def interrupt(version: int, wait_s: float) -> bool:
            raise asyncio.CancelledError

        port.owner.wait_for_version = interrupt  # type: ignore[method-assign]
        started = time.monotonic()
        request = good_request(min_state_version=1_000)
        assert refused_request(port, request)[0] == Code.UNAVAILABLE
        assert time.monotonic() - started < 1.0


def test_decide_when_the_engine_fails_then_the_caller_learns_nothing_of_it() -> None:
    with open_port() as port:

        def fail(reading_ns: int) -> int:
            raise ValueError("secret /etc/passwd path")

        port.engine.decide = fail  # type: ignore[method-assign]
        raw = good_request().SerializeToString()
        assert refused(port, "Decide", raw) == (Code.INTERNAL, "", "internal error")
        (answer,) = stream_of(port, pb.DecideStreamRequest(tag=1, request=good_request()))
        assert answer.error.message == "internal error"
        assert port.counts.errors["INTERNAL"] == 2
