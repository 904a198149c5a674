"""The performance score of a provider, worked out from its figures.

score = 0.35 win + 0.25 drawdown + 0.20 reward:risk + 0.15 SL compliance + 0.05 trend, each part 0
to 100: win = 100 win rate; drawdown = 100 max(0, 1 - drawdown/0.50); reward:risk = 100
min(ratio/3, 1); trend up 100, stable 50, down 0.
"""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from server.entities import ProviderFigures

NEUTRAL_SCORE: Final = Decimal(50)
_GRID: Final = Decimal("0.0001")
_HUNDRED: Final = Decimal(100)
_DRAWDOWN_SCALE: Final = Decimal("0.50")
_REWARD_RISK_SCALE: Final = Decimal(3)
_TREND: Final = {"up": Decimal(100), "stable": Decimal(50), "down": Decimal(0)}


def has_rates(figures: ProviderFigures) -> bool:
    """Whether the four rates are there from which a score follows."""
    return None not in {
        figures.win_rate_fraction,
        figures.max_drawdown_fraction,
        figures.reward_to_risk_ratio,
        figures.sl_compliance_fraction,
    }


def score(figures: ProviderFigures) -> Decimal:
    """Return the score, 0 to 100 with four decimals; a rate that is absent counts as the worst."""
    win = _HUNDRED * (figures.win_rate_fraction or 0)
    fall = (
        _DRAWDOWN_SCALE if figures.max_drawdown_fraction is None else figures.max_drawdown_fraction
    )
    drawdown = _HUNDRED * max(Decimal(0), 1 - fall / _DRAWDOWN_SCALE)
    reward = (figures.reward_to_risk_ratio or Decimal(0)) / _REWARD_RISK_SCALE
    compliance = _HUNDRED * (figures.sl_compliance_fraction or 0)
    points = (
        Decimal("0.35") * win
        + Decimal("0.25") * drawdown
        + Decimal("0.20") * _HUNDRED * min(reward, Decimal(1))
        + Decimal("0.15") * compliance
        + Decimal("0.05") * _TREND[figures.score_trend]
    )
    return points.quantize(_GRID, rounding=ROUND_HALF_EVEN)
