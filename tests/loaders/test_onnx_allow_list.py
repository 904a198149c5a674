"""The allow-list of graphs, rule by rule: whatever is not on it is refused before it is lowered."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from server.loaders.onnx_lowering import lower
from server.loaders.onnx_structure import parse_model
from server.trust_errors import ArtifactStructureRefusedError
from tests.onnx_builder import (
    Attributes,
    build_model,
    build_random_trees,
    make_ml_node,
)


def _refuse(model: onnx.ModelProto, rule: str) -> None:
    with pytest.raises(ArtifactStructureRefusedError, match=rule):
        lower(parse_model(model.SerializeToString()))


def _tree_node() -> onnx.NodeProto:
    trees = build_random_trees(np.random.default_rng(5), 3, 2, full=True)
    return make_ml_node("TreeEnsembleRegressor", "features", "quantiles", trees)


def test_lower_when_graph_is_on_the_allow_list_then_accepted() -> None:
    lower(build_model([_tree_node()]))


def _break_parts(name: str) -> onnx.ModelProto:  # noqa: C901, PLR0912 - one case each
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
        ("unknown field", "unknown protobuf fields"),
    ],
)
def test_lower_when_graph_carries_more_than_nodes_then_refused(name: str, rule: str) -> None:
    _refuse(_break_parts(name), rule)


def _break_shape(name: str) -> onnx.ModelProto:
    model = build_model([_tree_node()])
    graph = model.graph
    match name:
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
        case _:
            raise AssertionError(name)
    return model


@pytest.mark.parametrize(
    ("name", "rule"),
    [
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
    ],
)
def test_lower_when_signature_is_another_then_refused(name: str, rule: str) -> None:
    _refuse(_break_shape(name), rule)


def _break_chain(name: str) -> onnx.ModelProto:
    model = build_model([_tree_node()])
    graph = model.graph
    match name:
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
        case _:
            raise AssertionError(name)
    return model


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("wrong source", "value before it"),
        ("two sources", "value before it"),
        ("two results", "not one output"),
        ("unused result", "chain is broken"),
        ("no nodes", "operators"),
        ("domain", "not of ai.onnx.ml"),
    ],
)
def test_lower_when_chain_is_broken_then_refused(name: str, rule: str) -> None:
    _refuse(_break_chain(name), rule)


def _break_opset(name: str) -> onnx.ModelProto:
    model = build_model([_tree_node()])
    match name:
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
        case _:
            raise AssertionError(name)
    return model


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("opset ml", "operator set"),
        ("opset", "operator set"),
        ("opset foreign", "operator set"),
        ("opset twice", "occurs twice"),
        ("opset missing", "is missing"),
    ],
)
def test_lower_when_operator_set_is_another_then_refused(name: str, rule: str) -> None:
    _refuse(_break_opset(name), rule)


def _break_attribute(name: str) -> onnx.ModelProto:
    model = build_model([_tree_node()])
    graph = model.graph
    match name:
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
        case _:
            raise AssertionError(name)
    return model


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("attribute twice", "occurs twice"),
        ("attribute reference", "attribute has ref_attr_name"),
        ("attribute type", "not allowed"),
        ("tensor attribute", "attribute has t"),
        ("subgraph attribute", "attribute has g"),
    ],
)
def test_lower_when_attribute_is_not_plain_then_refused(name: str, rule: str) -> None:
    _refuse(_break_attribute(name), rule)


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
