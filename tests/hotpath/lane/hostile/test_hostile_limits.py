"""Every limit of the port, one step beyond it, on a lane with little to share."""

import time

import pytest

from riskgate.v1 import decision_pb2 as pb
from server.hotpath.lane.memory import LaneBounds
from tests.hotpath.lane.hostile.besieged import (
    RAW_REQUEST,
    REQUEST,
    Besieged,
    Neighbour,
    is_right,
)
from tests.hotpath.lane.raw_http2 import (
    END_HEADERS,
    END_STREAM,
    HEADERS,
    Answer,
    data,
    frame,
    greeting,
    header_block,
    message,
    open_call,
    request_headers,
    unary,
)

CONNECTIONS = 8
IDLE_MS = 400
BOUNDS = LaneBounds(
    connections=CONNECTIONS, calls=16, streams=2, batches=1, idle_ms=IDLE_MS, request_ms=300
)

OK, INVALID_ARGUMENT, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNIMPLEMENTED = 0, 3, 4, 8, 12
NO_ERROR, REFUSED_STREAM = 0, 7
REQUEST_BYTES_MAX = 65_536
PORT_BYTES_MAX = 4 * 1024 * 1024


def _answer_to(besieged: Besieged, *parts: bytes) -> Answer:
    with besieged.dial() as client:
        client.send(greeting(), *parts)
        return client.answer(1)


def _is_served(answer: Answer) -> bool:
    return answer.status == OK and is_right(pb.DecideResponse.FromString(answer.messages[0]))


def test_connections_when_one_more_comes_than_may_be_then_it_is_closed_at_once_and_counted(
    besieged: Besieged,
) -> None:
    refused = besieged.count("connections_refused")
    clients = [besieged.dial() for _ in range(CONNECTIONS - 1)]  # one is the neighbour's
    for number, client in enumerate(clients):
        client.send(greeting(), unary(1, RAW_REQUEST))
        assert _is_served(client.answer(1)), number
    with besieged.dial() as late:
        late.read_to_end()
        assert late.goaway is None
    assert besieged.count("connections_refused") == refused + 1
    clients.pop().close()
    besieged.wait_until(lambda: besieged.count("connections_now") < CONNECTIONS)
    assert _is_served(_answer_to(besieged, unary(1, RAW_REQUEST)))
    for client in clients:
        client.close()


def test_a_connection_when_it_is_idle_then_it_is_told_to_go_away_and_closed(
    besieged: Besieged,
) -> None:
    with besieged.dial() as client:
        client.send(greeting(), unary(1, RAW_REQUEST))
        assert _is_served(client.answer(1))
        client.read_to_end()
        assert client.goaway == (1, NO_ERROR)


def test_an_idle_stream_when_it_is_open_then_its_connection_stays(besieged: Besieged) -> None:
    one = message(pb.DecideStreamRequest(tag=9, request=REQUEST).SerializeToString())
    with besieged.dial() as client:
        client.send(greeting(), open_call(1, "DecideStream"), data(1, one))
        time.sleep(3 * IDLE_MS / 1_000)
        client.send(data(1, one, end=True))
        answer = client.answer(1)
        assert answer.status == OK
        assert [pb.DecideStreamResponse.FromString(raw).tag for raw in answer.messages] == [9, 9]
        assert client.goaway is None


