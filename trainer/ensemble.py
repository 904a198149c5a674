"""A sum of small regression trees with two outputs: a fitted model as kept and exported.

A row goes left when its feature is <= the threshold, both float32. Leaf values are multiples of
2^-16 pips and outputs stay under 256 pips, so a float32 sum of leaves is exact in any order: the
Python answer, the ONNX runtime and any lowering of the trees agree to the last bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

LEAF_STEP_PIPS: Final = 2.0**-16
OUTPUT_PIPS_MAX: Final = 256.0
TREES_MAX: Final = 256
DEPTH_MAX: Final = 6
LEAF: Final = -1


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree as parallel node arrays; node 0 is the root.

    Attributes:
        target: Output that the leaves add to, 0 or 1.
        feature: Index of the feature compared, LEAF at a leaf.
        threshold: float32, unused at a leaf.
        left: Node taken when feature <= threshold.
        right: Node taken otherwise.
        value: Pips added, a multiple of LEAF_STEP_PIPS; 0 at a branch.
    """

    target: int
    feature: NDArray[np.int64]
    threshold: NDArray[np.float32]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    value: NDArray[np.float64]

    @property
    def depth(self) -> int:
        """Number of comparisons on the longest path."""
        depths = np.zeros(len(self.feature), dtype=np.int64)
        for node in range(len(self.feature)):
            if self.feature[node] != LEAF:  # children always follow their parent
                depths[self.left[node]] = depths[self.right[node]] = depths[node] + 1
        return int(depths.max())

    def find_leaves(self, features: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the leaf node of each row."""
        rows = np.arange(len(features))
        node = np.zeros(len(features), dtype=np.int64)
        for _level in range(self.depth):
            index = self.feature[node]
            goes_left = features[rows, np.maximum(index, 0)] <= self.threshold[node]
            child = np.where(goes_left, self.left[node], self.right[node])
            node = np.where(index == LEAF, node, child)
        return node


@dataclass(frozen=True, slots=True)
class TreeEnsemble:
    """Trees and the base value of each output, in pips."""

    base_pips: tuple[float, float]
    trees: tuple[Tree, ...]

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return q50 and q90 in pips, shape (rows, 2)."""
        outputs = np.tile(np.array(self.base_pips, dtype=np.float64), (len(features), 1))
        for tree in self.trees:
            outputs[:, tree.target] += tree.value[tree.find_leaves(features)]
        return outputs


def snap_pips(value: float) -> float:
    """Return the nearest multiple of LEAF_STEP_PIPS."""
    return round(value / LEAF_STEP_PIPS) * LEAF_STEP_PIPS


def check_bounds(ensemble: TreeEnsemble) -> None:
    """Check that the ensemble fits the artifact's format.

    Raises:
        ValueError: Too many trees, a tree too deep, an output without a tree, or sums that could
            leave the exact float32 range.
    """
    if len(ensemble.trees) > TREES_MAX:
        raise ValueError(f"{len(ensemble.trees)} trees, at most {TREES_MAX}")
    if any(tree.depth > DEPTH_MAX for tree in ensemble.trees):
        raise ValueError(f"a tree is deeper than {DEPTH_MAX}")
    for target, base in enumerate(ensemble.base_pips):
        # onnxruntime leaves the base value out of an output that no leaf adds to.
        if all(tree.target != target for tree in ensemble.trees):
            raise ValueError(f"no tree adds to output {target}")
        reach = abs(base) + sum(_measure_reach(ensemble.trees, target))
        if not reach < OUTPUT_PIPS_MAX:
            raise ValueError(f"an output could reach {reach:.0f} pips")


def _measure_reach(trees: Sequence[Tree], target: int) -> list[float]:
    return [float(np.abs(tree.value).max()) for tree in trees if tree.target == target]
