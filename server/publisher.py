"""Moves what the record holds into Redis, in order, and proves it with heartbeats.

Admin changes go from the outbox into hash and stream, one Lua call each; measurements go straight
there. When Redis is empty, behind, or of another layout, the whole state is built aside and
swapped in under a new generation. No write happens and no heartbeat beats over a state that is
not known to be ours: readers then see the feed grow old. Every call has a timeout; the loops try
again for ever, and only readers decide what an old feed means.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Any, Final

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from riskgate.v1 import state_pb2
from server import feed
from server.changes import heartbeat_rows, state_change
from server.errors import UnavailableError
from server.hotpath.layout import LAYOUT_VERSION
from server.loaders.feed_entry import read_number
from server.measurement import Measurement
from server.record.measurements import kept_measurements
from server.record.outbox import Outbox
from server.record.pool import Pool
from server.record.reencode import reencode_outdated
from server.security.feed_seal import FeedSeal

log = logging.getLogger(__name__)

SOCKET_TIMEOUT_S: Final = 2.0
RECORD_TIMEOUT_S: Final = 5.0
# Only after an upgrade, and once: every entity is encoded anew.
REENCODE_TIMEOUT_S: Final = 300.0
POLL_INTERVAL_S: Final = 0.2
# The record counts as away when it has not answered for so long.
RECORD_AWAY_S: Final = 1.5
BATCH_LENGTH: Final = 256
_REBUILD_PAGE: Final = 1_000
# Clocks of our machines differ by less; a later time in Redis was written by somebody else.
_AHEAD_NS_MAX: Final = 60_000_000_000
_LUA: Final = files("server").joinpath("lua")


class Publisher:
    """The only writer of the shared state; `run` lives as long as the control process.

    Args:
        pool: Of the record.
        client: Of Redis.
        seal: Marks everything that goes out as ours.
        heartbeat_interval_ms: Between two heartbeats.
    """

    def __init__(
        self,
        pool: Pool,
        client: "redis.asyncio.Redis",
        seal: FeedSeal,
        *,
        heartbeat_interval_ms: int,
    ) -> None:
        self._outbox = Outbox(pool)
        self._seal = seal.seal
        self._pool = pool
        self._redis = client
        self._heartbeat_interval_s = heartbeat_interval_ms / 1_000
        self._scripts = {
            name: client.register_script(_LUA.joinpath(f"{name}.lua").read_text("utf-8"))
            for name in ("publish", "measure", "heartbeat", "rebuild")
        }
        # None: it is not known that Redis holds our state.
        self._generation: int | None = None
        self._published = 0
        self._record_seen_s = float("-inf")
        self._wake = asyncio.Event()
        self._tried = asyncio.Event()
        self._stopping = False
        self._must_rebuild = False
        # What was last said of each store.
        self._said = {"record": "there", "redis": "there"}

    @property
    def published_version(self) -> int:
        """Newest version known to be in Redis."""
        return self._published

    @property
    def is_aligned(self) -> bool:
        """Whether Redis is known to hold the state of the record."""
        return self._generation is not None

    @property
    def is_record_away(self) -> bool:
        """Whether PostgreSQL has stopped answering."""
        return time.monotonic() - self._record_seen_s > RECORD_AWAY_S

    def wake(self) -> None:
        """Look at the outbox now; called after each committed admin change."""
        self._wake.set()

    async def wait_for_first_try(self) -> None:
        """Return once the state in Redis was looked at, and built anew if that was possible."""
        await self._tried.wait()

    async def run(self) -> None:
        """Publish and beat until cancelled."""
        tasks = [
            asyncio.create_task(self._publish_forever(), name="publish"),
            asyncio.create_task(self._beat_forever(), name="heartbeat"),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # The Redis client may answer a cancellation with an error of its own: the flag ends
            # the loop all the same, since each of its waits is bounded.
            self._stopping = True
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def measure(self, measurements: Sequence[Measurement]) -> int:
        """Hand measurements to the engines and return how many were the newest of their key.

        Raises:
            UnavailableError: Redis is away or does not hold our state; some may have gone.
        """
        generation = self._generation
        if generation is None:
            raise UnavailableError("state feed")
        keys = [feed.STATE_KEY, feed.STREAM_KEY, feed.MARKET_KEY, feed.GENERATION_KEY]
        # What claims to be from the future was not written by us and blocks nobody.
        latest = f"{time.time_ns() + _AHEAD_NS_MAX:020d}"
        calls = [
            [
                *(generation, each.stamp, each.field, self._seal(each.change())),
                *(feed.STREAM_LENGTH_MAX, latest),
            ]
            for each in measurements
        ]
        try:
            results = await self._call_all("measure", keys, calls)
        except (RedisError, OSError) as error:
            raise UnavailableError("state feed", str(error)) from error
        if -1 in results:
            self._lose_alignment("the state was replaced")
            raise UnavailableError("state feed")
        return sum(results)

    async def _publish_forever(self) -> None:
        while not self._stopping:
            self._wake.clear()
            try:
                if self._generation is None:
                    await self._align()
                while await self._publish_batch():
                    pass
            except (UnavailableError, TimeoutError) as error:
                self._say("record", f"away: {error}")
            except ResponseError as error:
                self._suspect(error)
            except (RedisError, OSError) as error:
                self._say("redis", f"away: {error}")
            except Exception:
                # A defect must not end the feed for good: readers see its age, the log says why.
                log.exception("publishing failed")
                self._generation = None
            self._tried.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_INTERVAL_S):
                    await self._wake.wait()

    async def _publish_batch(self) -> bool:
        """Publish the next changes; True when there may be more."""
        async with asyncio.timeout(RECORD_TIMEOUT_S):
            entries = await self._outbox.after(self._published, BATCH_LENGTH)
        self._record_seen_s = time.monotonic()
        self._say("record", "there")
        if self._stopping or not entries or self._generation is None:
            return False
        if any(entry.layout_version != LAYOUT_VERSION for entry in entries):
            # Another release wrote them: all is encoded anew before anything goes out.
            self._lose_alignment("rows of another layout in the outbox")
            self._must_rebuild = True
            return False
        keys = [feed.STATE_KEY, feed.STREAM_KEY, feed.VERSION_KEY, feed.GENERATION_KEY]
        calls = [
            [
                self._generation,
                entry.version,
                feed.state_field(entry.kind, entry.key),
                self._seal(entry.numbered()),
                feed.STREAM_LENGTH_MAX,
            ]
            for entry in entries
        ]
        results = await self._call_all("publish", keys, calls)
        if -1 in results:
            self._lose_alignment("versions do not follow each other")
            return False
        self._published = entries[-1].version
        return len(entries) == BATCH_LENGTH

    async def _beat_forever(self) -> None:
        while not self._stopping:
            started_s = time.monotonic()
            if self._generation is not None:
                try:
                    await self._beat(self._generation)
                    self._say("redis", "there")
                except ResponseError as error:
                    self._suspect(error)
                except (RedisError, OSError) as error:
                    self._say("redis", f"away: {error}")
            spent_s = time.monotonic() - started_s
            await asyncio.sleep(max(0.0, self._heartbeat_interval_s - spent_s))

    async def _beat(self, generation: int) -> None:
        version = self._published
        rows = heartbeat_rows(version, record_away=self.is_record_away)
        change = state_change(state_pb2.CHANGE_KIND_HEARTBEAT, "publisher", rows)
        keys = [feed.STREAM_KEY, feed.VERSION_KEY, feed.GENERATION_KEY]
        sealed = self._seal(change.SerializeToString())
        call = [generation, version, sealed, feed.STREAM_LENGTH_MAX]
        (result,) = await self._call_all("heartbeat", keys, [call])
        if result == -1:
            self._lose_alignment("the state is gone, replaced or behind")
        if await self._redis.getdel(feed.DOUBT_KEY):
            self._must_rebuild = True
            self._lose_alignment("a reader found entities missing or changed")

    def _say(self, store: str, condition: str) -> None:
        # An outage is tried several times a second and is one line all the same.
        if self._said[store] != condition:
            self._said[store] = condition
            log.warning("%s is %s", store, condition)

    def _suspect(self, error: ResponseError) -> None:
        """Redis is there and refuses: something of another form stands in the place of ours."""
        self._must_rebuild = True
        self._lose_alignment(str(error))

    def _lose_alignment(self, reason: str) -> None:
        log.warning("redis no longer holds our state: %s", reason)
        self._generation = None
        self._wake.set()

    async def _align(self) -> None:
        """Find out whether Redis holds the state of the record; build it anew when it does not."""
        newest: int | None = None
        try:
            async with asyncio.timeout(REENCODE_TIMEOUT_S):
                count = await reencode_outdated(self._pool)
            if count:
                self._must_rebuild = True
                log.warning("encoded %d entities anew for layout %d", count, LAYOUT_VERSION)
            async with asyncio.timeout(RECORD_TIMEOUT_S):
                newest = await self._outbox.newest_version()
            self._record_seen_s = time.monotonic()
        except (UnavailableError, TimeoutError) as error:
            self._say("record", f"away: {error}")
        generation, version, layout = await self._read_head()
        if (
            not self._must_rebuild
            and generation is not None
            and version is not None
            and layout == LAYOUT_VERSION
            and self._published <= version
            and (newest is None or version <= newest)
        ):
            log.info("redis holds version %d", version)
            self._generation, self._published = generation, version
        elif newest is not None:
            await self._rebuild(expected=generation, version=newest)

    async def _read_head(self) -> list[int | None]:
        """Return generation, version and layout; what cannot be ours is removed."""
        head: list[int | None] = []
        for key in (feed.GENERATION_KEY, feed.VERSION_KEY, feed.LAYOUT_KEY):
            (text,) = await self._redis.mget(key)
            number = read_number(text if isinstance(text, bytes) else None)
            is_ours = number is not None and number <= time.time_ns() + _AHEAD_NS_MAX
            if not is_ours and await self._redis.delete(key):
                self._must_rebuild = True
                log.error("%s in redis was not written by us", key)
            head.append(number if is_ours else None)
        return head

    async def _rebuild(self, *, expected: int | None, version: int) -> None:
        """Build the state of the record aside and swap it in under a new generation.

        `version` was read before the entities: what changes meanwhile is published again,
        which does no harm.
        """
        suffix = f":next:{time.time_ns()}"
        state, market = feed.STATE_KEY + suffix, feed.MARKET_KEY + suffix
        count = 0
        try:
            async for fields in self._entities():
                await self._redis.hset(state, mapping=fields)
                count += len(fields)
            kept = [Measurement(*each) for each in await kept_measurements(self._pool)]
            for part in _parts(kept, _REBUILD_PAGE):
                await self._redis.hset(
                    state, mapping={one.field: self._seal(one.change()) for one in part}
                )
                await self._redis.hset(market, mapping={one.field: one.stamp for one in part})
            generation = max(time.time_ns(), (expected or 0) + 1)
            keys = [feed.STATE_KEY, state, feed.VERSION_KEY, feed.GENERATION_KEY, feed.LAYOUT_KEY]
            arguments = [
                *("" if expected is None else expected, generation, version, LAYOUT_VERSION),
                int(self._must_rebuild),
            ]
            keys += [feed.MARKET_KEY, market, feed.STREAM_KEY]
            (done,) = await self._call_all("rebuild", keys, [arguments])
        finally:
            await self._redis.delete(state, market)
        if done:
            self._must_rebuild = False
            self._generation, self._published = generation, version
            log.warning("rebuilt redis: version %d, %d entities", version, count + len(kept))

    async def _entities(self) -> AsyncIterator[Mapping[Any, Any]]:
        for kind in feed.KIND_ORDER:
            key = ""
            while True:
                async with asyncio.timeout(RECORD_TIMEOUT_S):
                    entries = await self._outbox.latest_of_each(kind, key, _REBUILD_PAGE)
                if not entries:
                    break
                if any(entry.layout_version != LAYOUT_VERSION for entry in entries):
                    raise UnavailableError("state feed", "rows of another layout in the outbox")
                yield {
                    feed.state_field(kind, entry.key): self._seal(entry.numbered())
                    for entry in entries
                }
                key = entries[-1].key

    async def _call_all(
        self, script: str, keys: Sequence[str], calls: Sequence[Sequence[Any]]
    ) -> list[int]:
        async with self._redis.pipeline(transaction=False) as pipeline:
            for arguments in calls:
                await self._scripts[script](keys=keys, args=arguments, client=pipeline)
            return [int(result) for result in await pipeline.execute()]


@contextlib.asynccontextmanager
async def open_redis(url: str) -> "AsyncIterator[redis.asyncio.Redis]":
    """Open a client that tries each call once, with timeouts, and reconnects at the next."""
    client = redis.asyncio.Redis.from_url(
        url,
        socket_timeout=SOCKET_TIMEOUT_S,
        socket_connect_timeout=SOCKET_TIMEOUT_S,
        # A Unix socket has no such option, and redis-py refuses it there.
        **({} if url.startswith("unix:") else {"socket_keepalive": True}),
        retry=Retry(NoBackoff(), 0),
        max_connections=16,
        health_check_interval=0,
        decode_responses=False,
    )
    try:
        yield client
    finally:
        await client.aclose()


def _parts(items: Sequence[Measurement], length: int) -> Iterable[Sequence[Measurement]]:
    return (items[start : start + length] for start in range(0, len(items), length))
