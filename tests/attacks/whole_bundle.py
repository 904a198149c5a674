"""All the bytes that stand behind one activation, judged together as an engine does it."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from typing import Any, Final
from unittest import mock

import numpy as np
import onnx
from numpy.typing import NDArray

from riskgate.v1 import state_pb2
from server.loaders import artifact as artifact_module
from server.loaders.artifact import verify_artifact
from server.loaders.manifest import (
    ENCODINGS_FILE,
    ENVELOPE_FILE,
    GOLDEN_ROWS_MIN,
    MANIFEST_FILE,
    MODEL_FILE,
    Manifest,
)
from server.loaders.release import open_release
from server.security.activation_proof import check_proof
from server.security.trust_set import verify_trust_chain
from tests.artifact_builder import LEVELS, build_artifact
from tests.attacks.cast import NOW_NS, activation, key_of, signed, trust_payload
from tests.onnx_builder import (
    FEATURE_COUNT,
    build_linear_model,
    build_random_trees,
    build_tree_model,
)

Parts = dict[str, bytes]

ACTIVATION: Final = "activation"
TRUST: Final = "trust set"
ARTIFACT: Final = (MODEL_FILE, ENCODINGS_FILE, MANIFEST_FILE, ENVELOPE_FILE)

_FIRST: Final = trust_payload("author", "risk1", "tech1", "root1", root_threshold=1)
_PIN: Final = sha256(_FIRST).hexdigest()


class CanaryReachedError(Exception):
    """The signed chain has held, and the trial run would begin."""


@contextmanager
def stopping_at_the_canary() -> Iterator[None]:
    """Within, an artifact whose signed chain holds ends with CanaryReachedError."""
    with mock.patch.object(artifact_module, "run_canary", side_effect=CanaryReachedError):
        yield


class WholeBundle:
    """A sound bundle.

    Attributes:
        parts: The artifact's files, the activation envelope and the trust set, by name.
        digest: What the feed names; not a part, since it does not come from a file.
    """

    def __init__(self, model: onnx.ModelProto, algorithm: str, **manifest: Any) -> None:
        def change(document: dict[str, Any]) -> None:
            document.update(manifest, algorithm=algorithm)

        files = build_artifact(key_of("author"), model, LEVELS[:1], change_manifest=change)
        self.digest = sha256(files[MANIFEST_FILE]).digest()
        self.parts: Parts = files | {
            ACTIVATION: activation(digest=self.digest.hex(), fallback_digest=""),
            TRUST: signed(_FIRST, "trust", "root1"),
        }

    def judge(self, changes: Parts) -> None:
        """Take every step from the trust set to the trial run, with some parts changed."""
        parts = self.parts | changes
        trust, _ = verify_trust_chain([parts[TRUST]], _PIN)
        files = {name: parts[name] for name in ARTIFACT}
        check_proof(
            state_pb2.ActivationProof(activation=parts[ACTIVATION], activated_at_ns=NOW_NS),
            purpose="slippage",
            digest=self.digest,
            serial=1,
            active_serial=0,
            trust=trust,
            find_author=lambda _: open_release(files, trust, Manifest)[2],
        )
        verify_artifact(files, trust)


@cache
def small_bundle() -> WholeBundle:
    """A linear model with short numbers."""
    coefficients: NDArray[np.float32] = np.zeros((2, FEATURE_COUNT), np.float32)
    model = build_linear_model(coefficients, [0.5, 1.5])
    row = {"features": [0.0] * FEATURE_COUNT, "outputs": [0.5, 1.5]}
    return WholeBundle(model, "linear", golden=[row] * GOLDEN_ROWS_MIN)


@cache
def large_bundle() -> WholeBundle:
    """Two hundred trees."""
    trees = build_random_trees(np.random.default_rng(5), 200, 6)
    return WholeBundle(build_tree_model(trees), "tree_ensemble")
