"""Numbers inside an allowed operator that no server may evaluate, one for each rule."""

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from tests.onnx_builder import (
    Attributes,
    add_node,
    add_weight,
    build_linear_model,
    build_model,
    build_random_trees,
    build_tree_model,
    make_ml_node,
    new_tree_attributes,
)

TREES: Final[dict[str, Callable[[], bytes]]] = {}
_TARGETS: Final = ("treeids", "nodeids", "ids", "weights")


def trees(name: str, spoil: Callable[[Attributes], object]) -> None:
    """Register three sound trees with one thing spoiled."""

    def build() -> bytes:
        attributes = build_random_trees(np.random.default_rng(5), 3, 2, full=True)
        spoil(attributes)
        return build_tree_model(attributes).SerializeToString()

    TREES[name] = build


def put(column: str, value: Any, row: int = 0) -> Callable[[Attributes], object]:
    return lambda attributes: attributes[column].__setitem__(row, value)


def setting(**changed: Any) -> Callable[[Attributes], object]:
    return lambda attributes: attributes.update(changed)


def linear(name: str, **changed: Any) -> None:
    """Register a linear model with one attribute spoiled."""
    attributes: Attributes = {"coefficients": [0.5] * 22, "intercepts": [0.0, 1.0], "targets": 2}
    spoiled = {key: value for key, value in (attributes | changed).items() if value is not None}
    TREES[name] = lambda: build_model(
        [make_ml_node("LinearRegressor", "features", "quantiles", spoiled)]
    ).SerializeToString()


def scaler(name: str, **changed: Any) -> None:
    """Register a scaled linear model with one attribute of the scaler spoiled."""
    ones = np.ones((2, 11), np.float32)
    sound: Attributes = {"offset": [0.0] * 11, "scale": [1.0] * 11}

    def build() -> bytes:
        model = build_linear_model(ones, [0.0, 1.0], [0.0] * 11, [1.0] * 11)
        model.graph.node[0].CopyFrom(make_ml_node("Scaler", "features", "scaled", sound | changed))
        return model.SerializeToString()

    TREES[name] = build


def _grow(tree_count: int, depth: int) -> Callable[[], bytes]:
    def build() -> bytes:
        attributes = new_tree_attributes()
        for tree in range(tree_count):
            for level in range(depth):
                add_node(
                    attributes, tree, 2 * level,
                    modes="BRANCH_LEQ", truenodeids=2 * level + 1, falsenodeids=2 * level + 2,
                )  # fmt: skip
                add_node(attributes, tree, 2 * level + 1)
                add_weight(attributes, tree, 2 * level + 1, tree % 2, 1.0)
            add_node(attributes, tree, 2 * depth)
            add_weight(attributes, tree, 2 * depth, tree % 2, 1.0)
        return build_tree_model(attributes).SerializeToString()

    return build


# --- numbers that are none ---
trees("a threshold that is NaN", put("nodes_values", math.nan))
trees("an infinite threshold", put("nodes_values", math.inf))
trees("a weight that is NaN", put("target_weights", math.nan))
trees("a weight of minus infinity", put("target_weights", -math.inf))
trees("a base that is NaN", setting(base_values=[0.0, math.nan]))
trees(
    "a hit rate that is NaN", lambda a: a.update(nodes_hitrates=[math.nan] * len(a["nodes_values"]))
)
linear("a coefficient that is NaN", coefficients=[math.nan] + [0.5] * 21)
linear("an infinite coefficient", coefficients=[math.inf] + [0.5] * 21)
linear("an intercept that is NaN", intercepts=[math.nan, 1.0])
scaler("a scale that is NaN", scale=[math.nan] * 11)
scaler("an infinite offset", offset=[math.inf] * 11)

# --- counts ---
TREES["a tree deeper than allowed"] = _grow(1, 65)
TREES["more trees than allowed"] = _grow(1_025, 1)
TREES["more nodes than allowed"] = _grow(1_024, 64)
trees("columns of different length", lambda a: a["nodes_values"].pop())
trees("modes of another length", lambda a: a["nodes_modes"].pop())
trees("targets of different length", lambda a: a["target_ids"].pop())
trees("no nodes", lambda a: [a.pop(name) for name in list(a) if name.startswith("nodes_")])
linear("too few coefficients", coefficients=[0.5] * 21)
linear("too many coefficients", coefficients=[0.5] * 23)
linear("no coefficients", coefficients=None)
linear("one intercept", intercepts=[1.0])
linear("a third target", targets=3)
scaler("too few offsets", offset=[0.0] * 10)
scaler("too many scales", scale=[1.0] * 12)
trees("a third output", setting(n_targets=3))
trees("no outputs", setting(n_targets=0))
trees("one base value", setting(base_values=[1.0]))

# --- trees that are none ---
trees("a child that does not exist", put("nodes_truenodeids", 99))
trees("a child of an enormous number", put("nodes_truenodeids", 2**62))
trees("a negative child", put("nodes_falsenodeids", -1))
trees("a cycle", put("nodes_truenodeids", 0))
trees("two parents", lambda a: put("nodes_truenodeids", a["nodes_falsenodeids"][0])(a))
trees("a node twice", put("nodes_nodeids", 0, row=1))
trees("trees out of order", put("nodes_treeids", 2))
trees("an enormous tree number", put("nodes_treeids", 2**62))
trees("a leaf without weight", lambda a: [a[f"target_{c}"].pop() for c in _TARGETS])
trees("a weight at a branch", put("target_nodeids", 0))
trees("a weight of an unknown target", put("target_ids", 2))
trees("a weight of a negative target", put("target_ids", -1))
trees(
    "two weights of one leaf",
    lambda a: [a[f"target_{c}"].append(a[f"target_{c}"][0]) for c in _TARGETS],
)
trees("a feature beyond the last", put("nodes_featureids", 11))
trees("a negative feature", put("nodes_featureids", -1))
trees("an enormous feature", put("nodes_featureids", 2**62))
trees("a comparison for equality", put("nodes_modes", "BRANCH_EQ"))
trees("a comparison for membership", put("nodes_modes", "BRANCH_MEMBER"))
trees("an unknown comparison", put("nodes_modes", "BRANCH_SURPRISE"))
trees(
    "missing values to the left",
    lambda a: a.update(nodes_missing_value_tracks_true=[1] * len(a["nodes_values"])),
)
trees("outputs bent afterwards", setting(post_transform="SOFTMAX"))
trees("the smallest tree instead of the sum", setting(aggregate_function="MIN"))
linear("a line bent afterwards", post_transform="LOGISTIC")
