"""The feed of an engine that was recovered: it has a state already, Redis has a newer one."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from riskgate.v1 import admin_pb2, reference_pb2, state_pb2
from server import feed
from server.changes import model_rows, state_change
from server.intake import Intake
from server.loaders.redis_state import RedisStateLoader
from tests.control_harness import Control, play, put_account
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
from tests.small_engine import new_small_engine

ACCOUNT = state_pb2.CHANGE_KIND_ACCOUNT
INSTRUMENT = state_pb2.CHANGE_KIND_INSTRUMENT
MARKET = state_pb2.CHANGE_KIND_MARKET
MODEL = state_pb2.CHANGE_KIND_MODEL

CLOSED = admin_pb2.ChangeNote(reason="closed")


@contextmanager
def recovered(url: str, receiver: Receiver, version: int) -> Iterator[RedisStateLoader]:
    """Run the feed of an engine that has everything up to a version."""
    loader = RedisStateLoader(url, receiver, SEAL, block_ms=50, known_version=version)
    loader.start()
    try:
        yield loader
    finally:
        loader.stop()


def names(receiver: Receiver) -> list[str]:
    with receiver.lock:
        return [change.key for change in receiver.changes if change.version]


def wait_for(condition: Any, seconds: float) -> bool:
    """Give something that must not happen a moment to happen."""
    try:
        wait(condition, seconds)
    except AssertionError:
        return False
    return True


def test_load_when_the_engine_has_a_part_then_only_what_is_newer_is_handed_on(
    publisher: Publisher, redis_url: str, receiver: Receiver
) -> None:
    for number in range(50):
        publisher.change(RATE, f"OLD/{number}", rate_rows())
    known = publisher.version
    publisher.change(RATE, "NEW/1", rate_rows())
    publisher.change(RATE, "OLD/7", rate_rows())
    publisher.rebuild()
    with recovered(redis_url, receiver, known) as loader:
        assert loader.version == known
        wait(lambda: loader.is_current)
        assert loader.version == publisher.version
        assert sorted(names(receiver)) == ["NEW/1", "OLD/7"]
        publisher.publish(key="NEW/2")
        wait_for_beat(publisher, receiver)
        assert names(receiver)[2:] == ["NEW/2"]


def test_load_when_the_engine_has_all_then_the_stream_goes_on_behind_it(
    publisher: Publisher, redis_url: str, receiver: Receiver
) -> None:
    publisher.rebuild()
    for _ in range(5):
        publisher.publish()
    with recovered(redis_url, receiver, 5) as loader:
        wait_for_beat(publisher, receiver)
        assert names(receiver) == []
        publisher.publish(key="NEW/1")
        wait_for_beat(publisher, receiver)
        assert (receiver.versions(), loader.loads) == ([6], 1)


def test_load_when_an_entity_was_deleted_meanwhile_then_it_is_deleted_in_the_engine_too(
    publisher: Publisher, redis_url: str, receiver: Receiver
) -> None:
    publisher.change(ACCOUNT, "A", account_rows("UTC"))
    publisher.change(ACCOUNT, "B", account_rows("UTC"))
    known = publisher.version
    publisher.rebuild()
    publisher.publish(ACCOUNT, "B", b"")
    publisher.client.delete(feed.STREAM_KEY)
    with recovered(redis_url, receiver, known) as loader:
        wait(lambda: loader.is_current)
        (deletion,) = receiver.changes
        assert (deletion.key, deletion.rows, deletion.version) == ("B", b"", 3)


def test_load_when_entities_are_known_then_time_zones_model_and_measurements_come_all_the_same(
    publisher: Publisher, redis_url: str, receiver: Receiver
) -> None:
    publisher.change(ACCOUNT, "A", account_rows("Europe/London"))
    publisher.change(ACCOUNT, "B", account_rows("Asia/Tokyo"))
    publisher.change(INSTRUMENT, "EURUSD", instrument_rows("America/New_York"))
    publisher.change(INSTRUMENT, "BTCUSD", instrument_rows(""))
    publisher.change(MODEL, "slippage", model_rows("slippage", bytes(range(32)), "1.0.0", 4))
    measured = sealed(state_change(RATE, "EUR/USD", rate_rows()))
    publisher.entities["6:EUR/USD"] = measured
    publisher.rebuild()
    with recovered(redis_url, receiver, publisher.version) as loader:
        wait(lambda: loader.is_current)
        found = {timezone for _, timezone in receiver.timezones}
        assert found == {"Europe/London", "Asia/Tokyo", "America/New_York"}
        (activation,) = receiver.activations
        assert (activation.serial, activation.is_known) == (4, True)
        # Its time decides in the engine whether it is news.
        assert [change.key for change in receiver.changes] == ["EUR/USD"]


def test_load_when_redis_is_behind_the_engine_then_it_waits_and_then_takes_everything(
    publisher: Publisher, redis_url: str, receiver: Receiver
) -> None:
    publisher.change(RATE, "EUR/USD", rate_rows())
    publisher.change(RATE, "EUR/GBP", rate_rows())
    publisher.rebuild()
    with recovered(redis_url, receiver, 3) as loader:
        for _ in range(5):
            publisher.beat()
            assert not wait_for(lambda: loader.is_current, 0.1)
        assert (receiver.changes, loader.version) == ([], 3)
        # The record may have been put back: what came after it is another version 3.
        publisher.change(RATE, "EUR/CHF", rate_rows())
        publisher.change(RATE, "EUR/JPY", rate_rows())
        publisher.rebuild()
        wait_for_beat(publisher, receiver)
        assert sorted(receiver.versions()) == [1, 2, 3, 4]
        assert loader.version == 4


def test_load_when_something_is_damaged_then_nothing_is_taken_and_a_rebuild_is_asked_for(
    publisher: Publisher, redis_url: str, receiver: Receiver
) -> None:
    publisher.change(RATE, "EUR/USD", rate_rows())
    good = publisher.change(RATE, "EUR/GBP", rate_rows())
    publisher.entities["6:EUR/GBP"] = malformed()["short row"]
    publisher.rebuild()
    with recovered(redis_url, receiver, 0) as loader:
        wait(lambda: publisher.client.get(feed.DOUBT_KEY) is not None)
        assert loader.forged > 0
        assert not loader.is_current
        assert receiver.changes == []
        publisher.entities["6:EUR/GBP"] = good
        publisher.rebuild()
        wait(lambda: loader.is_current)
        assert sorted(names(receiver)) == ["EUR/GBP", "EUR/USD"]


class StoppingReceiver(Receiver):
    """An engine that ends while a state is loaded."""

    def put(self, change: bytes, *, is_partial: bool = False) -> bool:
        return len(self.changes) < 5 and super().put(change, is_partial=is_partial)


def test_load_when_it_is_over_then_the_state_has_its_version_and_not_before(
    publisher: Publisher, redis_url: str, receiver: Receiver
) -> None:
    """The hash is in no order: what an engine has seen of it says nothing of what it lacks."""
    for number in range(10):
        publisher.change(RATE, f"OLD/{number}", rate_rows())
    publisher.rebuild()
    ending = StoppingReceiver()
    with recovered(redis_url, ending, 0) as loader:
        wait(lambda: len(ending.changes) == 5)
        assert not wait_for(lambda: loader.is_current, 0.3)
        assert ending.numbered == []
    with recovered(redis_url, receiver, 0) as loader:
        wait(lambda: loader.is_current)
        assert (len(receiver.changes), receiver.numbered) == (10, [10])
        publisher.publish(key="NEW/1")
        wait_for_beat(publisher, receiver)
        assert receiver.numbered == [10, 11]


def test_engine_when_a_change_is_part_of_a_load_then_its_state_gets_no_version(
    publisher: Publisher,
) -> None:
    engine = new_small_engine()
    before = engine.state_version
    change = publisher.change(RATE, "EUR/USD", rate_rows())
    later = state_change(RATE, "EUR/USD", rate_rows(), version=before + 9).SerializeToString()
    assert engine.submit(change, is_partial=True)
    assert engine.submit(later, is_partial=True)
    assert engine.drain(time.time_ns()) == 2
    assert engine.state_version == before
    assert Intake(engine, lambda: None).complete(before + 5)
    engine.drain(time.time_ns())
    assert engine.state_version == before + 5
    assert engine.submit(later)
    engine.drain(time.time_ns())
    assert engine.state_version == before + 9


def test_recovery_when_the_record_was_changed_and_redis_emptied_then_the_engine_learns_all(
    database_url: str, redis_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    """The real publisher: what was deleted is still deleted in a Redis that was built anew."""

    async def scenario(parts: Control) -> None:
        for account_id in ("kept", "gone", "changed"):
            await put_account(parts, account_id)
        await parts.published(3)
        # The engine ends here, with version 3.
        await parts.reference.DeleteAccount(
            reference_pb2.DeleteAccountRequest(account_id="gone", note=CLOSED)
        )
        await put_account(parts, "changed", equity=77)
        await put_account(parts, "new")
        await parts.published(6)
        await parts.redis.flushdb()
        await asyncio.to_thread(learn)

    def learn() -> None:
        with recovered(redis_url, receiver, 3) as loader:
            wait(lambda: receiver.beats() > 0)
            assert loader.version == 6
        found: dict[str, Any] = {one.key: one for one in receiver.changes if one.version}
        assert {key: one.version for key, one in found.items()} == {
            "gone": 4,
            "changed": 5,
            "new": 6,
        }
        assert found["gone"].rows == b""
        assert found["changed"].rows != b""

    play(database_url, redis_url, tmp_path, scenario)


@pytest.mark.parametrize("version", [1, 2])
def test_follow_when_the_feed_breaks_off_then_the_next_load_brings_only_what_is_missing(
    publisher: Publisher, redis_url: str, receiver: Receiver, version: int
) -> None:
    for number in range(version):
        publisher.change(RATE, f"OLD/{number}", rate_rows())
    publisher.rebuild()
    with recovered(redis_url, receiver, version) as loader:
        wait(lambda: loader.is_current)
        publisher.publish(key="SEEN/1")
        wait(lambda: loader.version == version + 1)
        lost = publisher.change(RATE, "LOST/1", rate_rows())
        publisher.client.hset(feed.STATE_KEY, "6:LOST/1", lost)
        publisher.publish(key="SEEN/2")
        wait(lambda: loader.loads == 2)
        wait_for_beat(publisher, receiver)
        assert names(receiver)[0] == "SEEN/1"
        assert sorted(names(receiver)[1:]) == ["LOST/1", "SEEN/2"]
