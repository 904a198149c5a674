"""The performance score (S0-41) against the page in plain fractions, and what must not turn."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.hotpath.layout import NOT_SET, PPM, packed_dtype
from server.hotpath.scores import POINTS_MAX_MICROPOINTS, score_micropoints_nb
from server.policy import default_policy_row

ROW = default_policy_row()[0]
SHARES = st.integers(0, PPM)
FIGURES = st.tuples(
    SHARES,  # win rate
    st.integers(0, 2 * PPM),  # drawdown
    st.integers(0, 10 * PPM),  # reward to risk
    SHARES | st.just(NOT_SET),  # stop compliance
    st.integers(-1, 1),  # trend
)
EXAMPLES = settings(max_examples=2_000, deadline=None, database=None)
# Which way a score may go when a figure grows.
DIRECTIONS = {0: 1, 1: -1, 2: 1, 3: 1, 4: 1}


def points(*figures: int) -> int:
    state = np.zeros(1, packed_dtype(("fault", "<i8")))[0]
    answer = int(score_micropoints_nb(state, ROW, *figures))
    assert state["fault"] == 0
    return answer


def points_by_the_page(win: int, drawdown: int, reward: int, compliance: int, trend: int) -> int:
    """0.35 win + 0.25 drawdown + 0.20 reward:risk + 0.15 compliance + 0.05 trend, in micropoints.

    A part is a whole number of ppm; the sum is rounded down to the micropoint.
    """
    fall = max(Fraction(0), 1 - Fraction(drawdown, PPM) / Fraction(50, 100))
    gain = min(Fraction(reward, PPM) / 3, Fraction(1))
    kept = Fraction(1, 2) if compliance == NOT_SET else Fraction(compliance, PPM)
    direction = {1: Fraction(1), 0: Fraction(1, 2), -1: Fraction(0)}[trend]
    exact = (
        Fraction(35, 100) * Fraction(win, PPM)
        + Fraction(25, 100) * fall
        + Fraction(20, 100) * Fraction(floor(gain * PPM), PPM)
        + Fraction(15, 100) * kept
        + Fraction(5, 100) * direction
    )
    return floor(100 * exact * 1_000_000)


@EXAMPLES
@given(figures=FIGURES)
def test_score_equals_the_page(figures: tuple[int, int, int, int, int]) -> None:
    assert points(*figures) == points_by_the_page(*figures)


@EXAMPLES
@given(figures=FIGURES, position=st.integers(0, 4), data=st.data())
def test_score_when_one_figure_grows_then_never_turns_the_wrong_way(
    figures: tuple[int, ...], position: int, data: st.DataObject
) -> None:
    changed = data.draw(FIGURES.map(lambda row: row[position]))
    if position == 3 and NOT_SET in {changed, figures[3]}:
        return  # absent is no amount
    low, high = sorted((figures[position], changed))
    below, above = list(figures), list(figures)
    below[position], above[position] = low, high
    assert (points(*above) - points(*below)) * DIRECTIONS[position] >= 0


@EXAMPLES
@given(
    figures=st.tuples(
        st.integers(-(2**40), 2**40),
        st.integers(0, 2**40),
        st.integers(-(2**40), 2**40),
        st.integers(-1, 2**40),
        st.integers(-1, 1),
    )
)
def test_score_when_figures_are_anything_then_between_0_and_100(figures: tuple[int, ...]) -> None:
    assert 0 <= points(*figures) <= POINTS_MAX_MICROPOINTS


@pytest.mark.parametrize("position", range(5))
def test_score_when_one_figure_goes_from_worst_to_best_then_moves_by_its_weight(
    position: int,
) -> None:
    worst, best = [0, PPM // 2, 0, 0, -1], [PPM, 0, 3 * PPM, PPM, 1]
    moved = list(worst)
    moved[position] = best[position]
    weight = [35, 25, 20, 15, 5][position]
    assert points(*moved) - points(*worst) == weight * 1_000_000


def test_weights_sum_to_the_whole_and_so_do_the_best_figures() -> None:
    assert ROW["score_weights_ppm"].tolist() == [350_000, 250_000, 200_000, 150_000, 50_000]
    assert ROW["score_weights_ppm"].sum() == PPM
    assert points(PPM, 0, 3 * PPM, PPM, 1) == POINTS_MAX_MICROPOINTS
    assert points(0, PPM // 2, 0, 0, -1) == 0


def test_score_when_nothing_had_a_stop_then_compliance_is_neutral() -> None:
    assert points(0, PPM, 0, NOT_SET, -1) == points(0, PPM, 0, PPM // 2, -1) == 7_500_000
