"""The signed release: only the exact canonical bytes of a trusted author pass."""

import base64
import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.security.canonical import decode_canonical, encode_canonical
from server.security.envelope import STATEMENT, verify_release
from server.security.keys import TrustedKey, TrustSet, compute_keyid
from server.trust_errors import (
    ArtifactEnvelopeNotCanonicalError,
    ArtifactError,
    ArtifactSignatureInvalidError,
    ArtifactUntrustedKeyError,
)
from tests.artifact_builder import sign_statement

KEY = Ed25519PrivateKey.from_private_bytes(sha256(b"author").digest())
OUTSIDER = Ed25519PrivateKey.from_private_bytes(sha256(b"outsider").digest())
RELEASE = {
    "statement": STATEMENT,
    "purpose": "slippage",
    "version": "1.0.0",
    "manifest_sha256": "ab" * 32,
}


def _trust(*keys: Ed25519PrivateKey) -> TrustSet:
    entries = {}
    for key in keys:
        raw = key.public_key().public_bytes_raw()
        entries[compute_keyid(raw)] = TrustedKey(
            keyid=compute_keyid(raw), person="author", role="author", public_key_hex=raw.hex()
        )
    return TrustSet(version=1, keys=entries)


TRUST = _trust(KEY)


def test_verify_when_release_is_signed_then_statement_and_author_are_returned() -> None:
    statement, author = verify_release(sign_statement(RELEASE, KEY), TRUST)
    assert statement.model_dump() == RELEASE
    assert author.public_key_hex == KEY.public_key().public_bytes_raw().hex()


def _edit(change: Callable[[dict[str, Any]], None]) -> bytes:
    document = json.loads(sign_statement(RELEASE, KEY))
    change(document)
    return encode_canonical(document)


def _loosen_base64(document: dict[str, Any]) -> None:
    # The last character before the padding carries unused bits: another text, the same bytes.
    text = document["signatures"][0]["sig"]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = text.rstrip("=")[-1]
    other = alphabet[alphabet.index(last) ^ 1]
    document["signatures"][0]["sig"] = text.rstrip("=")[:-1] + other + "=="
    assert base64.b64decode(text) == base64.b64decode(document["signatures"][0]["sig"])


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"a":NaN}',
        b"[" * 100_000,
        sign_statement(RELEASE, KEY) + b"\n",
        b" " + sign_statement(RELEASE, KEY),
        sign_statement(RELEASE, KEY).replace(b'"payloadType"', b'"payload":"","payloadType"'),
        sign_statement(RELEASE, KEY).replace(b"application", b"\\u0061pplication"),
        json.dumps(json.loads(sign_statement(RELEASE, KEY)), indent=1).encode(),
        _edit(lambda document: document.__setitem__("extra", 1)),
        _edit(lambda document: document.__setitem__("signatures", 5)),
        _edit(lambda document: document.__setitem__("signatures", [5])),
        _edit(lambda document: document["signatures"][0].__setitem__("keyid", [])),
        _edit(lambda document: document["signatures"][0].__setitem__("cert", "x")),
        _edit(lambda document: document["signatures"].append(document["signatures"][0])),
        _edit(_loosen_base64),
    ],
)
def test_verify_when_envelope_is_not_canonical_then_refused(raw: bytes) -> None:
    with pytest.raises(ArtifactEnvelopeNotCanonicalError):
        verify_release(raw, TRUST)


def test_verify_when_signer_is_not_in_the_trust_set_then_refused() -> None:
    with pytest.raises(ArtifactUntrustedKeyError):
        verify_release(sign_statement(RELEASE, OUTSIDER), TRUST)


def test_verify_when_outsider_claims_the_authors_key_id_then_refused() -> None:
    document = json.loads(sign_statement(RELEASE, OUTSIDER))
    document["signatures"][0]["keyid"] = next(iter(TRUST.keys))
    with pytest.raises(ArtifactSignatureInvalidError, match="does not verify"):
        verify_release(encode_canonical(document), TRUST)


def _second_signature(document: dict[str, Any]) -> None:
    document["signatures"].append(json.loads(sign_statement(RELEASE, OUTSIDER))["signatures"][0])


def _other_payload(document: dict[str, Any]) -> None:
    payload = encode_canonical(RELEASE | {"version": "9.0.0"})
    document["payload"] = base64.b64encode(payload).decode()


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.__setitem__("signatures", []),
        lambda document: document.__setitem__("payloadType", 5),
        _second_signature,
        _other_payload,
        lambda document: document["signatures"][0].__setitem__("sig", ""),
        lambda document: document["signatures"][0].__setitem__("sig", "QUJD"),
    ],
)
def test_verify_when_signature_does_not_cover_the_payload_then_refused(
    change: Callable[[dict[str, Any]], None],
) -> None:
    with pytest.raises(ArtifactSignatureInvalidError):
        verify_release(_edit(change), _trust(KEY, OUTSIDER))


@pytest.mark.parametrize(
    "changes",
    [
        {"statement": "riskgate.activation.v1"},
        {"manifest_sha256": "AB" * 32},
        {"manifest_sha256": "ab"},
        {"version": 1},
        {"purpose": ""},
        {"serial": 3},
    ],
)
def test_verify_when_payload_is_no_release_then_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ArtifactSignatureInvalidError, match="no ReleaseStatement"):
        verify_release(sign_statement(RELEASE | changes, KEY), TRUST)


def test_verify_when_payload_type_is_another_then_refused() -> None:
    raw = sign_statement(RELEASE, KEY, payload_type="application/json")
    with pytest.raises(ArtifactSignatureInvalidError, match="payload type"):
        verify_release(raw, TRUST)


def test_verify_when_any_bit_is_flipped_then_refused() -> None:
    raw = sign_statement(RELEASE, KEY)
    for position in range(8 * len(raw)):
        flipped = bytearray(raw)
        flipped[position // 8] ^= 1 << (position % 8)
        with pytest.raises(ArtifactError):
            verify_release(bytes(flipped), TRUST)


@pytest.mark.parametrize(
    "value", [{}, {"b": 1, "a": [1.5, -0.0, 1e-7, "\u00e9\u4e2d"]}, [None, True, 2**70]]
)
def test_canonical_when_round_trip_then_same(value: object) -> None:
    raw = encode_canonical(value)
    assert decode_canonical(raw) == value
    assert encode_canonical(decode_canonical(raw)) == raw


@pytest.mark.parametrize(
    "raw",
    [
        b'{"b":1,"a":2}',
        b'{"a":1,"a":1}',
        b'{"a": 1}',
        b"1e400",
        b"-Infinity",
        b'"\\ud800"',
        b"1.50",
    ],
)
def test_canonical_when_another_spelling_then_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_canonical(raw)
