"""Proofs of activations, signed by the development keys of a data directory as people would."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from riskgate.v1 import state_pb2
from server.changes import model_rows, policy_rows, state_change
from server.loaders.activation_change import Activation, read_activation
from server.policy import RISK_POLICY
from server.security.activation import build_activation
from server.security.keys import (
    APPROVER_RISK_KEY_FILE,
    APPROVER_TECHNOLOGY_KEY_FILE,
    CONTROL_KEY_FILE,
    load_private_key,
)
from server.security.rollback_order import build_rollback
from server.security.statements import merge_signatures, sign_statement

PURPOSE = "slippage"


class Approvals:
    """What the approvers and control of one data directory sign."""

    def __init__(self, keys_dir: Path) -> None:
        self.risk = load_private_key(keys_dir / APPROVER_RISK_KEY_FILE)
        self.technology = load_private_key(keys_dir / APPROVER_TECHNOLOGY_KEY_FILE)
        self.control = load_private_key(keys_dir / CONTROL_KEY_FILE)

    def approve(self, digest: bytes, serial: int, **said: Any) -> state_pb2.ActivationProof:
        """Return the proof of an activation that both approvers have signed."""
        now = datetime.now(UTC)
        fields: dict[str, Any] = {
            "purpose": PURPOSE,
            "version": "1.0.0",
            "digest": digest.hex(),
            "serial": serial,
            "previous_digest": "",
            "fallback_digest": "",
            "not_before": now - timedelta(minutes=1),
            "expires": now + timedelta(hours=1),
            "justification": "better on the hold-out",
            "trust_version": 1,
        } | said
        payload = build_activation(**fields)
        by_risk = sign_statement(payload, "activation", self.risk)
        by_technology = sign_statement(payload, "activation", self.technology)
        return state_pb2.ActivationProof(
            activation=merge_signatures(by_risk, by_technology), activated_at_ns=time.time_ns()
        )

    def roll_back(self, proof: state_pb2.ActivationProof, serial: int) -> state_pb2.ActivationProof:
        """Return the proof of going back to the fallback that an approval named."""
        payload = build_rollback(
            proof.activation,
            serial=serial,
            issued_at=datetime.now(UTC),
            justification="it misbehaves",
            trust_version=1,
        )
        return state_pb2.ActivationProof(
            activation=proof.activation,
            rollback=sign_statement(payload, "rollback", self.control),
            activated_at_ns=proof.activated_at_ns,
        )


def model_change(
    digest: bytes,
    serial: int,
    proof: state_pb2.ActivationProof,
    *,
    purpose: str = PURPOSE,
    version: int | None = None,
) -> state_pb2.StateChange:
    """Return the change that activates a model."""
    rows = model_rows(purpose, digest, "1.0.0", serial)
    number = serial if version is None else version
    message = state_change(state_pb2.CHANGE_KIND_MODEL, purpose, rows, version=number)
    message.proof = proof.SerializeToString()
    return message


def policy_change(
    policy: dict[str, Any],
    files: dict[str, bytes],
    proof: state_pb2.ActivationProof,
    *,
    version: int = 1,
) -> state_pb2.StateChange:
    """Return the change that activates a risk policy."""
    message = state_change(
        state_pb2.CHANGE_KIND_POLICY, RISK_POLICY, policy_rows(policy), version=version
    )
    whole = state_pb2.ActivationProof()
    whole.CopyFrom(proof)
    for name, content in files.items():
        whole.files.add(name=name, content=content)
    message.proof = whole.SerializeToString()
    return message


def activation_of(message: state_pb2.StateChange, **changed: Any) -> Activation:
    """Return what a change asks for, as the feed reads it."""
    return read_activation(message, message.SerializeToString())._replace(**changed)
