"""Damaged sessions and damaged messages: answered or cut, never a crash, never a leak."""

import os
import random

import pytest

from tests.hotpath.lane.hostile.besieged import RAW_REQUEST, Besieged
from tests.hotpath.lane.hostile.mutation import (
    RAW_BATCH,
    RAW_ITEM,
    RAW_REPORT,
    damage_bytes,
    damage_session,
    good_sessions,
)
from tests.hotpath.lane.raw_http2 import (
    INITIAL_WINDOW_SIZE,
    WINDOW_BYTES_MAX,
    RawClient,
    greeting,
    unary,
    window_update,
)

SEED = int(os.environ.get("RISKGATE_FUZZ_SEED", "20260701"))
SHORT, LONG = 2_000, 100_000
LONG_MESSAGES = 1_000_000
OK, INVALID_ARGUMENT, RESOURCE_EXHAUSTED, FAILED_PRECONDITION = 0, 3, 8, 9
NOT_FOUND, UNIMPLEMENTED = 5, 12
EXPECTED = {
    *(OK, INVALID_ARGUMENT, NOT_FOUND, RESOURCE_EXHAUSTED, FAILED_PRECONDITION, UNIMPLEMENTED)
}
PIPELINED = 50
STREAM_MAX = 1 << 20


def _play(besieged: Besieged, session: bytes) -> RawClient:
    """Send a whole session, end it, and read whatever comes."""
    with besieged.dial() as client:
        if client.send(session):
            client.end()
        client.read_to_end()
        return client


def attack_with_sessions(besieged: Besieged, count: int) -> None:
    source = random.Random(SEED)
    sessions = good_sessions()
    for number in range(count):
        _play(besieged, damage_session(source, source.choice(sessions)))
        assert besieged.lane.is_running, f"seed {SEED}, session {number}"


def test_sessions_when_they_are_undamaged_then_their_calls_are_answered(
    besieged: Besieged,
) -> None:
    for session in good_sessions():
        client = _play(besieged, session)
        assert client.goaway is None
        assert OK in {answer.status for answer in client.answers.values()}


def test_sessions_when_damaged_then_nothing_crashes_and_nothing_is_left(
    besieged: Besieged,
) -> None:
    attack_with_sessions(besieged, SHORT)


@pytest.mark.campaign
def test_sessions_when_a_hundred_thousand_are_damaged_then_nothing_crashes(
    besieged: Besieged,
) -> None:
    attack_with_sessions(besieged, LONG)


def _attack_with_messages(besieged: Besieged, count: int) -> dict[int | None, int]:
    """Send damaged messages in good frames; every one must be answered with a status."""
    source = random.Random(SEED)
    kinds = [
        ("Decide", RAW_REQUEST),
        ("DecideBatch", RAW_BATCH),
        ("ReportExecution", RAW_REPORT),
        ("DecideStream", RAW_ITEM),
        ("/grpc.health.v1.Health/Check", b"\x0a\x03abc"),
    ]
    statuses: dict[int | None, int] = {}
    client, stream = _dial_widely(besieged), 1
    for _ in range(count // PIPELINED):
        if stream > STREAM_MAX:
            client.close()
            client, stream = _dial_widely(besieged), 1
        streams = range(stream, stream + 2 * PIPELINED, 2)
        stream += 2 * PIPELINED
        calls = []
        for number in streams:
            method, raw = source.choice(kinds)
            calls.append(unary(number, damage_bytes(source, raw), method))
        assert client.send(*calls)
        for number in streams:
            status = client.answer(number).status
            statuses[status] = statuses.get(status, 0) + 1
            del client.answers[number]
    client.close()
    return statuses


def _dial_widely(besieged: Besieged) -> RawClient:
    client = besieged.dial()
    client.send(greeting((INITIAL_WINDOW_SIZE, WINDOW_BYTES_MAX)))
    client.send(window_update(0, WINDOW_BYTES_MAX - 65_535))
    return client


def test_messages_when_damaged_then_each_is_answered_with_a_status(besieged: Besieged) -> None:
    statuses = _attack_with_messages(besieged, SHORT)
    assert sum(statuses.values()) == SHORT
    assert statuses.keys() <= EXPECTED
    assert min(statuses[OK], statuses[INVALID_ARGUMENT]) > SHORT // 20


@pytest.mark.campaign
def test_messages_when_a_million_are_damaged_then_each_is_answered_with_a_status(
    besieged: Besieged,
) -> None:
    statuses = _attack_with_messages(besieged, LONG_MESSAGES)
    assert sum(statuses.values()) == LONG_MESSAGES
    assert statuses.keys() <= EXPECTED
