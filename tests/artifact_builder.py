"""Build signed artifacts, with a hook at each layer so that a test can break one thing."""

from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner, SSlibKey

from server.hotpath.model_features import SLIPPAGE_FEATURES, SLIPPAGE_OUTPUTS
from server.loaders.canary import run_model
from server.loaders.manifest import ENCODINGS_FILE, ENVELOPE_FILE, MANIFEST_FILE, MODEL_FILE
from server.security.canonical import encode_canonical
from server.security.envelope import PAYLOAD_TYPE, STATEMENT
from server.security.keys import AUTHOR_KEY_FILE, compute_keyid
from tests.onnx_builder import FEATURE_COUNT, build_random_trees, build_tree_model

Document = dict[str, Any]

LEVELS: list[Document] = [
    {"provider_id": "", "provider_type": "", "symbol": "", "q50_pips": 0.25, "q90_pips": 1.5},
    {
        "provider_id": "channel_12345",
        "provider_type": "channel_source",
        "symbol": "EURUSD",
        "q50_pips": 0.125,
        "q90_pips": 0.75,
    },
]


def load_author_key(keys_dir: Path) -> Ed25519PrivateKey:
    key = load_pem_private_key((keys_dir / AUTHOR_KEY_FILE).read_bytes(), password=None)
    assert isinstance(key, Ed25519PrivateKey)
    return key


def build_small_model(seed: int = 7, trees: int = 4, depth: int = 2) -> onnx.ModelProto:
    return build_tree_model(build_random_trees(np.random.default_rng(seed), trees, depth))


def build_manifest(
    model: bytes, encodings: bytes, golden_from: bytes | None = None, **changes: Any
) -> Document:
    """A valid manifest; golden outputs are the reference runtime's, on `golden_from` if given."""
    rows = np.random.default_rng(3).normal(scale=3, size=(16, FEATURE_COUNT)).astype(np.float32)
    outputs = run_model(golden_from or model, rows)
    manifest: Document = {
        "format": 1,
        "purpose": "slippage",
        "algorithm": "tree_ensemble",
        "version": "1.0.0",
        "author": "development author",
        "created_at": "2026-01-02T03:04:05Z",
        "features": [{"name": name, "unit": unit} for name, unit in SLIPPAGE_FEATURES],
        "outputs": list(SLIPPAGE_OUTPUTS),
        "files": {
            MODEL_FILE: {"sha256": sha256(model).hexdigest(), "bytes": len(model)},
            ENCODINGS_FILE: {"sha256": sha256(encodings).hexdigest(), "bytes": len(encodings)},
        },
        "training": {
            "rows": 1_000,
            "from": "2025-01-01T00:00:00Z",
            "to": "2025-12-31T00:00:00Z",
            "data_sha256": "0" * 64,
            "embargo_hours": 24,
            "split": "time",
        },
        "metrics": {"mae_pips": 0.5},
        "hyperparameters": {"trees": 4},
        "golden": [
            {"features": row.tolist(), "outputs": output.tolist()}
            for row, output in zip(rows, outputs, strict=True)
        ],
    }
    return manifest | changes


def sign_statement(
    statement: Mapping[str, Any], key: Ed25519PrivateKey, payload_type: str = PAYLOAD_TYPE
) -> bytes:
    raw = key.public_key().public_bytes_raw()
    public = SSlibKey(compute_keyid(raw), "ed25519", "ed25519", {"public": raw.hex()})
    envelope = Envelope(encode_canonical(statement), payload_type, {})
    envelope.sign(CryptoSigner(key, public))
    return encode_canonical(envelope.to_dict())


def build_artifact(
    key: Ed25519PrivateKey,
    model: onnx.ModelProto | bytes | None = None,
    levels: list[Document] | None = None,
    change_manifest: Callable[[Document], None] | None = None,
    golden_from: bytes | None = None,
    **statement_changes: Any,
) -> dict[str, bytes]:
    """A signed artifact; changes are made before hashing and signing, so each meets its check."""
    model = build_small_model() if model is None else model
    model_bytes = model if isinstance(model, bytes) else model.SerializeToString()
    encodings = encode_canonical({"levels": LEVELS if levels is None else levels})
    manifest = build_manifest(model_bytes, encodings, golden_from)
    if change_manifest is not None:
        change_manifest(manifest)
    return seal_artifact(
        key, model_bytes, encodings, encode_canonical(manifest), **statement_changes
    )


def seal_artifact(
    key: Ed25519PrivateKey, model: bytes, encodings: bytes, manifest: bytes, **changes: Any
) -> dict[str, bytes]:
    statement = {
        "statement": STATEMENT,
        "purpose": "slippage",
        "version": "1.0.0",
        "manifest_sha256": sha256(manifest).hexdigest(),
    } | changes
    return {
        MODEL_FILE: model,
        ENCODINGS_FILE: encodings,
        MANIFEST_FILE: manifest,
        ENVELOPE_FILE: sign_statement(statement, key),
    }
