"""Circuit breakers: when they trip, cool, half open, lock and close (page, section 14)."""

import dataclasses
import math
from functools import partial
from typing import Any

from server.hotpath.layout import DECISION_BREAKERS_MAX, PPM, SECOND_NS
from server.hotpath.reasons import R_BREAKER_REDUCED_SIZE, R_BREAKER_TRIPPED
from server.hotpath.rows import EVENT_POSITIONS_MAX, EVENT_VALUES_MAX
from tests.reference.arithmetic import INT64_MAX
from tests.reference.books import (
    CLOSED,
    CONSECUTIVE_LOSSES,
    COOLING,
    HALF_OPEN,
    LOCKED,
    TRIPPED,
    Account,
    Books,
    Breaker,
    is_over_request,
)
from tests.reference.judgement import Judgement
from tests.reference.programs import (
    FIRST_OVER_REQUEST,
    evaluate,
    loaded,
    request_value,
    state_value,
)
from tests.reference.rows import NO_ID, NO_SYMBOL

MAX_DRAWDOWN, VOLATILITY, EXPRESSION = 1, 6, 7
PERIODS = {2: "day", 3: "week", 4: "month"}
ACTION_REDUCE_SIZE, ACTION_ALERT = 3, 5
QUIET_NS = 60 * SECOND_NS


def _listed(instrument: Any, rule: Any) -> bool:
    """Tell whether an instrument is one of the breaker's symbols and exchanges."""
    symbols = rule.symbols[: rule.symbol_count]
    exchanges = rule.exchanges[: rule.exchange_count]
    if symbols and instrument.symbol not in symbols:
        return False
    return not exchanges or instrument.exchange in (NO_SYMBOL, *exchanges)


