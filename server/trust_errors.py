"""What is refused because it cannot be trusted: keys, artifacts, approvals, callers.

One class for each step of a check, so that a refusal names exactly one reason; see `errors.py` for
what a class fixes.

    RiskgateError
    ├── TrustSetInvalidError                    FAILED_PRECONDITION  keys/trust
    ├── AuthorKeyError                          FAILED_PRECONDITION  a key that signs
    ├── KeyRingError                            FAILED_PRECONDITION  keys/data.keys
    ├── SealedValueError                        FAILED_PRECONDITION  what is stored encrypted
    ├── AuditTamperedError                      FAILED_PRECONDITION  rows or heads contradict
    ├── AccessError                             PERMISSION_DENIED
    │   ├── TlsVersionError                     UNAUTHENTICATED      older than TLS 1.3
    │   ├── UnauthenticatedError                UNAUTHENTICATED      no usable certificate
    │   ├── CertificateRevokedError             UNAUTHENTICATED      on the authority's list
    │   ├── MethodDeniedError                                        the role lacks the right
    │   ├── GroupDeniedError                                         no group has the right
    │   ├── ObjectDeniedError                                        another's account or provider
    │   ├── IdentityRevokedError                                     frozen or revoked
    │   ├── SecondFactorError                                        absent, wrong, used, locked
    │   ├── JustificationMissingError           INVALID_ARGUMENT     note.reason
    │   └── RateLimitedError                    RESOURCE_EXHAUSTED   says when to try again
    └── ArtifactError                           INVALID_ARGUMENT     in the order of the checks
        ├── ArtifactTooLargeError
        ├── ArtifactUnknownFileError            a file too many or too few
        ├── ArtifactHashMismatchError
        ├── ArtifactEnvelopeNotCanonicalError
        ├── ArtifactUntrustedKeyError
        ├── ArtifactSignatureInvalidError
        ├── ArtifactManifestInvalidError
        ├── ArtifactNotNewerError               FAILED_PRECONDITION
        ├── ArtifactFeatureMismatchError
        ├── ArtifactEncodingsInvalidError
        ├── ArtifactStructureRefusedError
        ├── ArtifactCanaryFailedError
        ├── ArtifactLoweringMismatchError
        ├── ArtifactImplausibleError
        ├── ArtifactPolicyInvalidError          of a risk policy
        ├── ArtifactExistsError                 ALREADY_EXISTS       never overwritten
        └── ArtifactNotFoundError               NOT_FOUND
"""

from server.errors import RiskgateError


class AuthorKeyError(RiskgateError):
    """The key that would sign a release is missing or cannot be used."""

    grpc_code = "FAILED_PRECONDITION"
    public_text = "the author key cannot be used"


class TrustSetInvalidError(RiskgateError):
    """The trust set or an author key cannot be used."""

    grpc_code = "FAILED_PRECONDITION"
    public_text = "the trust set is invalid"


class KeyRingError(RiskgateError):
    """The keys of what is stored encrypted are missing, open to others, or malformed."""

    grpc_code = "FAILED_PRECONDITION"
    public_text = "the keys of encrypted values cannot be used"


class SealedValueError(RiskgateError):
    """An encrypted value was changed, moved, or sealed with a key that is gone; never its content.

    Args:
        name: Of the value, such as `secret of second_factor`.
        problem: What is wrong with it.
    """

    grpc_code = "FAILED_PRECONDITION"
    public_text = "an encrypted value cannot be read"

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(detail=f"{name} {problem}")


class AuditTamperedError(RiskgateError):
    """The audit log, its signed heads and their copies contradict each other, or one is forged."""

    grpc_code = "FAILED_PRECONDITION"
    public_text = "the audit log does not match its signed heads"


class AccessError(RiskgateError):
    """A call was denied; leaves an audit row."""

    grpc_code = "PERMISSION_DENIED"
    public_text = "permission denied"


class TlsVersionError(AccessError):
    """The connection is not one of TLS 1.3."""

    grpc_code = "UNAUTHENTICATED"
    public_text = "TLS 1.3 is required"


class UnauthenticatedError(AccessError):
    """There is no certificate that says who calls, or it is not acceptable."""

    grpc_code = "UNAUTHENTICATED"
    public_text = "no acceptable client certificate"


class CertificateRevokedError(AccessError):
    """The certificate is on its authority's list of revoked ones."""

    grpc_code = "UNAUTHENTICATED"
    public_text = "this certificate is revoked"


