"""Start the canary child, watch its clock, and turn what happens to it into outputs or one error.

The child is given the very model bytes that were verified. It cannot take the server with it: a
crash, a hang, too much memory or a short answer all end as `ArtifactCanaryFailedError`. The limits
of the child are always in force; what isolates it from network and system depends on the machine,
and what is lacking is logged once.
"""

import logging
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from server.loaders.isolation import WHOLE, Isolation
from server.trust_errors import ArtifactCanaryFailedError

CANARY_COMMAND: tuple[str, ...] = (
    sys.executable,
    "-E",
    "-s",
    "-m",
    "server.loaders.isolated_canary",
)
START_SECONDS_MAX = 30.0
"""For starting Python and the runtime; generous, since that is not the model's doing."""
RUN_SECONDS_MAX = 4.0
OUTPUT_COLUMNS = 2

_IMPORT_ROOT = Path(__file__).resolve().parents[2]
_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1"}
_LOG_CHARACTERS_MAX = 500
_told: set[Isolation] = set()

log = logging.getLogger(__name__)


def run_canary(
    model: bytes,
    rows: NDArray[np.float32],
    command: Sequence[str] = CANARY_COMMAND,
    run_seconds_max: float = RUN_SECONDS_MAX,
) -> NDArray[np.float32]:
    """Evaluate rows with the reference runtime in a limited child process; blocks until it ended.

    Args:
        model: Bytes of the ONNX file.
        rows: float32[n, features].
        command: The child; tests put a misbehaving one in its place.
        run_seconds_max: Time from the child's ready byte to its end.

    Returns:
        float32[n, 2], finite.

    Raises:
        ArtifactCanaryFailedError: The child crashed, hung, or gave too few, too many or unfit
            numbers.
    """
    expected = len(rows) * OUTPUT_COLUMNS * 4
    with tempfile.TemporaryFile() as payload, tempfile.TemporaryFile() as said:
        np.savez(payload, model=np.frombuffer(model, np.uint8), rows=rows)
        payload.seek(0)
        child = subprocess.Popen(
            list(command),
            stdin=payload,
            stdout=subprocess.PIPE,
            stderr=said,
            cwd=_IMPORT_ROOT,
            env=_ENVIRONMENT,
            start_new_session=True,
        )
        try:
            assert child.stdout is not None  # noqa: S101 - stdout=PIPE
            answer = _read_answer(child.stdout, 1 + expected, run_seconds_max)
            status = child.wait(timeout=run_seconds_max)
        except (TimeoutError, subprocess.TimeoutExpired) as error:
            raise ArtifactCanaryFailedError("the trial run took too long") from error
        finally:
            child.kill()
            child.wait()
            if child.stdout is not None:
                child.stdout.close()
        if status != 0:
            raise ArtifactCanaryFailedError(f"the trial run {_describe_end(status, said)}")
    if len(answer) != 1 + expected:
        raise ArtifactCanaryFailedError("the trial run gave another number of outputs")
    _tell_isolation(Isolation(answer[0] & WHOLE))
    outputs = np.frombuffer(answer[1:], "<f4").reshape(-1, OUTPUT_COLUMNS).astype(np.float32)
    if not np.all(np.isfinite(outputs)):
        raise ArtifactCanaryFailedError("the model gives outputs that are not finite")
    return outputs


def _tell_isolation(in_force: Isolation) -> None:
    if in_force in _told:
        return
    _told.add(in_force)
    lacking = WHOLE & ~in_force
    if lacking:
        log.warning("trial runs of models are not isolated from: %s", lacking.name)
    else:
        log.info("trial runs of models have no network and a filter of system calls")


def _read_answer(stream: IO[bytes], bytes_max: int, run_seconds_max: float) -> bytes:
    # Reads to the end of the stream, or one byte more than expected; the clock starts anew at the
    # ready byte.
    answer = BytesIO()
    deadline = time.monotonic() + START_SECONDS_MAX
    while answer.tell() <= bytes_max:
        seconds_left = deadline - time.monotonic()
        if seconds_left <= 0 or not select.select([stream], [], [], seconds_left)[0]:
            raise TimeoutError
        chunk = os.read(stream.fileno(), bytes_max + 1 - answer.tell())
        if not chunk:
            break
        if answer.tell() == 0:
            deadline = time.monotonic() + run_seconds_max
        answer.write(chunk)
    return answer.getvalue()


def _describe_end(status: int, said: IO[bytes]) -> str:
    if status < 0:
        try:
            return f"was ended by {signal.Signals(-status).name}"
        except ValueError:
            return f"was ended by signal {-status}"
    said.seek(0)
    text = said.read(1 << 20).decode(errors="replace").strip()
    return f"failed with status {status}: {text[-_LOG_CHARACTERS_MAX:]}"
