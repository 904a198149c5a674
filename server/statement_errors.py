"""What is refused in trust sets, approvals, rollback orders and proofs: one class for each reason.

RiskgateError
├── TrustSetInvalidError                    FAILED_PRECONDITION  keys/trust; in trust_errors.py
│   ├── TrustSetMissingError                                     there is none
│   ├── TrustSetUnreadableError                                  no regular file of a sane size
│   ├── TrustSetUnknownFileError                                 something else in the folder
│   ├── TrustSetGapError                                         a version is missing
│   ├── TrustSetNotCanonicalError                                another spelling
│   ├── TrustSetMalformedError                                   a field is not as it must be
│   ├── TrustSetVersionError                                     the name tells another version
│   ├── TrustSetKeyIdError                                       the id is not that of the key
│   ├── TrustSetKeyTwiceError                                    one key under two names
│   ├── TrustSetKeyUnusableError                                 a key that proves nothing
│   ├── TrustSetPersonTwiceError                                 one person in two seats
│   ├── TrustSetThresholdError                                   more roots asked for than named
│   ├── TrustSetUnpinnedError                                    no first fingerprint
│   ├── TrustSetForeignError                                     the first is not the pinned one
│   ├── TrustSetPredecessorError                                 follows another one
│   ├── TrustSetSignerError                                      signed by somebody else
│   ├── TrustSetSignatureError                                   a signature does not verify
│   ├── TrustSetUnsignedError                                    fewer roots than the threshold
│   ├── TrustSetRollbackError                                    older than one seen before
│   └── TrustSetSeenError                                        what was seen cannot be noted
└── StatementError                          FAILED_PRECONDITION  in the order of the checks
    ├── StatementTooLargeError
    ├── StatementNotCanonicalError          another spelling of the envelope
    ├── StatementKindError                  a statement of another kind
    ├── StatementMalformedError             the payload is no such statement
    ├── StatementSignerCountError           one signature is asked for
    ├── StatementUnknownSignerError         not in the trust set
    ├── StatementSignatureError             a signature does not verify
    ├── StatementRoleError                  the key is for something else
    ├── StatementTrustVersionError          made under a newer trust set
    ├── StatementsDifferError               signatures of two different statements
    ├── ApprovalByAuthorError               nobody approves what he released
    ├── ApprovalPersonTwiceError            two keys of one person
    ├── ApprovalRiskMissingError            nobody of the group risk
    ├── ApprovalTechnologyMissingError      nobody of the group technology
    ├── ApprovalWindowError                 valid for no time or for too long
    ├── ApprovalNotYetValidError
    ├── ApprovalExpiredError
    ├── RollbackActivationError             names another activation
    ├── RollbackTargetError                 not the fallback that was approved
    ├── RollbackSerialError                 not above that of the activation
    ├── ProofMissingError                   nothing says why the artifact may speak
    ├── ProofPurposeError                   of another purpose
    ├── ProofDigestError                    of another artifact
    ├── ProofSerialError                    of another activation
    └── ProofNotNewerError                  of an activation that is passed
"""

from server.errors import RiskgateError
from server.trust_errors import TrustSetInvalidError


class TrustSetMissingError(TrustSetInvalidError):
    """The folder of trust sets holds no first version."""

    public_text = "there is no trust set"


class TrustSetUnreadableError(TrustSetInvalidError):
    """A file is no regular file, too large, or cannot be opened."""

    public_text = "the trust set cannot be read"


class TrustSetUnknownFileError(TrustSetInvalidError):
    """Something in the folder is not named as a trust set is."""

    public_text = "there is an unknown file among the trust sets"


class TrustSetGapError(TrustSetInvalidError):
    """A version between the first and the newest is missing."""

    public_text = "a version of the trust set is missing"


class TrustSetNotCanonicalError(TrustSetInvalidError):
    """The envelope or its payload is not in its one canonical form."""

    public_text = "the trust set is not canonical"


class TrustSetMalformedError(TrustSetInvalidError):
    """A field is unknown, missing or out of range."""

    public_text = "the trust set is not well formed"


class TrustSetVersionError(TrustSetInvalidError):
    """The content names another version than the file."""

    public_text = "the trust set names another version"


class TrustSetKeyIdError(TrustSetInvalidError):
    """A key id is not the SHA-256 of its public key."""

    public_text = "a key id does not belong to its key"


class TrustSetKeyTwiceError(TrustSetInvalidError):
    """One public key is listed twice, under whatever names and roles."""

    public_text = "a public key is listed twice"


class TrustSetKeyUnusableError(TrustSetInvalidError):
    """A public key for which anybody could make signatures, or none in canonical form."""

    public_text = "a public key is unusable"


class TrustSetPersonTwiceError(TrustSetInvalidError):
    """One person holds two keys of one role."""

    public_text = "a person holds two keys of one role"


class TrustSetThresholdError(TrustSetInvalidError):
    """The threshold is above the number of root keys: no successor could ever be signed."""

    public_text = "the root threshold cannot be reached"


