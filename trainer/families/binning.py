"""Cut each column into at most 64 steps, once for all bags.

The regressor would cut anew for every bag, by weighted percentiles that cost more than the
boosting itself. Given whole-numbered steps it keeps them as they are, and a threshold between two
steps names an edge exactly. Edges are float32, the precision in which a served feature is compared.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

STEPS_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Steps:
    """Rising float32 edges of each column; step k holds edge[k - 1] < value <= edge[k]."""

    edges: tuple[NDArray[np.float32], ...]

    def encode(self, columns: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the step of each value, shape as given."""
        encoded = [
            np.searchsorted(edges, columns[:, index], side="left")
            for index, edges in enumerate(self.edges)
        ]
        return np.column_stack(encoded).astype(np.float64)

    def find_edge(self, column: int, step_threshold: float) -> np.float32:
        """Return the edge that a threshold between two steps stands for."""
        return np.float32(self.edges[column][int(np.floor(step_threshold))])


def fit_steps(columns: NDArray[np.float32]) -> Steps:
    """Return steps with about equally many rows each; few distinct values keep one each."""
    return Steps(tuple(_cut(columns[:, index]) for index in range(columns.shape[1])))


def _cut(values: NDArray[np.float32]) -> NDArray[np.float32]:
    distinct = np.unique(values)
    if len(distinct) > STEPS_MAX:
        shares = np.linspace(0, 1, STEPS_MAX)
        distinct = np.unique(np.quantile(values, shares, method="inverted_cdf"))
    # Halfway between neighbours, in double first: the float32 sum of two neighbours may round up
    # to the larger.
    middles = (distinct[:-1].astype(np.float64) + distinct[1:]) / 2
    edges: NDArray[np.float32] = np.unique(np.minimum(middles.astype(np.float32), distinct[1:]))
    return edges
