"""Clients that send what costs them little and could cost the server much."""

import struct

import pytest

from tests.hotpath.lane.hostile.besieged import (
    RAW_REQUEST,
    Besieged,
    Neighbour,
    resident_bytes,
)
from tests.hotpath.lane.raw_http2 import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    GOAWAY,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    PING,
    PRIORITY,
    PUSH_PROMISE,
    SETTINGS,
    RawClient,
    data,
    frame,
    greeting,
    header_block,
    message,
    open_call,
    request_headers,
    reset,
    settings,
    unary,
    window_update,
)

OK, RESOURCE_EXHAUSTED = 0, 8
UNKNOWN_KIND = 0xCC
GROWTH_BYTES_MAX = 48 << 20
PIECE_BYTES = 1 << 17


def _flood(client: RawClient, raw: bytes) -> bool:
    """Send piece by piece; tell whether the server took all of it."""
    return all(client.send(raw[at : at + PIECE_BYTES]) for at in range(0, len(raw), PIECE_BYTES))


def _resets(count: int) -> bytes:
    return b"".join(open_call(stream) + reset(stream) for stream in range(1, 2 * count, 2))


def _resets_of_whole_calls(count: int) -> bytes:
    return b"".join(unary(stream, RAW_REQUEST) + reset(stream) for stream in range(1, 2 * count, 2))


def _broken_headers(count: int) -> bytes:
    block = header_block([*request_headers(), ("Upper-Case", "is not allowed")])
    return b"".join(frame(HEADERS, END_HEADERS, stream, block) for stream in range(1, 2 * count, 2))


CUT = {
    "rapid reset": _resets(20_000),
    "rapid reset of whole calls": _resets_of_whole_calls(20_000),
    "many settings in one frame": settings(*[(0xFF, 1)] * 2_000),
    "continuations": frame(HEADERS, 0, 1, b"") + frame(CONTINUATION, 0, 1, b"") * 50_000,
    "a push promise": frame(PUSH_PROMISE, END_HEADERS, 1, struct.pack(">I", 2)),
    "data on the connection": frame(DATA, 0, 0, b"x"),
    "a window of nothing": window_update(0, 0),
    "a window beyond all bounds": window_update(0, (1 << 31) - 1) * 2,
    "an even stream": frame(HEADERS, END_HEADERS, 2, header_block(request_headers())),
    "an oversize frame": frame(DATA, 0, 1, bytes(16_385)),
    "broken compression": frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff\xff\xff"),
    "a short settings frame": frame(SETTINGS, 0, 0, b"12345"),
}


@pytest.mark.parametrize("kind", CUT)
def test_a_flood_when_it_breaks_the_rules_then_its_connection_is_cut(
    besieged: Besieged, kind: str
) -> None:
    resident_before = resident_bytes()
    with besieged.dial() as client:
        _flood(client, greeting() + CUT[kind])
        client.read_to_end()
    assert resident_bytes() - resident_before < GROWTH_BYTES_MAX


BORNE = {
    # Cut when more of them wait for an answer than nghttp2 allows, which is a matter of luck.
    "pings": frame(PING, payload=bytes(8)) * 50_000,
    "settings": settings((INITIAL_WINDOW_SIZE, 65_535)) * 50_000,
    "empty data": frame(DATA, 0, 1) * 100_000,
    "windows": window_update(0, 1) * 50_000 + window_update(1, 1) * 50_000,
    "priorities": b"".join(
        frame(PRIORITY, 0, stream, struct.pack(">IB", 0, 5)) for stream in range(3, 200_001, 2)
    ),
    "unknown frames": frame(UNKNOWN_KIND, 0xFF, 1, b"what is this?") * 50_000,
    "broken headers": _broken_headers(10_000),
}


@pytest.mark.parametrize("kind", BORNE)
def test_a_flood_when_it_keeps_to_the_rules_then_it_costs_nobody_else_anything(
    besieged: Besieged, neighbour: Neighbour, kind: str
) -> None:
    resident_before = resident_bytes()
    before = neighbour.answers
    with besieged.dial() as client:
        client.send(greeting(), open_call(1))
        _flood(client, BORNE[kind])
        client.send(frame(PING, payload=bytes(8)))
        while client.acks == 0 and client.read():
            pass
        assert client.acks >= 1 or client.is_closed
    besieged.wait_until(lambda: neighbour.answers > before + 5)
    assert resident_bytes() - resident_before < GROWTH_BYTES_MAX


def test_headers_when_they_swell_by_compression_then_the_call_is_refused(
    besieged: Besieged,
) -> None:
    name_and_value = b"\x40\x01x\x7f" + bytes((0xA1, 0x1E)) + b"v" * 4_000  # into the table
    swollen = name_and_value + b"\xbe" * 12_000  # 48 MB, once unpacked
    block = header_block(request_headers()) + swollen
    resident_before = resident_bytes()
    for _ in range(5):
        with besieged.dial() as client:
            client.send(greeting())
            client.send(
                frame(HEADERS, 0, 1, block[:16_000]),
                frame(CONTINUATION, END_HEADERS, 1, block[16_000:]),
                data(1, message(RAW_REQUEST), end=True),
            )
            answer = client.answer(1)
            assert answer.status == RESOURCE_EXHAUSTED or client.is_closed
    assert resident_bytes() - resident_before < GROWTH_BYTES_MAX


def test_a_goaway_when_the_client_sends_it_then_its_calls_are_still_answered(
    besieged: Besieged,
) -> None:
    with besieged.dial() as client:
        farewell = frame(GOAWAY, payload=struct.pack(">II", 0, 0))
        client.send(greeting(), unary(1, RAW_REQUEST), farewell)
        assert client.answer(1).status == OK
        client.read_to_end()