class TrustSetUnpinnedError(TrustSetInvalidError):
    """The fingerprint of the first trust set is missing or unreadable."""

    public_text = "the first trust set is not pinned"


class TrustSetForeignError(TrustSetInvalidError):
    """The first trust set is not the one whose fingerprint is pinned."""

    public_text = "the first trust set is not the pinned one"


class TrustSetPredecessorError(TrustSetInvalidError):
    """The trust set names another predecessor than the one that stands before it."""

    public_text = "the trust set follows another one"


class TrustSetSignerError(TrustSetInvalidError):
    """A signature is by a key that is no root of the predecessor."""

    public_text = "the trust set is signed by a key that is no root"


class TrustSetSignatureError(TrustSetInvalidError):
    """A signature does not verify."""

    public_text = "a signature of the trust set is invalid"


class TrustSetUnsignedError(TrustSetInvalidError):
    """Fewer roots of the predecessor have signed than its threshold asks for."""

    public_text = "the trust set lacks signatures"


class TrustSetRollbackError(TrustSetInvalidError):
    """A newer trust set, or another one of this version, was in use before."""

    public_text = "the trust set is older than one that was in use"


class TrustSetSeenError(TrustSetInvalidError):
    """The newest version that was in use cannot be read or noted."""

    public_text = "the version of the trust set cannot be noted"


class StatementError(RiskgateError):
    """A signed statement was refused; nothing changes."""

    grpc_code = "FAILED_PRECONDITION"
    public_text = "the signed statement was refused"


class StatementTooLargeError(StatementError):
    """The envelope is larger than any statement can be."""

    public_text = "the statement is too large"


class StatementNotCanonicalError(StatementError):
    """Not an envelope, or not in its one canonical form."""

    public_text = "the statement is not canonical"


class StatementKindError(StatementError):
    """The payload type is that of another kind of statement."""

    public_text = "the statement is of another kind"


class StatementMalformedError(StatementError):
    """The payload is not a canonical statement of its kind."""

    public_text = "the statement is not well formed"


class StatementSignerCountError(StatementError):
    """There is not exactly one signature."""

    public_text = "the statement must carry one signature"


class StatementUnknownSignerError(StatementError):
    """A signature is by a key that the trust set does not name."""

    public_text = "the statement is signed by an unknown key"


class StatementSignatureError(StatementError):
    """A signature does not verify, or there is none."""

    public_text = "a signature of the statement is invalid"


class StatementRoleError(StatementError):
    """A key has signed that the trust set names for another role."""

    public_text = "the statement is signed by a key of another role"


class StatementTrustVersionError(StatementError):
    """The statement was made under a newer trust set than ours."""

    public_text = "the statement follows a newer trust set"


class StatementsDifferError(StatementError):
    """The signatures are of two different statements, or one key has signed in two ways."""

    public_text = "the signatures are not of one statement"


class ApprovalByAuthorError(StatementError):
    """The author of the artifact is among its approvers, by key or by person."""

    public_text = "an author cannot approve his own artifact"


class ApprovalPersonTwiceError(StatementError):
    """Two signatures are by one person."""

    public_text = "one person has signed twice"


class ApprovalRiskMissingError(StatementError):
    """Nobody of the group risk has signed."""

    public_text = "no approver of the group risk has signed"


class ApprovalTechnologyMissingError(StatementError):
    """Nobody of the group technology has signed."""

    public_text = "no approver of the group technology has signed"


class ApprovalWindowError(StatementError):
    """The approval ends before it begins, or lasts longer than a day."""

    public_text = "the approval's validity is not between 0 and 24 hours"


class ApprovalNotYetValidError(StatementError):
    """The approval begins later."""

    public_text = "the approval is not valid yet"


class ApprovalExpiredError(StatementError):
    """The approval has ended."""

    public_text = "the approval has expired"


class RollbackActivationError(StatementError):
    """The rollback order names another activation, by its hash or its purpose."""

    public_text = "the rollback is of another activation"


class RollbackTargetError(StatementError):
    """The rollback goes to another artifact than the approved fallback."""

    public_text = "the rollback does not go to the approved fallback"


class RollbackSerialError(StatementError):
    """The serial is not above that of the activation."""

    public_text = "the rollback's serial is not above the activation's"


class ProofMissingError(StatementError):
    """There is no activation in the proof."""

    public_text = "nothing proves that the artifact may speak"


class ProofPurposeError(StatementError):
    """The proof speaks of another purpose."""

    public_text = "the proof is of another purpose"


class ProofDigestError(StatementError):
    """The proof speaks of another artifact."""

    public_text = "the proof is of another artifact"


class ProofSerialError(StatementError):
    """The proof speaks of another serial."""

    public_text = "the proof is of another activation"


class ProofNotNewerError(StatementError):
    """The serial is not strictly above the one in use."""

    public_text = "the activation is not newer than the one in use"
