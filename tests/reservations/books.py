"""Books of one account, kept from a journal alone.

Money is whole micros, and picos (a millionth of a micro) where a position is closed in part: there
is rounded so that never more counts as used than is, and less by not a cent in all.
What must never be is in ceilings.py.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import Any, Final

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import types_pb2 as types
from tests.reservations.events import Decided, Event, Limited, Reported

MICROS: Final = 1_000_000
PICOS: Final = 1_000_000  # of one micro
STEPS_PER_LOT: Final = 100

_OVER: Final = {types.REPORT_KIND_REJECT, types.REPORT_KIND_CANCEL, types.REPORT_KIND_EXPIRE}
_FILLS: Final = {types.REPORT_KIND_FILL, types.REPORT_KIND_PARTIAL_FILL}
_WORKING: Final = {types.REPORT_KIND_ACK, types.REPORT_KIND_UNKNOWN}


@dataclass(frozen=True)
class Market:
    """One symbol: a tick of one lot is worth one unit of the account's currency in each of them."""

    ticks_per_unit: int
    group: str


@dataclass
class Order:
    """An order that was let through; amounts are micros for what is left of it."""

    symbol: str
    side: int
    strategy: str
    is_exit: bool
    position: str  # that an exit is to reduce
    left: int
    risk: int
    notional: int
    expires_at_ns: int  # 0: it does not end by itself
    is_live: bool = True
    filled: int = 0
    closed: int = 0


@dataclass
class Row:
    """An open position: steps, negative is short; risk and notional in picos of micros."""

    steps: int = 0
    risk: int = 0
    notional: int = 0