@pytest.mark.parametrize("size", [8_192, 60_000])
def test_metadata_when_it_is_too_large_then_the_call_is_refused(
    besieged: Besieged, size: int
) -> None:
    pieces = {f"x_{number}": "v" * 4_000 for number in range(size // 4_000)}
    block = header_block(request_headers(**pieces))
    first = frame(HEADERS, 0, 1, block[:16_000])
    rest = [block[at : at + 16_000] for at in range(16_000, len(block), 16_000)] or [b""]
    last = len(rest) - 1
    more = [frame(9, END_HEADERS if n == last else 0, 1, piece) for n, piece in enumerate(rest)]
    answer = _answer_to(besieged, first, *more, data(1, message(RAW_REQUEST), end=True))
    assert answer.status == RESOURCE_EXHAUSTED
    assert answer.text == "the metadata is too large"


def test_metadata_when_it_is_large_but_legal_then_the_call_is_served(besieged: Besieged) -> None:
    assert _is_served(_answer_to(besieged, unary(1, RAW_REQUEST, x_large="v" * 7_500)))


@pytest.mark.parametrize(
    ("method", "size"),
    [
        ("Decide", REQUEST_BYTES_MAX + 1),
        ("ReportExecution", REQUEST_BYTES_MAX + 1),
        ("DecideStream", REQUEST_BYTES_MAX + 1),
        ("DecideBatch", PORT_BYTES_MAX + 1),
        ("Decide", (1 << 32) - 1),
    ],
)
def test_a_message_when_it_announces_too_much_then_the_call_is_refused_before_it_comes(
    besieged: Besieged, method: str, size: int
) -> None:
    prefix = b"\0" + size.to_bytes(4)
    answer = _answer_to(besieged, open_call(1, method), data(1, prefix + b"x"))
    assert answer.status == RESOURCE_EXHAUSTED
    assert answer.text == "the message is too large"
    assert answer.is_over


def test_compression_when_it_is_used_then_the_answer_says_what_is_understood(
    besieged: Besieged,
) -> None:
    flagged = open_call(1) + data(1, message(RAW_REQUEST, compressed=1), end=True)
    for attack in (flagged, unary(1, RAW_REQUEST, grpc_encoding="gzip")):
        answer = _answer_to(besieged, attack)
        assert answer.status == UNIMPLEMENTED
        assert answer.headers[b"grpc-accept-encoding"] == b"identity"
    assert _is_served(_answer_to(besieged, unary(1, RAW_REQUEST, grpc_encoding="identity")))


@pytest.mark.parametrize(
    "content_type",
    [None, "", "text/html", "application/grpcx", "application/grpc+json", "application/grp"],
)
def test_a_content_type_when_it_is_not_grpc_then_the_answer_is_415(
    besieged: Besieged, content_type: str | None
) -> None:
    answer = _answer_to(besieged, unary(1, RAW_REQUEST, content_type=content_type))
    assert answer.http_status == 415
    assert answer.is_over


@pytest.mark.parametrize("content_type", ["application/grpc+proto", "application/grpc;charset=x"])
def test_a_content_type_when_it_is_another_name_of_grpc_then_the_call_is_served(
    besieged: Besieged, content_type: str
) -> None:
    assert _is_served(_answer_to(besieged, unary(1, RAW_REQUEST, content_type=content_type)))


@pytest.mark.parametrize("verb", ["GET", "PUT", "post", "POSTS"])
def test_a_verb_when_it_is_not_post_then_the_answer_is_405(besieged: Besieged, verb: str) -> None:
    assert _answer_to(besieged, unary(1, RAW_REQUEST, p_method=verb)).http_status == 405


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/riskgate.v1.DecisionService/Decid",
        "/riskgate.v1.DecisionService/Decide/",
        "/riskgate.v1.DecisionService/Decide?a=b",
        "/riskgate.v1.DecisionService/" + "D" * 7_000,
        "/riskgate.v2.DecisionService/Decide",
    ],
)
def test_a_path_when_it_is_unknown_then_the_call_is_not_implemented(
    besieged: Besieged, path: str
) -> None:
    answer = _answer_to(besieged, unary(1, RAW_REQUEST, path))
    assert answer.status == UNIMPLEMENTED
    assert answer.text == "this method does not exist"


@pytest.mark.parametrize("method", ["Decide", "DecideBatch", "ReportExecution"])
@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (b"", UNIMPLEMENTED, "the method takes exactly one message"),
        (2 * message(RAW_REQUEST), UNIMPLEMENTED, "the method takes exactly one message"),
        (message(RAW_REQUEST) + b"\0", UNIMPLEMENTED, "the method takes exactly one message"),
        (message(RAW_REQUEST)[:-1], INVALID_ARGUMENT, "the request ended inside a message"),
        (message(RAW_REQUEST)[:5], INVALID_ARGUMENT, "the request ended inside a message"),
        (b"\0\0\0", INVALID_ARGUMENT, "the request ended inside a message"),
    ],
    ids=["none", "two", "one and a byte", "one less a byte", "a prefix", "half a prefix"],
)
def test_messages_when_there_is_not_exactly_one_then_the_call_is_refused(
    besieged: Besieged, method: str, body: bytes, status: int, text: str
) -> None:
    answer = _answer_to(besieged, open_call(1, method), data(1, body, end=True))
    assert (answer.status, answer.text) == (status, text)
    one_by_one = [data(1, body[at : at + 1]) for at in range(len(body))]
    answer = _answer_to(besieged, open_call(1, method), *one_by_one, data(1, b"", end=True))
    assert (answer.status, answer.text) == (status, text)


