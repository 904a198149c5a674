"""500 conditions in CEL on one account against none: nanoseconds per decision and per equity mark.

450 are over the state, 50 over the request, with 7 operators (comparisons, connectives, arithmetic)
in the median one; none of them ever holds, so that all are judged to their end. Those over the
request are judged in every decision; those over the state whenever the account's state changes,
which is shown by marks of its equity. Two worlds that are alike in all else take turns in one run.
All verdicts must be ALLOW, and a last breaker that does hold must deny: the others were alive.
"""

from __future__ import annotations

import time
from statistics import median
from typing import Any, Final

import numpy as np

from benchmarks.bench_controls import clock_cost_ns
from benchmarks.bench_decide import measure
from benchmarks.worlds import names, new_requests, new_world
from riskgate.v1 import types_pb2 as types
from server.conditions import Condition, compile_condition
from server.hotpath.change_kinds import ACCOUNT, BREAKER, EQUITY
from server.hotpath.condition_codes import CONSTANT, LOAD
from server.hotpath.layout import CHANGE_BREAKER, CHANGE_EQUITY, MICROS, MILLISECOND_NS, words
from server.hotpath.memory import Capacity
from server.hotpath.reasons import R_BREAKER_TRIPPED, S_DENY

Rows = np.ndarray[Any, np.dtype[Any]]
SIZES: Final = {"accounts": 1, "providers": 1_000, "instruments": 100}
OVER_STATE: Final = 450
OVER_REQUEST: Final = 50
OPERATORS_MEDIAN: Final = 7
ROUNDS: Final = 10
COUNTED: Final = 20_000
MARKS: Final = 500
KINDS: Final = ("dry run", "anonymous")
_SEED: Final = 7
_HOLD_NS: Final = 100 * MILLISECOND_NS  # so that all holds of one account fit into its share
_EQUITY: Final = 1_000_000_000
# What can never be above its number; none of them is ever unknown here.
_STATE: Final = ("drawdown", "day_loss", "week_loss", "month_loss", "leverage")
_REQUEST: Final = ("stop_distance_pips", "atr_pips", "volatility_index", "buffer_pips")
_NEVER: Final = 1_000_000.0


def draw_condition(chance: np.random.Generator, *, over_request: bool) -> Condition:
    """Return a condition that never holds; half of them have 7 operators."""
    variables = _REQUEST if over_request else _STATE
    parts = []
    for _ in range(int(chance.choice((2, 3, 4, 4, 4, 5, 6)))):
        name = str(chance.choice(variables))
        parts.append(f"{name} > {_NEVER + float(chance.integers(1_000))}")
    return compile_condition(" || ".join(parts))


def count_operators(condition: Condition) -> int:
    """Return how many steps of a program are no loads."""
    return sum(step & 0xFF not in {LOAD, CONSTANT} for step in condition.program)


def breaker_row(number: int, condition: Condition) -> Rows:
    """Return one row of CHANGE_BREAKER that blocks."""
    row = np.zeros(1, CHANGE_BREAKER)
    row["breaker_id"] = row["name"] = words(f"breaker-{number}")
    row["account_id"] = names("A", 1, 8)[0]
    row["condition"] = types.BREAKER_CONDITION_EXPRESSION
    row["action"] = types.BREAKER_ACTION_BLOCK
    row["enabled"] = 1
    row["over_request"] = condition.over_request
    row["program_length"] = len(condition.program)
    row["program"][0, : len(condition.program)] = condition.program
    row["constants"][0, : len(condition.constants)] = condition.constants
    return row