def _fall_ppm(highest: int, equity: int) -> int | None:
    """Return a fall from `highest`, rounded up; not bounded to int64, None if not known."""
    return None if highest <= 0 else max(0, -((equity - highest) * PPM // highest))


class Breakers:
    """The rules of breakers over the books."""

    def __init__(self, books: Books) -> None:
        self.books = books

    # --- States -------------------------------------------------------------------------------

    def _open_half(self, breaker: Breaker) -> None:
        half_open_ns = breaker.definition.half_open_ns
        if half_open_ns > 0:
            breaker.state = HALF_OPEN
            breaker.closes_at = self.books.now + half_open_ns
        else:
            breaker.close()

    def _trip(self, breaker: Breaker, account: Account, case: Judgement | None = None) -> None:
        rule, now = breaker.definition, self.books.now
        over_request = case is not None
        quiet = over_request and breaker.event_at > 0 and now - breaker.event_at < QUIET_NS
        breaker.trip_count += not quiet
        locks = 0 < rule.lock_after_trips <= breaker.trip_count
        breaker.state = LOCKED if locks else TRIPPED
        breaker.tripped_at = now
        cools = over_request or rule.condition == CONSECUTIVE_LOSSES
        lasts = cools and rule.cooling_off_ns > 0 and not locks
        breaker.closes_at = now + rule.cooling_off_ns if lasts else 0
        if not quiet and not (case is not None and case.request.dry_run):
            breaker.event_at = now
            self.books.add_event(self._event(breaker, account, case))

    def end_losses(self, account: Account) -> None:
        """Let what consecutive losses tripped open half: the time is over, or there was a win."""
        for breaker in account.breakers:
            losing = breaker.definition.condition == CONSECUTIVE_LOSSES
            if losing and breaker.state == TRIPPED:
                self._open_half(breaker)

    def end_what_is_due(self, account: Account) -> bool:
        """Tell whether a breaker over the state is due; with one of losses the count ends."""
        due = False
        for breaker in account.breakers:
            if is_over_request(breaker.definition):
                continue
            if not 0 < breaker.closes_at <= self.books.now:
                continue
            due = True
            losing = breaker.definition.condition == CONSECUTIVE_LOSSES
            if losing and breaker.state == TRIPPED:
                self._open_half(breaker)
                account.consecutive_losses = 0
        return due

    # --- Over the state -----------------------------------------------------------------------

    def refresh(self, account: Account) -> None:
        for breaker in account.breakers:
            if breaker.definition.enabled != 1:
                breaker.close()
            elif not is_over_request(breaker.definition) and breaker.state != LOCKED:
                self._refresh(breaker, account)

    def _refresh(self, breaker: Breaker, account: Account) -> None:
        rule, now = breaker.definition, self.books.now
        if breaker.state == HALF_OPEN and now >= breaker.closes_at:
            breaker.close()
        elif breaker.state == COOLING and now >= breaker.closes_at:
            self._open_half(breaker)
        if self._holds(account, rule):
            if breaker.state in (CLOSED, HALF_OPEN):
                self._trip(breaker, account)
            elif breaker.state == COOLING:
                breaker.state, breaker.closes_at = TRIPPED, 0
        elif breaker.state == TRIPPED and rule.condition != CONSECUTIVE_LOSSES:
            ends = breaker.tripped_at + rule.cooling_off_ns
            if rule.cooling_off_ns > 0 and now < ends:
                breaker.state, breaker.closes_at = COOLING, ends
            else:
                self._open_half(breaker)

    @staticmethod
    def _observed_ppm(account: Account, rule: Any) -> int | None:
        """Return the fall that the condition is about, None if it is not known."""
        if rule.condition == MAX_DRAWDOWN:
            return _fall_ppm(account.peak, account.equity)
        period = PERIODS[rule.condition]
        if account.start[period] == 0:
            return None
        return _fall_ppm(account.base[period], account.equity)

    def _holds(self, account: Account, rule: Any) -> bool:
        if rule.condition == EXPRESSION:
            return evaluate(rule, partial(state_value, account)) != 0
        if rule.condition == CONSECUTIVE_LOSSES:
            return bool(account.consecutive_losses >= rule.threshold)
        observed = self._observed_ppm(account, rule)
        return observed is None or bool(observed > rule.threshold)

    # --- Over the request ---------------------------------------------------------------------

    def in_scope(self, case: Judgement) -> list[Breaker]:
        if case.breakers_in_scope is None:
            case.breakers_in_scope = [
                breaker
                for breaker in case.account.breakers
                if self._concerns(case, breaker.definition)
            ]
        return case.breakers_in_scope

    @staticmethod
    def _concerns(case: Judgement, rule: Any) -> bool:
        request = case.request
        if not _listed(case.instrument, rule):
            return False
        if rule.provider_count:
            sender = request.provider_id + request.provider_type.to_bytes(8, "little", signed=True)
            if sender not in rule.providers[: rule.provider_count]:
                return False
        if rule.strategy_count and request.strategy_id != NO_ID:
            return request.strategy_id in rule.strategies[: rule.strategy_count]
        return True

    def needs_volatility(self, case: Judgement) -> bool:
        return any(
            breaker.definition.condition == VOLATILITY and breaker.definition.enabled == 1
            for breaker in self.in_scope(case)
        )

    def _value_of(self, case: Judgement, number: int) -> float:
        if number < FIRST_OVER_REQUEST:
            return state_value(case.account, number)
        market = self.books.markets[case.instrument.symbol]
        return request_value(case, market, self.books.now, number)

    def _judge_request(self, breaker: Breaker, case: Judgement) -> Breaker:
        """Bring a breaker over the request up to date; of a dry run, a copy of it."""
        if case.request.dry_run:
            breaker = dataclasses.replace(breaker)
        rule, now = breaker.definition, self.books.now
        if breaker.state == LOCKED:
            return breaker
        if breaker.state == TRIPPED and 0 < breaker.closes_at <= now:
            self._open_half(breaker)
        elif breaker.state == HALF_OPEN and now >= breaker.closes_at:
            breaker.close()
        if rule.condition == VOLATILITY:
            holds = case.volatility is not None and case.volatility > rule.threshold
        else:
            holds = evaluate(rule, partial(self._value_of, case)) != 0
        if holds and breaker.state in (CLOSED, HALF_OPEN):
            self._trip(breaker, case.account, case)
        elif not holds and breaker.state == TRIPPED and breaker.closes_at == 0:
            breaker.close()
        return breaker

    def judge(self, case: Judgement) -> None:
        """Say what the breakers of an order do to it."""
        enabled = [breaker for breaker in self.in_scope(case) if breaker.definition.enabled == 1]
        found = [breaker for breaker in enabled if not is_over_request(breaker.definition)]
        found += [
            self._judge_request(breaker, case)
            for breaker in enabled
            if is_over_request(breaker.definition)
        ]
        denied = False
        for breaker in found:
            rule, action = breaker.definition, breaker.definition.action
            if breaker.state == CLOSED:
                continue
            if len(case.breakers) < DECISION_BREAKERS_MAX:
                row = (rule.breaker_id, breaker.state, breaker.tripped_at, breaker.closes_at)
                case.breakers.append(row)
            if action == ACTION_ALERT:
                continue
            if action == ACTION_REDUCE_SIZE or breaker.state == HALF_OPEN:
                case.note(R_BREAKER_REDUCED_SIZE)
                case.size_breakers.append(rule.multiplier_ppm)
            else:
                denied = True
        case.check(R_BREAKER_TRIPPED, denied=denied)

    # --- Events -------------------------------------------------------------------------------

    def _numbers(self, account: Account, rule: Any, case: Judgement | None) -> tuple[float, float]:
        """Return threshold and observed value of a trip."""
        if rule.condition == EXPRESSION:
            return math.nan, math.nan
        if rule.condition == CONSECUTIVE_LOSSES:
            return float(rule.threshold), float(account.consecutive_losses)
        if case is not None:
            return rule.threshold / 1e6, case.volatility / 1e6  # type: ignore[operator]
        observed = self._observed_ppm(account, rule)
        ratio = math.nan if observed is None else min(observed, INT64_MAX) / 1e6
        return rule.threshold / 1e6, ratio

    def _event(self, breaker: Breaker, account: Account, case: Judgement | None) -> dict[str, Any]:
        rule, books = breaker.definition, self.books
        threshold, observed = self._numbers(account, rule, case)
        drawdown = _fall_ppm(account.peak, account.equity)
        names: list[int] = []
        if rule.condition == EXPRESSION:
            names = list(loaded(rule))[:EVENT_VALUES_MAX]
        value_of = partial(state_value, account)
        if case is not None:
            value_of = partial(self._value_of, case)
        held = [
            (row, books.instruments_ever[row.instrument])
            for row in reversed(account.positions.values())
            if row.position_id == NO_ID and row.net
        ]
        held = [(row, instrument) for row, instrument in held if _listed(instrument, rule)]
        return {
            "at_ns": books.now,
            "sequence": books.event_sequence,
            "breaker_id": rule.breaker_id,
            "breaker_name": rule.name,
            "account_id": account.account_id,
            "condition": rule.condition,
            "action": rule.action,
            "state": breaker.state,
            "threshold": threshold,
            "observed": observed,
            "equity_micros": account.equity,
            "drawdown_ppm": -1 if drawdown is None else min(drawdown, INT64_MAX),
            "consecutive_losses": account.consecutive_losses,
            "value_count": len(names),
            "value_names": names,
            "values": [value_of(name) for name in names],
            "symbol": NO_SYMBOL if case is None else case.instrument.symbol,
            "position_count": len(held),
            "positions": [
                (row.instrument, row.net, instrument.lot_mantissa, instrument.lot_scale)
                for row, instrument in held[:EVENT_POSITIONS_MAX]
            ],
        }
