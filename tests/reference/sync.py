"""The broker's view of an account replaces ours (page, section 10)."""

from typing import Any

from server.hotpath.layout import MICROS, PICOS
from server.hotpath.rows import RESERVATION_WORKING
from tests.reference.arithmetic import lot_steps
from tests.reference.books import Account, Books, Hold
from tests.reference.reports import Reports, turn
from tests.reference.rows import NO_ID
from tests.reference.sizing import notional_per_lot
from tests.reference.validity import BUY


def _id(name: str) -> bytes:
    return name.encode().ljust(len(NO_ID), b"\0")


class Sync:
    """Takes in pictures of accounts; `positions` and `orders` are those of server/broker_view."""

    def __init__(self, books: Books, reports: Reports) -> None:
        self.books = books
        self.reports = reports

    def sync(
        self,
        account: Account,
        equity: int | None,
        as_of: int,
        positions: list[Any],
        orders: list[Any],
    ) -> None:
        books = self.books
        books.sequence += 1
        books.roll(account)
        if equity is not None:
            books.mark_equity(account, equity, as_of)
        self._empty(account)
        for given in positions:
            self._open(account, given)
        for strategy in account.strategies.values():
            strategy.open = min(strategy.open, account.open_notional)
        self._settle_orders(account, as_of, orders)
        books.refresh(account)
        for row in list(account.positions.values()):
            books.forget_if_flat(account, row)

    @staticmethod
    def _empty(account: Account) -> None:
        for row in account.positions.values():
            row.net = row.cost_ticks = row.open_risk = row.open_notional = 0
        for exposure in account.exposures.values():
            exposure.open = 0
        account.open_risk = account.open_notional = 0

    def _rate(self, account: Account, instrument: Any) -> int:
        if instrument.quote_currency == account.spec.currency:
            return PICOS
        row = self.books.rate(instrument.quote_currency, account.spec.currency)
        return 0 if row is None else int(row.rate_picos)

    def _open(self, account: Account, given: Any) -> None:
        books, exact = self.books, self.books.exact
        instrument = books.instruments[given.symbol.encode().ljust(32, b"\0")]
        parsed = lot_steps(given.lots, instrument)
        assert parsed is not None
        steps, sign = parsed[0], 1 if given.side == BUY else -1
        if steps == 0:
            return
        price = max(1, round(given.average_price / instrument.tick_size))
        rate = self._rate(account, instrument)
        risk = notional = 0
        if rate:
            per_lot = notional_per_lot(exact, price, rate, instrument)
            notional = exact.cost(steps, per_lot, instrument)
        if rate and given.stop_loss is not None:
            away = max(0, (price - round(given.stop_loss / instrument.tick_size)) * sign)
            loss = exact.mul_div(away, instrument.tick_value_picos, MICROS, up=True)
            loss = exact.mul_div(loss, rate, PICOS, up=True)
            risk = exact.cost(steps, loss, instrument)
        row = books.position(account, instrument.symbol, _id(given.position_id))
        self.reports.shift(account, instrument, row, sign * steps, price, risk, notional, None)
        if row.position_id != NO_ID:
            turn(books.position(account, instrument.symbol), sign * steps, price)

    def _settle_orders(self, account: Account, as_of: int, orders: list[Any]) -> None:
        books, named = self.books, set[int]()
        for given in orders:
            hold = books.find_hold(account, _id(given.client_order_id))
            if hold is None or not hold.in_use:
                continue
            instrument = books.instruments[given.symbol.encode().ljust(32, b"\0")]
            parsed = lot_steps(given.lots, instrument)
            assert parsed is not None
            if parsed[0] > 0 and self._finds_position(hold):
                named.add(hold.decision_id)
                self._keep(hold, parsed[0])
        for hold in list(books.holds.values()):
            kept = hold.decision_id in named or hold.made_at > as_of
            if hold.account is account and hold.in_use and not kept:
                books.close_hold(hold)

    @staticmethod
    def _finds_position(hold: Hold) -> bool:
        """An exit that was filled whole may have lost its position, or find one of that id anew."""
        if hold.is_exit:
            key = (hold.position.instrument, hold.position.position_id)
            found = hold.account.positions.get(key)
            if found is None:
                return False
            hold.position = found
        return True

    def _keep(self, hold: Hold, steps: int) -> None:
        books, exact = self.books, self.books.exact
        hold.state = RESERVATION_WORKING
        books.shift_hold(hold, -1, hold.left, hold.risk, hold.notional)
        if hold.left > 0:
            hold.risk = exact.mul_div(hold.risk, steps, hold.left, up=True)
            hold.notional = exact.mul_div(hold.notional, steps, hold.left, up=True)
        hold.left = steps
        books.shift_hold(hold, 1, hold.left, hold.risk, hold.notional)
