"""The performance score of a provider: five figures, five weights, 0 to 100 points (S0-41).

score = w₁·win + w₂·drawdown + w₃·reward:risk + w₄·compliance + w₅·trend, each term 0 to 100 points:
win = 100·win_rate; drawdown = 100·max(0, 1 − dd/scale); reward:risk = 100·min(rr/scale, 1);
compliance = 100·share, 50 when there was nothing to comply with; trend = 100 up, 50 stable, 0 down.
Weights and scales come from the risk policy.
"""

from __future__ import annotations

from typing import Any

from server.hotpath.jit import i64, routine
from server.hotpath.layout import NOT_SET, PPM
from server.hotpath.units import DOWN, UP, mul_div_nb

POINTS_MAX_MICROPOINTS = 100 * 1_000_000
_NEUTRAL_PPM = PPM // 2

TREND_DOWN = -1
TREND_STABLE = 0
TREND_UP = 1


@routine
def score_micropoints_nb(
    state: Any,
    policy: Any,
    win_rate_ppm: int,
    max_drawdown_ppm: int,
    reward_to_risk_ppm: int,
    compliance_ppm: int,
    trend: int,
) -> int:
    """Return the score in micropoints, rounded down.

    Args:
        state: a record with a column `fault` (see units.py).
        policy: POLICY row.
        win_rate_ppm: 0 to 1e6.
        max_drawdown_ppm: ≥ 0.
        reward_to_risk_ppm: ≥ 0; 3e6 is three to one.
        compliance_ppm: 0 to 1e6, NOT_SET when no trade had a stop.
        trend: TREND_DOWN, TREND_STABLE or TREND_UP.
    """
    drawdown = mul_div_nb(state, max_drawdown_ppm, PPM, policy.score_drawdown_scale_ppm, UP)
    reward = mul_div_nb(state, reward_to_risk_ppm, PPM, policy.score_reward_risk_scale_ppm, DOWN)
    compliance = _NEUTRAL_PPM if compliance_ppm == NOT_SET else compliance_ppm
    weights = policy.score_weights_ppm
    total = weights[0] * min(max(win_rate_ppm, 0), PPM)
    total += weights[1] * max(PPM - drawdown, 0)
    total += weights[2] * min(max(reward, 0), PPM)
    total += weights[3] * min(max(compliance, 0), PPM)
    total += weights[4] * ((trend + 1) * _NEUTRAL_PPM)
    # ppm · ppm of 100 points: 1e12 is the full score.
    return min(max(total // 10_000, i64(0)), i64(POINTS_MAX_MICROPOINTS))
