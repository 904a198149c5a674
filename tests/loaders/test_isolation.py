"""A trial run that is told to do harm: no network, no process, no file, not one signal to others.

What the machine does not allow is skipped and says so.
"""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from server.loaders.isolation import Isolation

ROOT: Final = Path(__file__).parents[2]
BEGIN: Final = """
import ctypes, os, signal, socket, subprocess, sys, threading
from server.loaders.isolation import filter_system_calls, leave_network
network = leave_network()
import numpy as np
from server.loaders.canary import limit_resources
limit_resources()
"""
FILTERED: Final = "calls = filter_system_calls()\n"


def run(script: str, *, begin: str = BEGIN) -> subprocess.CompletedProcess[str]:
    """Run a child as a trial run is, up to the model, and then this."""
    return subprocess.run(
        [sys.executable, "-E", "-s", "-c", begin + script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def in_force() -> Isolation:
    done = run(FILTERED + "print(int(network | calls))")
    assert done.returncode == 0, done.stderr
    return Isolation(int(done.stdout))


def needs(in_force: Isolation, part: Isolation) -> None:
    if part not in in_force:
        pytest.skip(f"{part.name}: this machine does not allow it")


@pytest.mark.parametrize(
    "harm",
    [
        "socket.socket()",
        "socket.socket(socket.AF_UNIX)",
        "socket.socketpair()",
        "os.fork()",
        "subprocess.run(['true'])",
        "os.execv('/bin/true', ['true'])",
        "os.kill(os.getppid(), 0)",
        "os.kill(os.getpid(), 0)",
        "open('left-behind', 'w')",
        "open('left-behind', 'xb')",
        "open('pyproject.toml', 'a')",
        "os.mkdir('left-behind')",
        "os.unlink('pyproject.toml')",
        "os.rename('pyproject.toml', 'left-behind')",
        "os.chmod('pyproject.toml', 0)",
        "os.symlink('pyproject.toml', 'left-behind')",
        "os.truncate('pyproject.toml', 0)",
        "os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)",
        "os.memfd_create('code')",
        "__import__('resource').setrlimit(__import__('resource').RLIMIT_AS, (-1, -1))",
    ],
)
def test_what_is_not_computing_is_refused(in_force: Isolation, harm: str) -> None:
    needs(in_force, Isolation.SYSTEM_CALLS)
    before = (ROOT / "pyproject.toml").stat().st_mode
    done = run(f"{FILTERED}{harm}")
    assert done.returncode == 1
    assert "PermissionError" in done.stderr or "not allowed to raise" in done.stderr
    assert not (ROOT / "left-behind").exists()
    assert (ROOT / "pyproject.toml").stat().st_mode == before


def test_threads_cannot_be_started_and_those_that_run_are_filtered_too(in_force: Isolation) -> None:
    needs(in_force, Isolation.SYSTEM_CALLS)
    done = run(f"{FILTERED}threading.Thread(target=print).start()")
    assert "can't start new thread" in done.stderr
    script = f"""
go, done = threading.Event(), []
def harm():
    go.wait()
    try:
        socket.socket()
    except PermissionError:
        done.append("refused")
thread = threading.Thread(target=harm)
thread.start()
{FILTERED}
go.set()
thread.join()
print(done)
"""
    assert run(script).stdout == "['refused']\n"


def test_the_network_of_the_machine_is_not_there_even_without_the_filter(
    in_force: Isolation,
) -> None:
    needs(in_force, Isolation.NETWORK)
    with socket.create_server(("127.0.0.1", 0)) as server:
        call = f"socket.create_connection({server.getsockname()!r}, timeout=60)"
        outside = run(f"import socket; {call}", begin="")
        assert outside.returncode == 0, outside.stderr
        inside = run(call)
    assert inside.returncode == 1
    assert "Network is unreachable" in inside.stderr


def test_computing_and_reading_go_on(in_force: Isolation) -> None:
    script = """
print(float((np.ones((300, 300)) @ np.ones((300, 300)))[0, 0]), len(os.listdir(".")) > 3)
print(open("pyproject.toml").readline() != "")
"""
    done = run(FILTERED + script)
    assert done.stdout.split() == ["300.0", "True", "True"], (in_force, done.stderr)


@pytest.mark.parametrize(
    ("harm", "end"),
    [
        ("ctypes.string_at(0)", -11),
        ("os.abort()", -6),
        ("bytearray(2 << 30)", 1),
        ("np.ones(1 << 28)", 1),
        ("[bytes(1 << 20) for _ in range(1 << 20)]", 1),
    ],
)
def test_a_crash_and_a_flood_of_memory_end_the_child_alone(harm: str, end: int) -> None:
    done = run(f"{FILTERED}{harm}")
    assert done.returncode == end, done.stderr


def test_an_endless_loop_is_ended_by_the_limit_of_processor_time() -> None:
    done = run(f"{FILTERED}\nwhile True: pass")
    assert -done.returncode in {9, 24}  # SIGKILL or SIGXCPU


def test_the_server_is_not_isolated_itself() -> None:
    with socket.socket():
        assert os.access("/proc/self", os.R_OK)
