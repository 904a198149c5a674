"""Volatility of a bar series: Wilder's average true range and a composite index of 0 to 100.

ratio     = latest / usual                       usual: the median over the look-back
part      = 100 · ratio / (1 + ratio)            50 when the market is as usual, monotone in the
latest value
index     = 0.6 · part(ATR) + 0.4 · part(standard deviation of log returns)
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trainer.errors import NotEnoughDataError

ATR_BARS: Final = 14
ATR_WEIGHT: Final = 0.6
_NEUTRAL: Final = 50.0


def measure_true_range(
    high: Sequence[float], low: Sequence[float], close: Sequence[float]
) -> NDArray[np.float64]:
    """Return max(high - low, |high - before|, |low - before|); before: the previous close."""
    highs, lows = np.asarray(high, dtype=np.float64), np.asarray(low, dtype=np.float64)
    before = np.concatenate([[np.nan], np.asarray(close, dtype=np.float64)[:-1]])
    parts = np.stack([highs - lows, np.abs(highs - before), np.abs(lows - before)])
    ranges: NDArray[np.float64] = np.fmax.reduce(parts, axis=0)
    return ranges


def measure_atr(
    high: Sequence[float], low: Sequence[float], close: Sequence[float], bars: int = ATR_BARS
) -> NDArray[np.float64]:
    """Return Wilder's ATR in price units, NaN for the first `bars - 1` bars.

    The first value is the mean of the first `bars` true ranges; each later one is
    (previous · (bars - 1) + true range) / bars.

    Raises:
        NotEnoughDataError: Fewer bars than one average needs.
    """
    true_range = measure_true_range(high, low, close)
    if len(true_range) < bars:
        raise NotEnoughDataError(f"{len(true_range)} bars, at least {bars}")
    atr = np.full(len(true_range), np.nan)
    atr[bars - 1] = true_range[:bars].mean()
    for index in range(bars, len(true_range)):
        atr[index] = (atr[index - 1] * (bars - 1) + true_range[index]) / bars
    return atr


def measure_volatility_index(
    latest_atr: float, usual_atr: float, latest_deviation: float, usual_deviation: float
) -> float:
    """Return the composite index, 0 to 100; 50 is a market as usual.

    Args:
        latest_atr: Price units, >= 0.
        usual_atr: Median ATR of the look-back, same unit; 0 counts as usual.
        latest_deviation: Standard deviation of recent log returns, >= 0.
        usual_deviation: Its median over the look-back; 0 counts as usual.
    """
    atr_part = _compare(latest_atr, usual_atr)
    deviation_part = _compare(latest_deviation, usual_deviation)
    return ATR_WEIGHT * atr_part + (1 - ATR_WEIGHT) * deviation_part


def _compare(latest: float, usual: float) -> float:
    if not usual > 0:
        return _NEUTRAL
    ratio = latest / usual
    return 100.0 * ratio / (1.0 + ratio)
