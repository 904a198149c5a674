"""The performance score of a provider from its figures, and whether it rises or falls.

The formula is the kernel's (`server/hotpath/scores.py`) with the weights of a risk policy; here are
only the ways in and out of its integers. A trend compares two scores as if both were stable:
otherwise a rise would feed on the points that the trend itself gives.
"""

from dataclasses import replace
from decimal import ROUND_DOWN, Decimal
from typing import Any, Final

import numpy as np

from server.entities import ProviderFigures
from server.hotpath.layout import MICROS, NOT_SET, PPM, packed_dtype
from server.hotpath.scores import (
    TREND_DOWN,
    TREND_STABLE,
    TREND_UP,
    score_micropoints_nb,
)

NEUTRAL_SCORE: Final = Decimal(50)
TREND_DEAD_BAND_POINTS: Final = Decimal(1)
_GRID: Final = Decimal("0.0001")
_TRENDS: Final = {"up": TREND_UP, "stable": TREND_STABLE, "down": TREND_DOWN}


def has_rates(figures: ProviderFigures) -> bool:
    """Whether the four rates are there from which a score follows."""
    return None not in {
        figures.win_rate_fraction,
        figures.max_drawdown_fraction,
        figures.reward_to_risk_ratio,
        figures.sl_compliance_fraction,
    }


def score(figures: ProviderFigures, policy: Any) -> Decimal:
    """Return the score, 0 to 100, rounded down to four decimals.

    An absent compliance is neutral, any other absent rate counts as the worst.

    Args:
        figures: of one period.
        policy: POLICY row; its weights and scales are used.
    """
    fault = np.zeros(1, packed_dtype(("fault", "<i8")))[0]
    points = score_micropoints_nb(
        fault,
        policy,
        _ppm(figures.win_rate_fraction, 0),
        _ppm(figures.max_drawdown_fraction, PPM),
        _ppm(figures.reward_to_risk_ratio, 0),
        _ppm(figures.sl_compliance_fraction, NOT_SET),
        _TRENDS[figures.score_trend],
    )
    return (Decimal(int(points)) / MICROS).quantize(_GRID, rounding=ROUND_DOWN)


def base_score(figures: ProviderFigures, stated: Decimal, policy: Any) -> Decimal:
    """Return what a trend compares: the score without trend, or the stated one without rates."""
    if not has_rates(figures):
        return stated
    return score(replace(figures, score_trend="stable"), policy)


def find_trend(base: Decimal, previous: Decimal | None) -> str:
    """Return up, down or stable.

    Args:
        base: `base_score` now.
        previous: the same of the period before; None for a first score, which is stable.
    """
    if previous is None or abs(base - previous) <= TREND_DEAD_BAND_POINTS:
        return "stable"
    return "up" if base > previous else "down"


def _ppm(value: Decimal | None, absent: int) -> int:
    # Figures are kept to the millionth; a finer one could only come from a direct caller.
    return absent if value is None else int((value * PPM).to_integral_value(ROUND_DOWN))
