"""Approvals by the wrong people, at the wrong time, or of something that is no statement."""

import json
from base64 import b64decode
from datetime import timedelta
from functools import partial
from itertools import combinations
from typing import Any, Final

from server.errors import RiskgateError
from server.security.activation import verify_activation
from server.security.canonical import encode_canonical
from server.security.keys import name_key
from server.security.statements import merge_signatures, sign_statement, verify_signature_of_one
from server.security.trusted_key import TrustedKey, TrustSet
from server.statement_errors import (
    ApprovalByAuthorError,
    ApprovalExpiredError,
    ApprovalNotYetValidError,
    ApprovalPersonTwiceError,
    ApprovalRiskMissingError,
    ApprovalTechnologyMissingError,
    ApprovalWindowError,
    StatementKindError,
    StatementMalformedError,
    StatementRoleError,
    StatementsDifferError,
    StatementSignerCountError,
    StatementTrustVersionError,
    StatementUnknownSignerError,
)
from tests.attacks.cast import (
    NOW,
    NOW_NS,
    SECOND_NS,
    TRUST,
    Attack,
    activation,
    entry_of,
    key_of,
    trust_of,
)
from tests.attacks.envelopes import verify

SIGNERS: Final = ("author", "risk1", "risk2", "tech1", "tech2", "outsider")
_HOUR_NS: Final = 3_600 * SECOND_NS


def expected_of(signers: tuple[str, ...]) -> type[RiskgateError] | None:
    """What meets these signers, as the rules say and not as the code does it."""
    if "outsider" in signers:
        return StatementUnknownSignerError
    if "author" in signers:
        return ApprovalByAuthorError
    if not {"risk1", "risk2"} & set(signers):
        return ApprovalRiskMissingError
    if not {"tech1", "tech2"} & set(signers):
        return ApprovalTechnologyMissingError
    return None


COMBINATIONS: Final = [signers for count in range(1, 7) for signers in combinations(SIGNERS, count)]
ACCEPTED: Final = [signers for signers in COMBINATIONS if expected_of(signers) is None]


def _combination_attacks() -> list[Attack]:
    return [
        Attack(
            f"approved by {' and '.join(signers)}",
            error,
            partial(verify, activation(*signers)),
        )
        for signers in COMBINATIONS
        if (error := expected_of(signers)) is not None
    ]


def _verify_at(at_ns: int, **changes: Any) -> object:
    raw = activation(**changes)
    return verify_activation(raw, TRUST, author=entry_of("author"), now_ns=at_ns)


def _two_keys_of_one_person() -> object:
    # No trust set can name such two; who approves is looked at all the same.
    one = name_key(key_of("risk1"), "ruth", "approver", "risk")
    other = name_key(key_of("tech1"), "ruth", "approver", "technology")
    trust = TrustSet(1, {one.keyid: one, other.keyid: other})
    return verify_activation(activation(), trust, author=entry_of("author"), now_ns=NOW_NS)


def _without(name: str) -> object:
    remaining = [key for key in TRUST.keys if key != entry_of(name).keyid]
    trust = TrustSet(2, {keyid: TRUST.keys[keyid] for keyid in remaining})
    return verify_activation(activation(), trust, author=entry_of("author"), now_ns=NOW_NS)


def _by_author_of_fallback() -> object:
    return verify_activation(
        activation("author_as_risk", "tech1"),
        TRUST,
        author=entry_of("other_author"),
        author_of_fallback=entry_of("author"),
        now_ns=NOW_NS,
    )


def _under(author: TrustedKey, *signers: str) -> object:
    return verify_activation(activation(*signers), TRUST, author=author, now_ns=NOW_NS)


def statement(**changes: Any) -> bytes:
    """A signed statement whose fields are no longer checked by who writes it; None: left out."""
    fields = json.loads(b64decode(json.loads(activation())["payload"])) | changes
    kept = {name: value for name, value in fields.items() if value is not None}
    payload = encode_canonical(kept)
    return merge_signatures(
        sign_statement(payload, "activation", key_of("risk1")),
        sign_statement(payload, "activation", key_of("tech1")),
    )


def _as_kind(kind: Any) -> object:
    payload = b64decode(json.loads(activation())["payload"])
    return verify(sign_statement(payload, kind, key_of("risk1")))


_MALFORMED: Final[dict[str, dict[str, Any]]] = {
    "serial zero": {"serial": 0},
    "serial below zero": {"serial": -1},
    "serial above all numbers": {"serial": 1 << 63},
    "serial true": {"serial": True},
    "serial with a fraction": {"serial": 1.0},
    "serial as a text": {"serial": "1"},
    "digest missing": {"digest": None},
    "digest empty": {"digest": ""},
    "digest in capitals": {"digest": "AB" * 32},
    "digest too long": {"digest": "ab" * 33},
    "fallback without a value": {"fallback_digest": "none"},
    "previous digest cut": {"previous_digest": "ab" * 31},
    "version in two parts": {"version": "1.0"},
    "version with a zero in front": {"version": "01.0.0"},
    "version in other digits": {"version": "१.0.0"},
    "purpose in capitals": {"purpose": "Slippage"},
    "purpose empty": {"purpose": ""},
    "no justification": {"justification": ""},
    "a blank justification": {"justification": " \t"},
    "a day that does not exist": {"not_before": "2026-02-30T00:00:00Z"},
    "a time with a fraction": {"not_before": "2026-03-04T12:00:00.5Z"},
    "a time in another zone": {"not_before": "2026-03-04T12:00:00+01:00"},
    "a time in other digits": {"not_before": "२०२६-03-04T12:00:00Z"},
    "an expiry without a time": {"expires": "2026-03-05"},
    "trust version zero": {"trust_version": 0},
    "a field too many": {"approved_by": "everybody"},
    "a later form": {"statement": "riskgate.activation.v2"},
    "the form of a release": {"statement": "riskgate.release.v1"},
}

