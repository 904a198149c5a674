"""The engine kills itself at each place between the stores of an entry.

No system call is near, so nothing from outside could hit these places: the engine itself looks at
the two columns `kill_point` and `kill_entry` of its journal.
"""

import random
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest

from server.engine_start import KILL_VARIABLE
from server.hotpath.journal.appending import (
    KILL_BEFORE,
    KILL_BEHIND,
    KILL_WITHOUT_FIRST_WORD,
    KILL_WITHOUT_HEADER,
)
from server.journal.segments import list_segments
from tests.faults.orders import PADDING_BYTES, Orders
from tests.faults.promises import (
    check_holds,
    check_journal,
    check_memory,
    check_numbering,
    read_kept,
    read_last_number,
)
from tests.faults.source import feeding
from tests.faults.victim import Victim, victim_in

POINTS: Final = {
    "before the entry": KILL_BEFORE,
    "without its header": KILL_WITHOUT_HEADER,
    "without its first word": KILL_WITHOUT_FIRST_WORD,
    "behind it, before the answer": KILL_BEHIND,
}
# Entries behind the last one of the life before. 1 is the START entry of a life.
AS_IT_STARTS: Final = 1
UNDER_LOAD: Final = 60


@pytest.mark.parametrize("place", POINTS)
def test_an_engine_killed_between_two_stores_loses_nothing_that_was_answered(
    tmp_path: Path, redis_url: str, place: str
) -> None:
    # As an engine begins, its first entry is no call and has one place less. Not in its first life:
    # then there is no journal, and for a while nobody knows what was let go.
    entries = [UNDER_LOAD] if POINTS[place] == KILL_BEFORE else [UNDER_LOAD, AS_IT_STARTS]
    kill_at(tmp_path, redis_url, place, entries)


@pytest.mark.campaign
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("place", POINTS)
def test_an_engine_killed_at_many_entries_loses_nothing_that_was_answered(
    tmp_path: Path, redis_url: str, place: str
) -> None:
    chance = random.Random(time.time_ns())
    entries = [*range(20, 40), *(chance.randrange(40, 1_500) for _ in range(10))]
    kill_at(tmp_path, redis_url, place, entries)


def kill_at(folder: Path, redis_url: str, place: str, entries: Iterable[int]) -> None:
    """Kill at one place of several entries, counted from each start."""
    torn = kills = 0
    with feeding(redis_url), victim_in(folder / "data", redis_url) as victim:
        orders = Orders(victim.address)
        for kills, behind in enumerate(entries, start=1):
            known = len(orders.told)
            entry = read_last_number(victim.journal) + behind
            _let_it_die(victim, orders, f"{POINTS[place]}:{entry - 1}")
            torn += _has_torn_tail(victim.journal)
            victim.serve()
            check_memory(victim.address, orders, list(orders.told)[known:])
            check_holds(victim.address, orders, kills)
            assert victim.stop() == 0, victim.read_log()
    assert not orders.barred, orders.barred[0]
    check_journal(orders, read_kept(victim.journal))
    check_numbering(list(orders.told.values()))
    figures = {"kills": kills, "torn tails": torn, "decisions": len(orders.told), "lost": 0}
    print(f"\nSIGKILL {place}: {figures}")  # noqa: T201 - figures to read
    if POINTS[place] == KILL_WITHOUT_FIRST_WORD:
        assert torn == kills


def _let_it_die(victim: Victim, orders: Orders, where: str) -> None:
    victim.start(**{KILL_VARIABLE: where})
    orders.start(padding_bytes=PADDING_BYTES)
    assert victim.wait_until_dead() == -signal.SIGKILL, victim.read_log()
    orders.stop()


def _has_torn_tail(journal: Path) -> bool:
    """Tell whether anything stands behind the zero word that ends the journal."""
    last = list_segments(journal)[-1]
    data = last.path.read_bytes()
    at = 4_096
    while size := int.from_bytes(data[at : at + 4], "little"):
        at += size
    return any(data[at:])
