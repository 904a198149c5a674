"""The rollback order: control goes back to the fallback that people have approved before.

It adds no authority of its own: it names, by its hash, an activation that approvers have signed,
and may only go to the fallback which stands in there, with a later serial.
"""

from datetime import datetime
from hashlib import sha256
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from server.security.activation import (
    ActivationStatement,
    Digest,
    DigestOrNone,
    Purpose,
    Reason,
    Serial,
    Time,
    parse_activation,
    to_ns,
    to_text,
    verify_approvals,
)
from server.security.canonical import encode_canonical
from server.security.statements import (
    open_statement,
    parse_payload,
    payload_of,
    verify_signature_of_one,
)
from server.security.trusted_key import TrustedKey, TrustSet
from server.statement_errors import (
    RollbackActivationError,
    RollbackSerialError,
    RollbackTargetError,
    StatementTrustVersionError,
)


class RollbackStatement(BaseModel):
    """What control signs.

    Attributes:
        statement: Names this form.
        purpose: As in the activation.
        digest: Of the artifact that speaks from now on; empty: none does.
        serial: Of this move; above that of the activation.
        activation_sha256: Of the payload of the activation whose fallback this is.
        issued_at: RFC 3339 in whole seconds of UTC.
        justification: Why.
        trust_version: Of the trust set that was in use.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    statement: Literal["riskgate.rollback.v1"] = "riskgate.rollback.v1"
    purpose: Purpose
    digest: DigestOrNone
    serial: Serial
    activation_sha256: Digest
    issued_at: Time
    justification: Reason
    trust_version: int = Field(ge=1)

    @field_validator("issued_at")
    @classmethod
    def _check_time(cls, text: str) -> str:
        to_ns(text)
        return text


def build_rollback(
    activation: bytes,
    *,
    serial: int,
    issued_at: datetime,
    justification: str,
    trust_version: int,
) -> bytes:
    """Return the payload that control signs: back to the fallback of an activation.

    Args:
        activation: Canonical envelope of the activation whose fallback shall speak.
        serial: Newest serial of the purpose plus one.
        issued_at: Aware time; fractions of a second are cut.
        justification: 1 to 2,048 characters.
        trust_version: Of the trust set in use.

    Raises:
        StatementError: The activation cannot be read.
        ValueError: A field is out of range (pydantic's ValidationError is one).
    """
    payload = payload_of(activation, "activation")
    approved = parse_activation(payload)
    statement = RollbackStatement(
        purpose=approved.purpose,
        digest=approved.fallback_digest,
        serial=serial,
        activation_sha256=sha256(payload).hexdigest(),
        issued_at=to_text(issued_at),
        justification=justification,
        trust_version=trust_version,
    )
    return encode_canonical(statement.model_dump())


def verify_rollback(
    rollback: bytes,
    activation: bytes,
    trust: TrustSet,
    *,
    author_of_fallback: TrustedKey | None,
    now_ns: int,
) -> tuple[RollbackStatement, ActivationStatement]:
    """Verify a rollback order and the activation that it goes back from.

    Who released the artifact that is left is not asked: his key may be the very reason to leave it.

    Args:
        rollback: Canonical envelope, signed by control alone.
        activation: Canonical envelope, signed by its approvers.
        trust: The accepted keys.
        author_of_fallback: Who released the fallback; None when there is none.
        now_ns: When the *activation* took place, Unix nanoseconds: its approval had to be valid
            then, not at the rollback.

    Raises:
        StatementError: One subclass for each reason; of the order first, then of the activation,
            then `Rollback…Error` where the two do not fit together.
    """
    verify_signature_of_one(rollback, trust, kind="rollback", role="control")
    order = parse_payload(open_statement(rollback, "rollback").payload, RollbackStatement)
    if order.trust_version > trust.version:
        raise StatementTrustVersionError(f"trust set {order.trust_version} is not here")
    excluded = [] if author_of_fallback is None else [author_of_fallback]
    approved = verify_approvals(activation, trust, excluded, now_ns)
    payload = payload_of(activation, "activation")
    if sha256(payload).hexdigest() != order.activation_sha256 or order.purpose != approved.purpose:
        raise RollbackActivationError
    if order.digest != approved.fallback_digest:
        raise RollbackTargetError
    if order.serial <= approved.serial:
        raise RollbackSerialError
    return order, approved
