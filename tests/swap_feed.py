"""A feed that swaps models again and again, as control would publish it, and who asks meanwhile."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import grpc
import redis

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import state_pb2
from server import feed
from server.loaders.artifact_store import ArtifactStore
from server.security.keys import ensure_development_keys
from server.services.decision import SERVICE_NAME
from tests.activation_builder import Approvals, model_change
from tests.artifact_builder import build_artifact, build_small_model, load_author_key
from tests.decision_harness import example_changes, good_request
from tests.feed_harness import Publisher, sealed

_BEAT_S: Final = 0.2


class SwapFeed:
    """Writes Redis and signs what it activates; one thread beats, one other publishes.

    Attributes:
        digests: Of two models that are in the store.
        published: Digest of each activation so far, in order; all zero: no model.
    """

    def __init__(self, data_dir: Path, redis_url: str) -> None:
        ensure_development_keys(data_dir / "keys")
        self._approvals = Approvals(data_dir / "keys")
        key = load_author_key(data_dir / "keys")
        store = ArtifactStore(data_dir / "artifacts")
        self.digests = tuple(
            bytes.fromhex(
                store.put(build_artifact(key, build_small_model(seed, trees=40, depth=4)))
            )
            for seed in (1, 2)
        )
        self.published: list[bytes] = []
        self._client: Any = redis.Redis.from_url(redis_url, socket_timeout=5)
        self._client.flushdb()
        self._publisher = Publisher(self._client)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        for kind, key_text, rows in example_changes():
            self._publisher.change(kind, key_text, rows)
        self._publisher.rebuild()
        self._beating = threading.Thread(target=self._beat, daemon=True)
        self._beating.start()

    def sign(self, serial: int) -> state_pb2.StateChange:
        """Return the activation of a serial: odd ones of the second model, even ones roll back."""
        first, second = self.digests
        odd = serial - 1 + serial % 2
        proof = self._approvals.approve(second, odd, fallback_digest=first.hex())
        if serial % 2:
            return model_change(second, serial, proof)
        return model_change(first, serial, self._approvals.roll_back(proof, serial))

    def publish(self, message: state_pb2.StateChange) -> None:
        """Put an activation into hash and stream."""
        with self._lock:
            publisher, name = self._publisher, feed.state_field(message.kind, message.key)
            publisher.version += 1
            publisher.revisions[name] += 1
            message.version = publisher.version
            change = sealed(message, publisher.revisions[name])
            publisher.entities[name] = change
            self._client.hset(feed.STATE_KEY, name, change)
            publisher.add(publisher.version, change)
            self._client.set(feed.VERSION_KEY, publisher.version)

    def close(self) -> None:
        """End the heartbeats and empty Redis."""
        self._stop.set()
        self._beating.join()
        self._client.flushdb()
        self._client.close()

    def _beat(self) -> None:
        while not self._stop.wait(_BEAT_S):
            with self._lock:
                self._publisher.beat()


@contextmanager
def swapping(
    source: SwapFeed, signed: Sequence[state_pb2.StateChange], interval_s: float
) -> Iterator[list[int]]:
    """Publish one activation in each interval; yields the serials so far.

    Args:
        source: Publishes; more are signed when there are not enough.
        signed: The first ones, in the order of their serials from 2 on.
        interval_s: Between two of them.
    """
    done: list[int] = []
    stop = threading.Event()

    def run() -> None:
        due_s = time.monotonic()
        while not stop.is_set():
            count = len(done)
            source.publish(signed[count] if count < len(signed) else source.sign(2 + count))
            done.append(2 + count)
            due_s += interval_s
            stop.wait(max(0.0, due_s - time.monotonic()))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield done
    finally:
        stop.set()
        thread.join()


class Caller:
    """Asks one engine for decisions, and counts which model has spoken."""

    def __init__(self, address: str) -> None:
        self._channel: Any = grpc.insecure_channel(
            address,
            [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)],
        )
        unary: Any = self._channel.unary_unary
        self._decide = unary(f"/{SERVICE_NAME}/Decide")
        self._batch = unary(f"/{SERVICE_NAME}/DecideBatch")
        self._one = good_request(requested_lots=0.01).SerializeToString()
        self.digests: Counter[bytes] = Counter()
        self.failed = 0

    def decide(self) -> pb.DecideResponse:
        """Return one answer."""
        answer = pb.DecideResponse.FromString(self._decide(self._one, timeout=30))
        self.digests[answer.model_digest] += 1
        return answer

    def decide_many(self, count: int, batch: int = 200) -> None:
        """Ask for so many answers, many at a time."""
        request = pb.DecideBatchRequest(requests=[good_request(requested_lots=0.01)] * batch)
        raw = request.SerializeToString()
        for _ in range(count // batch):
            answer = pb.DecideBatchResponse.FromString(self._batch(raw, timeout=60))
            for result in answer.results:
                self.failed += not result.HasField("response")
                self.digests[result.response.model_digest] += 1

    def time_calls(self, count: int) -> tuple[list[float], list[float]]:
        """Return how long each of so many single decisions took, in rising order.

        First as the caller saw it, milliseconds; then from received to decided, microseconds.
        """
        seen_ms, inside_us = [], []
        for _ in range(count):
            began_s = time.perf_counter()
            answer = self.decide()
            seen_ms.append((time.perf_counter() - began_s) * 1_000)
            inside_us.append(answer.server_ns / 1_000)
        return sorted(seen_ms), sorted(inside_us)

    def wait_for(self, condition: Callable[[pb.DecideResponse], bool]) -> None:
        """Ask until an answer fits."""
        deadline = time.monotonic() + 120
        while not condition(self.decide()):
            assert time.monotonic() < deadline, "it did not happen"

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()
