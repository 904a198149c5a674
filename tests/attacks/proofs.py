"""Proofs and rollback orders: old ones again, other ones' parts, and ones for another change."""

from functools import partial
from typing import Any, Final

from riskgate.v1 import state_pb2
from server.errors import RiskgateError
from server.security.activation_proof import check_proof
from server.security.canonical import encode_canonical
from server.security.rollback_order import RollbackStatement, build_rollback
from server.statement_errors import (
    ApprovalByAuthorError,
    ApprovalExpiredError,
    ApprovalNotYetValidError,
    ApprovalTechnologyMissingError,
    ProofDigestError,
    ProofMissingError,
    ProofNotNewerError,
    ProofPurposeError,
    ProofSerialError,
    RollbackActivationError,
    RollbackSerialError,
    RollbackTargetError,
    StatementKindError,
    StatementMalformedError,
    StatementNotCanonicalError,
    StatementRoleError,
    StatementSignatureError,
    StatementSignerCountError,
    StatementTrustVersionError,
    StatementUnknownSignerError,
)
from tests.attacks.cast import (
    DIGESTS,
    NOW,
    NOW_NS,
    SECOND_NS,
    TRUST,
    Attack,
    activation,
    entry_of,
    signed,
)

HISTORY: Final = 6
_NEVER: Final = (1 << 63) - 1


def approval_of(serial: int, *signers: str, **changes: Any) -> bytes:
    """The approval of artifact n with serial n, which replaces and falls back to n - 1."""
    before = DIGESTS[serial - 1] if serial > 1 else ""
    fields = {
        "digest": DIGESTS[serial],
        "version": f"{serial}.0.0",
        "serial": serial,
        "previous_digest": before,
        "fallback_digest": before,
    }
    return activation(*signers, **(fields | changes))


def order_of(approval: bytes, serial: int, /, *signers: str, **changes: Any) -> bytes:
    """Control's order to go back to the fallback of an approval."""
    payload = build_rollback(
        approval, serial=serial, issued_at=NOW, justification="it is wrong", trust_version=1
    )
    if changes:
        statement = RollbackStatement.model_validate_json(payload).model_dump() | changes
        kept = {name: value for name, value in statement.items() if value is not None}
        payload = encode_canonical(kept)
    return signed(payload, "rollback", *(signers or ("control",)))


def check(
    activation_envelope: bytes,
    rollback: bytes = b"",
    *,
    digest: str,
    serial: int,
    active: int,
    purpose: str = "slippage",
    at_ns: int = NOW_NS,
    author: str = "author",
) -> object:
    proof = state_pb2.ActivationProof(
        activation=activation_envelope, rollback=rollback, activated_at_ns=at_ns
    )
    return check_proof(
        proof,
        purpose=purpose,
        digest=bytes.fromhex(digest),
        serial=serial,
        active_serial=active,
        trust=TRUST,
        find_author=lambda _: entry_of(author),
    )


def check_own(number: int, *, active: int, serial: int | None = None, **changes: Any) -> object:
    """The approval of artifact n, whatever the change around it says."""
    fields: dict[str, Any] = {"digest": DIGESTS[number]} | changes
    claimed = number if serial is None else serial
    return check(approval_of(number), active=active, serial=claimed, **fields)


_LAST: Final = approval_of(5)
_BACK: Final = order_of(_LAST, 6)


def back(rollback: bytes = _BACK, approval: bytes = _LAST, **changes: Any) -> object:
    """Go back from artifact 5 to artifact 4 with serial 6."""
    fields: dict[str, Any] = {"digest": DIGESTS[4], "serial": 6, "active": 5} | changes
    return check(approval, rollback, **fields)


def _replays() -> list[Attack]:
    return [
        Attack(
            f"replay: approval {old} again after {newer}",
            ProofNotNewerError,
            partial(check_own, old, active=newer),
        )
        for newer in range(1, HISTORY + 1)
        for old in range(1, newer + 1)
    ] + [
        Attack(
            f"replay: approval {old} as number {newer + 1}",
            ProofSerialError,
            partial(check_own, old, active=newer, serial=newer + 1),
        )
        for newer in range(1, HISTORY + 1)
        for old in range(1, newer + 1)
    ]


