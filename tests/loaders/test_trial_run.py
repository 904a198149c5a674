"""The canary child: right answers, and whatever else happens to it as one typed refusal."""

import resource
import sys
import time
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from server.loaders.canary import run_model
from server.loaders.trial_run import run_canary
from server.trust_errors import ArtifactCanaryFailedError
from tests.artifact_builder import build_small_model
from tests.onnx_builder import FEATURE_COUNT, build_model

ROWS = np.random.default_rng(1).normal(size=(50, FEATURE_COUNT)).astype(np.float32)
OUTPUT_BYTES = 2 * 4 * len(ROWS)


def test_run_when_model_is_sound_then_equals_the_runtime() -> None:
    model = build_small_model().SerializeToString()
    np.testing.assert_array_equal(run_canary(model, ROWS), run_model(model, ROWS))


@pytest.mark.parametrize("raw", [b"", b"\0" * 100, b"no model"])
def test_run_when_bytes_are_no_model_then_refused(raw: bytes) -> None:
    with pytest.raises(ArtifactCanaryFailedError, match="failed with status 1"):
        run_canary(raw, ROWS)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("os.write(1, b'R'); ctypes.string_at(0)", "SIGSEGV"),
        ("os.write(1, b'R'); os.abort()", "SIGABRT"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
        ("os.write(1, b'R'); sys.exit(3)", "status 3"),
        (f"os.write(1, b'R' + bytes({OUTPUT_BYTES})); sys.exit(1)", "status 1"),
        (f"os.write(1, b'R' + bytes({OUTPUT_BYTES} - 1))", "number of outputs"),
        (f"os.write(1, b'R' + bytes({OUTPUT_BYTES} + 1))", "number of outputs"),
        ("pass", "number of outputs"),
        (f"os.write(1, b'R' + b'\\xff' * {OUTPUT_BYTES})", "not finite"),
        ("os.write(1, b'R'); time.sleep(60)", "too long"),
        ("os.write(1, b'R'); os.close(1); time.sleep(60)", "too long"),
        ("os.write(1, b'R'); signal.pthread_sigmask(0, range(1, 60)); time.sleep(60)", "too long"),
    ],
)
def test_run_when_child_misbehaves_then_refused_in_time(script: str, reason: str) -> None:
    command = [sys.executable, "-c", f"import ctypes, os, signal, sys, time\n{script}"]
    started = time.monotonic()
    with pytest.raises(ArtifactCanaryFailedError, match=reason):
        run_canary(b"model", ROWS, command, run_seconds_max=1.0)
    assert time.monotonic() - started < 10


def test_run_when_child_writes_without_end_then_refused() -> None:
    # More than the expected bytes are never read; the child then dies of the closed pipe or is
    # killed.
    command = [sys.executable, "-c", "import os\nwhile True: os.write(1, b'R' * 65536)"]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ArtifactCanaryFailedError):
        run_canary(b"model", ROWS, command, run_seconds_max=1.0)
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 64 * 1024


def _endless_loop() -> onnx.ModelProto:
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Identity", ["state"], ["state_out"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("step", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, ["N", FEATURE_COUNT]),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state_out", TensorProto.FLOAT, ["N", FEATURE_COUNT]),
        ],
    )
    nodes = [
        helper.make_node(
            "Constant", [], ["steps"],
            value=helper.make_tensor("steps", TensorProto.INT64, [], [2**60]),
        ),
        helper.make_node(
            "Constant", [], ["true"], value=helper.make_tensor("true", TensorProto.BOOL, [], [True])
        ),
        helper.make_node("Loop", ["steps", "true", "features"], ["quantiles"], body=body),
    ]  # fmt: skip
    return build_model(nodes, output_width=FEATURE_COUNT)


def _huge_tensor() -> onnx.ModelProto:
    nodes = [
        helper.make_node(
            "Constant", [], ["shape"],
            value=helper.make_tensor("shape", TensorProto.INT64, [1], [8 << 30]),
        ),
        helper.make_node("ConstantOfShape", ["shape"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["sum"], keepdims=0),
        helper.make_node("Add", ["features", "sum"], ["quantiles"]),
    ]  # fmt: skip
    return build_model(nodes, output_width=FEATURE_COUNT)


def _other_width() -> onnx.ModelProto:
    node = helper.make_node("Identity", ["features"], ["quantiles"])
    return build_model([node], output_width=FEATURE_COUNT)


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (_endless_loop, "too long|SIGXCPU|SIGKILL"),
        (_huge_tensor, "failed with status"),
        (_other_width, "number of outputs"),
    ],
)
def test_run_when_graph_is_poison_then_the_child_bears_it(
    build: Callable[[], onnx.ModelProto], reason: str
) -> None:
    started = time.monotonic()
    with pytest.raises(ArtifactCanaryFailedError, match=reason):
        run_canary(build().SerializeToString(), ROWS)
    assert time.monotonic() - started < 20
