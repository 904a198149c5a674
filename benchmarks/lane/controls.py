"""`python -m benchmarks.lane.controls`: the lane with every control on beside the lane without.

Two engines that are alike in all but their limits (benchmarks/wide_controls.py) behind two compiled
lanes get the same requests, series by series in turn, every other round backwards; every answer is
compared with the request file. What misleads: see benchmarks/lane/__main__.py.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from statistics import median
from typing import Final

from benchmarks.lane import servers
from benchmarks.lane.__main__ import build_clients, prepare_load
from benchmarks.lane.clients import Series

FREE: Final = "no controls"
CONTROLLED: Final = "all controls"
_ROUNDS: Final = 10
_REQUESTS: Final = 200_000
_WARM_S: Final = 0.5
_DURATION_S: Final = 2.0


def main() -> None:
    """Measure and print; exit with a message when an answer was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=_ROUNDS)
    parser.add_argument("--duration-s", type=float, default=_DURATION_S)
    parser.add_argument("--requests", type=int, default=_REQUESTS)
    arguments = parser.parse_args()
    build_clients()
    load = prepare_load(arguments.requests, _WARM_S, arguments.duration_s)
    with ExitStack() as stack:
        running = []
        for name in (FREE, CONTROLLED):
            server = servers.start_engine(name, "compiled", controls=name == CONTROLLED)
            stack.callback(server.stop)
            running.append(server)
        series: dict[tuple[str, str], list[Series]] = {}
        for number in range(arguments.rounds):
            for name, run in (("unary", load.ask), ("8 × 8", load.saturate)):
                for server in running[:: -1 if number % 2 else 1]:
                    series.setdefault((name, server.name), []).append(run(server))
    _print(series)


def _print(series: dict[tuple[str, str], list[Series]]) -> None:
    print(f"{'':<8} {'':<14} {'p50 µs':>9} {'p99 µs':>9} {'p99.9 µs':>9} {'calls/s':>10} {'N':>10}")
    for name in ("unary", "8 × 8"):
        for server in (FREE, CONTROLLED):
            kept = series[name, server]
            failed = sum(one.failed for one in kept)
            if failed:
                raise SystemExit(f"{name}, {server}: {failed} calls failed")
            figures = [median(getattr(one, what) for one in kept) for what in _FIGURES]
            row = " ".join(f"{figure:9.1f}" for figure in figures[:3])
            n = sum(one.n for one in kept)
            print(f"{name:<8} {server:<14} {row} {figures[3]:10,.0f} {n:10,}")
        pairs = zip(series[name, CONTROLLED], series[name, FREE], strict=True)
        ratios = [[getattr(a, what) / getattr(b, what) for what in _FIGURES] for a, b in pairs]
        medians = [median(column) for column in zip(*ratios, strict=True)]
        row = " ".join(f"{ratio:9.3f}" for ratio in medians[:3])
        print(f"{'':<8} {'ratio':<14} {row} {medians[3]:10.3f}")


_FIGURES: Final = ("p50_us", "p99_us", "p999_us", "rps")


if __name__ == "__main__":
    main()
