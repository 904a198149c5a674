"""Everybody who may sign, or would like to: keys from their names, so that each run is the same."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from typing import Any, Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.errors import RiskgateError
from server.security.activation import build_activation
from server.security.keys import name_key
from server.security.statements import sign_statement
from server.security.trust_set import build_trust_set
from server.security.trusted_key import Group, Role, TrustedKey, TrustSet
from tests.approvals import sign_activation

NOW: Final = datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC)
SECOND_NS: Final = 1_000_000_000
NOW_NS: Final = int(NOW.timestamp()) * SECOND_NS

_SEATS: Final[dict[str, tuple[str, Role, Group]]] = {
    "author": ("ann", "author", ""),
    "other_author": ("bea", "author", ""),
    "risk1": ("ruth", "approver", "risk"),
    "risk2": ("rolf", "approver", "risk"),
    "tech1": ("tara", "approver", "technology"),
    "tech2": ("theo", "approver", "technology"),
    # The author once more, with an approver's key of her own.
    "author_as_risk": ("ann", "approver", "risk"),
    "control": ("gate", "control", ""),
    "root1": ("ute", "root", ""),
    "root2": ("udo", "root", ""),
    "root3": ("uwe", "root", ""),
}


class Attack(NamedTuple):
    """One attempt, and the one error that must meet it."""

    name: str
    error: type[RiskgateError]
    attempt: Callable[[], object]


@dataclass(frozen=True)
class Bundle:
    """What was approved; stands for an artifact."""

    version: str
    digest: str


@cache
def key_of(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(sha256(name.encode()).digest())


@cache
def entry_of(name: str) -> TrustedKey:
    return name_key(key_of(name), *_SEATS[name])


def keyid_of(name: str) -> str:
    return name_key(key_of(name), "anybody", "root").keyid


def entries_of(*names: str) -> list[TrustedKey]:
    return [entry_of(name) for name in names]


EVERYBODY: Final = tuple(_SEATS)
ROOTS: Final = ("root1", "root2", "root3")


@cache
def trust_payload(*names: str, root_threshold: int = 2, previous: bytes | None = None) -> bytes:
    keys = entries_of(*(names or EVERYBODY))
    return build_trust_set(keys, root_threshold=root_threshold, previous=previous)


def trust_of(*names: str, version: int = 1) -> TrustSet:
    keys = {key.keyid: key for key in entries_of(*(names or EVERYBODY))}
    return TrustSet(version, keys, root_threshold=2)


TRUST: Final = trust_of()
DIGESTS: Final = [sha256(f"artifact {number}".encode()).hexdigest() for number in range(8)]


def activation_fields(**changes: Any) -> dict[str, Any]:
    fields = {
        "purpose": "slippage",
        "version": "1.0.0",
        "digest": DIGESTS[1],
        "serial": 1,
        "previous_digest": "",
        "fallback_digest": DIGESTS[0],
        "not_before": NOW,
        "expires": NOW + timedelta(hours=24),
        "justification": "smaller error in all months",
        "trust_version": 1,
    }
    return fields | changes


def activation(*signers: str, **changes: Any) -> bytes:
    """The envelope of a statement, with the signatures of these people."""
    payload = build_activation(**activation_fields(**changes))
    return sign_activation(payload, *map(key_of, signers or ("risk1", "tech1")))


def signed(payload: bytes, kind: Any, *signers: str) -> bytes:
    """The envelope of any payload, with the signatures of these people."""
    from server.security.statements import merge_signatures

    envelope, *others = [sign_statement(payload, kind, key_of(name)) for name in signers]
    for other in others:
        envelope = merge_signatures(envelope, other)
    return envelope
