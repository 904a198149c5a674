"""The compiled wire answers with the bytes of google.protobuf and the Python port, to any bytes."""

import asyncio
import sys
from collections import Counter
from typing import Any, Final

import numpy as np
import pytest

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1.identity_pb2 import Identity
from tests.cases import Change, Decide, World
from tests.cases.names import ACCOUNTS, PROVIDERS
from tests.hotpath.wire.messages import Spoiler, to_report, to_request
from tests.hotpath.wire.pair import Pair, Refused

SEED: Final = 20_261_121
WORLDS: Final = 12
MESSAGES: Final = 2_000
LIMITED_WORLDS: Final = 6
TRADER: Final = "spiffe://riskgate/trader/desk"
CAMPAIGN_WORLDS: Final = 100
CAMPAIGN_MESSAGES: Final = 10_000
# Events of the random world that a batch may collect.
_BATCH_ITEMS_MAX: Final = 12
_SPOILT_SHARES: Final = (0.0, 0.15, 0.9)


class Caller:
    """Sends the requests of one random world to a pair of engines.

    Args:
        seed: Of the world and of everything else that is drawn.
        spoilt_share: How many messages are damaged.
        monkeypatch: Sets the clock of the Python port.

    Attributes:
        outcomes: How often each method ended how.
    """

    def __init__(self, seed: int, spoilt_share: float, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = World(seed)
        self.pair = Pair(self.world, monkeypatch)
        self._rng = np.random.default_rng(seed)
        self._spoiler = Spoiler(self._rng)
        self._spoilt_share = spoilt_share
        self._batch: list[Any] = []
        self.outcomes: Counter[str] = Counter()

    async def run(self, messages: int) -> None:
        """Send that many messages, changes of the world between them."""
        waiting = self.world.initial_changes()[::-1]
        sent = 0
        while sent < messages:
            event = waiting.pop() if waiting else self.world.next_event()
            if isinstance(event, Change):
                self.pair.change(event)
                continue
            sent += 1
            if isinstance(event, Decide):
                await self._ask(event)
            else:
                message = pb.ReportExecutionRequest(report=to_report(event.row))
                raw = self._bytes_of(message)
                self._note("report", await self.pair.report(raw, event.reading_ns))
            self.world.sequence = int(self.pair.plain.state.engine["sequence"][0])
            if sent % 500 == 0:
                self.pair.compare_state()
        self.pair.compare_state()
        self.pair.compare_counts()

    async def _ask(self, event: Decide) -> None:
        request, received_ns = to_request(event.row), event.reading_ns
        if self._draw() < 0.02:
            # Around the present version, so that some have to wait.
            version = int(self.pair.plain.state.engine["state_version"][0])
            request.min_state_version = max(0, version + int(self._rng.integers(-1, 3)))
        decided_ns = received_ns + int(self._rng.integers(-1_000, 20_000_000_000))
        way = self._draw()
        if way < 0.5:
            raw = self._bytes_of(request)
            self._note("decide", await self.pair.decide(raw, received_ns, decided_ns))
        elif way < 0.7:
            tag = int(self._rng.integers(0, 3)) * 2**62
            raw = self._bytes_of(pb.DecideStreamRequest(tag=tag, request=request))
            self.pair.is_ready = self._draw() < 0.98
            self._note("stream", await self.pair.stream_item(raw, received_ns, decided_ns))
            self.pair.is_ready = True
        else:
            self._batch.append(request)
            if len(self._batch) > self._rng.integers(0, _BATCH_ITEMS_MAX):
                await self._send_batch(received_ns, decided_ns)

    async def _send_batch(self, received_ns: int, decided_ns: int) -> None:
        together = self._draw() < 0.5
        message = pb.DecideBatchRequest(requests=self._batch, all_or_none=together)
        self._batch = []
        if self._draw() < self._spoilt_share:
            # Damage inside one item leaves the others whole.
            raw = b"".join(
                b"\x0a" + _length(item) + item
                for item in (self._bytes_of(request) for request in message.requests)
            ) + (b"\x10\x01" if together else b"")
        else:
            raw = self._bytes_of(message)
        self._note("batch", await self.pair.batch(raw, received_ns, decided_ns))

    def _bytes_of(self, message: Any) -> bytes:
        raw: bytes = message.SerializeToString()
        return self._spoiler.spoil(raw) if self._draw() < self._spoilt_share else raw

    def _draw(self) -> float:
        return float(self._rng.random())

    def _note(self, method: str, outcome: bytes | Refused) -> None:
        end = f"refused {outcome.code}" if isinstance(outcome, Refused) else "answered"
        self.outcomes[f"{method} {end}"] += 1


def _length(item: bytes) -> bytes:
    size, digits = len(item), bytearray()
    while size > 127:
        digits.append(size & 127 | 128)
        size >>= 7
    return bytes([*digits, size])


def run_world(
    seed: int, messages: int, spoilt_share: float, monkeypatch: pytest.MonkeyPatch
) -> Counter[str]:
    """Run one world; return how the calls ended."""
    caller = Caller(seed, spoilt_share, monkeypatch)
    try:
        asyncio.run(caller.run(messages))
    except AssertionError as error:
        error.add_note(f"world {seed}, spoilt {spoilt_share}")
        raise
    return caller.outcomes


def _check_reached(outcomes: Counter[str]) -> None:
    for method in ("decide", "stream", "batch", "report"):
        assert outcomes[f"{method} answered"], outcomes
    for code in (3, 6, 9):
        assert outcomes[f"decide refused {code}"], outcomes
    assert outcomes["batch refused 3"], outcomes
    assert outcomes["report refused 5"], outcomes


@pytest.mark.timeout(600)
def test_the_wire_and_the_python_port_give_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes: Counter[str] = Counter()
    for number in range(WORLDS):
        share = _SPOILT_SHARES[number % len(_SPOILT_SHARES)]
        outcomes += run_world(SEED + number, MESSAGES, share, monkeypatch)
    sys.stdout.write(f"seed {SEED}: {outcomes.total():,} calls agree: {dict(outcomes)}\n")
    _check_reached(outcomes)


def limit_caller(caller: Caller) -> None:
    """Let the requests come from a trader that may use most accounts and providers, not all."""
    caller.pair.grants.put(
        Identity(
            uri=TRADER,
            accounts=[holder.name for holder in ACCOUNTS[1:]],
            providers=sorted({name for name, *_ in PROVIDERS[:-1]}),
            calls_per_second=1_000_000,
            burst=1_000_000,
        )
    )
    caller.pair.grant = caller.pair.grants.row_for(TRADER, 0, 1)


@pytest.mark.timeout(600)
def test_the_wire_and_the_python_port_deny_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes: Counter[str] = Counter()
    for number in range(LIMITED_WORLDS):
        caller = Caller(SEED + number, _SPOILT_SHARES[number % 3], monkeypatch)
        limit_caller(caller)
        asyncio.run(caller.run(MESSAGES))
        outcomes += caller.outcomes
        assert caller.pair.grants.denials(), "somebody else's was asked for"
    for method in ("decide", "batch", "report"):
        assert outcomes[f"{method} refused 7"], outcomes
        assert outcomes[f"{method} answered"], outcomes


@pytest.mark.campaign
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("spoilt_share", [0.0, 0.9], ids=["sound", "spoilt"])
def test_the_wire_and_the_python_port_agree_on_a_million_messages(
    spoilt_share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes: Counter[str] = Counter()
    for seed in range(SEED + 1_000, SEED + 1_000 + CAMPAIGN_WORLDS):
        outcomes += run_world(seed, CAMPAIGN_MESSAGES, spoilt_share, monkeypatch)
    sys.stdout.write(f"{outcomes.total():,} calls agree: {dict(outcomes)}\n")
    _check_reached(outcomes)
