"""A journal shipped through a real Redis arrives byte for byte, or one is told what lacks."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from server import feed
from server.errors import JournalError, UnavailableError
from server.journal.segments import list_segments
from server.loaders.redis_journal import RedisJournal
from server.shards import WHOLE
from server.standby.journal_stream import JournalCopy, Receiver, Shipper, Window
from tests.feed_harness import SEAL
from tests.journal_builder import JournalBuilder


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    connection = redis.Redis.from_url(redis_url, socket_timeout=5)
    connection.flushdb()
    yield connection
    connection.flushdb()
    connection.close()


@pytest.fixture
def stream(redis_url: str, client: Any) -> Iterator[RedisJournal]:
    made = RedisJournal(redis_url, WHOLE, SEAL)
    yield made
    made.close()


def write(builder: JournalBuilder, count: int) -> None:
    for number in range(count):
        builder.call(bytes(200 + number % 50), b"answer")


def ship_all(shipper: Shipper) -> int:
    count = 0
    while shipped := shipper.ship():
        count += shipped
    return count


def receive_all(receiver: Receiver) -> None:
    while receiver.receive():
        pass


def assert_same_files(one: Path, other: Path) -> None:
    """Every begun segment has the same bytes."""
    names = [segment.path.name for segment in list_segments(one)]
    assert names == [segment.path.name for segment in list_segments(other)]
    for name in names:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


def test_a_journal_arrives_byte_for_byte_while_it_is_written(
    tmp_path: Path, stream: RedisJournal
) -> None:
    with JournalBuilder(tmp_path / "theirs") as builder:
        shipper = Shipper(tmp_path / "theirs", stream)
        receiver = Receiver(stream, JournalCopy(tmp_path / "ours"))
        for _ in range(5):
            write(builder, 300)
            ship_all(shipper)
            receive_all(receiver)
            assert receiver.number == builder.number - 1
            assert_same_files(tmp_path / "theirs", tmp_path / "ours")
        assert len(list_segments(tmp_path / "ours")) > 3
    shipper.close()
    receiver.close()


def test_both_ends_go_on_where_they_were(tmp_path: Path, stream: RedisJournal) -> None:
    with JournalBuilder(tmp_path / "theirs") as builder:
        for _ in range(4):
            write(builder, 120)
            shipper = Shipper(tmp_path / "theirs", stream)
            receiver = Receiver(stream, JournalCopy(tmp_path / "ours"))
            assert ship_all(shipper) in {120, 121}  # the START entry is the first
            receive_all(receiver)
            shipper.close()
            receiver.close()
            assert_same_files(tmp_path / "theirs", tmp_path / "ours")


def test_an_entry_is_taken_once_however_often_it_is_sent(
    tmp_path: Path, stream: RedisJournal, client: Any
) -> None:
    with JournalBuilder(tmp_path / "theirs") as builder:
        write(builder, 10)
    shipper = Shipper(tmp_path / "theirs", stream)
    add, sent = stream.add, []

    def lose_the_answer(entries: Any, newest: int) -> int:
        sent.append(len(entries))
        add(entries, newest)
        if len(sent) == 1:
            raise UnavailableError("redis")
        return add(entries, newest)

    stream.add = lose_the_answer  # type: ignore[method-assign]
    with pytest.raises(UnavailableError):
        shipper.ship()
    assert shipper.ship() == 11
    assert sent == [11, 11]
    assert client.xlen(feed.journal_keys("0/1")[0]) == 11
    shipper.close()


def test_the_window_is_what_has_not_arrived(tmp_path: Path, stream: RedisJournal) -> None:
    with JournalBuilder(tmp_path / "theirs") as builder:
        shipper = Shipper(tmp_path / "theirs", stream)
        receiver = Receiver(stream, JournalCopy(tmp_path / "ours"))
        write(builder, 30)
        ship_all(shipper)
        assert shipper.window.entries == 31
        assert shipper.window.age_ms > 0
        receive_all(receiver)
        assert (receiver.newest, receiver.number) == (31, 31)
        write(builder, 1)
        shipper.ship()
        assert shipper.window.entries == 1
        receive_all(receiver)
        write(builder, 1)
        shipper.ship()
        receive_all(receiver)
        write(builder, 0)
        assert _quiet(shipper) == Window(0, 0.0)
    shipper.close()
    receiver.close()


def _quiet(shipper: Shipper) -> Window:
    """Return the window once the other end has been asked again."""
    shipper._said_s = 0.0
    shipper.ship()
    return shipper.window


def test_a_copy_that_is_too_far_behind_is_told_what_to_do(
    tmp_path: Path, stream: RedisJournal, client: Any
) -> None:
    with JournalBuilder(tmp_path / "theirs") as builder:
        shipper = Shipper(tmp_path / "theirs", stream)
        receiver = Receiver(stream, JournalCopy(tmp_path / "ours"))
        write(builder, 20)
        ship_all(shipper)
        receive_all(receiver)
        write(builder, 20)
        ship_all(shipper)
        client.xtrim(feed.journal_keys("0/1")[0], minid="30-0", approximate=False)
        with pytest.raises(JournalError, match="entry 22 is no longer in redis, the next is 30"):
            receiver.receive()
        receiver.start()
        receiver._thread.join(10)
        assert "replica" in str(receiver.failure)
    shipper.close()
    receiver.stop()
    receiver.close()


def test_an_empty_copy_begins_with_a_whole_segment_and_no_later_than_its_snapshot(
    tmp_path: Path, stream: RedisJournal, client: Any
) -> None:
    with JournalBuilder(tmp_path / "theirs") as builder:
        write(builder, 600)
    shipper = Shipper(tmp_path / "theirs", stream)
    ship_all(shipper)
    shipper.close()
    second = list_segments(tmp_path / "theirs")[1].first_entry
    client.xtrim(feed.journal_keys("0/1")[0], minid="50-0", approximate=False)
    late = Receiver(stream, JournalCopy(tmp_path / "late", after=40))
    with pytest.raises(JournalError, match=f"entry 41 is no longer in redis, the next is {second}"):
        late.receive()
    ours = Receiver(stream, JournalCopy(tmp_path / "ours", after=second + 5))
    receive_all(ours)
    assert ours.number == 601
    list_segments(tmp_path / "theirs")[0].path.unlink()
    assert_same_files(tmp_path / "theirs", tmp_path / "ours")
    ours.close()


def test_the_stream_of_another_engine_is_not_continued(
    tmp_path: Path, stream: RedisJournal
) -> None:
    with JournalBuilder(tmp_path / "one") as builder:
        write(builder, 30)
    Shipper(tmp_path / "one", stream).ship()
    with JournalBuilder(tmp_path / "other") as builder:
        write(builder, 10)
    with pytest.raises(JournalError, match="another engine has written it"):
        Shipper(tmp_path / "other", stream)


def test_an_absent_redis_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    away = RedisJournal(f"unix://{tmp_path}/nobody.sock", WHOLE, SEAL)
    receiver = Receiver(away, JournalCopy(tmp_path / "ours"))
    with pytest.raises(UnavailableError):
        receiver.receive()
    receiver.start()
    receiver.finish()
    receiver.close()
    assert receiver.failure is None
    assert "the end of the stream cannot be read" in caplog.text
    away.close()
