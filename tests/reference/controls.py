"""Controls on one order: instrument, hours, quote, strategy, rate, content, caps (page, 13)."""

import math
from typing import Any

from server.hotpath.layout import PPM, QUOTE_STALE_NS
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
)
from server.hotpath.records import HAS_REQUESTED_LOTS, HAS_TAKE_PROFIT
from tests.reference.arithmetic import lot_steps, nearest_ticks, steps_of_microlots, stricter0
from tests.reference.books import Account, Books, Content, Hold, Market, Strategy
from tests.reference.judgement import Judgement
from tests.reference.rows import NO_ID

HOUR_NS = 3_600 * 10**9
DAY_NS = 24 * HOUR_NS
MINUTE_NS = 60 * 10**9
DAY_MINUTES = 1_440
NIGHT_MINUTES = 240
CONTENT_DROPS_MAX = 64
QUOTA_DIVISOR = 8
BUY = 1


def twice_middle(quote: tuple[float, float] | None, instrument: Any) -> int:
    """Return twice the middle of a quote in ticks, 0 if there is no usable quote."""
    if quote is None:
        return 0
    bid, ask = (nearest_ticks(side, instrument) for side in quote)
    return bid + ask if bid and ask else 0


def begin_collar(market: Market, instrument: Any) -> None:
    """Let the quote that just came in begin a window of the collar, if it is time for one."""
    length = instrument.collar_window_ns
    twice = twice_middle(market.quote, instrument)
    if length <= 0 or twice == 0:
        return
    if market.collar_twice == 0 or market.quote_at >= market.collar_start + length:
        market.collar_start, market.collar_twice = market.quote_at, twice


