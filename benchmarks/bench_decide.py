"""decide() in process: nanoseconds per full decision, keys uniformly random over the loaded tables.

Each decision is timed by itself inside one compiled loop, from the request in memory to the answer
in memory; the cost of reading the clock twice is measured and taken off. "new order" has a unique
client_order_id, is remembered and holds its risk (holds of 1 s expire as the clock moves on by 5 µs
per decision); "anonymous" has no id but holds; "dry run" leaves no trace. Verdicts are counted: all
must be ALLOW. What misleads: no socket and no encoding here, and the processor does nothing else
meanwhile.
"""

from __future__ import annotations

import resource
import time
from typing import Any

import numpy as np
from numba import types

from benchmarks.worlds import NOW_NS, activate_trees, new_requests, new_world
from server.engine import Engine
from server.hotpath.decide import decide_nb
from server.hotpath.jit import routine
from server.hotpath.memory import Capacity

Rows = np.ndarray[Any, np.dtype[Any]]
WARM = 20_000
COUNTED = 100_000
STEP_NS = 5_000


_clock_gettime: Any = types.ExternalFunction("clock_gettime", types.int32(types.int32, types.int64))
_MONOTONIC = 1


@routine
def _time_each_nb(
    state: Any,
    decide: bool,
    target: Rows,
    requests: Rows,
    now_ns: int,
    decision: Rows,
    clock: Rows,
    spent: Rows,
) -> int:
    allowed = 0
    address = clock.ctypes.data
    for position in range(requests.shape[0]):
        target[:] = requests[position]
        now_ns += STEP_NS
        _clock_gettime(_MONOTONIC, address)
        begin = clock[0] * 1_000_000_000 + clock[1]
        if decide:
            decide_nb(state, now_ns)
        _clock_gettime(_MONOTONIC, address)
        spent[position] = clock[0] * 1_000_000_000 + clock[1] - begin
        allowed += decision[0].verdict == 1
    return allowed


def measure(engine: Engine, requests: Rows, *, decide: bool = True) -> tuple[Rows, int]:
    """Return nanoseconds of each decision, clock readings included, and how many were ALLOW."""
    state = engine.state
    words = requests.view(np.int64).reshape(len(requests), -1)
    spent = np.zeros(len(requests), np.int64)
    allowed = _time_each_nb(
        state.memory[0],
        decide,
        state.request.view(np.int64),
        words,
        engine.now_ns,
        state.decision,
        np.zeros(2, np.int64),
        spent,
    )
    return spent, allowed


def _resident_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _report(label: str, engine: Engine, sizes: dict[str, int], serial: int) -> dict[str, float]:
    idle, _ = measure(engine, new_requests(10_000, **sizes), decide=False)
    clock_ns = float(np.median(idle))
    medians = {}
    for kind in ("dry run", "anonymous", "new order"):
        requests = new_requests(WARM + COUNTED, **sizes)
        requests["client_order_id"][:, 2] = serial
        requests["dry_run"] = kind == "dry run"
        if kind == "anonymous":
            requests["client_order_id"] = 0
        measure(engine, requests[:WARM])
        spent, allowed = measure(engine, requests[WARM:])
        if allowed != COUNTED:
            message = f"{label}, {kind}: {allowed} of {COUNTED} decisions were ALLOW"
            raise SystemExit(message)
        figures = np.percentile(spent, [50, 99, 99.9]) - clock_ns
        medians[kind] = float(figures[0])
        print(f"{label:<42} {kind:<10} " + " ".join(f"{figure:9.0f}" for figure in figures))
    return medians


def main() -> None:
    """Print the table; exit with a message if an answer is wrong."""
    print(f"ns per decision, N = {COUNTED:,} each; clock reading taken off\n")
    print(f"{'':<42} {'':<10} {'p50':>9} {'p99':>9} {'p99.9':>9}")
    medians = {}
    for providers in (1_000, 1_000_000):
        sizes = {"accounts": 100_000, "providers": providers, "instruments": 1_000}
        before, begin = _resident_mib(), time.perf_counter()
        engine = new_world(Capacity(), **sizes)
        engine.tick(NOW_NS)
        loaded_s, used_mib = time.perf_counter() - begin, _resident_mib() - before
        rows = sum(sizes.values())
        bytes_per_row = used_mib * 2**20 / rows
        medians[providers] = _report(f"{providers:,} providers, no model", engine, sizes, 1)
        activate_trees(engine)
        _report(f"{providers:,} providers, 100 trees, depth 6", engine, sizes, 2)
        print(f"  loaded {rows:,} rows in {loaded_s:.1f} s, {bytes_per_row:.0f} bytes per row\n")
        del engine
    sizes = {"accounts": 1_000, "providers": 1_000, "instruments": 100}
    engine = new_world(Capacity(), **sizes)
    engine.tick(NOW_NS)
    _report("1,000 accounts, 100 instruments, no model", engine, sizes, 1)
    activate_trees(engine)
    _report("the same, 100 trees, depth 6", engine, sizes, 2)
    for kind in medians[1_000]:
        ratio = medians[1_000_000][kind] / medians[1_000][kind]
        print(f"1,000,000 ÷ 1,000 providers, {kind}: {ratio:.2f}")


if __name__ == "__main__":
    main()
