"""The slow, obvious twin of the model kernels: plain Python floats, one tree and one node at a
time.

Written from the ONNX semantics, not from the kernels. Features are compared as float32, weights are
added as Python floats in tree order. Kernel and twin agree bit for bit.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from server.hotpath.lowered import (
    LEAF,
    PROVIDER_TYPE_ANY,
    EncodingLevel,
    LoweredLinear,
    LoweredModel,
    LoweredTrees,
)


def evaluate(
    lowered: LoweredModel, features: Sequence[float] | NDArray[np.float32]
) -> tuple[float, float] | None:
    """Return (q50, q90) in pips, or None when an input or output is not finite."""
    inputs = [np.float32(value) for value in features][: lowered.feature_count]
    if not all(math.isfinite(value) for value in inputs):
        return None
    if isinstance(lowered, LoweredTrees):
        outputs = _evaluate_trees(lowered, inputs)
    else:
        outputs = _evaluate_linear(lowered, inputs)
    if not all(math.isfinite(value) for value in outputs):
        return None
    return outputs


def lookup_encoding(
    encodings: Sequence[EncodingLevel], provider_id: str, provider_type: int, symbol: str
) -> tuple[float, float]:
    """Return the float32 (q50, q90) of the most specific level that matches."""
    levels = {
        (level.provider_id, level.provider_type, level.symbol): (level.q50_pips, level.q90_pips)
        for level in encodings
    }
    for key in (
        (provider_id, provider_type, symbol),
        (provider_id, provider_type, ""),
        ("", PROVIDER_TYPE_ANY, symbol),
        ("", PROVIDER_TYPE_ANY, ""),
    ):
        if key in levels:
            q50, q90 = levels[key]
            return float(np.float32(q50)), float(np.float32(q90))
    raise LookupError("the global level is missing")


def _evaluate_trees(trees: LoweredTrees, inputs: list[np.float32]) -> tuple[float, float]:
    totals = [0.0, 0.0]
    for root in trees.roots:
        node = int(root)
        while trees.features[node] != LEAF:
            goes_left = inputs[trees.features[node]] <= trees.thresholds[node]
            node = int(trees.child_true[node] if goes_left else trees.child_false[node])
        for output in range(2):
            totals[output] += float(trees.weights[node, output])
    return (
        totals[0] / trees.divisor + float(trees.base[0]),
        totals[1] / trees.divisor + float(trees.base[1]),
    )


def _evaluate_linear(linear: LoweredLinear, inputs: list[np.float32]) -> tuple[float, float]:
    totals = [0.0, 0.0]
    with np.errstate(over="ignore"):
        scaled = [
            float(np.float32(np.float32(value - offset) * scale))
            for value, offset, scale in zip(inputs, linear.offsets, linear.scales, strict=True)
        ]
    for output in range(2):
        for position, value in enumerate(scaled):
            totals[output] += float(linear.coefficients[output, position]) * value
    return totals[0] + float(linear.intercepts[0]), totals[1] + float(linear.intercepts[1])
