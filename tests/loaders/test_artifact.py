"""Whole artifacts: a good one loads, every kind of bad one is refused by its own error."""

import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from onnx import helper

from server.hotpath.lowered import LoweredTrees
from server.hotpath.models import KIND_TREES, evaluate_nb, new_model_tables
from server.loaders import artifact as artifact_module
from server.loaders import trial_run
from server.loaders.artifact import require_newer, verify_artifact
from server.loaders.manifest import ARTIFACT_BYTES_MAX
from server.loaders.onnx_lowering import lower
from server.security.canonical import encode_canonical
from server.security.keys import TrustSet, ensure_development_keys
from server.security.trust_set import load_trust_set
from server.trust_errors import (
    ArtifactCanaryFailedError,
    ArtifactEncodingsInvalidError,
    ArtifactEnvelopeNotCanonicalError,
    ArtifactError,
    ArtifactFeatureMismatchError,
    ArtifactHashMismatchError,
    ArtifactLoweringMismatchError,
    ArtifactManifestInvalidError,
    ArtifactNotNewerError,
    ArtifactSignatureInvalidError,
    ArtifactStructureRefusedError,
    ArtifactTooLargeError,
    ArtifactUnknownFileError,
    ArtifactUntrustedKeyError,
)
from tests.artifact_builder import (
    LEVELS,
    Document,
    build_artifact,
    build_small_model,
    load_author_key,
    seal_artifact,
)
from tests.onnx_builder import FEATURE_COUNT, build_linear_model, build_model

SEED = 20_260_303
FLIPS = 600

Files = dict[str, bytes]


@pytest.fixture(scope="module")
def keys_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("keys")
    ensure_development_keys(directory)
    return directory


@pytest.fixture(scope="module")
def trust(keys_dir: Path) -> TrustSet:
    return load_trust_set(keys_dir)


@pytest.fixture(scope="module")
def key(keys_dir: Path) -> Ed25519PrivateKey:
    return load_author_key(keys_dir)


@pytest.fixture(scope="module")
def good(key: Ed25519PrivateKey) -> Files:
    return build_artifact(key)


def test_verify_when_trees_are_sound_then_model_is_ready(good: Files, trust: TrustSet) -> None:
    verified = verify_artifact(good, trust)
    assert verified.digest == sha256(good["manifest.json"]).hexdigest()
    assert verified.manifest.version_numbers == (1, 0, 0)
    assert verified.author.person == "development-author"
    assert len(verified.encodings) == len(LEVELS)
    tables, out = new_model_tables(), np.empty(2)
    verified.load_into(tables, 2)
    assert tables.slots[2]["kind"] == KIND_TREES
    assert tables.slots[2]["digest"].tobytes().hex() == verified.digest
    for golden in verified.manifest.golden:
        assert evaluate_nb(tables, 2, np.array(golden.features, np.float32), out)
        np.testing.assert_allclose(out, golden.outputs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("scaled", [False, True])
def test_verify_when_linear_is_sound_then_model_is_ready(
    key: Ed25519PrivateKey, trust: TrustSet, scaled: bool
) -> None:
    rng = np.random.default_rng(SEED)
    # The same slopes for both quantiles: they cross nowhere. History only raises slippage.
    coefficients = np.tile(rng.normal(0, 0.01, FEATURE_COUNT), (2, 1)).astype(np.float32)
    coefficients[:, :3] = 0.5, 0.25, -0.0001
    scaler = (rng.normal(size=11), 0.1 + rng.random(11)) if scaled else (None, None)
    model = build_linear_model(coefficients, [0.5, 1.5], *scaler)
    files = build_artifact(key, model, change_manifest=_set("algorithm", "linear"))
    assert verify_artifact(files, trust).lowered.feature_count == FEATURE_COUNT


def test_require_newer_when_version_is_not_above_then_refused(good: Files, trust: TrustSet) -> None:
    verified = verify_artifact(good, trust)
    require_newer(verified, None)
    require_newer(verified, (0, 99, 99))
    for current in ((1, 0, 0), (1, 0, 1), (1, 1, 0), (2, 0, 0)):
        with pytest.raises(ArtifactNotNewerError):
            require_newer(verified, current)


def _refuse(files: Files, trust: TrustSet, error: type[ArtifactError], match: str = ".") -> None:
    with pytest.raises(ArtifactError, match=match) as caught:
        verify_artifact(files, trust)
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"model.onnx": b"\0" * ARTIFACT_BYTES_MAX}, ArtifactTooLargeError),
        ({"big.bin": b"\0" * ARTIFACT_BYTES_MAX}, ArtifactTooLargeError),
        ({"manifest.json": b" " * (5 << 20)}, ArtifactTooLargeError),
        ({"envelope.dsse.json": b" " * (5 << 20)}, ArtifactTooLargeError),
        ({"readme.txt": b"x"}, ArtifactUnknownFileError),
        ({".git/hooks": b"x"}, ArtifactUnknownFileError),
        ({"envelope.dsse.json": b"{}"}, ArtifactEnvelopeNotCanonicalError),
        ({"manifest.json": b"{}"}, ArtifactHashMismatchError),
        ({"model.onnx": b""}, ArtifactHashMismatchError),
        ({"encodings.json": b'{"levels":[]}'}, ArtifactHashMismatchError),
    ],
)
def test_verify_when_files_are_changed_then_refused(
    good: Files, trust: TrustSet, changes: Files, error: type[ArtifactError]
) -> None:
    _refuse(good | changes, trust, error)


