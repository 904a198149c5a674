"""Structural allow-list for ONNX graphs: what is not named here is refused.

Accepted are one TreeEnsembleRegressor, or a LinearRegressor with an optional Scaler before it, all
of `ai.onnx.ml`. Protobuf fields are allow-listed by name at each level, so tensors, external data,
subgraphs, functions, initializers and metadata cannot occur at all. Nothing is executed here.
"""

import math
from collections.abc import Iterable
from typing import Any

import onnx
from google.protobuf.message import DecodeError, Message

from server.hotpath.model_features import SLIPPAGE_OUTPUTS
from server.trust_errors import ArtifactStructureRefusedError

INPUT_NAME = "features"
OUTPUT_NAME = "quantiles"
OUTPUT_COUNT = len(SLIPPAGE_OUTPUTS)
OPSET_ML_MAX = 3
OPSET_MAX = 17

_MODEL_FIELDS = frozenset(
    [
        "ir_version",
        "opset_import",
        "producer_name",
        "producer_version",
        "domain",
        "model_version",
        "doc_string",
        "graph",
    ]
)
_GRAPH_FIELDS = frozenset(["node", "name", "input", "output", "doc_string"])
_NODE_FIELDS = frozenset(
    ["input", "output", "name", "op_type", "domain", "attribute", "doc_string"]
)
_ATTRIBUTE_FIELDS = frozenset(["name", "type", "f", "i", "s", "floats", "ints", "strings"])
_VALUE_FIELDS = frozenset(["name", "type", "doc_string"])

_ML_DOMAIN = "ai.onnx.ml"
_FLOATS = onnx.AttributeProto.FLOATS
_INTS = onnx.AttributeProto.INTS
_STRINGS = onnx.AttributeProto.STRINGS
_INT = onnx.AttributeProto.INT
_STRING = onnx.AttributeProto.STRING

_OPERATORS: dict[str, dict[str, int]] = {
    "TreeEnsembleRegressor": {
        "aggregate_function": _STRING,
        "base_values": _FLOATS,
        "n_targets": _INT,
        "nodes_falsenodeids": _INTS,
        "nodes_featureids": _INTS,
        "nodes_hitrates": _FLOATS,
        "nodes_missing_value_tracks_true": _INTS,
        "nodes_modes": _STRINGS,
        "nodes_nodeids": _INTS,
        "nodes_treeids": _INTS,
        "nodes_truenodeids": _INTS,
        "nodes_values": _FLOATS,
        "post_transform": _STRING,
        "target_ids": _INTS,
        "target_nodeids": _INTS,
        "target_treeids": _INTS,
        "target_weights": _FLOATS,
    },
    "LinearRegressor": {
        "coefficients": _FLOATS,
        "intercepts": _FLOATS,
        "post_transform": _STRING,
        "targets": _INT,
    },
    "Scaler": {"offset": _FLOATS, "scale": _FLOATS},
}
_CHAINS = (("TreeEnsembleRegressor",), ("LinearRegressor",), ("Scaler", "LinearRegressor"))

Attributes = dict[str, Any]


def parse_model(raw: bytes) -> onnx.ModelProto:
    """Parse model bytes without looking at any file.

    Raises:
        ArtifactStructureRefusedError: Not an ONNX model.
    """
    try:
        return onnx.ModelProto.FromString(raw)
    except DecodeError as error:
        raise ArtifactStructureRefusedError("the model is not an ONNX file") from error


