"""The activation statement: what two approvers of two groups sign before an artifact may speak.

It names what it replaces and what a rollback goes back to: who approves N approves going back to
its fallback. The author of an artifact is never among its approvers, neither by key nor by person.
"""

from collections import Counter
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from server.security.canonical import encode_canonical
from server.security.statements import open_statement, parse_payload, verify_signatures
from server.security.trusted_key import TrustedKey, TrustSet
from server.statement_errors import (
    ApprovalByAuthorError,
    ApprovalExpiredError,
    ApprovalNotYetValidError,
    ApprovalPersonTwiceError,
    ApprovalRiskMissingError,
    ApprovalTechnologyMissingError,
    ApprovalWindowError,
    StatementRoleError,
    StatementTrustVersionError,
)

VALIDITY_S_MAX: Final = 24 * 3_600
SERIAL_MAX: Final = (1 << 63) - 1
_SECOND_NS: Final = 1_000_000_000
_TIME_FORMAT: Final = "%Y-%m-%dT%H:%M:%SZ"
_NUMBER: Final = r"(0|[1-9][0-9]{0,8})"

Purpose = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Version = Annotated[str, Field(pattern=rf"^{_NUMBER}\.{_NUMBER}\.{_NUMBER}$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
DigestOrNone = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
Serial = Annotated[int, Field(ge=1, le=SERIAL_MAX)]
# Whole seconds of UTC in one spelling; not \d, which stands for the digits of every script.
_TIME_PATTERN: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"
Time = Annotated[str, Field(pattern=_TIME_PATTERN)]
Reason = Annotated[str, Field(min_length=1, max_length=2_048, pattern=r"\S")]


class ActivationStatement(BaseModel):
    """What approvers sign: this artifact may speak with this serial, if it is used in time.

    Attributes:
        statement: Names this form.
        purpose: "slippage" or "risk_policy".
        version: Semantic version of the artifact.
        digest: SHA-256 hex of its manifest.
        serial: Of the activation; rises by one with each activation of the purpose.
        previous_digest: Of the artifact that is replaced; empty: none.
        fallback_digest: Of the artifact that a rollback goes back to; empty: none.
        not_before: First moment at which it may be activated, RFC 3339 in whole seconds of UTC.
        expires: First moment at which it may no longer be activated, at most 24 h later.
        justification: Why.
        trust_version: Of the trust set that was in use.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    statement: Literal["riskgate.activation.v1"] = "riskgate.activation.v1"
    purpose: Purpose
    version: Version
    digest: Digest
    serial: Serial
    previous_digest: DigestOrNone
    fallback_digest: DigestOrNone
    not_before: Time
    expires: Time
    justification: Reason
    trust_version: int = Field(ge=1)

    @field_validator("not_before", "expires")
    @classmethod
    def _check_time(cls, text: str) -> str:
        to_ns(text)  # raises ValueError for a date that does not exist
        return text


def build_activation(  # noqa: PLR0913 each is a field that is signed
    *,
    purpose: str,
    version: str,
    digest: str,
    serial: int,
    previous_digest: str,
    fallback_digest: str,
    not_before: datetime,
    expires: datetime,
    justification: str,
    trust_version: int,
) -> bytes:
    """Return the payload that approvers sign; see `ActivationStatement`.

    Args:
        purpose: As in the manifest.
        version: Same.
        digest: Hex of the artifact's digest; of the two others likewise, empty for none.
        serial: Newest serial of the purpose plus one.
        previous_digest: Of the active artifact.
        fallback_digest: Of the artifact that a rollback goes back to.
        not_before: Aware time; fractions of a second are cut.
        expires: Same; at most 24 h later.
        justification: 1 to 2,048 characters.
        trust_version: Of the trust set in use.

    Raises:
        ValueError: A field is out of range (pydantic's ValidationError is one).
    """
    statement = ActivationStatement(
        purpose=purpose,
        version=version,
        digest=digest,
        serial=serial,
        previous_digest=previous_digest,
        fallback_digest=fallback_digest,
        not_before=to_text(not_before),
        expires=to_text(expires),
        justification=justification,
        trust_version=trust_version,
    )
    return encode_canonical(statement.model_dump())


def parse_activation(payload: bytes) -> ActivationStatement:
    """Read a payload; who signed it is not looked at.

    Raises:
        StatementMalformedError: It is no canonical activation statement.
    """
    return parse_payload(payload, ActivationStatement)


def verify_activation(
    envelope: bytes,
    trust: TrustSet,
    *,
    author: TrustedKey,
    now_ns: int,
    author_of_fallback: TrustedKey | None = None,
) -> ActivationStatement:
    """Verify an activation with the signatures of its approvers.

    Args:
        envelope: Canonical bytes.
        trust: The accepted keys.
        author: Who released the artifact that `digest` names.
        now_ns: When it is (or was) activated, Unix nanoseconds.
        author_of_fallback: Who released the artifact that `fallback_digest` names: approving covers
            it too, so a rollback by a statement that he signed would be refused. None: not looked
            at.

    Raises:
        StatementError: One subclass for each reason, in the order of `statement_errors.py`.
    """
    excluded = [author] if author_of_fallback is None else [author, author_of_fallback]
    return verify_approvals(envelope, trust, excluded, now_ns)


def verify_approvals(
    envelope: bytes, trust: TrustSet, excluded: list[TrustedKey], at_ns: int
) -> ActivationStatement:
    """Verify an activation that none of the `excluded` has approved; see `verify_activation`.

    Raises:
        StatementError: One subclass for each reason.
    """
    opened = open_statement(envelope, "activation")
    statement = parse_activation(opened.payload)
    approvers = verify_signatures(opened, trust)
    _check_approvers(approvers, excluded)
    if statement.trust_version > trust.version:
        raise StatementTrustVersionError(f"trust set {statement.trust_version} is not here")
    _check_window(statement, at_ns)
    return statement


def to_text(time: datetime) -> str:
    """Return the one spelling of a time, RFC 3339 in whole seconds of UTC.

    Raises:
        ValueError: The time has no zone.
    """
    if time.tzinfo is None:
        raise ValueError("a time without a zone")
    return time.astimezone(UTC).strftime(_TIME_FORMAT)


def to_ns(text: str) -> int:
    """Return a time in Unix nanoseconds.

    Raises:
        ValueError: It is not in the one spelling, or no such date exists.
    """
    time = datetime.strptime(text, _TIME_FORMAT).replace(tzinfo=UTC)
    return int(time.timestamp()) * _SECOND_NS


def _check_approvers(approvers: list[TrustedKey], excluded: list[TrustedKey]) -> None:
    excluded_keys = {key.keyid for key in excluded}
    excluded_people = {key.person for key in excluded}
    for approver in approvers:
        if approver.keyid in excluded_keys or approver.person in excluded_people:
            raise ApprovalByAuthorError(f"{approver.person} released the artifact")
        if approver.role != "approver":
            raise StatementRoleError(f"the key of {approver.person} is no approver's")
    person, count = Counter(approver.person for approver in approvers).most_common(1)[0]
    if count > 1:
        raise ApprovalPersonTwiceError(f"{person} has signed twice")
    groups = {approver.group for approver in approvers}
    if "risk" not in groups:
        raise ApprovalRiskMissingError
    if "technology" not in groups:
        raise ApprovalTechnologyMissingError


def _check_window(statement: ActivationStatement, at_ns: int) -> None:
    begins_ns, ends_ns = to_ns(statement.not_before), to_ns(statement.expires)
    if not 0 < ends_ns - begins_ns <= VALIDITY_S_MAX * _SECOND_NS:
        raise ApprovalWindowError
    if at_ns < begins_ns:
        raise ApprovalNotYetValidError(f"valid from {statement.not_before}")
    if at_ns >= ends_ns:
        raise ApprovalExpiredError(f"expired at {statement.expires}")
