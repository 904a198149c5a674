"""The engine and those around it are killed at random times under load."""

import random
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

from tests.faults.bystanders import Bystander, own_redis, snapshotter_of
from tests.faults.orders import PADDING_BYTES, Orders
from tests.faults.promises import (
    check_holds,
    check_journal,
    check_memory,
    check_numbering,
    read_kept,
)
from tests.faults.source import feeding
from tests.faults.victim import Victim, victim_in

# Older decisions that are asked for again, besides all of the last life.
SAMPLE: Final = 300
LIFE_S_MAX: Final = 1.0
START_S_MAX: Final = 4.0
# Of a kill while the engine starts, and of each bystander's.
CHANCE: Final = 0.2
SNAPSHOT_ENTRIES: Final = 1_000


def test_a_killed_engine_loses_nothing_that_was_answered(tmp_path: Path, redis_url: str) -> None:
    with feeding(redis_url), victim_in(tmp_path / "data", redis_url) as victim:
        kill_again_and_again(victim, [], kills=4, seed=1)


def test_whoever_is_killed_beside_the_engine_costs_no_decision(tmp_path: Path) -> None:
    run_with_bystanders(tmp_path, kills=3, seed=2, chance=1.0)


@pytest.mark.campaign
@pytest.mark.timeout(7_200)
def test_an_engine_killed_200_times_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    run_with_bystanders(tmp_path, kills=200, seed=time.time_ns(), chance=CHANCE)


def run_with_bystanders(folder: Path, *, kills: int, seed: int, chance: float) -> None:
    with (
        own_redis() as server,
        feeding(server.url),
        victim_in(folder / "data", server.url) as victim,
        snapshotter_of(victim, SNAPSHOT_ENTRIES) as snapshotter,
    ):
        kill_again_and_again(victim, [server, snapshotter], kills=kills, seed=seed, chance=chance)


def kill_again_and_again(
    victim: Victim, others: list[Bystander], *, kills: int, seed: int, chance: float = CHANCE
) -> None:
    """Kill and start an engine under load, and check everything each time."""
    dice = random.Random(seed)
    orders = Orders(victim.address)
    killed: Counter[str] = Counter()
    known = holds = 0
    victim.serve()
    for number in range(kills):
        orders.start(padding_bytes=PADDING_BYTES)
        orders.wait_for_answers(50)
        for other in others:
            if dice.random() < chance:
                other.kill()
                killed[other.name] += 1
        time.sleep(dice.uniform(0, LIFE_S_MAX))
        victim.kill()
        orders.stop()
        killed["engine"] += 1
        if dice.random() < CHANCE:
            victim.start()
            time.sleep(dice.uniform(0, START_S_MAX))
            victim.kill()
            killed["engine at its start"] += 1
        victim.serve()
        names = list(orders.told)
        older = dice.sample(names[:known], min(known, SAMPLE))
        check_memory(victim.address, orders, names[known:] + older)
        holds += check_holds(victim.address, orders, number)
        known = len(names)
    assert victim.stop() == 0, victim.read_log()
    assert not orders.barred, orders.barred[0]
    check_journal(orders, read_kept(victim.journal))
    check_numbering(list(orders.told.values()))
    _say(killed, orders, holds)


def _say(killed: Counter[str], orders: Orders, holds: int) -> None:
    figures: dict[str, Any] = {
        "killed": dict(killed),
        "decisions": len(orders.told),
        "reports": len(orders.reports),
        "holds looked at": holds,
        "failed calls": dict(orders.failures),
        "lost": 0,
    }
    print(f"\nSIGKILL at random times: {figures}")  # noqa: T201 - figures to read
