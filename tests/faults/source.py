"""What the control process would write into Redis: the worked example, then heartbeats for ever."""

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

import redis

from riskgate.v1 import state_pb2 as kinds
from server import feed
from server.changes import heartbeat_rows, state_change
from server.hotpath.layout import LAYOUT_VERSION
from tests.decision_harness import example_changes
from tests.feed_harness import sealed

_BEAT_S: Final = 0.2


class StateSource:
    """Keeps the state in one Redis, also when that is killed and starts empty."""

    def __init__(self, url: str) -> None:
        self._client: Any = redis.Redis.from_url(url, socket_timeout=5)
        self._changes = [
            (feed.state_field(kind, key), state_change(kind, key, rows, version=version))
            for version, (kind, key, rows) in enumerate(example_changes(), start=1)
        ]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self.publish()
        self._thread.start()

    def publish(self) -> None:
        """Write the whole state as a new generation."""
        pipeline = self._client.pipeline()
        pipeline.flushdb()
        for field, change in self._changes:
            pipeline.hset(feed.STATE_KEY, field, sealed(change, 1))
        pipeline.set(feed.VERSION_KEY, len(self._changes))
        pipeline.set(feed.LAYOUT_KEY, LAYOUT_VERSION)
        pipeline.set(feed.GENERATION_KEY, time.time_ns())
        pipeline.execute()

    def close(self) -> None:
        """End the heartbeats and empty Redis."""
        self._stop.set()
        self._thread.join()
        self._client.flushdb()
        self._client.close()

    def _beat(self) -> None:
        while not self._stop.wait(_BEAT_S):
            with contextlib.suppress(redis.RedisError):  # it may be the one that was killed
                generation = self._client.get(feed.GENERATION_KEY)
                if generation is None:
                    self.publish()
                    continue
                rows = heartbeat_rows(len(self._changes), record_away=False)
                change = state_change(kinds.CHANGE_KIND_HEARTBEAT, "publisher", rows)
                entry = {
                    feed.FIELD_GENERATION: generation,
                    feed.FIELD_VERSION: 0,
                    feed.FIELD_CHANGE: sealed(change),
                }
                self._client.xadd(feed.STREAM_KEY, entry, maxlen=1_000)


@contextlib.contextmanager
def feeding(url: str) -> Iterator[StateSource]:
    """Keep a Redis fed for a while."""
    source = StateSource(url)
    try:
        yield source
    finally:
        source.close()
