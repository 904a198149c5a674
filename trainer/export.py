"""Write a fitted ensemble as ONNX and prove that the graph answers as the ensemble does.

One node, a TreeEnsembleRegressor with two targets: nothing but comparisons and additions, so a
server can lower it to flat arrays. The proof runs onnxruntime over given rows and over a grid of
hostile ones.
"""

from typing import Any, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, checker, helper

from trainer.ensemble import LEAF, TreeEnsemble
from trainer.errors import ExportMismatchError

INPUT_NAME: Final = "features"
OUTPUT_NAME: Final = "quantiles"
OPSET: Final = 17
ML_OPSET: Final = 3
IR_VERSION: Final = 8
# Sums of leaves are exact in float32 (see `ensemble`), so any difference at all is a defect of the
# export.
TOLERANCE_PIPS: Final = 1e-6


def export_onnx(ensemble: TreeEnsemble, feature_count: int) -> bytes:
    """Return the serialised graph: `features` float32 [N, F] to `quantiles` float32 [N, 2]."""
    node = helper.make_node(
        "TreeEnsembleRegressor",
        [INPUT_NAME],
        [OUTPUT_NAME],
        domain="ai.onnx.ml",
        n_targets=2,
        aggregate_function="SUM",
        post_transform="NONE",
        base_values=[float(base) for base in ensemble.base_pips],
    )
    columns = _list_nodes(ensemble) | _list_leaves(ensemble)
    node.attribute.extend(helper.make_attribute(name, values) for name, values in columns.items())
    features = helper.make_tensor_value_info(INPUT_NAME, TensorProto.FLOAT, ["N", feature_count])
    quantiles = helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, ["N", 2])
    graph = helper.make_graph([node], "slippage", [features], [quantiles])
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    model: ModelProto = helper.make_model(graph, opset_imports=opsets, producer_name="riskgate")
    model.ir_version = IR_VERSION
    checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def run_onnx(model: bytes, features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the graph's answer, shape (rows, 2), computed by onnxruntime on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (outputs,) = session.run([OUTPUT_NAME], {INPUT_NAME: features})
    return np.asarray(outputs, dtype=np.float64)


def check_export(model: bytes, ensemble: TreeEnsemble, features: NDArray[np.float32]) -> None:
    """Check that onnxruntime and the ensemble agree on given rows and around every threshold.

    Raises:
        ExportMismatchError: They differ by more than TOLERANCE_PIPS anywhere.
    """
    rows = np.vstack([features, _build_threshold_rows(ensemble, features.shape[1])])
    difference = np.abs(run_onnx(model, rows) - ensemble.predict(rows))
    if not bool(np.all(difference <= TOLERANCE_PIPS)):
        raise ExportMismatchError(f"the graph differs by {float(np.nanmax(difference)):.3g} pips")


def _build_threshold_rows(ensemble: TreeEnsemble, feature_count: int) -> NDArray[np.float32]:
    # Every threshold itself and the float32 on either side of it, on two different backgrounds.
    pairs = {
        (int(feature), float(cut))
        for tree in ensemble.trees
        for feature, cut in zip(tree.feature, tree.threshold, strict=True)
        if feature != LEAF
    }
    rows = [np.full(feature_count, -1, dtype=np.float32)]
    for feature, cut in sorted(pairs):
        middle = np.float32(cut)
        for value in (
            np.nextafter(middle, np.float32(-np.inf)),
            middle,
            np.nextafter(middle, np.float32(np.inf)),
        ):
            for background in (0.0, 3.0):
                row = np.full(feature_count, background, dtype=np.float32)
                row[feature] = value
                rows.append(row)
    return np.vstack(rows)


def _list_nodes(ensemble: TreeEnsemble) -> dict[str, list[Any]]:
    names = (
        "treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids",
        "hitrates",
    )  # fmt: skip
    columns: dict[str, list[Any]] = {f"nodes_{name}": [] for name in names}
    columns["nodes_missing_value_tracks_true"] = []
    for tree_id, tree in enumerate(ensemble.trees):
        for node in range(len(tree.feature)):
            is_leaf = bool(tree.feature[node] == LEAF)
            row = (
                tree_id,
                node,
                0 if is_leaf else int(tree.feature[node]),
                0.0 if is_leaf else float(tree.threshold[node]),
                "LEAF" if is_leaf else "BRANCH_LEQ",
                0 if is_leaf else int(tree.left[node]),
                0 if is_leaf else int(tree.right[node]),
                1.0,
            )
            for name, value in zip(names, row, strict=True):
                columns[f"nodes_{name}"].append(value)
            columns["nodes_missing_value_tracks_true"].append(0)
    return columns


def _list_leaves(ensemble: TreeEnsemble) -> dict[str, list[Any]]:
    leaves = [
        (tree_id, int(node), tree.target, float(tree.value[node]))
        for tree_id, tree in enumerate(ensemble.trees)
        for node in np.flatnonzero(tree.feature == LEAF)
    ]
    return {
        "target_treeids": [leaf[0] for leaf in leaves],
        "target_nodeids": [leaf[1] for leaf in leaves],
        "target_ids": [leaf[2] for leaf in leaves],
        "target_weights": [leaf[3] for leaf in leaves],
    }
