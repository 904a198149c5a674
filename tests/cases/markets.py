"""The instruments, policy and slippage models of the random world."""

from typing import Any, Final, NamedTuple

import numpy as np

from server.hotpath.layout import CHANGE_INSTRUMENT, CHANGE_POLICY, NOT_SET, currency_word, words
from server.hotpath.lowered import EncodingLevel, LoweredLinear, LoweredModel, LoweredTrees
from server.hotpath.model_features import FEATURE_COUNT, SLIPPAGE_FEATURES

Array = np.ndarray[Any, np.dtype[Any]]


class Market(NamedTuple):
    """One instrument of the world; see CHANGE_INSTRUMENT for the units."""

    symbol: str
    exchange: str
    group: str
    base: str
    quote: str
    tick_mantissa: int
    tick_scale: int
    ticks_per_pip: int
    tick_value_picos: int
    tick_notional_picos: int
    lot_mantissa: int
    lot_scale: int
    max_lot_steps: int
    centre_ticks: int
    atr_ticks: int


MARKETS: Final = (
    Market(
        "EURUSD", "FX", "EURO", "EUR", "USD",
        1, 10**5, 10, 10**12, 10**12, 1, 100, 10**4, 110_000, 100,
    ),
    Market(
        "GBPUSD", "FX", "EURO", "GBP", "USD",
        1, 10**5, 10, 10**12, 10**12, 1, 100, 500, 125_000, 130,
    ),
    Market(
        "USDJPY", "FX", "", "USD", "JPY",
        1, 10**3, 10, 10**14, 10**14, 1, 100, 10**4, 150_000, 90,
    ),
    Market(
        "XAUUSD", "METAL", "", "XAU", "USD",
        1, 100, 10, 10**12, 10**12, 1, 100, 2_000, 200_000, 900,
    ),
    Market(
        "BTCUSDT", "CRYPTO", "", "BTC", "USDT",
        1, 10, 10, 10**11, 10**11, 1, 1_000, 10**9, 600_000, 9_000,
    ),
    Market(
        "INDEX", "", "", "INDEX", "EUR",
        25, 100, 4, 125 * 10**11, 125 * 10**11, 1, 1, 50, 16_000, 40,
    ),
    Market(
        "LEVER", "X", "", "A", "USD",
        1, 1, 1, 10**17, 10**17, 10**3, 1, 10**9, 2**31 - 100, 10**6,
    ),
)  # fmt: skip
LEVER: Final = len(MARKETS) - 1
SYMBOL_WORDS_OF: Final = np.stack([words(market.symbol, 4) for market in MARKETS])
UNKNOWN_SYMBOL: Final = words("NOWHERE", 4)


def instrument_row(index: int, slippage: int, commission: int, lot_min: int, lot_max: int) -> Array:
    market = MARKETS[index]
    row = np.zeros(1, CHANGE_INSTRUMENT)
    row["symbol"] = words(market.symbol, 4)
    row["exchange"] = words(market.exchange, 4)
    row["correlation_group"] = words(market.group, 4)
    row["base_currency"] = currency_word(market.base)
    row["quote_currency"] = currency_word(market.quote)
    row["tick_size"] = market.tick_mantissa / market.tick_scale
    for name in (
        "tick_mantissa", "tick_scale", "ticks_per_pip", "tick_value_picos", "tick_notional_picos",
        "lot_mantissa", "lot_scale",
    ):  # fmt: skip
        row[name] = getattr(market, name)
    row["min_lot_steps"] = lot_min
    row["max_lot_steps"] = lot_max
    row["default_slippage_micropips"] = slippage
    row["commission_per_lot_micros"] = commission
    return row


