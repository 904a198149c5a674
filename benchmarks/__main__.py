"""`make bench`: models, decisions, controls, breakers, memory per row and start of the engine."""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks import bench_breakers, bench_controls, bench_decide, bench_models


def _measure_start() -> None:
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-m", "server", "warm"], check=True)
    print(f"start with kernels from the cache: {time.perf_counter() - begin:.1f} s")


def main() -> None:
    """Run every benchmark; each exits with a message when an answer is wrong."""
    bench_models.main()
    print()
    bench_decide.main()
    print()
    bench_controls.main()
    print()
    bench_breakers.main()
    print()
    _measure_start()


if __name__ == "__main__":
    main()
