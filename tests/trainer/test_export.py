from datetime import timedelta

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor

from trainer.encodings import Strengths
from trainer.ensemble import (
    DEPTH_MAX,
    LEAF,
    Tree,
    TreeEnsemble,
    check_bounds,
    snap_pips,
)
from trainer.errors import ExportMismatchError
from trainer.export import check_export, export_onnx, run_onnx
from trainer.families import boosting
from trainer.families.binning import fit_steps
from trainer.families.slippage import CANDIDATES, build_table, fit_ensemble
from trainer.rows import StopFill
from trainer.split import split_by_time


def make_stump(cut: float, left: float, right: float, target: int = 0, feature: int = 2) -> Tree:
    return Tree(
        target=target,
        feature=np.array([feature, LEAF, LEAF]),
        threshold=np.array([cut, 0, 0], dtype=np.float32),
        left=np.array([1, 0, 0]),
        right=np.array([2, 0, 0]),
        value=np.array([0.0, left, right]),
    )


def make_rows(count: int = 2_000) -> np.ndarray:
    generator = np.random.default_rng(5)
    return generator.uniform(-20, 60, size=(count, 11)).astype(np.float32)


def test_a_stump_answers_as_drawn() -> None:
    stumps = (make_stump(3.0, 0.5, -0.25, target=1), make_stump(9.0, 0.25, 0.0))
    ensemble = TreeEnsemble((1.0, 2.0), stumps)
    rows = np.zeros((2, 11), dtype=np.float32)
    rows[:, 2] = (3.0, np.nextafter(np.float32(3.0), np.float32(9)))
    assert ensemble.predict(rows).tolist() == [[1.25, 2.5], [1.25, 1.75]]
    assert run_onnx(export_onnx(ensemble, 11), rows).tolist() == [[1.25, 2.5], [1.25, 1.75]]


def test_onnx_equals_the_fitted_model_on_rows_it_never_saw(stop_losses: list[StopFill]) -> None:
    train = split_by_time(stop_losses, 0.7, timedelta(hours=24)).train
    ensemble = fit_ensemble(train, CANDIDATES[0], Strengths())
    rows = make_rows()
    difference = np.abs(run_onnx(export_onnx(ensemble, 11), rows) - ensemble.predict(rows))
    assert difference.max() <= 1e-6


def test_trees_add_up_to_the_regressor_they_were_read_from(stop_losses: list[StopFill]) -> None:
    table = build_table(stop_losses, Strengths())
    plan = boosting.BoostingPlan(3, 10, 0.2, 20, 1)
    base, trees = boosting.fit_quantile(table, 0.9, 1, plan, seed=3)
    weights = table.weights * boosting._draw_days(table.days, 3)
    regressor = HistGradientBoostingRegressor(
        loss="quantile", quantile=0.9, learning_rate=0.2, max_iter=10, max_depth=3,
        max_leaf_nodes=None, min_samples_leaf=20, max_bins=64, monotonic_cst=[1, 1, -1, 0],
        early_stopping=False, random_state=0,
    )  # fmt: skip
    drawn = weights > 0
    columns = table.features[:, boosting.USED_COLUMNS]
    steps = fit_steps(columns).encode(columns)
    regressor.fit(steps[drawn], table.slippage_pips[drawn], sample_weight=weights[drawn])
    summed = TreeEnsemble((0.0, base), tuple(trees)).predict(table.features)[:, 1]
    assert np.abs(summed - regressor.predict(steps)).max() < 11 * 2.0**-17 + 1e-9


def test_an_altered_graph_is_noticed() -> None:
    ensemble = TreeEnsemble((0.0, 0.0), (make_stump(3.0, 0.5, -0.25),))
    other = TreeEnsemble((0.0, 0.0), (make_stump(3.0, 0.5, -0.125),))
    with pytest.raises(ExportMismatchError):
        check_export(export_onnx(other, 11), ensemble, make_rows(10))


def test_a_graph_that_compares_the_other_way_at_a_tie_is_noticed() -> None:
    ensemble = TreeEnsemble((0.0, 0.0), (make_stump(3.0, 0.5, 0.0),))
    graph = export_onnx(ensemble, 11).replace(b"BRANCH_LEQ", b"BRANCH_GTE")
    with pytest.raises(ExportMismatchError):
        check_export(graph, ensemble, np.zeros((0, 11), dtype=np.float32))


def test_snapped_sums_are_exact_in_float32() -> None:
    generator = np.random.default_rng(2)
    leaves = np.array([snap_pips(value) for value in generator.uniform(-0.5, 0.5, 256)])
    in_order = np.cumsum(leaves.astype(np.float32), dtype=np.float32)[-1]
    reversed_order = np.cumsum(leaves[::-1].astype(np.float32), dtype=np.float32)[-1]
    assert float(in_order) == float(reversed_order) == float(leaves.sum())


def test_an_ensemble_that_could_leave_the_exact_range_is_refused() -> None:
    with pytest.raises(ValueError, match="could reach"):
        check_bounds(TreeEnsemble((0.0, 0.0), (make_stump(1.0, 300.0, 0.0),)))


def test_an_output_without_a_tree_is_refused() -> None:
    with pytest.raises(ValueError, match="no tree adds to output 1"):
        check_bounds(TreeEnsemble((0.0, 1.0), (make_stump(1.0, 0.1, 0.0),)))


def test_too_many_trees_are_refused() -> None:
    with pytest.raises(ValueError, match="trees"):
        check_bounds(TreeEnsemble((0.0, 0.0), (make_stump(1.0, 0.1, 0.0),) * 257))


def test_every_candidate_fits_the_format(stop_losses: list[StopFill]) -> None:
    for plan in CANDIDATES:
        assert plan.depth <= DEPTH_MAX
        check_bounds(fit_ensemble(stop_losses, plan, Strengths()))
