"""Fit the slippage model: the median and the 0.9-quantile of what a stop costs beyond its level.

Most fills of most accounts slip by exactly nothing, and the few that matter come in release
minutes on accounts with a history of slipping. So the model is a small sum of trees over that
history (shrunken encodings), the closeness to :00 and :30, and the session.

Nothing leaks: a training row meets encodings made without the stretch of history it lies in, and a
second, lighter copy of each live account's rows meets only what an unknown provider would meet, so
the model learns that case from accounts it can hide. Hyper-parameters are chosen on later
stretches of the training rows.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trainer.encodings import QUANTILES, Encodings, Strengths, find_live_providers, fit_encodings
from trainer.ensemble import TreeEnsemble, check_bounds
from trainer.errors import NotEnoughDataError
from trainer.families.boosting import BoostingPlan, TrainingTable, fit_quantile
from trainer.features import build_features, build_features_from
from trainer.losses import measure_pinball
from trainer.rows import StopFill
from trainer.split import assign_blocks

SEED: Final = 20_240_601
ROWS_MIN: Final = 100
STRETCHES: Final = 6
HIDDEN_WEIGHT: Final = 0.3
MEDIAN_PLAN: Final = BoostingPlan(depth=2, rounds=12, learning_rate=0.25, leaf_rows_min=20, bags=2)
# The first is kept unless another is better by more than one standard error: a few hundred rows of
# heavy-tailed losses cannot tell close plans apart. Twelve rounds at 0.25 leave 3 % of the
# starting value; many bags keep the draw of days from deciding the answer. All stay under 256
# trees together with the median's.
CANDIDATES: Final = (
    BoostingPlan(depth=2, rounds=12, learning_rate=0.25, leaf_rows_min=15, bags=10),
    BoostingPlan(depth=2, rounds=12, learning_rate=0.25, leaf_rows_min=30, bags=10),
    BoostingPlan(depth=2, rounds=12, learning_rate=0.25, leaf_rows_min=10, bags=10),
    BoostingPlan(depth=3, rounds=12, learning_rate=0.25, leaf_rows_min=30, bags=10),
)
# Enough bags to tell plans apart; all of them would only be slower.
TRIAL_BAGS: Final = 4
# Share of the training rows before each validation stretch, and the end of that stretch.
_VALIDATION_STRETCHES: Final = ((0.55, 0.70), (0.70, 0.85), (0.85, 1.0))


@dataclass(frozen=True, slots=True)
class SlippageModel:
    """A fitted model: trees, the encodings its inputs need, and how it was chosen."""

    ensemble: TreeEnsemble
    encodings: Encodings
    hyperparameters: dict[str, Any]

    def predict(self, fills: Sequence[StopFill]) -> NDArray[np.float64]:
        """Return q50 and q90 in pips, shape (rows, 2)."""
        return self.ensemble.predict(build_features_from(fills, self.encodings))


def fit_slippage(
    fills: Sequence[StopFill], embargo: timedelta, strengths: Strengths | None = None
) -> SlippageModel:
    """Choose the hyper-parameters and fit on all given rows.

    Args:
        fills: Training rows in time order; no other row is ever seen.
        embargo: Kept between the stretches of the validation.
        strengths: Shrinkage of the encodings.

    Raises:
        NotEnoughDataError: Fewer than ROWS_MIN rows.
    """
    if len(fills) < ROWS_MIN:
        raise NotEnoughDataError(f"{len(fills)} stop fills to train on, at least {ROWS_MIN}")
    weights = strengths or Strengths()
    plan, trials = choose_plan(fills, embargo, weights)
    ensemble = fit_ensemble(fills, plan, weights)
    return SlippageModel(
        ensemble,
        fit_encodings(fills, weights),
        {
            "median": asdict(MEDIAN_PLAN),
            "upper": asdict(plan),
            "strengths": asdict(weights),
            "hidden_weight": HIDDEN_WEIGHT,
            "seed": SEED,
            "trials": trials,
        },
    )


def fit_ensemble(
    fills: Sequence[StopFill], plan: BoostingPlan, strengths: Strengths
) -> TreeEnsemble:
    """Fit both quantiles on rows in time order."""
    table = build_table(fills, strengths)
    base_median, median_trees = fit_quantile(table, QUANTILES[0], 0, MEDIAN_PLAN, SEED)
    base_upper, upper_trees = fit_quantile(table, QUANTILES[1], 1, plan, SEED)
    ensemble = TreeEnsemble((base_median, base_upper), (*median_trees, *upper_trees))
    check_bounds(ensemble)
    return ensemble


def build_table(fills: Sequence[StopFill], strengths: Strengths) -> TrainingTable:
    """Return each row as itself, and each row of a live account once more as unknown."""
    blocks = np.array(assign_blocks(fills, STRETCHES))
    known = np.zeros((len(fills), 2))
    hidden = np.zeros((len(fills), 2))
    for block in np.unique(blocks):
        inside = blocks == block
        outside_rows = [fill for fill, is_in in zip(fills, inside, strict=True) if not is_in]
        inside_rows = [fill for fill, is_in in zip(fills, inside, strict=True) if is_in]
        encodings = fit_encodings(outside_rows, strengths)
        known[inside] = encodings.find_rows(inside_rows)
        hidden[inside] = encodings.without_providers().find_rows(inside_rows)
    providers = find_live_providers(fills)
    live = np.array([(fill.provider_type, fill.provider_id) in providers for fill in fills])
    features = build_features(fills, known)
    slippage_pips = np.array([fill.slippage_pips for fill in fills])
    days = np.array([fill.ts_us // 86_400_000_000 for fill in fills])
    return TrainingTable(
        features=np.vstack([features, build_features(fills, hidden)[live]]),
        slippage_pips=np.concatenate([slippage_pips, slippage_pips[live]]),
        weights=np.concatenate([np.ones(len(fills)), np.full(int(live.sum()), HIDDEN_WEIGHT)]),
        days=np.concatenate([days, days[live]]),
    )


def choose_plan(
    fills: Sequence[StopFill], embargo: timedelta, strengths: Strengths
) -> tuple[BoostingPlan, list[dict[str, float]]]:
    """Return the first plan whose loss on later stretches is near enough to the best.

    The loss is the q90 pinball, near enough is one standard error.

    Args:
        fills: Training rows in time order.
        embargo: Kept before each validation stretch.
        strengths: Shrinkage of the encodings.

    Returns:
        The plan, and for each candidate its mean loss and its distance from the best with standard
        error.
    """
    losses: list[list[NDArray[np.float64]]] = [[] for _plan in CANDIDATES]
    days: list[NDArray[np.int64]] = []
    for start, end in _VALIDATION_STRETCHES:
        later = fills[int(len(fills) * start) : int(len(fills) * end)]
        earlier = [fill for fill in fills if fill.ts < later[0].ts - embargo]
        if len(earlier) < ROWS_MIN // 2:
            continue
        table = build_table(earlier, strengths)
        features = build_features_from(later, fit_encodings(earlier, strengths))
        observed = np.array([fill.slippage_pips for fill in later])
        days.append(np.array([fill.ts_us // 86_400_000_000 for fill in later]))
        for index, plan in enumerate(CANDIDATES):
            trial = replace(plan, bags=TRIAL_BAGS)
            base, trees = fit_quantile(table, QUANTILES[1], 1, trial, SEED)
            predicted = TreeEnsemble((0.0, base), tuple(trees)).predict(features)[:, 1]
            losses[index].append(measure_pinball(observed, predicted, QUANTILES[1]))
    if not days:
        return CANDIDATES[0], []
    return _pick_first([np.concatenate(parts) for parts in losses], np.concatenate(days))


def _pick_first(
    losses: list[NDArray[np.float64]], days: NDArray[np.int64]
) -> tuple[BoostingPlan, list[dict[str, float]]]:
    best = min(losses, key=lambda loss: float(loss.mean()))
    trials = []
    for loss in losses:
        # Fills of one day share their news, so the day is the unit of the standard error.
        per_day = np.bincount(np.unique(days, return_inverse=True)[1], weights=loss - best)
        error = float(np.sqrt(len(per_day)) * per_day.std() / len(loss))
        trials.append(
            {
                "pinball_q90_pips": float(loss.mean()),
                "excess_pips": float((loss - best).mean()),
                "standard_error_pips": error,
            }
        )
    for plan, trial in zip(CANDIDATES, trials, strict=True):
        if trial["excess_pips"] <= trial["standard_error_pips"]:
            return plan, trials
    raise AssertionError("the best candidate is within any error of itself")
