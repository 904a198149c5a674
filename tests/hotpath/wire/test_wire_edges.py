"""The edges of protobuf and of the port, one by one: both sides refuse or take the same bytes."""

import asyncio
from collections.abc import Iterator
from typing import Any, Final

import pytest

from riskgate.v1 import decision_pb2 as pb
from server.hotpath.layout import SECOND_NS
from tests.cases import Change, World
from tests.hotpath.wire.messages import field, varint
from tests.hotpath.wire.pair import Pair, Refused

SEED: Final = 4_242
NOW_NS: Final = 1_770_000_000 * SECOND_NS
_VARINT, _FIXED64, _LENGTH, _GROUP, _GROUP_END, _FIXED32 = range(6)
INVALID_ARGUMENT, RESOURCE_EXHAUSTED = 3, 8


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Pair:
    world = World(SEED)
    made = Pair(world, monkeypatch)
    for event in world.initial_changes():
        if isinstance(event, Change):
            made.change(event)
    return made


def request(**fields: Any) -> pb.DecideRequest:
    values: dict[str, Any] = {
        "account_id": "usd", "provider_id": "alpha", "provider_type": 1, "symbol": "EURUSD",
        "side": 1, "entry_price": 1.1, "stop_loss": 1.09, "atr": 0.001, "volatility_index": 50.0,
    }  # fmt: skip
    return pb.DecideRequest(**{**values, **fields})


def _odd_tags() -> Iterator[bytes]:
    for padding in range(6):
        yield varint(8 << 3, padding) + b"\x01"
        yield varint(1 << 3 | _LENGTH, padding) + b"\x01A"
        yield b"\x0a" + varint(1, padding) + b"A"
    for last in (0x0F, 0x10, 0x7F):
        yield b"\xc0\x80\x80\x80" + bytes([last, 1])
    for padding in range(12):
        yield b"\x40" + varint(1, padding)
        yield field(1_000, _VARINT, varint(1, padding))
        yield b"\x0a" + varint(1, padding) + b"A"
    for last in (0, 1, 2, 3, 0x7F):
        for tag in (b"\x40", b"\x78", b"\xd8\x01", b"\xc8\x3e"):
            yield tag + b"\xff" * 9 + bytes([last])
    yield b"\x0a\x81\x80\x80\x80\x10A"
    yield b"\x0a\xff\xff\xff\xff\x07A"


def _odd_fields() -> Iterator[bytes]:
    contents = {_VARINT: b"\x01", _FIXED64: bytes(8), _LENGTH: b"A", _FIXED32: bytes(4)}
    for number in (0, 1, 8, 11, 24, 31, 32, 1_000, 2**29 - 1):
        for wire_type in range(8):
            tag = varint(number << 3 | wire_type)
            end = tag[:0] if wire_type != _GROUP else varint(number << 3 | _GROUP_END)
            body = contents.get(wire_type, b"")
            yield tag + (varint(len(body)) if wire_type == _LENGTH else b"") + body + end
            yield field(5, _GROUP, b"") + tag + body + field(5, _GROUP_END, b"")


def _deep_groups() -> Iterator[bytes]:
    for depth in (97, 98, 99, 100, 101, 102):
        for number in (0, 1, 24, 1_000):
            start, end = varint(number << 3 | _GROUP), varint(number << 3 | _GROUP_END)
            groups = start * depth + end * depth
            yield groups
            yield field(24, _LENGTH, groups)
            yield field(11, _LENGTH, groups)
            yield field(1, _LENGTH, b"\xff") + groups


def _truncated() -> Iterator[bytes]:
    whole = request(client_order_id="order-1", exchange="Börse", explain=True)
    whole.sent_at.FromNanoseconds(NOW_NS)
    raw = whole.SerializeToString()
    yield from (raw[:length] for length in range(len(raw)))


