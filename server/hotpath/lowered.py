"""A model as plain arrays: what the loader hands to the engine after an artifact has been verified.

Pure values, no file format and no evaluation. Invariants are kept by
`server/loaders/onnx_lowering.py`, which is the only producer: every split is "feature <= threshold
goes to `child_true`", children are indices into the same arrays, each tree is a proper tree, and
every number is finite.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEAF = -1
"""Value of `LoweredTrees.features` at a leaf."""

PROVIDER_TYPE_ANY = 0
PROVIDER_TYPE_CHANNEL_SOURCE = 1
PROVIDER_TYPE_USER = 2


@dataclass(frozen=True, slots=True)
class LoweredTrees:
    """A tree ensemble with two outputs, all trees concatenated in evaluation order.

    Attributes:
        feature_count: Number of model inputs.
        roots: int32[trees], node index of each root.
        features: int32[nodes], input compared at the node, `LEAF` at a leaf.
        thresholds: float32[nodes], 0 at a leaf.
        child_true: int32[nodes], next node when feature <= threshold.
        child_false: int32[nodes], next node otherwise.
        weights: float32[nodes, 2], pips added to (q50, q90) by a leaf, 0 elsewhere.
        divisor: The sum over trees is divided by this: 1.0, or the number of trees for an average.
        base: float64[2], pips added last.
    """

    feature_count: int
    roots: NDArray[np.int32]
    features: NDArray[np.int32]
    thresholds: NDArray[np.float32]
    child_true: NDArray[np.int32]
    child_false: NDArray[np.int32]
    weights: NDArray[np.float32]
    divisor: float
    base: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LoweredLinear:
    """A linear model with two outputs over inputs scaled as (x - offset) * scale.

    Attributes:
        feature_count: Number of model inputs.
        offsets: float32[features].
        scales: float32[features].
        coefficients: float32[2, features], pips per scaled unit.
        intercepts: float64[2], pips.
    """

    feature_count: int
    offsets: NDArray[np.float32]
    scales: NDArray[np.float32]
    coefficients: NDArray[np.float32]
    intercepts: NDArray[np.float64]


LoweredModel = LoweredTrees | LoweredLinear


@dataclass(frozen=True, slots=True)
class EncodingLevel:
    """Shrunk slippage quantiles of one provider and symbol; an empty string is the wildcard.

    Attributes:
        provider_id: At most 64 bytes of UTF-8; "" matches any provider.
        provider_type: `PROVIDER_TYPE_ANY` exactly when `provider_id` is "".
        symbol: At most 32 bytes of UTF-8; "" matches any symbol.
        q50_pips: Median slippage, positive is worse for the trader.
        q90_pips: 0.9 quantile of the same.
    """

    provider_id: str
    provider_type: int
    symbol: str
    q50_pips: float
    q90_pips: float
