"""A program whose children do one piece of work each, so that a test can kill them in it.

It loads everything once. For each line on its input, phase and data directory as JSON, it makes a
child, which gets ready, stops itself, and does the work when it is continued; the program says the
number of the child, and how it ended. What was done is noted in a mapped file, because a note must
be no call that the system could see.
"""

import json
import mmap
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Final

import numpy as np

from server.embedded.process import wait_until
from server.engine_start import Started, start_engine
from server.hotpath.journal.syncing import sync_nb
from server.replays.replayer import NUMBER_MAX
from server.settings import Settings, load_settings
from tests.faults.snapshotting import open_follower
from tests.small_engine import NOW_NS, rate_change, rate_of

ROTATIONS: Final = 2
ENTRIES: Final = 200
SNAPSHOT_ENTRIES: Final = 50
NOTE_FILE: Final = "noted"
_WAIT_S: Final = 60

Work = Callable[[], None]


class Note:
    """One number in a file, stored without a system call: what has been acknowledged."""

    def __init__(self, data_dir: Path) -> None:
        path = data_dir / NOTE_FILE
        if not path.exists():
            path.write_bytes(bytes(mmap.PAGESIZE))
        with path.open("r+b") as file:
            self._word = np.frombuffer(mmap.mmap(file.fileno(), mmap.PAGESIZE), np.int64, 1)

    @property
    def value(self) -> int:
        """The number."""
        return int(self._word[0])

    @value.setter
    def value(self, number: int) -> None:
        self._word[0] = number


def apply_change(started: Started, version: int) -> None:
    """Set the rate of an engine to a number, journaled as durably as its settings say."""
    engine = started.engine
    assert engine.submit(rate_change(version))
    assert wait_until(lambda: engine.drain(NOW_NS + version) == 1, timeout_s=_WAIT_S)
    assert sync_nb(engine.journal[0])


def begin_rotate(settings: Settings) -> Work:
    """Fill segment after segment."""
    started, note = start_engine(settings), Note(settings.data_dir)

    def work() -> None:
        record = started.engine.journal[0]
        rotated = record["rotations"] + ROTATIONS
        for version in count(note.value + 1):
            apply_change(started, version)
            note.value = version
            if record["rotations"] >= rotated:
                break
        started.close()

    return work


def begin_start(settings: Settings) -> Work:
    """Start an engine, let it do a little, and stop it."""
    note = Note(settings.data_dir)

    def work() -> None:
        started = start_engine(settings)
        assert rate_of(started.engine) >= note.value
        for version in range(rate_of(started.engine) + 1, rate_of(started.engine) + 11):
            apply_change(started, version)
            note.value = version
        started.close()

    return work


def begin_snapshot(settings: Settings) -> Work:
    """Replay a journal and write snapshots on the way, older ones going."""
    follower = open_follower(settings, SNAPSHOT_ENTRIES)

    def work() -> None:
        follower.advance(NUMBER_MAX)
        assert follower.difference_count == 0
        follower.close()

    return work


def begin_prepare(settings: Settings) -> Work:
    """Make a journal with a few entries."""
    note = Note(settings.data_dir)

    def work() -> None:
        started = start_engine(settings)
        for version in range(1, ENTRIES + 1):
            apply_change(started, version)
            note.value = version
        # It ends without a word: a prepared segment stays.

    return work


def begin_check(settings: Settings) -> Work:
    """Start as after any other night: everything that was noted is there."""
    note = Note(settings.data_dir)

    def work() -> None:
        started = start_engine(settings)
        found = rate_of(started.engine)
        assert note.value <= found <= note.value + 1, f"{found} behind {note.value} noted"
        apply_change(started, found + 1)
        note.value = found + 1
        started.close()

    return work


_PHASES: Final = {
    "prepare": begin_prepare,
    "rotate": begin_rotate,
    "start": begin_start,
    "snapshot": begin_snapshot,
    "check": begin_check,
}


def _be_child(phase: str, data_dir: Path) -> None:
    status = 1
    try:
        work = _PHASES[phase](load_settings(data_dir=data_dir))
        os.kill(os.getpid(), signal.SIGSTOP)
        work()
        status = 0
    finally:
        # Nothing of the parent's is to be ended here.
        if status:
            sys.excepthook(*sys.exc_info())
        os._exit(status)


def _warm() -> None:
    """Load all kernels here, so that no child has to."""
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(data_dir=Path(folder))
        for phase in ("start", "snapshot", "check"):
            _PHASES[phase](settings)()


def serve() -> None:
    """Make children until the input ends."""
    _warm()
    for line in sys.stdin:
        phase, folder = json.loads(line)
        child = os.fork()
        if child == 0:
            _be_child(phase, Path(folder))
        os.waitpid(child, os.WUNTRACED)
        print(child, flush=True)  # noqa: T201 - this is how it answers
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201 - same


if __name__ == "__main__":
    serve()