def minute_of_week(window: Any, now: int) -> int:
    """Return the minute of the week on the clocks of a time zone."""
    start, following = window.day_start_ns, window.day_next_ns
    if following > 0 and now >= following:
        start, following = following, 0
    week = window.week_start_ns
    if window.week_next_ns > 0 and now >= window.week_next_ns:
        week = window.week_next_ns
    weekday = min(max((start - week + DAY_NS // 2) // DAY_NS, 0), 6)
    from_start: int = (now - start) // MINUTE_NS
    if following > 0:
        from_end = DAY_MINUTES + (now - following) // MINUTE_NS
        minute = from_end if from_end >= NIGHT_MINUTES else min(from_start, NIGHT_MINUTES - 1)
    else:
        minute = min(from_start, DAY_MINUTES - 1)
    return int(weekday * DAY_MINUTES + minute)


def message_interval(configuration: Any) -> int:
    return max(int(configuration.message_window_ns // configuration.message_limit), 1)


class Controls:
    """Judges and counts single orders of new risk."""

    def __init__(self, books: Books) -> None:
        self.books = books

    # --- The instrument -----------------------------------------------------------------------

    def instrument(self, case: Judgement) -> None:
        instrument, override = case.instrument, case.override
        restricted = instrument.restricted or (override is not None and override.restricted)
        case.check(R_INSTRUMENT_RESTRICTED, denied=bool(restricted))
        self._hours(case)
        self._quote(case)

    def _hours(self, case: Judgement) -> None:
        instrument, now = case.instrument, self.books.now
        if instrument.hours_count == 0:
            case.skip(R_HOURS_MISSING)
            case.skip(R_SESSION_CLOSED)
            return
        window = self.books.windows.get(instrument.hours_timezone)
        missing = window is None or 0 in (window.day_start_ns, window.week_start_ns)
        case.check(R_HOURS_MISSING, denied=missing)
        if missing:
            return
        minute = minute_of_week(window, now)
        hours = zip(instrument.hours_open_minute, instrument.hours_close_minute, strict=True)
        inside = [first <= minute < last for first, last in hours]
        case.check(R_SESSION_CLOSED, denied=not any(inside[: instrument.hours_count]))

    def _quote(self, case: Judgement) -> None:
        instrument, market = case.instrument, self.books.markets[case.instrument.symbol]
        limits = (
            (R_PRICE_COLLAR, instrument.collar_ppm),
            (R_PRICE_COLLAR_WINDOW, instrument.collar_window_ppm),
        )
        for reason, limit in limits:
            if limit <= 0:
                case.skip(reason)
        if max(limit for _reason, limit in limits) <= 0:
            case.skip(R_QUOTE_MISSING)
            case.skip(R_QUOTE_STALE)
            return
        twice = twice_middle(market.quote, instrument)
        case.check(R_QUOTE_MISSING, denied=twice == 0)
        if twice == 0:
            return
        age = max(0, self.books.now - market.quote_at)
        stale = age > QUOTE_STALE_NS
        case.check(R_QUOTE_STALE, denied=stale, limit=QUOTE_STALE_NS, observed=age)
        if stale:
            return
        self._collar(case, R_PRICE_COLLAR, twice, instrument.collar_ppm)
        self._collar(case, R_PRICE_COLLAR_WINDOW, market.collar_twice, instrument.collar_window_ppm)

    @staticmethod
    def _collar(case: Judgement, reason: int, twice: int, limit: int) -> None:
        if limit <= 0:
            return
        if twice == 0:
            case.deny(R_QUOTE_MISSING)
            return
        away = case.exact.mul_div(abs(2 * case.entry - twice), PPM, twice, up=True)
        case.check(reason, denied=away > limit, limit=limit, observed=away)

    # --- The flow of orders -------------------------------------------------------------------

    def flow(self, case: Judgement) -> None:
        configuration = case.account.configuration
        if configuration is None:
            return
        self._strategy(case, configuration)
        self._rate(case, configuration)
        self._content(case, configuration)

    def _strategy(self, case: Judgement, configuration: Any) -> None:
        account, strategy_id = case.account, case.request.strategy_id
        repeats = configuration.repeat_limit > 0
        case.needs_strategy = repeats or configuration.max_strategy_notional_micros > 0
        if not case.needs_strategy:
            for reason in (R_STRATEGY_REQUIRED, R_STRATEGIES_FULL, R_REPEATED_EXECUTION):
                case.skip(reason)
            return
        case.check(R_STRATEGY_REQUIRED, denied=strategy_id == NO_ID)
        if strategy_id == NO_ID:
            return
        if not repeats:
            case.skip(R_REPEATED_EXECUTION)
        row = case.strategy = account.strategies.get(strategy_id)
        used, capacity = self.books.strategy_count, self.books.capacity.strategies
        full = row is None and used >= capacity
        case.check(R_STRATEGIES_FULL, denied=full, limit=capacity, observed=used)
        if repeats:
            case.check(
                R_REPEATED_EXECUTION,
                denied=row is not None and row.disabled_at > 0,
                limit=configuration.repeat_limit,
                observed=0 if row is None else row.executions,
            )

    def _rate(self, case: Judgement, configuration: Any) -> None:
        limit = configuration.message_limit
        if limit <= 0:
            case.skip(R_MESSAGE_RATE)
            return
        ahead = max(0, case.account.message_full_at - self.books.now)
        waiting = -(-ahead // message_interval(configuration))
        case.check(R_MESSAGE_RATE, denied=waiting >= limit, limit=limit, observed=waiting)

    def _content(self, case: Judgement, configuration: Any) -> None:
        books, account, window = self.books, case.account, configuration.duplicate_window_ns
        if window <= 0:
            case.skip(R_DUPLICATE_ORDER)
            case.skip(R_CONTENTS_FULL)
            return
        self._forget_old_contents()
        case.content = _content_of(case)
        known = books.content_of.get(case.content)
        if known is not None and known.until > books.now:
            case.deny(R_DUPLICATE_ORDER, window, books.now - known.made_at)
        else:
            case.check(R_DUPLICATE_ORDER, denied=False)
        capacity = books.capacity.contents
        share = max(capacity // QUOTA_DIVISOR, 1)
        full = len(books.contents) >= capacity or account.contents >= share
        case.check(R_CONTENTS_FULL, denied=full, limit=share, observed=account.contents)

    def _forget_old_contents(self) -> None:
        books = self.books
        for _attempt in range(CONTENT_DROPS_MAX):
            if not books.contents or books.contents[0].until > books.now:
                break
            oldest = books.contents.popleft()
            if oldest.account is not None:
                self._empty_content(oldest)

    # --- Limits on the size -------------------------------------------------------------------

    def caps(self, case: Judgement) -> None:
        configuration, instrument = case.account.configuration, case.instrument
        if configuration is None:
            return
        per_lot = case.answer["notional_per_lot_micros"]

        def strict(column: str) -> int:
            return stricter0(getattr(configuration, column), case.override, column)

        value = strict("max_order_value_micros")
        if value > 0:
            case.cap(R_ORDER_VALUE, case.exact.steps(value, per_lot, instrument), value, 0)
        else:
            case.skip(R_ORDER_VALUE)
        volume = steps_of_microlots(strict("max_order_microlots"), instrument)
        if strict("max_order_microlots") > 0:
            case.cap(R_ORDER_VOLUME, volume, volume, 0)
        else:
            case.skip(R_ORDER_VOLUME)
        used = case.exact.kept(case.account.open_notional + case.account.held_notional)
        self._notional(case, R_ACCOUNT_NOTIONAL, configuration.max_notional_micros, used)
        self._one_sided(case, strict)
        if case.request.strategy_id == NO_ID and configuration.max_strategy_notional_micros > 0:
            return
        strategy, used = case.strategy, 0
        if strategy is not None:
            opened = min(strategy.open, case.account.open_notional)
            used = case.exact.kept(opened + strategy.held)
        limit = configuration.max_strategy_notional_micros
        self._notional(case, R_STRATEGY_NOTIONAL, limit, used)

    @staticmethod
    def _notional(case: Judgement, reason: int, limit: int, used: int) -> None:
        if limit <= 0:
            case.skip(reason)
            return
        per_lot = case.answer["notional_per_lot_micros"]
        steps = case.exact.steps(max(0, limit - used), per_lot, case.instrument)
        case.cap(reason, steps, limit, used)

    @staticmethod
    def _one_sided(case: Judgement, strict: Any) -> None:
        if case.request.side == BUY:
            reason, other, column = R_LONG_POSITION, R_SHORT_POSITION, "max_long_microlots"
        else:
            reason, other, column = R_SHORT_POSITION, R_LONG_POSITION, "max_short_microlots"
        case.skip(other)
        microlots = strict(column)
        if microlots <= 0:
            case.skip(reason)
            return
        limit = steps_of_microlots(microlots, case.instrument)
        exposed = case.exposed_steps()
        case.cap(reason, max(0, limit - exposed), limit, exposed)

    # --- Counting -----------------------------------------------------------------------------

    def count(self, case: Judgement, hold: Hold) -> None:
        """Count an order that was let through, of which a hold is made."""
        account, now = case.account, self.books.now
        configuration, strategy_id = account.configuration, case.request.strategy_id
        if case.request.reduce_only:
            hold.strategy = account.strategies.get(strategy_id)
        if configuration is None:
            return
        if configuration.message_limit > 0:
            interval = message_interval(configuration)
            later = max(account.message_full_at, now) + interval
            account.message_full_at = min(later, now + interval * configuration.message_limit)
            hold.message_interval = interval
        if case.request.reduce_only:
            return
        if case.needs_strategy:
            hold.strategy = self._used_strategy(account, strategy_id)
            self._count_execution(hold.strategy, configuration)
            hold.repeat_limit = configuration.repeat_limit
        if configuration.duplicate_window_ns > 0:
            hold.content = self._remember_content(case, now + configuration.duplicate_window_ns)

    def _used_strategy(self, account: Account, strategy_id: bytes) -> Strategy:
        if strategy_id not in account.strategies:
            account.strategies[strategy_id] = Strategy(strategy_id)
            self.books.strategy_count += 1
        return account.strategies[strategy_id]

    def _count_execution(self, strategy: Strategy, configuration: Any) -> None:
        limit, window, now = (
            configuration.repeat_limit,
            configuration.repeat_window_ns,
            self.books.now,
        )
        if limit <= 0:
            return
        start = strategy.window_start
        if window > 0 and (start == 0 or now >= start + window):
            strategy.executions, strategy.window_start = 0, now
        strategy.executions += 1
        if strategy.executions >= limit:
            strategy.disabled_at = now

    def _empty_content(self, content: Content) -> None:
        content.account.contents -= 1
        content.account = None
        del self.books.content_of[content.key]

    def _remember_content(self, case: Judgement, until: int) -> Content:
        books = self.books
        assert case.content is not None
        before = books.content_of.get(case.content)
        if before is not None:
            self._empty_content(before)
        made = Content(case.content, case.account, books.now, until)
        books.content_of[case.content] = made
        books.contents.append(made)
        case.account.contents += 1
        return made

    def take_back(self, hold: Hold) -> None:
        """Undo what the hold of new risk has counted; of an exit the message stays counted."""
        if hold.is_exit:
            return
        hold.account.message_full_at -= hold.message_interval
        if hold.strategy is not None and hold.repeat_limit > 0:
            strategy = hold.strategy
            strategy.executions -= 1
            if strategy.executions == 0:
                strategy.window_start = 0
            if strategy.executions < hold.repeat_limit:
                strategy.disabled_at = 0
        if hold.content is not None and hold.content.account is not None:
            self._empty_content(hold.content)
            hold.content.until = 0


def _content_of(case: Judgement) -> tuple[Any, ...]:
    request = case.request
    steps = -1
    if request.present & HAS_REQUESTED_LOTS:
        parsed = lot_steps(request.requested_lots, case.instrument)
        assert parsed is not None
        steps = parsed[0]
    target = request.take_profit if request.present & HAS_TAKE_PROFIT else 0.0
    assert math.isfinite(target)
    return (
        request.account_id,
        request.symbol,
        request.provider_id,
        request.provider_type,
        request.strategy_id,
        request.side,
        request.order_type,
        case.entry,
        case.stop,
        target,
        steps,
    )
