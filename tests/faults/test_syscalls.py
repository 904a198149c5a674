"""A process is killed before its n-th system call of each kind: rotate, start, snapshot."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Final

import pytest

from server.hotpath.journal.entries import HEADER_BYTES
from server.journal.segments import list_segments
from tests.faults.tracing import injecting, skip_without_ptrace
from tests.faults.victim import SETTINGS

_ROOT: Final = Path(__file__).parents[2]
CALLS: Final = (
    *("openat", "fallocate", "pwrite64", "write", "fsync", "fdatasync", "rename", "unlink"),
    *("mmap", "ftruncate"),
)
MORE_CALLS: Final = ("munmap", "madvise", "close", "lseek", "flock", "mkdir")
PHASES: Final = ("rotate", "start", "snapshot")
CALLS_MAX: Final = 400


class Rehearsal:
    """The program of rehearsal.py.

    Args:
        durability: Setting of its engines.
    """

    def __init__(self, durability: str) -> None:
        settings = {**SETTINGS, "durability": durability, "journal_segment_bytes": 1 << 20}
        named = {f"RISKGATE_{name.upper()}": str(value) for name, value in settings.items()}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.rehearsal"],
            cwd=_ROOT,
            env={**os.environ, **named},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, phase: str, data_dir: Path, inject: str = "") -> int:
        """Do one piece of work, perhaps with a fault; return the exit status."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([phase, str(data_dir)]) + "\n")
        self._process.stdin.flush()
        child = self._read_number()
        if not inject:
            os.kill(child, signal.SIGCONT)
            return self._read_number()
        with injecting(child, f"inject={inject}", data_dir.with_suffix(".trace")):
            os.kill(child, signal.SIGCONT)
            return self._read_number()

    def stop(self) -> None:
        """End the program."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        assert self._process.wait(60) == 0
        self._process.stdout.close()

    def _read_number(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())


@contextmanager
def rehearsing(durability: str) -> Iterator[Rehearsal]:
    skip_without_ptrace()
    rehearsal = Rehearsal(durability)
    try:
        yield rehearsal
    finally:
        rehearsal.stop()


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize(("durability", "number"), [("process", 1), ("disk", 2)])
def test_a_process_killed_at_a_system_call_loses_nothing(
    phase: str, durability: str, number: int
) -> None:
    kill_at_calls(phase, durability, CALLS, lambda: [number])


@pytest.mark.campaign
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("durability", ["process", "disk"])
def test_a_process_killed_at_every_system_call_loses_nothing(phase: str, durability: str) -> None:
    kill_at_calls(phase, durability, CALLS + MORE_CALLS, lambda: count(1))


def kill_at_calls(
    phase: str, durability: str, calls: Iterable[str], numbers: Callable[[], Iterable[int]]
) -> None:
    """Kill before the n-th call of each kind until a run gets through; check each time."""
    kills: dict[str, int] = {}
    # In memory: what counts here is the order of the calls, and a tree is copied for each of them.
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, rehearsing(durability) as rehearsal:
        prepared, data_dir = Path(folder) / "prepared", Path(folder) / "data"
        prepared.mkdir()
        assert rehearsal.run("prepare", prepared) == 0
        tear_tail(prepared / "journal")
        for call in calls:
            kills[call] = 0
            for number in numbers():
                shutil.copytree(prepared, data_dir)
                fault = f"{call}:signal=KILL:when={number}"
                status = rehearsal.run(phase, data_dir, fault)
                assert status in {0, -signal.SIGKILL}, f"{phase}, {fault}: {status}"
                assert rehearsal.run("check", data_dir) == 0, f"{phase}, {fault}"
                assert rehearsal.run("snapshot", data_dir) == 0, f"{phase}, {fault}"
                shutil.rmtree(data_dir)
                if status == 0 or number == CALLS_MAX:
                    break
                kills[call] += 1
    print(f"\n{phase}, {durability}: {sum(kills.values())} kills, 0 lost: {kills}")  # noqa: T201
    assert sum(kills.values()) > 0


def tear_tail(journal: Path) -> None:
    """Leave an entry that was begun and not finished: all but its first word."""
    last = list_segments(journal)[-1]
    data = last.path.read_bytes()
    at = HEADER_BYTES
    while size := int.from_bytes(data[at : at + 4], "little"):
        at += size
    with last.path.open("r+b") as file:
        file.seek(at + 8)
        file.write(bytes(range(1, 201)))
