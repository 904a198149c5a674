"""Drives engine and twin with the same events and says where they differ."""

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import numpy as np

from server.engine import Engine
from server.hotpath.layout import DECISION_BREAKERS_MAX
from server.hotpath.models import load_model
from server.hotpath.reasons import REASON_CODES, S_CUT, S_DENY, S_NOTE
from server.hotpath.records import (
    DECIDED,
    INVALID,
    KNOWN_HOLD,
    KNOWN_LARGEST,
    KNOWN_SCORE,
    KNOWN_SLIPPAGE,
    KNOWN_STOP_PRICE,
    KNOWN_TRAILING,
    REPEATED,
    REPORT_APPLIED,
    REPORT_DUPLICATE,
    REPORT_INVALID,
    REPORT_UNMATCHED,
)
from tests import model_reference
from tests.cases import MODELS, Change, Decide, Event, World
from tests.cases.markets import ENCODINGS
from tests.reference import Model, Reference

BOUND: Final = (S_CUT, S_DENY, S_NOTE)
ALWAYS: Final = (
    "sequence", "epoch", "now_ns", "verdict", "mode", "state_version", "binding", "known",
    "lot_steps", "lot_size", "session", "heartbeat_age_ns", "equity_age_ns", "score_age_ns",
    "atr_age_ns", "volatility_age_ns", "conversion_rate_age_ns", "quote_age_ns",
)  # fmt: skip
# Columns that count only where their bit of `known` is set.
OPTIONAL: Final[dict[int, tuple[str, ...]]] = {
    KNOWN_STOP_PRICE: ("stop_ticks", "stop_price"),
    KNOWN_TRAILING: ("trailing_ticks", "trailing_stop_distance"),
    KNOWN_SLIPPAGE: (
        "slippage_ticks", "slippage_micropips", "predicted_slippage_pips", "buffer_ticks",
        "sl_buffer_pips",
    ),
    KNOWN_SCORE: ("score_micropoints", "multiplier_ppm"),
    KNOWN_LARGEST: (
        "target_steps", "largest_steps", "largest_passing_lots", "risk_money_micros",
        "loss_per_lot_micros", "notional_per_lot_micros",
    ),
    KNOWN_HOLD: ("expires_at_ns",),
}  # fmt: skip
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
}

Difference = tuple[str, Any, Any]


