"""Changes of state (page, section 8)."""

# ruff: noqa: ARG002 - one signature for all kinds, whether or not they can be deleted

import math
from typing import Any

from server.hotpath.layout import CLOCK_LEAP_NS
from tests.reference.arithmetic import volatility_micropoints
from tests.reference.books import Account, Books, Breaker, Market
from tests.reference.controls import begin_collar
from tests.reference.rows import NO_SYMBOL

# Kinds whose changes may have several rows, each for itself.
_ROW_BY_ROW = (1, 2, 4, 5, 6, 16)
# What makes a condition another one.
_CONDITION = ("condition", "over_request", "program_length", "program", "constants")


class Changes:
    """Applies rows of changes to the books."""

    def __init__(self, books: Books) -> None:
        self.books = books

    def apply(self, kind: int, version: int, rows: list[Any], *, deleted: bool) -> None:
        apply = {
            1: self._instrument,
            2: self._account,
            3: self._risk_configuration,
            4: self._provider,
            5: self._market,
            6: self._conversion_rate,
            7: self._breaker,
            8: self._policy,
            9: self._model,
            10: self._window,
            11: self._heartbeat,
            12: self._clock,
            13: self._equity,
            14: self._session,
            16: self._kill,
            17: self._strategy,
            18: self._breaker_reset,
        }[kind]
        books = self.books
        books.sequence += 1
        books.state_version = max(books.state_version, version)
        parts = [[row] for row in rows] if kind in _ROW_BY_ROW else [rows]
        if not all([apply(part, deleted=deleted) for part in parts]):  # noqa: C419 - each counts
            books.unknown_changes += 1

    def _known_account(self, account_id: bytes) -> Account | None:
        account = self.books.accounts.get(account_id)
        return account if account is not None and account.alive else None

    def _instrument(self, rows: list[Any], *, deleted: bool) -> bool:
        row = rows[0]
        if deleted:
            self.books.instruments.pop(row.symbol, None)
        else:
            books = self.books
            market = books.markets.setdefault(row.symbol, Market())
            before = books.instruments_ever.get(row.symbol, row)
            if before.tick_size != row.tick_size:
                market.collar_twice = 0
            books.instruments[row.symbol] = books.instruments_ever[row.symbol] = row
        return True

    def _provider(self, rows: list[Any], *, deleted: bool) -> bool:
        key = (rows[0].provider_id, rows[0].provider_type)
        if deleted:
            self.books.providers.pop(key, None)
        else:
            self.books.providers[key] = rows[0]
        return True

    def _conversion_rate(self, rows: list[Any], *, deleted: bool) -> bool:
        key = (rows[0].from_currency, rows[0].to_currency)
        if deleted:
            # It stays as a rate of 0, so that one from before the deletion does not come back.
            self.books.rates[key] = rows[0]._replace(rate_picos=0)
        elif key not in self.books.rates or rows[0].as_of_ns >= self.books.rates[key].as_of_ns:
            self.books.rates[key] = rows[0]
        return True

    def _account(self, rows: list[Any], *, deleted: bool) -> bool:
        row, books = rows[0], self.books
        account = books.accounts.get(row.account_id)
        if account is not None and account.alive:
            # A mark of today must not become the base of today.
            books.roll(account)
        if deleted:
            if account is not None:
                account.alive = False
            return True
        if account is None:
            account = books.accounts[row.account_id] = Account(row.account_id)
        account.alive, account.spec = True, row
        books.mark_equity(account, row.equity_micros, row.equity_at_ns)
        books.roll(account)
        books.refresh(account)
        return True

    def _equity(self, rows: list[Any], *, deleted: bool) -> bool:
        account = self._known_account(rows[0].account_id)
        if account is None:
            return False
        self.books.roll(account)
        self.books.mark_equity(account, rows[0].equity_micros, rows[0].equity_at_ns)
        self.books.refresh(account)
        return True

    def _risk_configuration(self, rows: list[Any], *, deleted: bool) -> bool:
        account = self._known_account(rows[0].account_id)
        if account is None:
            return False
        self.books.roll(account)
        account.configuration = None if deleted else rows[0]
        account.overrides = {} if deleted else {row.symbol: row for row in rows[1:]}
        self.books.refresh(account)
        return True

    def _breaker(self, rows: list[Any], *, deleted: bool) -> bool:
        row, books = rows[0], self.books
        known = books.breakers.get(row.breaker_id)
        if deleted:
            if known is not None:
                known[1].definition = known[1].definition._replace(enabled=0)
                known[1].close()
            return True
        account = self._known_account(row.account_id)
        if account is None:
            return False
        books.roll(account)
        if known is None:
            breaker = Breaker(row)
            books.breakers[row.breaker_id] = (account, breaker)
            account.breakers.append(breaker)
        else:
            before = known[1].definition
            if any(getattr(before, name) != getattr(row, name) for name in _CONDITION):
                known[1].close()
                known[1].trip_count = 0
            if before.enabled == 0 and row.enabled == 1:
                known[1].trip_count = 0
            known[1].definition = row
        books.refresh(account)
        return True

    def _market(self, rows: list[Any], *, deleted: bool) -> bool:
        row = rows[0]
        if row.symbol not in self.books.instruments:
            return False
        market = self.books.markets[row.symbol]
        if row.regime != NO_SYMBOL:
            market.regime = row.regime
        if math.isfinite(row.atr) and row.atr > 0 and row.atr_at_ns >= market.atr_at:
            market.atr, market.atr_at = row.atr, row.atr_at_ns
        if 0 <= row.volatility_index <= 100 and row.volatility_at_ns >= market.volatility_at:
            market.volatility = volatility_micropoints(row.volatility_index)
            market.volatility_at = row.volatility_at_ns
        sides_valid = all(math.isfinite(side) and side > 0 for side in (row.bid, row.ask))
        if sides_valid and row.quote_at_ns >= market.quote_at:
            market.quote, market.quote_at = (row.bid, row.ask), row.quote_at_ns
            begin_collar(market, self.books.instruments[row.symbol])
        return True

    def _policy(self, rows: list[Any], *, deleted: bool) -> bool:
        self.books.policy = rows[0]
        return True

    def _model(self, rows: list[Any], *, deleted: bool) -> bool:
        row, books = rows[0], self.books
        if row.serial <= books.model_serial:
            return False
        books.model_serial = row.serial
        books.model_slot = None if row.digest == bytes(32) else row.slot
        return True

    def _window(self, rows: list[Any], *, deleted: bool) -> bool:
        self.books.windows[rows[0].timezone] = rows[0]
        return True

    def _heartbeat(self, rows: list[Any], *, deleted: bool) -> bool:
        row, books = rows[0], self.books
        if row.published_at_ns <= books.now + CLOCK_LEAP_NS:
            books.heartbeat_at = max(books.heartbeat_at, row.published_at_ns)
        books.record_away = row.record_away == 1
        if abs(row.published_at_ns - books.now) <= CLOCK_LEAP_NS:
            books.clock_unconfirmed = False
        return True

    def _clock(self, rows: list[Any], *, deleted: bool) -> bool:
        return True

    def _session(self, rows: list[Any], *, deleted: bool) -> bool:
        row, books = rows[0], self.books
        books.session, books.next_session = row.session, row.next_session
        books.next_session_at = row.next_at_ns
        return True

    def _kill(self, rows: list[Any], *, deleted: bool) -> bool:
        return self.books.kills.put(rows[0])

    def _strategy(self, rows: list[Any], *, deleted: bool) -> bool:
        row = rows[0]
        account = self._known_account(row.account_id)
        strategy = None if account is None else account.strategies.get(row.strategy_id)
        if strategy is None:
            return False
        if row.enabled_at_ns > strategy.enabled_at:
            strategy.enabled_at = row.enabled_at_ns
            strategy.disabled_at = strategy.executions = strategy.window_start = 0
        return True

    def _breaker_reset(self, rows: list[Any], *, deleted: bool) -> bool:
        row, books = rows[0], self.books
        known = books.breakers.get(row.breaker_id)
        if known is None:
            return False
        account, breaker = known
        if row.reset_at_ns > breaker.reset_at:
            books.roll(account)
            breaker.close()
            breaker.trip_count, breaker.reset_at = 0, row.reset_at_ns
            books.refresh(account)
        return True
