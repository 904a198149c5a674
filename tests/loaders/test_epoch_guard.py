"""How an engine learns from a real Redis that one on another machine has taken over."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from server import feed
from server.errors import JournalFencedError
from server.journal.active_epoch import ActiveEpoch
from server.journal.fencing import Fence, claim, read_fence, refuse_fenced
from server.loaders.redis_epoch import RedisEpoch
from server.loaders.redis_state import RedisStateLoader
from server.shards import WHOLE, Shard
from server.standby.epoch_guard import EngineFence, EpochGuard
from tests.feed_harness import SEAL, Publisher, Receiver, wait, wait_for_beat
from tests.small_engine import new_small_engine

KEY = feed.epoch_key("0/1")


@pytest.fixture
def epochs(redis_url: str, client: Any) -> Iterator[RedisEpoch]:
    made = RedisEpoch(redis_url, WHOLE, SEAL)
    yield made
    made.close()


def name(redis_url: str, epoch: int) -> None:
    """Name an epoch as another engine does."""
    other = RedisEpoch(redis_url, WHOLE, SEAL)
    other.raise_to(epoch)
    other.close()


def named(client: Any) -> int:
    return int((client.get(KEY) or b"0").split(b" ")[0])


def test_an_epoch_only_rises_and_belongs_to_one_shard(epochs: RedisEpoch, redis_url: str) -> None:
    assert [epochs.raise_to(epoch) for epoch in (3, 2, 10, 9)] == [3, 3, 10, 10]
    other = RedisEpoch(redis_url, Shard(0, 2), SEAL)
    assert other.raise_to(1) == 1
    other.close()


@pytest.mark.parametrize("value", [b"x", b"9", b"9 ", b"9 00", b"9 " + bytes(40).hex().encode()])
def test_an_epoch_that_is_not_sealed_is_nobodys_word(
    epochs: RedisEpoch, client: Any, value: bytes
) -> None:
    client.set(KEY, value)
    assert epochs.raise_to(4) == 4
    assert epochs.forged == 1
    client.delete(KEY)
    client.lpush(KEY, value)
    assert epochs.raise_to(4) == 4


def test_an_epoch_of_another_shard_or_an_earlier_one_does_not_count(
    epochs: RedisEpoch, redis_url: str, client: Any
) -> None:
    other = RedisEpoch(redis_url, Shard(1, 2), SEAL)
    other.raise_to(9)
    other.close()
    assert epochs.raise_to(3) == 3
    earlier = client.get(KEY)
    client.set(KEY, client.get(feed.epoch_key("1/2")))
    assert epochs.raise_to(5) == 5
    client.set(KEY, earlier)
    assert epochs.raise_to(4) == 5


def test_an_engine_that_finds_a_higher_epoch_is_fenced(
    epochs: RedisEpoch, redis_url: str, client: Any
) -> None:
    fenced: list[int] = []
    guard = EpochGuard(epochs, 5, fenced.append)
    guard.start()
    wait(lambda: guard.is_named)
    assert (named(client), fenced) == (5, [])
    client.delete(KEY)  # what Redis has forgotten is named again
    wait(lambda: named(client) == 5)
    name(redis_url, 7)
    wait(lambda: bool(fenced))
    guard.stop()
    assert set(fenced) == {7}


def test_an_engine_says_once_that_its_epoch_cannot_be_checked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    epochs = RedisEpoch(f"unix://{tmp_path}/nobody.sock", WHOLE, SEAL)
    guard = EpochGuard(epochs, 5, lambda _: None)
    guard.start()
    wait(lambda: bool(caplog.records))
    assert not guard.may_beat()
    assert not guard.is_named
    guard.stop()
    assert "the epoch cannot be checked" in caplog.text


def test_no_heartbeat_from_after_the_takeover_reaches_the_engine(
    epochs: RedisEpoch, redis_url: str, client: Any, publisher: Publisher, receiver: Receiver
) -> None:
    # Not started: its thread is the slower way.
    guard = EpochGuard(epochs, 5, lambda _: None)
    loader = RedisStateLoader(redis_url, receiver, SEAL, block_ms=50, may_beat=guard.may_beat)
    publisher.rebuild()
    loader.start()
    wait(lambda: loader.is_current)
    wait_for_beat(publisher, receiver)
    name(redis_url, 6)
    beats = receiver.beats()
    for _ in range(5):
        publisher.beat()
    # A change behind them shows that they were read.
    publisher.publish()
    wait(lambda: loader.version == publisher.version)
    loader.stop()
    assert receiver.beats() == beats


def test_a_fence_holds_for_the_lane_and_for_the_next_start(tmp_path: Path) -> None:
    engine = new_small_engine()
    fence = EngineFence(engine, tmp_path)
    threads = [threading.Thread(target=fence, args=(8,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert engine.journal["fenced"][0] == 1
    active = ActiveEpoch(tmp_path)
    assert active.value == 8
    active.close()
    with pytest.raises(JournalFencedError, match="redis has taken over with epoch 8"):
        refuse_fenced(tmp_path)


def test_a_fence_leaves_what_a_standby_has_written(tmp_path: Path) -> None:
    taker = Fence.begin("host:/standby", "somebody")
    claim(tmp_path, taker)
    EngineFence(new_small_engine(), tmp_path)(8)
    assert read_fence(tmp_path) == taker


def test_an_engine_without_a_journal_can_be_fenced_too() -> None:
    engine = new_small_engine()
    EngineFence(engine, None)(8)
    assert engine.journal["fenced"][0] == 1
