"""Signed statements: canonical JSON in a canonical DSSE envelope, Ed25519 by securesystemslib.

The bytes that were read are the bytes that are verified: an envelope must equal its own canonical
form, with its signatures in the order of their key ids, so each content has exactly one spelling.
Every signature must be known and valid: none is passed over.
"""

import binascii
from collections.abc import Mapping
from typing import Final, Literal, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel, ValidationError
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, Key, SSlibKey

from server.security.canonical import decode_canonical, encode_canonical
from server.security.trusted_key import Role, TrustedKey, TrustSet, compute_keyid
from server.statement_errors import (
    StatementKindError,
    StatementMalformedError,
    StatementNotCanonicalError,
    StatementRoleError,
    StatementsDifferError,
    StatementSignatureError,
    StatementSignerCountError,
    StatementTooLargeError,
    StatementUnknownSignerError,
)

Kind = Literal["release", "activation", "rollback", "trust", "head", "checkpoint", "controls"]
AnyStatement = TypeVar("AnyStatement", bound=BaseModel)

STATEMENT_BYTES_MAX: Final = 1 << 20


def payload_type(kind: Kind) -> str:
    """Return the DSSE payload type of a kind of statement."""
    return f"application/vnd.riskgate.{kind}+json"


def sign_statement(payload: bytes, kind: Kind, key: Ed25519PrivateKey) -> bytes:
    """Return the canonical envelope of a payload with one signature.

    Args:
        payload: Canonical JSON of the statement.
        kind: What statement it is.
        key: Signs.
    """
    return sign_payload(payload, payload_type(kind), key)


def sign_payload(payload: bytes, type_: str, key: Ed25519PrivateKey) -> bytes:
    """Return the canonical envelope of a payload of any type with one signature."""
    raw = key.public_key().public_bytes_raw()
    public = SSlibKey(compute_keyid(raw), "ed25519", "ed25519", {"public": raw.hex()})
    envelope = Envelope(payload, type_, {})
    envelope.sign(CryptoSigner(key, public))
    return encode_canonical(envelope.to_dict())


def merge_signatures(first: bytes, second: bytes) -> bytes:
    """Return one canonical envelope with the signatures of both; nothing is verified.

    Raises:
        StatementTooLargeError: One of them is larger than any statement.
        StatementNotCanonicalError: One of them is no canonical envelope.
        StatementsDifferError: They are not of one statement, or one key has signed in two ways.
    """
    one, other = parse_envelope(first), parse_envelope(second)
    if (one.payload, one.payload_type) != (other.payload, other.payload_type):
        raise StatementsDifferError
    signatures = one.signatures | other.signatures
    if any(signatures[keyid] != signature for keyid, signature in one.signatures.items()):
        raise StatementsDifferError("one key has signed in two ways")
    merged = Envelope(one.payload, one.payload_type, dict(sorted(signatures.items())))
    return encode_canonical(merged.to_dict())


def parse_envelope(raw: bytes) -> Envelope:
    """Read an envelope in its canonical form; nothing in it is verified yet.

    Raises:
        StatementTooLargeError: It is larger than any statement.
        StatementNotCanonicalError: It is none, or spelled otherwise.
    """
    if len(raw) > STATEMENT_BYTES_MAX:
        raise StatementTooLargeError
    try:
        envelope = Envelope.from_dict(decode_canonical(raw))
        same = encode_canonical(envelope.to_dict()) == raw
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise StatementNotCanonicalError("the envelope cannot be read") from error
    unknown_fields = any(entry.unrecognized_fields for entry in envelope.signatures.values())
    if not same or unknown_fields or list(envelope.signatures) != sorted(envelope.signatures):
        raise StatementNotCanonicalError("the envelope is not in canonical form")
    return envelope


def open_statement(raw: bytes, kind: Kind) -> Envelope:
    """Read an envelope of one kind; nothing in it is verified yet.

    Raises:
        StatementTooLargeError: It is larger than any statement.
        StatementNotCanonicalError: It is none, or spelled otherwise.
        StatementKindError: It is of another kind.
    """
    envelope = parse_envelope(raw)
    if envelope.payload_type != payload_type(kind):
        raise StatementKindError(f"not of kind {kind}")
    return envelope


def parse_payload(payload: bytes, model: type[AnyStatement]) -> AnyStatement:
    """Read the payload of an envelope.

    Raises:
        StatementMalformedError: Not canonical JSON, or a field is unknown, missing or out of range.
    """
    try:
        return model.model_validate(decode_canonical(payload))
    except (ValidationError, ValueError) as error:
        raise StatementMalformedError(f"the payload is no {model.__name__}") from error


def verify_signatures(envelope: Envelope, trust: TrustSet) -> list[TrustedKey]:
    """Verify every signature of an envelope and return the keys that made them, by key id.

    Raises:
        StatementUnknownSignerError: A signature is by a key that the trust set does not name.
        StatementSignatureError: A signature does not verify, or there is none.
    """
    verify_all(envelope, {keyid: key.public_key_hex for keyid, key in trust.keys.items()})
    return [trust.keys[keyid] for keyid in envelope.signatures]


def verify_all(envelope: Envelope, public_keys: Mapping[str, str]) -> None:
    """Verify every signature of an envelope; more than `Envelope.verify`, which passes some over.

    Args:
        envelope: Whatever it says is not believed yet.
        public_keys: Hex of the accepted public keys, by key id.

    Raises:
        StatementUnknownSignerError: A signature is by another key.
        StatementSignatureError: A signature does not verify, or there is none.
    """
    unknown = [keyid for keyid in envelope.signatures if keyid not in public_keys]
    if unknown:
        raise StatementUnknownSignerError(f"key id {unknown[0][:64]!r}")
    if not envelope.signatures:
        raise StatementSignatureError("there is no signature")
    keys: list[Key] = [
        SSlibKey(keyid, "ed25519", "ed25519", {"public": public_keys[keyid]})
        for keyid in envelope.signatures
    ]
    try:
        envelope.verify(keys, threshold=len(keys))
    except VerificationError as error:
        raise StatementSignatureError("the signature does not verify") from error


def verify_signature_of_one(
    envelope: bytes, trust: TrustSet, *, kind: Kind = "activation", role: Role = "approver"
) -> TrustedKey:
    """Verify a statement that one key has signed, such as a single approval.

    What the payload says is the caller's to compare, see `payload_of`.

    Args:
        envelope: Canonical bytes.
        trust: The accepted keys.
        kind: What statement it must be.
        role: What role the key must have.

    Raises:
        StatementError: One subclass for each reason: too large, not canonical, of another kind, not
            exactly one signature, unknown key, invalid signature, key of another role.
    """
    opened = open_statement(envelope, kind)
    if len(opened.signatures) != 1:
        raise StatementSignerCountError
    (key,) = verify_signatures(opened, trust)
    if key.role != role:
        raise StatementRoleError(f"the key of {key.person} is for the role {key.role}")
    return key


def payload_of(envelope: bytes, kind: Kind = "activation") -> bytes:
    """Return the payload of an envelope; nothing in it is verified.

    Raises:
        StatementError: Too large, not canonical, or of another kind.
    """
    payload: bytes = open_statement(envelope, kind).payload
    return payload