@pytest.mark.parametrize(
    "name", ["model.onnx", "manifest.json", "encodings.json", "envelope.dsse.json"]
)
def test_verify_when_a_file_is_missing_then_refused(
    good: Files, trust: TrustSet, name: str
) -> None:
    files = {other: content for other, content in good.items() if other != name}
    _refuse(files, trust, ArtifactUnknownFileError, name)


def test_verify_when_signed_by_another_key_then_refused(trust: TrustSet) -> None:
    _refuse(build_artifact(Ed25519PrivateKey.generate()), trust, ArtifactUntrustedKeyError)


def test_verify_when_envelope_is_of_another_artifact_then_refused(
    good: Files, key: Ed25519PrivateKey, trust: TrustSet
) -> None:
    other = build_artifact(key, build_small_model(seed=8))
    for name in ("envelope.dsse.json", "manifest.json", "model.onnx"):
        _refuse(good | {name: other[name]}, trust, ArtifactHashMismatchError)


def test_verify_when_statement_contradicts_the_manifest_then_refused(
    key: Ed25519PrivateKey, trust: TrustSet
) -> None:
    for files in (
        build_artifact(key, version="1.0.1"),
        build_artifact(key, purpose="performance_score"),
    ):
        _refuse(files, trust, ArtifactManifestInvalidError, "contradicts")
    _refuse(build_artifact(key, statement="other"), trust, ArtifactSignatureInvalidError)


