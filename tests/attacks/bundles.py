"""Artifacts put together from the parts of several, and releases by the wrong people."""

import json
from functools import cache, partial
from itertools import combinations
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.loaders.manifest import (
    ARTIFACT_BYTES_MAX,
    ENCODINGS_FILE,
    ENVELOPE_FILE,
    MANIFEST_BYTES_MAX,
    MANIFEST_FILE,
    MODEL_FILE,
    POLICY_FILE,
    Manifest,
)
from server.loaders.release import open_release
from server.security.canonical import encode_canonical
from server.security.statements import merge_signatures, payload_of, sign_statement
from server.security.trusted_key import TrustSet
from server.trust_errors import (
    ArtifactEnvelopeNotCanonicalError,
    ArtifactError,
    ArtifactHashMismatchError,
    ArtifactManifestInvalidError,
    ArtifactSignatureInvalidError,
    ArtifactTooLargeError,
    ArtifactUnknownFileError,
    ArtifactUntrustedKeyError,
)
from tests.artifact_builder import LEVELS, build_artifact, build_small_model
from tests.attacks.cast import EVERYBODY, TRUST, Attack, activation, key_of, trust_of

Files = dict[str, bytes]
FILES: Final = (MODEL_FILE, ENCODINGS_FILE, MANIFEST_FILE, ENVELOPE_FILE)


@cache
def _bundle(signer: str, seed: int, version: str) -> Files:
    def change(manifest: dict[str, Any]) -> None:
        manifest["version"] = version

    levels = [level | {"q90_pips": level["q90_pips"] + seed} for level in LEVELS]
    key: Ed25519PrivateKey = key_of(signer)
    model = build_small_model(seed)
    return build_artifact(key, model, levels, change_manifest=change, version=version)


def bundle(name: str) -> Files:
    """Return one of three: own and newer are by one author, foreign is by another."""
    signer, seed, version = {
        "own": ("author", 7, "1.0.0"),
        "newer": ("author", 8, "2.0.0"),
        "foreign": ("other_author", 9, "1.0.0"),
    }[name]
    return dict(_bundle(signer, seed, version))


def open_(files: Files, trust: TrustSet = TRUST) -> object:
    return open_release(files, trust, Manifest)


def _mix(other: str, parts: tuple[str, ...]) -> object:
    theirs = bundle(other)
    return open_(bundle("own") | {name: theirs[name] for name in parts})


def _with(**changes: bytes | None) -> object:
    names = {"model": MODEL_FILE, "manifest": MANIFEST_FILE, "envelope": ENVELOPE_FILE}
    files = bundle("own")
    for name, content in changes.items():
        if content is None:
            del files[names[name]]
        else:
            files[names[name]] = content
    return open_(files)


def _signed_by(*signers: str, kind: Any = "release", **changes: Any) -> object:
    """The own artifact's release, signed by others, as another kind, or saying something else."""
    fields = json.loads(payload_of(bundle("own")[ENVELOPE_FILE], "release")) | changes
    envelopes = [sign_statement(encode_canonical(fields), kind, key_of(name)) for name in signers]
    envelope = envelopes[0]
    for other in envelopes[1:]:
        envelope = merge_signatures(envelope, other)
    return _with(envelope=envelope)


def _after_author_has_left() -> object:
    staff = [name for name in EVERYBODY if name != "author"]
    return open_(bundle("own"), trust_of(*staff, version=2))


Case = tuple[str, type[ArtifactError], Any]

_CASES: Final[list[Case]] = [
    *(
        (f"released by {name}", ArtifactUntrustedKeyError, partial(_signed_by, name))
        for name in ("outsider", "risk1", "tech1", "control", "root1", "author_as_risk")
    ),
    ("author has left", ArtifactUntrustedKeyError, _after_author_has_left),
    (
        "released by two",
        ArtifactSignatureInvalidError,
        partial(_signed_by, "author", "other_author"),
    ),
    (
        "an approval by one in place of the release",
        ArtifactUntrustedKeyError,
        lambda: _with(envelope=activation("risk1")),
    ),
    (
        "an approval by two in place of the release",
        ArtifactSignatureInvalidError,
        lambda: _with(envelope=activation()),
    ),
    *(
        (
            f"released as {kind}",
            ArtifactSignatureInvalidError,
            partial(_signed_by, "author", kind=kind),
        )
        for kind in ("activation", "rollback", "trust", "head", "checkpoint")
    ),
    (
        "release of another version",
        ArtifactManifestInvalidError,
        partial(_signed_by, "author", version="9.0.0"),
    ),
    (
        "release for another purpose",
        ArtifactManifestInvalidError,
        partial(_signed_by, "author", purpose="risk_policy"),
    ),
    (
        "release of another manifest",
        ArtifactHashMismatchError,
        partial(_signed_by, "author", manifest_sha256="0" * 64),
    ),
    (
        "release that says more",
        ArtifactSignatureInvalidError,
        partial(_signed_by, "author", serial=1),
    ),
    (
        "release in a later form",
        ArtifactSignatureInvalidError,
        partial(_signed_by, "author", statement="riskgate.release.v2"),
    ),
    ("no model", ArtifactUnknownFileError, lambda: _with(model=None)),
    ("no manifest", ArtifactUnknownFileError, lambda: _with(manifest=None)),
    ("no envelope", ArtifactUnknownFileError, lambda: _with(envelope=None)),
    ("an empty model", ArtifactHashMismatchError, lambda: _with(model=b"")),
    ("an empty envelope", ArtifactEnvelopeNotCanonicalError, lambda: _with(envelope=b"")),
    (
        "a byte behind the model",
        ArtifactHashMismatchError,
        lambda: _with(model=bundle("own")[MODEL_FILE] + b"\0"),
    ),
    (
        "a byte behind the manifest",
        ArtifactHashMismatchError,
        lambda: _with(manifest=bundle("own")[MANIFEST_FILE] + b"\n"),
    ),
    (
        "a file too many",
        ArtifactUnknownFileError,
        lambda: open_(bundle("own") | {"weights.bin": b"x"}),
    ),
    (
        "a policy beside the model",
        ArtifactUnknownFileError,
        lambda: open_(bundle("own") | {POLICY_FILE: b"{}"}),
    ),
    (
        "a policy in place of the model",
        ArtifactUnknownFileError,
        lambda: open_({POLICY_FILE: b"{}"} | {name: bundle("own")[name] for name in FILES[2:]}),
    ),
    ("a model without end", ArtifactTooLargeError, lambda: _with(model=bytes(ARTIFACT_BYTES_MAX))),
    (
        "a manifest without end",
        ArtifactTooLargeError,
        lambda: _with(manifest=b" " * (MANIFEST_BYTES_MAX + 1)),
    ),
    (
        "an envelope without end",
        ArtifactTooLargeError,
        lambda: _with(envelope=b" " * ((1 << 20) + 1)),
    ),
]

ATTACKS: Final = [
    *(
        Attack(
            f"bundle: {' and '.join(parts)} of a {other} one",
            ArtifactHashMismatchError,
            partial(_mix, other, parts),
        )
        for other in ("newer", "foreign")
        for count in range(1, len(FILES))
        for parts in combinations(FILES, count)
    ),
    *(Attack(f"bundle: {name}", error, attempt) for name, error, attempt in _CASES),
]
