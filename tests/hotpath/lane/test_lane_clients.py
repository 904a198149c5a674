"""gRPC's own clients, sync and aio, against the compiled lane: everything that they may do."""

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import grpc.aio
import pytest

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1.types_pb2 import VERDICT_ALLOW
from server.services.decision import SERVICE_NAME
from tests.decision_harness import good_request, new_engine
from tests.hotpath.lane.raw_http2 import RawClient, greeting, unary
from tests.lane_harness import BATCH, DECIDE, OWN_CONNECTION, STREAM, LanePort, open_lane
from tests.port_calls import Code, stream_of

ASK = good_request(dry_run=True).SerializeToString()
EXPLAIN = good_request(dry_run=True, explain=True)
NEVER_NEW_ENOUGH = good_request(min_state_version=1_000).SerializeToString()


@pytest.fixture(scope="module")
def shared_port() -> Iterator[LanePort]:
    with open_lane() as port:
        yield port


@pytest.fixture
def port(shared_port: LanePort) -> Iterator[LanePort]:
    shared_port.beat()
    shared_port.wait_for(lambda: shared_port.intake.depth == 0)
    yield shared_port
    shared_port.wait_for(lambda: shared_port.read("calls_now") == 0)


def failure_of(call: Any, *arguments: Any, **options: Any) -> Any:
    with pytest.raises(grpc.RpcError) as failure:
        call(*arguments, **options)
    return failure.value


def items(count: int) -> Iterator[bytes]:
    for tag in range(count):
        request = good_request(dry_run=True, requested_lots=0.01 * (1 + tag % 9))
        yield pb.DecideStreamRequest(tag=tag, request=request).SerializeToString()


# --- Streams ---


def test_a_stream_is_answered_message_by_message(port: LanePort) -> None:
    turn = threading.Semaphore(0)

    def ping() -> Iterator[bytes]:
        for raw in items(500):
            turn.acquire()
            yield raw

    answers = port.channel.stream_stream(STREAM)(ping(), timeout=30)
    for tag in range(500):
        turn.release()
        answer = pb.DecideStreamResponse.FromString(next(answers))
        assert (answer.tag, answer.response.lot_size) == (tag, round(0.01 * (1 + tag % 9), 2))
    assert list(answers) == []
    assert answers.code() == Code.OK


def test_a_stream_that_asks_ahead_gets_every_answer_in_order(port: LanePort) -> None:
    answers = port.channel.stream_stream(STREAM)(items(5_000), timeout=60)
    assert [pb.DecideStreamResponse.FromString(raw).tag for raw in answers] == list(range(5_000))


def test_a_stream_without_a_message_ends_well(port: LanePort) -> None:
    assert stream_of(port) == []


def test_streams_side_by_side_do_not_mix(port: LanePort) -> None:
    async def talk(channel: Any, number: int) -> list[int]:
        call = channel.stream_stream(STREAM)(timeout=60)
        tags = []
        for step in range(50):
            item = pb.DecideStreamRequest(
                tag=number * 1_000 + step, request=good_request(dry_run=True)
            )
            await call.write(item.SerializeToString())
            tags.append(pb.DecideStreamResponse.FromString(await call.read()).tag)
        await call.done_writing()
        assert not await call.read(), "the end"
        return tags

    async def run() -> list[list[int]]:
        async with grpc.aio.insecure_channel(port.address, options=[OWN_CONNECTION]) as channel:
            return await asyncio.gather(*(talk(channel, number) for number in range(40)))

    expected = [[number * 1_000 + step for step in range(50)] for number in range(40)]
    assert asyncio.run(run()) == expected


def test_more_streams_than_allowed_wait_for_their_turn_in_the_client(port: LanePort) -> None:
    async def talk(channel: Any, number: int) -> int:
        async def ask() -> AsyncIterator[bytes]:
            for tag in (number, number + 1):
                await asyncio.sleep(0.001)
                request = good_request(dry_run=True)
                yield pb.DecideStreamRequest(tag=tag, request=request).SerializeToString()

        answers = channel.stream_stream(STREAM)(ask(), timeout=60)
        tags = [pb.DecideStreamResponse.FromString(raw).tag async for raw in answers]
        assert tags == [number, number + 1]
        return number

    async def run() -> list[int]:
        async with grpc.aio.insecure_channel(port.address, options=[OWN_CONNECTION]) as channel:
            return await asyncio.gather(*(talk(channel, number) for number in range(250)))

    refused = port.read("calls_refused")
    assert asyncio.run(run()) == list(range(250))
    assert port.read("calls_refused") == refused


