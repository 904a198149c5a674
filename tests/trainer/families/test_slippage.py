from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from tests.trainer.sample_rows import make_fill
from trainer.baselines import fit_group_baseline
from trainer.encodings import Strengths
from trainer.errors import NotEnoughDataError
from trainer.families.slippage import build_table, fit_slippage
from trainer.losses import measure_pinball
from trainer.rows import StopFill
from trainer.split import assign_blocks, split_by_time

EMBARGO = timedelta(hours=24)


def pinball(fills: Sequence[StopFill], answers: np.ndarray) -> float:
    observed = np.array([fill.slippage_pips for fill in fills])
    return float(measure_pinball(observed, answers[:, 1], 0.9).mean())


def test_the_model_beats_the_group_quantiles_on_later_simulated_fills(
    stop_losses: list[StopFill],
) -> None:
    split = split_by_time(stop_losses, 0.7, EMBARGO)
    model = fit_slippage(split.train, EMBARGO)
    baseline = fit_group_baseline(split.train)
    own = pinball(split.holdout, model.predict(split.holdout))
    assert own <= 0.95 * pinball(split.holdout, baseline.predict(split.holdout))


def test_fitting_twice_gives_the_same_trees(stop_losses: list[StopFill]) -> None:
    rows = stop_losses[:300]
    first, second = fit_slippage(rows, EMBARGO), fit_slippage(rows, EMBARGO)
    assert np.array_equal(first.predict(rows), second.predict(rows))


def test_a_fill_nearer_to_a_release_is_never_predicted_cheaper(
    stop_losses: list[StopFill],
) -> None:
    model = fit_slippage(stop_losses, EMBARGO)
    start = stop_losses[5].ts.replace(hour=13, minute=30, second=0)
    rows = [
        replace(stop_losses[5], ts=start + timedelta(seconds=seconds))
        for seconds in range(0, 900, 15)
    ]
    predicted = model.predict(rows)
    assert np.all(np.diff(predicted, axis=0) <= 0)
    assert predicted[0, 1] > predicted[-1, 1]


def test_no_training_row_meets_an_encoding_made_with_its_own_stretch() -> None:
    fills = [make_fill(number, 0.2) for number in range(120)]
    blocks = assign_blocks(fills, 6)
    table = build_table(fills, Strengths())
    spiked = [
        replace(fill, slippage_pips=40.0) if block == 2 else fill
        for fill, block in zip(fills, blocks, strict=True)
    ]
    inside = np.array(blocks) == 2
    columns = slice(0, 2)
    unchanged = build_table(spiked, Strengths())
    assert np.array_equal(
        table.features[:120][inside, columns], unchanged.features[:120][inside, columns]
    )
    assert not np.array_equal(
        table.features[:120][~inside, columns], unchanged.features[:120][~inside, columns]
    )


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(NotEnoughDataError):
        fit_slippage([make_fill(number) for number in range(99)], EMBARGO)


def test_accounts_that_never_slip_give_a_model_that_predicts_nothing() -> None:
    fills = [make_fill(number, 0.0, ts_minutes=number * 60) for number in range(300)]
    predicted = fit_slippage(fills, EMBARGO).predict(fills)
    assert np.array_equal(predicted, np.zeros((300, 2)))
