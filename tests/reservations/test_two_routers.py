"""Two routers share the last of every limit, and never have it twice: what the journal shows.

Two client processes, each with several threads, place orders on one account near its limits through
the real port of a real engine. Answers and reports are judged afterwards from the journal alone.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import pytest

from riskgate.v1 import types_pb2 as types
from tests.reservations.books import Books
from tests.reservations.ceilings import Inspection
from tests.reservations.events import Decided, Event, Reported, read_events
from tests.reservations.floor import LOWEST, QUOTA, TIGHT, new_books, open_floor, trade

SEED: Final = 20_261_121
SHORT: Final = 1_500
LONG: Final = 100_000


def inspect(events: Iterable[Event]) -> Inspection:
    inspection = Inspection(new_books(), QUOTA, LOWEST)
    inspection.walk(events)
    return inspection


def run(folder: Path, requests: int) -> tuple[list[Event], Counter[str], list[str]]:
    """Let them trade; returns the journal, what the routers counted, and what is still in doubt."""
    with open_floor(folder) as floor:
        told = trade(floor, requests, SEED, TIGHT)
    assert [each["faults"] for each in told] == [[], []]
    counts: Counter[str] = sum((Counter(each["counts"]) for each in told), Counter())
    return list(read_events(folder)), counts, [name for each in told for name in each["doubtful"]]


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Event], Counter[str], list[str]]:
    return run(tmp_path_factory.mktemp("journal"), SHORT)


def assert_kept(
    events: list[Event], counts: Counter[str], doubtful: list[str]
) -> tuple[Inspection, Books]:
    """What must be so however many requests there were."""
    inspection = inspect(events)
    books = inspection.books
    assert books.faults == []
    # Both routers got the same answer to the same order, and a held one was never held again.
    assert counts["answered otherwise"] == 0
    assert counts["shared"] > 0
    assert counts["asked again"] > 0
    # Nobody heard of these for longer than any hold lasts by itself.
    assert doubtful
    assert all(books.orders[name].is_live for name in doubtful)
    assert books.counts["expired"] > 0
    assert max(inspection.nearest.values()) > 0.9, "nothing was ever near its limit"
    return inspection, books


def test_two_routers_never_use_the_same_headroom(
    traded: tuple[list[Event], Counter[str], list[str]],
) -> None:
    _, books = assert_kept(*traded)
    assert books.counts["decisions"] > SHORT


@pytest.mark.campaign
@pytest.mark.timeout(3_600)
def test_two_routers_never_use_the_same_headroom_in_100_000_orders_each(tmp_path: Path) -> None:
    events, counts, doubtful = run(tmp_path, LONG)
    inspection, books = assert_kept(events, counts, doubtful)
    assert counts["exits cut"] == 0
    for name in ("LEVERAGE", "CORRELATED_EXPOSURE", "POSITION_SIZE", "DAILY_LOSS_BUDGET",
                 "WEEKLY_LOSS_BUDGET", "MONTHLY_LOSS_BUDGET", "ACCOUNT_NOTIONAL", "LONG_POSITION",
                 "SHORT_POSITION", "STRATEGY_NOTIONAL", "RESERVATIONS_FULL"):  # fmt: skip
        assert counts[f"binding REASON_{name}"] > 0, name
    for kind in ("notional", "group", "loss", "strategy", "long", "short", "holds"):
        assert inspection.nearest[kind] > 0.99, f"{kind} was never at its limit"
    figures = {**books.counts, **counts}
    print(f"N = 2 x {LONG:,}; nearest {inspection.nearest}; {figures}")  # noqa: T201


# --- The inspection itself: what it must find in a journal that was made wrong ---


def _index_of(events: list[Event], fits: Any) -> int:
    return next(number for number, event in enumerate(events) if fits(event.what))


def _is_held(what: Any) -> bool:
    return (
        isinstance(what, Decided)
        and what.answer.lot_size > 0
        and not what.request.reduce_only
        and not what.request.dry_run
    )


def _changed(event: Event, **answer: Any) -> Event:
    """Return an event with another answer."""
    what: Any = event.what
    copy = type(what.answer)()
    copy.CopyFrom(what.answer)
    for name, value in answer.items():
        setattr(copy, name, value)
    return event._replace(what=what._replace(answer=copy))


def test_inspection_when_one_order_is_let_through_too_large_then_finds_it(
    traded: tuple[list[Event], Counter[str], list[str]],
) -> None:
    events = list(traded[0])
    place = _index_of(events, _is_held)
    events[place] = _changed(events[place], lot_size=500.0)
    faults = inspect(events[: place + 1]).books.faults
    assert any(f"entry {events[place].number}: notional is" in fault for fault in faults)


def test_inspection_when_an_order_id_is_held_twice_then_finds_it(
    traded: tuple[list[Event], Counter[str], list[str]],
) -> None:
    events = list(traded[0])
    place = _index_of(events, _is_held)
    events.insert(place + 1, events[place])
    assert any("let through twice" in fault for fault in inspect(events).books.faults)


def test_inspection_when_a_doubtful_hold_is_released_then_finds_it(
    traded: tuple[list[Event], Counter[str], list[str]],
) -> None:
    events, _, doubtful = traded
    place = max(
        number
        for number, event in enumerate(events)
        if isinstance(event.what, Reported)
        and event.what.report.client_order_id in doubtful
        and event.what.report.kind == types.REPORT_KIND_UNKNOWN
    )
    assert inspect([*events[:place], _changed(events[place], held_lots=0.0)]).books.faults


def test_inspection_when_the_engine_has_wider_limits_than_it_was_told_then_finds_it(
    tmp_path: Path,
) -> None:
    # The same engine, port and routers, but the inspection believes in half the leverage.
    with open_floor(tmp_path) as floor:
        trade(floor, 200, SEED, ({"max_leverage_ppm": 1_500_000},))
    inspection = Inspection(new_books(), QUOTA, LOWEST)
    for event in read_events(tmp_path):
        inspection.walk([event])
        if inspection.books.limits:
            inspection.books.limits["max_leverage_ppm"] = 750_000
    assert any("notional is" in fault for fault in inspection.books.faults)