def check_structure(model: onnx.ModelProto, feature_count: int) -> dict[str, Attributes]:
    """Refuse every graph that is not on the allow-list.

    Args:
        model: A parsed model.
        feature_count: Width that the input must have.

    Returns:
        The attributes by operator name: lists of int, float or bytes, single int or bytes; all
        floats finite.

    Raises:
        ArtifactStructureRefusedError: Names the rule that the graph breaks.
    """
    _check_fields(model, _MODEL_FIELDS, "the model")
    # A field that this reader does not know might mean something to the runtime.
    known = onnx.ModelProto()
    known.CopyFrom(model)
    known.DiscardUnknownFields()
    _require(known.ByteSize() == model.ByteSize(), "the model has unknown protobuf fields")
    _check_opsets(model)
    graph = model.graph
    _check_fields(graph, _GRAPH_FIELDS, "the graph")
    _require(len(graph.input) == 1 and len(graph.output) == 1, "one input and one output")
    _check_value(graph.input[0], INPUT_NAME, feature_count)
    _check_value(graph.output[0], OUTPUT_NAME, OUTPUT_COUNT)
    _require(len(graph.node) <= max(map(len, _CHAINS)), "too many nodes")
    chain = tuple(node.op_type for node in graph.node)
    _require(chain in _CHAINS, f"operators {chain!r} are not allowed")
    _check_wiring(graph)
    return {node.op_type: _read_attributes(node) for node in graph.node}


def _check_opsets(model: onnx.ModelProto) -> None:
    bounds = {"": OPSET_MAX, _ML_DOMAIN: OPSET_ML_MAX}
    domains = [entry.domain for entry in model.opset_import]
    _require(len(set(domains)) == len(domains), "an operator set occurs twice")
    _require(_ML_DOMAIN in domains, "the operator set of ai.onnx.ml is missing")
    for entry in model.opset_import:
        allowed = 1 <= entry.version <= bounds.get(entry.domain, 0)
        _require(allowed, f"operator set {entry.domain!r} {entry.version} is not allowed")


def _check_value(value: onnx.ValueInfoProto, name: str, width: int) -> None:
    _check_fields(value, _VALUE_FIELDS, f"the value {name}")
    _require(value.name == name, f"a value is not named {name}")
    _check_fields(value.type, frozenset(["tensor_type"]), f"the type of {name}")
    tensor = value.type.tensor_type
    _require(tensor.elem_type == onnx.TensorProto.FLOAT, f"{name} is not float32")
    _require(len(tensor.shape.dim) == 2, f"{name} has not two dimensions")  # noqa: PLR2004
    batch, columns = tensor.shape.dim
    _require(not batch.HasField("dim_value"), f"{name} has a fixed number of rows")
    same_width = columns.HasField("dim_value") and columns.dim_value == width
    _require(same_width, f"{name} has not {width} columns")


def _check_wiring(graph: onnx.GraphProto) -> None:
    feed = INPUT_NAME
    for position, node in enumerate(graph.node):
        _check_fields(node, _NODE_FIELDS, "a node")
        _require(node.domain == _ML_DOMAIN, "a node is not of ai.onnx.ml")
        _require(list(node.input) == [feed], "a node does not take the value before it")
        _require(len(node.output) == 1, "a node has not one output")
        feed = node.output[0]
        last = position == len(graph.node) - 1
        _require((feed == OUTPUT_NAME) == last and feed != INPUT_NAME, "the chain is broken")
        _require(feed != "", "a value has no name")


def _read_attributes(node: onnx.NodeProto) -> Attributes:
    allowed = _OPERATORS[node.op_type]
    values: Attributes = {}
    for attribute in node.attribute:
        _check_fields(attribute, _ATTRIBUTE_FIELDS, "an attribute")
        name = attribute.name
        _require(allowed.get(name) == attribute.type, f"attribute {name!r} is not allowed")
        _require(name not in values, f"attribute {name!r} occurs twice")
        if attribute.type == _FLOATS:
            _require(all(map(math.isfinite, attribute.floats)), f"{name} is not finite")
            values[name] = list(attribute.floats)
        elif attribute.type == _INTS:
            values[name] = list(attribute.ints)
        elif attribute.type == _STRINGS:
            values[name] = list(attribute.strings)
        else:
            values[name] = attribute.i if attribute.type == _INT else attribute.s
    return values


def _check_fields(message: Message, allowed: Iterable[str], subject: str) -> None:
    odd = {field.name for field, _value in message.ListFields()} - set(allowed)
    _require(not odd, f"{subject} has {', '.join(sorted(odd))}")


def _require(condition: bool, rule: str) -> None:
    if not condition:
        raise ArtifactStructureRefusedError(rule)
