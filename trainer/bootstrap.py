"""Intervals for means and ratios of means by drawing whole days with replacement.

Fills of one day share its news (one release can stop out ten positions in one second), so rows are
not independent and drawing them one by one would claim too narrow an interval.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

DRAWS: Final = 2_000
LEVEL: Final = 0.95
_SEED: Final = 7


def draw_means(
    columns: NDArray[np.float64], days: NDArray[np.int64], draws: int = DRAWS
) -> NDArray[np.float64]:
    """Return the mean of each column in each draw, shape (draws, columns).

    Args:
        columns: Per-row values, shape (rows, columns), at least one row.
        days: The day of each row.
        draws: Number of draws; the same input gives the same draws.
    """
    distinct, position = np.unique(days, return_inverse=True)
    sums = np.zeros((len(distinct), columns.shape[1] + 1))
    np.add.at(sums, position, np.hstack([columns, np.ones((len(columns), 1))]))
    picks = np.random.default_rng(_SEED).integers(len(distinct), size=(draws, len(distinct)))
    totals = np.stack([sums[pick].sum(axis=0) for pick in picks])
    means: NDArray[np.float64] = totals[:, :-1] / totals[:, -1:]
    return means


def measure_interval(values: NDArray[np.float64]) -> list[float] | None:
    """Return the central 95 % of drawn values as [low, high]; None where no draw is finite."""
    finite = values[np.isfinite(values)]
    if len(finite) == 0:
        return None
    low, high = np.quantile(finite, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return [float(low), float(high)]
