"""Clients that stop in the middle: of a greeting, of headers, of a body, or of reading."""

import socket
import time
from typing import Any

import grpc
import pytest

from riskgate.v1 import decision_pb2 as pb
from tests.decision_harness import good_request
from tests.hotpath.lane.hostile.besieged import (
    RAW_REQUEST,
    REQUEST,
    Besieged,
    Neighbour,
    is_right,
    resident_bytes,
)
from tests.hotpath.lane.raw_http2 import (
    ACK,
    DECISION_SERVICE,
    INITIAL_WINDOW_SIZE,
    PING,
    PREFACE,
    SETTINGS,
    WINDOW_BYTES_MAX,
    data,
    frame,
    greeting,
    message,
    open_call,
    unary,
    window_update,
)

OK = 0
DEADLINE_EXCEEDED = 4
FLOW_CONTROL_ERROR = 3
MESSAGES = 50_000


@pytest.mark.parametrize(
    "beginning",
    [b"", PREFACE[:7], PREFACE, PREFACE + frame(SETTINGS)[:5], b"GET / HTTP/1.1\r\n"],
    ids=["nothing", "half a preface", "preface", "half a frame", "another protocol"],
)
def test_a_greeting_when_it_is_never_finished_then_the_connection_is_closed(
    besieged: Besieged, beginning: bytes
) -> None:
    clients = [besieged.dial() for _ in range(20)]
    for client in clients:
        client.send(beginning)
    for client in clients:
        client.read_to_end()  # until the server closes
        client.close()


def test_headers_when_they_are_never_finished_then_the_call_is_over_in_time(
    besieged: Besieged,
) -> None:
    whole = open_call(1)
    for cut in (9, 20, len(whole) - 1):
        with besieged.dial() as client:
            client.send(greeting(), whole[:cut])
            time.sleep(0.5)
            assert besieged.count("connections_now") == 2
            client.send(whole[cut:], data(1, message(RAW_REQUEST), end=True))
            answer = client.answer(1)
            assert answer.is_over


