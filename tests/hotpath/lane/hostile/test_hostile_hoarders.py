"""Clients that take as much as they can get and keep it."""

import pytest

from tests.hotpath.lane.hostile.besieged import RAW_REQUEST, Besieged, Neighbour
from tests.hotpath.lane.raw_http2 import (
    ACK,
    SETTINGS,
    RawClient,
    data,
    frame,
    greeting,
    message,
    open_call,
)

DEADLINE_EXCEEDED = 4
RESOURCE_EXHAUSTED = 8
PROTOCOL_ERROR = 1
REFUSED_STREAM = 7
STREAMS_MAX = 100
ATTACKERS = 12
STREAMS = 1_000


def hoard(besieged: Besieged, method: str, part: bytes) -> list[RawClient]:
    """Open many calls on many connections and finish none."""
    attackers = []
    for _ in range(ATTACKERS):
        attacker = besieged.dial()
        attacker.send(greeting())
        for number in range(STREAMS):
            body = data(2 * number + 1, part) if part else b""
            attacker.send(open_call(2 * number + 1, method), body)
        attackers.append(attacker)
    return attackers


@pytest.mark.parametrize("method", ["Decide", "DecideBatch", "DecideStream", "ReportExecution"])
@pytest.mark.parametrize("part", [b"", message(RAW_REQUEST)[:3], message(RAW_REQUEST)[:9]])
def test_unfinished_calls_when_opened_by_the_thousand_then_others_are_served_and_all_is_freed(
    besieged: Besieged, neighbour: Neighbour, method: str, part: bytes
) -> None:
    endless = method == "DecideStream" and not part  # no request has begun: it may stay for ever
    attackers = hoard(besieged, method, part)
    before = neighbour.answers
    besieged.wait_until(lambda: neighbour.answers > before + 20)
    late = 0
    for attacker in attackers:
        streams = range(1 + 2 * (STREAMS_MAX if endless else 0), 2 * STREAMS, 2)
        answers = [attacker.answer(stream) for stream in streams]
        answered = [one for one in answers if one.reset_code != REFUSED_STREAM]
        assert {one.status for one in answered} <= {DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED}
        late += sum(one.status == DEADLINE_EXCEEDED for one in answered)
        assert all(one.is_over for one in answers)
        assert not attacker.is_closed
    assert late > 0 or endless
    if not endless:
        besieged.wait_until(lambda: besieged.count("calls_now") <= 1)  # the neighbour's own
    for attacker in attackers:
        attacker.close()


def test_too_many_calls_when_the_client_has_agreed_to_the_limit_then_it_is_cut(
    besieged: Besieged,
) -> None:
    with besieged.dial() as client:
        client.send(greeting(), frame(SETTINGS, ACK))
        for number in range(STREAMS_MAX + 1):
            client.send(open_call(2 * number + 1))
        client.read_to_end()
        assert client.goaway is not None
        assert client.goaway[1] == PROTOCOL_ERROR


def test_a_refused_call_when_its_body_comes_all_the_same_then_the_connection_stays_usable(
    besieged: Besieged,
) -> None:
    with besieged.dial() as client:
        client.send(greeting())
        for number in range(STREAMS_MAX):
            client.send(open_call(2 * number + 1))
        for number in range(STREAMS_MAX, STREAMS_MAX + 100):  # more than the connection's window
            stream = 2 * number + 1
            assert client.send(open_call(stream), data(stream, bytes(32_000), end=True))
            assert client.answer(stream).reset_code == REFUSED_STREAM
        assert client.goaway is None
