"""A simulated order router: asks before every order, fills what may go, closes it later.

It fills at the expected price at once and keeps a few positions open per account, so that limits
meet each other. Fills and closes are reported. Nothing reaches a market.
"""

import time
from collections import Counter, defaultdict, deque
from dataclasses import dataclass
from typing import Final

import riskgate
from demo.orders import Order

POSITIONS_OPEN_MAX: Final = 4
# Every so many allowed orders the simulated broker refuses one, which releases its hold.
REJECT_EVERY: Final = 50
_DEADLINE_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Contract:
    """What the profit of a symbol follows from.

    Attributes:
        units_per_lot: Units of base currency in one lot.
        rate: Account currency for one unit of quote currency.
    """

    units_per_lot: float
    rate: float


@dataclass(frozen=True, slots=True)
class Answered:
    """An order with its decision and how long the client waited for it, seconds."""

    order: Order
    answer: riskgate.DecideResponse | riskgate.NoDecisionError
    elapsed_s: float


class Router:
    """Sends orders one after the other.

    Args:
        gate: Client of the decision port.
        contracts: By symbol.
    """

    def __init__(self, gate: riskgate.Client, contracts: dict[str, Contract]) -> None:
        self._gate = gate
        self._contracts = contracts
        self._open: dict[str, deque[tuple[Order, float]]] = {}
        self._allowed = 0
        self.reports: Counter[str] = Counter()
        self.profit: defaultdict[str, float] = defaultdict(float)
        self.open_lots: dict[tuple[str, str], float] = {}

    def send(self, order: Order) -> Answered:
        """Ask about an order; fill it when it may go, and close the oldest when many are open."""
        started_s = time.perf_counter()
        try:
            answer = self._gate.decide(
                client_order_id=order.order_id,
                account_id=order.account_id,
                provider_id=order.provider_id,
                provider_type=order.provider_type,
                symbol=order.symbol,
                side=order.side,
                entry_price=order.entry,
                stop_loss=order.stop,
                requested_lots=order.lots,
                atr=order.atr,
                volatility_index=order.volatility_index,
                deadline_s=_DEADLINE_S,
            )
        except riskgate.NoDecisionError as error:
            return Answered(order, error, time.perf_counter() - started_s)
        elapsed_s = time.perf_counter() - started_s
        if answer.lot_size > 0:
            self._fill(order, answer.lot_size)
        return Answered(order, answer, elapsed_s)

    def close_all(self) -> None:
        """Close every open position."""
        for positions in self._open.values():
            while positions:
                self._close(*positions.popleft())

    def _fill(self, order: Order, lots: float) -> None:
        self._allowed += 1
        if self._allowed % REJECT_EVERY == 0:
            self._report(order, "reject")
            return
        self._report(order, "fill", lots=lots, price=order.entry)
        positions = self._open.setdefault(order.account_id, deque())
        positions.append((order, lots))
        if len(positions) > POSITIONS_OPEN_MAX:
            self._close(*positions.popleft())

    def _close(self, order: Order, lots: float) -> None:
        contract = self._contracts[order.symbol]
        direction = 1 if order.side == "buy" else -1
        move = direction * (order.exit_price - order.entry)
        profit = round(move * contract.units_per_lot * contract.rate * lots, 2)
        self.profit[order.account_id] += profit
        self._report(order, "close", lots=lots, price=order.exit_price, realised_pnl=profit)

    def _report(
        self,
        order: Order,
        kind: str,
        lots: float | None = None,
        price: float | None = None,
        realised_pnl: float | None = None,
    ) -> None:
        answer = self._gate.report(
            report_id=f"{order.order_id}-{kind}",
            account_id=order.account_id,
            client_order_id=order.order_id,
            kind=kind,
            lots=lots,
            price=price,
            realised_pnl=realised_pnl,
            # One position per order, as on an account that keeps opposite positions apart.
            position_id=order.order_id,
            deadline_s=_DEADLINE_S,
        )
        self.reports[kind] += 1
        self.open_lots[order.account_id, order.symbol] = answer.position_lots