def _texts() -> Iterator[bytes]:
    for number in (1, 2, 3, 4, 6, 7, 12, 13, 16, 17, 18, 22, 23):
        for size in (0, 1, 7, 8, 9, 15, 16, 31, 32, 33, 63, 64, 65, 1_000):
            for letter in ("a", "é", "訂", "🙂"):
                text = (letter.encode() * size)[:size]
                yield field(number, _LENGTH, text)
            for place in (0, size // 2, size - 1):
                if 0 <= place < size:
                    yield field(number, _LENGTH, b"x" * place + b"\0" + b"y" * (size - place - 1))
                    yield field(number, _LENGTH, b"x" * place + b"\xe9" + b"y" * (size - place - 1))
        yield field(number, _LENGTH, b"\xff") + field(number, _LENGTH, b"last one wins")
        yield field(number, _LENGTH, b"x" * 65) + field(number, _LENGTH, b"")


EDGES: Final = {
    "odd tags": _odd_tags,
    "odd fields": _odd_fields,
    "deep groups": _deep_groups,
    "truncated": _truncated,
    "texts": _texts,
}


@pytest.mark.parametrize("kind", EDGES)
def test_an_odd_message_is_taken_or_refused_as_google_protobuf_does(kind: str, pair: Pair) -> None:
    sound = request().SerializeToString()
    report = pb.ExecutionReport(
        report_id="r", account_id="usd", kind="REPORT_KIND_ACK"
    ).SerializeToString()

    async def send() -> None:
        for number, odd in enumerate(EDGES[kind]()):
            now = NOW_NS + number
            await pair.decide(sound + odd, now, now + 5)
            await pair.decide(odd + sound, now, now + 5)
            items = field(1, _LENGTH, sound) + field(1, _LENGTH, odd + sound)
            await pair.batch(items, now, now + 5)
            await pair.batch(field(2, _VARINT, b"\x01") + items + odd, now, now + 5)
            inner = field(2, _LENGTH, sound + odd)
            await pair.stream_item(field(1, _VARINT, b"\x07") + inner, now, now + 5)
            await pair.stream_item(field(1, _VARINT, b"\x07") + inner + odd, now, now + 5)
            await pair.report(field(1, _LENGTH, report + odd), now)
            await pair.report(odd + field(1, _LENGTH, report), now)

    asyncio.run(send())
    pair.compare_state()
    pair.compare_counts()


def test_a_batch_of_no_or_too_many_items_is_refused(pair: Pair) -> None:
    item = field(1, _LENGTH, request(dry_run=True).SerializeToString())

    async def send() -> list[bytes | Refused]:
        return [await pair.batch(item * count, NOW_NS, NOW_NS) for count in (0, 1_000, 1_001)]

    none, most, more = asyncio.run(send())
    expected = Refused(INVALID_ARGUMENT, "requests", "requests: must have 1 to 1000 items")
    assert none == more == expected
    assert isinstance(most, bytes)
    assert len(pb.DecideBatchResponse.FromString(most).results) == 1_000


def test_an_item_is_in_error_for_what_cannot_be_said_of_the_whole_batch(pair: Pair) -> None:
    replacing = request(replaces_client_order_id="old").SerializeToString()
    raw = field(1, _LENGTH, replacing) + field(1, _LENGTH, b"\xff") + field(2, _VARINT, b"\x01")
    answer = asyncio.run(pair.batch(raw, NOW_NS, NOW_NS))
    assert isinstance(answer, bytes)
    errors = [result.error for result in pb.DecideBatchResponse.FromString(answer).results]
    assert [error.field for error in errors] == ["replaces_client_order_id", "request"]


def test_a_message_that_is_too_large_is_refused_and_its_tag_given_back(pair: Pair) -> None:
    large = request().SerializeToString() + field(1_000, _LENGTH, bytes(70_000))
    refused = asyncio.run(pair.decide(large, NOW_NS, NOW_NS))
    assert refused == Refused(RESOURCE_EXHAUSTED, "", "the message is too large")
    for last in (b"", field(1, _LENGTH, b"9"), field(1, _VARINT, b"\x09"), b"\x00\x01"):
        raw = field(1, _VARINT, b"\x07") + field(2, _LENGTH, large) + last
        item = asyncio.run(pair.stream_item(raw, NOW_NS, NOW_NS))
        assert isinstance(item, bytes)
        assert pb.DecideStreamResponse.FromString(item).error.code == RESOURCE_EXHAUSTED


def test_an_answer_that_could_not_be_kept_is_not_given_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(SEED)
    world.capacity = world.capacity._replace(answer_bytes=4_000)
    pair = Pair(world, monkeypatch)
    for event in world.initial_changes():
        if isinstance(event, Change):
            pair.change(event)
    requests = [request(client_order_id=f"order-{n}", explain=True) for n in range(20)]
    raw = pb.DecideBatchRequest(requests=requests, all_or_none=True).SerializeToString()

    async def send() -> list[bytes | Refused]:
        await pair.batch(raw, NOW_NS, NOW_NS)
        again = [item.SerializeToString() for item in requests]
        return [await pair.decide(item, NOW_NS + 1, NOW_NS + 1) for item in again]

    answers = asyncio.run(send())
    gone = "client_order_id: was decided, but its answer could not be kept"
    assert isinstance(answers[0], bytes)
    assert answers[-1] == Refused(RESOURCE_EXHAUSTED, "client_order_id", gone)
    pair.compare_state()


def test_stored_answers_that_wrap_around_their_ring_are_given_again_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, ring_bytes = World(SEED), 4_000
    world.capacity = world.capacity._replace(answer_bytes=ring_bytes)
    pair = Pair(world, monkeypatch)
    for event in world.initial_changes():
        if isinstance(event, Change):
            pair.change(event)

    async def send(number: int) -> None:
        # Far apart, so that older answers may be forgotten.
        now = NOW_NS + number * 2 * world.idempotency_min_age_ns
        raw = request(client_order_id=f"order-{number}").SerializeToString()
        first = await pair.decide(raw, now, now + 5)
        assert isinstance(first, bytes)
        assert await pair.decide(raw, now + 1, now + 9) == first

    for number in range(60):
        asyncio.run(send(number))
    rows = pair.compiled.state.idempotency.rows
    ends = rows["answer_offset"] + rows["answer_bytes"]
    assert (ends > ring_bytes).any(), "no answer lies across the end of the ring"
    assert int(pair.wire["repeated"]) == 60
    pair.compare_state()