def test_a_body_when_it_is_never_finished_then_the_call_gets_deadline_exceeded(
    besieged: Besieged,
) -> None:
    whole = message(RAW_REQUEST)
    with besieged.dial() as client:
        client.send(greeting())
        for stream in range(1, 2 * len(whole), 2):
            client.send(open_call(stream), data(stream, whole[: stream // 2]))
            answer = client.answer(stream) if stream % 20 == 1 else None
            assert answer is None or answer.status == DEADLINE_EXCEEDED
        for stream in range(1, 2 * len(whole), 2):
            assert client.answer(stream).status == DEADLINE_EXCEEDED


def _stream_body(first: int, count: int) -> bytes:
    return b"".join(
        message(pb.DecideStreamRequest(tag=tag, request=REQUEST).SerializeToString())
        for tag in range(first, first + count)
    )


def test_a_stream_when_its_client_sends_on_without_reading_then_it_is_paused_and_not_reset(
    besieged: Besieged, neighbour: Neighbour
) -> None:
    with besieged.dial() as client:
        paused = besieged.count("streams_paused")
        client.send(greeting((INITIAL_WINDOW_SIZE, 0)), open_call(1, "DecideStream"))
        client.send(data(1, _stream_body(0, 400)))
        besieged.wait_until(lambda: besieged.count("streams_paused") > paused)
        time.sleep(1.0)  # three times the limit for unfinished requests
        assert 1 not in client.answers
        client.send(window_update(1, WINDOW_BYTES_MAX), window_update(0, WINDOW_BYTES_MAX - 65_535))
        client.send(data(1, b"", end=True))
        answer = client.answer(1)
        assert answer.status == OK
        found = [pb.DecideStreamResponse.FromString(raw) for raw in answer.messages]
        assert [one.tag for one in found] == list(range(400))
        assert all(is_right(one.response) for one in found)


def test_a_stream_when_fifty_thousand_requests_are_pipelined_then_all_are_answered_in_order(
    besieged: Besieged, neighbour: Neighbour
) -> None:
    paused = besieged.count("streams_paused")
    resident_before = resident_bytes()
    messages = (
        pb.DecideStreamRequest(tag=tag, request=REQUEST).SerializeToString()
        for tag in range(MESSAGES)
    )
    options = [("grpc.use_local_subchannel_pool", 1)]
    opened: Any = grpc.insecure_channel("{}:{}".format(*besieged.address), options)
    with opened as channel:
        decide = channel.stream_stream(f"{DECISION_SERVICE}/DecideStream")
        answers = decide(messages, timeout=60)
        besieged.wait_until(lambda: besieged.count("streams_paused") > paused)
        time.sleep(0.5)  # longer than the limit for unfinished requests
        assert resident_bytes() - resident_before < 64 << 20
        tag = -1
        for tag, raw in enumerate(answers):
            found = pb.DecideStreamResponse.FromString(raw)
            assert found.tag == tag
            assert is_right(found.response), found
        assert tag == MESSAGES - 1


def test_a_paused_stream_when_its_client_overruns_its_window_then_only_the_stream_is_reset(
    besieged: Besieged,
) -> None:
    with besieged.dial() as client:
        client.send(greeting((INITIAL_WINDOW_SIZE, 0)), open_call(1, "DecideStream"))
        client.send(data(1, _stream_body(0, 3_000)))
        assert client.answer(1).reset_code == FLOW_CONTROL_ERROR
        client.send(unary(3, RAW_REQUEST), window_update(3, 65_535))
        assert client.answer(3).status == OK


def test_big_answers_when_nobody_takes_them_then_the_calls_are_ended_and_others_get_theirs(
    besieged: Besieged,
) -> None:
    batch = pb.DecideBatchRequest(requests=[good_request(dry_run=True, explain=True)] * 256)
    raw = batch.SerializeToString()
    hoarders = [besieged.dial() for _ in range(30)]
    for hoarder in hoarders:
        hoarder.send(greeting((INITIAL_WINDOW_SIZE, 0)))
        for stream in range(1, 41, 2):
            hoarder.send(unary(stream, raw, "DecideBatch"))
    begun = time.monotonic()
    with besieged.dial() as client:
        client.send(greeting((INITIAL_WINDOW_SIZE, WINDOW_BYTES_MAX)))
        client.send(window_update(0, WINDOW_BYTES_MAX - 65_535))
        for stream in range(1, 4001, 2):
            client.send(unary(stream, raw, "DecideBatch"))
            answer = client.answer(stream)
            if answer.status == OK:
                results = pb.DecideBatchResponse.FromString(answer.messages[0]).results
                assert len(results) == 256
                break
            time.sleep(0.05)
        assert answer.status == OK, "the hoarders have it all"
    assert time.monotonic() - begun < 10
    for hoarder in hoarders:
        for _ in range(5):
            hoarder.send(frame(PING, payload=bytes(8)))
        assert hoarder.answer(1).is_over
        hoarder.close()


def test_a_client_when_it_never_reads_its_socket_then_it_is_closed_in_time(
    besieged: Besieged, neighbour: Neighbour
) -> None:
    batch = pb.DecideBatchRequest(requests=[good_request(dry_run=True, explain=True)] * 256)
    raw = batch.SerializeToString()
    timed_out = besieged.count("connections_timed_out")
    with besieged.dial(receive_bytes=4_096) as client:
        client.send(
            greeting((INITIAL_WINDOW_SIZE, WINDOW_BYTES_MAX)),
            window_update(0, WINDOW_BYTES_MAX - 65_535),
        )
        for stream in range(1, 201, 2):
            if not client.send(unary(stream, raw, "DecideBatch")):
                break
        besieged.wait_until(lambda: besieged.count("connections_timed_out") > timed_out)
        besieged.wait_until(lambda: besieged.count("connections_now") == 1)


def test_silent_clients_when_a_thousand_sit_there_then_the_next_is_served(
    besieged: Besieged, neighbour: Neighbour
) -> None:
    silent = [socket.create_connection(besieged.address) for _ in range(1_000)]
    before = neighbour.answers
    besieged.wait_until(lambda: neighbour.answers > before + 50)
    with besieged.dial() as client:
        client.send(greeting(), frame(SETTINGS, ACK), unary(1, RAW_REQUEST))
        assert client.answer(1).status == OK
    for one in silent:
        one.close()