def test_a_stream_that_is_cancelled_in_the_middle_leaves_nothing(port: LanePort) -> None:
    for _ in range(20):
        release = threading.Event()

        def ask(release: threading.Event = release) -> Iterator[bytes]:
            yield from items(3)
            release.wait(20)

        answers = port.channel.stream_stream(STREAM)(ask())
        for _ in range(3):
            next(answers)
        answers.cancel()
        release.set()
    port.wait_for(lambda: port.read("calls_now") == 0)
    assert port.read("calls_cancelled") >= 20


# --- One request, one answer ---


def test_many_calls_of_aio_clients_at_once_are_all_answered_right(port: LanePort) -> None:
    async def ask(channel: Any, number: int) -> float:
        lots = 0.01 * (1 + number % 9)
        request = good_request(dry_run=True, requested_lots=lots)
        raw = await channel.unary_unary(DECIDE)(request.SerializeToString(), timeout=30)
        return round(pb.DecideResponse.FromString(raw).lot_size - lots, 9)

    async def run() -> list[float]:
        async with grpc.aio.insecure_channel(port.address, options=[OWN_CONNECTION]) as channel:
            return await asyncio.gather(*(ask(channel, number) for number in range(2_000)))

    assert set(asyncio.run(run())) == {0.0}


def test_reports_and_decisions_of_one_connection_keep_their_order() -> None:
    with open_lane() as port:
        for number in range(6):
            order = f"o{number}"
            allowed = port.decide(good_request(client_order_id=order, requested_lots=0.01))
            assert allowed.verdict == VERDICT_ALLOW
            fields: dict[str, Any] = {"account_id": "A", "client_order_id": order, "lots": 0.01}
            report = port.report(report_id=f"r{number}", kind=3, price=1.1, **fields)
            assert report.outcome == pb.REPORT_OUTCOME_APPLIED
            assert report.position_lots == round(0.01 * (number + 1), 2)


def test_the_largest_batch_with_all_explained_reaches_a_client(port: LanePort) -> None:
    message = pb.DecideBatchRequest(requests=[EXPLAIN] * 1_000)
    raw = port.channel.unary_unary(BATCH)(message.SerializeToString(), timeout=30)
    results = pb.DecideBatchResponse.FromString(raw).results
    assert len(results) == 1_000
    assert all(len(one.response.checks) > 20 for one in results)


def test_a_large_answer_waits_for_the_windows_of_its_client(port: LanePort) -> None:
    message = pb.DecideBatchRequest(requests=[EXPLAIN] * 1_000)
    with RawClient(port.tcp_address) as client:
        # The client opens its windows by hand, a few bytes more each time.
        client.send(greeting((4, 1_000)), unary(1, message.SerializeToString(), "DecideBatch"))
        while len(client.answers[1].body if 1 in client.answers else b"") < 1_000:
            assert client.read()
        assert port.decide(good_request(dry_run=True)).verdict == VERDICT_ALLOW
        assert len(client.answers[1].body) == 1_000
        rng = random.Random(5)
        while not client.answers[1].is_over:
            room = rng.choice([1, 100, 40_000]).to_bytes(4, "big")
            client.send(b"\0\0\4\x08\0\0\0\0\0" + room, b"\0\0\4\x08\0\0\0\0\1" + room)
            assert client.read()
        (raw,) = client.answers[1].messages
    assert len(pb.DecideBatchResponse.FromString(raw).results) == 1_000


@pytest.mark.parametrize("size", [70_000, 1 << 20, 4 * 1024 * 1024])
def test_a_batch_may_be_as_large_as_the_port_allows(port: LanePort, size: int) -> None:
    known = pb.DecideBatchRequest(requests=[good_request(dry_run=True)]).SerializeToString()
    empty = len(_unknown_field(size)) - size
    raw = known + _unknown_field(size - len(known) - empty)
    assert len(raw) == size
    with port.dial(("grpc.max_send_message_length", -1)) as channel:
        answer = channel.unary_unary(BATCH)(raw, timeout=30)
    assert len(pb.DecideBatchResponse.FromString(answer).results) == 1


def test_a_batch_that_is_larger_than_the_port_allows_is_refused(port: LanePort) -> None:
    raw = bytes(4 * 1024 * 1024 + 1)
    with port.dial(("grpc.max_send_message_length", -1)) as channel:
        error = failure_of(channel.unary_unary(BATCH), raw, timeout=30)
    assert (error.code(), error.details()) == (
        Code.RESOURCE_EXHAUSTED,
        "the message is too large",
    )


def test_metadata_of_any_legal_kind_is_passed_over(port: LanePort) -> None:
    metadata: list[tuple[str, Any]] = [(f"key-{number}", "v" * 100) for number in range(40)]
    metadata += [("blob-bin", bytes(range(256))), ("authorization", "Bearer x")]
    raw = port.channel.unary_unary(DECIDE)(ASK, metadata=metadata, timeout=10)
    assert pb.DecideResponse.FromString(raw).verdict == VERDICT_ALLOW


