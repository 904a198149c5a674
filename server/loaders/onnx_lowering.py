"""Lower an ONNX model to the flat arrays that the engine evaluates.

Every split is rewritten as "feature <= threshold": `<` by the next smaller float32, `>` and `>=` by
swapping the children. That is exact for finite inputs, and the engine evaluates no others. The
trees are checked to be trees: root first, every other node with exactly one parent, every leaf with
a weight. What cannot be expressed is refused.
"""

import numpy as np
import onnx
from numpy.typing import NDArray

from server.hotpath.lowered import LEAF, LoweredLinear, LoweredModel, LoweredTrees
from server.hotpath.model_features import FEATURE_COUNT
from server.hotpath.model_tables import DEPTH_MAX, NODES_MAX, TREES_MAX
from server.loaders.onnx_structure import OUTPUT_COUNT, Attributes, check_structure
from server.trust_errors import ArtifactStructureRefusedError

_LEAF_MODE = b"LEAF"
_STRICT_MODES = (b"BRANCH_LT", b"BRANCH_GTE")
_SWAPPED_MODES = (b"BRANCH_GT", b"BRANCH_GTE")
_MODES = frozenset([_LEAF_MODE, b"BRANCH_LEQ", b"BRANCH_LT", b"BRANCH_GT", b"BRANCH_GTE"])


def lower(model: onnx.ModelProto, feature_count: int = FEATURE_COUNT) -> LoweredModel:
    """Lower a model after checking its structure.

    Args:
        model: A parsed model.
        feature_count: Width that the input must have.

    Raises:
        ArtifactStructureRefusedError: The graph is not on the allow-list or cannot be expressed.
    """
    operators = check_structure(model, feature_count)
    if "TreeEnsembleRegressor" in operators:
        return _lower_trees(operators["TreeEnsembleRegressor"], feature_count)
    return _lower_linear(operators["LinearRegressor"], operators.get("Scaler", {}), feature_count)


def _lower_linear(linear: Attributes, scaler: Attributes, feature_count: int) -> LoweredLinear:
    _require(linear.get("post_transform", b"NONE") == b"NONE", "post_transform is not NONE")
    _require(linear.get("targets", 1) == OUTPUT_COUNT, "targets is not 2")
    coefficients = _floats(linear, "coefficients", OUTPUT_COUNT * feature_count)
    intercepts = _floats(linear, "intercepts", OUTPUT_COUNT, default=0.0)
    return LoweredLinear(
        feature_count=feature_count,
        offsets=_floats(scaler, "offset", feature_count, default=0.0),
        scales=_floats(scaler, "scale", feature_count, default=1.0),
        coefficients=coefficients.reshape(OUTPUT_COUNT, feature_count),
        intercepts=intercepts.astype(np.float64),
    )


def _floats(
    attributes: Attributes, name: str, count: int, default: float | None = None
) -> NDArray[np.float32]:
    values = attributes.get(name, [])
    if not values and default is not None:
        return np.full(count, default, np.float32)
    # One value for all features is legal for a Scaler.
    if len(values) == 1 and name in ("offset", "scale"):
        return np.full(count, values[0], np.float32)
    _require(len(values) == count, f"{name} has {len(values)} values, not {count}")
    return np.array(values, np.float32)


def _lower_trees(attributes: Attributes, feature_count: int) -> LoweredTrees:
    _require(attributes.get("post_transform", b"NONE") == b"NONE", "post_transform is not NONE")
    _require(attributes.get("n_targets") == OUTPUT_COUNT, "n_targets is not 2")
    aggregate = attributes.get("aggregate_function", b"SUM")
    _require(aggregate in (b"SUM", b"AVERAGE"), "aggregate_function is not SUM or AVERAGE")
    count = len(attributes.get("nodes_treeids", []))
    _require(0 < count <= NODES_MAX, f"{count} tree nodes, 1 to {NODES_MAX} are allowed")
    for name in ("nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids"):
        length = len(attributes.get(f"nodes_{name}", []))
        _require(length == count, f"nodes_{name} has {length} values, not {count}")
    for name in ("hitrates", "missing_value_tracks_true"):
        length = len(attributes.get(f"nodes_{name}", []))
        _require(length in (0, count), f"nodes_{name} has {length} values, not {count}")
    _require(
        not any(attributes.get("nodes_missing_value_tracks_true", [])),
        "missing values are not supported",
    )
    roots, index = _index_nodes(attributes["nodes_treeids"], attributes["nodes_nodeids"])
    modes: list[bytes] = attributes["nodes_modes"]
    _require(set(modes) <= _MODES, "a node mode is not supported")
    leaf = np.array([mode == _LEAF_MODE for mode in modes])
    child_true, child_false = _find_children(attributes, index, leaf)
    _check_trees(roots, child_true, child_false, leaf)
    strict = np.array([mode in _STRICT_MODES for mode in modes])
    swapped = np.array([mode in _SWAPPED_MODES for mode in modes])
    values = np.array(attributes["nodes_values"], np.float32)
    with np.errstate(
        over="ignore"
    ):  # below the smallest float32 is -inf: never reached, as it should be
        below = np.nextafter(values, np.float32(-np.inf))
    features = _check_features(attributes["nodes_featureids"], leaf, feature_count)
    base = attributes.get("base_values") or [0.0] * OUTPUT_COUNT
    _require(len(base) == OUTPUT_COUNT, "base_values has not one value for each output")
    return LoweredTrees(
        feature_count=feature_count,
        roots=roots,
        features=features,
        thresholds=np.where(leaf, np.float32(0), np.where(strict, below, values)),
        child_true=np.where(swapped, child_false, child_true),
        child_false=np.where(swapped, child_true, child_false),
        weights=_read_weights(attributes, index, leaf),
        divisor=float(len(roots)) if aggregate == b"AVERAGE" else 1.0,
        base=np.array(base, np.float64),
    )


