"""Per-row losses of a quantile: what training chooses by and evaluation reports."""

import numpy as np
from numpy.typing import NDArray


def measure_pinball(
    observed: NDArray[np.float64], predicted: NDArray[np.float64], quantile: float
) -> NDArray[np.float64]:
    """Return the pinball loss of each row, in the unit of the rows, >= 0.

    Args:
        observed: What happened.
        predicted: The claimed quantile.
        quantile: In (0, 1).
    """
    error = observed - predicted
    return np.maximum(quantile * error, (quantile - 1) * error)
