"""What became of orders: reports of execution (page, section 6)."""

from typing import Any

from server.hotpath.layout import EQUITY_MICROS_MAX
from server.hotpath.records import (
    P_RANGE,
    P_REQUIRED,
    REPORT_ACCOUNT_UNKNOWN,
    REPORT_APPLIED,
    REPORT_DUPLICATE,
    REPORT_FULL,
    REPORT_HAS_COMMISSION,
    REPORT_HAS_CUMULATIVE,
    REPORT_HAS_PNL,
    REPORT_HAS_PRICE,
    REPORT_INVALID,
    REPORT_UNMATCHED,
)
from server.hotpath.rows import RESERVATION_HELD, RESERVATION_WORKING
from tests.reference.arithmetic import INT64_MAX, lot_steps, micros, nearest_ticks
from tests.reference.books import Account, Books, Hold, Position, Strategy
from tests.reference.breakers import Breakers
from tests.reference.rows import NO_ID, NO_SYMBOL, read_report
from tests.reference.sizing import notional_per_lot
from tests.reference.validity import (
    BUY,
    CLOSE,
    FILL,
    PARTIAL_FILL,
    UNKNOWN,
    Fault,
    fault,
    find_report_fault,
)

ACKS = (1, UNKNOWN)
ENDS = (4, 5, 6)  # REJECT, CANCEL, EXPIRE
MOVES = (PARTIAL_FILL, FILL, CLOSE)


