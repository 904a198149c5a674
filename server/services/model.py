"""ModelService: the register of signed models and risk policies, and who of them speaks.

Nothing is stored before it is verified, and the very bytes that were verified are stored.
Verification runs in a thread, one at a time: it costs a second and a child process.
"""

import asyncio
import json
from pathlib import Path
from typing import Any, Final

from riskgate.v1 import model_pb2 as pb
from server.errors import PreconditionError
from server.forms import fields
from server.forms.model import (
    read_envelope,
    read_files,
    read_hours,
    read_justified,
    read_status,
    read_version,
)
from server.loaders.artifact import VerifiedArtifact, verify_artifact
from server.loaders.artifact_mirror import open_artifact_store
from server.loaders.manifest import MANIFEST_FILE, POLICY_FILE
from server.loaders.policy_artifact import VerifiedPolicy, verify_policy
from server.record import deployments
from server.record.admin_change import AdminChange, admin_change
from server.record.deployments import Move
from server.record.models import NewModel
from server.security.trust_set import load_trust_set
from server.services.activations import Activations
from server.services.model_reads import ModelReads, Row
from server.services.writing import CREATED, UNCHANGED, UPDATED, Parts

_REVOKED: Final = "revoked"


class ModelService(ModelReads):
    """The register of models; see protos/riskgate/v1/model.proto."""

    def __init__(self, parts: Parts, data_dir: Path, store_url: str | None = None) -> None:
        super().__init__(parts, data_dir / "keys")
        self._keys_dir = data_dir / "keys"
        self._store = open_artifact_store(data_dir, store_url)
        self._activations = Activations(data_dir, self._models, store_url)
        self._verifying = asyncio.Lock()

    async def PushModel(self, request: pb.PushModelRequest, context: Any) -> pb.PushModelResponse:
        """Verify an artifact, store its files, register its version."""
        files = read_files(request)
        note = fields.note(request)
        async with self._verifying:
            artifact = await asyncio.to_thread(self._verify_and_store, files)
        manifest = artifact.manifest
        digest = bytes.fromhex(artifact.digest)
        outcome = CREATED
        async with admin_change(self._parts.pool, note) as change:
            row = await self._models.get(change.database, manifest.purpose, manifest.version)
            if row is not None and row["digest"] == digest:
                outcome = UNCHANGED
            else:
                model = NewModel(
                    purpose=manifest.purpose,
                    version=manifest.version,
                    algorithm=manifest.algorithm,
                    digest=digest,
                    author=manifest.author,
                    author_keyid=artifact.author.keyid,
                    manifest=json.loads(files[MANIFEST_FILE]),
                )
                row = await self._models.register(change.database, model, note)
                if isinstance(artifact, VerifiedPolicy):
                    await self._policies.register(change.database, artifact.policy)
                await _audit(change, "push", row, old=None)
        return pb.PushModelResponse(model=self.write(row), outcome=outcome)

    async def ProposeActivation(
        self, request: pb.ProposeActivationRequest, context: Any
    ) -> pb.ProposeActivationResponse:
        """Return the statement that approvers are asked to sign."""
        purpose, version = read_version(request.purpose, request.version)
        fallback = request.fallback_version
        if fallback:
            _, fallback = read_version(purpose, fallback, "fallback_version")
        hours, note = read_hours(request), read_justified(request)
        async with admin_change(self._parts.pool, note) as change:
            old = await self._models.require(change.database, purpose, version)
            statement = await self._activations.propose(change, old, fallback, hours)
            row = await self._models.require(change.database, purpose, version)
            await _audit(change, "propose", row, old=old)
        return pb.ProposeActivationResponse(statement=statement, model=self.write(row))

    async def ApproveModel(
        self, request: pb.ApproveModelRequest, context: Any
    ) -> pb.ApproveModelResponse:
        """Add one person's signature of the proposed statement."""
        purpose, version = read_version(request.purpose, request.version)
        envelope, note = read_envelope(request), read_justified(request)
        async with admin_change(self._parts.pool, note) as change:
            row = await self._models.require(change.database, purpose, version)
            is_new = await self._activations.approve(change, row, envelope)
            if is_new:
                old = row
                row = await self._models.require(change.database, purpose, version)
                await _audit(change, "approve", row, old=old)
        outcome = UPDATED if is_new else UNCHANGED
        return pb.ApproveModelResponse(model=self.write(row), outcome=outcome)

    async def ActivateModel(
        self, request: pb.ActivateModelRequest, context: Any
    ) -> pb.ActivateModelResponse:
        """Let an approved version speak."""
        purpose, version = read_version(request.purpose, request.version)
        note = read_justified(request)
        async with admin_change(self._parts.pool, note) as change:
            row = await self._models.require(change.database, purpose, version)
            outcome = UNCHANGED
            if row["status"] != "active":
                outcome, old = UPDATED, row
                await self._activations.activate(change, row)
                row = await self._models.require(change.database, purpose, version)
                await _audit(change, "activate", row, old=old)
        self._parts.publisher.wake()
        return pb.ActivateModelResponse(
            model=self.write(row), outcome=outcome, state_version=change.version
        )

    async def RollbackModel(
        self, request: pb.RollbackModelRequest, context: Any
    ) -> pb.RollbackModelResponse:
        """Let the fallback speak that the approval of the active version named."""
        purpose = fields.identifier(request.purpose, "purpose")
        note = read_justified(request)
        async with admin_change(self._parts.pool, note) as change:
            left = await self._models.active(change.database, purpose)
            if left is None:
                raise PreconditionError("none is active")
            fallback = await self._activations.go_back(change, left)
            old, left = left, await self._models.require(change.database, purpose, left["version"])
            await _audit(change, "rollback", left, old=old, successor=fallback)
            model = await self.describe(change, fallback)
        self._parts.publisher.wake()
        return pb.RollbackModelResponse(model=model, state_version=change.version)

    async def MoveModel(self, request: pb.MoveModelRequest, context: Any) -> pb.MoveModelResponse:
        """Move a version that is not active along its lifecycle."""
        purpose, version = read_version(request.purpose, request.version)
        target, note = read_status(request.status), read_justified(request)
        async with admin_change(self._parts.pool, note) as change:
            row = await self._models.require(change.database, purpose, version)
            outcome = UNCHANGED
            if row["status"] != target:
                outcome, old = UPDATED, row
                what = Move(event="move", target=target)
                await deployments.move(change.database, row, what, note)
                row = await self._models.require(change.database, purpose, version)
                await _audit(change, "move", row, old=old)
        return pb.MoveModelResponse(model=self.write(row), outcome=outcome)

    async def RevokeModel(
        self, request: pb.RevokeModelRequest, context: Any
    ) -> pb.RevokeModelResponse:
        """End a version for good; if it speaks, its fallback does from then on."""
        purpose, version = read_version(request.purpose, request.version)
        note = read_justified(request)
        fallback = active = None
        async with admin_change(self._parts.pool, note) as change:
            row = await self._models.require(change.database, purpose, version)
            outcome = UNCHANGED
            if row["status"] != _REVOKED:
                outcome, old = UPDATED, row
                if row["status"] == "active":
                    fallback = await self._activations.go_back(change, row)
                    active = await self.describe(change, fallback)
                    row = await self._models.require(change.database, purpose, version)
                await deployments.move(change.database, row, Move(event="revoke"), note)
                row = await self._models.require(change.database, purpose, version)
                await _audit(change, "revoke", row, old=old, successor=fallback)
        self._parts.publisher.wake()
        return pb.RevokeModelResponse(
            model=self.write(row), active=active, outcome=outcome, state_version=change.version
        )

    def _verify_and_store(self, files: dict[str, bytes]) -> VerifiedArtifact | VerifiedPolicy:
        verify = verify_policy if POLICY_FILE in files else verify_artifact
        artifact = verify(files, load_trust_set(self._keys_dir))
        self._store.put(files)
        return artifact


async def _audit(
    change: AdminChange, action: str, row: Row, *, old: Row | None, successor: Row | None = None
) -> None:
    new = _summary(row)
    if successor is not None:
        new["successor"] = successor["version"]
    key = f"{row['purpose']}/{row['version']}"
    before = None if old is None else _summary(old)
    await change.audit(action, "model", key, old=before, new=new)


def _summary(row: Row) -> dict[str, Any]:
    return {
        "status": row["status"],
        "digest": bytes(row["digest"]).hex(),
        "serial": row["serial"],
        "approvers": row.get("approvers", []),
    }
