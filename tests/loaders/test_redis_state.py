"""The engine's feed against a real Redis: gaps, rebuilds, loss, damage, nothing backwards."""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from riskgate.v1 import state_pb2
from server import feed
from server.changes import model_rows, state_change
from server.embedded.redis import EmbeddedRedis
from server.hotpath import layout
from server.loaders.feed_entry import Entry, read_entry
from server.loaders.redis_state import RedisStateLoader
from tests.feed_harness import (
    RATE,
    SEAL,
    Publisher,
    Receiver,
    account_rows,
    instrument_rows,
    malformed,
    rate_rows,
    sealed,
    wait,
    wait_for_beat,
)

ACCOUNT = state_pb2.CHANGE_KIND_ACCOUNT
CONFIGURATION = state_pb2.CHANGE_KIND_RISK_CONFIGURATION
HEARTBEAT = state_pb2.CHANGE_KIND_HEARTBEAT
INSTRUMENT = state_pb2.CHANGE_KIND_INSTRUMENT
MODEL = state_pb2.CHANGE_KIND_MODEL


@pytest.fixture
def loader(redis_url: str, receiver: Receiver) -> Iterator[RedisStateLoader]:
    started = RedisStateLoader(redis_url, receiver, SEAL, block_ms=50)
    started.start()
    yield started
    started.stop()


def load(publisher: Publisher, loader: RedisStateLoader) -> None:
    publisher.rebuild()
    wait(lambda: loader.is_current and loader.version == publisher.version)


def test_load_when_redis_is_empty_then_it_waits_for_the_publisher(
    loader: RedisStateLoader, publisher: Publisher, receiver: Receiver
) -> None:
    publisher.beat()
    time.sleep(0.5)
    assert not loader.is_current
    assert receiver.changes == []
    load(publisher, loader)
    wait_for_beat(publisher, receiver)


def test_load_when_kinds_depend_on_each_other_then_they_come_in_order(
    publisher: Publisher, redis_url: str, receiver: Receiver
) -> None:
    configuration = bytes(layout.CHANGE_RISK_CONFIGURATION.itemsize)
    publisher.change(CONFIGURATION, "A", configuration * 2)
    publisher.change(MODEL, "slippage", model_rows("slippage", bytes(range(32)), "1.0.0", 4))
    for number in range(50):
        publisher.change(RATE, f"EUR/{number}", rate_rows())
    publisher.change(ACCOUNT, "A", account_rows("Europe/London"))
    publisher.change(ACCOUNT, "gone", b"")
    publisher.rebuild()
    loader = RedisStateLoader(redis_url, receiver, SEAL)
    loader.start()
    try:
        wait(lambda: loader.is_current)
        order = [(change.kind, change.key) for change in receiver.changes]
        assert order.index((CONFIGURATION, "A")) > order.index((ACCOUNT, "A"))
        # Redis may give an entity twice while it resizes the hash, which does no harm.
        assert len(set(order)) == 53
        before, timezone = receiver.timezones[0]
        assert timezone == "Europe/London"
        assert before <= order.index((ACCOUNT, "A"))
        assert next(one for one in receiver.changes if one.key == "gone").rows == b""
        activation = receiver.activations[0]
        assert (activation.purpose, activation.serial) == ("slippage", 4)
        assert activation.digest == bytes(range(32))
        assert loader.version == publisher.version
    finally:
        loader.stop()


def test_the_days_of_trading_hours_are_announced_before_their_instrument(
    loader: RedisStateLoader, publisher: Publisher, receiver: Receiver
) -> None:
    publisher.change(INSTRUMENT, "EURUSD", instrument_rows("America/New_York"))
    load(publisher, loader)
    publisher.publish(INSTRUMENT, "EURUSD", instrument_rows("Asia/Tokyo"))
    publisher.publish(INSTRUMENT, "EURUSD", b"")
    wait(lambda: loader.version == publisher.version)
    kinds = [change.kind for change in receiver.changes]
    assert kinds == [INSTRUMENT] * 3
    assert receiver.timezones == [(0, "America/New_York"), (1, "Asia/Tokyo")]


def test_follow_when_changes_come_then_each_is_handed_on_once_in_order(
    loader: RedisStateLoader, publisher: Publisher, receiver: Receiver
) -> None:
    load(publisher, loader)
    for _ in range(700):
        publisher.publish()
    publisher.add(publisher.version - 3, publisher.entities["6:EUR/USD"])
    wait_for_beat(publisher, receiver)
    assert receiver.versions() == list(range(1, 701))
    assert loader.loads == 1


def test_follow_when_a_version_is_missing_then_the_state_is_loaded_anew(
    loader: RedisStateLoader, publisher: Publisher, receiver: Receiver
) -> None:
    load(publisher, loader)
    publisher.publish()
    lost = publisher.change(RATE, "EUR/LOST", rate_rows())
    publisher.client.hset(feed.STATE_KEY, "6:EUR/LOST", lost)
    publisher.publish(key="EUR/GBP")
    wait(lambda: loader.loads == 2 and loader.version == 3)
    assert {change.key for change in receiver.changes} == {"EUR/USD", "EUR/LOST", "EUR/GBP"}


