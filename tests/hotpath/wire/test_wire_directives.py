"""Directives in answers and their acknowledgements: the same bytes from both ports."""

import asyncio
from typing import Any, Final

import pytest

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import types_pb2 as types
from server.hotpath.change_kinds import BREAKER
from server.hotpath.layout import SECOND_NS
from server.hotpath.wire.directives import DIRECTIVE_KINDS
from tests.cases import Change, World
from tests.hotpath.wire.messages import field, varint
from tests.hotpath.wire.pair import Pair, Refused

NOW_NS: Final = 1_770_000_000 * SECOND_NS
INVALID, NOT_FOUND, EXISTS = 3, 5, 6
_LENGTH: Final = 2


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Pair:
    world = World(4_242)
    made = Pair(world, monkeypatch)
    for event in world.initial_changes():
        # Its own breakers would trip as they like.
        if isinstance(event, Change) and event.kind != BREAKER:
            made.change(event)
    return made


def request(**fields: Any) -> pb.DecideRequest:
    values: dict[str, Any] = {
        "account_id": "usd", "provider_id": "alpha", "provider_type": 1, "symbol": "EURUSD",
        "side": 1, "entry_price": 1.1, "stop_loss": 1.09, "atr": 0.001, "volatility_index": 50.0,
    }  # fmt: skip
    return pb.DecideRequest(**{**values, **fields})


def decide(pair: Pair, **fields: Any) -> pb.DecideResponse:
    raw = request(**fields).SerializeToString()
    answer = asyncio.run(pair.decide(raw, NOW_NS, NOW_NS + 9_000))
    assert isinstance(answer, bytes)
    return pb.DecideResponse.FromString(answer)


def acknowledge(pair: Pair, raw: bytes = b"", **fields: Any) -> Any:
    raw = raw or pb.AckDirectiveRequest(**fields).SerializeToString()
    answer = asyncio.run(pair.acknowledge(raw, NOW_NS + 5))
    pair.compare_state()
    if isinstance(answer, Refused):
        return answer
    return pb.AckDirectiveResponse.FromString(answer).directive


def test_an_answer_carries_what_nobody_has_acknowledged_newest_first(pair: Pair) -> None:
    for seconds in range(10):
        pair.trip("usd", NOW_NS + seconds * SECOND_NS)
    directives = decide(pair).directives
    assert [one.directive_id for one in directives] == [10, 9, 8, 7, 6, 5, 4, 3]
    first = directives[0]
    assert first.kind == types.DIRECTIVE_KIND_CLOSE
    assert (first.account_id, first.symbol) == ("usd", "")
    assert (first.breaker_id, first.breaker_name) == ("17", "max_drawdown_10_percent")
    assert first.issued_at.ToNanoseconds() == NOW_NS + 9 * SECOND_NS
    assert not first.HasField("outcome")


def test_an_account_without_directives_and_an_unknown_one_get_none(pair: Pair) -> None:
    pair.trip("usd", NOW_NS)
    assert not decide(pair, account_id="eur").directives
    assert not decide(pair, account_id="nobody").directives
    assert decide(pair, account_id="usd", symbol="XXX").directives


def test_a_repeated_answer_carries_the_directives_of_the_first_time(pair: Pair) -> None:
    pair.trip("usd", NOW_NS)
    first = decide(pair, client_order_id="o")
    acknowledge(pair, directive_id=1, success=True)
    assert decide(pair, client_order_id="o") == first
    assert len(first.directives) == 1
    assert not decide(pair, client_order_id="p").directives


@pytest.mark.parametrize("together", [False, True])
def test_each_answer_of_a_batch_carries_them(pair: Pair, together: bool) -> None:
    pair.trip("usd", NOW_NS)
    message = pb.DecideBatchRequest(requests=[request(), request()], all_or_none=together)
    answer = asyncio.run(pair.batch(message.SerializeToString(), NOW_NS, NOW_NS))
    assert isinstance(answer, bytes)
    results = pb.DecideBatchResponse.FromString(answer).results
    assert [len(one.response.directives) for one in results] == [1, 1]