def _set(name: str, value: Any) -> Callable[[Document], None]:
    return lambda document: document.__setitem__(name, value)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (_set("format", 2), "format"),
        (_set("purpose", "direction"), "purpose"),
        (_set("algorithm", "mlp"), "algorithm"),
        (_set("algorithm", "linear"), "is a tree_ensemble"),
        (_set("version", "1.0"), "version"),
        (_set("version", "01.0.0"), "version"),
        (_set("version", "1.0.0-rc1"), "version"),
        (_set("version", 1), "version"),
        (_set("author", ""), "author"),
        (_set("created_at", "2026-02-30T00:00:00Z"), "created_at"),
        (_set("created_at", "2026-01-02T03:04:05+01:00"), "created_at"),
        (_set("comment", "x"), "comment"),
        (lambda manifest: manifest.__delitem__("metrics"), "metrics"),
        (lambda manifest: manifest["training"].__delitem__("rows"), "training lacks rows"),
        (lambda manifest: manifest["files"].__delitem__("encodings.json"), "files"),
        (
            lambda manifest: manifest["files"].__setitem__("x", {"sha256": "0" * 64, "bytes": 1}),
            "files",
        ),
        (lambda manifest: manifest["files"]["model.onnx"].__setitem__("bytes", "9"), "bytes"),
        (lambda manifest: manifest["files"]["model.onnx"].__setitem__("sha256", "x"), "sha256"),
        (lambda manifest: manifest["golden"].pop(), "golden"),
        (lambda manifest: manifest["golden"][0]["outputs"].pop(), "golden"),
        (lambda manifest: manifest["golden"][0]["features"].__setitem__(0, "1"), "golden"),
        (lambda manifest: manifest["golden"][0]["features"].__setitem__(0, 1e300), "float32"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_verify_when_manifest_breaks_a_rule_then_refused(
    key: Ed25519PrivateKey, trust: TrustSet, change: Callable[[Document], None], match: str
) -> None:
    _refuse(build_artifact(key, change_manifest=change), trust, ArtifactManifestInvalidError, match)


def test_verify_when_manifest_is_not_canonical_then_refused(
    good: Files, key: Ed25519PrivateKey, trust: TrustSet
) -> None:
    for manifest in (
        good["manifest.json"] + b"\n",
        good["manifest.json"].replace(b'"format":1', b'"format":1,"format":1'),
        b"[" * 200_000,
        b"\xff",
    ):
        files = seal_artifact(key, good["model.onnx"], good["encodings.json"], manifest)
        _refuse(files, trust, ArtifactManifestInvalidError)


@pytest.mark.parametrize("field", ["sha256", "bytes"])
@pytest.mark.parametrize("name", ["model.onnx", "encodings.json"])
def test_verify_when_signed_manifest_pins_another_file_then_refused(
    key: Ed25519PrivateKey, trust: TrustSet, name: str, field: str
) -> None:
    def change(manifest: Document) -> None:
        manifest["files"][name][field] = {"sha256": "0" * 64, "bytes": 17}[field]

    _refuse(build_artifact(key, change_manifest=change), trust, ArtifactHashMismatchError, name)


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest["features"].reverse(),
        lambda manifest: manifest["features"].pop(),
        lambda manifest: manifest["features"][6].__setitem__("unit", "price"),
        lambda manifest: manifest["features"][6].__setitem__("name", "atr"),
        _set("outputs", ["q90_pips", "q50_pips"]),
        _set("outputs", ["q50_pips"]),
        lambda manifest: manifest["golden"][3]["features"].append(1.0),
    ],
)
def test_verify_when_features_are_not_ours_then_refused(
    key: Ed25519PrivateKey, trust: TrustSet, change: Callable[[Document], None]
) -> None:
    _refuse(build_artifact(key, change_manifest=change), trust, ArtifactFeatureMismatchError)


def _level(**changes: Any) -> Document:
    return LEVELS[1] | changes


@pytest.mark.parametrize(
    "levels",
    [
        [],
        [LEVELS[1]],
        [*LEVELS, LEVELS[0]],
        [*LEVELS, _level(q50_pips=9.0)],
        [LEVELS[0], _level(provider_id="x" * 65)],
        [LEVELS[0], _level(provider_id="\u4e2d" * 22)],
        [LEVELS[0], _level(symbol="x" * 33)],
        [LEVELS[0], _level(symbol="a\0b")],
        [LEVELS[0], _level(provider_id="")],
        [LEVELS[0], _level(provider_type="")],
        [LEVELS[0], _level(provider_type="robot")],
        [LEVELS[0], _level(q90_pips="1")],
        [LEVELS[0], _level(q90_pips=1e300)],
        [LEVELS[0], _level(weight=1)],
        [{"symbol": ""}],
        "levels",
    ],
)
def test_verify_when_encodings_break_a_rule_then_refused(
    key: Ed25519PrivateKey, trust: TrustSet, levels: Any
) -> None:
    _refuse(build_artifact(key, levels=levels), trust, ArtifactEncodingsInvalidError)


