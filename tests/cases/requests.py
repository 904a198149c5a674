"""Random requests, drawn by the thousand: mostly sound, now and then on or over a boundary."""

from typing import Any, Final

import numpy as np

from server.hotpath.layout import words
from server.hotpath.records import (
    HAS_ATR,
    HAS_ENTRY_PRICE,
    HAS_REQUESTED_LOTS,
    HAS_STOP_LOSS,
    HAS_TAKE_PROFIT,
    HAS_VOLATILITY_INDEX,
    REQUEST,
)
from tests.cases.markets import LEVER, MARKETS, SYMBOL_WORDS_OF, UNKNOWN_SYMBOL
from tests.cases.names import ACCOUNTS, IDENTITIES, PROVIDERS, STRATEGIES, words_of

Array = np.ndarray[Any, np.dtype[Any]]

CHUNK: Final = 1_024
_ACCOUNT_IDS: Final = np.stack([words(account.name) for account in ACCOUNTS] + [words("nobody")])
_PROVIDER_IDS: Final = np.stack([words(name) for name, _ in PROVIDERS] + [words("stranger")])
_PROVIDER_TYPES: Final = np.array([kind for _, kind in PROVIDERS] + [1])
_STRATEGY_IDS: Final = words_of(STRATEGIES)
_IDENTITIES: Final = words_of(IDENTITIES)
_POSITION_IDS: Final = np.stack([words(name) for name in ("", "pos-1", "pos-2")])
_MANTISSA: Final = np.array([market.tick_mantissa for market in MARKETS], np.float64)
_SCALE: Final = np.array([market.tick_scale for market in MARKETS], np.float64)
_CENTRE: Final = np.array([market.centre_ticks for market in MARKETS])
_ATR: Final = np.array([market.atr_ticks for market in MARKETS])
_LOT: Final = np.array([market.lot_mantissa / market.lot_scale for market in MARKETS])
_BAD: Final = np.array([np.nan, np.inf, -np.inf, -1.0, 0.0, -0.0, 1e308, 5e-324, 1e-9])
_VOLATILITIES: Final = np.array([0.0, 49.999999, 50.0, 50.0000004, 55.0, 60.000001, 75.0, 100.0])


