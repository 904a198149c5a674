"""The fixed grid on which a lowered model must agree with the reference runtime.

Rows are a function of the model's thresholds alone: each feature takes the thresholds that the
model compares it with, their float32 neighbours on both sides (where `<` and `<=` part), and a few
plain values. No clock, no randomness beyond a fixed seed, so two servers judge a model alike.
"""

import numpy as np
from numpy.typing import NDArray

from server.hotpath.lowered import LEAF, LoweredLinear, LoweredModel, LoweredTrees

PROBE_ROWS = 2_048
_SEED = 20_260_101
_PLAIN_VALUES = np.array(
    [-1.0, 0.0, 0.01, 0.5, 1.0, 2.0, 3.0, 5.0, 12.0, 23.0, 50.0, 100.0, 1_000.0, 100_000.0],
    np.float32,
)


def build_probe_rows(lowered: LoweredModel) -> NDArray[np.float32]:
    """Return float32[`PROBE_ROWS`, features], finite."""
    generator = np.random.Generator(np.random.PCG64(_SEED))
    rows = np.empty((PROBE_ROWS, lowered.feature_count), np.float32)
    for feature in range(lowered.feature_count):
        candidates = [_PLAIN_VALUES]
        if isinstance(lowered, LoweredTrees):
            used = (lowered.features == feature) & (lowered.features != LEAF)
            thresholds = np.unique(lowered.thresholds[used])
            with np.errstate(over="ignore"):
                below = np.nextafter(thresholds, np.float32(-np.inf))
                above = np.nextafter(thresholds, np.float32(np.inf))
            candidates += [thresholds, below, above]
        values = np.concatenate(candidates)
        rows[:, feature] = generator.choice(values[np.isfinite(values)], PROBE_ROWS)
    return rows


def bound_rounding(lowered: LoweredModel, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return how far two correct float32 evaluations of a row may differ: float64[rows, 2], pips.

    Large terms of a linear model may cancel, and then the error is that of the terms, not of their
    sum: (features + 2) roundings of half a unit in the last place each, on either side. Trees: 0.
    """
    if not isinstance(lowered, LoweredLinear):
        return np.zeros((len(rows), 2))
    scaled = np.abs((rows - lowered.offsets) * lowered.scales).astype(np.float64)
    magnitude = scaled @ np.abs(lowered.coefficients.T.astype(np.float64))
    magnitude += np.abs(lowered.intercepts)
    return np.asarray(2 * (lowered.feature_count + 2) * 2.0**-24 * magnitude)
