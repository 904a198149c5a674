"""A replica that is behind becomes the primary: two real Redis servers, the real publisher.

What everybody dials is a link to the socket of the server that is primary now, as a name or a
floating address would be elsewhere.
"""

import asyncio
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis

from riskgate.v1 import admin_pb2, reference_pb2
from server import feed
from server.addresses import resolve_port, split_address
from server.embedded.binaries import find_redis
from server.embedded.process import start_process, stop_process
from server.loaders.redis_state import RedisStateLoader
from tests.control_harness import Control, play, put_account
from tests.feed_harness import SEAL, Publisher, Receiver, rate_rows, wait, wait_for_beat

RATE_KEYS = ("EUR/USD", "EUR/GBP", "EUR/CHF", "EUR/JPY")

CLOSED = admin_pb2.ChangeNote(reason="closed")


class Server:
    """One Redis with a TCP port for its replica and a Unix socket for everybody else."""

    def __init__(self, folder: Path, name: str) -> None:
        self.socket = folder / f"{name}.sock"
        self.port = split_address(resolve_port("redis", "127.0.0.1:0"))[1]
        self.process: subprocess.Popen[bytes] = start_process(
            [
                *(str(find_redis(None)), "--bind", "127.0.0.1", "--port", str(self.port)),
                *("--unixsocket", str(self.socket), "--dir", str(folder), "--save", ""),
                *("--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0"),
                *("--dbfilename", f"{name}.rdb"),
            ],
            log_path=folder / f"{name}.log",
            death_signal=signal.SIGKILL,
        )
        self.client: Any = redis.Redis.from_url(f"unix://{self.socket}", socket_timeout=5)
        wait(self.answers)

    def answers(self) -> bool:
        with suppress(redis.RedisError):
            return bool(self.client.ping())
        return False

    def version(self) -> int:
        return int(self.client.get(feed.VERSION_KEY) or 0)

    def stop(self) -> None:
        self.client.close()
        stop_process(self.process, (signal.SIGKILL,))


class Pair:
    """A primary, its replica, and the link by which the primary is dialled."""

    def __init__(self, folder: Path) -> None:
        self.old, self.new = Server(folder, "old"), Server(folder, "new")
        self._link = folder / "redis.sock"
        self._link.symlink_to(self.old.socket)
        self.url = f"unix://{self._link}?db=0"
        self.new.client.replicaof("127.0.0.1", self.old.port)
        wait(lambda: self.new.client.info("replication")["master_link_status"] == "up")

    def cut(self) -> None:
        """Let the replica fall behind from now on; it keeps what it has."""
        self.new.client.replicaof("127.0.0.1", 1)

    def promote(self) -> None:
        """Lose the primary, and put the replica in its place as it is."""
        self.old.process.kill()
        self.old.process.wait()
        self.new.client.replicaof("NO", "ONE")
        aside = self._link.with_suffix(".next")
        aside.symlink_to(self.new.socket)
        aside.replace(self._link)

    def stop(self) -> None:
        self.old.stop()
        self.new.stop()


@pytest.fixture
def pair() -> Iterator[Pair]:
    # A socket's path is short, pytest's own folders are not.
    with tempfile.TemporaryDirectory(prefix="riskgate-test-") as folder:
        made = Pair(Path(folder))
        yield made
        made.stop()


@pytest.fixture
def loader(pair: Pair, receiver: Receiver) -> Iterator[RedisStateLoader]:
    made = RedisStateLoader(pair.url, receiver, SEAL, block_ms=50)
    yield made
    made.stop()


def test_promote_when_the_replica_is_behind_then_the_engine_waits_until_it_is_rebuilt(
    pair: Pair, database_url: str, tmp_path: Path, receiver: Receiver, loader: RedisStateLoader
) -> None:
    async def scenario(parts: Control) -> None:
        loader.start()
        for account_id in ("kept", "gone"):
            await put_account(parts, account_id)
        await parts.published(2)
        await asyncio.to_thread(wait, lambda: pair.new.version() == 2)
        pair.cut()
        await parts.reference.DeleteAccount(
            reference_pb2.DeleteAccountRequest(account_id="gone", note=CLOSED)
        )
        await put_account(parts, "kept", equity=77)
        await parts.published(4)
        generation = int(await parts.redis.get(feed.GENERATION_KEY) or 0)
        await asyncio.to_thread(wait, lambda: loader.version == 4)
        assert pair.new.version() == 2
        seen = len(receiver.changes)
        await asyncio.to_thread(pair.promote)
        await asyncio.to_thread(wait, lambda: loader.version == 4 and loader.is_current)
        await asyncio.to_thread(wait, lambda: pair.new.version() == 4)
        assert int(pair.new.client.get(feed.GENERATION_KEY)) > generation
        await put_account(parts, "new")
        await parts.published(5)
        await asyncio.to_thread(wait, lambda: loader.version == 5)
        beats = receiver.beats()
        await asyncio.to_thread(wait, lambda: receiver.beats() > beats)
        # Whatever came after the promotion is the state of the record, never the replica's.
        later = {(each.key, each.version) for each in receiver.changes[seen:] if each.version}
        assert later <= {("gone", 3), ("kept", 4), ("new", 5)}
        assert ("new", 5) in later
        newest = {each.key: each for each in receiver.changes if each.version}
        assert {key: each.version for key, each in newest.items()} == {
            "gone": 3,
            "kept": 4,
            "new": 5,
        }
        assert newest["gone"].rows == b""

    play(database_url, pair.url, tmp_path, scenario)


def test_promote_when_nobody_rebuilds_then_no_heartbeat_vouches_for_the_old_state(
    pair: Pair, receiver: Receiver, loader: RedisStateLoader
) -> None:
    publisher = Publisher(pair.old.client)
    publisher.rebuild()
    loader.start()
    wait(lambda: loader.is_current)
    publisher.publish(key=RATE_KEYS[0])
    wait(lambda: loader.version == 1 and pair.new.version() == 1)
    pair.cut()
    publisher.publish(key=RATE_KEYS[1])
    wait_for_beat(publisher, receiver)
    pair.promote()
    wait(lambda: loader.outages > 0 and not loader.is_current)
    beats, versions = receiver.beats(), receiver.versions()
    # A publisher that knows no better beats over the old state.
    stale = Publisher(pair.new.client, generation=publisher.generation, version=1)
    for _ in range(5):
        stale.beat()
        stale.client.ping()
    with pytest.raises(AssertionError):
        wait(lambda: loader.is_current or receiver.beats() > beats, 1.0)
    assert (receiver.versions(), loader.version) == (versions, 2)


def test_promote_when_the_replica_has_everything_then_it_is_followed_without_a_rebuild(
    pair: Pair, receiver: Receiver, loader: RedisStateLoader
) -> None:
    publisher = Publisher(pair.old.client)
    publisher.rebuild()
    loader.start()
    wait(lambda: loader.is_current)
    for key in RATE_KEYS:
        publisher.publish(key=key, rows=rate_rows())
    wait(lambda: loader.version == 4)
    wait(lambda: pair.new.client.xlen(feed.STREAM_KEY) == 4)
    pair.promote()
    wait(lambda: loader.outages > 0)
    publisher.client = pair.new.client
    publisher.publish(key="EUR/NOK")
    wait_for_beat(publisher, receiver)
    assert receiver.versions() == [1, 2, 3, 4, 5]
    assert loader.loads == 1
