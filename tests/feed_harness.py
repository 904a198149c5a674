"""A feed for tests: what the control process writes, who receives it, and what is no change."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from riskgate.v1 import state_pb2
from server import feed
from server.changes import conversion_rate_rows, heartbeat_rows, state_change
from server.entities import ConversionRate
from server.hotpath import layout
from server.loaders.activation_change import Activation
from server.security.feed_seal import FEED_KEY_FILE, FeedSeal

SEAL = FeedSeal(bytes(range(32)))
RATE = state_pb2.CHANGE_KIND_CONVERSION_RATE
HEARTBEAT = state_pb2.CHANGE_KIND_HEARTBEAT


class Receiver:
    """Keeps what an engine would have been given."""

    def __init__(self) -> None:
        self.changes: list[state_pb2.StateChange] = []
        self.timezones: list[tuple[int, str]] = []
        self.activations: list[Activation] = []
        self.identities: list[tuple[str, bytes]] = []
        # Versions that the state was given: of changes that follow, and at the end of a load.
        self.numbered: list[int] = []
        self.lock = threading.Lock()

    def put(self, change: bytes, *, is_partial: bool = False) -> bool:
        message = state_pb2.StateChange.FromString(change)
        with self.lock:
            self.changes.append(message)
            if message.version and not is_partial:
                self.numbered.append(message.version)
        return True

    def complete(self, version: int) -> bool:
        with self.lock:
            self.numbered.append(version)
        return True

    def add_timezone(self, timezone: str) -> None:
        self.timezones.append((len(self.changes), timezone))

    def put_identity(self, uri: str, rows: bytes) -> None:
        self.identities.append((uri, rows))

    def activate(self, activation: Activation) -> None:
        self.activations.append(activation)

    def versions(self) -> list[int]:
        with self.lock:
            return [change.version for change in self.changes if change.version]

    def beats(self) -> int:
        with self.lock:
            return sum(change.kind == HEARTBEAT for change in self.changes)


@dataclass
class Publisher:
    """Writes what the control process writes, step by step."""

    client: Any
    generation: int = 1
    version: int = 0
    entities: dict[str, bytes] = field(default_factory=dict)
    revisions: Counter[str] = field(default_factory=Counter)

    def rebuild(self) -> None:
        self.generation += 1
        pipeline = self.client.pipeline()
        pipeline.delete(feed.STATE_KEY)
        if self.entities:
            pipeline.hset(feed.STATE_KEY, mapping=self.entities)
        pipeline.set(feed.GENERATION_KEY, self.generation)
        pipeline.set(feed.VERSION_KEY, self.version)
        pipeline.set(feed.LAYOUT_KEY, layout.LAYOUT_VERSION)
        pipeline.execute()

    def change(self, kind: Any, key: str, rows: bytes) -> bytes:
        self.version += 1
        name = feed.state_field(kind, key)
        self.revisions[name] += 1
        message = state_change(kind, key, rows, version=self.version)
        change = sealed(message, self.revisions[name])
        self.entities[name] = change
        return change

    def publish(self, kind: Any = RATE, key: str = "EUR/USD", rows: bytes | None = None) -> None:
        change = self.change(kind, key, rate_rows() if rows is None else rows)
        self.client.hset(feed.STATE_KEY, feed.state_field(kind, key), change)
        self.add(self.version, change)
        self.client.set(feed.VERSION_KEY, self.version)

    def add(self, version: int, change: bytes, generation: int | None = None) -> None:
        entry = {
            feed.FIELD_GENERATION: self.generation if generation is None else generation,
            feed.FIELD_VERSION: version,
            feed.FIELD_CHANGE: change,
        }
        self.client.xadd(feed.STREAM_KEY, entry)

    def beat(self) -> None:
        rows = heartbeat_rows(self.version, record_away=False)
        self.add(0, sealed(state_change(HEARTBEAT, "publisher", rows)))


def sealed(message: state_pb2.StateChange, revision: int = 0) -> bytes:
    """Return a change as control would publish it."""
    message.revision = revision
    return SEAL.seal(message.SerializeToString())


def give_feed_key(data_dir: Path) -> None:
    """Let the engine of a data directory believe what is sealed here."""
    keys = data_dir / "keys"
    keys.mkdir(mode=0o700, parents=True, exist_ok=True)
    (keys / FEED_KEY_FILE).write_text(bytes(range(32)).hex())


def account_rows(timezone: str) -> bytes:
    row = np.zeros(1, layout.CHANGE_ACCOUNT)
    row["account_id"][0] = layout.words("A")
    row["timezone"][0] = layout.words(timezone, layout.SYMBOL_WORDS)
    return row.tobytes()


def instrument_rows(timezone: str) -> bytes:
    """Return an instrument with trading hours in a time zone; empty: without."""
    row = np.zeros(1, layout.CHANGE_INSTRUMENT)
    row["symbol"][0] = layout.words("EURUSD", layout.SYMBOL_WORDS)
    row["hours_timezone"][0] = layout.words(timezone, layout.SYMBOL_WORDS)
    return row.tobytes()


def wait(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def wait_for_beat(publisher: Publisher, receiver: Receiver) -> None:
    """Beat as the publisher does, again and again, until one beat arrives."""
    before = receiver.beats()
    deadline = time.monotonic() + 10.0
    while receiver.beats() == before:
        assert time.monotonic() < deadline, "no heartbeat arrived"
        publisher.beat()
        time.sleep(0.1)


def rate_rows() -> bytes:
    return conversion_rate_rows(
        ConversionRate(
            from_currency="EUR", to_currency="USD", rate=Decimal("1.1"), as_of=datetime.now(UTC)
        )
    )


def malformed() -> dict[str, bytes]:
    good = state_change(RATE, "EUR/USD", rate_rows())

    def altered(**fields: Any) -> bytes:
        message = state_pb2.StateChange.FromString(good.SerializeToString())
        for name, value in fields.items():
            setattr(message, name, value)
        return sealed(message)

    return {
        "random": SEAL.seal(b"\xff\xfe\xfd"),
        "layout": altered(layout_version=layout.LAYOUT_VERSION + 1),
        "short row": altered(rows=rate_rows()[:-1]),
        "two rows": altered(rows=rate_rows() * 2),
        "large": altered(rows=rate_rows() * 3_000),
        "kind 0": altered(kind=0),
        "kind 99": altered(kind=99),
        "clock": altered(kind=state_pb2.CHANGE_KIND_CLOCK, rows=bytes(8)),
        "session": altered(kind=state_pb2.CHANGE_KIND_SESSION, rows=bytes(24)),
        "window": altered(kind=state_pb2.CHANGE_KIND_WINDOW, rows=bytes(80)),
        "long key": altered(key="x" * 161),
        "version": altered(version=2**64 - 1),
    }
