"""`make bench-journal`: the same load on engines that keep nothing, keep, and sync to disk.

One interleaved run; only the ratios mean something elsewhere. Then the journal of the second one is
replayed, every answer compared, and its speed set against what the lane did while it was written.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from benchmarks.journal.world import new_replay
from benchmarks.lane import servers
from benchmarks.lane.__main__ import build_clients, prepare_load
from benchmarks.lane.clients import Series
from server.journal.reader import Tail

DURABILITIES: Final = ("memory", "process", "disk")
_CLIENTS: Final = ((1, 1), (2, 4), (8, 8), (8, 32))


def main() -> None:
    """Measure, print, and exit with a message when an answer was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5)
    arguments = parser.parse_args()
    build_clients()
    load = prepare_load(100_000, warm_s=0.3, duration_s=arguments.seconds)
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="riskgate-bench-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        found: dict[tuple[str, tuple[int, int]], list[Series]] = defaultdict(list)
        replayed: list[tuple[float, int, int]] = []
        for number in range(arguments.rounds):
            step = -1 if number % 2 else 1
            for durability in DURABILITIES[::step]:
                place = folder / f"{number}-{durability}"
                place.mkdir()
                server = servers.start_engine(
                    durability, "compiled", durability=durability, journal=place
                )
                for shape in _CLIENTS:
                    found[durability, shape].append(load.saturate(server, *shape))
                server.stop()
                if durability == "process":
                    replayed.append(_replay(place))
                elif durability == "disk":
                    print(f"  entries per sync: {_entries_per_sync(place):.1f}", flush=True)
                shutil.rmtree(place)
            print(f"round {number + 1} of {arguments.rounds}", flush=True)
    _print_table(found, replayed)


def _entries_per_sync(place: Path) -> float:
    """Return the mean number of entries between two syncs, from the marks in the entries."""
    syncs, entries, synced = 0, 0, -1
    with Tail(place / "journal", 1) as tail:
        while found := tail.read(10_000):
            for entry in found:
                entries += 1
                mark = int.from_bytes(entry.raw[32:40], "little")
                syncs += mark != synced
                synced = mark
    return entries / max(syncs, 1)


def _replay(place: Path) -> tuple[float, int, int]:
    """Return decisions per second, how many there were, and how many entries differed."""
    replay = new_replay(place)
    replay.advance(1)  # the kernels are loaded by now
    began, before = time.perf_counter(), replay.decisions
    replay.advance()
    made = replay.decisions - before
    rate = made / (time.perf_counter() - began)
    replay.close()
    return rate, made, replay.difference_count


def _print_table(
    found: dict[tuple[str, tuple[int, int]], list[Series]],
    replayed: list[tuple[float, int, int]],
) -> None:
    print(f"\n{'clients':>10} " + " ".join(f"{name:>22}" for name in DURABILITIES))
    for shape in _CLIENTS:
        rates = {
            name: statistics.median(series.rps for series in found[name, shape])
            for name in DURABILITIES
        }
        cells = [f"{rates[name]:>12,.0f} {rates[name] / rates['memory']:>9.2f}" for name in rates]
        print(f"{shape[0]:>4} × {shape[1]:<3} " + " ".join(cells))
    failed = sum(series.failed for many in found.values() for series in many)
    total = sum(series.total for many in found.values() for series in many)
    live = statistics.median(series.rps for series in found["process", (8, 8)])
    rate = statistics.median(rate for rate, _, _ in replayed)
    made = sum(count for _, count, _ in replayed)
    differences = sum(count for _, _, count in replayed)
    print(f"answers per second and ÷ memory, medians; {failed} of {total:,} calls failed")
    print(
        f"replay: {rate:,.0f} decisions per second, {rate / live:.2f} × the lane at 8 × 8; "
        f"{differences} of {made:,} decisions differ"
    )
    if failed or differences:
        raise SystemExit("an answer was wrong")


if __name__ == "__main__":
    main()
