"""Build ONNX models for tests: converted scikit-learn estimators, random trees and deliberate
poison.

`tree_attributes` is the plain dict of a TreeEnsembleRegressor's attributes, so that a test can
break exactly one.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper
from sklearn.tree import DecisionTreeRegressor

FEATURE_COUNT = 11

Attributes = dict[str, Any]


def new_tree_attributes() -> Attributes:
    names = (
        "nodes_treeids nodes_nodeids nodes_featureids nodes_values nodes_modes nodes_truenodeids "
        "nodes_falsenodeids target_treeids target_nodeids target_ids target_weights"
    )
    attributes: Attributes = {name: [] for name in names.split()}
    return attributes | {"n_targets": 2, "aggregate_function": "SUM", "post_transform": "NONE"}


def add_node(attributes: Attributes, tree: int, node: int, **columns: Any) -> None:
    row = {
        "treeids": tree,
        "nodeids": node,
        "featureids": 0,
        "values": 0.0,
        "modes": "LEAF",
        "truenodeids": 0,
        "falsenodeids": 0,
    } | columns
    for name, value in row.items():
        attributes[f"nodes_{name}"].append(value)


def add_weight(attributes: Attributes, tree: int, node: int, target: int, weight: float) -> None:
    for name, value in zip(
        ("treeids", "nodeids", "ids", "weights"), (tree, node, target, weight), strict=True
    ):
        attributes[f"target_{name}"].append(value)


def build_random_trees(
    rng: np.random.Generator,
    tree_count: int,
    depth: int,
    *,
    full: bool = False,
    modes: Sequence[str] = ("BRANCH_LEQ",),
    targets: Sequence[tuple[int, ...]] = ((0,), (1,)),
    features: Sequence[int] = range(3, FEATURE_COUNT),
) -> Attributes:
    """Random trees; `targets` are the sets of outputs that a tree's leaves may carry.

    They are plausible: the upper quantile is never below the median, and history and releases,
    which slippage follows in one direction, are not looked at unless `features` says so.
    """
    attributes = new_tree_attributes()
    scale = min(1.0, 8 / tree_count)
    for tree in range(tree_count):
        carried = targets[tree % len(targets)]
        pending, next_node = [(0, 0)], 1
        while pending:
            node, level = pending.pop(0)
            if level == depth or (not full and level > 0 and rng.random() < 0.2):
                add_node(attributes, tree, node)
                for target in carried:
                    weight = np.float32((-1, 1)[target] * scale * abs(rng.normal()))
                    add_weight(attributes, tree, node, target, float(weight))
                continue
            add_node(
                attributes,
                tree,
                node,
                featureids=int(rng.choice(list(features))),
                values=float(np.float32(np.round(rng.normal(scale=3), 2))),
                modes=str(rng.choice(list(modes))),
                truenodeids=next_node,
                falsenodeids=next_node + 1,
            )
            pending += [(next_node, level + 1), (next_node + 1, level + 1)]
            next_node += 2
    return attributes


def convert_trees(
    trees: Iterable[tuple[DecisionTreeRegressor, int | None]], scale: float = 1.0
) -> Attributes:
    """Convert fitted trees; with target None a tree has both outputs."""
    attributes = new_tree_attributes()
    for tree_id, (estimator, target) in enumerate(trees):
        tree = estimator.tree_
        for node in range(tree.node_count):
            if tree.children_left[node] < 0:
                add_node(attributes, tree_id, node)
                values = tree.value[node].reshape(-1)
                for output in (0, 1) if target is None else (target,):
                    value = values[output] if target is None else values[0]
                    add_weight(attributes, tree_id, node, output, float(value * scale))
                continue
            # scikit-learn compares a float32 with a float64 threshold: rounding down keeps its
            # answer.
            threshold = np.float32(tree.threshold[node])
            if float(threshold) > tree.threshold[node]:
                threshold = np.nextafter(threshold, np.float32(-np.inf))
            add_node(
                attributes,
                tree_id,
                node,
                featureids=int(tree.feature[node]),
                values=float(threshold),
                modes="BRANCH_LEQ",
                truenodeids=int(tree.children_left[node]),
                falsenodeids=int(tree.children_right[node]),
            )
    return attributes


def build_tree_model(attributes: Attributes) -> onnx.ModelProto:
    return build_model([make_ml_node("TreeEnsembleRegressor", "features", "quantiles", attributes)])


def build_linear_model(
    coefficients: NDArray[np.float32],
    intercepts: Sequence[float],
    offset: Sequence[float] | None = None,
    scale: Sequence[float] | None = None,
) -> onnx.ModelProto:
    linear: Attributes = {
        "coefficients": [float(value) for value in coefficients.reshape(-1)],
        "intercepts": [float(value) for value in intercepts],
        "targets": 2,
    }
    if offset is None or scale is None:
        return build_model([make_ml_node("LinearRegressor", "features", "quantiles", linear)])
    scaler = {"offset": [float(v) for v in offset], "scale": [float(v) for v in scale]}
    return build_model(
        [
            make_ml_node("Scaler", "features", "scaled", scaler),
            make_ml_node("LinearRegressor", "scaled", "quantiles", linear),
        ]
    )


def make_ml_node(operator: str, source: str, result: str, attributes: Attributes) -> onnx.NodeProto:
    return helper.make_node(operator, [source], [result], domain="ai.onnx.ml", **attributes)


def build_model(
    nodes: Sequence[onnx.NodeProto],
    *,
    input_name: str = "features",
    input_type: int = TensorProto.FLOAT,
    width: int = FEATURE_COUNT,
    rows: str | int | None = "N",
    output_width: int = 2,
    ml_opset: int = 3,
    opset: int = 17,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "slippage",
        [helper.make_tensor_value_info(input_name, input_type, [rows, width])],
        [helper.make_tensor_value_info("quantiles", TensorProto.FLOAT, [rows, output_width])],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", ml_opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)