def test_follow_when_a_heartbeat_knows_more_then_the_state_is_loaded_anew(
    loader: RedisStateLoader, publisher: Publisher, receiver: Receiver
) -> None:
    load(publisher, loader)
    lost = publisher.change(RATE, "EUR/LOST", rate_rows())
    publisher.client.hset(feed.STATE_KEY, "6:EUR/LOST", lost)
    publisher.client.set(feed.VERSION_KEY, publisher.version)
    publisher.beat()
    wait(lambda: loader.loads == 2)
    assert receiver.beats() == 0
    wait_for_beat(publisher, receiver)
    assert receiver.versions() == [1]


def test_follow_when_the_stream_was_trimmed_then_the_state_is_loaded_anew(
    loader: RedisStateLoader, publisher: Publisher, receiver: Receiver
) -> None:
    load(publisher, loader)
    publisher.publish()
    wait(lambda: receiver.versions() == [1])
    publisher.client.xtrim(feed.STREAM_KEY, maxlen=0)
    wait(lambda: loader.loads == 2)
    publisher.publish()
    wait_for_beat(publisher, receiver)
    assert receiver.versions()[-1] == 2


def test_follow_when_redis_is_flushed_then_no_heartbeat_passes_until_it_is_rebuilt(
    loader: RedisStateLoader, publisher: Publisher, receiver: Receiver
) -> None:
    load(publisher, loader)
    publisher.publish()
    wait_for_beat(publisher, receiver)
    publisher.client.flushdb()
    wait(lambda: not loader.is_current)
    before = receiver.beats()
    publisher.beat()
    time.sleep(0.5)
    assert receiver.beats() == before
    publisher.publish()
    load(publisher, loader)
    wait_for_beat(publisher, receiver)
    assert loader.version == 2


def test_follow_when_rebuilt_under_a_new_generation_then_old_entries_are_not_applied(
    loader: RedisStateLoader, publisher: Publisher, receiver: Receiver
) -> None:
    load(publisher, loader)
    publisher.publish()
    wait(lambda: receiver.versions() == [1])
    old_generation = publisher.generation
    forged = sealed(state_change(RATE, "EUR/OLD", rate_rows(), version=2), 1)
    publisher.rebuild()
    wait(lambda: loader.loads == 2)
    publisher.add(2, forged, generation=old_generation)
    wait(lambda: loader.loads == 3)
    publisher.publish(key="EUR/NEW")
    wait_for_beat(publisher, receiver)
    assert loader.version == 2
    assert "EUR/OLD" not in {change.key for change in receiver.changes}
    assert "EUR/NEW" in {change.key for change in receiver.changes}


def test_load_when_redis_went_back_in_time_then_it_waits_instead_of_going_back(
    loader: RedisStateLoader, publisher: Publisher, receiver: Receiver
) -> None:
    load(publisher, loader)
    for _ in range(3):
        publisher.publish()
    wait(lambda: loader.version == 3)
    older = Publisher(publisher.client, generation=publisher.generation, version=1)
    older.entities = {"6:EUR/OLD": sealed(state_change(RATE, "EUR/OLD", rate_rows(), version=1), 1)}
    older.rebuild()
    older.beat()
    wait(lambda: not loader.is_current)
    time.sleep(0.5)
    assert not loader.is_current
    assert receiver.beats() == 0
    assert loader.version == 3
    assert "EUR/OLD" not in {change.key for change in receiver.changes}
    publisher.generation = older.generation
    publisher.publish()
    load(publisher, loader)
    assert loader.version == 4


def test_load_when_the_layout_is_another_then_nothing_is_used(
    loader: RedisStateLoader, publisher: Publisher, receiver: Receiver
) -> None:
    publisher.change(RATE, "EUR/USD", rate_rows())
    publisher.rebuild()
    publisher.client.set(feed.LAYOUT_KEY, layout.LAYOUT_VERSION + 1)
    wait(lambda: not loader.is_current or loader.loads == 1)
    time.sleep(0.3)
    publisher.client.set(feed.LAYOUT_KEY, layout.LAYOUT_VERSION)
    wait(lambda: loader.is_current)


def test_follow_when_entries_are_damaged_then_they_are_dropped_and_the_rest_goes_on(
    loader: RedisStateLoader, publisher: Publisher, receiver: Receiver
) -> None:
    load(publisher, loader)
    bad = malformed()
    for change in bad.values():
        publisher.add(0, change)
    publisher.client.xadd(feed.STREAM_KEY, {"foo": "bar"})
    publisher.client.xadd(
        feed.STREAM_KEY, {"generation": publisher.generation, "version": "-1", "change": b"x"}
    )
    contradiction = sealed(state_change(RATE, "EUR/USD", rate_rows(), version=7))
    publisher.add(1, contradiction)
    publisher.publish()
    wait_for_beat(publisher, receiver)
    assert loader.dropped == len(bad) + 3
    assert receiver.versions() == [1]
    assert loader.loads == 1