class Reports:
    """Applies reports to the books."""

    def __init__(self, books: Books, breakers: Breakers) -> None:
        self.books = books
        self.breakers = breakers

    def report(self, row: Any) -> dict[str, Any]:
        report, books = read_report(row), self.books
        found = find_report_fault(report)
        if found is not None:
            return self._refused(REPORT_INVALID, found)
        account = books.accounts.get(report.account_id)
        if account is None or not account.alive:
            return self._refused(REPORT_ACCOUNT_UNKNOWN)
        key = (report.account_id, report.report_id)
        if key in books.seen_reports:
            hold = self._find_hold(account, report)
            books.sequence += 1
            return self._result(REPORT_DUPLICATE, account, report, hold)
        hold = self._find_hold(account, report)
        instrument = self._instrument_of(report, hold)
        moves, steps = report.kind in MOVES, 0
        if moves:
            found = self._find_move_fault(report, hold, instrument)
            if found is not None:
                return self._refused(REPORT_INVALID, found)
            steps = self._new_steps(account, report, hold, instrument)
            needed = self._rows_needed(account, report, instrument, hold) if steps else 0
            if not books.has_room_for_positions(needed):
                return self._refused(REPORT_FULL)
        if moves:
            self._move(account, report, hold, instrument, steps)
        books.roll(account)
        books.sequence += 1
        self._remember(key)
        if hold is not None:
            self._settle(report, hold)
        self._book_money(account, report)
        books.refresh(account)
        outcome = REPORT_UNMATCHED if hold is None else REPORT_APPLIED
        return self._result(outcome, account, report, hold)

    def _find_hold(self, account: Account, report: Any) -> Hold | None:
        found = self.books.find_hold(account, report.client_order_id)
        if found is None and report.decision_id:
            found = self.books.holds.get(report.decision_id)
        return found if found is not None and found.account is account else None

    def _remember(self, key: tuple[bytes, bytes]) -> None:
        seen = self.books.seen_reports
        if len(seen) >= self.books.capacity.idempotency:
            seen.popitem(last=False)
        seen[key] = None

    def _settle(self, report: Any, hold: Hold) -> None:
        if report.kind in ACKS and hold.state == RESERVATION_HELD:
            hold.state = RESERVATION_WORKING
        exited = hold.is_exit and report.kind == CLOSE
        ends = exited or report.kind == FILL or report.kind in ENDS
        if ends and hold.in_use:
            self.books.close_hold(hold)

    def _instrument_of(self, report: Any, hold: Hold | None) -> Any:
        """Return the instrument that the report is about, None if it is unknown."""
        if hold is None:
            return self.books.instruments.get(report.symbol)
        # As it is defined now: its grid may have changed since the order.
        return self.books.instruments_ever[hold.instrument.symbol]

    @staticmethod
    def _find_move_fault(report: Any, hold: Hold | None, instrument: Any) -> Fault | None:
        if hold is None:
            if report.symbol == NO_SYMBOL:
                return fault("symbol", P_REQUIRED)
            if report.side not in (1, 2):
                return fault("side", P_REQUIRED)
            if instrument is None:
                return fault("symbol", P_REQUIRED)
        field = "cumulative_lots" if report.present & REPORT_HAS_CUMULATIVE else "lots"
        if lot_steps(getattr(report, field), instrument) is None:
            return fault(field, P_RANGE)
        priced = report.present & REPORT_HAS_PRICE
        if priced and not nearest_ticks(report.price, instrument):
            return fault("price", P_RANGE)
        return None

    def _rows_needed(
        self, account: Account, report: Any, instrument: Any, hold: Hold | None
    ) -> int:
        named = self._moved_id(account, report, hold, instrument)
        names = {(instrument.symbol, named), (instrument.symbol, NO_ID)}
        return sum(name not in account.positions for name in names)

    @staticmethod
    def _closes(report: Any, hold: Hold | None) -> bool:
        """Tell a close from a fill; the close of an exit order is its fill."""
        return bool(report.kind == CLOSE) and not (hold is not None and hold.is_exit)

    def _moved_id(self, account: Account, report: Any, hold: Hold | None, instrument: Any) -> bytes:
        """Return the id of the position that a fill or close moves."""
        closes = self._closes(report, hold)
        named: bytes = report.position_id
        if hold is not None and closes and hold.filled > 0:
            return hold.filled_into
        if hold is not None and not closes and named == NO_ID:
            return hold.position.position_id if hold.is_exit else hold.filled_into
        if hold is None and closes and named != NO_ID:
            row = account.positions.get((instrument.symbol, named))
            if row is None or row.net == 0:
                return NO_ID
        return named

    # --- Moving positions ---------------------------------------------------------------------

    def _move(
        self, account: Account, report: Any, hold: Hold | None, instrument: Any, steps: int
    ) -> None:
        closes = self._closes(report, hold)
        side = report.side if hold is None else hold.side
        signed = steps if (side == BUY) != closes else -steps
        price = 0
        if report.present & REPORT_HAS_PRICE:
            price = nearest_ticks(report.price, instrument)
        if price == 0 and hold is not None and not closes:
            price = hold.entry_ticks
        if hold is not None and hold.state == RESERVATION_HELD and not closes:
            hold.state = RESERVATION_WORKING
        if steps:
            self._turn_over(account, report, hold, instrument, signed, price)

    def _turn_over(
        self,
        account: Account,
        report: Any,
        hold: Hold | None,
        instrument: Any,
        signed: int,
        price: int,
    ) -> None:
        closes, steps = self._closes(report, hold), abs(signed)
        moved = self._moved_id(account, report, hold, instrument)
        row = self.books.position(account, instrument.symbol, moved)
        if hold is not None and not closes and not hold.is_exit:
            hold.filled_into = moved
        risk = notional = 0
        if hold is not None:
            if not closes:
                risk, notional = self._commit(hold, steps)
                hold.filled += steps
            else:
                hold.closed += steps
        elif not closes:
            notional = self._unmatched_notional(account, instrument, steps, price or cost_of(row))
        strategy = None if hold is None else hold.strategy
        self.shift(account, instrument, row, signed, price, risk, notional, strategy)
        if row.position_id != NO_ID:
            net = self.books.position(account, instrument.symbol)
            turn(net, signed, price)
        self.books.forget_if_flat(account, row)

    def _new_steps(self, account: Account, report: Any, hold: Hold | None, instrument: Any) -> int:
        steps = self._reported_steps(report, hold, instrument)
        if hold is None and report.kind == CLOSE:
            # What no known order opened can be closed, but never turned round.
            moved = self._moved_id(account, report, hold, instrument)
            row = account.positions.get((instrument.symbol, moved))
            net = 0 if row is None else row.net
            return min(steps, max(0, net if report.side == BUY else -net))
        return steps

    def _reported_steps(self, report: Any, hold: Hold | None, instrument: Any) -> int:
        if report.present & REPORT_HAS_CUMULATIVE:
            parsed = lot_steps(report.cumulative_lots, instrument)
            assert parsed is not None
            before = 0
            if hold is not None:
                before = hold.closed if self._closes(report, hold) else hold.filled
            return max(0, parsed[0] - before)
        parsed = lot_steps(report.lots, instrument)
        assert parsed is not None
        return parsed[0]

    def _commit(self, hold: Hold, steps: int) -> tuple[int, int]:
        """Take `steps` out of the hold and return the risk and notional that they bring along."""
        exact = self.books.exact
        part = min(steps, hold.left) if hold.in_use else 0
        risk = notional = 0
        if part:
            risk = exact.mul_div(hold.risk, part, hold.left)
            notional = exact.mul_div(hold.notional, part, hold.left)
            self.books.shift_hold(hold, -1, part, risk, notional)
            hold.left -= part
            hold.risk -= risk
            hold.notional -= notional
        over = steps - part
        risk += exact.cost(over, hold.loss_per_lot, hold.instrument)
        notional += exact.cost(over, hold.notional_per_lot, hold.instrument)
        return self._known(risk), self._known(notional)

    def _unmatched_notional(self, account: Account, instrument: Any, steps: int, price: int) -> int:
        exact, rate = self.books.exact, 10**12
        if instrument.quote_currency != account.spec.currency:
            row = self.books.rate(instrument.quote_currency, account.spec.currency)
            if row is None:
                return 0
            rate = row.rate_picos
        per_lot = notional_per_lot(exact, price, rate, instrument)
        return self._known(exact.cost(steps, per_lot, instrument))

    def _known(self, exposure: int) -> int:
        """Return an exposure, the largest number there is if it left int64."""
        return INT64_MAX if self.books.exact.out_of_range else exposure

    def shift(
        self,
        account: Account,
        instrument: Any,
        row: Position,
        signed: int,
        price: int,
        risk: int,
        notional: int,
        strategy: Strategy | None,
    ) -> None:
        exact, exposure = self.books.exact, self.books.exposure(account, instrument)
        net, size = abs(row.net), abs(signed)
        opens = turn(row, signed, price)
        if opens < size:
            freed_risk = exact.mul_div(row.open_risk, size - opens, net)
            freed_notional = exact.mul_div(row.open_notional, size - opens, net)
            row.open_risk -= freed_risk
            row.open_notional -= freed_notional
            account.open_risk = _taken_off(account.open_risk, freed_risk)
            account.open_notional = _taken_off(account.open_notional, freed_notional)
            exposure.open = _taken_off(exposure.open, freed_notional)
            if strategy is not None:
                strategy.open = max(0, strategy.open - freed_notional)
            risk = exact.mul_div(risk, opens, size, up=True)
            notional = exact.mul_div(notional, opens, size, up=True)
        if strategy is not None and opens > 0:
            strategy.open = _added(min(strategy.open, account.open_notional), notional)
        row.open_risk = _added(row.open_risk, risk)
        row.open_notional = _added(row.open_notional, notional)
        account.open_risk = _added(account.open_risk, risk)
        account.open_notional = _added(account.open_notional, notional)
        exposure.open = _added(exposure.open, notional)

    # --- Orders and money ---------------------------------------------------------------------

    def _book_money(self, account: Account, report: Any) -> None:
        has_pnl = bool(report.present & REPORT_HAS_PNL)
        pnl = micros(report.realised_pnl) if has_pnl else 0
        paid = micros(report.commission) if report.present & REPORT_HAS_COMMISSION else 0
        event_time = report.event_time_ns or self.books.now
        if event_time > account.equity_at:
            account.equity = max(
                -EQUITY_MICROS_MAX, min(EQUITY_MICROS_MAX, account.equity + pnl - paid)
            )
            account.peak = max(account.peak, account.equity)
        if not has_pnl:
            return
        if pnl >= 0:
            account.consecutive_losses = 0
            self.breakers.end_losses(account)
            return
        account.consecutive_losses += 1
        configuration = account.configuration
        threshold = 0 if configuration is None else configuration.consecutive_loss_threshold
        if 0 < threshold <= account.consecutive_losses:
            account.cooling_until = self.books.now + configuration.cooling_off_ns

    # --- Results ------------------------------------------------------------------------------

    def _refused(self, outcome: int, found: tuple[int, int] = (0, 0)) -> dict[str, Any]:
        return {"outcome": outcome, "field": found[0], "problem": found[1]}

    def _result(
        self, outcome: int, account: Account, report: Any, hold: Hold | None
    ) -> dict[str, Any]:
        net = None
        if hold is not None:
            net = account.positions.get((hold.instrument.symbol, NO_ID))
        elif report.symbol in self.books.instruments:
            net = account.positions.get((report.symbol, NO_ID))
        return {
            "sequence": self.books.sequence,
            "outcome": outcome,
            "equity_micros": account.equity,
            "held_steps": 0 if hold is None else hold.left,
            "position_steps": 0 if net is None else net.net,
        }


def _added(total: int, part: int) -> int:
    """Return a sum that stays at the largest number once it would leave int64."""
    return min(total + part, INT64_MAX)


def _taken_off(total: int, part: int) -> int:
    return total if total == INT64_MAX else total - part


def cost_of(row: Position) -> int:
    """Return the average entry of a row in ticks, 0 when it is flat."""
    return abs(row.cost_ticks) // abs(row.net) if row.net else 0


def turn(row: Position, signed: int, price: int) -> int:
    """Move lots and cost of a row and return how many of the lots opened."""
    price = price or cost_of(row)
    opens = abs(signed)
    if row.net * signed < 0:
        closes = min(abs(row.net), opens)
        row.cost_ticks -= row.cost_ticks * closes // abs(row.net)
        opens -= closes
    row.net += signed
    row.cost_ticks += opens * price
    return opens
