"""The checks that do not depend on the size (page, 4.1 to 4.6, and 15)."""

from server.hotpath.layout import (
    CONVERSION_RATE_STALE_NS,
    HEARTBEAT_DEGRADED_NS,
    HEARTBEAT_REFUSE_NS,
    MARKET_STALE_NS,
    NEUTRAL_SCORE_MICROPOINTS,
    PICOS,
    PPM,
    SCORE_STALE_NS,
)
from server.hotpath.reasons import (
    R_ACCOUNT_HALTED,
    R_ACCOUNT_REDUCING,
    R_ACCOUNT_UNKNOWN,
    R_ATR_MISSING,
    R_CLOCK_UNCONFIRMED,
    R_CONFIGURATION_MISSING,
    R_CONVERSION_RATE_MISSING,
    R_COOLING_OFF,
    R_EQUITY_EXHAUSTED,
    R_EQUITY_STALE,
    R_EXCHANGE_MISMATCH,
    R_FEED_DEGRADED,
    R_FEED_MISSING,
    R_FEED_STALE,
    R_INPUT_STALE,
    R_KILL_ALL,
    R_KILL_NEW_RISK,
    R_NEW_PROVIDER,
    R_PROVIDER_SCORE_LOW,
    R_PROVIDER_UNKNOWN,
    R_RECORD_AWAY,
    R_REGIME_BLOCKED,
    R_REGIME_MISSING,
    R_RESTARTED,
    R_SCORE_STALE,
    R_STOP_REQUIRED,
    R_SYMBOL_UNKNOWN,
    R_VOLATILITY_MISSING,
    R_WINDOW_MISSING,
)
from server.hotpath.records import HAS_ATR, HAS_STOP_LOSS, HAS_VOLATILITY_INDEX, KNOWN_SCORE
from tests.reference.arithmetic import atr_ticks, price_ticks, volatility_micropoints
from tests.reference.books import Books
from tests.reference.breakers import Breakers
from tests.reference.judgement import DEGRADED, REFUSE, Judgement
from tests.reference.kills import ALL, NEW_RISK
from tests.reference.rows import NO_SYMBOL

REDUCING = 2


