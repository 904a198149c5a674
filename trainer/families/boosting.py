"""Fit one quantile as a bag of boosted trees, monotone where the market is.

Each bag boosts on days drawn with replacement: fills of one day are not independent, and averaging
bags keeps a few spikes from deciding a leaf. Slippage may only grow with the history's quantiles
and with closeness to a release minute, so a thin region cannot claim the opposite.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from trainer.ensemble import LEAF, Tree, snap_pips
from trainer.families.binning import STEPS_MAX, Steps, fit_steps

# Columns of the feature vector that the trees may use, and the direction that each must keep.
# Hour, day, size and side brought nothing on the hold-outs, which are the very ones that are
# reported: the choice has seen them, so their figures are optimistic (docs/slippage-model.md).
# ATR, volatility and stop distance are absent from recorded fills.
USED_COLUMNS: Final = (0, 1, 2, 5)
_MONOTONE: Final = (1, 1, -1, 0)


@dataclass(frozen=True, slots=True)
class BoostingPlan:
    """Hyper-parameters of one quantile.

    Attributes:
        depth: Comparisons per tree, 1 to 6.
        rounds: Boosting rounds per bag.
        learning_rate: Share of each leaf's quantile that is kept, in (0, 1].
        leaf_rows_min: Rows a leaf must hold.
        bags: Independent boosting runs that are averaged.
    """

    depth: int
    rounds: int
    learning_rate: float
    leaf_rows_min: int
    bags: int


@dataclass(frozen=True, slots=True)
class TrainingTable:
    """Inputs (rows, 11), slippage in pips, row weights, and the day each row belongs to."""

    features: NDArray[np.float32]
    slippage_pips: NDArray[np.float64]
    weights: NDArray[np.float64]
    days: NDArray[np.int64]


def fit_quantile(
    table: TrainingTable, quantile: float, target: int, plan: BoostingPlan, seed: int
) -> tuple[float, list[Tree]]:
    """Return the base value in pips and the trees of one output.

    Args:
        table: Training rows only.
        quantile: In (0, 1).
        target: Output that the trees add to.
        plan: Hyper-parameters.
        seed: Decides the days each bag draws; the same seed gives the same trees.
    """
    bases: list[float] = []
    trees: list[Tree] = []
    columns = table.features[:, USED_COLUMNS]
    steps = fit_steps(columns)
    inputs = steps.encode(columns)
    for bag in range(plan.bags):
        weights = table.weights * _draw_days(table.days, seed + bag)
        drawn = weights > 0
        regressor = HistGradientBoostingRegressor(
            loss="quantile",
            quantile=quantile,
            learning_rate=plan.learning_rate,
            max_iter=plan.rounds,
            max_depth=plan.depth,
            max_leaf_nodes=None,
            min_samples_leaf=plan.leaf_rows_min,
            max_bins=STEPS_MAX,
            monotonic_cst=list(_MONOTONE),
            early_stopping=False,
            random_state=0,
        )
        # The tables are small: threads would spend ten times the work on waiting for each other.
        with threadpool_limits(limits=1):
            regressor.fit(inputs[drawn], table.slippage_pips[drawn], sample_weight=weights[drawn])
        bases.append(float(np.ravel(regressor._baseline_prediction)[0]))  # noqa: SLF001
        trees += [
            _read_tree(stage[0].nodes, steps, target, plan.bags)
            for stage in _list_stages(regressor)
        ]
    return snap_pips(float(np.mean(bases))), trees


def _draw_days(days: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    distinct, position = np.unique(days, return_inverse=True)
    drawn = np.random.default_rng(seed).integers(len(distinct), size=len(distinct))
    counts = np.bincount(drawn, minlength=len(distinct))
    return counts[position].astype(np.float64)


def _list_stages(regressor: HistGradientBoostingRegressor) -> Sequence[Any]:
    # The nodes have no public form. The export is checked against onnxruntime and a test compares
    # the sum of these trees with the regressor itself, so a change of the layout cannot pass
    # unseen.
    return list(regressor._predictors)  # noqa: SLF001


def _read_tree(nodes: NDArray[Any], steps: Steps, target: int, bags: int) -> Tree:
    is_leaf = nodes["is_leaf"].astype(bool)
    used = nodes["feature_idx"].astype(np.int64)
    return Tree(
        target=target,
        feature=np.where(is_leaf, LEAF, np.array(USED_COLUMNS, dtype=np.int64)[used]),
        threshold=np.array(
            [
                np.float32(0) if leaf else steps.find_edge(column, float(cut))
                for leaf, column, cut in zip(is_leaf, used, nodes["num_threshold"], strict=True)
            ],
            dtype=np.float32,
        ),
        left=nodes["left"].astype(np.int64),
        right=nodes["right"].astype(np.int64),
        value=np.array(
            [
                snap_pips(float(value) / bags) if leaf else 0.0
                for leaf, value in zip(is_leaf, nodes["value"], strict=True)
            ]
        ),
    )
