"""How long an engine takes from its start until it serves, behind a snapshot and a long tail.

`python -m benchmarks.journal.restart`: the compiled lane writes the journal under load, a follower
takes the snapshot so many decisions before its end, then fresh processes do what an engine does
when it starts: restore, compare every answer of the tail, begin an epoch, open the port. Each works
on links to the same files. With `--cold` these are not in the page cache, as after a reboot.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from benchmarks.journal.world import JOURNAL, SNAPSHOTS, find_model
from benchmarks.lane import servers
from benchmarks.lane.__main__ import build_clients, prepare_load
from server.journal.reader import Tail, read_start
from server.journal.segments import list_segments

_SHAPE: Final = (8, 8)
_MIB: Final = 1 << 20
# Part → seconds that passed, seconds that processors worked.
Run = dict[str, tuple[float, float]]
_IMPORTS: Final = "process and imports"
_KERNELS: Final = "kernels from the cache"
_SERVING: Final = "port serves"
_TOTAL: Final = "start to SERVING"
# What `restore_engine` calls → how the table says it.
_PARTS: Final = {
    "newest_snapshot": "snapshot found",
    "Engine": "memory made",
    "load_snapshot": "snapshot loaded",
    "load_slot": "model loaded",
    "recover": "end of the journal found",
}
_TAIL: Final = "tail replayed"
_BEGIN: Final = "epoch begun"


def main() -> None:
    """Measure and print; exit with a message when an answer came out differently."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tail", type=int, default=1_000_000, help="entries behind the snapshot")
    parser.add_argument("--before", type=int, default=1_000_000, help="entries in front of it")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--cold", action="store_true", help="files not in the page cache")
    parser.add_argument("--folder", type=Path, help="keeps the journal, or holds one from before")
    parser.add_argument("--restart", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--began-ns", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.restart:
        print(json.dumps(restart(arguments.restart, arguments.began_ns)))
        return
    with ExitStack() as stack:
        folder = arguments.folder
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="riskgate-restart-"))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        if not (folder / JOURNAL).is_dir():
            _write_journal(folder, arguments.before + arguments.tail)
        number = _take_snapshot(folder, arguments.tail)
        tail = last_entry(folder / JOURNAL) - number
        runs = [_run(folder, is_cold=arguments.cold) for _ in range(arguments.runs)]
    _print_table(runs, tail, is_cold=arguments.cold)


def _write_journal(folder: Path, entries: int) -> None:
    """Let the lane decide under load until the journal has so many entries."""
    build_clients()
    load = prepare_load(100_000, warm_s=0.1, duration_s=2.0)
    folder.mkdir(exist_ok=True)
    server = servers.start_engine("lane", "compiled", durability="process", journal=folder)
    while list_segments(folder / JOURNAL)[-1].first_entry <= entries:
        load.saturate(server, *_SHAPE)
    server.stop()


def last_entry(journal: Path) -> int:
    """Return the number of the newest entry."""
    number = list_segments(journal)[-1].first_entry
    with Tail(journal, number) as tail:
        while found := tail.read(10_000):
            number = found[-1].number
    return number


def _take_snapshot(folder: Path, tail: int) -> int:
    """Write the snapshot so many entries before the end, where there is none; return its entry."""
    # Here, because it loads the kernels, which a fresh process is measured with.
    from server.follower import Follower  # noqa: PLC0415
    from server.hotpath.memory import Capacity  # noqa: PLC0415

    journal = folder / JOURNAL
    wanted = last_entry(journal) - tail
    follower = Follower(
        journal, folder / SNAPSHOTS, Capacity(), find_model, interval_entries=1 << 40
    )
    if follower.snapshotted_number != wanted:
        follower.advance(wanted)
        path = follower.write_snapshot()
        if path is None:
            raise SystemExit(f"{follower.difference_count} answers came out differently")
        print(f"snapshot of entry {wanted:,}: {path.stat().st_size / _MIB:.0f} MiB", flush=True)
    follower.close()
    return wanted


