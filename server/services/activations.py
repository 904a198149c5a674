"""From a proposal to the version that speaks, and back: what must be signed is checked here.

Every method works inside one open admin change, whose lock puts all of them in one order. What is
handed to the engines is checked with the very function that they use, so that control publishes
nothing that they would refuse.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import reduce
from pathlib import Path
from typing import Any, Final, Literal

from riskgate.v1 import state_pb2
from server.changes import NO_DIGEST, NO_VERSION, model_rows, policy_rows
from server.errors import PreconditionError
from server.lifecycle import next_status
from server.loaders.artifact_mirror import open_artifact_store
from server.loaders.model_source import ModelSource
from server.policy import RISK_POLICY
from server.record.admin_change import AdminChange
from server.record.approvals import ApprovalRepository
from server.record.deployments import Move, activation_of, move, newest_serial
from server.record.models import ModelRepository
from server.record.policies import PolicyRepository
from server.security.activation import (
    ActivationStatement,
    build_activation,
    parse_activation,
    verify_activation,
)
from server.security.activation_proof import check_proof
from server.security.keys import CONTROL_KEY_FILE, load_private_key
from server.security.rollback_order import build_rollback
from server.security.statements import (
    merge_signatures,
    payload_of,
    sign_statement,
    verify_signature_of_one,
)
from server.security.trusted_key import TrustedKey, TrustSet
from server.statement_errors import ApprovalByAuthorError

Row = dict[str, Any]

_GROUPS: Final = frozenset({"risk", "technology"})


class Activations:
    """Decides what may speak.

    Args:
        data_dir: Holds `artifacts/` and `keys/`.
        models: The register.
        store_url: The setting `artifact_store_url`.
    """

    def __init__(
        self, data_dir: Path, models: ModelRepository, store_url: str | None = None
    ) -> None:
        self._models = models
        self._approvals = ApprovalRepository()
        self._policies = PolicyRepository()
        self._source = ModelSource(data_dir, store_url)
        self._store = open_artifact_store(data_dir, store_url)
        self._control_key_path = data_dir / "keys" / CONTROL_KEY_FILE

    async def propose(
        self, change: AdminChange, model: Row, fallback_version: str, hours: int
    ) -> bytes:
        """Write the statement that approvers are asked to sign, in the place of an earlier one.

        Args:
            change: Its note says why; that becomes part of the statement.
            model: The version.
            fallback_version: Where a rollback goes; empty: to what is active now.
            hours: How long the approval may be used.

        Raises:
            PreconditionError: The version, or the fallback, is in no state for that.
            RiskgateError: Its author is no longer trusted, or it is not in the store.
        """
        database, purpose = change.database, model["purpose"]
        next_status("propose", model["status"])
        active = await self._models.active(database, purpose)
        fallback = active
        if fallback_version:
            fallback = await self._models.require(database, purpose, fallback_version)
            _require_fallback(fallback, model)
        trust = await asyncio.to_thread(self._source.load_trust)
        await asyncio.to_thread(self._source.find_author, _hex(model), trust)
        now = datetime.now(UTC)
        payload = build_activation(
            purpose=purpose,
            version=model["version"],
            digest=_hex(model),
            serial=await newest_serial(database, purpose) + 1,
            previous_digest=_hex(active),
            fallback_digest=_hex(fallback),
            not_before=now,
            expires=now + timedelta(hours=hours),
            justification=change.note.reason,
            trust_version=trust.version,
        )
        await self._approvals.propose(database, model, payload, parse_activation(payload))
        await move(database, model, Move(event="propose", evidence=payload), change.note)
        return payload

    async def approve(self, change: AdminChange, model: Row, envelope: bytes) -> bool:
        """Add one person's signature; the version is approved when both groups have signed.

        Returns:
            Whether it is a new one.

        Raises:
            PreconditionError: There is no such proposal any more.
            StatementError: The signature is refused; one subclass for each reason.
        """
        database = change.database
        proposal = await self._current_proposal(change, model)
        trust = await asyncio.to_thread(self._source.load_trust)
        approver = verify_signature_of_one(envelope, trust)
        author = await asyncio.to_thread(self._source.find_author, _hex(model), trust)
        if approver.keyid == author.keyid or approver.person == author.person:
            raise ApprovalByAuthorError(f"{approver.person} released the artifact")
        if payload_of(envelope) != bytes(proposal["statement"]):
            raise PreconditionError("what was signed is not the current proposal")
        earlier = await self._approvals.of(database, proposal)
        if any(each["keyid"] == approver.keyid for each in earlier):
            return False
        await self._approvals.add(database, proposal, approver, envelope, change.note)
        groups = {each["key_group"] for each in earlier} | {approver.group}
        if groups < _GROUPS:
            signed = Move(event="approve", step="sign", evidence=envelope)
        else:
            merged = _merge([*(each["envelope"] for each in earlier), envelope])
            await asyncio.to_thread(self._verify, merged, author, trust)
            columns = {"approved_at": datetime.now(UTC)}
            signed = Move(event="approve", evidence=envelope, columns=columns)
        await move(database, model, signed, change.note)
        return True

    async def activate(self, change: AdminChange, model: Row) -> None:
        """Let an approved version speak in the place of the one that does.

        Raises:
            PreconditionError: It is not approved, or its proposal is stale.
            StatementError: The approval is no longer good; one subclass for each reason.
        """
        database = change.database
        next_status("activate", model["status"])
        proposal = await self._current_proposal(change, model)
        signed = await self._approvals.of(database, proposal)
        proof = state_pb2.ActivationProof(
            activation=_merge([each["envelope"] for each in signed]),
            activated_at_ns=time.time_ns(),
        )
        said = parse_activation(payload_of(proof.activation))
        if said.fallback_digest:
            fallback = await self._models.by_digest(
                database, model["purpose"], said.fallback_digest
            )
            _require_fallback(fallback, model)
        replaced = await self._models.active(database, model["purpose"])
        serial = proposal["serial"]
        await self._speak(change, model["purpose"], model, replaced, "activate", serial, proof)

    async def go_back(self, change: AdminChange, left: Row) -> Row | None:
        """Go back to the fallback that the approval of the active version named.

        Args:
            change: Its note says why; that becomes part of the order.
            left: The active version.

        Returns:
            The version that speaks now; None: none does.

        Raises:
            PreconditionError: The fallback may not speak any more.
            StatementError: The approval does not allow it; one subclass for each reason.
        """
        database, purpose = change.database, left["purpose"]
        proof = await activation_of(database, left)
        trust = await asyncio.to_thread(self._source.load_trust)
        serial = await newest_serial(database, purpose) + 1
        order = build_rollback(
            proof.activation,
            serial=serial,
            issued_at=datetime.now(UTC),
            justification=change.note.reason,
            trust_version=trust.version,
        )
        key = await asyncio.to_thread(load_private_key, self._control_key_path)
        proof.rollback = sign_statement(order, "rollback", key)
        del proof.files[:]
        said = parse_activation(payload_of(proof.activation))
        fallback = None
        if said.fallback_digest:
            fallback = await self._models.by_digest(database, purpose, said.fallback_digest)
            _require_fallback(fallback, left)
        await self._speak(change, purpose, fallback, left, "rollback", serial, proof)
        return fallback

    async def _speak(
        self,
        change: AdminChange,
        purpose: str,
        model: Row | None,
        replaced: Row | None,
        event: Literal["activate", "rollback"],
        serial: int,
        proof: state_pb2.ActivationProof,
    ) -> None:
        """Check a proof as engines do, record the move, and publish it."""
        database = change.database
        await asyncio.to_thread(self._complete_and_check, proof, purpose, model, serial)
        raw = proof.SerializeToString()
        what = Move(event=event, serial=serial, proof=raw)
        await self._models.speak(database, model, replaced, what, change.note)
        if purpose == RISK_POLICY:
            version = None if model is None else model["version"]
            rows = policy_rows(await self._policies.use(database, version))
            await change.publish(state_pb2.CHANGE_KIND_POLICY, RISK_POLICY, rows, proof=raw)
            return
        if model is None:
            rows = model_rows(purpose, NO_DIGEST, NO_VERSION, serial)
        else:
            rows = model_rows(purpose, bytes(model["digest"]), model["version"], serial)
        await change.publish(state_pb2.CHANGE_KIND_MODEL, purpose, rows, proof=raw)

    def _complete_and_check(
        self, proof: state_pb2.ActivationProof, purpose: str, model: Row | None, serial: int
    ) -> None:
        trust = self._source.load_trust()
        check_proof(
            proof,
            purpose=purpose,
            digest=NO_DIGEST if model is None else bytes(model["digest"]),
            serial=serial,
            active_serial=serial - 1,
            trust=trust,
            find_author=lambda digest: self._source.find_author(digest, trust),
        )
        if not proof.rollback and model is not None:
            author = self._source.find_author(_hex(model), trust)
            self._verify(proof.activation, author, trust)
        if model is not None and purpose == RISK_POLICY:
            # Small enough to travel whole: an engine needs no file of it.
            files = self._store.read(_hex(model))
            for name, content in sorted(files.items()):
                proof.files.add(name=name, content=content)

    async def _current_proposal(self, change: AdminChange, model: Row) -> Row:
        proposal = await self._approvals.current(change.database, model)
        if proposal is None:
            raise PreconditionError("nothing is proposed: propose the activation first")
        if await self._approvals.is_stale(change.database, proposal):
            raise PreconditionError("the proposal is stale: another activation came first")
        return proposal

    def _verify(self, envelope: bytes, author: TrustedKey, trust: TrustSet) -> ActivationStatement:
        said = parse_activation(payload_of(envelope))
        fallback = said.fallback_digest
        return verify_activation(
            envelope,
            trust,
            author=author,
            now_ns=time.time_ns(),
            author_of_fallback=self._source.find_author(fallback, trust) if fallback else None,
        )


def _require_fallback(fallback: Row, model: Row) -> None:
    """Refuse a fallback that never spoke or may not speak any more."""
    name = f"{fallback['purpose']} {fallback['version']}"
    if fallback["digest"] == model["digest"]:
        raise PreconditionError("a version cannot be its own fallback")
    if not fallback["serial"]:
        raise PreconditionError(f"the fallback {name} was never active")
    if fallback["status"] != "active":
        try:
            next_status("rollback", fallback["status"])
        except PreconditionError as error:
            problem = f"the fallback {name} is {fallback['status']}: propose with another one"
            raise PreconditionError(problem) from error


def _merge(envelopes: Sequence[bytes]) -> bytes:
    if not envelopes:
        raise PreconditionError("nobody has signed the current proposal")
    return reduce(merge_signatures, map(bytes, envelopes))


def _hex(model: Row | None) -> str:
    return "" if model is None else bytes(model["digest"]).hex()
