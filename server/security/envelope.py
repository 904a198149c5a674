"""Verify the signed release statement of an artifact (a DSSE envelope, Ed25519).

The bytes that were read are the bytes that are verified: the envelope must equal its own canonical
form, carry exactly one signature by a trusted author, and its payload must be a canonical release
statement. The caller compares the statement with the manifest; nothing else in an artifact is
believed before that.
"""

import binascii
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from server.security.canonical import decode_canonical, encode_canonical
from server.security.keys import TrustedKey, TrustSet
from server.trust_errors import (
    ArtifactEnvelopeNotCanonicalError,
    ArtifactSignatureInvalidError,
    ArtifactUntrustedKeyError,
)

PAYLOAD_TYPE = "application/vnd.riskgate.release+json"
STATEMENT: Final = "riskgate.release.v1"


class ReleaseStatement(BaseModel):
    """What an author signs: this manifest is this version of the model for this purpose."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    statement: Literal["riskgate.release.v1"]
    purpose: str = Field(min_length=1, max_length=64)
    version: str = Field(min_length=5, max_length=32)
    manifest_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


def verify_release(raw: bytes, trust: TrustSet) -> tuple[ReleaseStatement, TrustedKey]:
    """Verify an envelope over the very bytes that were read.

    Args:
        raw: Content of `envelope.dsse.json`.
        trust: Accepted keys.

    Returns:
        The statement and the author who signed it.

    Raises:
        ArtifactEnvelopeNotCanonicalError: Not an envelope, or not in its one canonical form.
        ArtifactUntrustedKeyError: The signing key is not an author in the trust set.
        ArtifactSignatureInvalidError: The signature does not verify, or the payload is no release
            statement.
    """
    envelope = parse_envelope(raw)
    if len(envelope.signatures) != 1:
        raise ArtifactSignatureInvalidError("a release carries exactly one signature")
    (keyid,) = envelope.signatures
    author = trust.keys.get(keyid)
    if author is None or author.role != "author":
        raise ArtifactUntrustedKeyError("the signing key is not a trusted author")
    if envelope.payload_type != PAYLOAD_TYPE:
        raise ArtifactSignatureInvalidError("the payload type is not a release")
    key = SSlibKey(keyid, "ed25519", "ed25519", {"public": author.public_key_hex})
    try:
        envelope.verify([key], threshold=1)
    except VerificationError as error:
        raise ArtifactSignatureInvalidError("the signature does not verify") from error
    try:
        statement = ReleaseStatement.model_validate(decode_canonical(envelope.payload))
    except (ValidationError, ValueError) as error:
        raise ArtifactSignatureInvalidError("the payload is no release statement") from error
    return statement, author


def parse_envelope(raw: bytes) -> Envelope:
    """Read an envelope in its canonical form; nothing in it is verified yet.

    Raises:
        ArtifactEnvelopeNotCanonicalError: It is none, or spelled otherwise.
    """
    try:
        document = decode_canonical(raw)
        envelope = Envelope.from_dict(document)
        same = encode_canonical(envelope.to_dict()) == raw
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise ArtifactEnvelopeNotCanonicalError("the envelope cannot be read") from error
    unknown_fields = any(entry.unrecognized_fields for entry in envelope.signatures.values())
    if not same or unknown_fields:
        raise ArtifactEnvelopeNotCanonicalError("the envelope is not in canonical form")
    return envelope
