"""decide() with every control on against the same without: nanoseconds per full decision.

The controls of docs/decision.md, section 13, and the kill switch, all set wide: each check runs and
passes. Two worlds that are alike in all else take turns in one run, so that whatever the machine
does meets both. All verdicts must be ALLOW, and in the controlled world every check must have run.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from benchmarks.bench_decide import measure
from benchmarks.wide_controls import (
    STRATEGY,
    quotes,
    rearmed_kills,
    widen,
)
from benchmarks.worlds import NOW_NS, names, new_requests, new_world
from server.engine import Engine
from server.hotpath.change_kinds import (
    KILL,
    MARKET,
)
from server.hotpath.layout import ID_WORDS, SYMBOL_WORDS, words
from server.hotpath.memory import Capacity
from server.hotpath.reasons import (
    R_ACCOUNT_NOTIONAL,
    R_CONTENTS_FULL,
    R_DUPLICATE_ORDER,
    R_HOURS_MISSING,
    R_INSTRUMENT_RESTRICTED,
    R_LONG_POSITION,
    R_MESSAGE_RATE,
    R_ORDER_VALUE,
    R_ORDER_VOLUME,
    R_PRICE_COLLAR,
    R_PRICE_COLLAR_WINDOW,
    R_QUOTE_MISSING,
    R_QUOTE_STALE,
    R_REPEATED_EXECUTION,
    R_SESSION_CLOSED,
    R_SHORT_POSITION,
    R_STRATEGIES_FULL,
    R_STRATEGY_NOTIONAL,
    R_STRATEGY_REQUIRED,
    S_PASS,
)

Rows = np.ndarray[Any, np.dtype[Any]]
SIZES: Final = {"accounts": 1_000, "providers": 1_000, "instruments": 100}
KINDS: Final = ("dry run", "new order")
ROUNDS: Final = 10
COUNTED: Final = 20_000
WARM: Final = 5_000
# Each of them must have passed, and one of SIDES, by the side of the order.
MUST_RUN: Final = (
    R_INSTRUMENT_RESTRICTED, R_STRATEGY_REQUIRED, R_SESSION_CLOSED, R_HOURS_MISSING,
    R_QUOTE_MISSING, R_QUOTE_STALE, R_PRICE_COLLAR, R_PRICE_COLLAR_WINDOW, R_MESSAGE_RATE,
    R_REPEATED_EXECUTION, R_DUPLICATE_ORDER, R_STRATEGIES_FULL, R_CONTENTS_FULL, R_ORDER_VALUE,
    R_ORDER_VOLUME, R_ACCOUNT_NOTIONAL, R_STRATEGY_NOTIONAL,
)  # fmt: skip
SIDES: Final = (R_LONG_POSITION, R_SHORT_POSITION)
_MIDDLE: Final = 1.1


class World:
    """One of the two engines that are compared, and its requests.

    Args:
        controlled: Whether every control is on.
    """

    def __init__(self, *, controlled: bool) -> None:
        self.name = "all controls" if controlled else "no controls"
        self.controlled = controlled
        self.engine = new_world(Capacity(), *([widen] if controlled else []), **SIZES)
        self.engine.tick(NOW_NS)
        if controlled:
            self._put(KILL, rearmed_kills())
        self._serial = 0

    def _put(self, kind: int, rows: Rows) -> None:
        self.engine.apply_rows(kind, 1, rows, reading_ns=self.engine.now_ns)

    def quote(self) -> None:
        """Let the quotes be fresh; a measurement takes less than their age."""
        symbols = names("S", SIZES["instruments"], SYMBOL_WORDS)
        prices = np.full(len(symbols), _MIDDLE)
        self._put(MARKET, quotes(symbols, prices, self.engine.now_ns))

    def measure(self, kind: str, count: int) -> Rows:
        """Return nanoseconds of each of so many decisions.

        Raises:
            SystemExit: An answer was not ALLOW, or a check of the controlled world did not run.
        """
        self.quote()
        self._serial += 1
        requests = new_requests(count, **SIZES)
        requests["client_order_id"][:, 2] = self._serial
        requests["strategy_id"] = words(STRATEGY, ID_WORDS)
        requests["dry_run"] = kind == "dry run"
        spent, allowed = measure(self.engine, requests)
        if allowed != count:
            raise SystemExit(f"{self.name}, {kind}: {allowed} of {count} were ALLOW")
        self._check_last()
        return spent

    def _check_last(self) -> None:
        status = self.engine.state.decision[0]["status"]
        ran = {reason for reason in (*MUST_RUN, *SIDES) if status[reason] == S_PASS}
        # The restriction of an instrument is never off.
        wanted = {*MUST_RUN, *(ran & set(SIDES))} if self.controlled else {R_INSTRUMENT_RESTRICTED}
        if ran != wanted or (self.controlled and len(ran & set(SIDES)) != 1):
            raise SystemExit(f"{self.name}: ran {sorted(ran)} instead of {sorted(wanted)}")


def clock_cost_ns(engine: Engine) -> float:
    """Return what it takes to read the clock twice."""
    idle, _ = measure(engine, new_requests(10_000, **SIZES), decide=False)
    return float(np.median(idle))


def main(rounds: int = ROUNDS) -> None:
    """Print the table; exit with a message if an answer is wrong."""
    worlds = [World(controlled=False), World(controlled=True)]
    clock_ns = clock_cost_ns(worlds[0].engine)
    spent: dict[tuple[str, str], list[Rows]] = {}
    for number in range(rounds + 1):
        for kind in KINDS:
            for world in worlds[:: -1 if number % 2 else 1]:
                taken = world.measure(kind, COUNTED if number else WARM)
                if number:
                    spent.setdefault((kind, world.name), []).append(taken)
    print(f"ns per decision, N = {rounds * COUNTED:,} each, in {rounds} turns\n")
    print(f"{'':<14} {'':<14} {'p50':>9} {'p99':>9} {'p99.9':>9}")
    for kind in KINDS:
        figures = {}
        for world in worlds:
            taken = np.concatenate(spent[kind, world.name])
            figures[world.name] = np.percentile(taken, [50, 99, 99.9]) - clock_ns
            row = " ".join(f"{figure:9.0f}" for figure in figures[world.name])
            print(f"{kind:<14} {world.name:<14} {row}")
        more = figures["all controls"] - figures["no controls"]
        print(f"{'':<14} {'difference':<14} " + " ".join(f"{figure:9.0f}" for figure in more))


if __name__ == "__main__":
    main()
