"""Engine and twin, given the same random events, agree in every answer and every sum."""

import os
import sys
from typing import Final

import pytest

from server.hotpath.kills import KILL_SCOPES
from server.hotpath.reasons import (
    R_BATCH_DENIED,
    R_FENCED,
    R_JOURNAL_FAILED,
    R_JOURNAL_FULL,
    REASON_CODES,
)
from tests.twin_worlds import NOTHING, add_up, run_worlds

SEED: Final = 20_260_301
CAMPAIGN: Final = os.environ.get("RISKGATE_CAMPAIGN") == "1"
WORLDS: Final = 4_000 if CAMPAIGN else 40
WORLDS_PER_LINE: Final = 40
PROCESSES: Final = 2
REACHED_MIN: Final = 5

# The engine gives these when nothing can be journaled, without a decision; batches have their own.
ELSEWHERE: Final = (R_JOURNAL_FULL, R_JOURNAL_FAILED, R_FENCED, R_BATCH_DENIED)
BREAKER_STATES: Final = ("tripped", "cooling", "half open", "locked")
MET: Final = (
    *(f"listed {state}" for state in BREAKER_STATES),
    "listed as many as fit",
    *(f"event of condition {condition}" for condition in range(1, 8)),
    *(f"event of action {action}" for action in range(1, 6)),
    "event over the request",
    "event with unknown values",
    "event with positions",
    *(f"killed scope {scope}" for scope in range(1, KILL_SCOPES)),
    *(f"verdict {verdict}" for verdict in (1, 2, 3)),
    *(f"exit verdict {verdict}" for verdict in (1, 2, 3)),
    "taken back",
    "sync",
)


@pytest.mark.timeout(0 if CAMPAIGN else 900)
def test_engine_and_twin_agree_on_random_events() -> None:
    sums = NOTHING
    for number, run in enumerate(run_worlds(range(SEED, SEED + WORLDS), PROCESSES), 1):
        assert not run.mismatch, run.mismatch
        sums = add_up(sums, run)
        if number % WORLDS_PER_LINE == 0:
            sys.stdout.write(f"seed {SEED}: {number} worlds, {sums.decisions:,} decisions agree\n")
    assert sums.decisions >= (10_000_000 if CAMPAIGN else 100_000)
    unreached = [
        code
        for index, code in enumerate(REASON_CODES)
        if sums.reached[index] < REACHED_MIN and index not in ELSEWHERE
    ]
    assert unreached == [], "the world hardly reaches these reasons any more"
    assert min(sums.results[result] for result in range(4)) > 0, "invalid, repeated, conflicting"
    assert [name for name in MET if not sums.met[name]] == [], "the world no longer meets these"
