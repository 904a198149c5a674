"""A decision port whose engine follows a real Redis, and judges what it finds there."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from server.engine import Engine
from server.hotpath.memory import Capacity
from server.loaders.activation_change import Activation
from server.loaders.calendar import Calendar
from server.loaders.model_source import ModelSource
from server.loaders.policy_loader import PolicyLoader
from server.loaders.proof_judge import ProofJudge
from server.loaders.redis_state import RedisStateLoader
from server.security.feed_seal import FeedSeal
from tests.decision_harness import Port, open_port

EPOCH = 7


class Receiver:
    """Hands everything that Redis holds to one engine, a policy only if its proof is good."""

    def __init__(self, port: Port, data_dir: Path) -> None:
        self._port = port
        source = ModelSource(data_dir)
        judge = ProofJudge(source.load_trust)
        self.policies = PolicyLoader(port.engine.state, port.intake.put, judge, source)

    def put(self, change: bytes, *, is_partial: bool = False) -> bool:
        return self._port.intake.put(change, is_partial=is_partial)

    def complete(self, version: int) -> bool:
        return self._port.intake.complete(version)

    def add_timezone(self, timezone: str) -> None:
        Calendar(self._port.intake.put).add_timezone(timezone)

    def activate(self, activation: Activation) -> None:
        self.policies.activate(activation)

    def put_identity(self, uri: str, rows: bytes) -> None:
        raise AssertionError(f"nobody was named here: {uri}, {len(rows)} bytes")


@contextmanager
def following(redis_url: str, data_dir: Path) -> Iterator[tuple[Port, RedisStateLoader]]:
    """Serve a port whose engine knows only what Redis tells it; also return who reads that."""
    sizes = {**dict.fromkeys(Capacity._fields, 64), "answer_bytes": 1 << 22}
    engine = Engine(Capacity(**sizes), epoch=EPOCH, started_at_ns=time.time_ns())
    seal = FeedSeal.load(data_dir / "keys")
    with open_port(engine) as port:
        loader = RedisStateLoader(redis_url, Receiver(port, data_dir), seal, block_ms=20)
        loader.start()
        try:
            yield port, loader
        finally:
            loader.stop()
