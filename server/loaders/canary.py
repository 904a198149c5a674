"""The trial run of a model, in a process of its own (`isolated_canary.py` starts it).

Reads an `.npz` with `model` (uint8 bytes of the ONNX file) and `rows` (float32[n, features]) on
standard input, writes one ready byte, then the outputs as raw little-endian float32[n, 2] on
standard output. It limits its own memory, CPU time, files, life span and system calls before it
touches the model: whatever the model does, it does here, briefly. The ready byte says which
isolation is in force.
"""

import os
import resource
import signal
import sys
from io import BytesIO

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from server.loaders.isolation import Isolation, filter_system_calls

READY = 0x40
ADDRESS_SPACE_BYTES_MAX = 1 << 30
CPU_SECONDS_MAX = 3
LIFE_SECONDS_MAX = 10
FILE_BYTES_MAX = 1 << 20
OPEN_FILES_MAX = 32


def main(in_force: Isolation) -> None:
    """Run the model on standard input once; any failure gives a status other than 0.

    Args:
        in_force: Isolation that was reached before.
    """
    payload = np.load(BytesIO(sys.stdin.buffer.read()), allow_pickle=False)
    model, rows = payload["model"].tobytes(), payload["rows"]
    # Standard output becomes private to this function: text that a library prints cannot mix with
    # the result.
    output = os.dup(1)
    os.dup2(2, 1)
    limit_resources()
    in_force |= filter_system_calls()
    os.write(output, bytes([READY | in_force]))
    with os.fdopen(output, "wb") as stream:
        stream.write(run_model(model, rows).astype("<f4").tobytes())


def limit_resources() -> None:
    """Lower the limits of this process for good.

    The CPU limit counts from here, since starting the interpreter and the runtime is not the
    model's doing.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu_seconds = int(used.ru_utime + used.ru_stime) + 1 + CPU_SECONDS_MAX
    limits = {
        resource.RLIMIT_AS: ADDRESS_SPACE_BYTES_MAX,
        resource.RLIMIT_CPU: cpu_seconds,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: FILE_BYTES_MAX,
        resource.RLIMIT_NOFILE: OPEN_FILES_MAX,
    }
    for kind, value in limits.items():
        resource.setrlimit(kind, (value, value))
    # If the parent dies first, nobody else ends a trial that sleeps.
    signal.alarm(LIFE_SECONDS_MAX)


def run_model(model: bytes, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Evaluate rows with the reference runtime, one thread, no graph rewriting."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (outputs,) = session.run(["quantiles"], {"features": rows})
    return np.asarray(outputs, np.float32)
