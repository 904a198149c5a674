import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.sample_rows import make_fill
from trainer.bootstrap import draw_means, measure_interval
from trainer.losses import measure_pinball
from trainer.report import build_report


def test_pinball_by_hand() -> None:
    observed, predicted = np.array([3.0, 1.0, 2.0]), np.array([1.0, 3.0, 2.0])
    assert measure_pinball(observed, predicted, 0.9) == pytest.approx([1.8, 0.2, 0.0])


@given(st.lists(st.floats(-20, 50), min_size=1, max_size=50))
def test_pinball_is_least_at_the_sample_quantile(values: list[float]) -> None:
    observed = np.array(values)
    best = np.quantile(observed, 0.9, method="inverted_cdf")
    least = measure_pinball(observed, np.full(len(values), best), 0.9).sum()
    for other in values:
        assert measure_pinball(observed, np.full(len(values), other), 0.9).sum() >= least - 1e-9


def test_report_by_hand() -> None:
    fills = [make_fill(0, 1.0), make_fill(1, 3.0), make_fill(2, 0.0, provider_id="p2")]
    model = np.array([[1.0, 2.0], [1.0, 2.0], [0.0, 0.0]])
    baseline = np.array([[0.0, 2.0], [0.0, 2.0], [0.0, 1.0]])
    report = build_report(fills, model, baseline, baseline)
    assert report["rows"] == 3
    assert report["mae_pips"] == pytest.approx(2 / 3)
    assert report["baseline_mae_pips"] == pytest.approx(4 / 3)
    assert report["pinball_q90_pips"] == pytest.approx((0.1 + 0.9) / 3)
    assert report["coverage_q90"] == pytest.approx(2 / 3)
    assert report["mae_gain_over_baseline"] == pytest.approx(0.5)
    assert set(report["by_account"]) == {"channel_source/p1", "channel_source/p2"}
    assert report["by_account"]["channel_source/p1"]["rows"] == 2


def test_a_gain_over_a_perfect_baseline_is_not_a_number_and_says_so() -> None:
    zeros = np.zeros((1, 2))
    report = build_report([make_fill()], zeros, zeros, zeros)
    assert report["mae_gain_over_baseline"] is None
    assert report["intervals_95"]["mae_gain_over_baseline"] is None


def test_intervals_hold_the_mean_and_widen_when_rows_share_days() -> None:
    values = np.random.default_rng(1).gamma(1.0, size=(400, 1)).repeat(4, axis=0)
    alone = measure_interval(draw_means(values, np.arange(1_600))[:, 0])
    shared = measure_interval(draw_means(values, np.arange(1_600) // 4)[:, 0])
    assert alone is not None
    assert shared is not None
    assert alone[0] < values.mean() < alone[1]
    assert shared[1] - shared[0] > 1.5 * (alone[1] - alone[0])
