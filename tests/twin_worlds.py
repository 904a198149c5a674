"""Runs whole worlds on engine and twin, in processes of their own, and adds up what they met.

As a script it runs a campaign in pieces that add up in a results file:

    python -m tests.twin_worlds --seed 1 --worlds 4000 --processes 2 --results twin.jsonl

A piece that the file has already, of the same kernels, is not run again.
"""

import argparse
import json
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from server.hotpath.jit import cache_folder
from tests.cases import Change, Decide, World
from tests.twin import Difference, Twins

WORLD_DECISIONS: Final = 2_500
EVENTS_PER_STATE_CHECK: Final = 250
PIECE_WORLDS: Final = 40


class Run(NamedTuple):
    """What became of one world, or of several together.

    Attributes:
        reached: How often each reason index denied, cut or was noted.
        results: How often each result was given: decided, invalid, repeated, conflict.
        met: How often other things were met; see Twins.
        mismatch: The first one, told; empty: none.
    """

    reached: Counter[int]
    results: Counter[int]
    met: Counter[str]
    mismatch: str

    @property
    def decisions(self) -> int:
        return self.results.total()


NOTHING: Final = Run(Counter(), Counter(), Counter(), "")


def _facts(row: Any) -> str:
    values = {
        name: row[name].tobytes().rstrip(b"\0") if row[name].shape else row[name].item()
        for name in row.dtype.names
    }
    return str({name: value for name, value in values.items() if value})


def _tell(seed: int, number: int, event: Any, differences: list[Difference]) -> str:
    lines = [f"world {seed}, event {number}: {type(event).__name__} at {event.reading_ns}"]
    if isinstance(event, Change):
        lines += [_facts(row) for row in event.rows]
    else:
        lines.append(_facts(event.row) if hasattr(event, "row") else str(event))
    lines += [f"  {column}: engine {got!r}, twin {twin!r}" for column, got, twin in differences]
    return "\n".join(lines)


def run_world(seed: int, decisions: int = WORLD_DECISIONS) -> Run:
    world = World(seed)
    twins = Twins(world)
    waiting = world.initial_changes()[::-1]
    number = made = 0
    differences: list[Difference] = []
    while made < decisions and not differences:
        event = waiting.pop() if waiting else world.next_whole_event()
        differences = twins.step(event)
        number += 1
        made += isinstance(event, Decide)
        if not differences and number % EVENTS_PER_STATE_CHECK == 0:
            differences = twins.compare_state()
    differences = differences or twins.compare_state()
    mismatch = _tell(seed, number, event, differences) if differences else ""
    return Run(twins.reached, twins.results, twins.met, mismatch)


def add_up(one: Run, other: Run) -> Run:
    return Run(
        one.reached + other.reached,
        one.results + other.results,
        one.met + other.met,
        one.mismatch or other.mismatch,
    )


def run_worlds(seeds: range, processes: int, decisions: int = WORLD_DECISIONS) -> Iterator[Run]:
    """Run worlds side by side; each is handed out as soon as it and all before it are done."""
    run_world(seeds.start, 10)  # compiles once, before the processes would each do it
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        run = partial(run_world, decisions=decisions)
        for outcome in pool.map(run, seeds, chunksize=1):
            yield outcome
            if outcome.mismatch:
                pool.shutdown(cancel_futures=True)
                return


# --- Campaigns ------------------------------------------------------------------------------------


def _read(results: Path) -> dict[int, int]:
    """Return the decisions of each piece that agreed with these kernels, by its first seed."""
    if not results.exists():
        return {}
    pieces = [json.loads(line) for line in results.read_text().splitlines()]
    ours = cache_folder().name
    return {piece["seed"]: piece["decisions"] for piece in pieces if piece["kernels"] == ours}


def run_campaign(seed: int, worlds: int, processes: int, results: Path) -> int:
    """Run what the results file lacks; return the exit status."""
    done = _read(results)
    for first in range(seed, seed + worlds, PIECE_WORLDS):
        if first in done:
            continue
        started, sums = time.monotonic(), NOTHING
        seeds = range(first, min(first + PIECE_WORLDS, seed + worlds))
        for run in run_worlds(seeds, processes):
            sums = add_up(sums, run)
        if sums.mismatch:
            sys.stdout.write(f"{sums.mismatch}\n")
            return 1
        done[first] = sums.decisions
        with results.open("a") as file:
            facts = {"kernels": cache_folder().name, "seed": first, "worlds": len(seeds)}
            file.write(json.dumps({**facts, **_told(sums)}) + "\n")
        rate = sums.decisions / (time.monotonic() - started)
        sys.stdout.write(f"{sum(done.values()):>12,} decisions agree, {rate:,.0f} per second\n")
        sys.stdout.flush()
    return 0


def _told(run: Run) -> dict[str, Any]:
    return {
        "decisions": run.decisions,
        "reached": {str(index): count for index, count in sorted(run.reached.items())},
        "met": dict(sorted(run.met.items())),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Compare engine and twin on random worlds.")
    parser.add_argument("--seed", type=int, default=1, help="first world")
    parser.add_argument("--worlds", type=int, default=4_000, help="of 2,500 decisions each")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--results", type=Path, default=Path("twin.jsonl"))
    chosen = parser.parse_args()
    sys.exit(run_campaign(chosen.seed, chosen.worlds, chosen.processes, chosen.results))