class Twins:
    """An engine and its twin, born alike.

    Attributes:
        reached: How often each reason index denied, cut or was noted.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        settings = {
            "started_at_ns": world.started_at_ns,
            "restarted": world.restarted,
            "idempotency_min_age_ns": world.idempotency_min_age_ns,
        }
        self.engine = Engine(world.capacity, epoch=3, **settings)  # type: ignore[arg-type]
        self.reference = Reference(world.capacity, epoch=3, **settings)  # type: ignore[arg-type]
        for slot, lowered in enumerate(MODELS):
            load_model(self.engine.state.models, slot, lowered, ENCODINGS, bytes(32), (1, 0, slot))
            self.reference.models[slot] = Model(
                partial(model_reference.evaluate, lowered),
                partial(model_reference.lookup_encoding, ENCODINGS),
            )
        self.reached = np.zeros(len(REASON_CODES), np.int64)
        self.results = np.zeros(4, np.int64)

    def step(self, event: Event) -> list[Difference]:
        """Give one event to both and return what differs in their answers."""
        if isinstance(event, Change):
            kind, version, rows, deleted, reading = event
            self.engine.apply_rows(kind, version, rows.copy(), deleted=deleted, reading_ns=reading)
            self.reference.apply(kind, version, rows, deleted=deleted, reading_ns=reading)
            found = list(self._compare_engine())
        elif isinstance(event, Decide):
            found = list(self._decide(event))
        else:
            found = list(self._report(event))
        self.world.sequence = self.reference.books.sequence
        return found

    def _compare_engine(self) -> Iterator[Difference]:
        row, books = self.engine.state.engine[0], self.reference.books
        yield from _differ("state_version", row["state_version"], books.state_version)
        yield from _differ("now_ns", row["now_ns"], books.now)
        yield from _differ("unknown_changes", row["unknown_changes"], books.unknown_changes)
        yield from _differ("sequence", row["sequence"], books.sequence)
        yield from _differ("reservations", row["reservation_in_use"], books.holds_in_use)

    def _decide(self, event: Decide) -> Iterator[Difference]:
        result, decision = self.engine.decide_record(event.row, event.reading_ns)
        expected, answer = self.reference.decide(event.row, event.reading_ns)
        self.results[expected] += 1
        yield from _differ("result", result, expected)
        if result != expected:
            return
        if result == INVALID:
            yield from _differ("field", decision["field"], answer["field"])
            yield from _differ("problem", decision["problem"], answer["problem"])
        if result == REPEATED:
            row = self.engine.state.idempotency.rows[decision["idempotency_row"]]
            yield from _differ("sequence", row["decision_id"], answer["sequence"])
        if result == DECIDED:
            yield from self._compare_decision(decision, answer)

    def _compare_decision(self, decision: Any, answer: dict[str, Any]) -> Iterator[Difference]:
        for column in ALWAYS:
            yield from _differ(column, decision[column], answer[column])
        for bit, columns in OPTIONAL.items():
            if answer["known"] & bit:
                for column in columns:
                    yield from _differ(column, decision[column], answer[column])
        rows = self.engine.state.breakers.rows
        listed = [
            (
                rows[decision["breaker_row"][index]]["breaker_id"].tobytes(),
                int(decision["breaker_state"][index]),
                int(decision["breaker_tripped_at_ns"][index]),
                int(decision["breaker_closes_at_ns"][index]),
            )
            for index in range(min(DECISION_BREAKERS_MAX, int(decision["breaker_count"])))
        ]
        yield from _differ("breakers", listed, answer["breakers"])
        yield from self._compare_reasons(decision, answer)

    def _compare_reasons(self, decision: Any, answer: dict[str, Any]) -> Iterator[Difference]:
        limits, observed, lots = (decision[name] for name in ("limit", "observed", "lots_max"))
        numbers = decision["numbers"].tolist()
        pairs = zip(decision["status"].tolist(), answer["status"], strict=True)
        for index, (status, expected) in enumerate(pairs):
            if status in BOUND or expected in BOUND:
                yield from _differ(f"status[{index}]", status, expected)
            if expected in BOUND:
                self.reached[index] += 1
            if numbers[index] & 1 and index in answer["limit"]:
                yield from _differ(f"limit[{index}]", limits[index], answer["limit"][index])
                yield from _differ(f"observed[{index}]", observed[index], answer["observed"][index])
            elif S_DENY in {status, expected}:
                yield from _differ(
                    f"numbers[{index}]", numbers[index] & 1, index in answer["limit"]
                )
            if numbers[index] & 2 or index in answer["lots_max"]:
                got = int(lots[index]) if numbers[index] & 2 else None
                yield from _differ(f"lots_max[{index}]", got, answer["lots_max"].get(index))

    def _report(self, event: Any) -> Iterator[Difference]:
        result = self.engine.report_record(event.row, event.reading_ns)
        expected = self.reference.report(event.row, event.reading_ns)
        columns = ["outcome"]
        if expected["outcome"] == REPORT_INVALID:
            columns += ["field", "problem"]
        if expected["outcome"] in (REPORT_APPLIED, REPORT_DUPLICATE, REPORT_UNMATCHED):
            columns += ["sequence", "equity_micros", "held_steps", "position_steps"]
        for column in columns:
            yield from _differ(column, result[column], expected[column])

    # --- What lies below the answers ------------------------------------------------------------

    def compare_state(self) -> list[Difference]:
        """Compare every sum of every account, position and exposure."""
        return [*self._compare_engine(), *self._compare_accounts(), *self._compare_positions()]

    def _compare_accounts(self) -> Iterator[Difference]:
        state, books = self.engine.state, self.reference.books
        for row in _rows_of(state.accounts):
            account = books.accounts[row["account_id"].tobytes()]
            name = account.account_id.rstrip(b"\0").decode()
            for column, attribute in SUMS.items():
                yield from _differ(f"{name}.{column}", row[column], getattr(account, attribute))
            for period in ("day", "week", "month"):
                start, base = row[f"{period}_start_ns"], row[f"{period}_base_micros"]
                yield from _differ(f"{name}.{period}_start", start, account.start[period])
                yield from _differ(f"{name}.{period}_base", base, account.base[period])
        for row in _rows_of(state.breakers):
            account, breaker = books.breakers[row["breaker_id"].tobytes()]
            tripped = int(row["state"]) == 2
            name = row["breaker_id"].tobytes().rstrip(b"\0").decode()
            yield from _differ(f"{name}.tripped", tripped, breaker.state == 2)

    def _compare_positions(self) -> Iterator[Difference]:
        state, books = self.engine.state, self.reference.books
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
                        yield from _differ(f"{label}.{column}", row[column], value)
                at = int(row["next_position"])
            yield from _differ("positions", seen, len(account.positions))
        for row in _rows_of(state.exposures):
            # An instrument without a group is its own: a negative row keeps it apart from a group
            # of its name.
            owner = state.accounts.rows[abs(row["account_row"])]["account_id"].tobytes()
            group = (bool(row["account_row"] < 0), row["correlation_group"].tobytes())
            exposure = books.accounts[owner].exposures.get(group)
            label = f"exposure {group!r}"
            held = 0 if exposure is None else exposure.held
            opened = 0 if exposure is None else exposure.open
            yield from _differ(f"{label}.held", row["held_notional_micros"], held)
            yield from _differ(f"{label}.open", row["open_notional_micros"], opened)


def _rows_of(table: Any) -> Any:
    # The first word of the header row counts the rows in use.
    return table.rows[1 : 1 + int(table.rows[:1].view(np.int64)[0])]


def _differ(column: str, got: Any, expected: Any) -> Iterator[Difference]:
    if isinstance(got, np.generic):
        got = got.item()
    if got != expected:
        yield column, got, expected