def _downgrades() -> list[Attack]:
    return [
        Attack(
            f"downgrade: artifact {old} with the approval of {HISTORY}",
            ProofDigestError,
            partial(
                check,
                approval_of(HISTORY),
                digest=DIGESTS[old],
                serial=HISTORY,
                active=HISTORY - 1,
            ),
        )
        for old in range(HISTORY)
    ]


def _alone(*signers: str) -> bytes:
    return approval_of(5, *signers)


def _back_alone(*signers: str) -> object:
    approval = _alone(*signers)
    return back(order_of(approval, 6), approval)


_FORGED: Final = _BACK.replace(b'"sig":"', b'"sig":"AAAA')

Case = tuple[str, type[RiskgateError], Any]

_PROOF_CASES: Final[list[Case]] = [
    ("nothing", ProofMissingError, partial(check, b"", digest=DIGESTS[1], serial=1, active=0)),
    (
        "a rollback without an activation",
        ProofMissingError,
        partial(check, b"", _BACK, digest=DIGESTS[4], serial=6, active=5),
    ),
    (
        "no artifact without a rollback",
        ProofDigestError,
        partial(check, approval_of(1), digest="", serial=1, active=0),
    ),
    (
        "an artifact of zeros",
        ProofDigestError,
        partial(check, approval_of(1), digest="00" * 32, serial=1, active=0),
    ),
    (
        "the purpose of another",
        ProofPurposeError,
        partial(check_own, 5, active=4, purpose="risk_policy"),
    ),
    (
        "a policy's approval for a model",
        ProofPurposeError,
        partial(
            check, approval_of(5, purpose="risk_policy"), digest=DIGESTS[5], serial=5, active=4
        ),
    ),
    ("fast-forward to the end", ProofSerialError, partial(check_own, 5, active=4, serial=_NEVER)),
    ("fast-forward by one", ProofSerialError, partial(check_own, 5, active=4, serial=6)),
    ("nothing newer after the end", ProofNotNewerError, partial(check_own, 5, active=_NEVER)),
    ("serial zero", ProofNotNewerError, partial(check_own, 5, active=0, serial=0)),
    (
        "activated before it was approved",
        ApprovalNotYetValidError,
        partial(check_own, 5, active=4, at_ns=NOW_NS - 1),
    ),
    (
        "activated after it expired",
        ApprovalExpiredError,
        partial(check_own, 5, active=4, at_ns=NOW_NS + 86_400 * SECOND_NS),
    ),
    (
        "approved by its author",
        ApprovalByAuthorError,
        partial(check_own, 5, active=4, author="risk1"),
    ),
    (
        "approved by one",
        ApprovalTechnologyMissingError,
        partial(check, _alone("risk1", "risk2"), digest=DIGESTS[5], serial=5, active=4),
    ),
    (
        "a rollback order in place of an approval",
        StatementKindError,
        partial(check, _BACK, digest=DIGESTS[4], serial=6, active=5),
    ),
    (
        "a cut approval",
        StatementNotCanonicalError,
        partial(check, approval_of(5)[:-1], digest=DIGESTS[5], serial=5, active=4),
    ),
]

