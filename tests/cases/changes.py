"""Random changes: limits near what orders need, ages on their bounds, things that come and go."""

from typing import Any, Final

import numpy as np

from server.hotpath.layout import (
    CHANGE_ACCOUNT,
    CHANGE_CLOCK,
    CHANGE_CONVERSION_RATE,
    CHANGE_EQUITY,
    CHANGE_HEARTBEAT,
    CHANGE_MARKET,
    CHANGE_MODEL,
    CHANGE_PROVIDER,
    CHANGE_RISK_CONFIGURATION,
    CHANGE_SESSION,
    CHANGE_WINDOW,
    CONVERSION_RATE_STALE_NS,
    MARKET_STALE_NS,
    NOT_SET,
    QUOTE_STALE_NS,
    SCORE_STALE_NS,
    SECOND_NS,
    currency_word,
    words,
)
from tests.cases.breakers import BreakerMaker
from tests.cases.controls import ControlMaker
from tests.cases.markets import MARKETS, instrument_row, policy_row
from tests.cases.names import ACCOUNTS, HOURS_ZONES, PROVIDERS, Mood

Array = np.ndarray[Any, np.dtype[Any]]
Made = tuple[int, int, Array, bool]


REGIMES: Final = ("calm", "wild", "halt", "other")
RATES: Final = (
    ("USD", "EUR", 920_000_000_000),
    ("JPY", "EUR", 6_100_000_000),
    ("USDT", "EUR", 921_000_000_000),
    ("JPY", "USD", 6_666_666_667),
    ("USDT", "USD", 1_000_100_000_000),
    ("EUR", "USD", 1_087_000_000_000),
    ("USD", "JPY", 150 * 10**12),
    ("EUR", "JPY", 163 * 10**12),
    ("USDT", "JPY", 150 * 10**12),
)
# "Day", "week" and "month" of the world are short, so that they end often.
_PERIODS_NS: Final = {"day": 30 * SECOND_NS, "week": 120 * SECOND_NS, "month": 600 * SECOND_NS}
_SCORES: Final = (0, 33_333_333, 49_999_999, 50_000_000, 62_300_000, 65_000_001, 87_500_000, 10**8)
_REMOVABLE: Final = (1, 2, 3, 4, 6)
_EDGE: Final = (-1, 0, 1)
_KINDS: Final = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 18)
_WEIGHTS: Final = (4, 3, 6, 7, 24, 7, 9, 1, 3, 9, 40, 1, 11, 1.5, 2, 6, 5)


