"""An engine in a random world, and everything about it that a caller could tell from another's."""

from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from server.broker_view import BrokerOrder, BrokerPosition
from server.engine import Engine
from server.errors import RiskgateError
from server.hotpath.memory import Capacity, State, new_state
from server.hotpath.models import load_model
from server.hotpath.records import (
    DECIDED,
    INVALID,
    REPEATED,
    REPORT_APPLIED,
    REPORT_DUPLICATE,
    REPORT_UNMATCHED,
)
from server.hotpath.rows import RESERVATION_HELD
from server.hotpath.table import Table
from server.services.convert import read_decision, read_report_result
from server.snapshots import capacity_of, describe_state, load_snapshot, save_snapshot
from tests.cases import MODELS, Change, Decide, Event, World
from tests.cases.markets import ENCODINGS, MARKETS
from tests.cases.names import ACCOUNTS

# Columns with names that are, or are compared with, part of a key.
NAMES: Final = {
    "account_id",
    "symbol",
    "correlation_group",
    "timezone",
    "provider_id",
    "breaker_id",
    "client_order_id",
    "replaces_client_order_id",
    "position_id",
    "report_id",
}
ANSWERED: Final = (REPORT_APPLIED, REPORT_DUPLICATE, REPORT_UNMATCHED)


class Sync(NamedTuple):
    """The broker's picture of one account."""

    account_id: str
    positions: list[BrokerPosition]
    orders: list[BrokerOrder]
    reading_ns: int


def new_player(world: World, capacity: Capacity) -> Engine:
    """Return the engine of a world, its models loaded."""
    engine = Engine(
        capacity,
        epoch=3,
        started_at_ns=world.started_at_ns,
        restarted=world.restarted,
        idempotency_min_age_ns=world.idempotency_min_age_ns,
    )
    load_models(engine)
    return engine


def load_models(engine: Engine) -> None:
    for slot, lowered in enumerate(MODELS):
        digest = bytes([slot + 1]) * 32
        load_model(engine.state.models, slot, lowered, ENCODINGS, digest, (1, 0, slot))


def draw_sync(world: World, reading_ns: int) -> Sync:
    """Return a random picture of a random account; it may forget and invent."""
    rng = world.rng
    holder = int(rng.integers(len(ACCOUNTS)))
    positions, orders = [], []
    for market in MARKETS[:4]:
        price = market.centre_ticks * market.tick_mantissa / market.tick_scale
        lots = int(rng.integers(1, 9)) * market.lot_mantissa / market.lot_scale
        name = ("", "pos-1", "pos-2")[int(rng.integers(3))]
        if rng.random() < 0.4:
            side = int(rng.integers(1, 3))
            positions.append(BrokerPosition(name, market.symbol, side, lots, price, None))
    for number, account, at in world._requests.orders[-40:]:
        if number >= 0 and account == holder and rng.random() < 0.5:
            market = MARKETS[at]
            lots = int(rng.integers(1, 9)) * market.lot_mantissa / market.lot_scale
            orders.append(BrokerOrder(f"order-{number}", market.symbol, 1, lots, 1.0))
    return Sync(ACCOUNTS[holder].name, positions, orders, reading_ns)


def lengthened(event: Event | Sync) -> Event | Sync:
    """Return the event with every name as long as it may be, so that each word of a key counts."""
    if isinstance(event, Sync):
        return event._replace(
            account_id=event.account_id.ljust(64, "x"),
            positions=[
                position._replace(
                    symbol=position.symbol.ljust(32, "x"),
                    position_id=position.position_id and position.position_id.ljust(64, "x"),
                )
                for position in event.positions
            ],
            orders=[
                order._replace(
                    symbol=order.symbol.ljust(32, "x"),
                    client_order_id=order.client_order_id.ljust(64, "x"),
                )
                for order in event.orders
            ],
        )
    if isinstance(event, Change):
        return event._replace(rows=_lengthened_rows(event.rows))
    return event._replace(row=_lengthened_rows(np.array([event.row]))[0])


def _lengthened_rows(rows: Any) -> Any:
    rows = rows.copy()
    for column in NAMES.intersection(rows.dtype.names):
        letters = np.ascontiguousarray(rows[column]).view(np.uint8)
        letters[(letters == 0) & (letters[:, :1] != 0)] = ord("x")
        rows[column] = letters.view(np.int64)
    return rows