def _run(folder: Path, *, is_cold: bool) -> Run:
    """Start an engine in a process of its own on links to the files."""
    place = Path(tempfile.mkdtemp(prefix="restart-", dir=folder))
    try:
        for name in (JOURNAL, SNAPSHOTS):
            shutil.copytree(folder / name, place / name, copy_function=os.link)
            if is_cold:
                _forget_pages(place / name)
        command = [sys.executable, "-m", "benchmarks.journal.restart", "--restart", str(place)]
        command += ["--began-ns", str(time.time_ns())]
        done = subprocess.run(
            command, check=True, cwd=servers.ROOT, stdout=subprocess.PIPE, text=True
        )
    finally:
        shutil.rmtree(place)
    run: Run = json.loads(done.stdout)
    print(f"  {_TOTAL}: {run[_TOTAL][0]:.2f} s, load {os.getloadavg()[0]:.1f}", flush=True)
    return run


def _forget_pages(folder: Path) -> None:
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fdatasync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class Stopwatch:
    """Seconds by part: what passed, and what the processors worked."""

    def __init__(self, began_ns: int) -> None:
        self.spent: dict[str, tuple[float, float]] = {}
        self._began_ns = began_ns

    def note_so_far(self, part: str) -> None:
        """Note what has passed since the process was started."""
        self.spent[part] = ((time.time_ns() - self._began_ns) / 1e9, time.process_time())

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with its time taken."""

        def call(*arguments: Any, **named: Any) -> Any:
            began, worked = time.perf_counter(), time.process_time()
            try:
                return function(*arguments, **named)
            finally:
                before = self.spent.get(part, (0.0, 0.0))
                passed = before[0] + time.perf_counter() - began
                self.spent[part] = (passed, before[1] + time.process_time() - worked)

        return call


def restart(folder: Path, began_ns: int) -> Run:
    """Do what an engine process does until it serves; return what each part took."""
    from server import restoring  # noqa: PLC0415 - loading the kernels is a part of what is timed
    from server.compiled_port import CompiledPort  # noqa: PLC0415
    from server.engine import Engine  # noqa: PLC0415
    from server.engine_start import begin_serving, lock_journal  # noqa: PLC0415
    from server.hotpath.memory import Capacity  # noqa: PLC0415
    from server.replayer import Replayer, capacity_of, warm_replay  # noqa: PLC0415
    from server.settings import Settings  # noqa: PLC0415

    watch = Stopwatch(began_ns)
    watch.note_so_far(_IMPORTS)
    watch.timed(_KERNELS, lambda: warm_replay(Engine(Capacity())))()
    settings = Settings(data_dir=folder, decision_listen="127.0.0.1:0", lane="compiled")
    with Tail(folder / JOURNAL, 1) as tail:
        capacity = capacity_of(read_start(tail.read(1)[0]))
    lock = lock_journal(folder / JOURNAL)
    with ExitStack() as stack:
        for name, part in _PARTS.items():
            timed = watch.timed(part, getattr(restoring, name))
            stack.enter_context(patch.object(restoring, name, timed))
        replay = watch.timed(_TAIL, Replayer.advance)
        stack.enter_context(patch.object(Replayer, "advance", replay))
        restored = restoring.restore_engine(
            folder / JOURNAL, folder / SNAPSHOTS, capacity, find_model
        )
    begin = watch.timed(_BEGIN, begin_serving)
    started = begin(settings, restored, folder / JOURNAL, lock)

    async def serve() -> CompiledPort:
        port = CompiledPort(settings, started.engine)
        await port.start()
        await port.say_serving()
        return port

    with asyncio.Runner() as runner:
        port = watch.timed(_SERVING, lambda: runner.run(serve()))()
        watch.note_so_far(_TOTAL)
        runner.run(port.stop())
    started.close()
    return watch.spent


def _print_table(runs: list[Run], tail: int, *, is_cold: bool) -> None:
    parts = [_IMPORTS, _KERNELS, *_PARTS.values(), _TAIL, _BEGIN, _SERVING, _TOTAL]
    print(f"\n{'':<26}{'median s':>9}{'min':>8}{'max':>8}{'worked':>9}")
    for part in parts:
        passed, worked = zip(*(run[part] for run in runs if part in run), strict=True)
        print(
            f"{part:<26}{statistics.median(passed):>9.3f}{min(passed):>8.3f}{max(passed):>8.3f}"
            f"{statistics.median(worked):>9.3f}"
        )
    rate = tail / statistics.median(run[_TAIL][0] for run in runs)
    print(
        f"{tail:,} entries behind the snapshot, {rate:,.0f} a second; {len(runs)} runs, "
        f"files {'not ' if is_cold else ''}in the page cache; `worked`: processor time"
    )


if __name__ == "__main__":
    main()