class ChangeMaker:
    """Makes rows of changes; `extreme` worlds reach for the ends of the ranges."""

    def __init__(self, rng: np.random.Generator, mood: Mood) -> None:
        self._rng = rng
        self._mood = mood
        self._controls = ControlMaker(rng, mood)
        self._breakers = BreakerMaker(rng, mood)
        self._version = 0
        self._serial = 0
        self._kinds: list[int] = []
        self._restore: list[tuple[int, Array]] = []
        self._makers = {
            1: lambda _now: self._instrument(int(rng.integers(len(MARKETS)))),
            2: lambda now: self._account(int(rng.integers(len(ACCOUNTS))), now),
            3: lambda _now: self._configuration(int(rng.integers(len(ACCOUNTS)))),
            4: lambda now: self._provider(int(rng.integers(len(PROVIDERS))), now),
            5: self._markets,
            6: lambda now: self._rate(int(rng.integers(len(RATES))), now),
            7: lambda _now: self._breakers.next(),
            8: lambda _now: policy_row(int(rng.choice([0, 0, 1, 2]))),
            9: lambda _now: self._model(),
            10: lambda now: self._any_window(int(rng.integers(len(ACCOUNTS) + 2)), now),
            11: self._heartbeat,
            12: self._clock,
            13: lambda now: self._equity(int(rng.integers(len(ACCOUNTS))), now),
            14: self._session,
            16: self._controls.kill,
            17: self._controls.strategy,
            18: self._breakers.reset,
        }

    def initial(self, now: int) -> list[tuple[int, int, Array]]:
        made: list[tuple[int, Array]] = [(8, policy_row()), (14, self._session(now))]
        made += [(1, self._instrument(index, fresh=True)) for index in range(len(MARKETS))]
        made += [(10, self._window(index, now, sound=True)) for index in range(len(ACCOUNTS))]
        made += [(2, self._account(index, now, fresh=True)) for index in range(len(ACCOUNTS))]
        made += [(3, self._configuration(index)) for index in range(len(ACCOUNTS))]
        made += [(4, self._provider(index, now)) for index in range(len(PROVIDERS) - 1)]
        made += [(5, self._market(index, now, sound=True)) for index in range(len(MARKETS) - 1)]
        made += [(6, self._rate(index, now)) for index in range(len(RATES))]
        zones = range(len(HOURS_ZONES) - 1)
        made += [(10, self._controls.hours_window(index, now)) for index in zones]
        made += [(7, row) for row in self._breakers.initial()]
        made += [(11, self._heartbeat(now))]
        return [(kind, index + 1, rows) for index, (kind, rows) in enumerate(made)]

    def next(self, now: int) -> Made:
        rng = self._rng
        self._version += int(rng.integers(-1, 4))
        if self._restore and rng.random() < 0.3:
            kind, rows = self._restore.pop()
            return kind, self._version, rows, False
        if not self._kinds:
            share = np.array(_WEIGHTS) / sum(_WEIGHTS)
            kinds = rng.choice(_KINDS, 512, p=share).tolist()
            self._kinds = [kind for kind in kinds if kind != 16 or self._mood.kills]
        kind = self._kinds.pop()
        rows = self.make(kind, now)
        if kind in _REMOVABLE and rng.random() < 0.06:
            self._restore.append((kind, rows))
            return kind, self._version, rows, True
        if kind == 7 and rng.random() < 0.02:
            self._breakers.retire(rows)
            return kind, self._version, rows, True
        return kind, self._version, rows, False

    def make(self, kind: int, now: int) -> Array:
        return self._makers[kind](now)

    # --- Draws ----------------------------------------------------------------------------------

    def _one(self, *choices: int) -> int:
        return choices[int(self._rng.integers(len(choices)))]

    def _near(self, now: int, bound_ns: int, share: float = 0.15) -> int:
        """Return a time shortly before now, or one whose age is the bound, give or take 1 ns."""
        if self._rng.random() < share:
            return now - bound_ns + self._one(*_EDGE)
        return now - self._one(0, 0, 1, SECOND_NS, 60 * SECOND_NS)

    def _ratio(self, unset: float, *choices: int) -> int:
        if self._rng.random() < unset + (0.6 * (1 - unset) if self._mood.mild else 0):
            return NOT_SET
        if self._mood.extreme and self._rng.random() < 0.3:
            return self._one(0, 1, 10**10, 10**10 - 1)
        return self._one(*choices) + self._one(*_EDGE)

    def _risk(self, override: int, *choices: int) -> int:
        """Return a share of the equity that nearly every account sets."""
        if override and self._rng.random() < 0.6:
            return NOT_SET
        return self._one(*choices) + self._one(*_EDGE) if self._rng.random() < 0.97 else NOT_SET

    # --- Rows -----------------------------------------------------------------------------------

    def _instrument(self, index: int, *, fresh: bool = False) -> Array:
        market = MARKETS[index]
        slippage = self._one(0, 0, 300_000, 1_000_001, 12_000_000)
        if self._mood.extreme and not fresh:
            slippage = self._one(slippage, 2**62)
        lot_min = self._one(1, 1, 1, 2, 3)
        lot_max = self._one(market.max_lot_steps, market.max_lot_steps, 30, 32)
        commission = self._one(0, 0, 7_000_000, 1)
        row = instrument_row(index, slippage, commission, lot_min, lot_max)
        self._controls.fill_instrument(row)
        if not fresh and self._rng.random() < 0.05:
            # Another grid, on which the prices of the world still lie.
            row["tick_mantissa"], row["tick_scale"] = market.tick_mantissa, market.tick_scale * 10
            row["tick_size"] = row["tick_mantissa"] / row["tick_scale"]
        return row

    def _account(self, index: int, now: int, *, fresh: bool = False) -> Array:
        holder, row = ACCOUNTS[index], np.zeros(1, CHANGE_ACCOUNT)
        row["account_id"] = words(holder.name)
        timezone = holder.timezone
        if not fresh and self._rng.random() < 0.05:
            timezone = "Mars/Olympus"
        row["timezone"] = words(timezone, 4)
        row["currency"] = currency_word(holder.currency)
        row["equity_micros"] = holder.equity_micros if fresh else self._equity_of(index)
        row["equity_at_ns"] = now - self._one(0, 1, SECOND_NS)
        row["equity_max_age_ns"] = self._one(NOT_SET, NOT_SET, NOT_SET, 20 * SECOND_NS)
        row["reservation_ttl_ns"] = SECOND_NS * self._one(1, 2, 30, 300) // self._one(1, 1, 50)
        row["trading_state"] = 1 if fresh else (1 if self._rng.random() < 0.92 else self._one(2, 3))
        row["allow_new_providers"] = self._one(0, 1, 1)
        return row

    def _equity_of(self, index: int) -> int:
        whole = ACCOUNTS[index].equity_micros
        draw = self._rng.random()
        if draw < 0.02:
            return self._one(0, -1, 1, -whole)
        if draw < 0.10:
            return whole * self._one(50, 80, 90, 95) // 100
        return min(10**18, whole * int(self._rng.integers(9_850, 10_150)) // 10_000)

    def _equity(self, index: int, now: int) -> Array:
        row = np.zeros(1, CHANGE_EQUITY)
        row["account_id"] = words("nobody" if self._rng.random() < 0.01 else ACCOUNTS[index].name)
        row["equity_micros"] = self._equity_of(index)
        row["equity_at_ns"] = now - self._one(0, 0, 0, 1, SECOND_NS, 20 * SECOND_NS)
        return row

    def _configuration(self, index: int) -> Array:
        rng = self._rng
        rows = np.zeros(1 + int(rng.integers(0, 3)), CHANGE_RISK_CONFIGURATION)
        name = "nobody" if rng.random() < 0.01 else ACCOUNTS[index].name
        rows["account_id"] = words(name)
        symbols = rng.permutation(len(MARKETS))
        for number, row in enumerate(rows):
            if number:
                row["symbol"] = words(MARKETS[symbols[number]].symbol, 4)
                row["override"] = self._one(0, 1)
            unset = 0.5 if number else 0.35
            row["position_max_drawdown_ppm"] = self._ratio(unset, 0, 1, 100, 1_000, 50_000)
            row["max_position_size_ppm"] = self._ratio(unset, 400_000, 2_000_000, 9_000_000)
            row["max_leverage_ppm"] = self._ratio(unset, 600_000, 4_000_000, 9_200_000)
            row["risk_per_trade_ppm"] = self._risk(number, 5_000, 10_000, 50_000)
            row["max_correlated_exposure_ppm"] = self._ratio(unset, 500_000, 5_000_000)
            row["position_trailing_stop_ppm"] = self._ratio(0.5, 1_500_000, 333_333)
            market = MARKETS[symbols[number] if number else self._one(0, 0, 1, 3, 4)]
            lot = 10**6 * market.lot_mantissa // market.lot_scale
            self._controls.fill_limits(row, ACCOUNTS[index].equity_micros, lot)
        first = rows[0]
        first["daily_max_drawdown_ppm"] = self._ratio(0.4, 5_000, 30_000, 60_000)
        first["weekly_max_drawdown_ppm"] = self._ratio(0.5, 10_000, 40_000, 80_000)
        first["monthly_max_drawdown_ppm"] = self._ratio(0.5, 20_000, 60_000, 100_000)
        first["volatility_adjustment_ppm"] = self._one(0, 0, 500_000, 1_000_000, 10**10)
        first["cooling_off_ns"] = self._one(0, SECOND_NS, 5 * SECOND_NS)
        first["consecutive_loss_threshold"] = self._one(0, 0, 2, 3)
        first["min_provider_score_micropoints"] = self._one(
            NOT_SET, NOT_SET, 0, 33_333_333, 50_000_000
        )
        self._fill_regimes(first)
        self._controls.fill_flow(first, ACCOUNTS[index].equity_micros)
        return rows

    def _fill_regimes(self, row: Any) -> None:
        count = self._one(0, 0, 3)
        row["regime_count"] = count
        for index in range(count):
            row["regime_names"][4 * index : 4 * index + 4] = words(REGIMES[index], 4)
            row["regime_multiplier_ppm"][index] = self._one(10**6, 700_001, 0, 1_200_000)
            row["regime_blocked"][index] = index == 2

    def _provider(self, index: int, now: int) -> Array:
        row = np.zeros(1, CHANGE_PROVIDER)
        row["provider_id"] = words(PROVIDERS[index][0])
        row["provider_type"] = PROVIDERS[index][1]
        row["score_micropoints"] = self._one(*_SCORES, int(self._rng.integers(0, 10**8)))
        row["calculated_at_ns"] = self._near(now, SCORE_STALE_NS, 0.2)
        return row

    def _markets(self, now: int) -> Array:
        """Return the context of one market, or of all, as a feed of quotes brings it."""
        if self._rng.random() < 0.5:
            return self._market(int(self._rng.integers(len(MARKETS))), now)
        return np.concatenate([self._market(index, now) for index in range(len(MARKETS))])

    def _market(self, index: int, now: int, *, sound: bool = False) -> Array:
        market, rng, row = MARKETS[index], self._rng, np.zeros(1, CHANGE_MARKET)
        symbol = "NOWHERE" if not sound and rng.random() < 0.01 else market.symbol
        row["symbol"] = words(symbol, 4)
        if sound or rng.random() < 0.3:
            row["regime"] = words(REGIMES[self._one(0, 0, 0, 1, 2, 3)], 4)
        tick = market.tick_mantissa / market.tick_scale
        row["atr"] = market.atr_ticks * tick * float(rng.choice([0.5, 1, 1.3, 3]))
        row["volatility_index"] = float(rng.choice([0, 49.5, 50, 50.5, 62.0000001, 90, 100]))
        bid = market.centre_ticks + self._one(0, 0, -1, 25, -30)
        row["bid"] = bid * tick
        row["ask"] = (bid + self._one(0, 1, 1, 2, 7)) * tick
        for name, share in (("atr", 0.2), ("volatility_index", 0.2), ("bid", 0.2)):
            if not sound and rng.random() < share:
                row[name] = float(rng.choice([np.nan, np.nan, np.inf, -1, 1e300, 101]))
        for name in ("atr_at_ns", "volatility_at_ns"):
            row[name] = self._near(now, MARKET_STALE_NS, 0.08)
        row["quote_at_ns"] = now - self._one(0, 0, 0, 0, 1, -SECOND_NS, SECOND_NS)
        if rng.random() < 0.05:
            row["quote_at_ns"] = now - QUOTE_STALE_NS + self._one(*_EDGE)
        return row

    def _rate(self, index: int, now: int) -> Array:
        row = np.zeros(1, CHANGE_CONVERSION_RATE)
        row["from_currency"] = currency_word(RATES[index][0])
        row["to_currency"] = currency_word(RATES[index][1])
        row["rate_picos"] = RATES[index][2] + int(self._rng.integers(-999, 1_000))
        row["as_of_ns"] = self._near(now, CONVERSION_RATE_STALE_NS, 0.08)
        return row

    def _model(self) -> Array:
        row = np.zeros(1, CHANGE_MODEL)
        self._serial += self._one(0, 1, 1, 1)
        row["purpose"] = words("slippage", 4)
        row["serial"] = self._serial
        row["slot"] = self._one(0, 0, 1, 2, 3)
        row["digest"] = self._one(0, 1, 1)
        return row

    def _any_window(self, index: int, now: int) -> Array:
        if index >= len(ACCOUNTS):
            return self._controls.hours_window(index - len(ACCOUNTS), now)
        return self._window(index, now)

    def _window(self, index: int, now: int, *, sound: bool = False) -> Array:
        row = np.zeros(1, CHANGE_WINDOW)
        row["timezone"] = words(ACCOUNTS[index].timezone, 4)
        shift = index * 7 * SECOND_NS
        for name, length in _PERIODS_NS.items():
            start = (now - shift) // length * length + shift
            row[f"{name}_start_ns"] = start
            row[f"{name}_next_ns"] = start + length
            if not sound and self._rng.random() < 0.01:
                row[f"{name}_start_ns"] = row[f"{name}_next_ns"] = 0
        return row

    def _heartbeat(self, now: int) -> Array:
        row = np.zeros(1, CHANGE_HEARTBEAT)
        late = 0
        if self._rng.random() < 0.2:
            late = self._one(1, SECOND_NS, 2 * SECOND_NS, 2 * SECOND_NS + 1, 6 * SECOND_NS)
        row["published_at_ns"] = now - late
        row["record_away"] = self._rng.random() < 0.1
        return row

    def _clock(self, now: int) -> Array:
        row = np.zeros(1, CHANGE_CLOCK)
        row["reading_ns"] = now
        return row

    def _session(self, now: int) -> Array:
        row = np.zeros(1, CHANGE_SESSION)
        row["session"] = self._one(0, 1, 2, 3, 4, 5)
        row["next_session"] = self._one(0, 1, 2, 3, 4, 5)
        row["next_at_ns"] = now + self._one(0, 1, SECOND_NS, 20 * SECOND_NS)
        return row