def policy_row(variant: int = 0) -> Array:
    """Return the default policy (variant 0) or one with other knots and bounds."""
    row = np.zeros(1, CHANGE_POLICY)
    row["digest"] = 1 + variant
    row["version_major"] = 1
    scores = [0, 50_000_000, 65_000_000, 87_500_000, 100_000_000]
    row["multiplier_count"] = row["quality_count"] = 5
    row["multiplier_score_micropoints"][0, :5] = scores
    row["multiplier_ppm"][0, :5] = [500_000, 1_000_000, 1_000_000, 1_350_000, 1_500_000]
    row["quality_score_micropoints"][0, :5] = scores
    row["quality_ppm"][0, :5] = [1_500_000, 1_000_000, 1_000_000, 750_000, 600_000]
    row["k_slip_ppm"] = 1_000_000
    row["k_atr_ppm"] = 50_000
    row["slippage_cap_micropips"] = 50_000_000
    row["buffer_max_micropips"] = NOT_SET
    row["score_weights_ppm"][0] = [350_000, 250_000, 200_000, 150_000, 50_000]
    row["score_drawdown_scale_ppm"] = 500_000
    row["score_reward_risk_scale_ppm"] = 3_000_000
    if variant == 1:
        row["k_atr_ppm"] = 0
        row["k_slip_ppm"] = 1_333_333
        row["slippage_floor_micropips"] = 1_234_567
        row["multiplier_count"] = 2
        row["multiplier_score_micropoints"][0, :2] = [33_333_333, 77_777_777]
        row["multiplier_ppm"][0, :2] = [900_001, 1_900_003]
    if variant == 2:
        row["buffer_min_micropips"] = 1_500_001
        row["buffer_max_micropips"] = 20_000_000
        row["slippage_cap_micropips"] = 3_000_000
        row["quality_count"] = 1
    return row


def _linear(base: tuple[float, float], weights: dict[str, float]) -> LoweredLinear:
    names = [name for name, _unit in SLIPPAGE_FEATURES]
    coefficients = np.zeros((2, FEATURE_COUNT), np.float32)
    for name, weight in weights.items():
        coefficients[:, names.index(name)] = weight, 2.5 * weight
    offsets = np.linspace(0, 1, FEATURE_COUNT, dtype=np.float32)
    scales = np.linspace(0.5, 1.25, FEATURE_COUNT, dtype=np.float32)
    return LoweredLinear(FEATURE_COUNT, offsets, scales, coefficients, np.array(base))


def _trees() -> LoweredTrees:
    # Two trees of one split each: by hour, by stop distance.
    return LoweredTrees(
        feature_count=FEATURE_COUNT,
        roots=np.array([0, 3], np.int32),
        features=np.array([3, -1, -1, 8, -1, -1], np.int32),
        thresholds=np.array([11.5, 0, 0, 20.0, 0, 0], np.float32),
        child_true=np.array([1, -1, -1, 4, -1, -1], np.int32),
        child_false=np.array([2, -1, -1, 5, -1, -1], np.int32),
        weights=np.array(
            [[0, 0], [0.1, 0.4], [0.3, 0.9], [0, 0], [-0.2, 0.1], [0.5, 2.7]], np.float32
        ),
        divisor=1.0,
        base=np.array([0.05, 0.31]),
    )


ENCODINGS: Final = (
    EncodingLevel("", 0, "", 0.25, 1.5),
    EncodingLevel("", 0, "EURUSD", 0.1, 0.7),
    EncodingLevel("alpha", 1, "", 0.3, 1.9),
    EncodingLevel("alpha", 1, "XAUUSD", 2.3, 9.1),
)
# By slot: modest, often above the cap, never valid, trees.
MODELS: Final[tuple[LoweredModel, ...]] = (
    _linear(
        (0.1, 0.3),
        {
            "encoding_q50_pips": 0.7,
            "release_distance_minutes": -0.01,
            "hour_utc": 0.013,
            "day_of_week": 0.021,
            "session_code": 0.05,
            "volatility_index": 0.004,
            "side": 0.03,
        },
    ),
    _linear((0.1, 30.0), {"stop_distance_pips": 0.31, "requested_lots": 0.7, "atr_pips": 0.11}),
    _linear((2e6, 0.3), {"atr_pips": -1.0}),
    _trees(),
)
