"""Where the memory of an engine and the books of its twin differ."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from server.engine import Engine
from tests.reference.books import Books

SUMS: Final = {
    "equity_micros": "equity",
    "equity_at_ns": "equity_at",
    "peak_micros": "peak",
    "consecutive_losses": "consecutive_losses",
    "cooling_until_ns": "cooling_until",
    "held_risk_micros": "held_risk",
    "held_notional_micros": "held_notional",
    "open_risk_micros": "open_risk",
    "open_notional_micros": "open_notional",
    "reservation_count": "reservations",
    "idempotency_count": "idempotency",
    "message_full_at_ns": "message_full_at",
    "content_count": "contents",
}
BREAKER: Final = {
    "state": "state",
    "tripped_at_ns": "tripped_at",
    "closes_at_ns": "closes_at",
    "trip_count": "trip_count",
    "event_at_ns": "event_at",
    "reset_at_ns": "reset_at",
}
STRATEGY: Final = {
    "held_notional_micros": "held",
    "open_notional_micros": "open",
    "execution_count": "executions",
    "window_start_ns": "window_start",
    "disabled_at_ns": "disabled_at",
    "enabled_at_ns": "enabled_at",
}
KILL_TIMES: Final = (
    "new_risk_killed_at_ns",
    "new_risk_rearmed_at_ns",
    "all_killed_at_ns",
    "all_rearmed_at_ns",
)

Difference = tuple[str, Any, Any]


def differ(column: str, got: Any, expected: Any) -> Iterator[Difference]:
    if isinstance(got, np.generic):
        got = got.item()
    if got != expected and not (got != got and expected != expected):  # noqa: PLR0124 - both NaN
        yield column, got, expected


def compare_state(engine: Engine, books: Books) -> Iterator[Difference]:
    """Compare every sum of every account, position, exposure, strategy, breaker and kill."""
    yield from _compare_accounts(engine.state, books)
    yield from _compare_positions(engine.state, books)
    yield from _compare_exposures(engine.state, books)
    yield from _compare_breakers(engine.state, books)
    yield from _compare_strategies(engine.state, books)
    yield from _compare_markets(engine.state, books)
    yield from _compare_kills(engine.state, books)


def compare_events(engine: Engine, books: Books, known: int) -> Iterator[Difference]:
    """Compare the trips of breakers after the first `known` ones."""
    count = int(engine.state.engine[0]["event_count"])
    yield from differ("event_count", count, books.event_count)
    if count != books.event_count:
        return
    rows = engine.state.events
    for event in list(books.events)[-min(count - known, len(books.events)) :]:
        row = rows[(event["event_id"] - 1) % (len(rows) - 1) + 1]
        label = f"event {event['event_id']}"
        for name, expected in event.items():
            if name == "positions":
                got: Any = _positions_of(row, len(expected))
            elif name in ("values", "value_names"):
                got = row[name][: len(expected)].tolist()
            else:
                got = row[name].tobytes() if row[name].shape else row[name].item()
            if name == "values":
                for pair in zip(got, expected, strict=True):
                    yield from differ(f"{label}.values", *pair)
            else:
                yield from differ(f"{label}.{name}", got, expected)


def _positions_of(row: Any, count: int) -> list[tuple[bytes, int, int, int]]:
    return [
        (
            row["position_symbols"][4 * at : 4 * at + 4].tobytes(),
            int(row["position_steps"][at]),
            int(row["position_lot_mantissa"][at]),
            int(row["position_lot_scale"][at]),
        )
        for at in range(count)
    ]


def _rows_of(table: Any) -> Any:
    # The first word of the header row counts the rows in use.
    return table.rows[1 : 1 + int(table.rows[:1].view(np.int64)[0])]


def _name(row: Any, column: str) -> str:
    return bytes(row[column].tobytes()).rstrip(b"\0").decode()


def _compare_columns(label: str, row: Any, part: Any, columns: dict[str, str]) -> Any:
    for column, attribute in columns.items():
        yield from differ(f"{label}.{column}", row[column], getattr(part, attribute))


def _compare_accounts(state: Any, books: Books) -> Iterator[Difference]:
    for row in _rows_of(state.accounts):
        account, name = books.accounts[row["account_id"].tobytes()], _name(row, "account_id")
        yield from _compare_columns(name, row, account, SUMS)
        for period in ("day", "week", "month"):
            start, base = row[f"{period}_start_ns"], row[f"{period}_base_micros"]
            yield from differ(f"{name}.{period}_start", start, account.start[period])
            yield from differ(f"{name}.{period}_base", base, account.base[period])


def _compare_breakers(state: Any, books: Books) -> Iterator[Difference]:
    rows = _rows_of(state.breakers)
    yield from differ("breakers", len(rows), len(books.breakers))
    for row in rows:
        _account, breaker = books.breakers[row["breaker_id"].tobytes()]
        yield from _compare_columns(_name(row, "breaker_id"), row, breaker, BREAKER)


def _compare_strategies(state: Any, books: Books) -> Iterator[Difference]:
    rows = _rows_of(state.strategies)
    yield from differ("strategies", len(rows), books.strategy_count)
    for row in rows:
        owner = state.accounts.rows[row["account_row"]]["account_id"].tobytes()
        strategy = books.accounts[owner].strategies.get(row["strategy_id"].tobytes())
        label = f"strategy {_name(row, 'strategy_id')} of {owner.rstrip(bytes(1)).decode()}"
        if strategy is None:
            yield label, "there", "absent"
        else:
            yield from _compare_columns(label, row, strategy, STRATEGY)


def _compare_markets(state: Any, books: Books) -> Iterator[Difference]:
    for row in _rows_of(state.instruments):
        market, name = books.markets[row["symbol"].tobytes()], _name(row, "symbol")
        twice = row["collar_twice_ticks"]
        yield from differ(f"{name}.collar_twice_ticks", twice, market.collar_twice)
        if twice:
            start = row["collar_start_ns"]
            yield from differ(f"{name}.collar_start_ns", start, market.collar_start)


def _compare_kills(state: Any, books: Books) -> Iterator[Difference]:
    rows, times = _rows_of(state.kills), books.kills.times
    yield from differ("kills", len(rows), len(times))
    yield from differ("kills_lost", state.engine[0]["kills_lost"], books.kills.lost)
    for row in rows:
        key = (int(row["scope"]), int(row["provider_type"]), row["name"].tobytes())
        yield from differ(f"kill {key}", [int(row[name]) for name in KILL_TIMES], times.get(key))


def _compare_positions(state: Any, books: Books) -> Iterator[Difference]:
    table = state.positions.rows
    for account_row in _rows_of(state.accounts):
        account = books.accounts[account_row["account_id"].tobytes()]
        at, seen = int(account_row["first_position"]), 0
        while at:
            row = table[at]
            symbol = state.instruments.rows[row["instrument_row"]]["symbol"].tobytes()
            key = (symbol, row["position_id"].tobytes())
            position, seen = account.positions.get(key), seen + 1
            label = f"position {key}"
            if position is None:
                yield (label, "there", "absent")
            else:
                for column, value in (
                    ("net_steps", position.net),
                    ("cost_ticks", position.cost_ticks),
                    ("open_risk_micros", position.open_risk),
                    ("open_notional_micros", position.open_notional),
                    ("held_buy_steps", position.held[1]),
                    ("held_sell_steps", position.held[2]),
                    ("working_exit_steps", position.working_exits),
                ):
                    yield from differ(f"{label}.{column}", row[column], value)
            at = int(row["next_position"])
        yield from differ("positions", seen, len(account.positions))


def _compare_exposures(state: Any, books: Books) -> Iterator[Difference]:
    for row in _rows_of(state.exposures):
        # An instrument without a group is its own: a negative row keeps it apart from a group of
        # its name.
        owner = state.accounts.rows[abs(row["account_row"])]["account_id"].tobytes()
        group = (bool(row["account_row"] < 0), row["correlation_group"].tobytes())
        exposure = books.accounts[owner].exposures.get(group)
        label = f"exposure {group!r}"
        held = 0 if exposure is None else exposure.held
        opened = 0 if exposure is None else exposure.open
        yield from differ(f"{label}.held", row["held_notional_micros"], held)
        yield from differ(f"{label}.open", row["open_notional_micros"], opened)
