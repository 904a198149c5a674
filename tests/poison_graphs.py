"""Graphs that no server may run, one for each rule: by name, as the bytes of an ONNX file."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.onnx_builder import FEATURE_COUNT, build_model, build_random_trees, make_ml_node

Poison = Callable[[], bytes]

GRAPHS: Final[dict[str, Poison]] = {}
FLOAT: Final = TensorProto.FLOAT


def tree_node(source: str = "features", result: str = "quantiles") -> onnx.NodeProto:
    trees = build_random_trees(np.random.default_rng(5), 3, 2, full=True)
    return make_ml_node("TreeEnsembleRegressor", source, result, trees)


def good() -> onnx.ModelProto:
    return build_model([tree_node()])


def change(name: str, spoil: Callable[[onnx.ModelProto], object]) -> None:
    """Register a sound model with one thing spoiled."""

    def build() -> bytes:
        model = good()
        spoil(model)
        return model.SerializeToString()

    GRAPHS[name] = build


def nodes(name: str, *made: onnx.NodeProto, **model: Any) -> None:
    """Register a graph of these nodes."""
    GRAPHS[name] = lambda: build_model(list(made), **model).SerializeToString()


def raw(name: str, build: Poison) -> None:
    """Register bytes."""
    GRAPHS[name] = build


def external(location: str) -> onnx.TensorProto:
    tensor = TensorProto(name="w", data_type=FLOAT, dims=[1])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return tensor


def empty_graph(name: str = "body") -> onnx.GraphProto:
    value = helper.make_tensor_value_info("x", FLOAT, [1])
    return helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], name, [value], [value])


def step(operator: str, domain: str = "", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, ["features"], ["quantiles"], domain=domain, **attributes)


# --- operators ---
nodes("loop", step("Loop", body=empty_graph()))
nodes("if", step("If", then_branch=empty_graph("a"), else_branch=empty_graph("b")))
nodes("scan", step("Scan", body=empty_graph(), num_scan_inputs=1))
nodes("sequence map", step("SequenceMap", body=empty_graph()))
nodes("constant of shape", step("ConstantOfShape"))
nodes("constant", helper.make_node("Constant", [], ["quantiles"], value_float=1.0))
nodes("identity", step("Identity"), output_width=FEATURE_COUNT)
nodes("random", step("RandomNormalLike", seed=1.0))
nodes("matrix product", helper.make_node("MatMul", ["features", "features"], ["quantiles"]))
nodes("compiled context", step("EPContext", "com.microsoft", ep_cache_context="/dev/zero"))
nodes("python operator", step("PyOp", "ai.onnx.contrib", code="import os; os.abort()"))
nodes("unknown domain", step("Anything", "example.invalid"))
nodes("fused operator", step("FusedMatMul", "com.microsoft"))
nodes("quantised operator", step("DynamicQuantizeMatMul", "com.microsoft"))
nodes("dequantise", step("DequantizeLinear"))
nodes("text operator", step("StringNormalizer"))
nodes("image decoder", step("ImageDecoder"))
nodes("classifier", step("TreeEnsembleClassifier", "ai.onnx.ml"))
nodes("newer trees", step("TreeEnsemble", "ai.onnx.ml"))
nodes("support vectors", step("SVMRegressor", "ai.onnx.ml"))
nodes("label encoder", step("LabelEncoder", "ai.onnx.ml"))
nodes("trees of another domain", step("TreeEnsembleRegressor", "com.microsoft"))

# --- chain ---
nodes("no node")
nodes("two trees", tree_node(result="a"), tree_node("features", "quantiles"))
nodes(
    "three nodes",
    make_ml_node("Scaler", "features", "a", {"offset": [0.0], "scale": [1.0]}),
    make_ml_node("Scaler", "a", "b", {"offset": [0.0], "scale": [1.0]}),
    tree_node("b"),
)
nodes("ten thousand nodes", *[step("Identity")] * 10_000)
nodes(
    "scaler behind the trees",
    tree_node(result="a"),
    make_ml_node("Scaler", "a", "quantiles", {"offset": [0.0], "scale": [1.0]}),
)
change("source of another name", lambda m: m.graph.node[0].input.__setitem__(0, "other"))
change("a second source", lambda m: m.graph.node[0].input.append("features"))
change("an absent source", lambda m: m.graph.node[0].input.append(""))
change("a second result", lambda m: m.graph.node[0].output.append("more"))
change("no result", lambda m: m.graph.node[0].ClearField("output"))
change("a result that overwrites", lambda m: m.graph.node[0].output.__setitem__(0, "features"))
change("the same node twice", lambda m: m.graph.node.append(m.graph.node[0]))

# --- what hangs on model, graph and node ---
for place, path in {
    "a parent folder": "../../secret.bin",
    "an absolute path": "/dev/zero",
    "a sibling": "weights.bin",
    "a link": "file:///dev/zero",
    "another system's path": "C:\\weights.bin",
    "a host": "\\\\host\\share\\w.bin",
    "no path": "",
    "a long path": "a/" * 2_000,
    "a path with a zero byte": "weights\0.bin",
}.items():
    change(f"data in {place}", lambda m, p=path: m.graph.initializer.append(external(p)))  # type: ignore[misc]
change(
    "data of an attribute in a file",
    lambda m: m.graph.node[0].attribute.append(helper.make_attribute("t", external("w.bin"))),
)
change("an initialiser", lambda m: m.graph.initializer.add(name="w", data_type=FLOAT, dims=[0]))
change(
    "a huge initialiser",
    lambda m: m.graph.initializer.add(name="w", data_type=FLOAT, dims=[1 << 20, 1 << 20]),
)
change(
    "an initialiser whose size overflows",
    lambda m: m.graph.initializer.add(name="w", data_type=FLOAT, dims=[1 << 62, 1 << 62]),
)
change(
    "an initialiser of negative size",
    lambda m: m.graph.initializer.add(name="w", data_type=FLOAT, dims=[-1]),
)
change(
    "an initialiser of strings",
    lambda m: m.graph.initializer.add(name="w", data_type=TensorProto.STRING, dims=[1]),
)
change("a sparse initialiser", lambda m: m.graph.sparse_initializer.add())
change("a function", lambda m: m.functions.add(name="TreeEnsembleRegressor", domain="ai.onnx.ml"))
change("training", lambda m: m.training_info.add())
change("metadata of the model", lambda m: m.metadata_props.add(key="ort_config", value="{}"))
change("metadata of the graph", lambda m: m.graph.metadata_props.add(key="a", value="b"))
change("metadata of a node", lambda m: m.graph.node[0].metadata_props.add(key="a", value="b"))
change("metadata of a value", lambda m: m.graph.input[0].metadata_props.add(key="a", value="b"))
change("a device", lambda m: m.configuration.add(name="gpu", num_devices=8))
change("a device of a node", lambda m: m.graph.node[0].device_configurations.add())
change("an overload", lambda m: setattr(m.graph.node[0], "overload", "x"))
change("a quantisation", lambda m: m.graph.quantization_annotation.add(tensor_name="features"))
change("a named inner value", lambda m: m.graph.value_info.append(m.graph.input[0]))
raw("an unknown field", lambda: good().SerializeToString() + b"\xb8\x3e\x01")

# --- operator sets ---
change("operators of the future", lambda m: setattr(m.opset_import[1], "version", 99))
change("plain operators of the future", lambda m: setattr(m.opset_import[0], "version", 99))
change("operators of version 0", lambda m: setattr(m.opset_import[1], "version", 0))
change("operators of a negative version", lambda m: setattr(m.opset_import[1], "version", -3))
change("foreign operators", lambda m: m.opset_import.add(domain="com.microsoft", version=1))
change("operators named twice", lambda m: m.opset_import.add(domain="ai.onnx.ml", version=3))
change("no operators", lambda m: m.ClearField("opset_import"))

# --- inputs and outputs ---
change("no input", lambda m: m.graph.ClearField("input"))
change("a second input", lambda m: m.graph.input.append(m.graph.input[0]))
change("a second output", lambda m: m.graph.output.append(m.graph.output[0]))
change("no output", lambda m: m.graph.ClearField("output"))
change("an input of another name", lambda m: setattr(m.graph.input[0], "name", "inputs"))
change("an output of another name", lambda m: setattr(m.graph.output[0], "name", "answer"))
change("an input without a type", lambda m: m.graph.input[0].ClearField("type"))
change("a denoted type", lambda m: setattr(m.graph.input[0].type, "denotation", "IMAGE"))
for text, kind in {
    "doubles": TensorProto.DOUBLE,
    "half floats": TensorProto.FLOAT16,
    "strings": TensorProto.STRING,
    "quantised bytes": TensorProto.INT8,
    "no known type": 77,
}.items():
    nodes(f"an input of {text}", tree_node(), input_type=kind)
change("a sequence", lambda m: m.graph.input[0].type.sequence_type.elem_type.SetInParent())
change("a map", lambda m: m.graph.input[0].type.map_type.SetInParent())
change("an optional", lambda m: m.graph.input[0].type.optional_type.SetInParent())
change("a sparse input", lambda m: m.graph.input[0].type.sparse_tensor_type.SetInParent())
nodes("a wider input", tree_node(), width=12)
nodes("an input without columns", tree_node(), width=0)
nodes("an input of negative width", tree_node(), width=-11)
nodes("a fixed number of rows", tree_node(), rows=4)
nodes("another number of outputs", tree_node(), output_width=1)
change("a third dimension", lambda m: m.graph.input[0].type.tensor_type.shape.dim.add(dim_value=1))
change("no shape", lambda m: m.graph.input[0].type.tensor_type.ClearField("shape"))
change(
    "columns by a name",
    lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[1], "dim_param", "N"),
)

# --- attributes ---
change("an unknown attribute", lambda m: m.graph.node[0].attribute.add(name="x", type=2, i=1))
change(
    "an attribute twice", lambda m: m.graph.node[0].attribute.append(m.graph.node[0].attribute[0])
)
change(
    "an attribute by reference",
    lambda m: setattr(m.graph.node[0].attribute[0], "ref_attr_name", "x"),
)
change("an attribute of another type", lambda m: setattr(m.graph.node[0].attribute[0], "type", 1))
change(
    "a graph in an attribute",
    lambda m: m.graph.node[0].attribute.append(helper.make_attribute("body", empty_graph())),
)
change(
    "graphs in an attribute",
    lambda m: m.graph.node[0].attribute.append(helper.make_attribute("body", [empty_graph()])),
)
change(
    "weights as a tensor",
    lambda m: m.graph.node[0].attribute.append(
        helper.make_attribute(
            "target_weights_as_tensor", helper.make_tensor("t", TensorProto.DOUBLE, [1], [1.0])
        )
    ),
)


def deeply_nested(depth: int = 300) -> bytes:
    """Graphs in attributes of nodes of graphs: what a parser may recurse into."""
    content = b""
    for _ in range(depth):
        # AttributeProto.g = 6, NodeProto.attribute = 5, GraphProto.node = 1
        for field in (6, 5, 1):
            content = bytes([field << 3 | 2]) + _varint(len(content)) + content
    return bytes([7 << 3 | 2]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


# --- bytes ---
raw("zero bytes", lambda: b"\0")
raw("text", lambda: b"not a model")
raw("half a model", lambda: good().SerializeToString()[: good().ByteSize() // 2])
raw("a length beyond the end", lambda: b"\x3a\xff\xff\xff\xff\x07")
raw("deep nesting", deeply_nested)
for where in ("op_type", "domain", "input"):
    raw(f"an unreadable {where}", lambda w=where: with_unreadable(w))  # type: ignore[misc]


def with_unreadable(field: str) -> bytes:
    """A text field that is no UTF-8."""
    model = good()
    if field == "input":
        model.graph.input[0].name = "MARKMARK"
    else:
        setattr(model.graph.node[0], field, "MARKMARK")
    return model.SerializeToString().replace(b"MARKMARK", b"\xff\xfe\xff\xfe\xff\xfe\xff\xfe")
