"""Processes beside the engine that are killed too: its Redis, and whoever writes its snapshots."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Protocol

import redis

from server.embedded.binaries import find_redis
from server.embedded.process import wait_until
from tests.faults.victim import Victim

_ROOT: Final = Path(__file__).parents[2]
_START_TIMEOUT_S: Final = 30


class Bystander(Protocol):
    """Something that must not matter to what was acknowledged."""

    name: str

    def kill(self) -> None:
        """SIGKILL it, and start it again."""


class OwnRedis:
    """A Redis for one test alone; its last second may be lost.

    Not the embedded one: that is started with a fork in which code of ours runs, and gRPC, which
    has threads here, does not survive that.

    Args:
        folder: For its socket and its file.

    Attributes:
        url: Of database 0.
    """

    name = "redis"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = folder / "redis.sock"
        self.url = f"unix://{self._socket}?db=0"
        self._process = self._start()

    def kill(self) -> None:
        """SIGKILL it, and start it again."""
        self.stop()
        self._process = self._start()

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        self._socket.unlink(missing_ok=True)

    def _start(self) -> "subprocess.Popen[bytes]":
        words = ["--port", "0", "--unixsocket", str(self._socket), "--dir", str(self._folder)]
        process = subprocess.Popen(
            [str(find_redis(None)), *words, "--appendonly", "yes", "--save", ""],
            stdout=subprocess.DEVNULL,
        )
        assert wait_until(self._answers, timeout_s=_START_TIMEOUT_S)
        return process

    def _answers(self) -> bool:
        client = redis.Redis.from_url(self.url, socket_timeout=2, retry=None)
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()


class Snapshotter:
    """A process that follows the victim's journal and writes snapshots (snapshotting.py)."""

    name = "snapshotter"

    def __init__(self, victim: Victim, interval_entries: int) -> None:
        self._victim = victim
        self._interval_entries = interval_entries
        self._process = self._start()

    def kill(self) -> None:
        """SIGKILL it, and start it again."""
        assert self._process.poll() is None, self._victim.read_log()
        self.stop()
        self._process = self._start()

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()

    def _start(self) -> "subprocess.Popen[bytes]":
        with self._victim.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.faults.snapshotting", str(self._interval_entries)],
                cwd=_ROOT,
                env=self._victim.environment,
                stdout=log,
                stderr=log,
            )


@contextmanager
def own_redis() -> Iterator[OwnRedis]:
    """Run a Redis that may be killed."""
    # Not below pytest's own folder: the path of a socket is short.
    with TemporaryDirectory(prefix="riskgate-test-") as folder:
        server = OwnRedis(Path(folder))
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def snapshotter_of(victim: Victim, interval_entries: int) -> Iterator[Snapshotter]:
    """Let snapshots be written for a while."""
    snapshotter = Snapshotter(victim, interval_entries)
    try:
        yield snapshotter
    finally:
        snapshotter.stop()