def _index_nodes(
    tree_ids: list[int], node_ids: list[int]
) -> tuple[NDArray[np.int32], dict[tuple[int, int], int]]:
    # Tree ids rise in steps of one, so "the first node of a tree" is the same node for every
    # reader.
    trees = np.array(tree_ids, np.int64)
    starts = np.flatnonzero(np.diff(trees, prepend=trees[0] - 1))
    steady = np.array_equal(trees[starts], np.arange(len(starts)))
    _require(steady, "trees are not numbered 0, 1, 2, ... in order")
    _require(len(starts) <= TREES_MAX, f"{len(starts)} trees, at most {TREES_MAX} are allowed")
    index = {key: row for row, key in enumerate(zip(tree_ids, node_ids, strict=True))}
    _require(len(index) == len(tree_ids), "a node id occurs twice in a tree")
    return starts.astype(np.int32), index


def _find_children(
    attributes: Attributes, index: dict[tuple[int, int], int], leaf: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    children = []
    for name in ("nodes_truenodeids", "nodes_falsenodeids"):
        keys = zip(attributes["nodes_treeids"], attributes[name], strict=True)
        found = np.array([index.get(key, LEAF) for key in keys], np.int32)
        _require(bool(np.all(found[~leaf] >= 0)), "a child does not exist")
        children.append(np.where(leaf, np.int32(LEAF), found))
    return children[0], children[1]


def _check_trees(
    roots: NDArray[np.int32],
    child_true: NDArray[np.int32],
    child_false: NDArray[np.int32],
    leaf: NDArray[np.bool_],
) -> None:
    children = np.concatenate([child_true[~leaf], child_false[~leaf]])
    parents = np.bincount(children, minlength=len(leaf))
    expected = np.ones(len(leaf), np.int64)
    expected[roots] = 0
    _require(np.array_equal(parents, expected), "a node has not exactly one parent")
    # With one parent each, a node that cannot be reached from a root sits on a cycle.
    reached, current, depth = 0, roots, 0
    while len(current):
        _require(depth <= DEPTH_MAX, f"a tree is deeper than {DEPTH_MAX}")
        reached += len(current)
        inner = current[~leaf[current]]
        current = np.concatenate([child_true[inner], child_false[inner]])
        depth += 1
    _require(reached == len(leaf), "a tree has a cycle")


def _check_features(
    feature_ids: list[int], leaf: NDArray[np.bool_], feature_count: int
) -> NDArray[np.int32]:
    features = np.array(feature_ids, np.int64)
    inside = (features >= 0) & (features < feature_count)
    _require(bool(np.all(inside)), "a node compares a feature that does not exist")
    return np.where(leaf, LEAF, features).astype(np.int32)


def _read_weights(
    attributes: Attributes, index: dict[tuple[int, int], int], leaf: NDArray[np.bool_]
) -> NDArray[np.float32]:
    names = ("target_treeids", "target_nodeids", "target_ids", "target_weights")
    columns = [attributes.get(name, []) for name in names]
    _require(len(set(map(len, columns))) == 1, "the target attributes differ in length")
    weights = np.zeros((len(leaf), OUTPUT_COUNT), np.float32)
    given = np.zeros((len(leaf), OUTPUT_COUNT), np.bool_)
    for tree, node, target, weight in zip(*columns, strict=True):
        row = index.get((tree, node), LEAF)
        _require(row != LEAF and bool(leaf[row]), "a weight is not at a leaf")
        _require(0 <= target < OUTPUT_COUNT, "a weight has an unknown target")
        _require(not given[row, target], "a leaf has two weights for one target")
        weights[row, target] = weight
        given[row, target] = True
    _require(bool(np.all(np.any(given, axis=1)[leaf])), "a leaf has no weight")
    return weights


def _require(condition: bool, rule: str) -> None:
    if not condition:
        raise ArtifactStructureRefusedError(rule)