class MethodDeniedError(AccessError):
    """The role of the caller has no right to this method."""

    public_text = "this role may not call this method"


class GroupDeniedError(AccessError):
    """The role would do, but the caller is in no group that has the right to this method."""

    public_text = "no group of this identity may call this method"


class ObjectDeniedError(AccessError):
    """The account or provider belongs to somebody else."""

    public_text = "this identity may not use this account or provider"


class IdentityRevokedError(AccessError):
    """The identity is frozen or revoked."""

    public_text = "this identity is frozen or revoked"


class SecondFactorError(AccessError):
    """The one-time code is absent, wrong, was used before, or the identity is locked."""

    public_text = "a valid one-time code is required"


class JustificationMissingError(AccessError):
    """The change must be justified, and note.reason is empty."""

    grpc_code = "INVALID_ARGUMENT"
    public_text = "a reason is required"

    def __init__(self) -> None:
        super().__init__(field="note.reason")


class RateLimitedError(AccessError):
    """The identity has used up its calls.

    Args:
        retry_after_ms: When the next call will be taken.
    """

    grpc_code = "RESOURCE_EXHAUSTED"
    public_text = "too many calls"

    def __init__(self, retry_after_ms: int) -> None:
        super().__init__(detail=f"retry after {retry_after_ms} ms")
        self.retry_after_ms = retry_after_ms


class ArtifactError(RiskgateError):
    """An artifact was refused; what is in use stays."""

    grpc_code = "INVALID_ARGUMENT"
    public_text = "the artifact was refused"


class ArtifactTooLargeError(ArtifactError):
    """The files together, or one of them, exceed the size cap."""

    public_text = "the artifact is too large"


class ArtifactUnknownFileError(ArtifactError):
    """The set of files is not exactly that of a model or of a risk policy."""

    public_text = "the artifact has an unknown or a missing file"


class ArtifactHashMismatchError(ArtifactError):
    """Some bytes do not have the SHA-256 that the signed chain names."""

    public_text = "the artifact's content does not match its hash"


class ArtifactEnvelopeNotCanonicalError(ArtifactError):
    """The envelope is not in its one canonical form."""

    public_text = "the artifact's envelope is not canonical"


class ArtifactUntrustedKeyError(ArtifactError):
    """The signing key is not an author in the trust set."""

    public_text = "the artifact is signed by an untrusted key"


class ArtifactSignatureInvalidError(ArtifactError):
    """The signature does not verify, or does not cover a release statement."""

    public_text = "the artifact's signature is invalid"


class ArtifactManifestInvalidError(ArtifactError):
    """The manifest is malformed or contradicts the signed statement."""

    public_text = "the artifact's manifest is invalid"


class ArtifactNotNewerError(ArtifactError):
    """The version is not above that of the model in use."""

    grpc_code = "FAILED_PRECONDITION"
    public_text = "the artifact is not newer than the model in use"


class ArtifactFeatureMismatchError(ArtifactError):
    """The model wants other features or gives other outputs than the engine has."""

    public_text = "the artifact's features are not those of this server"


class ArtifactEncodingsInvalidError(ArtifactError):
    """The encodings are malformed, repeat a key or lack the global level."""

    public_text = "the artifact's encodings are invalid"


class ArtifactStructureRefusedError(ArtifactError):
    """The graph is not one of the few shapes that the server evaluates."""

    public_text = "the artifact's model structure is not allowed"


class ArtifactCanaryFailedError(ArtifactError):
    """The trial run crashed, hung, used too much, or gave other answers than the manifest."""

    public_text = "the artifact failed its trial run"


class ArtifactLoweringMismatchError(ArtifactError):
    """The engine's own evaluation differs from the reference runtime."""

    public_text = "the artifact evaluates differently in the engine"


class ArtifactImplausibleError(ArtifactError):
    """The model's answers go against what slippage is, such as falling as history worsens."""

    public_text = "the artifact's answers are not plausible"


class ArtifactPolicyInvalidError(ArtifactError):
    """The risk policy is malformed, or a knot, weight or bound of it is out of range."""

    public_text = "the artifact's risk policy is invalid"


class ArtifactExistsError(ArtifactError):
    """The store holds other content under this digest and does not overwrite."""

    grpc_code = "ALREADY_EXISTS"
    public_text = "the artifact is already stored"


class ArtifactNotFoundError(ArtifactError):
    """The store has no artifact of this digest."""

    grpc_code = "NOT_FOUND"
    public_text = "the artifact does not exist"
