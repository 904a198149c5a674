"""How long an engine takes from its start until it serves, behind a snapshot and a long tail.

`python -m benchmarks.journal.restart`: the compiled lane writes the journal under load, a follower
takes the snapshot so many decisions before its end, then fresh processes do what an engine does
when it starts: restore, compare every answer of the tail, begin an epoch, open the port. Each works
on links to the same files. With `--cold` these are not in the page cache, as after a reboot.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from benchmarks.journal.restarted import PARTS, TAIL, TOTAL, Run
from benchmarks.journal.world import JOURNAL, SNAPSHOTS, find_model
from benchmarks.lane import servers
from benchmarks.lane.__main__ import build_clients, prepare_load
from server.hotpath.memory import Capacity
from server.journal.reader import Tail
from server.journal.segments import list_segments
from server.replays.follower import Follower

_SHAPE: Final = (8, 8)
_MIB: Final = 1 << 20


def main() -> None:
    """Measure and print; exit with a message when an answer came out differently."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tail", type=int, default=1_000_000, help="entries behind the snapshot")
    parser.add_argument("--before", type=int, default=1_000_000, help="entries in front of it")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--cold", action="store_true", help="files not in the page cache")
    parser.add_argument("--folder", type=Path, help="keeps the journal, or holds one from before")
    arguments = parser.parse_args()
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
        command = [sys.executable, "-m", "benchmarks.journal.restarted", str(place)]
        command.append(str(time.time_ns()))
        done = subprocess.run(
            command, check=True, cwd=servers.ROOT, stdout=subprocess.PIPE, text=True
        )
    finally:
        shutil.rmtree(place)
    run: Run = json.loads(done.stdout)
    print(f"  {TOTAL}: {run[TOTAL][0]:.2f} s, load {os.getloadavg()[0]:.1f}", flush=True)
    return run


def _forget_pages(folder: Path) -> None:
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fdatasync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _print_table(runs: list[Run], tail: int, *, is_cold: bool) -> None:
    print(f"\n{'':<26}{'median s':>9}{'min':>8}{'max':>8}{'worked':>9}")
    for part in PARTS:
        passed, worked = zip(*(run[part] for run in runs if part in run), strict=True)
        print(
            f"{part:<26}{statistics.median(passed):>9.3f}{min(passed):>8.3f}{max(passed):>8.3f}"
            f"{statistics.median(worked):>9.3f}"
        )
    rate = tail / statistics.median(run[TAIL][0] for run in runs)
    print(
        f"{tail:,} entries behind the snapshot, {rate:,.0f} a second; {len(runs)} runs, "
        f"files {'not ' if is_cold else ''}in the page cache; `worked`: processor time"
    )


if __name__ == "__main__":
    main()
