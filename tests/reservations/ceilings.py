"""What the books of an account must never show: a use above its limit.

At every entry each use, open and held together, is at most its limit, or not larger than before
the entry: equity that fell and a limit that was set lower take nothing away from those who have it.
For an order that was let through that is no excuse.

Positions are net, as the page has them: what is open on one side makes room on the other. Whoever
closes it takes that room away, and a close is never refused; what it then leaves above a limit is
counted apart, as `revealed`.
"""

from collections.abc import Iterable
from typing import Any, Final

from riskgate.v1 import types_pb2 as types
from tests.reservations.books import MICROS, PICOS, STEPS_PER_LOT, Books
from tests.reservations.events import Decided, Event, Reported

_PPM: Final = 1_000_000
_ENDLESS: Final = 2**63 - 1
_SIDES: Final = {types.SIDE_BUY: "long", types.SIDE_SELL: "short"}


class Inspection:
    """Walks through events and compares the books with the limits behind each of them.

    Args:
        books: As they are before the first event.
        quota: Most holds of an account at once.
        lowest: By symbol the lowest price in ticks that an order may have: what a position is worth
            at least.

    Attributes:
        nearest: By use the largest share of its limit that was ever used, when an order was let
            through.
    """

    def __init__(self, books: Books, quota: int, lowest: dict[str, int]) -> None:
        self.books, self.quota, self.lowest = books, quota, lowest
        self.nearest: dict[str, float] = {}
        self._before = self._measure()

    def walk(self, events: Iterable[Event]) -> Books:
        """Take all events; the faults are in the books."""
        for event in events:
            self.books.take(event)
            self._compare(event)
        return self.books

    # --- Uses and their limits, by name; money in picos of micros, positions in steps ---

    def _measure(self) -> dict[str, int]:
        books = self.books
        uses = books.uses
        found = {
            name: value
            for name, value in uses.items()
            if name == "notional" or name.startswith("group ")
        }
        found["loss"] = uses["risk"] + max(0, books.base - books.equity) * PICOS
        for name in list(uses):
            if name.startswith("sent "):
                strategy = name.removeprefix("sent ")
                opened = min(uses[f"open {strategy}"], uses["all open"])
                found[f"strategy {strategy}"] = uses[name] + opened
        for symbol in books.markets:
            for side, name in _SIDES.items():
                net = books.nets[symbol] * (1 if side == types.SIDE_BUY else -1)
                found[f"{name} {symbol}"] = max(0, net + uses[f"held {side} {symbol}"])
        return found

    def _limit_of(self, name: str) -> int:
        """Return the limit of a use as it is now, or a number that nothing reaches."""
        columns, kind, _, symbol = self.books.limits, *name.partition(" ")
        if kind == "notional":
            amount = columns["max_notional_micros"] * PICOS or _ENDLESS * PICOS
            return min(self._share("max_leverage_ppm"), amount)
        if kind == "group":
            return self._share("max_correlated_exposure_ppm")
        if kind == "strategy":
            return columns["max_strategy_notional_micros"] * PICOS or _ENDLESS * PICOS
        if kind == "loss":
            windows = [
                columns[f"{each}_max_drawdown_ppm"] for each in ("daily", "weekly", "monthly")
            ]
            return min(self.books.base * each // _PPM * PICOS for each in windows)
        lots = columns[f"max_{kind}_microlots"] * STEPS_PER_LOT // MICROS or _ENDLESS
        return min(lots, self._share("max_position_size_ppm") // self._step_value(symbol))

    def _share(self, column: str) -> int:
        return self.books.equity * self.books.limits[column] // _PPM * PICOS

    def _step_value(self, symbol: str) -> int:
        return self.lowest[symbol] * MICROS // STEPS_PER_LOT * PICOS

    # --- Comparing ---

    def _compare(self, event: Event) -> None:
        before, self._before = self._before, self._measure()
        if not self.books.limits:
            return
        what: Any = event.what
        is_let_through = isinstance(what, Decided) and what.answer.lot_size > 0
        concerned = self._concerns(what) if is_let_through else frozenset()
        for name, use in self._before.items():
            grew = use > before.get(name, 0)
            if not grew and name not in concerned:
                continue
            limit = self._limit_of(name)
            if use > limit and self._is_revealed(name, what):
                self.books.counts["revealed"] += 1
            elif use > limit and self._is_of_others(name, what):
                self.books.counts["of others"] += 1
            elif use > limit:
                self.books.fault(event.number, f"{name} is {use}, its limit {limit}")
            if name in concerned and limit > 0:
                kind = name.partition(" ")[0]
                self.nearest[kind] = max(self.nearest.get(kind, 0.0), use / limit)
        if is_let_through:
            self._compare_order(event.number, what.request)

    def _is_revealed(self, name: str, what: Any) -> bool:
        """Tell whether a net position grew because one on the other side was closed."""
        if name.partition(" ")[0] not in _SIDES.values() or not isinstance(what, Reported):
            return False
        order = self.books.orders[what.report.client_order_id]
        return order.is_exit or what.report.kind == types.REPORT_KIND_CLOSE

    def _is_of_others(self, name: str, what: Any) -> bool:
        """Tell whether a strategy's use grew by what another opened.

        What others closed stays in a strategy; of that at most what its account has open counts, so
        it counts again, against the strategy, when somebody else opens more.
        """
        kind, _, strategy = name.partition(" ")
        if kind != "strategy":
            return False
        if isinstance(what, Reported):
            return self.books.orders[what.report.client_order_id].strategy != strategy
        return isinstance(what, Decided) and what.request.strategy_id != strategy

    def _concerns(self, decided: Any) -> frozenset[str]:
        request = decided.request
        if request.dry_run or request.reduce_only:
            return frozenset()
        group = self.books.markets[request.symbol].group
        side = _SIDES[request.side]
        return frozenset({
            "notional", "loss", f"group {group}", f"strategy {request.strategy_id}",
            f"{side} {request.symbol}",
        })  # fmt: skip

    def _compare_order(self, number: int, request: Any) -> None:
        """What holds for the order itself: its position at its own price, quota, exits."""
        books = self.books
        if request.dry_run:
            return
        if request.reduce_only:
            leaving = books.uses[f"leaving {request.symbol} {request.position_id}"]
            there = abs(books.rows[request.symbol, request.position_id].steps)
            if leaving > there:
                books.fault(number, f"exits of {leaving} steps from a position of {there}")
            return
        steps = self._before[f"{_SIDES[request.side]} {request.symbol}"]
        ticks = round(request.entry_price * books.markets[request.symbol].ticks_per_unit)
        worth = steps * ticks * MICROS // STEPS_PER_LOT * PICOS
        if worth > self._share("max_position_size_ppm"):
            books.fault(number, f"a position of {worth} in {request.symbol}")
        if books.uses["live"] > self.quota:
            books.fault(number, f"{books.uses['live']} holds, {self.quota} are allowed")
        self.nearest["holds"] = max(self.nearest.get("holds", 0.0), books.uses["live"] / self.quota)
