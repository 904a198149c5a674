"""Whether a model's answers can be meant: a graph may be sound and its author robbed.

What is asked follows from what slippage is, not from any one model: outputs are bounded, the upper
quantile is not below the median, and slippage does not fall as the history's quantiles rise, nor
rise with the distance to a release. A model that singles out one symbol does so by the history of
that symbol, and goes up and down again on the way past it. Boosted quantiles waver a little against
their direction (12 % on the recorded fills), a doubling falls by half.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from server.hotpath.lowered import LEAF, EncodingLevel, LoweredModel, LoweredTrees
from server.hotpath.model_features import (
    ATR,
    DAY_OF_WEEK,
    ENCODING_Q50,
    ENCODING_Q90,
    HOUR,
    RELEASE_DISTANCE,
    REQUESTED_LOTS,
    SESSION,
    SIDE,
    STOP_DISTANCE,
    VOLATILITY_INDEX,
)
from server.hotpath.model_tables import ModelTables
from server.hotpath.models import evaluate_rows_nb
from server.trust_errors import ArtifactImplausibleError

OUTPUT_PIPS_MAX: Final = 1_000.0
TOLERANCE_PIPS: Final = 1e-3
FALL_SHARE_MAX: Final = 0.25
FALL_PIPS_MAX: Final = 0.25
LEVELS_MAX: Final = 128
VALUES_MAX: Final = 128
_SEED: Final = 20_260_102

# Feature, whether slippage rises with it, and values that it can have, from the lowest.
_DIRECTIONS: Final = (
    (ENCODING_Q50, True, (-50.0, -1.0, 0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 50.0)),
    (ENCODING_Q90, True, (-50.0, 0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 50.0)),
    (RELEASE_DISTANCE, False, (0.0, 1.0, 5.0, 15.0, 60.0, 240.0, 1_440.0)),
)
# What an order and its market can be like; -1: not known.
_CONTEXT: Final[dict[int, tuple[float, ...]]] = {
    RELEASE_DISTANCE: (0.0, 5.0, 60.0, 1_440.0),
    HOUR: tuple(range(24)),
    DAY_OF_WEEK: tuple(range(1, 8)),
    SESSION: (0.0, 1.0, 2.0, 3.0),
    ATR: (-1.0, 5.0, 20.0, 100.0),
    VOLATILITY_INDEX: (-1.0, 10.0, 50.0, 90.0),
    STOP_DISTANCE: (-1.0, 5.0, 20.0, 100.0),
    REQUESTED_LOTS: (-1.0, 0.01, 0.1, 1.0),
    SIDE: (-1.0, 1.0),
}


def check_plausible(
    tables: ModelTables, slot: int, lowered: LoweredModel, levels: tuple[EncodingLevel, ...]
) -> None:
    """Evaluate a loaded model where slippage has a direction.

    Args:
        tables: Memory in which it stands.
        slot: Its slot.
        lowered: The same model, for the thresholds it compares with.
        levels: Its encodings: the histories that it will be asked about.

    Raises:
        ArtifactImplausibleError: Names the rule that an answer breaks.
    """
    contexts = _build_contexts(lowered.feature_count, levels)
    for feature, rises, plain in _DIRECTIONS:
        values = _choose_values(lowered, feature, plain)
        rows = np.repeat(contexts, len(values), axis=0)
        rows[:, feature] = np.tile(values, len(contexts))
        outputs = np.empty((len(rows), 2), np.float64)
        _require(evaluate_rows_nb(tables, slot, rows, outputs) == len(rows), "an answer is missing")
        _require(bool(np.abs(outputs).max() <= OUTPUT_PIPS_MAX), "an answer is out of bounds")
        # A history whose quantiles cross is asked about by nobody.
        possible = rows[:, ENCODING_Q50] <= rows[:, ENCODING_Q90]
        crossed = (outputs[:, 0] - outputs[:, 1])[possible]
        is_ordered = crossed.max(initial=0.0) <= TOLERANCE_PIPS
        _require(bool(is_ordered), "the upper quantile is below the median")
        path = outputs.reshape(len(contexts), len(values), 2)
        direction = "falls as history worsens" if rises else "rises with distance to a release"
        _require(not _falls(path if rises else path[:, ::-1]), f"slippage {direction}")


def _build_contexts(feature_count: int, levels: tuple[EncodingLevel, ...]) -> NDArray[np.float32]:
    """Return one situation for each history, or for as many as fit, evenly chosen."""
    generator = np.random.Generator(np.random.PCG64(_SEED))
    count = max(min(len(levels), LEVELS_MAX), LEVELS_MAX // 4)
    chosen = np.linspace(0, len(levels) - 1, count).round().astype(int)
    rows = np.zeros((count, feature_count), np.float32)
    for feature, values in _CONTEXT.items():
        rows[:, feature] = generator.choice(np.array(values, np.float32), count)
    rows[:, ENCODING_Q50] = [levels[index].q50_pips for index in chosen]
    rows[:, ENCODING_Q90] = [levels[index].q90_pips for index in chosen]
    return rows


def _choose_values(
    lowered: LoweredModel, feature: int, plain: tuple[float, ...]
) -> NDArray[np.float32]:
    """Return values of one feature, rising: on either side of each threshold, and plain ones."""
    values = np.array(plain, np.float32)
    if isinstance(lowered, LoweredTrees):
        used = (lowered.features == feature) & (lowered.features != LEAF)
        thresholds = np.unique(lowered.thresholds[used])
        thresholds = thresholds[np.isfinite(thresholds)]
        if len(thresholds) > VALUES_MAX // 2:
            places = np.linspace(0, len(thresholds) - 1, VALUES_MAX // 2).round().astype(int)
            thresholds = thresholds[places]
        with np.errstate(over="ignore"):
            above = np.nextafter(thresholds, np.float32(np.inf))
        values = np.concatenate([values, thresholds, above])
    return np.unique(values[np.isfinite(values) & (values >= plain[0])])


def _falls(path: NDArray[np.float64]) -> bool:
    """Tell whether a path along the second axis comes down again by more than a model wavers."""
    highest = np.maximum.accumulate(path, axis=1)
    fallen = highest - path
    return bool(np.any((fallen > FALL_PIPS_MAX) & (fallen > FALL_SHARE_MAX * np.abs(highest))))


def _require(condition: bool, rule: str) -> None:
    if not condition:
        raise ArtifactImplausibleError(rule)
