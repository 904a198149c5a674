"""Artifacts of risk policies: a good one is read, every kind of bad one has an error of its own."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.loaders.artifact import verify_artifact
from server.loaders.artifact_store import ArtifactStore
from server.loaders.manifest import ARTIFACT_BYTES_MAX
from server.loaders.policy_artifact import verify_policy
from server.loaders.policy_release import build_policy_release
from server.policy import DEFAULT_POLICY, canonical_bytes, policy_row
from server.security.canonical import decode_canonical, encode_canonical
from server.security.keys import TrustSet, ensure_development_keys
from server.security.trust_set import load_trust_set
from server.trust_errors import (
    ArtifactEnvelopeNotCanonicalError,
    ArtifactError,
    ArtifactHashMismatchError,
    ArtifactManifestInvalidError,
    ArtifactPolicyInvalidError,
    ArtifactSignatureInvalidError,
    ArtifactTooLargeError,
    ArtifactUnknownFileError,
    ArtifactUntrustedKeyError,
)
from tests.artifact_builder import build_artifact, load_author_key, sign_statement

Files = dict[str, bytes]


@pytest.fixture(scope="module")
def keys_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    ensure_development_keys(folder)
    return folder


@pytest.fixture(scope="module")
def key(keys_dir: Path) -> Ed25519PrivateKey:
    return load_author_key(keys_dir)


@pytest.fixture(scope="module")
def trust(keys_dir: Path) -> TrustSet:
    return load_trust_set(keys_dir)


def seal(
    key: Ed25519PrivateKey, content: bytes, manifest: dict[str, Any] | None = None, **statement: Any
) -> Files:
    """Any content, signed: what only an author who errs could send."""
    good = build_policy_release(DEFAULT_POLICY, "ann", key)
    document = decode_canonical(good["manifest.json"]) | {
        "files": {"policy.json": {"sha256": sha256(content).hexdigest(), "bytes": len(content)}}
    }
    raw = encode_canonical(document | (manifest or {}))
    said = {
        "statement": "riskgate.release.v1",
        "purpose": "risk_policy",
        "version": "1.0.0",
        "manifest_sha256": sha256(raw).hexdigest(),
    }
    envelope = sign_statement(said | statement, key)
    return {"policy.json": content, "manifest.json": raw, "envelope.dsse.json": envelope}


def test_verify_when_sound_then_gives_the_policy_and_its_row_has_the_digest_of_the_file(
    key: Ed25519PrivateKey, trust: TrustSet, tmp_path: Path
) -> None:
    files = build_policy_release(DEFAULT_POLICY, "ann", key)
    verified = verify_policy(files, trust)
    assert verified.policy == DEFAULT_POLICY
    assert verified.digest == sha256(files["manifest.json"]).hexdigest()
    assert (verified.manifest.version, verified.author.person) == ("1.0.0", "development-author")
    row = policy_row(verified.policy)
    assert row["digest"].tobytes() == sha256(files["policy.json"]).digest()
    store = ArtifactStore(tmp_path)
    assert store.read(store.put(files)) == files


def test_verify_when_an_artifact_is_of_the_other_kind_then_refused(
    key: Ed25519PrivateKey, trust: TrustSet
) -> None:
    with pytest.raises(ArtifactUnknownFileError):
        verify_artifact(build_policy_release(DEFAULT_POLICY, "ann", key), trust)
    with pytest.raises(ArtifactUnknownFileError):
        verify_policy(build_artifact(key), trust)


def test_verify_when_a_step_of_the_chain_fails_then_its_own_error(
    key: Ed25519PrivateKey, trust: TrustSet
) -> None:
    good = build_policy_release(DEFAULT_POLICY, "ann", key)
    stranger = build_policy_release(DEFAULT_POLICY, "ann", Ed25519PrivateKey.generate())
    other = build_policy_release(DEFAULT_POLICY | {"k_slip": 2.0}, "ann", key)
    content = canonical_bytes(DEFAULT_POLICY)
    envelope = decode_canonical(good["envelope.dsse.json"])
    envelope["signatures"][0]["sig"] = decode_canonical(other["envelope.dsse.json"])["signatures"][
        0
    ]["sig"]
    refusals: list[tuple[Files, type[ArtifactError]]] = [
        (good | {"policy.json": bytes(ARTIFACT_BYTES_MAX)}, ArtifactTooLargeError),
        (good | {"model.onnx": b"x"}, ArtifactUnknownFileError),
        ({"policy.json": content}, ArtifactUnknownFileError),
        (good | {"envelope.dsse.json": b"{ }"}, ArtifactEnvelopeNotCanonicalError),
        (stranger, ArtifactUntrustedKeyError),
        (good | {"envelope.dsse.json": encode_canonical(envelope)}, ArtifactSignatureInvalidError),
        (good | {"manifest.json": good["manifest.json"] + b" "}, ArtifactHashMismatchError),
        (seal(key, content, {"purpose": "slippage"}), ArtifactManifestInvalidError),
        (seal(key, content, {"algorithm": "linear"}), ArtifactManifestInvalidError),
        (seal(key, content, {"note": "x"}), ArtifactManifestInvalidError),
        (seal(key, content, purpose="slippage"), ArtifactManifestInvalidError),
        (seal(key, content, {"version": "2.0.0"}, version="2.0.0"), ArtifactManifestInvalidError),
        (good | {"policy.json": other["policy.json"]}, ArtifactHashMismatchError),
        (seal(key, content + b"\n"), ArtifactPolicyInvalidError),
    ]
    for position, (files, error) in enumerate(refusals):
        with pytest.raises(ArtifactError) as refused:
            verify_policy(files, trust)
        assert type(refused.value) is error, position


RISING = [[10 * step, 1.0] for step in range(8)]


@pytest.mark.parametrize(
    "changes",
    [
        {"multiplier": []},
        {"multiplier": [*RISING, [90, 1.0]]},
        {"multiplier": [[50, 1.0], [50, 1.2]]},
        {"multiplier": [[65, 1.0], [50, 1.2]]},
        {"multiplier": [[0, 1.500001]]},
        {"multiplier": [[0, -0.1]]},
        {"multiplier": [[-1, 1.0]]},
        {"multiplier": [[101, 1.0]]},
        {"multiplier": [[0, True]]},
        {"multiplier": [[0, 1.0, 2.0]]},
        {"quality": [[0, -0.000001]]},
        {"quality": [[60, 1.0], [50, 1.0]]},
        {"k_slip": -1},
        {"k_atr": 10_000.5},
        {"k_slip": 10**400},
        {"k_slip": "1"},
        {"k_slip": -0.0},
        {"k_slip": None},
        {"slippage_cap_pips": -1},
        {"slippage_floor_pips": 51},
        {"buffer_min_pips": 3, "buffer_max_pips": 2},
        {"score_weights": [0.35, 0.25, 0.20, 0.15, 0.06]},
        {"score_weights": [1.2, -0.2, 0, 0, 0]},
        {"score_weights": [0.5, 0.5]},
        {"score_drawdown_scale": 0},
        {"score_reward_risk_scale": 0},
        {"version": "1.0"},
        {"more": 1},
    ],
)
def test_verify_when_the_policy_is_out_of_range_then_refused_although_signed(
    key: Ed25519PrivateKey, trust: TrustSet, changes: dict[str, Any]
) -> None:
    with pytest.raises(ArtifactPolicyInvalidError):
        verify_policy(seal(key, canonical_bytes(DEFAULT_POLICY | changes)), trust)


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"1e999"])
def test_verify_when_a_number_is_not_finite_then_refused(
    key: Ed25519PrivateKey, trust: TrustSet, number: bytes
) -> None:
    content = canonical_bytes(DEFAULT_POLICY).replace(b'"k_slip":1.0', b'"k_slip":' + number)
    assert number in content
    with pytest.raises(ArtifactPolicyInvalidError):
        verify_policy(seal(key, content), trust)


def test_verify_when_at_its_bounds_then_accepted(key: Ed25519PrivateKey, trust: TrustSet) -> None:
    policy = DEFAULT_POLICY | {
        "multiplier": [*RISING[:7], [100, 1.5]],
        "k_slip": 1e4,
        "buffer_max_pips": 0,
        "score_weights": [1, 0, 0, 0, 0.0],
    }
    assert verify_policy(seal(key, canonical_bytes(policy)), trust).policy == policy