@dataclass
class Books:
    """Everything that is open or held.

    Args:
        equity: Micros, at the start of every window.
        markets: By symbol.
        commission: Per lot, whole units, part of the loss of an order.
    """

    equity: int
    markets: dict[str, Market]
    commission: int
    base: int = 0
    now_ns: int = 0
    limits: dict[str, int] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)
    rows: dict[tuple[str, str], Row] = field(default_factory=lambda: defaultdict(Row))
    nets: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    uses: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    faults: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.base = self.base or self.equity

    # --- Events ---

    def take(self, event: Event) -> None:
        """Book one event, and note whatever must not be."""
        self.now_ns = max(self.now_ns, event.reading_ns)
        self._expire()
        self.counts["events"] += 1
        if isinstance(event.what, Decided):
            self._decide(event.number, event.what)
        elif isinstance(event.what, Reported):
            self._report(event.number, event.what)
        elif isinstance(event.what, Limited):
            self.limits = event.what.columns

    def fault(self, number: int, text: str) -> None:
        self.faults.append(f"entry {number}: {text}")

    def _expire(self) -> None:
        """Release the holds whose time is over; one that works or is in doubt has none."""
        if not self.waiting:
            return
        still = list[str]()
        for name in self.waiting:
            order = self.orders[name]
            if not order.is_live or not order.expires_at_ns:
                continue
            if order.expires_at_ns <= self.now_ns:
                self._release(order)
                self.counts["expired"] += 1
            else:
                still.append(name)
        self.waiting = still

    # --- Decisions ---

    def _decide(self, number: int, decided: Decided) -> None:
        request, answer = decided
        self.counts["decisions"] += 1
        if not answer.lot_size or request.dry_run:
            if answer.HasField("reservation_expires_at"):
                self.fault(number, "something is held for nothing")
            return
        if not answer.HasField("reservation_expires_at"):
            self.fault(number, f"{request.client_order_id} may go and nothing is held")
        if request.client_order_id in self.orders:
            self.fault(number, f"{request.client_order_id} was let through twice")
            return
        replaced = self.orders.get(request.replaces_client_order_id)
        if replaced is not None and replaced.is_live:
            self.counts["replaced"] += 1
            self._release(replaced)
        order = self._order_of(request, answer)
        self.orders[request.client_order_id] = order
        self.waiting.append(request.client_order_id)
        self.counts["exits" if order.is_exit else "holds"] += 1
        self._hold(order, 1)
        self.uses["live"] += 1

    def _order_of(self, request: Any, answer: Any) -> Order:
        steps = round(answer.lot_size * STEPS_PER_LOT)
        expiry = answer.reservation_expires_at
        risk = notional = 0
        if not request.reduce_only:
            scale = self.markets[request.symbol].ticks_per_unit
            entry = round(request.entry_price * scale)
            stop = round(answer.stop_price * scale)
            slippage = -(-answer.sizing_slippage_pips * 10 // 1)
            loss = abs(entry - stop) + int(slippage) + self.commission
            # Steps are hundredths of a lot.
            risk, notional = (each * steps * MICROS // STEPS_PER_LOT for each in (loss, entry))
        return Order(
            symbol=request.symbol,
            side=request.side,
            strategy=request.strategy_id,
            is_exit=request.reduce_only,
            position=request.position_id,
            left=steps,
            risk=risk,
            notional=notional,
            expires_at_ns=expiry.seconds * 1_000_000_000 + expiry.nanos,
        )

    # --- Reports ---

    def _report(self, number: int, reported: Reported) -> None:
        report, answer = reported
        self.counts["reports"] += 1
        order = self.orders.get(report.client_order_id)
        if order is None:
            self.fault(number, f"a report about {report.client_order_id}, which nobody let through")
            return
        if answer.outcome == pb.REPORT_OUTCOME_APPLIED:
            self._apply(number, report, order)
        elif answer.outcome == pb.REPORT_OUTCOME_UNMATCHED:
            self._take_unmatched(number, report, order)
        held = order.left if order.is_live else 0
        for name, found, expected in (
            ("held lots", answer.held_lots * STEPS_PER_LOT, held),
            ("position", answer.position_lots * STEPS_PER_LOT, self.nets[order.symbol]),
            ("equity", answer.equity * MICROS, self.equity),
        ):
            if round(found) != expected:
                self.fault(number, f"{name} {round(found)} instead of {expected}")

    def _apply(self, number: int, report: Any, order: Order) -> None:
        if report.kind in _WORKING:
            order.expires_at_ns = 0
            self.counts["in doubt"] += report.kind == types.REPORT_KIND_UNKNOWN
        elif report.kind in _OVER:
            self._release(order)
        elif report.kind in _FILLS:
            self._fill(number, report, order)
        else:
            steps = round(report.lots * STEPS_PER_LOT)
            self._move(report, order, -steps if order.side == types.SIDE_BUY else steps, 0, 0)
        self.equity += round(report.realised_pnl * MICROS) - round(report.commission * MICROS)

    def _take_unmatched(self, number: int, report: Any, order: Order) -> None:
        """Take a report on an order that the engine has forgotten: it never opens anything."""
        if order.is_live or report.kind in _FILLS:
            self.fault(number, f"{report.client_order_id} is forgotten")
        if report.kind != types.REPORT_KIND_CLOSE:
            self.counts["too late"] += 1  # its hold had ended, and nobody goes on with it
            return
        self.counts["closed unmatched"] += 1
        there = self.rows[order.symbol, report.position_id].steps
        sign = 1 if order.side == types.SIDE_BUY else -1
        steps = min(round(report.lots * STEPS_PER_LOT), max(0, sign * there))
        nobody = replace(order, strategy="")
        self._move(report, nobody, -sign * steps, 0, 0)
        self.equity += round(report.realised_pnl * MICROS)

    def _fill(self, number: int, report: Any, order: Order) -> None:
        total = round(report.cumulative_lots * STEPS_PER_LOT)
        steps = max(0, total - order.filled) if total else round(report.lots * STEPS_PER_LOT)
        part = min(steps, order.left) if order.is_live else 0
        if part < steps and not order.is_exit:
            self.fault(number, "a fill of what was not held any more")
        order.filled += steps
        order.expires_at_ns = 0
        risk = notional = 0
        if part:
            risk, notional = (each * part // order.left for each in (order.risk, order.notional))
            if part == order.left:
                risk, notional = order.risk, order.notional
            self._hold(order, -1)
            order.left, order.risk = order.left - part, order.risk - risk
            order.notional -= notional
            self._hold(order, 1)
        signed = steps if order.side == types.SIDE_BUY else -steps
        self._move(report, order, signed, risk, notional)
        if report.kind == types.REPORT_KIND_FILL or not order.left:
            self._release(order)

    def _move(self, report: Any, order: Order, steps: int, risk: int, notional: int) -> None:
        """Move the position that a report names by signed steps that bring risk and notional."""
        row = self.rows[order.symbol, report.position_id]
        against = min(abs(steps), abs(row.steps)) if row.steps * steps < 0 else 0
        if against:
            risk_gone, notional_gone = (
                -(-each * against // abs(row.steps)) for each in (row.risk, row.notional)
            )
            self._open(order, row, -risk_gone, -notional_gone)
        opened = abs(steps) - against
        if opened:
            bring = [each * PICOS * opened // abs(steps) for each in (risk, notional)]
            self._open(order, row, *bring)
        row.steps += steps
        self.nets[order.symbol] += steps

    # --- Sums, in picos of micros, by the name of what is limited ---

    def _open(self, order: Order, row: Row, risk: int, notional: int) -> None:
        row.risk += risk
        row.notional += notional
        self._use(order, risk, notional)
        # What closes is taken from the strategy of the order that closes it, as far as it is there.
        # What others have closed is open no more: nobody has more open than all together.
        mine = f"open {order.strategy}"
        self.uses[mine] = max(0, min(self.uses[mine], self.uses["all open"]) + notional)
        self.uses["all open"] += notional

    def _use(self, order: Order, risk: int, notional: int) -> None:
        self.uses["risk"] += risk
        self.uses["notional"] += notional
        self.uses[f"group {self.markets[order.symbol].group}"] += notional

    def _hold(self, order: Order, sign: int) -> None:
        if order.is_exit:
            self.uses[f"leaving {order.symbol} {order.position}"] += sign * order.left
            return
        self._use(order, sign * order.risk * PICOS, sign * order.notional * PICOS)
        self.uses[f"sent {order.strategy}"] += sign * order.notional * PICOS
        self.uses[f"held {order.side} {order.symbol}"] += sign * order.left

    def _release(self, order: Order) -> None:
        if order.is_live:
            self._hold(order, -1)
            self.uses["live"] -= 1
            order.is_live = False
