import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.child import Child
from server.embedded.process import start_process, stop_process, wait_until
from server.watcher import Watcher
from tests.stack_harness import lives


class Sleeper:
    """A real process that does nothing until it is ended."""

    def __init__(self, log_path: Path) -> None:
        self._log_path = log_path
        self._process: subprocess.Popen[bytes] | None = None
        self.may_start = threading.Event()
        self.may_start.set()
        self.fails = False
        self.is_starting = False

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        if self.fails:
            raise OSError("no such program")
        self.is_starting = True
        assert self.may_start.wait(30)
        self.is_starting = False
        self._process = start_process(
            [sys.executable, "-c", "import signal; signal.pause()"],
            log_path=self._log_path,
            death_signal=signal.SIGTERM,
        )

    def stop(self) -> None:
        if self._process is not None:
            stop_process(self._process, (signal.SIGTERM,))

    def kill(self) -> int:
        """Kill it and return the number that it had."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        return self._process.pid


class Watched:
    """A sleeper under watch."""

    def __init__(self, log_path: Path) -> None:
        self.service = Sleeper(log_path)
        self.restarts = 0
        self.watcher = Watcher(Child("sleeper", self.service), on_start=self._count)
        self.watcher.child.start()
        self.watcher.start()

    def _count(self) -> None:
        self.restarts += 1

    def has_restarted(self) -> bool:
        return self.restarts > 0


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    watched = Watched(tmp_path / "first.log")
    yield watched
    watched.service.may_start.set()
    watched.watcher.stop()
    assert not watched.service.is_running()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Watched]:
    other = Watched(tmp_path / "second.log")
    yield other
    other.watcher.stop()


def test_watcher_when_its_child_is_killed_then_a_new_one_runs_soon_and_stays(
    watched: Watched,
) -> None:
    service = watched.service
    before = service.kill()
    assert wait_until(watched.has_restarted, timeout_s=2)
    assert service.pid not in {None, before}
    # It would get its death signal, were the thread that started it no more.
    assert not wait_until(lambda: not service.is_running(), timeout_s=0.3)


def test_watcher_when_a_restart_hangs_then_others_are_started_again_meanwhile(
    watched: Watched, other: Watched
) -> None:
    watched.service.may_start.clear()
    watched.service.kill()
    assert wait_until(lambda: watched.service.is_starting, timeout_s=2)
    other.service.kill()
    assert wait_until(other.has_restarted, timeout_s=2)
    assert not watched.service.is_running()
    watched.service.may_start.set()
    assert wait_until(watched.has_restarted, timeout_s=2)


def test_watcher_when_held_then_a_dead_child_stays_dead(watched: Watched) -> None:
    watched.watcher.hold()
    watched.service.kill()
    assert not wait_until(watched.service.is_running, timeout_s=0.5)
    assert watched.restarts == 0


def test_watcher_when_a_restart_fails_then_it_tries_again(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.service.fails = True
    watched.service.kill()
    assert wait_until(lambda: "could not be started" in caplog.text, timeout_s=5)
    watched.service.fails = False
    assert wait_until(watched.has_restarted, timeout_s=5)


def test_watcher_when_stopped_then_the_child_it_started_is_gone(watched: Watched) -> None:
    watched.service.kill()
    assert wait_until(watched.has_restarted, timeout_s=2)
    pid = watched.service.pid
    assert pid is not None
    watched.watcher.stop()
    assert not lives(pid)


def test_watcher_when_it_never_began_then_stop_ends_the_child_too(tmp_path: Path) -> None:
    service = Sleeper(tmp_path / "log")
    watcher = Watcher(Child("sleeper", service), on_start=lambda: None)
    watcher.child.start()
    assert service.is_running()
    watcher.stop()
    assert not service.is_running()


def test_start_process_when_descriptors_are_named_then_only_these_are_inherited(
    tmp_path: Path,
) -> None:
    ours, theirs = os.pipe()
    code = f"import os; os.write({theirs}, str(os.path.exists('/proc/self/fd/{ours}')).encode())"
    process = start_process(
        [sys.executable, "-c", code],
        log_path=tmp_path / "log",
        death_signal=signal.SIGKILL,
        descriptors=[theirs],
    )
    os.close(theirs)
    assert process.wait(30) == 0, (tmp_path / "log").read_text()
    assert os.read(ours, 100) == b"False"
    os.close(ours)
