"""Turn the bytes of an artifact into a verified model, or refuse with one distinct error.

The order is the specification; nothing is believed before the step that proves it:
size cap and file names, envelope and signature, SHA-256 of the manifest against the signed
statement, manifest, SHA-256 of the other files, features, encodings, structural allow-list,
lowering, trial run in a child process, the engine's own kernel against the reference runtime, and
last whether the answers can be meant at all. Only memory is read, never a path.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server.hotpath.lowered import EncodingLevel, LoweredModel, LoweredTrees
from server.hotpath.model_features import FEATURE_COUNT, SLIPPAGE_FEATURES, SLIPPAGE_OUTPUTS
from server.hotpath.model_tables import ModelTables, check_capacity, load_model, new_model_tables
from server.hotpath.models import evaluate_rows_nb
from server.loaders.encodings_file import parse_encodings
from server.loaders.manifest import ENCODINGS_FILE, MODEL_FILE, Manifest
from server.loaders.onnx_lowering import lower
from server.loaders.onnx_structure import parse_model
from server.loaders.plausibility import check_plausible
from server.loaders.probe_rows import bound_rounding, build_probe_rows
from server.loaders.release import open_release
from server.loaders.trial_run import run_canary
from server.security.keys import TrustedKey, TrustSet
from server.trust_errors import (
    ArtifactCanaryFailedError,
    ArtifactEncodingsInvalidError,
    ArtifactFeatureMismatchError,
    ArtifactLoweringMismatchError,
    ArtifactManifestInvalidError,
    ArtifactNotNewerError,
    ArtifactStructureRefusedError,
)

TOLERANCE = 1e-5
"""Largest accepted difference relative to the larger of the expected value and one pip."""


@dataclass(frozen=True, slots=True)
class VerifiedArtifact:
    """A model that passed every check; built only by `verify_artifact`.

    Attributes:
        digest: SHA-256 hex of the manifest's bytes.
        manifest: The parsed manifest.
        author: The key that signed the release.
        lowered: The model as the engine evaluates it.
        encodings: Levels of provider and symbol statistics.
    """

    digest: str
    manifest: Manifest
    author: TrustedKey
    lowered: LoweredModel
    encodings: tuple[EncodingLevel, ...]

    def load_into(self, tables: ModelTables, slot: int) -> None:
        """Write the model into a spare slot; see `load_model`."""
        digest, version = bytes.fromhex(self.digest), self.manifest.version_numbers
        load_model(tables, slot, self.lowered, self.encodings, digest, version)


def verify_artifact(files: Mapping[str, bytes], trust: TrustSet) -> VerifiedArtifact:
    """Verify an artifact; takes about a second, most of it the child process.

    Args:
        files: The four files by name, read once; these very bytes are checked and used.
        trust: The accepted author keys.

    Raises:
        ArtifactError: One subclass for each reason, see `server/errors.py`.
    """
    files = dict(files)
    digest, manifest, author = open_release(files, trust, Manifest)
    _check_features(manifest)
    encodings = parse_encodings(files[ENCODINGS_FILE])
    lowered = _lower_model(manifest, files[MODEL_FILE], encodings)
    _check_answers(manifest, files[MODEL_FILE], lowered, encodings)
    return VerifiedArtifact(digest, manifest, author, lowered, encodings)


def require_newer(artifact: VerifiedArtifact, current: tuple[int, int, int] | None) -> None:
    """Refuse a version that is not strictly above the one in use.

    Args:
        artifact: The candidate.
        current: Version in use, None when there is none.

    Raises:
        ArtifactNotNewerError: The candidate is as old or older.
    """
    if current is not None and artifact.manifest.version_numbers <= current:
        raise ArtifactNotNewerError(f"{artifact.manifest.version} is not above the one in use")


def _check_features(manifest: Manifest) -> None:
    features = tuple((feature.name, feature.unit) for feature in manifest.features)
    if features != SLIPPAGE_FEATURES or tuple(manifest.outputs) != SLIPPAGE_OUTPUTS:
        raise ArtifactFeatureMismatchError("features or outputs are not those of this server")
    if any(len(row.features) != FEATURE_COUNT for row in manifest.golden):
        raise ArtifactFeatureMismatchError("a golden row has another number of features")


def _lower_model(
    manifest: Manifest, model: bytes, encodings: tuple[EncodingLevel, ...]
) -> LoweredModel:
    lowered = lower(parse_model(model), FEATURE_COUNT)
    algorithm = "tree_ensemble" if isinstance(lowered, LoweredTrees) else "linear"
    if algorithm != manifest.algorithm:
        raise ArtifactManifestInvalidError(f"the model is a {algorithm}, the manifest differs")
    try:
        check_capacity(lowered, encodings)
    except ValueError as error:
        raise ArtifactStructureRefusedError(str(error)) from error
    return lowered


def _check_answers(
    manifest: Manifest,
    model: bytes,
    lowered: LoweredModel,
    encodings: tuple[EncodingLevel, ...],
) -> None:
    golden_rows = np.array([row.features for row in manifest.golden], np.float32)
    golden_outputs = np.array([row.outputs for row in manifest.golden], np.float64)
    if not np.all(np.isfinite(golden_rows)):
        raise ArtifactManifestInvalidError("a golden input does not fit float32")
    rows = np.concatenate([golden_rows, build_probe_rows(lowered)])
    reference = run_canary(model, rows).astype(np.float64)
    if not _agree(reference[: len(golden_rows)], golden_outputs):
        raise ArtifactCanaryFailedError("the model does not give the golden outputs")
    # The engine's own code on memory of the engine's own shape: what is compared here is what will
    # decide.
    tables = new_model_tables()
    try:
        load_model(tables, 0, lowered, encodings, bytes(32), manifest.version_numbers)
    except ValueError as error:
        raise ArtifactEncodingsInvalidError(str(error)) from error
    outputs = np.empty((len(rows), 2), np.float64)
    complete = evaluate_rows_nb(tables, 0, rows, outputs) == len(rows)
    if not complete or not _agree(outputs, reference, bound_rounding(lowered, rows)):
        raise ArtifactLoweringMismatchError("the engine and the reference runtime differ")
    check_plausible(tables, 0, lowered, encodings)


def _agree(
    actual: NDArray[np.float64],
    expected: NDArray[np.float64],
    rounding: NDArray[np.float64] | float = 0.0,
) -> bool:
    bound = np.maximum(TOLERANCE * np.maximum(1.0, np.abs(expected)), rounding)
    return bool(np.all(np.abs(actual - expected) <= bound))
