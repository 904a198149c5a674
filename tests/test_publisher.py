"""The publisher over real PostgreSQL and Redis: order, refusal, rebuild, heartbeats, outages."""

import asyncio
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import numpy as np
import psycopg
import pytest

from riskgate.v1 import admin_pb2, market_pb2, reference_pb2, state_pb2
from server import feed
from server.errors import UnavailableError
from server.hotpath import layout
from server.measurement import Measurement
from server.publisher import Publisher, open_redis
from server.record.pool import open_pool
from server.security.feed_seal import FeedSeal
from tests.control_harness import (
    Control,
    eurusd,
    play,
    put_account,
    reset,
    stream_entries,
    wait_until,
)
from tests.feed_harness import give_feed_key

CLOSED = admin_pb2.ChangeNote(reason="closed")


def change(data: bytes) -> state_pb2.StateChange:
    return state_pb2.StateChange.FromString(data)


async def heartbeats(parts: Control) -> list[np.void]:
    found = []
    for _, version, data in await stream_entries(parts.redis):
        message = change(data)
        if message.kind == state_pb2.CHANGE_KIND_HEARTBEAT:
            assert version == 0
            found.append(np.frombuffer(message.rows, dtype=layout.CHANGE_HEARTBEAT)[0])
    return found


def unsealed(sealed: bytes) -> bytes:
    """Return a change as it stands in the outbox."""
    message = change(sealed)
    message.ClearField("authenticator")
    message.ClearField("revision")
    return message.SerializeToString()


async def state(parts: Control) -> dict[bytes, bytes]:
    found: Any = await parts.redis.hgetall(feed.STATE_KEY)
    return dict(found)