def test_a_call_when_its_headers_end_it_then_it_has_no_message(besieged: Besieged) -> None:
    assert _answer_to(besieged, open_call(1, end=True)).status == UNIMPLEMENTED


def test_a_call_when_trailers_end_it_then_it_is_served(besieged: Besieged) -> None:
    trailers = frame(HEADERS, END_HEADERS | END_STREAM, 1, header_block([("x-end", "1")]))
    body = data(1, message(RAW_REQUEST))
    assert _is_served(_answer_to(besieged, open_call(1), body, trailers))


@pytest.mark.parametrize("timeout", ["", "1", "m", "1x", "-1m", "123456789m", "1 m", "0x1m", "1mm"])
def test_a_deadline_when_it_is_malformed_then_the_call_is_refused(
    besieged: Besieged, timeout: str
) -> None:
    answer = _answer_to(besieged, unary(1, RAW_REQUEST, grpc_timeout=timeout))
    assert (answer.status, answer.text) == (INVALID_ARGUMENT, "grpc-timeout is malformed")


@pytest.mark.parametrize("timeout", ["0n", "0H", "00000000m"])
def test_a_deadline_when_it_has_passed_on_arrival_then_nothing_is_decided(
    besieged: Besieged, timeout: str
) -> None:
    answer = _answer_to(besieged, unary(1, RAW_REQUEST, grpc_timeout=timeout))
    assert answer.status == DEADLINE_EXCEEDED
    assert answer.text == "the deadline has passed"
    assert not answer.body


def test_a_deadline_when_it_passes_while_the_body_is_awaited_then_the_call_is_over(
    besieged: Besieged,
) -> None:
    answer = _answer_to(besieged, open_call(1, grpc_timeout="20m"))
    assert (answer.status, answer.text) == (DEADLINE_EXCEEDED, "the deadline has passed")


@pytest.mark.parametrize("timeout", ["99999999H", "99999999S", "1M", "09000000u"])
def test_a_deadline_when_it_is_far_away_then_the_call_is_served(
    besieged: Besieged, timeout: str
) -> None:
    assert _is_served(_answer_to(besieged, unary(1, RAW_REQUEST, grpc_timeout=timeout)))


def test_refused_calls_when_their_bodies_come_with_them_then_the_window_is_given_back(
    besieged: Besieged, neighbour: Neighbour
) -> None:
    with besieged.dial() as client:
        client.send(greeting())
        refused_before = besieged.count("calls_refused")
        stream, refused_bytes = 1, 0
        while refused_bytes < 3 << 20:  # three times the window of the connection
            # Held calls take the connection's share; this one is refused with all its bytes.
            held = b"".join(open_call(number) for number in range(stream, stream + 10, 2))
            stream += 10
            body = data(stream, bytes(30_000), end=True)
            assert client.send(held, open_call(stream), body), client.goaway
            answer = client.answer(stream)
            assert answer.is_over, client.goaway
            if answer.reset_code == REFUSED_STREAM:
                refused_bytes += 30_000
            stream += 2
        assert client.goaway is None
    assert besieged.count("calls_refused") > refused_before


def test_streams_when_there_is_no_room_for_another_then_it_is_refused_and_the_others_go_on(
    besieged: Besieged,
) -> None:
    one = message(pb.DecideStreamRequest(tag=9, request=REQUEST).SerializeToString())
    clients = [besieged.dial() for _ in range(3)]
    for client in clients:
        client.send(greeting(), open_call(1, "DecideStream"), data(1, one))
        while 1 not in client.answers:
            assert client.read()
    for client in clients:
        client.send(data(1, one, end=True))
    statuses = sorted(client.answer(1).status or 0 for client in clients)
    assert statuses == [OK, OK, RESOURCE_EXHAUSTED]
    for client in clients:
        client.close()
