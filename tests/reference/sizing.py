"""Slippage, buffer, risk money, lots and the limits on them (page 4.7 to 4.9)."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from server.hotpath.layout import (
    DEGRADED_PPM,
    HARD_CAP_PPM,
    MICROS,
    NEW_PROVIDER_PPM,
    NOT_SET,
    PICOS,
    PPM,
)
from server.hotpath.reasons import (
    R_BELOW_MIN_LOT,
    R_CORRELATED_EXPOSURE,
    R_DAILY_LOSS_BUDGET,
    R_LEVERAGE,
    R_LOT_STEP,
    R_MAX_LOT,
    R_MODEL_MISSING,
    R_MODEL_OUTPUT_CAPPED,
    R_MODEL_OUTPUT_INVALID,
    R_MONTHLY_LOSS_BUDGET,
    R_POSITION_DRAWDOWN,
    R_POSITION_SIZE,
    R_RISK_PER_TRADE,
    R_WEEKLY_LOSS_BUDGET,
    S_CUT,
)
from server.hotpath.records import (
    HAS_REQUESTED_LOTS,
    KNOWN_MODEL,
    KNOWN_SLIPPAGE,
    KNOWN_STOP_PRICE,
    KNOWN_TRAILING,
)
from tests.reference.arithmetic import Exact, lot_steps, price_of, stricter
from tests.reference.books import Books
from tests.reference.judgement import Judgement
from tests.reference.rows import unpadded

MODEL_PIPS_MAX = 1e6
NOT_FINITE = (math.nan, math.nan)


class Model(NamedTuple):
    """One slippage model: what a slot of the engine holds."""

    evaluate: Callable[[Sequence[float]], tuple[float, float] | None]
    lookup_encoding: Callable[[str, int, str], tuple[float, float]]


class Sizing:
    """Works out sizes and judges the limits on them."""

    def __init__(self, books: Books, models: dict[int, Model]) -> None:
        self.books = books
        self.models = models

    # --- 7. Slippage and buffer ---------------------------------------------------------------

    def session(self, request: Any) -> int:
        books = self.books
        if request.session:
            return int(request.session)
        over = books.next_session_at > 0 and books.now >= books.next_session_at
        return books.next_session if over else books.session

    def slippage(self, case: Judgement) -> None:
        policy, instrument, answer = self.books.policy, case.instrument, case.answer
        micropips = instrument.default_slippage_micropips
        predicted = micropips / 1e6
        model = None if self.books.model_slot is None else self.models.get(self.books.model_slot)
        if model is None:
            case.note(R_MODEL_MISSING)
        else:
            q50, q90 = model.evaluate(self.features(case, model)) or NOT_FINITE
            if not (abs(q50) <= MODEL_PIPS_MAX and abs(q90) <= MODEL_PIPS_MAX):
                case.note(R_MODEL_OUTPUT_INVALID)
            else:
                answer["known"] |= KNOWN_MODEL
                predicted = q50
                micropips = max(0, math.ceil(q90 * 1e6 - 1e-6))
                if micropips > policy.slippage_cap_micropips:
                    case.note(R_MODEL_OUTPUT_CAPPED)
                    micropips = policy.slippage_cap_micropips
        micropips = max(policy.slippage_floor_micropips, micropips)
        case.slippage = case.exact.ppm(micropips, instrument.ticks_per_pip, up=True)
        answer["known"] |= KNOWN_SLIPPAGE
        answer["predicted_slippage_pips"] = predicted
        answer["slippage_micropips"] = micropips
        answer["slippage_ticks"] = case.slippage

    def features(self, case: Judgement, model: Model) -> list[float]:
        request, instrument = case.request, case.instrument
        per_pip = float(instrument.ticks_per_pip)
        seconds = self.books.now // 1_000_000_000
        q50, q90 = model.lookup_encoding(
            unpadded(request.provider_id), request.provider_type, unpadded(request.symbol)
        )
        half_hour = seconds % 1800
        days = seconds // 86_400
        raw = [
            q50,
            q90,
            min(half_hour, 1800 - half_hour) / 60.0,
            float(seconds % 86_400 // 3600),
            float((days + 3) % 7 + 1),  # 1970-01-01 was a Thursday, ISO day 4
            float(self.session(request)),
            case.atr / per_pip if case.atr else -1.0,
            -1.0 if case.volatility is None else case.volatility / 1e6,
            abs(case.entry - case.stop) / per_pip if case.stop else -1.0,
            request.requested_lots if request.present & HAS_REQUESTED_LOTS else -1.0,
            float(case.sign),
        ]
        with np.errstate(over="ignore"):
            return [float(np.float32(value)) for value in raw]

    def buffer(self, case: Judgement) -> None:
        policy, exact, instrument = self.books.policy, case.exact, case.instrument
        share = exact.mul_div(case.slippage, PPM, 1)
        share = exact.ppm(exact.ppm(share, policy.k_slip_ppm, up=True), case.quality, up=True)
        from_atr = exact.mul_div(case.atr, policy.k_atr_ppm, 1)
        ticks = exact.mul_div(exact.kept(share + from_atr), 1, PPM, up=True)
        per_pip = instrument.ticks_per_pip
        ticks = max(ticks, exact.ppm(policy.buffer_min_micropips, per_pip, up=True))
        if policy.buffer_max_micropips >= 0:
            ticks = min(ticks, exact.ppm(policy.buffer_max_micropips, per_pip, up=True))
        case.buffer = case.answer["buffer_ticks"] = ticks
        case.answer["sl_buffer_pips"] = ticks / per_pip

    def stops(self, case: Judgement) -> None:
        answer, instrument = case.answer, case.instrument
        if case.stop:
            answer["known"] |= KNOWN_STOP_PRICE
            ticks = answer["stop_ticks"] = max(1, case.stop - case.sign * case.buffer)
            answer["stop_price"] = price_of(ticks, instrument)
        configuration = case.account.configuration
        if configuration is None or configuration.position_trailing_stop_ppm < 0:
            return
        if case.atr:
            answer["known"] |= KNOWN_TRAILING
            ticks = case.exact.ppm(case.atr, configuration.position_trailing_stop_ppm, up=True)
            answer["trailing_ticks"] = ticks
            answer["trailing_stop_distance"] = price_of(ticks, instrument)

    # --- 7. Size ------------------------------------------------------------------------------

    def own_limit(self, case: Judgement, column: str) -> int:
        """Return the stricter of the account's value and the symbol's override."""
        configuration = case.account.configuration
        if configuration is None:
            return NOT_SET
        return stricter(getattr(configuration, column), case.override, column)

    def size(self, case: Judgement) -> None:
        answer, exact, instrument = case.answer, case.exact, case.instrument
        answer["risk_money_micros"] = self._risk_money(case)
        if case.request.present & HAS_REQUESTED_LOTS:
            parsed = lot_steps(case.request.requested_lots, instrument)
            assert parsed is not None
            case.target, case.off_step = parsed
        if case.off_step:
            case.set(S_CUT, R_LOT_STEP)
        rate = case.rate
        if rate is None:
            return
        distance = abs(case.entry - case.stop) if case.stop else 0
        ticks = exact.kept(distance + case.buffer + case.slippage)
        loss = exact.mul_div(ticks, instrument.tick_value_picos, PPM, up=True)
        loss = exact.mul_div(loss, rate, PICOS, up=True)
        loss = answer["loss_per_lot_micros"] = exact.kept(
            loss + instrument.commission_per_lot_micros
        )
        answer["notional_per_lot_micros"] = notional_per_lot(exact, case.entry, rate, instrument)
        if not case.stop or case.account.equity <= 0 or case.atr_missing:
            return
        case.sizes_known = True
        risk_steps = exact.steps(answer["risk_money_micros"], loss, instrument)
        if not case.request.present & HAS_REQUESTED_LOTS:
            case.target = risk_steps
        answer["target_steps"] = case.target
        case.cap(R_RISK_PER_TRADE, risk_steps, answer["risk_money_micros"], 0)

    def _risk_money(self, case: Judgement) -> int:
        exact = case.exact
        per_trade = max(0, self.own_limit(case, "risk_per_trade_ppm"))
        base = exact.ppm(max(0, case.account.equity), per_trade)
        money = exact.ppm(base, case.multiplier)
        if case.new_provider:
            money = exact.ppm(money, NEW_PROVIDER_PPM)
        money = exact.ppm(money, case.vol_ppm)
        money = exact.ppm(money, case.regime_ppm)
        if case.degraded:
            money = exact.ppm(money, DEGRADED_PPM)
        for ratio in case.size_breakers:
            money = exact.ppm(money, ratio)
        return min(money, exact.ppm(base, HARD_CAP_PPM))

    # --- 8. Position drawdown -----------------------------------------------------------------

    def position_drawdown(self, case: Judgement) -> None:
        limit = self.own_limit(case, "position_max_drawdown_ppm")
        net = case.net
        if limit < 0 or net is None or net.net * case.sign <= 0:
            case.skip(R_POSITION_DRAWDOWN)
            return
        paid = abs(net.cost_ticks)
        worth = case.exact.mul_div(abs(net.net), case.entry, 1)
        fall = paid - worth if net.net > 0 else worth - paid
        drawdown = 0
        if paid > 0:
            drawdown = case.exact.mul_div(max(0, fall), PPM, paid, up=True)
        case.check(R_POSITION_DRAWDOWN, denied=drawdown > limit, limit=limit, observed=drawdown)

    # --- 9. Caps ------------------------------------------------------------------------------

    def caps(self, case: Judgement) -> None:
        instrument, account = case.instrument, case.account
        case.cap(R_MAX_LOT, instrument.max_lot_steps, instrument.max_lot_steps, 0)
        if account.configuration is None:
            return
        self._position_size(case)
        used = case.exact.kept(account.open_notional + account.held_notional)
        self._gross(case, R_LEVERAGE, self.own_limit(case, "max_leverage_ppm"), used)
        exposure = self.books.exposure(account, instrument)
        ratio = account.configuration.max_correlated_exposure_ppm
        used = case.exact.kept(exposure.open + exposure.held)
        self._gross(case, R_CORRELATED_EXPOSURE, ratio, used)
        for reason, period, column in (
            (R_DAILY_LOSS_BUDGET, "day", "daily_max_drawdown_ppm"),
            (R_WEEKLY_LOSS_BUDGET, "week", "weekly_max_drawdown_ppm"),
            (R_MONTHLY_LOSS_BUDGET, "month", "monthly_max_drawdown_ppm"),
        ):
            self._loss_budget(case, reason, period, column)

    @staticmethod
    def fit(case: Judgement) -> None:
        """Fit the target into the smallest of all limits."""
        case.largest = min(case.lots_max.values())
        case.lot = min(case.target, case.largest)
        least = case.instrument.min_lot_steps
        case.check(R_BELOW_MIN_LOT, denied=case.lot < least, limit=least, observed=case.lot)

    def _position_size(self, case: Judgement) -> None:
        ratio = self.own_limit(case, "max_position_size_ppm")
        if ratio < 0:
            case.skip(R_POSITION_SIZE)
            return
        exact, instrument, equity = case.exact, case.instrument, case.account.equity
        per_lot = case.answer["notional_per_lot_micros"]
        allowed = exact.allowance(equity, ratio)
        exposed = case.exposed_steps()
        steps_max = max(0, exact.steps(allowed, per_lot, instrument) - exposed)
        cost = exact.cost(exposed, per_lot, instrument)
        observed = exact.mul_div(cost, PPM, equity, up=True)
        case.cap(R_POSITION_SIZE, steps_max, ratio, observed)

    def _gross(self, case: Judgement, reason: int, ratio: int, used: int) -> None:
        if ratio < 0:
            case.skip(reason)
            return
        exact, equity = case.exact, case.account.equity
        room = max(0, exact.allowance(equity, ratio) - used)
        steps_max = exact.steps(room, case.answer["notional_per_lot_micros"], case.instrument)
        case.cap(reason, steps_max, ratio, exact.mul_div(used, PPM, equity, up=True))

    def _loss_budget(self, case: Judgement, reason: int, period: str, column: str) -> None:
        account, exact = case.account, case.exact
        ratio = getattr(account.configuration, column)
        if ratio < 0:
            case.skip(reason)
            return
        if account.start[period] == 0:
            return
        base = account.base[period]
        limit = exact.allowance(base, ratio)
        lost = exact.kept(max(0, base - account.equity) + account.held_risk + account.open_risk)
        room = max(0, limit - lost)
        steps_max = exact.steps(room, case.answer["loss_per_lot_micros"], case.instrument)
        case.cap(reason, steps_max, limit, lost)


def notional_per_lot(exact: Exact, ticks: int, rate: int, instrument: Any) -> int:
    """Return the notional of one lot at a price, account currency, micros, at least 1."""
    notional = exact.mul_div(ticks, instrument.tick_notional_picos, MICROS, up=True)
    return max(1, exact.mul_div(notional, rate, PICOS, up=True))