def test_every_action_has_its_directive() -> None:
    for name, action in types.BreakerAction.items():
        wanted = name.replace("BREAKER_ACTION", "DIRECTIVE_KIND")
        assert DIRECTIVE_KINDS[action] == types.DirectiveKind.Value(wanted)


def test_an_acknowledgement_answers_the_directive_with_its_outcome(pair: Pair) -> None:
    pair.trip("usd", NOW_NS)
    done = acknowledge(pair, directive_id=1, success=True, detail="closed 0.5 EURUSD")
    assert done.outcome.success
    assert done.outcome.detail == "closed 0.5 EURUSD"
    assert done.outcome.acknowledged_at.ToNanoseconds() == NOW_NS + 5
    assert not decide(pair).directives


def test_saying_it_again_is_answered_with_what_was_said_first(pair: Pair) -> None:
    pair.trip("usd", NOW_NS)
    first = acknowledge(pair, directive_id=1, detail="the broker is away")
    assert not first.outcome.success
    assert acknowledge(pair, directive_id=1, detail="something else") == first
    other = acknowledge(pair, directive_id=1, success=True)
    assert other == Refused(
        EXISTS, "directive_id", "directive_id: was acknowledged with another outcome"
    )


@pytest.mark.parametrize("directive_id", [2, 1 << 62, 99])
def test_a_directive_that_was_never_made_is_not_found(pair: Pair, directive_id: int) -> None:
    pair.trip("usd", NOW_NS)
    found = acknowledge(pair, directive_id=directive_id, success=True)
    assert found == Refused(NOT_FOUND, "directive_id", "directive_id: no such directive")


def test_a_directive_of_another_account_than_the_one_named_is_not_found(pair: Pair) -> None:
    pair.trip("usd", NOW_NS)
    assert acknowledge(pair, directive_id=1, account_id="eur").code == NOT_FOUND
    assert acknowledge(pair, directive_id=1, account_id="usd").account_id == "usd"


@pytest.mark.parametrize(
    ("raw", "named", "text"),
    [
        (b"\x10\x01", "directive_id", "is required"),
        (field(1, 0, varint(1 << 63)), "directive_id", "is out of range"),
        (b"\x08\x01" + field(3, _LENGTH, b"x" * 257), "detail", "must be at most 256 bytes"),
        (b"\x08\x01" + field(3, _LENGTH, b"a\0b"), "detail", "must not contain a zero byte"),
        (b"\x08\x01" + field(3, _LENGTH, b"\xff"), "detail", "is not valid UTF-8"),
        (b"\x08\x01" + field(4, _LENGTH, b"\xff"), "account_id", "is not valid UTF-8"),
        (b"\x08\x01" + field(4, _LENGTH, b"x" * 65), "account_id", "must be at most 64 bytes"),
    ],
)
def test_a_wrong_field_is_named(pair: Pair, raw: bytes, named: str, text: str) -> None:
    pair.trip("usd", NOW_NS)
    assert acknowledge(pair, raw) == Refused(INVALID, named, f"{named}: {text}")


def test_an_odd_message_is_taken_or_refused_as_google_protobuf_does(pair: Pair) -> None:
    for _ in range(3):
        pair.trip("usd", NOW_NS)
    whole = pb.AckDirectiveRequest(
        directive_id=2, success=True, detail="é" * 128, account_id="usd"
    ).SerializeToString()
    for length in range(1, len(whole)):
        acknowledge(pair, whole[:length])
    for extra in (b"\x0a\x00", b"\x00\x01", b"\x0f", b"\x1a\x02\xff\xfe", b"\x7b\x7c", b"\x7b\x74"):
        acknowledge(pair, whole + extra)
        acknowledge(pair, extra + whole)
