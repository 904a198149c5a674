"""Faults at chosen system calls of a running process, by strace."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from server.embedded.process import wait_until

_ATTACH_TIMEOUT_S: Final = 60


@cache
def _can_trace() -> bool:
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            injecting(sleeper.pid, "trace=close", Path(folder) / "trace"),
        ):
            return True
    except (OSError, AssertionError):
        return False
    finally:
        sleeper.kill()
        sleeper.wait()


def skip_without_ptrace() -> None:
    """Skip the test, saying why, where no process may be traced."""
    if not _can_trace():
        pytest.skip("strace is missing or ptrace is refused here: this fault was not provoked")


@contextmanager
def injecting(pid: int, expression: str, output: Path) -> Iterator[None]:
    """Trace all threads of a process, and those to come, for a while.

    Args:
        pid: Of the process; it goes on when this ends.
        expression: What `strace -e` takes, as in `inject=fdatasync:error=EIO:when=2`. Calls are
            counted in each thread on its own, from here on.
        output: File that gets the calls that were traced.
    """
    words = ["strace", "-f", "-qq", "-y", "-o", str(output), "-p", str(pid)]
    names = expression.split("=", 1)[1].split(":", 1)[0]
    tracer = subprocess.Popen(
        [*words, "-e", f"trace={names}", "-e", expression, "-e", "signal=none"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert wait_until(
            lambda: tracer.poll() is not None or _is_traced(pid, tracer.pid),
            timeout_s=_ATTACH_TIMEOUT_S,
        )
        assert tracer.poll() is None, "strace has ended"
        yield
    finally:
        if tracer.poll() is None:
            tracer.send_signal(signal.SIGINT)
        tracer.wait(_ATTACH_TIMEOUT_S)


def _is_traced(pid: int, by: int) -> bool:
    """Tell whether every thread of a process has this tracer."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 - asked many times a second
        states = [Path(f"/proc/{pid}/task/{thread}/status").read_text() for thread in threads]
    except FileNotFoundError:
        return False
    return all(f"TracerPid:\t{by}\n" in state for state in states)
