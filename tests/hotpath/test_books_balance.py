"""The sums an engine keeps are those of its rows, whatever orders, reports and clocks bring."""

from contextlib import suppress
from typing import Any, Final

import numpy as np
import pytest

from server.broker_view import BrokerOrder, BrokerPosition
from server.engine import Engine
from server.errors import InvalidFieldError, NotFoundError
from server.hotpath.layout import text
from server.hotpath.rows import RESERVATION_HELD, RESERVATION_WORKING
from tests.cases import Change, Decide, World
from tests.cases.markets import MARKETS
from tests.cases.names import ACCOUNTS
from tests.control_desk import ALLOW, BUY, CLOSE, FILL, PARTIAL_FILL, SELL, ControlDesk

SEED: Final = 20_261_121
WORLDS: Final = 12  # every capacity, restarted or not, calm or extreme
EVENTS: Final = 4_000
EVENTS_PER_CHECK: Final = 500
EVENTS_PER_SYNC: Final = 150


def _live_rows(table: Any) -> Any:
    return table.rows[: 1 + int(table.rows[:1].view(np.int64)[0])]


def _sum_by(keys: Any, values: Any, count: int) -> list[int]:
    sums = [0] * count
    for key, value in zip(keys.tolist(), values.tolist(), strict=True):
        sums[key] += value
    return sums


LATCHED = 2**63 - 1
"""A sum that left int64: unknown, and so the largest there is, until the broker says better."""


def _differ(found: list[str], name: str, rows: Any, expected: list[int]) -> None:
    got = rows[name].tolist()
    found += [
        f"{name}[{row}] is {got[row]}, its rows sum to {expected[row]}"
        for row in range(1, len(got))
        if got[row] != LATCHED and (got[row] != expected[row] or got[row] < 0)
    ]


def find_imbalances(engine: Engine) -> list[str]:
    state, found = engine.state, list[str]()
    accounts, exposures = _live_rows(state.accounts), _live_rows(state.exposures)
    positions = _live_rows(state.positions)
    reservations = state.reservations.rows[1 : 1 + int(state.engine[0]["reservation_fresh"])]
    live = reservations[np.isin(reservations["state"], (RESERVATION_HELD, RESERVATION_WORKING))]
    risks, exits = live[live["is_exit"] == 0], live[live["is_exit"] != 0]

    def add_up(name: str, rows: Any, parts: Any, key: str, column: str) -> None:
        _differ(found, name, rows, _sum_by(parts[key], parts[column], len(rows)))

    add_up("held_risk_micros", accounts, risks, "account_row", "risk_micros")
    add_up("held_notional_micros", accounts, risks, "account_row", "notional_micros")
    add_up("held_notional_micros", exposures, risks, "exposure_row", "notional_micros")
    add_up(
        "held_notional_micros",
        _live_rows(state.strategies),
        risks,
        "strategy_row",
        "notional_micros",
    )
    found += _find_content_imbalances(state, accounts)
    # The exit of a named position also keeps lots of the net position busy.
    kept = np.concatenate([exits["position_row"], exits["net_row"]])
    steps = np.tile(exits["left_steps"], 2)
    _differ(found, "working_exit_steps", positions, _sum_by(kept, steps, len(positions)))
    for side, name in ((1, "held_buy_steps"), (2, "held_sell_steps")):
        add_up(name, positions, risks[risks["side"] == side], "position_row", "left_steps")
    counts = np.bincount(live["account_row"], minlength=len(accounts)).tolist()
    _differ(found, "reservation_count", accounts, counts)
    assert len(live) == state.engine[0]["reservation_in_use"]
    for name in ("left_steps", "risk_micros", "notional_micros"):
        assert (live[name] >= 0).all(), name

    open_rows = positions[_chain(accounts, positions)]
    for name in ("open_risk_micros", "open_notional_micros"):
        add_up(name, accounts, open_rows, "account_row", name)
        assert (open_rows[name] >= 0).all(), name
    groups = np.array([_exposure_row(state, exposures, row) for row in open_rows], np.int64)
    opened = _sum_by(groups, open_rows["open_notional_micros"], len(exposures))
    _differ(found, "open_notional_micros", exposures, opened)
    return found


def _find_content_imbalances(state: Any, accounts: Any) -> list[str]:
    """Compare the counts of contents with the ring, and the ring with its index."""
    oldest, count = (int(state.engine[0][f"content_{what}"]) for what in ("oldest", "count"))
    rows = (oldest - 1 + np.arange(count)) % (len(state.contents.rows) - 1) + 1
    owners = state.contents.rows["account_row"][rows]
    found = list[str]()
    _differ(found, "content_count", accounts, np.bincount(owners, minlength=len(accounts)).tolist())
    linked = np.sort(state.contents.cells[state.contents.cells != 0] & 0xFFFFFFFF)
    assert linked.tolist() == np.sort(rows[owners != 0]).tolist()
    strategies = _live_rows(state.strategies)[1:]
    assert (strategies["open_notional_micros"] >= 0).all()
    assert (strategies["held_notional_micros"] >= 0).all()
    return found


def _chain(accounts: Any, positions: Any) -> list[int]:
    rows = list[int]()
    for first in accounts["first_position"][1:].tolist():
        row = first
        while row:
            rows.append(row)
            row = int(positions[row]["next_position"])
    assert len(rows) == len(set(rows)), "a position is in two chains"
    return rows


