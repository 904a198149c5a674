"""Engine and twin, given the same random events, agree in every answer and every sum."""

import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from typing import Any, Final

import numpy as np
import pytest

from server.hotpath.reasons import (
    R_BATCH_DENIED,
    R_FENCED,
    R_JOURNAL_FAILED,
    R_JOURNAL_FULL,
    REASON_CODES,
)
from tests.cases import Change, Decide, World
from tests.twin import Difference, Twins

SEED: Final = 20_260_301
WORLD_DECISIONS: Final = 2_500
CAMPAIGN: Final = os.environ.get("RISKGATE_CAMPAIGN") == "1"
WORLDS: Final = 4_000 if CAMPAIGN else 40
EVENTS_PER_STATE_CHECK: Final = 250
PROCESSES: Final = 2


def _tell(seed: int, number: int, event: Any, differences: list[Difference]) -> str:
    lines = [f"world {seed}, event {number}: {type(event).__name__} at {event.reading_ns}"]
    rows = event.rows if isinstance(event, Change) else [event.row]
    for row in rows:
        facts = {
            name: row[name].tobytes().rstrip(b"\0") if row[name].shape else row[name].item()
            for name in row.dtype.names
        }
        lines.append(str({name: fact for name, fact in facts.items() if fact}))
    lines += [f"  {column}: engine {got!r}, twin {twin!r}" for column, got, twin in differences]
    return "\n".join(lines)


def run_world(seed: int, decisions: int = WORLD_DECISIONS) -> tuple[list[int], list[int], str]:
    """Return how often each reason was reached and each result given, and the first mismatch."""
    world = World(seed)
    twins = Twins(world)
    waiting = world.initial_changes()[::-1]
    number = made = 0
    while made < decisions:
        event = waiting.pop() if waiting else world.next_event()
        differences = twins.step(event)
        number += 1
        made += isinstance(event, Decide)
        if not differences and number % EVENTS_PER_STATE_CHECK == 0:
            differences = twins.compare_state()
        if differences:
            return [], [], _tell(seed, number, event, differences)
    differences = twins.compare_state()
    mismatch = _tell(seed, number, event, differences) if differences else ""
    return twins.reached.tolist(), twins.results.tolist(), mismatch


# The engine gives these when nothing can be journaled, without a decision.
BARRED = (R_JOURNAL_FULL, R_JOURNAL_FAILED, R_FENCED)


@pytest.mark.timeout(0 if CAMPAIGN else 600)
def test_engine_and_twin_agree_on_random_events() -> None:
    run_world(SEED - 1, 10)  # compiles once, before the processes would each do it
    reached = np.zeros(len(REASON_CODES), np.int64)
    results = np.zeros(4, np.int64)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=context) as pool:
        seeds = range(SEED, SEED + WORLDS)
        for reasons, counts, mismatch in pool.map(run_world, seeds, chunksize=1):
            if mismatch:
                pool.shutdown(cancel_futures=True)
                pytest.fail(mismatch)
            reached += reasons
            results += counts
    decisions = int(results.sum())
    sys.stdout.write(f"seed {SEED}: {WORLDS} worlds, {decisions:,} decisions agree\n")
    assert decisions >= (10_000_000 if CAMPAIGN else 100_000)
    unreached = [
        code
        for index, code in enumerate(REASON_CODES)
        if reached[index] == 0 and index not in (R_BATCH_DENIED, *BARRED)
    ]
    assert unreached == [], "the world no longer reaches these reasons"
    assert (results > 0).all(), "decided, invalid, repeated and conflicting requests all occur"
