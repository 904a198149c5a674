"""The end of a lane: what runs is finished, what is new goes elsewhere, nothing is left."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1.types_pb2 import VERDICT_ALLOW
from server.hotpath.lane.memory import LaneBounds
from server.lane import Errands, Lane
from server.security.grants import Grants
from tests.decision_harness import good_request, new_engine
from tests.hotpath.lane.raw_http2 import RawClient, data, greeting, message, open_call, unary
from tests.lane_harness import BATCH, DECIDE, STREAM, LanePort, open_lane

GRANTS = Grants("riskgate")
ASK = good_request(dry_run=True).SerializeToString()
ITEM = pb.DecideStreamRequest(tag=1, request=good_request(dry_run=True)).SerializeToString()
REQUEST_OF_VERSION_5 = good_request(min_state_version=5).SerializeToString()


def stop_in_background(port: LanePort, *, at_once: bool = False) -> threading.Thread:
    thread = threading.Thread(target=port.lane.stop, kwargs={"at_once": at_once})
    thread.start()
    port.wait_for(lambda: port.read("stop") != 0)
    return thread


def finish(port: LanePort, thread: threading.Thread) -> None:
    thread.join(10)
    assert not port.lane.is_running
    assert port.what_is_left() == {}


@pytest.fixture
def port() -> Iterator[LanePort]:
    with open_lane(shutdown_grace_ms=3_000, state_wait_ms_max=50) as port:
        yield port
        assert not port.lane.is_running, "the test stops it"


def test_an_idle_lane_says_goodbye_and_ends_at_once(port: LanePort) -> None:
    with RawClient(port.tcp_address) as client:
        client.send(greeting(), unary(1, ASK))
        assert client.answer(1).status == 0
        thread = stop_in_background(port)
        client.read_to_end()
        assert client.goaway == (1, 0)
    finish(port, thread)


def test_a_call_that_has_begun_is_finished(port: LanePort) -> None:
    with RawClient(port.tcp_address) as client:
        client.send(greeting(), open_call(1), data(1, message(ASK)[:20]))
        port.wait_for(lambda: port.read("calls_now") == 1)
        thread = stop_in_background(port)
        while client.goaway is None:
            assert client.read()
        assert client.goaway == (1, 0)
        # One that comes after the goodbye is not looked at, so its caller may take it elsewhere.
        client.send(data(1, message(ASK)[20:], end=True), unary(3, ASK))
        answer = client.answer(1)
        assert (answer.status, len(answer.messages)) == (0, 1)
        client.read_to_end()
        assert 3 not in client.answers
    finish(port, thread)


def test_a_peer_that_does_not_close_is_waited_for_a_moment_only(port: LanePort) -> None:
    with RawClient(port.tcp_address) as client:
        client.send(greeting(), unary(1, ASK))
        assert client.answer(1).status == 0
        finish(port, stop_in_background(port))


def test_a_call_that_is_never_finished_is_given_up_after_the_grace() -> None:
    with open_lane(shutdown_grace_ms=200) as port, RawClient(port.tcp_address) as client:
        client.send(greeting(), open_call(1), data(1, message(ASK)[:20]))
        port.wait_for(lambda: port.read("calls_now") == 1)
        begun = time.monotonic()
        port.lane.stop()
        assert time.monotonic() - begun >= 0.2
        client.read_to_end()
        assert client.answers == {}


def test_a_stream_ends_unavailable_after_all_it_has_asked(port: LanePort) -> None:
    release = threading.Event()

    def items() -> Iterator[bytes]:
        for _ in range(1_000):
            yield ITEM
        release.wait(20)

    answers = port.channel.stream_stream(STREAM)(items(), timeout=20)
    for _ in range(1_000):
        assert pb.DecideStreamResponse.FromString(next(answers)).tag == 1
    thread = stop_in_background(port)
    with pytest.raises(grpc.RpcError) as failure:
        next(answers)
    assert failure.value.code() == grpc.StatusCode.UNAVAILABLE
    assert failure.value.details() == "the server is stopping"
    release.set()
    finish(port, thread)


def test_a_stream_that_has_not_asked_yet_ends_unavailable(port: LanePort) -> None:
    release = threading.Event()
    answers = port.channel.stream_stream(STREAM)(_wait_for(release), timeout=20)
    port.wait_for(lambda: port.read("calls_now") == 1)
    thread = stop_in_background(port)
    with pytest.raises(grpc.RpcError) as failure:
        next(answers)
    assert failure.value.code() == grpc.StatusCode.UNAVAILABLE
    release.set()
    finish(port, thread)


def test_a_parked_call_is_answered_before_the_end(port: LanePort) -> None:
    call = port.channel.unary_unary(DECIDE).future(REQUEST_OF_VERSION_5, timeout=10)

    port.wait_for(lambda: port.read("calls_started") == 1)
    thread = stop_in_background(port)
    assert call.code() == grpc.StatusCode.FAILED_PRECONDITION
    finish(port, thread)


def test_a_large_answer_reaches_a_slow_reader_whole(port: LanePort) -> None:
    batch = pb.DecideBatchRequest(requests=[good_request(dry_run=True, explain=True)] * 1_000)
    with RawClient(port.tcp_address, receive_bytes=4_096) as client:
        huge = 1 << 30
        client.send(greeting((4, huge)), b"\0\0\4\x08\0\0\0\0\0" + (huge).to_bytes(4, "big"))
        # Together far more than a socket holds, so that some of it waits in the lane's own memory.
        numbers = range(1, 25, 2)
        client.send(*(unary(one, batch.SerializeToString(), "DecideBatch") for one in numbers))
        port.wait_for(lambda: any(row["unsent_to"] for row in port.connections))
        thread = stop_in_background(port)
        client.read_to_end()
        assert client.goaway is not None
        taken = [number for number in numbers if number <= client.goaway[0]]
        assert sorted(client.answers) == taken
        for answer in client.answers.values():
            assert answer.status == 0
            (raw,) = answer.messages
            assert len(pb.DecideBatchResponse.FromString(raw).results) == 1_000
    finish(port, thread)


def test_stopping_at_once_waits_for_nobody(port: LanePort) -> None:
    release = threading.Event()
    answers = port.channel.stream_stream(STREAM)(_wait_for(release), timeout=20)
    with RawClient(port.tcp_address) as client:
        client.send(greeting(), open_call(1), data(1, message(ASK)[:20]))
        port.wait_for(lambda: port.read("calls_now") == 2)
        port.lane.stop(at_once=True)
        assert not port.lane.is_running
        client.read_to_end()
    with pytest.raises(grpc.RpcError):
        next(answers)
    release.set()


def test_new_calls_go_to_the_next_server_while_the_old_one_drains(tmp_path: Any) -> None:
    """Both serve one listening socket, one after the other, as under the supervisor."""
    failures: list[grpc.RpcError] = []
    done = threading.Event()
    count = [0]
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        listener.setblocking(False)
        old = _serve(listener)
        channel: Any = grpc.insecure_channel(f"127.0.0.1:{listener.getsockname()[1]}")

        def ask_on() -> None:
            decide = channel.unary_unary(DECIDE)
            while not done.is_set():
                try:
                    raw = decide(ASK, timeout=3, wait_for_ready=True)
                    assert pb.DecideResponse.FromString(raw).verdict == VERDICT_ALLOW
                    count[0] += 1
                except grpc.RpcError as error:
                    failures.append(error)

        threads = [threading.Thread(target=ask_on) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(5):
            wanted = count[0] + 100
            while count[0] < wanted and not failures:
                time.sleep(0.001)
            new = _serve(listener)
            old.stop()
            old.close()
            old = new
        done.set()
        for thread in threads:
            thread.join()
        channel.close()
        old.stop()
        old.close()
    print(f"{count[0]} calls over 5 changes of the server, {len(failures)} failed")  # noqa: T201
    assert not failures, failures[0]


def test_descriptors_are_given_back() -> None:
    with open_lane() as port:
        port.decide(good_request())
    before = _count_descriptors()
    for _ in range(5):
        with open_lane() as port, port.dial() as channel:
            channel.unary_unary(BATCH)(
                pb.DecideBatchRequest(requests=[good_request()]).SerializeToString(), timeout=10
            )
    _wait_until(lambda: _count_descriptors() <= before)


def _count_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


NO_ERRANDS = Errands(lambda *_: b"", lambda *_: b"")


def _serve(listener: socket.socket) -> Lane:
    bounds = LaneBounds(connections=64, calls=256)
    grant = GRANTS.open_address
    lane = Lane(new_engine(), listener, bounds, NO_ERRANDS, open_grant=grant)
    lane.start()
    lane.say(ready=True, serving=True)
    return lane


def _wait_for(release: threading.Event) -> Iterator[bytes]:
    release.wait(20)
    yield from ()


def _wait_until(condition: Any) -> None:
    ends_at_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < ends_at_s, "it did not happen"
        time.sleep(0.01)
