"""The memory of lowered models: fixed arrays with `MODEL_SLOTS` slots, allocated once.

A swap never writes to a slot in use: the loader fills a spare slot with `load_model`, then one
change makes the engine evaluate that slot instead. `load_model` sets `kind` last, so a slot is
either empty or whole. Trees up to `COMPLETE_DEPTH_MAX` are padded to complete trees and laid out
level by level (see `models.py`); deeper or very many trees keep explicit child indices.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from server.hotpath.encoding_index import fill_levels, pack_text
from server.hotpath.lowered import LEAF, EncodingLevel, LoweredLinear, LoweredModel, LoweredTrees

MODEL_SLOTS = 4
FEATURES_MAX = 32
TREES_MAX = 1_024
COMPLETE_DEPTH_MAX = 8
NODES_MAX = 131_072
"""Per slot: trees x 2^depth of a padded ensemble, or all nodes of a deep one."""
DEPTH_MAX = 64
ENCODING_LEVELS_MAX = 65_536
ENCODING_INDEX_SIZE = 2 * ENCODING_LEVELS_MAX
ENCODING_KEY_WORDS = 13
"""Provider id 8 words, provider type 1, symbol 4."""

NO_MODEL_SLOT = -1
KIND_NONE = 0
KIND_TREES = 1
KIND_LINEAR = 2
DEPTH_POINTERS = -1
"""Value of `depth` for an ensemble that is walked by child indices."""

MODEL_SLOT = np.dtype(
    [
        ("kind", np.int64),
        ("digest", np.int64, (4,)),
        ("version", np.int64, (3,)),
        ("feature_count", np.int64),
        ("tree_count", np.int64),
        ("node_count", np.int64),
        ("depth", np.int64),
        ("divisor", np.float64),
        ("base", np.float64, (2,)),
        ("level_count", np.int64),
        ("index_mask", np.int64),
        ("probe_max", np.int64),
    ],
    align=True,
)


class ModelTables(NamedTuple):
    """All model memory; first axis is the slot.

    Attributes:
        slots: `MODEL_SLOT` records.
        node_features: uint8[slots, nodes], input compared at each node.
        node_thresholds: float32[slots, nodes]; +inf in padding, so that it always goes left.
        leaf_weights: float32[slots, 2 * nodes], (q50, q90) pairs.
        child_true: int32[slots, nodes], only for deep trees; a leaf has `LEAF`.
        child_false: int32[slots, nodes], only for deep trees.
        roots: int32[slots, trees], only for deep trees.
        linear_offsets: float32[slots, features].
        linear_scales: float32[slots, features].
        linear_coefficients: float32[slots, 2 * features], the row of q50 first.
        level_index: int64[slots, index], 0 when free, else hash tag << 32 | row + 1.
        level_keys: int64[slots, levels, 13].
        level_values: float32[slots, levels, 2], pips.
        positions: uint32[trees], scratch of the one thread that evaluates.
    """

    slots: NDArray[np.void]
    node_features: NDArray[np.uint8]
    node_thresholds: NDArray[np.float32]
    leaf_weights: NDArray[np.float32]
    child_true: NDArray[np.int32]
    child_false: NDArray[np.int32]
    roots: NDArray[np.int32]
    linear_offsets: NDArray[np.float32]
    linear_scales: NDArray[np.float32]
    linear_coefficients: NDArray[np.float32]
    level_index: NDArray[np.int64]
    level_keys: NDArray[np.int64]
    level_values: NDArray[np.float32]
    positions: NDArray[np.uint32]


def new_model_tables() -> ModelTables:
    """Allocate empty tables (about 44 MiB of address space, touched only as models need it)."""
    nodes = (MODEL_SLOTS, NODES_MAX)
    return ModelTables(
        slots=np.zeros(MODEL_SLOTS, MODEL_SLOT),
        node_features=np.zeros(nodes, np.uint8),
        node_thresholds=np.zeros(nodes, np.float32),
        leaf_weights=np.zeros((MODEL_SLOTS, 2 * NODES_MAX), np.float32),
        child_true=np.zeros(nodes, np.int32),
        child_false=np.zeros(nodes, np.int32),
        roots=np.zeros((MODEL_SLOTS, TREES_MAX), np.int32),
        linear_offsets=np.zeros((MODEL_SLOTS, FEATURES_MAX), np.float32),
        linear_scales=np.zeros((MODEL_SLOTS, FEATURES_MAX), np.float32),
        linear_coefficients=np.zeros((MODEL_SLOTS, 2 * FEATURES_MAX), np.float32),
        level_index=np.zeros((MODEL_SLOTS, ENCODING_INDEX_SIZE), np.int64),
        level_keys=np.zeros((MODEL_SLOTS, ENCODING_LEVELS_MAX, ENCODING_KEY_WORDS), np.int64),
        level_values=np.zeros((MODEL_SLOTS, ENCODING_LEVELS_MAX, 2), np.float32),
        positions=np.zeros(TREES_MAX, np.uint32),
    )


def load_model(
    tables: ModelTables,
    slot: int,
    lowered: LoweredModel,
    encodings: tuple[EncodingLevel, ...],
    digest: bytes,
    version: tuple[int, int, int],
) -> None:
    """Write a verified model and its encodings into a slot that no decision uses.

    Args:
        tables: Memory of the engine.
        slot: 0 to `MODEL_SLOTS` - 1, not the active one.
        lowered: The model.
        encodings: At least the level with both wildcards.
        digest: 32 bytes, SHA-256 of the artifact's manifest.
        version: Major, minor, patch.

    Raises:
        ValueError: The slot does not exist or the model does not fit; the slot is then empty.
    """
    if not 0 <= slot < MODEL_SLOTS:
        raise ValueError(f"slot {slot} is not in 0..{MODEL_SLOTS - 1}")
    record = tables.slots[slot]
    record["kind"] = KIND_NONE
    check_capacity(lowered, encodings)
    record["feature_count"] = lowered.feature_count
    if isinstance(lowered, LoweredTrees):
        kind = KIND_TREES
        _write_trees(tables, slot, lowered)
    else:
        kind = KIND_LINEAR
        _write_linear(tables, slot, lowered)
    keys, values = tables.level_keys[slot], tables.level_values[slot]
    for row, level in enumerate(encodings):
        keys[row, :8] = pack_text(level.provider_id, 8)
        keys[row, 8] = level.provider_type
        keys[row, 9:] = pack_text(level.symbol, 4)
        values[row] = level.q50_pips, level.q90_pips
    index_mask, probe_max = fill_levels(tables.level_index[slot], keys, len(encodings))
    record["level_count"] = len(encodings)
    record["index_mask"] = index_mask
    record["probe_max"] = probe_max
    record["digest"] = np.frombuffer(digest, "<i8", count=4)
    record["version"] = version
    record["kind"] = kind


def check_capacity(lowered: LoweredModel, encodings: tuple[EncodingLevel, ...]) -> None:
    """Refuse a model that does not fit a slot.

    Raises:
        ValueError: Names the count that is too large.
    """
    if lowered.feature_count > FEATURES_MAX:
        raise ValueError(f"{lowered.feature_count} features, at most {FEATURES_MAX}")
    if not 1 <= len(encodings) <= ENCODING_LEVELS_MAX:
        raise ValueError(f"{len(encodings)} encoding levels, 1 to {ENCODING_LEVELS_MAX}")
    if isinstance(lowered, LoweredLinear):
        return
    if not 1 <= len(lowered.roots) <= TREES_MAX:
        raise ValueError(f"{len(lowered.roots)} trees, 1 to {TREES_MAX}")
    if len(lowered.features) > NODES_MAX:
        raise ValueError(f"{len(lowered.features)} nodes, at most {NODES_MAX}")
    if len(tree_levels(lowered)) > DEPTH_MAX:
        raise ValueError(f"a tree is deeper than {DEPTH_MAX}")


def tree_levels(trees: LoweredTrees) -> list[NDArray[np.int32]]:
    """Return the inner nodes of each level, all trees together; the length is the depth."""
    levels = []
    nodes = trees.roots[trees.features[trees.roots] != LEAF]
    while len(nodes):
        levels.append(nodes)
        below = np.concatenate([trees.child_true[nodes], trees.child_false[nodes]])
        nodes = below[trees.features[below] != LEAF]
    return levels


def _write_trees(tables: ModelTables, slot: int, trees: LoweredTrees) -> None:
    record: Any = tables.slots[slot]
    tree_count, depth = len(trees.roots), len(tree_levels(trees))
    complete = depth <= COMPLETE_DEPTH_MAX and tree_count << depth <= NODES_MAX
    record["tree_count"] = tree_count
    record["node_count"] = len(trees.features)
    record["depth"] = depth if complete else DEPTH_POINTERS
    record["divisor"] = trees.divisor
    record["base"] = trees.base
    if complete:
        _write_complete(tables, slot, trees, depth)
        return
    count = len(trees.features)
    inner = trees.features != LEAF
    tables.node_features[slot, :count] = np.where(inner, trees.features, 0)
    tables.node_thresholds[slot, :count] = trees.thresholds
    tables.leaf_weights[slot, : 2 * count] = trees.weights.reshape(-1)
    tables.child_true[slot, :count] = np.where(inner, trees.child_true, LEAF)
    tables.child_false[slot, :count] = np.where(inner, trees.child_false, LEAF)
    tables.roots[slot, :tree_count] = trees.roots


def _write_complete(tables: ModelTables, slot: int, trees: LoweredTrees, depth: int) -> None:
    # Level l holds 2^l nodes of each tree, tree after tree. A leaf met early is carried down both
    # ways, so that whatever the padding compares, the walk ends at a copy of it.
    tree_count = len(trees.roots)
    current = trees.roots.reshape(tree_count, 1)
    offset = 0
    for _level in range(depth):
        flat = current.reshape(-1)
        inner = trees.features[flat] != LEAF
        end = offset + len(flat)
        tables.node_features[slot, offset:end] = np.where(inner, trees.features[flat], 0)
        tables.node_thresholds[slot, offset:end] = np.where(inner, trees.thresholds[flat], np.inf)
        left = np.where(inner, trees.child_true[flat], flat)
        right = np.where(inner, trees.child_false[flat], flat)
        current = np.stack([left, right], axis=1).reshape(tree_count, -1)
        offset = end
    leaves = current.reshape(-1)
    tables.leaf_weights[slot, : 2 * len(leaves)] = trees.weights[leaves].reshape(-1)


def _write_linear(tables: ModelTables, slot: int, linear: LoweredLinear) -> None:
    count = linear.feature_count
    tables.linear_offsets[slot, :count] = linear.offsets
    tables.linear_scales[slot, :count] = linear.scales
    tables.linear_coefficients[slot, : 2 * count] = linear.coefficients.reshape(-1)
    tables.slots[slot]["base"] = linear.intercepts