def test_verify_when_structure_is_not_allowed_then_refused(
    key: Ed25519PrivateKey, trust: TrustSet
) -> None:
    good_model = build_small_model().SerializeToString()
    poison = build_small_model()
    poison.graph.node[0].attribute.append(helper.make_attribute("body", poison.graph))
    identity = build_model([helper.make_node("Identity", ["features"], ["quantiles"])])
    for model in (poison.SerializeToString(), identity.SerializeToString(), b"", b"\xff\xff"):
        # An empty file cannot be listed in a manifest: one byte stands for it.
        files = build_artifact(key, model or b"\0", golden_from=good_model)
        _refuse(files, trust, ArtifactStructureRefusedError)


def test_verify_when_golden_outputs_differ_then_refused(
    key: Ed25519PrivateKey, trust: TrustSet
) -> None:
    def change(manifest: Document) -> None:
        manifest["golden"][5]["outputs"][1] += 0.001

    files = build_artifact(key, change_manifest=change)
    _refuse(files, trust, ArtifactCanaryFailedError, "golden")


@pytest.mark.parametrize("script", ["os.kill(os.getpid(), signal.SIGSEGV)", "os._exit(0)"])
def test_verify_when_canary_dies_then_refused(
    good: Files, trust: TrustSet, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    command = (sys.executable, "-c", f"import os, signal; {script}")

    def run(model: bytes, rows: Any) -> Any:
        return trial_run.run_canary(model, rows, command)

    monkeypatch.setattr(artifact_module, "run_canary", run)
    _refuse(good, trust, ArtifactCanaryFailedError)


def test_verify_when_lowering_is_wrong_then_refused(
    good: Files, trust: TrustSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lower_wrongly(model: Any, feature_count: int) -> Any:
        lowered = lower(model, feature_count)
        assert isinstance(lowered, LoweredTrees)
        lowered.weights[-1] += 0.001
        return lowered

    monkeypatch.setattr(artifact_module, "lower", lower_wrongly)
    _refuse(good, trust, ArtifactLoweringMismatchError)


def test_verify_when_any_bit_is_flipped_then_refused_before_anything_runs(
    good: Files, trust: TrustSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise AssertionError("a damaged artifact reached the runtime")

    monkeypatch.setattr(artifact_module, "run_canary", fail)
    monkeypatch.setattr(artifact_module, "lower", fail)
    rng = np.random.default_rng(SEED)
    sizes = {name: 8 * len(content) for name, content in good.items()}
    # Every file gets its share, so that the small envelope is not lost beside the manifest.
    for name, bits in sizes.items():
        for position in rng.choice(bits, FLIPS // len(sizes), replace=False):
            flipped = bytearray(good[name])
            flipped[position // 8] ^= 1 << (position % 8)
            with pytest.raises(ArtifactError):
                verify_artifact(good | {name: bytes(flipped)}, trust)


@pytest.mark.campaign
def test_verify_when_every_single_bit_is_flipped_then_refused(good: Files, trust: TrustSet) -> None:
    for name, content in good.items():
        for position in range(8 * len(content)):
            flipped = bytearray(content)
            flipped[position // 8] ^= 1 << (position % 8)
            with pytest.raises(ArtifactError):
                verify_artifact(good | {name: bytes(flipped)}, trust)


def test_verify_when_truncated_at_any_length_then_refused(good: Files, trust: TrustSet) -> None:
    for name, content in good.items():
        for length in range(0, len(content), max(1, len(content) // 100)):
            with pytest.raises(ArtifactError):
                verify_artifact(good | {name: content[:length]}, trust)


def test_verify_when_encodings_are_reordered_then_hash_differs(
    good: Files, trust: TrustSet
) -> None:
    reordered = encode_canonical({"levels": LEVELS[::-1]})
    _refuse(good | {"encodings.json": reordered}, trust, ArtifactHashMismatchError)