_SINGLE: Final = activation("risk1")

ATTACKS: Final = [
    *_combination_attacks(),
    Attack(
        "author's second key",
        ApprovalByAuthorError,
        lambda: _under(entry_of("author"), "author_as_risk", "tech1"),
    ),
    Attack(
        "author's second key as a third",
        ApprovalByAuthorError,
        lambda: _under(entry_of("author"), "author_as_risk", "risk1", "tech1"),
    ),
    Attack(
        "an approver who is the author",
        ApprovalByAuthorError,
        lambda: _under(entry_of("risk1"), "risk1", "risk2", "tech1"),
    ),
    Attack("author of the fallback", ApprovalByAuthorError, _by_author_of_fallback),
    Attack("two keys of one person", ApprovalPersonTwiceError, _two_keys_of_one_person),
    Attack(
        "another author",
        StatementRoleError,
        partial(verify, activation("other_author", "risk1", "tech1")),
    ),
    Attack(
        "control approves",
        StatementRoleError,
        partial(verify, activation("control", "risk1", "tech1")),
    ),
    Attack(
        "control instead of technology",
        StatementRoleError,
        partial(verify, activation("control", "risk1")),
    ),
    Attack(
        "a root approves",
        StatementRoleError,
        partial(verify, activation("root1", "risk1", "tech1")),
    ),
    Attack("an approver who has left", StatementUnknownSignerError, lambda: _without("risk1")),
    Attack("the other approver has left", StatementUnknownSignerError, lambda: _without("tech1")),
    Attack(
        "made under a newer trust set",
        StatementTrustVersionError,
        partial(verify, activation(trust_version=2)),
    ),
    Attack("expired this second", ApprovalExpiredError, lambda: _verify_at(NOW_NS + 24 * _HOUR_NS)),
    Attack(
        "expired a year ago", ApprovalExpiredError, lambda: _verify_at(NOW_NS + 8_760 * _HOUR_NS)
    ),
    Attack(
        "expired after a minute",
        ApprovalExpiredError,
        lambda: _verify_at(NOW_NS + 61 * SECOND_NS, expires=NOW + timedelta(minutes=1)),
    ),
    Attack("not valid for a nanosecond", ApprovalNotYetValidError, lambda: _verify_at(NOW_NS - 1)),
    Attack(
        "not valid before tomorrow",
        ApprovalNotYetValidError,
        lambda: _verify_at(NOW_NS - 24 * _HOUR_NS),
    ),
    Attack("activated at no time", ApprovalNotYetValidError, lambda: _verify_at(0)),
    Attack(
        "valid for a second too long",
        ApprovalWindowError,
        lambda: _verify_at(NOW_NS, expires=NOW + timedelta(hours=24, seconds=1)),
    ),
    Attack(
        "valid for ever",
        ApprovalWindowError,
        lambda: _verify_at(NOW_NS, expires=NOW.replace(year=9_999)),
    ),
    Attack("valid for no time", ApprovalWindowError, lambda: _verify_at(NOW_NS, expires=NOW)),
    Attack(
        "ends before it begins",
        ApprovalWindowError,
        lambda: _verify_at(NOW_NS, expires=NOW - timedelta(hours=1)),
    ),
    *(
        Attack(f"statement: {name}", StatementMalformedError, partial(verify, statement(**changes)))
        for name, changes in _MALFORMED.items()
    ),
    *(
        Attack(f"statement signed as a {kind}", StatementKindError, partial(_as_kind, kind))
        for kind in ("release", "rollback", "trust", "head", "checkpoint")
    ),
    Attack(
        "one approval by two",
        StatementSignerCountError,
        lambda: verify_signature_of_one(activation(), TRUST),
    ),
    Attack(
        "one approval by control",
        StatementRoleError,
        lambda: verify_signature_of_one(activation("control"), TRUST),
    ),
    Attack(
        "one approval by an outsider",
        StatementUnknownSignerError,
        lambda: verify_signature_of_one(activation("outsider"), TRUST),
    ),
    Attack(
        "one approval by somebody who is no longer trusted",
        StatementUnknownSignerError,
        lambda: verify_signature_of_one(_SINGLE, trust_of("tech1", version=2)),
    ),
    Attack(
        "approvals of two statements together",
        StatementsDifferError,
        lambda: merge_signatures(activation("risk1"), activation("tech1", serial=2)),
    ),
    Attack(
        "approvals of two fallbacks together",
        StatementsDifferError,
        lambda: merge_signatures(activation("risk1"), activation("tech1", fallback_digest="")),
    ),
]