def _exposure_row(state: Any, exposures: Any, position: Any) -> int:
    """Return the exposure of a position; 0, which holds nothing, if it has none."""
    instrument = state.instruments.rows[position["instrument_row"]]
    grouped = instrument["correlation_group"].any()
    name = instrument["correlation_group" if grouped else "symbol"]
    owner = int(position["account_row"]) * (1 if grouped else -1)
    matches = (exposures["account_row"] == owner) & (exposures["correlation_group"] == name).all(1)
    return int(np.flatnonzero(matches[1:])[0]) + 1 if matches[1:].any() else 0


def _sync(engine: Engine, rng: np.random.Generator, now_ns: int) -> None:
    """Give an account a random picture of its broker: some orders stay, with other lots."""
    holder = ACCOUNTS[int(rng.integers(len(ACCOUNTS)))]
    positions = list[BrokerPosition]()
    for index in rng.permutation(len(MARKETS))[: int(rng.integers(0, 4))]:
        market = MARKETS[index]
        tick = market.tick_mantissa / market.tick_scale
        lot = market.lot_mantissa / market.lot_scale
        price = market.centre_ticks * tick
        name, side, lots = (
            f"pos-{index % 3}" if index % 3 else "",
            1 + int(index % 2),
            lot * (index + 3),
        )
        stop = price - 20 * tick if index % 2 else None
        positions.append(BrokerPosition(name, market.symbol, side, lots, price, stop))
    known = engine.state.idempotency.rows[engine.state.idempotency.rows["made_at_ns"] > 0]
    orders = list[BrokerOrder]()
    for words in known["client_order_id"][-30:]:
        name, market = text(words), MARKETS[int(rng.integers(len(MARKETS)))]
        lots = 3 * market.lot_mantissa / market.lot_scale
        orders.append(BrokerOrder(name, market.symbol, 1, lots, 1.0))
    # The world may have deleted the account or a symbol, or made a grid too fine for the price.
    with suppress(NotFoundError, InvalidFieldError):
        engine.sync(holder.name, None, now_ns - int(rng.integers(2)), positions, orders, now_ns)


@pytest.mark.parametrize("seed", range(SEED, SEED + WORLDS))
def test_books_balance(seed: int) -> None:
    world, rng = World(seed), np.random.default_rng(seed)
    engine = Engine(world.capacity, epoch=1, started_at_ns=world.started_at_ns)
    waiting = world.initial_changes()[::-1]
    held = moved = 0
    for number in range(1, EVENTS + 1):
        event = waiting.pop() if waiting else world.next_event()
        if isinstance(event, Change):
            kind, version, rows, gone, reading = event
            engine.apply_rows(kind, version, rows, deleted=gone, reading_ns=reading)
        elif isinstance(event, Decide):
            engine.decide_record(event.row, event.reading_ns)
        else:
            engine.report_record(event.row, event.reading_ns)
        if rng.integers(EVENTS_PER_SYNC) == 0:
            _sync(engine, rng, engine.now_ns)
        world.sequence = int(engine.state.engine[0]["sequence"])
        if number % EVENTS_PER_CHECK == 0:
            assert find_imbalances(engine) == [], f"after event {number}"
            held += int(engine.state.engine[0]["reservation_in_use"])
            moved += int((engine.state.accounts.rows["open_notional_micros"] > 0).sum())
    assert min(held, moved) > 0


def test_a_sync_empties_a_group_that_had_left_int64_and_whose_positions_are_gone() -> None:
    desk = ControlDesk()
    decision = desk.order(0.1)
    desk.report(decision, FILL, 0.1, position_id="p")
    tables = desk.engine.state
    for table in (tables.accounts, tables.exposures):
        table.rows["open_notional_micros"][1] = LATCHED
    desk.report(decision, CLOSE, 0.1, position_id="p")
    # No position leads to the group any more.
    tables.positions.rows["exposure_row"][:] = 0
    assert tables.exposures.rows["open_notional_micros"][1] == LATCHED
    desk.engine.sync("A", None, desk.now_ns, [], [], desk.now_ns)
    assert tables.accounts.rows["open_notional_micros"][1] == 0
    assert tables.exposures.rows["open_notional_micros"][1] == 0


def test_a_sync_that_names_an_exit_of_a_forgotten_position_touches_no_other_position() -> None:
    desk = ControlDesk()
    desk.report(desk.order(0.3), FILL, 0.3, position_id="gone")
    leaving: dict[str, Any] = {
        "side": SELL,
        "exits": True,
        "position_id": "gone",
        "client_order_id": "leave",
    }
    desk.report(desk.order(0.3, **leaving), PARTIAL_FILL, 0.3, side=SELL, position_id="gone")
    desk.report(desk.order(0.2), FILL, 0.2, position_id="next")  # it takes the row that is free
    next_position = BrokerPosition("next", desk.symbol, BUY, 0.2, 1.1, None)
    leave = BrokerOrder("leave", desk.symbol, SELL, 0.1, 1.1)
    desk.pass_time(seconds=1)
    desk.engine.sync("A", None, desk.now_ns, [next_position], [leave], desk.now_ns)
    assert not desk.engine.state.positions.rows["working_exit_steps"].any()
    decision = desk.order(0.2, side=SELL, exits=True, position_id="next")
    assert (decision["verdict"], decision["lot_size"]) == (ALLOW, 0.2)