def test_too_much_metadata_is_refused_and_the_connection_lives(port: LanePort) -> None:
    with port.dial() as channel:
        decide = channel.unary_unary(DECIDE)
        assert decide(ASK, timeout=10)
        accepted = port.read("connections_accepted")
        error = failure_of(decide, ASK, metadata=[("key", "v" * 9_000)], timeout=10)
        assert error.code() == Code.RESOURCE_EXHAUSTED
        assert decide(ASK, timeout=10)
        assert port.read("connections_accepted") == accepted


@pytest.mark.parametrize(
    "path", [f"/{SERVICE_NAME}/Nothing", "/other.Service/Decide", "/", f"{DECIDE}x", DECIDE[:-1]]
)
def test_a_method_that_does_not_exist_is_unimplemented(port: LanePort, path: str) -> None:
    error = failure_of(port.channel.unary_unary(path), ASK, timeout=10)
    assert (error.code(), error.details()) == (Code.UNIMPLEMENTED, "this method does not exist")


@pytest.mark.parametrize("algorithm", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_a_client_that_compresses_hears_what_is_accepted(port: LanePort, algorithm: Any) -> None:
    raw = good_request(dry_run=True, group_id="g" * 64).SerializeToString()
    channel: Any
    with grpc.insecure_channel(port.address, [OWN_CONNECTION], compression=algorithm) as channel:
        call = channel.unary_unary(DECIDE)
        error = failure_of(call, raw + _unknown_field(2_000), timeout=10)
        assert error.code() == Code.UNIMPLEMENTED
        assert error.details() == "compressed messages are not supported"
    assert pb.DecideResponse.FromString(port.call("Decide", raw)).verdict == VERDICT_ALLOW


# --- Time ---


@pytest.mark.parametrize("timeout", ["0n", "1n", "0H", "0m"])
@pytest.mark.parametrize("method", ["Decide", "DecideBatch", "ReportExecution", "SyncAccount"])
def test_a_call_whose_deadline_has_passed_changes_nothing(
    port: LanePort, method: str, timeout: str
) -> None:
    before = port.sequence
    with RawClient(port.tcp_address) as client:
        raw = good_request().SerializeToString()
        client.send(greeting(), unary(1, raw, method, grpc_timeout=timeout))
        answer = client.answer(1)
    assert (answer.status, answer.text) == (4, "the deadline has passed")
    assert port.sequence == before


def test_a_client_that_gives_a_parked_call_up_leaves_nothing(port: LanePort) -> None:
    for _ in range(50):
        call = port.channel.unary_unary(DECIDE).future(NEVER_NEW_ENOUGH)
        time.sleep(0.001)
        call.cancel()
    port.wait_for(lambda: port.read("calls_now") == 0)


def test_a_deadline_that_ends_while_a_call_is_parked_is_exceeded(port: LanePort) -> None:
    begun = time.monotonic()
    error = failure_of(port.channel.unary_unary(DECIDE), NEVER_NEW_ENOUGH, timeout=0.01)
    assert error.code() == Code.DEADLINE_EXCEEDED
    assert time.monotonic() - begun < 5


def test_a_client_may_wait_until_the_port_is_there() -> None:
    engine = new_engine()
    with open_lane() as first:
        address = first.address
    number = address.rpartition(":")[2]
    channel: Any
    with grpc.insecure_channel(f"127.0.0.1:{number}", [OWN_CONNECTION]) as channel:
        call = channel.unary_unary(DECIDE)
        waiting = call.future(ASK, timeout=30, wait_for_ready=True)
        assert not waiting.done()
        with open_lane(engine, decision_listen=f"127.0.0.1:{number}"):
            if waiting.exception() is not None:
                # It came between the first answer of the port and its being ready.
                assert waiting.details() == "the engine is not ready"
                waiting = call.future(ASK, timeout=30, wait_for_ready=True)
            assert pb.DecideResponse.FromString(waiting.result()).verdict == VERDICT_ALLOW


def test_pings_of_a_client_are_answered_so_that_it_stays_connected(port: LanePort) -> None:
    options = (
        ("grpc.keepalive_time_ms", 1_000),
        ("grpc.keepalive_timeout_ms", 500),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    )
    accepted = port.read("connections_accepted")
    with port.dial(*options) as channel:
        decide = channel.unary_unary(DECIDE)
        assert decide(ASK, timeout=10)
        begun = port.read("bytes_in")
        port.wait_for(lambda: port.read("bytes_in") >= begun + 2 * 17)
        assert decide(ASK, timeout=10)
    assert port.read("connections_accepted") == accepted + 1


def _unknown_field(padding: int) -> bytes:
    """Return a field that no message knows, with so many bytes in it."""
    length = bytearray()
    rest = padding
    while rest > 127:
        length.append(rest & 127 | 128)
        rest >>= 7
    length.append(rest)
    return b"\xfa\x7f" + bytes(length) + bytes(padding)