class Checks:
    """Judges everything that does not depend on the size."""

    def __init__(self, books: Books, breakers: Breakers) -> None:
        self.books = books
        self.breakers = breakers

    def age(self, at: int) -> int:
        return max(0, self.books.now - at)

    # --- 1. Service ---------------------------------------------------------------------------

    def service(self, case: Judgement) -> None:
        books, is_exit = self.books, case.request.reduce_only == 1
        answer = case.answer
        age = self.age(books.heartbeat_at) if books.heartbeat_at else None
        stale = age is not None and age > HEARTBEAT_REFUSE_NS
        if age is not None:
            answer["heartbeat_age_ns"] = age
            case.degraded = age > HEARTBEAT_DEGRADED_NS
        if case.degraded:
            case.note(R_FEED_DEGRADED)
        if books.record_away:
            case.note(R_RECORD_AWAY)
        if case.degraded or books.record_away:
            answer["mode"] = DEGRADED
        if age is None or stale or books.clock_unconfirmed:
            answer["mode"] = REFUSE
        if is_exit:
            for reason in (R_FEED_MISSING, R_FEED_STALE, R_CLOCK_UNCONFIRMED):
                case.skip(reason)
            return
        case.check(R_FEED_MISSING, denied=age is None)
        if age is not None:
            case.check(R_FEED_STALE, denied=stale, limit=HEARTBEAT_REFUSE_NS, observed=age)
        case.check(R_CLOCK_UNCONFIRMED, denied=books.clock_unconfirmed)

    # --- 2. Identity --------------------------------------------------------------------------

    def identity(self, case: Judgement) -> bool:
        """Return whether account and instrument are known."""
        case.check(R_ACCOUNT_UNKNOWN, denied=case.account is None)
        case.check(R_SYMBOL_UNKNOWN, denied=case.instrument is None)
        if case.instrument is not None:
            other = case.request.exchange not in (NO_SYMBOL, case.instrument.exchange)
            case.check(R_EXCHANGE_MISMATCH, denied=other)
        if case.account is None or case.instrument is None:
            return False
        if not case.request.reduce_only:
            self._restarted(case)
        return True

    def _restarted(self, case: Judgement) -> None:
        books = self.books
        if not books.restarted:
            case.check(R_RESTARTED, denied=False)
            return
        ttl = case.account.spec.reservation_ttl_ns
        since = books.now - books.started_at
        case.check(R_RESTARTED, denied=since < ttl, limit=ttl, observed=since)

    def kills(self, case: Judgement) -> bool:
        """Return whether the order may be judged at all."""
        worst = self.books.kills.worst(case.request)
        case.check(R_KILL_ALL, denied=worst == ALL)
        stopped = worst == NEW_RISK and not case.request.reduce_only
        case.check(R_KILL_NEW_RISK, denied=stopped)
        return worst != ALL and not stopped

    # --- 3. Account ---------------------------------------------------------------------------

    def account(self, case: Judgement) -> None:
        account, books = case.account, self.books
        state = account.spec.trading_state
        case.check(R_ACCOUNT_REDUCING, denied=state == REDUCING)
        case.check(R_ACCOUNT_HALTED, denied=state not in (1, REDUCING))
        case.check(R_CONFIGURATION_MISSING, denied=account.configuration is None)
        case.check(R_EQUITY_EXHAUSTED, denied=account.equity <= 0, limit=0, observed=account.equity)
        age = case.answer["equity_age_ns"]
        age_max = account.spec.equity_max_age_ns
        if age_max >= 0:
            case.check(R_EQUITY_STALE, denied=age > age_max, limit=age_max, observed=age)
        else:
            case.skip(R_EQUITY_STALE)
        starts = [books.window_start(account, period) for period in ("day", "week", "month")]
        case.check(R_WINDOW_MISSING, denied=0 in starts)
        rest = max(0, account.cooling_until - books.now)
        if rest:
            case.deny(R_COOLING_OFF, rest, 0)
        else:
            case.check(R_COOLING_OFF, denied=False)

    # --- 4. Provider --------------------------------------------------------------------------

    def provider(self, case: Judgement) -> None:
        request, policy = case.request, self.books.policy
        row = self.books.providers.get((request.provider_id, request.provider_type))
        case.score = NEUTRAL_SCORE_MICROPOINTS if row is None else row.score_micropoints
        stale = False
        if row is not None:
            age = case.answer["score_age_ns"] = self.age(row.calculated_at_ns)
            stale = age > SCORE_STALE_NS
        else:
            case.new_provider = case.account.spec.allow_new_providers == 1
            if case.new_provider:
                case.note(R_NEW_PROVIDER)
        case.check(R_PROVIDER_UNKNOWN, denied=row is None and not case.new_provider)
        case.multiplier = case.exact.knots(
            case.score,
            policy.multiplier_score_micropoints[: policy.multiplier_count],
            policy.multiplier_ppm[: policy.multiplier_count],
        )
        if stale:
            case.note(R_SCORE_STALE)
            case.multiplier = min(case.multiplier, PPM)
        case.quality = case.exact.knots(
            case.score,
            policy.quality_score_micropoints[: policy.quality_count],
            policy.quality_ppm[: policy.quality_count],
            up=True,
        )
        if row is not None or case.new_provider:
            case.answer["known"] |= KNOWN_SCORE
            case.answer["score_micropoints"] = case.score
            case.answer["multiplier_ppm"] = case.multiplier
        configuration = case.account.configuration
        least = -1 if configuration is None else configuration.min_provider_score_micropoints
        if least >= 0:
            low = case.score < least
            case.check(R_PROVIDER_SCORE_LOW, denied=low, limit=least, observed=case.score)
        else:
            case.skip(R_PROVIDER_SCORE_LOW)

    # --- 5. Prices ----------------------------------------------------------------------------

    def prices(self, case: Judgement) -> None:
        request, instrument = case.request, case.instrument
        case.entry, _problem = price_ticks(request.entry_price, instrument)
        if request.present & HAS_STOP_LOSS:
            case.stop, _problem = price_ticks(request.stop_loss, instrument)
        case.check(R_STOP_REQUIRED, denied=case.stop == 0)
        case.rate = self.rate(case)

    def rate(self, case: Judgement) -> int | None:
        quote, own = case.instrument.quote_currency, case.account.spec.currency
        if quote == own:
            case.skip(R_CONVERSION_RATE_MISSING)
            return PICOS
        row = self.books.rate(quote, own)
        age = 0
        if row is not None:
            age = case.answer["conversion_rate_age_ns"] = self.age(row.as_of_ns)
        missing = row is None or age > CONVERSION_RATE_STALE_NS
        case.check(
            R_CONVERSION_RATE_MISSING,
            denied=missing,
            limit=CONVERSION_RATE_STALE_NS,
            observed=age,
        )
        return None if row is None or missing else int(row.rate_picos)

    # --- 6. Market ----------------------------------------------------------------------------

    def market(self, case: Judgement) -> None:
        request, market = case.request, self.books.markets[case.instrument.symbol]
        configuration = case.account.configuration
        if market.quote is not None:
            case.answer["quote_age_ns"] = self.age(market.quote_at)
        given = None
        if request.present & HAS_ATR:
            given = atr_ticks(request.atr, case.instrument)
        stored = None
        if market.atr is not None:
            stored = atr_ticks(market.atr, case.instrument) or None
        case.check(R_INPUT_STALE, denied=False)
        atr_needed = self.books.policy.k_atr_ppm > 0
        atr = self._larger(
            case, "atr", given, stored, market.atr_at if market.atr is not None else None
        )
        case.atr = atr or 0
        case.atr_missing = atr_needed and atr is None
        if atr_needed:
            self._demand(case, case.atr_missing, stored is not None, market.atr_at, R_ATR_MISSING)
        else:
            case.skip(R_ATR_MISSING)

        given = None
        if request.present & HAS_VOLATILITY_INDEX:
            given = volatility_micropoints(request.volatility_index)
        known = market.volatility is not None
        case.volatility = self._larger(
            case, "volatility", given, market.volatility, market.volatility_at if known else None
        )
        factor = 0 if configuration is None else configuration.volatility_adjustment_ppm
        needed = factor > 0 or self.breakers.needs_volatility(case)
        missing = case.volatility is None
        if needed:
            self._demand(case, missing, known, market.volatility_at, R_VOLATILITY_MISSING)
        else:
            case.skip(R_VOLATILITY_MISSING)
        if case.volatility is not None and factor > 0:
            excess = case.exact.mul_div(max(0, case.volatility - 50 * PPM), 1, 50, up=True)
            damping = case.exact.ppm(factor, excess, up=True)
            case.vol_ppm = case.exact.mul_div(PPM, PPM, PPM + damping)
        self._regime(case, market.regime)

    def _larger(
        self, case: Judgement, name: str, given: int | None, stored: int | None, at: int | None
    ) -> int | None:
        """Return the larger of the request's value and the stored one, if that is not stale."""
        if at is None or self.age(at) > MARKET_STALE_NS:
            stored = None
        if given is None and stored is None:
            return None
        column = f"{name}_age_ns"
        if stored is None or (given is not None and given >= stored):
            case.answer[column] = 0
            return given
        assert at is not None
        case.answer[column] = self.age(at)
        return stored

    def _demand(self, case: Judgement, missing: bool, stored: bool, at: int, reason: int) -> None:
        stale = stored and self.age(at) > MARKET_STALE_NS
        case.check(reason, denied=missing and not stale)
        if missing and stale and R_INPUT_STALE not in case.limit:
            case.deny(R_INPUT_STALE, MARKET_STALE_NS, self.age(at))

    def _regime(self, case: Judgement, regime: bytes) -> None:
        configuration = case.account.configuration
        if configuration is None:
            return
        if configuration.regime_count == 0:
            case.skip(R_REGIME_MISSING)
            case.skip(R_REGIME_BLOCKED)
            return
        case.check(R_REGIME_MISSING, denied=regime == NO_SYMBOL)
        if regime == NO_SYMBOL:
            case.skip(R_REGIME_BLOCKED)
            return
        names = configuration.regime_names[: configuration.regime_count]
        blocked = False
        if regime in names:
            index = names.index(regime)
            blocked = configuration.regime_blocked[index] == 1
            case.regime_ppm = min(configuration.regime_multiplier_ppm[index], PPM)
        case.check(R_REGIME_BLOCKED, denied=blocked)
