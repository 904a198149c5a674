"""Approvals and proofs as the people of a data directory would sign them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from riskgate.v1 import state_pb2
from server.security.activation import build_activation
from server.security.keys import (
    APPROVER_RISK_KEY_FILE,
    APPROVER_TECHNOLOGY_KEY_FILE,
    CONTROL_KEY_FILE,
    load_private_key,
)
from server.security.rollback_order import build_rollback
from server.security.statements import merge_signatures, sign_statement

SECOND_NS: Final = 1_000_000_000


def sign_activation(payload: bytes, *keys: Ed25519PrivateKey) -> bytes:
    """An envelope with one signature of each key."""
    envelope, *others = [sign_statement(payload, "activation", key) for key in keys]
    for other in others:
        envelope = merge_signatures(envelope, other)
    return envelope


def activation_payload(digest: bytes | str, serial: int = 1, **changes: Any) -> bytes:
    """A statement that is valid from a minute ago for 24 h."""
    begins = datetime.now(UTC) - timedelta(minutes=1)
    fields: dict[str, Any] = {
        "purpose": "slippage",
        "version": "1.0.0",
        "digest": digest if isinstance(digest, str) else digest.hex(),
        "serial": serial,
        "previous_digest": "",
        "fallback_digest": "",
        "not_before": begins,
        "expires": begins + timedelta(hours=24),
        "justification": "the new version is better",
        "trust_version": 1,
    }
    return build_activation(**fields | changes)


def prove_activation(
    keys_dir: Path, digest: bytes | str, serial: int = 1, **changes: Any
) -> state_pb2.ActivationProof:
    """The proof of an activation now, signed by both development approvers.

    Args:
        keys_dir: Was filled by `ensure_development_keys`.
        digest: Of the artifact.
        serial: Of the activation.
        changes: Other fields of the statement.
    """
    risk, technology = (
        load_private_key(keys_dir / name)
        for name in (APPROVER_RISK_KEY_FILE, APPROVER_TECHNOLOGY_KEY_FILE)
    )
    envelope = sign_activation(activation_payload(digest, serial, **changes), risk, technology)
    now_ns = int(datetime.now(UTC).timestamp()) * SECOND_NS
    return state_pb2.ActivationProof(activation=envelope, activated_at_ns=now_ns)


def prove_rollback(
    keys_dir: Path, activated: state_pb2.ActivationProof, serial: int
) -> state_pb2.ActivationProof:
    """The proof of going back to the fallback of an activation, ordered by control."""
    payload = build_rollback(
        activated.activation,
        serial=serial,
        issued_at=datetime.now(UTC),
        justification="it is wrong",
        trust_version=1,
    )
    order = sign_statement(payload, "rollback", load_private_key(keys_dir / CONTROL_KEY_FILE))
    return state_pb2.ActivationProof(
        activation=activated.activation,
        rollback=order,
        activated_at_ns=activated.activated_at_ns,
    )