_ROLLBACK_CASES: Final[list[Case]] = [
    ("ordered by approvers", StatementRoleError, lambda: back(order_of(_LAST, 6, "risk1"))),
    ("ordered by the author", StatementRoleError, lambda: back(order_of(_LAST, 6, "author"))),
    ("ordered by a root", StatementRoleError, lambda: back(order_of(_LAST, 6, "root1"))),
    (
        "ordered by an outsider",
        StatementUnknownSignerError,
        lambda: back(order_of(_LAST, 6, "outsider")),
    ),
    (
        "ordered by two",
        StatementSignerCountError,
        lambda: back(order_of(_LAST, 6, "control", "risk1")),
    ),
    (
        "ordered by nobody",
        StatementSignerCountError,
        lambda: back(_BACK.split(b'"signatures":')[0] + b'"signatures":[]}'),
    ),
    ("forged", StatementSignatureError, lambda: back(_FORGED)),
    (
        "with the signature of another order",
        StatementSignatureError,
        lambda: back(_graft(_BACK, order_of(_LAST, 7))),
    ),
    ("an approval in place of the order", StatementKindError, lambda: back(_LAST)),
    ("an order in place of the approval", StatementKindError, lambda: back(_BACK, _BACK)),
    ("from another activation", RollbackActivationError, lambda: back(_BACK, approval_of(4))),
    (
        "from one with another justification",
        RollbackActivationError,
        lambda: back(_BACK, approval_of(5, justification="no reason")),
    ),
    (
        "of another purpose",
        RollbackActivationError,
        lambda: back(order_of(_LAST, 6, purpose="risk_policy")),
    ),
    (
        "to what was never approved",
        RollbackTargetError,
        lambda: back(order_of(_LAST, 6, digest=DIGESTS[7]), digest=DIGESTS[7]),
    ),
    (
        "to the artifact that is left",
        RollbackTargetError,
        lambda: back(order_of(_LAST, 6, digest=DIGESTS[5]), digest=DIGESTS[5]),
    ),
    (
        "to one before the fallback",
        RollbackTargetError,
        lambda: back(order_of(_LAST, 6, digest=DIGESTS[3]), digest=DIGESTS[3]),
    ),
    (
        "to none although there is a fallback",
        RollbackTargetError,
        lambda: back(order_of(_LAST, 6, digest=""), digest=""),
    ),
    (
        "with the serial of the activation",
        RollbackSerialError,
        lambda: back(order_of(_LAST, 5), serial=5, active=4),
    ),
    (
        "with an older serial",
        RollbackSerialError,
        lambda: back(order_of(_LAST, 4), serial=4, active=3),
    ),
    ("with serial zero", StatementMalformedError, lambda: back(order_of(_LAST, 6, serial=0))),
    (
        "without a reason",
        StatementMalformedError,
        lambda: back(order_of(_LAST, 6, justification="")),
    ),
    ("without a time", StatementMalformedError, lambda: back(order_of(_LAST, 6, issued_at=None))),
    ("with a field too many", StatementMalformedError, lambda: back(order_of(_LAST, 6, to="x"))),
    (
        "under a newer trust set",
        StatementTrustVersionError,
        lambda: back(order_of(_LAST, 6, trust_version=2)),
    ),
    ("of what one has approved", ApprovalTechnologyMissingError, lambda: _back_alone("risk1")),
    (
        "of what the author of the fallback has approved",
        ApprovalByAuthorError,
        lambda: back(author="tech1"),
    ),
    (
        "of what had expired when it was activated",
        ApprovalExpiredError,
        lambda: back(at_ns=NOW_NS + 86_400 * SECOND_NS),
    ),
    ("again", ProofNotNewerError, lambda: back(active=6)),
    ("again after a newer activation", ProofNotNewerError, lambda: back(active=7)),
    ("again under a new serial", ProofSerialError, lambda: back(serial=8, active=7)),
    ("in the name of another artifact", ProofDigestError, lambda: back(digest=DIGESTS[3])),
    ("for another purpose", ProofPurposeError, lambda: back(purpose="risk_policy")),
]


def _graft(envelope: bytes, other: bytes) -> bytes:
    """The payload of one with the signatures of the other."""
    head = envelope.split(b'"signatures":')[0]
    return head + b'"signatures":' + other.split(b'"signatures":')[1]


def accepted() -> list[object]:
    """A life without attacks: every activation in turn, then a rollback, also to nothing."""
    moves = [check_own(number, active=number - 1) for number in range(1, HISTORY + 1)]
    first = approval_of(1)
    moves.append(back())
    moves.append(back(at_ns=NOW_NS + 60 * SECOND_NS))
    moves.append(check(first, order_of(first, 2), digest="", serial=2, active=1))
    moves.append(check(first, order_of(first, 2), digest="00" * 32, serial=2, active=1))
    return moves


ATTACKS: Final = [
    *_replays(),
    *_downgrades(),
    *(Attack(f"proof: {name}", error, attempt) for name, error, attempt in _PROOF_CASES),
    *(Attack(f"rollback {name}", error, attempt) for name, error, attempt in _ROLLBACK_CASES),
]
