"""Lowering against onnxruntime, the reference, and the allow-list rule by rule."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import LinearRegression

from server.errors import ArtifactStructureRefusedError
from server.hotpath.lowered import EncodingLevel
from server.hotpath.models import evaluate_rows_nb, load_model, new_model_tables
from server.loaders.canary import run_model
from server.loaders.onnx_lowering import lower
from server.loaders.onnx_structure import parse_model
from server.loaders.probe_rows import bound_rounding, build_probe_rows
from tests.onnx_builder import (
    FEATURE_COUNT,
    Attributes,
    add_node,
    add_weight,
    build_linear_model,
    build_model,
    build_random_trees,
    build_tree_model,
    convert_trees,
    make_ml_node,
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
            np.random.default_rng([SEED, seed]), 5 + 7 * seed, 1 + 2 * seed, modes=(mode,)
        )
        attributes |= {"aggregate_function": aggregate, "base_values": [0.5, -1.25]}
        _assert_equals_runtime(build_tree_model(attributes))


@pytest.mark.parametrize("targets", [((0,), (1,)), ((0, 1),), ((0,), (1,), (0, 1)), ((1,),)])
def test_lower_when_leaves_carry_either_target_then_equals_onnxruntime(
    targets: tuple[tuple[int, ...], ...],
) -> None:
    rng = np.random.default_rng(SEED)
    modes = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GT", "BRANCH_GTE")
    attributes = build_random_trees(rng, 30, 5, modes=modes, targets=targets)
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


def _tree_node() -> onnx.NodeProto:
    return make_ml_node("TreeEnsembleRegressor", "features", "quantiles", _valid())


def _break_model(name: str) -> onnx.ModelProto:  # noqa: C901, PLR0912, PLR0915 - one case each
    model = build_model([_tree_node()])
    graph = model.graph
    match name:
        case "initializer":
            graph.initializer.append(helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0]))
        case "external data":
            tensor = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
            tensor.ClearField("float_data")
            tensor.data_location = TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value="../secret.bin")
            graph.initializer.append(tensor)
        case "sparse initializer":
            graph.sparse_initializer.add()
        case "function":
            model.functions.add(name="f", domain="x")
        case "model metadata":
            model.metadata_props.add(key="ort_config", value="{}")
        case "graph metadata":
            graph.metadata_props.add(key="a", value="b")
        case "node metadata":
            graph.node[0].metadata_props.add(key="a", value="b")
        case "training":
            model.training_info.add()
        case "overload":
            graph.node[0].overload = "x"
        case "value info":
            graph.value_info.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, [1]))
        case "quantization":
            graph.quantization_annotation.add(tensor_name="x")
        case "second input":
            graph.input.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 11]))
        case "second output":
            graph.output.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2]))
        case "input rank":
            graph.input[0].type.tensor_type.shape.dim.add(dim_value=1)
        case "input optional":
            graph.input[0].type.optional_type.elem_type.tensor_type.elem_type = 1
        case "fixed rows":
            model = build_model([_tree_node()], rows=4)
        case "input name":
            model = build_model([_tree_node()], input_name="inputs")
        case "input type":
            model = build_model([_tree_node()], input_type=TensorProto.DOUBLE)
        case "input width":
            model = build_model([_tree_node()], width=12)
        case "output width":
            model = build_model([_tree_node()], output_width=1)
        case "output name":
            graph.output[0].name = "answer"
        case "wrong source":
            graph.node[0].input[0] = "other"
        case "two sources":
            graph.node[0].input.append("features")
        case "two results":
            graph.node[0].output.append("more")
        case "unused result":
            graph.node[0].output[0] = "elsewhere"
        case "no nodes":
            del graph.node[:]
        case "domain":
            graph.node[0].domain = "com.microsoft"
        case "opset ml":
            model = build_model([_tree_node()], ml_opset=4)
        case "opset":
            model = build_model([_tree_node()], opset=18)
        case "opset foreign":
            model.opset_import.add(domain="com.microsoft", version=1)
        case "opset twice":
            model.opset_import.add(domain="ai.onnx.ml", version=3)
        case "opset missing":
            del model.opset_import[1]
        case "attribute twice":
            graph.node[0].attribute.append(graph.node[0].attribute[0])
        case "attribute reference":
            graph.node[0].attribute[0].ref_attr_name = "x"
        case "attribute type":
            graph.node[0].attribute[0].type = onnx.AttributeProto.FLOAT
        case "tensor attribute":
            tensor = helper.make_tensor("t", TensorProto.DOUBLE, [1], [1.0])
            graph.node[0].attribute.append(helper.make_attribute("nodes_values_as_tensor", tensor))
        case "subgraph attribute":
            graph.node[0].attribute.append(helper.make_attribute("body", graph))
        case "unknown field":
            # Field 999 with the varint 1: nothing that this reader knows.
            model = onnx.ModelProto.FromString(model.SerializeToString() + b"\xb8\x3e\x01")
        case _:
            raise AssertionError(name)
    return model


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("initializer", "graph has initializer"),
        ("external data", "graph has initializer"),
        ("sparse initializer", "graph has sparse_initializer"),
        ("function", "model has functions"),
        ("model metadata", "model has metadata_props"),
        ("graph metadata", "graph has metadata_props"),
        ("node metadata", "node has metadata_props"),
        ("training", "model has training_info"),
        ("overload", "node has overload"),
        ("value info", "graph has value_info"),
        ("quantization", "graph has quantization_annotation"),
        ("second input", "one input and one output"),
        ("second output", "one input and one output"),
        ("input rank", "two dimensions"),
        ("input optional", "type of features has optional_type"),
        ("fixed rows", "fixed number of rows"),
        ("input name", "not named features"),
        ("input type", "not float32"),
        ("input width", "11 columns"),
        ("output width", "2 columns"),
        ("output name", "not named quantiles"),
        ("wrong source", "value before it"),
        ("two sources", "value before it"),
        ("two results", "not one output"),
        ("unused result", "chain is broken"),
        ("no nodes", "operators"),
        ("domain", "not of ai.onnx.ml"),
        ("opset ml", "operator set"),
        ("opset", "operator set"),
        ("opset foreign", "operator set"),
        ("opset twice", "occurs twice"),
        ("opset missing", "is missing"),
        ("attribute twice", "occurs twice"),
        ("attribute reference", "attribute has ref_attr_name"),
        ("attribute type", "not allowed"),
        ("tensor attribute", "attribute has t"),
        ("subgraph attribute", "attribute has g"),
        ("unknown field", "unknown protobuf fields"),
    ],
)
def test_lower_when_graph_is_not_on_the_allow_list_then_refused(name: str, rule: str) -> None:
    lower(build_model([_tree_node()]))
    _refuse(_break_model(name), rule)


@pytest.mark.parametrize(
    ("operator", "domain"),
    [
        ("Identity", ""),
        ("Loop", ""),
        ("If", ""),
        ("Scan", ""),
        ("ConstantOfShape", ""),
        ("EPContext", "com.microsoft"),
        ("PyOp", "ai.onnx.contrib"),
        ("TreeEnsembleClassifier", "ai.onnx.ml"),
        ("TreeEnsemble", "ai.onnx.ml"),
    ],
)
def test_lower_when_operator_is_not_allowed_then_refused(operator: str, domain: str) -> None:
    _refuse(
        build_model([helper.make_node(operator, ["features"], ["quantiles"], domain=domain)]),
        "are not allowed",
    )


@pytest.mark.parametrize(
    ("operator", "name", "value", "rule"),
    [
        ("LinearRegressor", "coefficients", [1.0] * 21, "has 21 values"),
        ("LinearRegressor", "coefficients", [float("nan")] * 22, "not finite"),
        ("LinearRegressor", "intercepts", [1.0], "has 1 values"),
        ("LinearRegressor", "targets", 1, "targets"),
        ("LinearRegressor", "post_transform", "SOFTMAX", "post_transform"),
        ("Scaler", "offset", [0.0] * 10, "has 10 values"),
        ("Scaler", "scale", [float("inf")] * 11, "not finite"),
    ],
)
def test_lower_when_linear_breaks_a_rule_then_refused(
    operator: str, name: str, value: Any, rule: str
) -> None:
    linear: Attributes = {"coefficients": [1.0] * 22, "intercepts": [1.0] * 2, "targets": 2}
    nodes: dict[str, Attributes] = {
        "Scaler": {"offset": [0.0] * 11, "scale": [1.0] * 11},
        "LinearRegressor": linear,
    }

    def build() -> onnx.ModelProto:
        return build_model(
            [
                make_ml_node("Scaler", "features", "scaled", nodes["Scaler"]),
                make_ml_node("LinearRegressor", "scaled", "quantiles", nodes["LinearRegressor"]),
            ]
        )

    lower(build())
    nodes[operator][name] = value
    _refuse(build(), rule)


@pytest.mark.parametrize("raw", [b"", b"\xff" * 40, b"not a model"])
def test_parse_when_bytes_are_no_model_then_refused(raw: bytes) -> None:
    with pytest.raises(ArtifactStructureRefusedError):
        lower(parse_model(raw))