def test_publish_when_changes_commit_then_hash_and_stream_hold_the_outbox_sealed_in_order(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        await parts.reference.PutInstrument(reference_pb2.PutInstrumentRequest(instrument=eurusd()))
        for number in range(20):
            await put_account(parts, f"A{number}")
        await put_account(parts, "A3", equity=77)
        await parts.published(22)
        entries = [each for each in await stream_entries(parts.redis) if each[1] > 0]
        assert [version for _, version, _ in entries] == list(range(1, 23))
        assert len({generation for generation, _, _ in entries}) == 1
        with psycopg.connect(database_url) as connection:
            outbox = connection.execute("SELECT change FROM riskgate.state_change ORDER BY version")
            assert [unsealed(data) for _, _, data in entries] == [bytes(row[0]) for row in outbox]
        revisions = [change(data).revision for _, _, data in entries]
        assert revisions == [1] * 21 + [2]
        for _, _, data in entries:
            FeedSeal.load(tmp_path / "keys").open(data)
        held = await state(parts)
        assert len(held) == 21
        assert change(held[b"2:A3"]).version == 22
        assert change(held[b"1:EURUSD"]).rows == change(entries[0][2]).rows

    play(database_url, redis_url, tmp_path, scenario)


def test_publish_when_entity_is_deleted_then_a_change_without_rows_stays(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        await put_account(parts, "A")
        await parts.reference.DeleteAccount(
            reference_pb2.DeleteAccountRequest(account_id="A", note=CLOSED)
        )
        await parts.published(2)
        left = change((await state(parts))[b"2:A"])
        assert (left.version, left.rows) == (2, b"")

    play(database_url, redis_url, tmp_path, scenario)


def test_publish_script_when_version_is_not_newer_then_refuses(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        await put_account(parts, "A")
        await parts.published(1)
        before = await state(parts)
        generation: Any = await parts.redis.get(feed.GENERATION_KEY)
        script = parts.publisher._scripts["publish"]
        keys = [feed.STATE_KEY, feed.STREAM_KEY, feed.VERSION_KEY, feed.GENERATION_KEY]
        length = feed.STREAM_LENGTH_MAX
        stale = await script(keys=keys, args=[generation, 1, "2:A", b"old", length])
        gap = await script(keys=keys, args=[generation, 3, "2:A", b"gap", length])
        foreign = await script(keys=keys, args=[1, 2, "2:A", b"foreign", length])
        assert (stale, gap, foreign) == (0, -1, -1)
        assert await state(parts) == before

    play(database_url, redis_url, tmp_path, scenario)


def test_publisher_when_redis_is_flushed_then_rebuilds_under_a_new_generation(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        await parts.reference.PutInstrument(reference_pb2.PutInstrumentRequest(instrument=eurusd()))
        await put_account(parts, "A")
        await put_account(parts, "B")
        kept = market_pb2.MarketServicePutRequest(
            context=market_pb2.MarketContext(symbol="EURUSD", atr=0.001), keep=True
        )
        await parts.market.Put(iter([kept]))
        await parts.published(3)
        before = await state(parts)
        old_generation = int(await parts.redis.get(feed.GENERATION_KEY) or 0)
        await parts.redis.flushdb()

        async def generation() -> int:
            return int(await parts.redis.get(feed.GENERATION_KEY) or 0)

        async with asyncio.timeout(10):
            while await generation() <= old_generation:  # noqa: ASYNC110 - polls Redis
                await asyncio.sleep(0.02)
        after = await state(parts)
        market = {field: change(data).rows for field, data in after.items() if field[:1] == b"5"}
        assert market == {b"5:EURUSD/atr": change(before[b"5:EURUSD/atr"]).rows}
        assert {field: data for field, data in after.items() if field not in market} == {
            field: data for field, data in before.items() if field not in market
        }
        assert await parts.redis.get(feed.VERSION_KEY) == b"3"
        assert await parts.redis.hkeys(feed.MARKET_KEY) == [b"5:EURUSD/atr"]
        await put_account(parts, "C")
        await parts.published(4)
        entries = await stream_entries(parts.redis)
        assert {found for found, _, _ in entries} == {await generation()}
        assert [version for _, version, _ in entries if version] == [4]
        assert not [key async for key in parts.redis.scan_iter("riskgate:*:next:*")]

    play(database_url, redis_url, tmp_path, scenario)


@pytest.mark.parametrize(
    "damage",
    [(feed.VERSION_KEY, "1"), (feed.GENERATION_KEY, "5"), (feed.VERSION_KEY, None)],
    ids=["older-version", "older-generation", "no-version"],
)
def test_publisher_when_redis_came_back_with_an_old_state_then_rebuilds(
    database_url: str, redis_url: str, tmp_path: Path, damage: tuple[str, str | None]
) -> None:
    async def scenario(parts: Control) -> None:
        for number in range(4):
            await put_account(parts, f"A{number}")
        await parts.published(4)
        first = int(await parts.redis.get(feed.GENERATION_KEY) or 0)
        key, value = damage
        if value is None:
            await parts.redis.delete(key)
        else:
            await parts.redis.set(key, value)
        await parts.redis.hdel(feed.STATE_KEY, "2:A1")
        if key == feed.GENERATION_KEY:
            # A foreign generation alone is not proof of loss: the version must be behind as well.
            await parts.redis.set(feed.VERSION_KEY, "2")

        async def is_whole() -> bool:
            return (
                int(await parts.redis.get(feed.GENERATION_KEY) or 0) > first
                and await parts.redis.hlen(feed.STATE_KEY) == 4
            )

        async with asyncio.timeout(10):
            while not await is_whole():  # noqa: ASYNC110 - polls Redis
                await asyncio.sleep(0.02)
        assert await parts.redis.get(feed.VERSION_KEY) == b"4"

    play(database_url, redis_url, tmp_path, scenario)


def test_publisher_when_its_first_try_is_over_then_redis_holds_our_state_or_is_away(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def aligned_after_the_first_try(url: str) -> bool:
        async with open_pool(database_url) as pool, open_redis(url) as client:
            seal = FeedSeal.load(tmp_path / "keys")
            publisher = Publisher(pool, client, seal, heartbeat_interval_ms=500)
            running = asyncio.create_task(publisher.run())
            async with asyncio.timeout(10):
                await publisher.wait_for_first_try()
            found = publisher.is_aligned
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            return found

    async def scenario() -> None:
        assert await aligned_after_the_first_try(redis_url)
        assert not await aligned_after_the_first_try("redis://127.0.0.1:1/0")

    reset(database_url, redis_url)
    give_feed_key(tmp_path)
    asyncio.run(scenario())


def test_publisher_when_quiet_then_heartbeats_prove_the_newest_version(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        await put_account(parts, "A")
        await parts.published(1)
        await asyncio.sleep(0.4)
        beats = await heartbeats(parts)
        assert len(beats) >= 4
        assert beats[-1]["version"] == 1
        assert beats[-1]["record_away"] == 0
        assert abs(time.time_ns() - int(beats[-1]["published_at_ns"])) < 2 * 10**9

    play(database_url, redis_url, tmp_path, scenario)


def test_publisher_when_postgres_refuses_then_heart_beats_on_and_says_record_away(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    parts_of_url = urlsplit(database_url)
    name = parts_of_url.path.removeprefix("/")
    elsewhere = urlunsplit(parts_of_url._replace(path="/postgres"))

    def allow(*, connections: bool) -> None:
        with psycopg.connect(elsewhere, autocommit=True) as connection:
            connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS {connections}')
            if not connections:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                    [name],
                )

    async def scenario(parts: Control) -> None:
        await put_account(parts, "A")
        await parts.published(1)
        await asyncio.to_thread(allow, connections=False)
        try:
            await wait_until(lambda: parts.publisher.is_record_away)
            await asyncio.sleep(0.3)
            beats = await heartbeats(parts)
            assert beats[-1]["record_away"] == 1
            assert time.time_ns() - int(beats[-1]["published_at_ns"]) < 10**9
            assert parts.publisher.is_aligned
        finally:
            await asyncio.to_thread(allow, connections=True)
        await wait_until(lambda: not parts.publisher.is_record_away, timeout_s=40)
        await put_account(parts, "B")
        await parts.published(2)
        await asyncio.sleep(0.3)
        assert (await heartbeats(parts))[-1]["record_away"] == 0

    play(database_url, redis_url, tmp_path, scenario)


def test_measure_when_older_than_on_hand_then_dropped_and_newest_stays(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    def measured(at_ns: int, rows: bytes) -> Measurement:
        return Measurement(state_pb2.CHANGE_KIND_MARKET, "EURUSD/atr", rows, at_ns)

    async def scenario(parts: Control) -> None:
        measure = parts.publisher.measure
        assert await measure([measured(5, b"five"), measured(9, b"nine")]) == 2
        assert await measure([measured(8, b"eight")]) == 0
        assert await measure([measured(9, b"nine again"), measured(10, b"ten")]) == 2
        held = change((await state(parts))[b"5:EURUSD/atr"])
        assert (held.rows, held.version) == (b"ten", 0)

    play(database_url, redis_url, tmp_path, scenario)


def test_measure_when_redis_lost_the_state_then_unavailable_until_rebuilt(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        one = Measurement(state_pb2.CHANGE_KIND_MARKET, "EURUSD/atr", b"x", 1)
        await parts.redis.flushdb()
        with pytest.raises(UnavailableError):
            await parts.publisher.measure([one])
        await wait_until(lambda: parts.publisher.is_aligned)
        assert await parts.publisher.measure([one]) == 1

    play(database_url, redis_url, tmp_path, scenario)


def test_publisher_when_rows_follow_another_layout_then_all_are_encoded_anew(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        await parts.reference.PutInstrument(reference_pb2.PutInstrumentRequest(instrument=eurusd()))
        for account_id in ("A", "gone"):
            await put_account(parts, account_id)
        await parts.reference.DeleteAccount(
            reference_pb2.DeleteAccountRequest(account_id="gone", note=CLOSED)
        )
        await parts.published(4)
        before = await state(parts)
        generation = await parts.redis.get(feed.GENERATION_KEY)
        with psycopg.connect(database_url) as connection:
            connection.execute("UPDATE riskgate.state_change SET layout_version = 99")
        await parts.redis.flushdb()
        await parts.published(7)
        await wait_until(lambda: parts.publisher.is_aligned)
        after = await state(parts)
        assert {field: change(data).rows for field, data in after.items()} == {
            field: change(data).rows for field, data in before.items()
        }
        assert {change(data).layout_version for data in after.values()} == {layout.LAYOUT_VERSION}
        assert sorted(change(data).version for data in after.values()) == [5, 6, 7]
        assert await parts.redis.get(feed.GENERATION_KEY) != generation

    play(database_url, redis_url, tmp_path, scenario)
