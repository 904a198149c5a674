"""Figures in decimals to points, and the trend's dead band (S0-10, S0-11)."""

from decimal import Decimal

import pytest

from server.entities import ProviderFigures
from server.policy import default_policy_row
from server.provider_score import (
    TREND_DEAD_BAND_POINTS,
    base_score,
    find_trend,
    has_rates,
    score,
)

POLICY = default_policy_row()[0]
FIGURES = ProviderFigures(
    win_rate_fraction=Decimal("0.7"),
    max_drawdown_fraction=Decimal("0.125"),
    reward_to_risk_ratio=Decimal("2.85"),
    sl_compliance_fraction=Decimal("0.98"),
    score_trend="up",
)


def test_score_when_worked_by_hand_then_equal() -> None:
    # 0.35·70 + 0.25·100·(1 - 0.125/0.5) + 0.20·100·2.85/3 + 0.15·98 + 0.05·100
    assert score(FIGURES, POLICY) == Decimal("24.5") + Decimal("18.75") + 19 + Decimal("14.7") + 5


def test_score_when_not_on_the_grid_then_rounded_down_to_four_decimals() -> None:
    figures = ProviderFigures(
        win_rate_fraction=Decimal("0.666666"),
        max_drawdown_fraction=Decimal("0.333333"),
        reward_to_risk_ratio=Decimal(1),
        sl_compliance_fraction=Decimal(1),
    )
    # 23.33331 + 8.33335 + 6.66666 + 15 + 2.5 = 55.83332
    assert score(figures, POLICY) == Decimal("55.8333")


def test_score_when_rates_are_absent_then_not_told() -> None:
    assert has_rates(FIGURES)
    assert not has_rates(ProviderFigures(win_rate_fraction=Decimal(1)))


def test_base_score_when_rising_then_the_trend_gives_nothing() -> None:
    assert base_score(FIGURES, Decimal(1), POLICY) == score(FIGURES, POLICY) - Decimal("2.5")
    assert base_score(ProviderFigures(), Decimal(61), POLICY) == 61


@pytest.mark.parametrize(
    ("base", "previous", "trend"),
    [
        (Decimal(60), None, "stable"),
        (Decimal(60), Decimal(60), "stable"),
        (Decimal(61), Decimal(60), "stable"),
        (Decimal("61.0001"), Decimal(60), "up"),
        (Decimal(59), Decimal(60), "stable"),
        (Decimal("58.9999"), Decimal(60), "down"),
    ],
)
def test_trend_when_inside_the_dead_band_then_stable(
    base: Decimal, previous: Decimal | None, trend: str
) -> None:
    assert TREND_DEAD_BAND_POINTS == 1
    assert find_trend(base, previous) == trend
