"""Drives engine and twin with the same events and says where they differ."""

import math
import struct
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import numpy as np

from server.engine import Engine
from server.hotpath.layout import DECISION_BREAKERS_MAX
from server.hotpath.models import load_model
from server.hotpath.reasons import (
    R_KILL_ALL,
    R_KILL_NEW_RISK,
    REASONS_MAX,
    S_CUT,
    S_DENY,
    S_NOTE,
)
from server.hotpath.records import (
    DECIDED,
    DECISION,
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
from tests.cases import MODELS, Change, Decide, Report, Sync, WholeEvent, World
from tests.cases.markets import ENCODINGS
from tests.reference import Model, Reference
from tests.reference.judgement import indices_of
from tests.reference.rows import NO_SYMBOL
from tests.twin_state import Difference, compare_events, compare_state, differ

__all__ = ["Difference", "Twins"]

BREAKER_STATES: Final = ("", "closed", "tripped", "cooling", "half open", "locked")
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


def _form() -> tuple[struct.Struct, dict[str, slice]]:
    """Return how a DECISION unpacks, and where each column is in what comes out."""
    assert DECISION.names is not None
    assert DECISION.fields is not None
    form, places, at = "<", dict[str, slice](), 0
    for name in DECISION.names:
        kind = DECISION.fields[name][0]
        count = int(np.prod(kind.shape)) if kind.shape else 1
        letter = {"f": "d", "i": "q", "u": "s"}[kind.base.kind]
        form += f"{count}{letter}"
        length = 1 if letter == "s" else count
        places[name] = slice(at, at + length)
        at += length
    return struct.Struct(form), places


_DECISION, _PLACES = _form()
_AT: Final = {name: place.start for name, place in _PLACES.items()}


class Twins:
    """An engine and its twin, born alike.

    Attributes:
        reached: How often each reason index denied, cut or was noted.
        results: How often each result was given: decided, invalid, repeated, conflict.
        met: How often other things were met, by what they are.
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
        self.reached: Counter[int] = Counter()
        self.results: Counter[int] = Counter()
        self.met: Counter[str] = Counter()
        self._events = 0
        # What has been held since anything but a request came.
        self._batch: list[tuple[int, int]] = []

    def step(self, event: WholeEvent) -> list[Difference]:
        """Give one event to both and return what differs in their answers."""
        if isinstance(event, Change):
            kind, version, rows, deleted, reading = event
            self.engine.apply_rows(kind, version, rows.copy(), deleted=deleted, reading_ns=reading)
            self.reference.apply(kind, version, rows, deleted=deleted, reading_ns=reading)
            found = list(self._compare_engine())
        elif isinstance(event, Decide):
            found = list(self._decide(event))
        elif isinstance(event, Report):
            found = list(self._report(event))
        elif isinstance(event, Sync):
            found = list(self._sync(event))
        else:
            found = list(self._take_back(event.orders))
        if not isinstance(event, Decide):
            self._batch.clear()
        count = self.reference.books.event_count
        if count != self._events or self.engine.state.engine[0]["event_count"] != count:
            found += compare_events(self.engine, self.reference.books, self._events)
            self._meet_events(count - self._events)
            self._events = count
        self.world.sequence = self.reference.books.sequence
        return found

    def _meet_events(self, count: int) -> None:
        events = list(self.reference.books.events)
        for event in events[-min(count, len(events)) :]:
            self.met[f"event of condition {event['condition']}"] += 1
            self.met[f"event of action {event['action']}"] += 1
            self.met["event over the request"] += event["symbol"] != NO_SYMBOL
            self.met["event with unknown values"] += any(map(math.isnan, event["values"]))
            self.met["event with positions"] += event["position_count"] > 0

    def _meet(self, answer: dict[str, Any], request: Any) -> None:
        kind = "exit verdict" if request["reduce_only"] else "verdict"
        self.met[f"{kind} {answer['verdict']}"] += 1
        for breaker in answer["breakers"]:
            self.met[f"listed {BREAKER_STATES[breaker[1]]}"] += 1
        self.met["listed as many as fit"] += len(answer["breakers"]) == DECISION_BREAKERS_MAX
        if S_DENY in (answer["status"][R_KILL_ALL], answer["status"][R_KILL_NEW_RISK]):
            for scope in self.reference.books.kills.active_scopes():
                self.met[f"killed scope {scope}"] += 1

    def compare_state(self) -> list[Difference]:
        """Compare every sum of every account, position, strategy, breaker and so on."""
        return [*self._compare_engine(), *compare_state(self.engine, self.reference.books)]

    def _compare_engine(self) -> Iterator[Difference]:
        row, books = self.engine.state.engine[0], self.reference.books
        yield from differ("state_version", row["state_version"], books.state_version)
        yield from differ("now_ns", row["now_ns"], books.now)
        yield from differ("unknown_changes", row["unknown_changes"], books.unknown_changes)
        yield from differ("sequence", row["sequence"], books.sequence)
        yield from differ("reservations", row["reservation_in_use"], books.holds_in_use)
        yield from differ("contents", row["content_count"], len(books.contents))

    def _decide(self, event: Decide) -> Iterator[Difference]:
        result, decision = self.engine.decide_record(event.row, event.reading_ns)
        expected, answer = self.reference.decide(event.row, event.reading_ns)
        self.results[expected] += 1
        yield from differ("result", result, expected)
        if result != expected:
            return
        if result == INVALID:
            yield from differ("field", decision["field"], answer["field"])
            yield from differ("problem", decision["problem"], answer["problem"])
        if result == REPEATED:
            row = self.engine.state.idempotency.rows[decision["idempotency_row"]]
            yield from differ("sequence", row["decision_id"], answer["sequence"])
        if result == DECIDED:
            if answer["known"] & KNOWN_HOLD:
                self._batch.append((int(decision["reservation_row"]), answer["sequence"]))
            self._meet(answer, event.row)
            yield from self._compare_decision(_DECISION.unpack(decision.tobytes()), answer)

    def _compare_decision(self, got: Any, answer: dict[str, Any]) -> Iterator[Difference]:
        columns = list(ALWAYS)
        for bit, optional in OPTIONAL.items():
            if answer["known"] & bit:
                columns += optional
        for column in columns:
            if got[_AT[column]] != answer[column]:
                yield column, got[_AT[column]], answer[column]
        if got[_AT["breaker_count"]] or answer["breakers"]:
            yield from differ("breakers", self._listed(got), answer["breakers"])
        yield from self._compare_reasons(got, answer)

    def _listed(self, got: Any) -> list[tuple[bytes, int, int, int]]:
        """Return the breakers that an answer lists."""
        names = ("breaker_row", "breaker_state", "breaker_tripped_at_ns", "breaker_closes_at_ns")
        listed = zip(*(got[_PLACES[name]] for name in names), strict=True)
        rows = self.engine.state.breakers.rows
        return [
            (rows[row]["breaker_id"].tobytes(), *facts)
            for row, *facts in list(listed)[: got[_AT["breaker_count"]]]
        ]

    def _compare_reasons(self, got: Any, answer: dict[str, Any]) -> Iterator[Difference]:
        statuses = answer["status"]
        for bound in BOUND:
            self.reached.update(indices_of(statuses, bound))
        status = got[_AT["status"]]
        if status != statuses:
            for index in range(REASONS_MAX):
                yield from differ(f"status[{index}]", status[index], statuses[index])
        numbers = bytearray(REASONS_MAX)
        for index in answer["limit"]:
            numbers[index] |= 1
        for index in answer["lots_max"]:
            numbers[index] |= 2
        if got[_AT["numbers"]] != numbers:
            for index in range(REASONS_MAX):
                yield from differ(f"numbers[{index}]", got[_AT["numbers"]][index], numbers[index])
        for name in ("limit", "observed", "lots_max"):
            start = _AT[name]
            for index, value in answer[name].items():
                if got[start + index] != value and got[_AT["numbers"]][index]:
                    yield f"{name}[{index}]", got[start + index], value

    def _take_back(self, orders: int) -> Iterator[Difference]:
        rows = self.engine.state.reservations.rows
        for row, decision_id in self._batch[-orders:]:
            if rows[row]["decision_id"] != decision_id:
                continue  # closed meanwhile, and used again
            self.engine.cancel(row)
            self.met["taken back"] += 1
            self.reference.take_back(decision_id)
        yield from self._compare_engine()

    def _sync(self, event: Sync) -> Iterator[Difference]:
        books = self.reference.books
        account = books.accounts.get(event.account.encode().ljust(64, b"\0"))
        symbols = {position.symbol for position in event.positions}
        symbols |= {order.symbol for order in event.orders}
        known = {symbol.rstrip(b"\0").decode() for symbol in books.instruments}
        if account is None or not account.alive or not symbols <= known:
            return  # the engine would refuse
        if not books.has_room_for_positions(2 * len(event.positions)):
            return
        facts = event.account, event.equity_micros, event.as_of_ns, event.positions, event.orders
        self.met["sync"] += 1
        self.engine.sync(*facts, event.reading_ns)
        self.reference.sync(*facts, event.reading_ns)
        yield from self._compare_engine()

    def _report(self, event: Any) -> Iterator[Difference]:
        result = self.engine.report_record(event.row, event.reading_ns)
        expected = self.reference.report(event.row, event.reading_ns)
        columns = ["outcome"]
        if expected["outcome"] == REPORT_INVALID:
            columns += ["field", "problem"]
        if expected["outcome"] in (REPORT_APPLIED, REPORT_DUPLICATE, REPORT_UNMATCHED):
            columns += ["sequence", "equity_micros", "held_steps", "position_steps"]
        for column in columns:
            yield from differ(column, result[column], expected[column])
