"""Lowering against onnxruntime, the reference, and the allow-list rule by rule."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import LinearRegression

from server.hotpath.lowered import EncodingLevel
from server.hotpath.models import evaluate_rows_nb, load_model, new_model_tables
from server.loaders.canary import run_model
from server.loaders.onnx_lowering import lower
from server.loaders.onnx_structure import parse_model
from server.loaders.probe_rows import bound_rounding, build_probe_rows
from server.trust_errors import ArtifactStructureRefusedError
from tests.onnx_builder import (
    FEATURE_COUNT,
    Attributes,
    add_node,
    add_weight,
    build_linear_model,
    build_random_trees,
    build_tree_model,
    convert_trees,
    new_tree_attributes,
)

SEED = 20_260_302
TOLERANCE = 1e-5


def _assert_equals_runtime(model: onnx.ModelProto, rows: np.ndarray | None = None) -> np.ndarray:
    lowered = lower(model)
    grid = build_probe_rows(lowered)
    rows = grid if rows is None else np.concatenate([rows, grid])
    tables, outputs = new_model_tables(), np.empty((len(rows), 2))
    levels = (EncodingLevel("", 0, "", 0.0, 0.0),)
    load_model(tables, 0, lowered, levels, bytes(32), (1, 0, 0))
    assert evaluate_rows_nb(tables, 0, rows, outputs) == len(rows)
    reference = run_model(model.SerializeToString(), rows).astype(np.float64)
    bound = np.maximum(
        TOLERANCE * np.maximum(1.0, np.abs(reference)), bound_rounding(lowered, rows)
    )
    assert np.all(np.abs(outputs - reference) <= bound)
    return outputs


@pytest.mark.parametrize("mode", ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GT", "BRANCH_GTE"])
@pytest.mark.parametrize("aggregate", ["SUM", "AVERAGE"])
def test_lower_when_random_trees_then_equals_onnxruntime(mode: str, aggregate: str) -> None:
    for seed in range(5):
        attributes = build_random_trees(
            np.random.default_rng([SEED, seed]),
            5 + 7 * seed,
            1 + 2 * seed,
            modes=(mode,),
            features=range(FEATURE_COUNT),
        )
        attributes |= {"aggregate_function": aggregate, "base_values": [0.5, -1.25]}
        _assert_equals_runtime(build_tree_model(attributes))


@pytest.mark.parametrize("targets", [((0,), (1,)), ((0, 1),), ((0,), (1,), (0, 1)), ((1,),)])
def test_lower_when_leaves_carry_either_target_then_equals_onnxruntime(
    targets: tuple[tuple[int, ...], ...],
) -> None:
    rng = np.random.default_rng(SEED)
    modes = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GT", "BRANCH_GTE")
    attributes = build_random_trees(
        rng, 30, 5, modes=modes, targets=targets, features=range(FEATURE_COUNT)
    )
    _assert_equals_runtime(build_tree_model(attributes))


def test_lower_when_trees_are_single_leaves_then_equals_onnxruntime() -> None:
    _assert_equals_runtime(build_tree_model(build_random_trees(np.random.default_rng(1), 3, 0)))


def _training_data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(SEED)
    rows = rng.normal(scale=3, size=(500, FEATURE_COUNT)).astype(np.float32)
    return rows, rows[:, 0] * 0.3 + np.abs(rows[:, 2]) + rng.gumbel(size=500)


def test_lower_when_gradient_boosting_then_equals_both_originals() -> None:
    rows, goal = _training_data()
    fitted = [
        GradientBoostingRegressor(
            loss="quantile", alpha=alpha, n_estimators=50, max_depth=4, random_state=1
        ).fit(rows, goal)
        for alpha in (0.5, 0.9)
    ]
    trees = [
        (estimator, target)
        for target, model in enumerate(fitted)
        for estimator in model.estimators_[:, 0]
    ]
    attributes = convert_trees(trees, scale=0.1)
    attributes["base_values"] = [float(model.init_.predict(rows[:1])[0]) for model in fitted]
    outputs = _assert_equals_runtime(build_tree_model(attributes), rows)
    for target, model in enumerate(fitted):
        np.testing.assert_allclose(outputs[:500, target], model.predict(rows), atol=1e-5)


def test_lower_when_random_forest_then_equals_both_originals() -> None:
    rows, goal = _training_data()
    forest = RandomForestRegressor(n_estimators=30, max_depth=12, random_state=1)
    forest.fit(rows, np.stack([goal, goal + 1], axis=1))
    attributes = convert_trees([(estimator, None) for estimator in forest.estimators_])
    attributes["aggregate_function"] = "AVERAGE"
    outputs = _assert_equals_runtime(build_tree_model(attributes), rows)
    np.testing.assert_allclose(outputs[:500], forest.predict(rows), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("scaled", [False, True])
def test_lower_when_linear_then_equals_both_originals(scaled: bool) -> None:
    rows, goal = _training_data()
    offset, scale = rows.mean(axis=0), 1 / rows.std(axis=0)
    inputs = (rows - offset) * scale if scaled else rows
    fitted = LinearRegression().fit(inputs, np.stack([goal, 2 * goal], axis=1))
    model = build_linear_model(
        fitted.coef_.astype(np.float32),
        fitted.intercept_,
        offset if scaled else None,
        scale if scaled else None,
    )
    outputs = _assert_equals_runtime(model, rows)[: len(rows)]
    np.testing.assert_allclose(outputs, fitted.predict(inputs), rtol=1e-4, atol=1e-4)


def _refuse(model: onnx.ModelProto, rule: str) -> None:
    with pytest.raises(ArtifactStructureRefusedError, match=rule):
        lower(parse_model(model.SerializeToString()))


def _valid() -> Attributes:
    return build_random_trees(np.random.default_rng(5), 3, 2, full=True)


def _set(name: str, value: Any) -> Callable[[Attributes], None]:
    return lambda attributes: attributes.__setitem__(name, value)


def _set_item(name: str, row: int, value: Any) -> Callable[[Attributes], None]:
    return lambda attributes: attributes[name].__setitem__(row, value)


# Node 0 is the root of tree 0, nodes 1 and 2 its children, 3 to 6 the leaves; tree 1 starts at row
# 7.
@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (_set_item("nodes_values", 0, float("nan")), "nodes_values is not finite"),
        (_set_item("nodes_values", 3, float("inf")), "nodes_values is not finite"),
        (_set_item("target_weights", 0, float("nan")), "target_weights is not finite"),
        (_set_item("target_weights", 1, float("-inf")), "target_weights is not finite"),
        (_set("base_values", [float("nan"), 0.0]), "base_values is not finite"),
        (_set("base_values", [1.0]), "base_values has not one"),
        (_set_item("nodes_modes", 0, "BRANCH_EQ"), "mode is not supported"),
        (_set_item("nodes_modes", 0, "BRANCH_NEQ"), "mode is not supported"),
        (_set_item("nodes_modes", 0, "BRANCH_MEMBER"), "mode is not supported"),
        (_set_item("nodes_featureids", 0, FEATURE_COUNT), "feature that does not exist"),
        (_set_item("nodes_featureids", 0, -1), "feature that does not exist"),
        (_set_item("nodes_featureids", 0, 2**62), "feature that does not exist"),
        (_set_item("nodes_truenodeids", 0, 99), "child does not exist"),
        (_set_item("nodes_truenodeids", 0, 2), "exactly one parent"),
        (_set_item("nodes_truenodeids", 1, 0), "exactly one parent"),
        (_set_item("nodes_nodeids", 1, 0), "twice in a tree"),
        (_set_item("nodes_treeids", 0, 1), "not numbered"),
        (_set_item("nodes_treeids", 0, -1), "not numbered"),
        (_set_item("target_nodeids", 0, 0), "not at a leaf"),
        (_set_item("target_nodeids", 0, 55), "not at a leaf"),
        (_set_item("target_ids", 0, 2), "unknown target"),
        (_set_item("target_nodeids", 0, 4), "two weights"),
        (_set("n_targets", 1), "n_targets"),
        (_set("n_targets", 3), "n_targets"),
        (_set("post_transform", "LOGISTIC"), "post_transform"),
        (_set("aggregate_function", "MAX"), "aggregate_function"),
        (_set("nodes_missing_value_tracks_true", [1] * 21), "missing values"),
        (_set("nodes_missing_value_tracks_true", [0] * 3), "has 3 values"),
        (_set("nodes_hitrates", [1.0]), "has 1 values"),
        (_set("nodes_values", [0.0]), "has 1 values"),
        (_set("target_weights", [0.0]), "differ in length"),
        (_set("surprise", 1), "'surprise' is not allowed"),
        (_set("base_values", [1, 2]), "'base_values' is not allowed"),
    ],
)
def test_lower_when_trees_break_a_rule_then_refused(
    change: Callable[[Attributes], None], rule: str
) -> None:
    attributes = _valid()
    lower(build_tree_model(attributes))
    change(attributes)
    _refuse(build_tree_model(attributes), rule)


def test_lower_when_leaf_has_no_weight_then_refused() -> None:
    attributes = _valid()
    for name in ("treeids", "nodeids", "ids", "weights"):
        attributes[f"target_{name}"].pop()
    _refuse(build_tree_model(attributes), "leaf has no weight")


def test_lower_when_nodes_form_a_cycle_apart_then_refused() -> None:
    attributes = new_tree_attributes()
    add_node(attributes, 0, 0)
    add_weight(attributes, 0, 0, 0, 1.0)
    add_node(attributes, 0, 1, modes="BRANCH_LEQ", truenodeids=2, falsenodeids=3)
    add_node(attributes, 0, 2, modes="BRANCH_LEQ", truenodeids=1, falsenodeids=4)
    for leaf in (3, 4):
        add_node(attributes, 0, leaf)
        add_weight(attributes, 0, leaf, 0, 1.0)
    _refuse(build_tree_model(attributes), "cycle")


def test_lower_when_tree_is_too_deep_then_refused() -> None:
    attributes = new_tree_attributes()
    for level in range(70):
        node = 2 * level
        add_node(
            attributes, 0, node, modes="BRANCH_LEQ", truenodeids=node + 1, falsenodeids=node + 2
        )
        add_node(attributes, 0, node + 1)
        add_weight(attributes, 0, node + 1, 0, 1.0)
    add_node(attributes, 0, 140)
    add_weight(attributes, 0, 140, 1, 1.0)
    _refuse(build_tree_model(attributes), "deeper")


def test_lower_when_too_many_trees_or_nodes_then_refused() -> None:
    rng = np.random.default_rng(1)
    _refuse(build_tree_model(build_random_trees(rng, 1_025, 0)), "trees, at most")
    attributes = build_random_trees(rng, 1, 1, full=True)
    for name in list(attributes):
        if name.startswith("nodes_"):
            attributes[name] = attributes[name][:1] * 131_073
    _refuse(build_tree_model(attributes), "tree nodes")


@pytest.mark.parametrize("raw", [b"", b"\xff" * 40, b"not a model"])
def test_parse_when_bytes_are_no_model_then_refused(raw: bytes) -> None:
    with pytest.raises(ArtifactStructureRefusedError):
        lower(parse_model(raw))
