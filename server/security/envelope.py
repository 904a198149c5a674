"""Verify the signed release statement of an artifact (a DSSE envelope, Ed25519).

The bytes that were read are the bytes that are verified: the envelope must equal its own canonical
form, carry exactly one signature by a trusted author, and its payload must be a canonical release
statement. The caller compares the statement with the manifest; nothing else in an artifact is
believed before that.
"""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from server.security.statements import (
    parse_envelope,
    parse_payload,
    payload_type,
    verify_signatures,
)
from server.security.trusted_key import TrustedKey, TrustSet
from server.statement_errors import StatementError, StatementTooLargeError
from server.trust_errors import (
    ArtifactEnvelopeNotCanonicalError,
    ArtifactSignatureInvalidError,
    ArtifactTooLargeError,
    ArtifactUntrustedKeyError,
)

PAYLOAD_TYPE: Final = payload_type("release")
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
        ArtifactTooLargeError: Larger than any statement.
        ArtifactEnvelopeNotCanonicalError: Not an envelope, or not in its one canonical form.
        ArtifactUntrustedKeyError: The signing key is not an author in the trust set.
        ArtifactSignatureInvalidError: The signature does not verify, or the payload is no release
            statement.
    """
    try:
        envelope = parse_envelope(raw)
    except StatementTooLargeError as error:
        raise ArtifactTooLargeError("the envelope is larger than any statement") from error
    except StatementError as error:
        raise ArtifactEnvelopeNotCanonicalError(str(error)) from error
    if len(envelope.signatures) != 1:
        raise ArtifactSignatureInvalidError("a release carries exactly one signature")
    (keyid,) = envelope.signatures
    author = trust.keys.get(keyid)
    if author is None or author.role != "author":
        raise ArtifactUntrustedKeyError("the signing key is not a trusted author")
    if envelope.payload_type != PAYLOAD_TYPE:
        raise ArtifactSignatureInvalidError("the payload type is not a release")
    try:
        verify_signatures(envelope, trust)
        return parse_payload(envelope.payload, ReleaseStatement), author
    except StatementError as error:
        raise ArtifactSignatureInvalidError(str(error)) from error