class World:
    """One of the two engines that are compared.

    Args:
        conditions: Of the breakers of its one account.
    """

    def __init__(self, conditions: list[Condition]) -> None:
        self.name = f"{len(conditions)} breakers"
        self.engine = new_world(Capacity(), _shorten_holds, **SIZES)
        for number, condition in enumerate(conditions):
            self.put(BREAKER, breaker_row(number, condition))

    def put(self, kind: int, rows: Rows) -> None:
        """Apply the rows of one change."""
        self.engine.apply_rows(kind, 1, rows, reading_ns=self.engine.now_ns)

    def measure(self, kind: str) -> Rows:
        """Return nanoseconds of each decision.

        Raises:
            SystemExit: An answer was not ALLOW.
        """
        requests = new_requests(COUNTED, **SIZES)
        requests["client_order_id"] = 0
        requests["dry_run"] = kind == "dry run"
        spent, allowed = measure(self.engine, requests)
        if allowed != COUNTED:
            raise SystemExit(f"{self.name}, {kind}: {allowed} of {COUNTED} were ALLOW")
        return spent

    def mark(self) -> list[int]:
        """Return nanoseconds of each of many marks of the equity, the call from Python included."""
        spent = []
        for number in range(MARKS):
            row = np.zeros(1, CHANGE_EQUITY)
            row["account_id"] = names("A", 1, 8)[0]
            row["equity_micros"] = (_EQUITY + number % 7) * MICROS
            row["equity_at_ns"] = self.engine.now_ns + number
            begin = time.perf_counter_ns()
            self.put(EQUITY, row)
            spent.append(time.perf_counter_ns() - begin)
        return spent

    def check_alive(self) -> None:
        """Make sure that breakers are judged at all.

        Raises:
            SystemExit: One that holds does not deny.
        """
        for text in ("drawdown >= 0.0", "entry_price > 0.0"):
            self.put(BREAKER, breaker_row(10_000, compile_condition(text)))
            request = new_requests(1, **SIZES)
            request["client_order_id"] = 0  # an order that is known is not judged again
            self.engine.decide_record(request[0], self.engine.now_ns)
            if self.engine.state.decision[0]["status"][R_BREAKER_TRIPPED] != S_DENY:
                raise SystemExit(f"a breaker over {text!r} does not deny")


def _shorten_holds(kind: int, rows: Rows) -> Rows:
    if kind == ACCOUNT:
        rows["reservation_ttl_ns"] = _HOLD_NS
    return rows


def main(rounds: int = ROUNDS) -> None:
    """Print the table; exit with a message if an answer is wrong."""
    chance = np.random.default_rng(_SEED)
    conditions = [draw_condition(chance, over_request=False) for _ in range(OVER_STATE)]
    conditions += [draw_condition(chance, over_request=True) for _ in range(OVER_REQUEST)]
    operators = median(count_operators(condition) for condition in conditions)
    if operators != OPERATORS_MEDIAN:
        raise SystemExit(f"the median condition has {operators} operators")
    worlds = [World([]), World(conditions)]
    clock_ns = clock_cost_ns(worlds[0].engine)
    spent: dict[tuple[str, str], list[Any]] = {}
    for number in range(rounds + 1):
        for kind in (*KINDS, "equity mark"):
            for world in worlds[:: -1 if number % 2 else 1]:
                taken = world.mark() if kind == "equity mark" else world.measure(kind)
                if number:  # the first turn warms up
                    spent.setdefault((kind, world.name), []).append(taken)
    for world in worlds:
        world.check_alive()
    print(f"ns, N = {rounds * COUNTED:,} decisions and {rounds * MARKS:,} marks each\n")
    print(f"{'':<14} {'':<14} {'p50':>9} {'p99':>9} {'p99.9':>9}")
    for kind in (*KINDS, "equity mark"):
        taken_off = 0.0 if kind == "equity mark" else clock_ns
        figures = []
        for world in worlds:
            taken = np.concatenate(spent[kind, world.name])
            figures.append(np.percentile(taken, [50, 99, 99.9]) - taken_off)
            _print_row(kind, world.name, figures[-1])
        _print_row("", "difference", figures[1] - figures[0])


def _print_row(kind: str, name: str, figures: Any) -> None:
    print(f"{kind:<14} {name:<14} " + " ".join(f"{figure:9.0f}" for figure in figures))


if __name__ == "__main__":
    main()