class RequestMaker:
    """Hands out REQUEST rows one by one and remembers what reports may refer to.

    Attributes:
        orders: Of each request so far: number of its client order id (−1: none), account, market.
    """

    def __init__(self, rng: np.random.Generator, *, extreme: bool) -> None:
        self._rng = rng
        self._extreme = extreme
        self._rows: list[Any] = []
        self._facts: list[tuple[int, int, int]] = []
        self._numbered = 0
        self.orders: list[tuple[int, int, int]] = [(-1, 0, 0)]

    def next_row(self) -> Any:
        if not self._rows:
            self._draw()
        self.orders.append(self._facts.pop())
        return self._rows.pop()

    def _hit(self, share: float) -> Array:
        return self._rng.random(CHUNK) < share

    def _draw(self) -> None:
        rng, rows = self._rng, np.zeros(CHUNK, REQUEST)
        account = rng.choice(5, CHUNK, p=(0.4, 0.25, 0.2, 0.14, 0.01))
        weights = np.array([30, 15, 15, 12, 12, 10, 30 if self._extreme else 0.3])
        market = rng.choice(len(MARKETS), CHUNK, p=weights / weights.sum())
        provider = rng.choice(len(_PROVIDER_IDS), CHUNK, p=(0.4, 0.25, 0.2, 0.1, 0.05))
        rows["account_id"] = _ACCOUNT_IDS[account]
        rows["provider_id"] = _PROVIDER_IDS[provider]
        rows["provider_type"] = _PROVIDER_TYPES[provider]
        rows["symbol"] = SYMBOL_WORDS_OF[market]
        rows["symbol"][self._hit(0.005)] = UNKNOWN_SYMBOL
        rows["exchange"][self._hit(0.01)] = words("FX", 4)
        rows["side"] = rng.integers(1, 3, CHUNK)
        rows["reduce_only"] = self._hit(0.12)
        rows["dry_run"] = self._hit(0.05)
        rows["explain"] = self._hit(0.3)
        named = self._hit(0.2) & (rows["reduce_only"] == 1)
        rows["position_id"][named] = _POSITION_IDS[rng.integers(0, 3, CHUNK)][named]
        bare = self._hit(0.5) & (rows["reduce_only"] == 1)
        rows["provider_id"][bare] = rows["provider_type"][bare] = 0
        strategy = rng.choice(len(_STRATEGY_IDS), CHUNK, p=(0.3, 0.25, 0.2, 0.1, 0.05, 0.04, 0.06))
        rows["strategy_id"] = _STRATEGY_IDS[strategy]
        identity = rng.choice(len(_IDENTITIES), CHUNK, p=(0.5, 0.3, 0.17, 0.03))
        rows["identity"] = _IDENTITIES[identity]
        session = self._hit(0.2)
        rows["session"][session] = rng.integers(0, 6, CHUNK)[session]
        self._draw_prices(rows, market)
        self._draw_numbers(rows, market)
        self._spoil(rows)
        numbers = self._number(rows)
        self._rows = list(rows[::-1])
        self._facts = list(zip(numbers, account.tolist(), market.tolist(), strict=True))[::-1]

    def _price(self, ticks: Array, market: Array) -> Array:
        return ticks * _MANTISSA[market] / _SCALE[market]

    def _draw_prices(self, rows: Array, market: Array) -> None:
        rng = self._rng
        sign = np.where(rows["side"] == 1, 1, -1)
        entry = _CENTRE[market] + rng.integers(-40, 41, CHUNK)
        typical = 2 * _ATR[market]
        distance = rng.choice([0, 1, 2, 10], CHUNK, p=(0.9, 0.04, 0.03, 0.03))
        distance = np.where(distance == 0, rng.integers(1, 2 * typical), distance)
        rows["entry_price"] = self._price(entry, market)
        rows["stop_loss"] = self._price(entry - sign * distance, market)
        rows["take_profit"] = self._price(entry + sign * 3 * distance, market)
        present = np.full(CHUNK, HAS_ENTRY_PRICE)
        present |= np.where(self._hit(0.97), HAS_STOP_LOSS, 0)
        # The far market has no room for a target above its entry.
        present |= np.where(self._hit(0.3) & (market != LEVER), HAS_TAKE_PROFIT, 0)
        bare = (rows["reduce_only"] == 1) & self._hit(0.5)
        rows["present"] = np.where(bare, 0, present)

    def _draw_numbers(self, rows: Array, market: Array) -> None:
        rng = self._rng
        steps = rng.choice([1, 2, 3, 5, 8, 12, 20, 32, 33, 100, 5_000], CHUNK).astype(np.float64)
        steps += np.where(self._hit(0.04), rng.choice([-0.999, 0.5, 0.999, 1e-7], CHUNK), 0)
        rows["requested_lots"] = steps * _LOT[market]
        rows["atr"] = self._price(
            _ATR[market] * rng.choice([0.001, 0.5, 1, 1.01, 2], CHUNK), market
        )
        rows["volatility_index"] = rng.choice(_VOLATILITIES, CHUNK)
        for bit, share in (
            (HAS_REQUESTED_LOTS, 0.5),
            (HAS_ATR, 0.5),
            (HAS_VOLATILITY_INDEX, 0.5),
        ):
            rows["present"] |= np.where(self._hit(share), bit, 0)

    def _spoil(self, rows: Array) -> None:
        rng = self._rng
        for name, bit in (
            ("entry_price", HAS_ENTRY_PRICE),
            ("stop_loss", HAS_STOP_LOSS),
            ("take_profit", HAS_TAKE_PROFIT),
            ("requested_lots", HAS_REQUESTED_LOTS),
            ("atr", HAS_ATR),
            ("volatility_index", HAS_VOLATILITY_INDEX),
        ):
            bad = self._hit(0.002)
            rows[name][bad] = rng.choice(_BAD, CHUNK)[bad]
            rows["present"][bad] |= bit
            off = self._hit(0.001)
            with np.errstate(over="ignore"):
                rows[name][off] *= rng.choice([1.0000003, 1 + 1e-15, 1e5, -1], CHUNK)[off]
        swapped = self._hit(0.002)
        stops = rows["stop_loss"][swapped]
        rows["stop_loss"][swapped] = rows["take_profit"][swapped]
        rows["take_profit"][swapped] = stops
        level = self._hit(0.001)
        rows["stop_loss"][level] = rows["entry_price"][level]
        rows["volatility_index"][self._hit(0.001)] = 100.0000001
        rows["present"][self._hit(0.001)] &= ~HAS_ENTRY_PRICE
        for name, high in (
            ("provider_type", 3),
            ("side", 3),
            ("order_type", 5),
            ("time_in_force", 5),
            ("session", 6),
        ):
            rows[name][self._hit(0.001)] = high
            rows[name][self._hit(0.0003)] = -1
        for name in ("account_id", "provider_id", "provider_type", "symbol", "side"):
            rows[name][self._hit(0.001)] = 0
        rows["order_type"][self._hit(0.2)] = 4
        rows["time_in_force"][self._hit(0.2)] = 1

    def _number(self, rows: Array) -> list[int]:
        """Give most requests an id; some repeat an earlier request, whole or changed."""
        rng, first = self._rng, self._numbered
        has_id = self._hit(0.75).tolist()
        replaces = self._hit(0.05).tolist()
        repeats = rng.choice(4, CHUNK, p=(0.88, 0.03, 0.01, 0.08)).tolist()
        back = rng.geometric(0.1, CHUNK).tolist()
        numbers = [-1] * CHUNK
        for index in range(CHUNK):
            if repeats[index] == 3 and index >= 1:
                # The same order once more at once, under an id of its own.
                rows[index] = rows[index - 1]
                rows[index]["client_order_id"] = 0
            elif repeats[index] and index >= back[index]:
                # All columns but two; those two do not count in the comparison of requests.
                rows[index] = rows[index - back[index]]
                numbers[index] = numbers[index - back[index]]
                rows[index]["explain"] = 1
                rows[index]["min_state_version"] = index
                if repeats[index] == 2:
                    rows[index]["sent_at_ns"] += 1
                continue
            if has_id[index]:
                numbers[index] = self._numbered
                rows[index]["client_order_id"] = order_id(self._numbered)
                self._numbered += 1
            if replaces[index] and self._numbered > back[index]:
                old = max(first - 20, self._numbered - back[index])
                rows[index]["replaces_client_order_id"] = order_id(old)
        return numbers


def order_id(number: int) -> Array:
    """Return the words of the client order id with a number; a negative one names none known."""
    return words(f"order-{number}")