def test_load_when_hash_fields_are_damaged_then_only_the_whole_ones_are_loaded(
    publisher: Publisher, redis_url: str, receiver: Receiver
) -> None:
    good = publisher.change(RATE, "EUR/USD", rate_rows())
    publisher.entities |= {f"6:{name}": change for name, change in malformed().items()}
    publisher.entities["6:EUR/GBP"] = good
    publisher.entities["nonsense"] = good
    publisher.rebuild()
    loader = RedisStateLoader(redis_url, receiver, SEAL)
    loader.start()
    try:
        wait(lambda: loader.is_current)
        assert [change.key for change in receiver.changes] == ["EUR/USD"]
        assert loader.dropped == len(malformed()) + 2
    finally:
        loader.stop()


@pytest.mark.parametrize(
    "key", [feed.STATE_KEY, feed.STREAM_KEY, feed.VERSION_KEY, feed.GENERATION_KEY, feed.LAYOUT_KEY]
)
@pytest.mark.parametrize("kind", ["string", "list", "absent"])
def test_follow_when_a_key_has_the_wrong_type_then_it_waits_and_recovers(
    loader: RedisStateLoader, publisher: Publisher, receiver: Receiver, key: str, kind: str
) -> None:
    publisher.change(RATE, "EUR/USD", rate_rows())
    load(publisher, loader)
    wait_for_beat(publisher, receiver)
    publisher.client.delete(key)
    if kind == "string":
        publisher.client.set(key, b"\xff not a number")
    elif kind == "list":
        publisher.client.rpush(key, "x")
    time.sleep(0.3)
    publisher.client.flushdb()
    publisher.publish()
    publisher.rebuild()
    wait(lambda: loader.is_current and loader.version == publisher.version)
    wait_for_beat(publisher, receiver)


def test_follow_when_redis_restarts_then_it_recovers_by_itself(tmp_path: Path) -> None:
    service = EmbeddedRedis(_open_folder(tmp_path))
    service.start()
    receiver = Receiver()
    loader = RedisStateLoader(service.url, receiver, SEAL)
    client = redis.Redis.from_url(service.url, socket_timeout=5)
    try:
        loader.start()
        publisher = Publisher(client)
        publisher.change(RATE, "EUR/USD", rate_rows())
        load(publisher, loader)
        wait_for_beat(publisher, receiver)
        service.stop()
        wait(lambda: loader.outages > 0)
        service.start()
        publisher.client = client = redis.Redis.from_url(service.url, socket_timeout=5)
        client.flushall()
        publisher.publish()
        load(publisher, loader)
        wait_for_beat(publisher, receiver)
        assert loader.version == 2
    finally:
        loader.stop()
        client.close()
        service.stop()


def _open_folder(tmp_path: Path) -> Path:
    # As root the service runs as another account, which must be able to reach it.
    return Path(tempfile.mkdtemp(prefix="riskgate-test-")) if os.geteuid() == 0 else tmp_path


def test_load_when_an_old_entity_is_made_up_for_by_a_later_change_then_it_is_refused(
    publisher: Publisher, redis_url: str, receiver: Receiver
) -> None:
    for key in ("A", "B", "A", "A", "B"):
        publisher.change(RATE, key, rate_rows())
        if publisher.version == 3:
            old = publisher.entities["6:A"]
    publisher.rebuild()
    skipped = publisher.change(RATE, "B", rate_rows())
    later = publisher.change(RATE, "B", rate_rows())
    publisher.client.hset(feed.STATE_KEY, mapping={"6:A": old, "6:B": later})

    class Loader(RedisStateLoader):
        """Is read to while the intruder writes; the load is at 5, and B is as of 7 already."""

        def _scan(self) -> Iterator[Entry]:
            yield from super()._scan()
            publisher.add(99, later)  # under another number: once loaded it would be dropped
            publisher.add(6, skipped)
            publisher.add(7, later)

    loader = Loader(redis_url, receiver, SEAL, block_ms=50)
    loader.start()
    try:
        wait(lambda: loader.forged > 0 or loader.is_current)
        assert not loader.is_current
        assert receiver.changes == []
    finally:
        loader.stop()


def test_load_when_redis_names_an_entity_twice_then_the_first_alone_counts(
    publisher: Publisher, redis_url: str, receiver: Receiver
) -> None:
    old = publisher.change(RATE, "A", rate_rows())
    publisher.change(RATE, "A", rate_rows())
    publisher.rebuild()

    class Loader(RedisStateLoader):
        """Reads a hash in which the newest content is followed by an earlier one."""

        def _scan(self) -> Iterator[Entry]:
            yield from super()._scan()
            yield read_entry(old)

    loader = Loader(redis_url, receiver, SEAL, block_ms=50)
    loader.start()
    try:
        wait(lambda: loader.is_current)
        assert receiver.versions() == [2]
    finally:
        loader.stop()