def play(engine: Engine, event: Event | Sync) -> Any:
    """Give one event to an engine; return all that comes out of it."""
    if isinstance(event, Change):
        kind, version, rows, deleted, reading_ns = event
        engine.apply_rows(kind, version, rows.copy(), deleted=deleted, reading_ns=reading_ns)
        return engine.state.engine.tobytes()
    if isinstance(event, Decide):
        return _decide(engine, event)
    if isinstance(event, Sync):
        try:
            differences = engine.sync(
                event.account_id, None, 0, event.positions, event.orders, event.reading_ns
            )
        except RiskgateError as error:  # an instrument or account may be deleted
            return str(error)
        return differences, engine.state.engine.tobytes()
    result = engine.report_record(event.row, event.reading_ns)
    if result["outcome"] not in ANSWERED:
        return result["outcome"], result["field"], result["problem"]
    return result.tobytes(), read_report_result(engine.state).SerializeToString()


def _decide(engine: Engine, event: Decide) -> Any:
    result, decision = engine.decide_record(event.row, event.reading_ns)
    row = int(decision["idempotency_row"])
    if result == INVALID:
        return result, decision["field"], decision["problem"]
    if result == REPEATED:
        return result, row, engine.stored_answer(row)
    if result != DECIDED:
        return result, row
    # The numbers of a check count only where `numbers` says so; the rest is of earlier decisions.
    for bit, columns in ((1, ("limit", "observed")), (2, ("lots_max",))):
        for column in columns:
            decision[column][decision["numbers"] & bit == 0] = 0
    explain = bool(event.row["explain"])
    answer = read_decision(engine.state, explain=explain, server_ns=0).SerializeToString()
    if row:
        engine.remember(row, answer)
    return result, decision.tobytes(), answer


def save(folder: Path, engine: Engine, entry_number: int = 1) -> Path:
    meta = describe_state(
        engine.state, entry_number=entry_number, made_at_ns=5, start={"epoch": 3, "shards": 1}
    )
    return save_snapshot(folder, engine.state, meta)


def load(path: Path, capacity: Capacity) -> Engine:
    """Return a new engine that goes on from a snapshot."""
    engine = Engine(capacity, started_at_ns=1)
    load_snapshot(path, engine.state)
    load_models(engine)
    return engine


def indexes(state: State) -> dict[str, Any]:
    """Return what each index holds, wherever in it: hash and row of every row it finds."""
    tables = {name: table for name, table in state._asdict().items() if isinstance(table, Table)}
    return {name: np.sort(table.cells[table.cells != 0]) for name, table in tables.items()}


def peculiarities(state: State) -> set[str]:
    """Return what is special about a state and could be lost on the way."""
    engine = state.engine[0]
    reservations = state.reservations.rows[1 : int(engine["reservation_fresh"]) + 1]
    held = reservations[reservations["state"] == RESERVATION_HELD]
    used, ring = int(engine["answer_used"]), len(state.answers)
    ids, capacity = engine["idempotency_oldest"], len(state.idempotency.rows) - 1
    found = {
        "ids were dropped": ids > 1,
        "ids go around": ids + engine["idempotency_count"] - 1 > capacity,
        "answers go around": 0 < int(engine["answer_head"]) < used < ring,
        "reports were dropped": engine["report_oldest"] > 1,
        "reports go around": engine["report_oldest"] + engine["report_count"] - 1 > capacity,
        "a position was freed": engine["position_free"] != 0,
        "a hold was closed": engine["closed_count"] > 0,
        "a hold took the row of another": bool(np.any(np.diff(reservations["decision_id"]) < 0)),
        "a hold was synced": bool(np.any(reservations["synced"])),
        "a hold expires": bool(np.any(state.wheel != 0)),
        "holds expire together": bool(np.any(held["next_expiring"] != 0)),
        "a breaker tripped": bool(np.any(state.breakers.rows["state"] == 2)),
        "a trip was told": bool(np.any(state.accounts.rows["first_event"])),
        "a model is active": engine["model_slot"] >= 0,
        "the clock leapt": engine["clock_unconfirmed"] != 0,
    }
    return {what for what, is_so in found.items() if is_so}


def assert_untouched(state: State) -> None:
    """Fail unless every table and record is as `new_state` makes it."""
    empty = new_state(capacity_of(state))
    for name, part in state._asdict().items():
        if name in {"memory", "models"}:
            continue
        fresh = getattr(empty, name)
        if isinstance(part, Table):
            assert part.cells.tobytes() == fresh.cells.tobytes(), name
            part, fresh = part.rows, fresh.rows  # noqa: PLW2901
        assert part.tobytes() == fresh.tobytes(), name
