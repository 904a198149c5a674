"""Evaluate a lowered model: tree ensemble or linear, two outputs (q50 and q90 of slippage, pips).

Numbers: features are float32 and compared as float32; sums are float64 in tree (or feature) order,
without fast-math, so the same input gives the same bits on every machine. No allocation and no
exception: a missing model, a feature or an output that is not finite make `evaluate_nb` return
False, and the caller falls back to the rule. Memory: `model_tables.py`. Reference twin:
`tests/model_reference.py`.
"""

import numpy as np
from numpy.typing import NDArray

from server.hotpath.encoding_index import pack_text
from server.hotpath.encodings import (
    LEVEL_GLOBAL,
    LEVEL_NONE,
    LEVEL_PROVIDER,
    LEVEL_PROVIDER_SYMBOL,
    LEVEL_SYMBOL,
    lookup_encoding_nb,
)
from server.hotpath.jit import routine
from server.hotpath.lowered import (
    PROVIDER_TYPE_ANY,
    PROVIDER_TYPE_CHANNEL_SOURCE,
    PROVIDER_TYPE_USER,
    EncodingLevel,
    LoweredLinear,
    LoweredModel,
    LoweredTrees,
)
from server.hotpath.model_tables import (
    KIND_LINEAR,
    KIND_NONE,
    KIND_TREES,
    MODEL_SLOTS,
    NO_MODEL_SLOT,
    ModelTables,
    load_model,
    new_model_tables,
)

__all__ = [
    "KIND_LINEAR",
    "KIND_NONE",
    "KIND_TREES",
    "LEVEL_GLOBAL",
    "LEVEL_NONE",
    "LEVEL_PROVIDER",
    "LEVEL_PROVIDER_SYMBOL",
    "LEVEL_SYMBOL",
    "MODEL_SLOTS",
    "NO_MODEL_SLOT",
    "PROVIDER_TYPE_ANY",
    "PROVIDER_TYPE_CHANNEL_SOURCE",
    "PROVIDER_TYPE_USER",
    "EncodingLevel",
    "LoweredLinear",
    "LoweredModel",
    "LoweredTrees",
    "ModelTables",
    "evaluate_nb",
    "evaluate_rows_nb",
    "load_model",
    "lookup_encoding_nb",
    "new_model_tables",
    "pack_text",
]


@routine
def _evaluate_complete_nb(
    tables: ModelTables, slot: int, features: NDArray[np.float32], out: NDArray[np.float64]
) -> None:
    # One level of all trees before the next: the steps of one level do not wait for each other.
    # Indices are unsigned, which spares numba's test for a negative index.
    record = tables.slots[slot]
    node_features = tables.node_features[slot]
    node_thresholds = tables.node_thresholds[slot]
    leaf_weights = tables.leaf_weights[slot]
    positions = tables.positions
    tree_count = record["tree_count"]
    for tree in range(tree_count):
        positions[tree] = np.uint32(0)
    offset = np.int64(0)
    for level in range(record["depth"]):
        width = np.int64(1) << level
        for tree in range(tree_count):
            node = np.uint64(offset + tree * width) + np.uint64(positions[tree])
            goes_left = features[np.uint64(node_features[node])] <= node_thresholds[node]
            side = np.uint32(0) if goes_left else np.uint32(1)
            positions[tree] = np.uint32(np.uint32(2) * positions[tree] + side)
        offset += tree_count * width
    total_q50 = 0.0
    total_q90 = 0.0
    leaf_count = np.int64(1) << record["depth"]
    for tree in range(tree_count):
        leaf = (np.uint64(tree * leaf_count) + np.uint64(positions[tree])) * np.uint64(2)
        total_q50 += np.float64(leaf_weights[leaf])
        total_q90 += np.float64(leaf_weights[leaf + np.uint64(1)])
    out[0] = total_q50
    out[1] = total_q90


@routine
def _evaluate_pointers_nb(
    tables: ModelTables, slot: int, features: NDArray[np.float32], out: NDArray[np.float64]
) -> None:
    record = tables.slots[slot]
    child_true = tables.child_true[slot]
    child_false = tables.child_false[slot]
    total_q50 = 0.0
    total_q90 = 0.0
    for tree in range(record["tree_count"]):
        node = tables.roots[slot, tree]
        while child_true[node] >= 0:
            value = features[tables.node_features[slot, node]]
            if value <= tables.node_thresholds[slot, node]:
                node = child_true[node]
            else:
                node = child_false[node]
        total_q50 += np.float64(tables.leaf_weights[slot, 2 * node])
        total_q90 += np.float64(tables.leaf_weights[slot, 2 * node + 1])
    out[0] = total_q50
    out[1] = total_q90


@routine
def _evaluate_linear_nb(
    tables: ModelTables, slot: int, features: NDArray[np.float32], out: NDArray[np.float64]
) -> None:
    # q = sum over i of coefficient_i * ((x_i - offset_i) * scale_i), the scaling in float32
    count = tables.slots[slot]["feature_count"]
    total_q50 = 0.0
    total_q90 = 0.0
    for position in range(count):
        centred = np.float32(features[position] - tables.linear_offsets[slot, position])
        scaled = np.float64(np.float32(centred * tables.linear_scales[slot, position]))
        total_q50 += np.float64(tables.linear_coefficients[slot, position]) * scaled
        total_q90 += np.float64(tables.linear_coefficients[slot, count + position]) * scaled
    out[0] = total_q50
    out[1] = total_q90


@routine
def evaluate_nb(
    tables: ModelTables, slot: int, features: NDArray[np.float32], out: NDArray[np.float64]
) -> bool:
    """Evaluate the model of a slot.

    Args:
        tables: Model memory; `positions` is scratch, so one thread evaluates at a time.
        slot: 0 to `MODEL_SLOTS` - 1, or `NO_MODEL_SLOT`.
        features: float32[n], n at least the model's feature count, in manifest order.
        out: float64[2], receives q50 and q90 in pips, NaN when False is returned.

    Returns:
        True when both outputs are finite; False without a model or with a feature that is not
        finite.
    """
    out[0] = np.nan
    out[1] = np.nan
    if not 0 <= slot < MODEL_SLOTS:
        return False
    record = tables.slots[slot]
    kind = record["kind"]
    if kind == KIND_NONE or len(features) < record["feature_count"]:
        return False
    finite = True
    for position in range(record["feature_count"]):
        finite &= bool(np.isfinite(features[position]))
    if not finite:
        return False
    if kind == KIND_LINEAR:
        _evaluate_linear_nb(tables, slot, features, out)
    else:
        if record["depth"] >= 0:
            _evaluate_complete_nb(tables, slot, features, out)
        else:
            _evaluate_pointers_nb(tables, slot, features, out)
        out[0] /= record["divisor"]
        out[1] /= record["divisor"]
    out[0] += record["base"][0]
    out[1] += record["base"][1]
    if np.isfinite(out[0]) and np.isfinite(out[1]):
        return True
    out[0] = np.nan
    out[1] = np.nan
    return False


@routine
def evaluate_rows_nb(
    tables: ModelTables, slot: int, rows: NDArray[np.float32], outputs: NDArray[np.float64]
) -> int:
    """Evaluate many rows, for checks outside a decision.

    Args:
        tables: Model memory.
        slot: As for `evaluate_nb`.
        rows: float32[n, features].
        outputs: float64[n, 2], receives q50 and q90 in pips.

    Returns:
        The number of rows for which `evaluate_nb` returned True.
    """
    count = 0
    for row in range(len(rows)):
        if evaluate_nb(tables, slot, rows[row], outputs[row]):
            count += 1
    return count
