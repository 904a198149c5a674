"""ModelService: push, approval, activation and rollback of signed models and risk policies.

Nothing is stored before it is verified, and the very bytes that were verified are stored.
Verification runs in a thread, one at a time: it costs a second and a child process.
"""

import asyncio
import json
from pathlib import Path
from typing import Any, Final

from riskgate.v1 import model_pb2 as pb
from riskgate.v1 import model_pb2_grpc, state_pb2
from server.changes import model_rows, policy_rows
from server.errors import InvalidFieldError, PreconditionError
from server.forms import fields
from server.forms.model import read_files, read_version, write_model
from server.loaders.artifact import VerifiedArtifact, verify_artifact
from server.loaders.artifact_store import ArtifactStore
from server.loaders.manifest import POLICY_FILE
from server.loaders.policy_artifact import VerifiedPolicy, verify_policy
from server.policy import RISK_POLICY
from server.record.admin_change import AdminChange, admin_change
from server.record.models import ModelRepository, NewModel
from server.record.paging import decode_token, encode_token, page_size
from server.record.policies import PolicyRepository
from server.record.pool import connection
from server.security.keys import TRUST_FILE, load_trust_set
from server.services.writing import CREATED, UNCHANGED, UPDATED, Parts

_MANIFEST_FILE: Final = "manifest.json"


class ModelService(model_pb2_grpc.ModelServiceServicer):
    """The register of models; see protos/riskgate/v1/model.proto."""

    def __init__(self, parts: Parts, data_dir: Path) -> None:
        self._parts = parts
        self._models = ModelRepository()
        self._policies = PolicyRepository()
        self._store = ArtifactStore(data_dir / "artifacts")
        self._trust_file = data_dir / "keys" / TRUST_FILE
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
                    manifest=json.loads(files[_MANIFEST_FILE]),
                )
                row = await self._models.register(change.database, model, note)
                if isinstance(artifact, VerifiedPolicy):
                    await self._policies.register(change.database, artifact.policy)
                await _audit(change, "push", row)
        return pb.PushModelResponse(model=write_model(row), outcome=outcome)

    async def ApproveModel(
        self, request: pb.ApproveModelRequest, context: Any
    ) -> pb.ApproveModelResponse:
        """Record one person's approval of one digest."""
        purpose, version = read_version(request.purpose, request.version)
        note = fields.note(request)
        if not note.actor:
            raise InvalidFieldError("note.actor", "is required")
        async with admin_change(self._parts.pool, note) as change:
            row = await self._models.require(change.database, purpose, version)
            if request.digest and request.digest != row["digest"]:
                raise PreconditionError("the digest is not that of the version")
            outcome = UNCHANGED
            if note.actor not in row["approvers"]:
                outcome = UPDATED
                row = await self._models.approve(change.database, row, note)
                await _audit(change, "approve", row)
        return pb.ApproveModelResponse(model=write_model(row), outcome=outcome)

    async def ActivateModel(
        self, request: pb.ActivateModelRequest, context: Any
    ) -> pb.ActivateModelResponse:
        """Let an approved version speak."""
        purpose, version = read_version(request.purpose, request.version)
        serial = request.serial if request.HasField("serial") else None
        note = fields.note(request)
        async with admin_change(self._parts.pool, note) as change:
            row = await self._models.require(change.database, purpose, version)
            outcome = UNCHANGED
            if row["status"] != "active" or serial is not None:
                if row["status"] != "approved":
                    raise PreconditionError(f"a model that is {row['status']} cannot be activated")
                outcome = UPDATED
                row = await self._models.activate(
                    change.database, row, note, event="activate", serial=serial
                )
                await self._publish(change, "activate", row)
        self._parts.publisher.wake()
        return pb.ActivateModelResponse(
            model=write_model(row), outcome=outcome, state_version=change.version
        )

    async def RollbackModel(
        self, request: pb.RollbackModelRequest, context: Any
    ) -> pb.RollbackModelResponse:
        """Let the version speak again that spoke before."""
        purpose = fields.identifier(request.purpose, "purpose")
        note = fields.note(request)
        if not note.reason:
            raise InvalidFieldError("note.reason", "is required")
        async with admin_change(self._parts.pool, note) as change:
            if request.version:
                _, version = read_version(purpose, request.version)
                row = await self._models.require(change.database, purpose, version)
            else:
                row = await self._models.previous(change.database, purpose)
            if row["status"] != "deprecated":
                raise PreconditionError(f"a model that is {row['status']} is no rollback target")
            row = await self._models.activate(
                change.database, row, note, event="rollback", serial=None
            )
            await self._publish(change, "rollback", row)
        self._parts.publisher.wake()
        return pb.RollbackModelResponse(model=write_model(row), state_version=change.version)

    async def GetModel(self, request: pb.GetModelRequest, context: Any) -> pb.GetModelResponse:
        """Return one version."""
        purpose, version = read_version(request.purpose, request.version)
        async with connection(self._parts.pool) as database:
            row = await self._models.require(database, purpose, version)
        return pb.GetModelResponse(model=write_model(row))

    async def ListModels(
        self, request: pb.ListModelsRequest, context: Any
    ) -> pb.ListModelsResponse:
        """Return a page of versions."""
        limit = page_size(request.page_size)
        after = decode_token(request.page_token, 2)
        if after is not None:
            read_version(after[0], after[1])
        async with connection(self._parts.pool) as database:
            found = await self._models.page(
                database, purpose=request.purpose, after=after, limit=limit
            )
        last = found[-1] if len(found) == limit else None
        return pb.ListModelsResponse(
            models=map(write_model, found),
            next_page_token=encode_token([last["purpose"], last["version"]]) if last else "",
        )

    def _verify_and_store(self, files: dict[str, bytes]) -> VerifiedArtifact | VerifiedPolicy:
        verify = verify_policy if POLICY_FILE in files else verify_artifact
        artifact = verify(files, load_trust_set(self._trust_file))
        self._store.put(files)
        return artifact

    async def _publish(self, change: AdminChange, action: str, row: dict[str, Any]) -> None:
        if row["purpose"] == RISK_POLICY:
            # Small enough to travel whole: an engine needs no file of it.
            policy = await self._policies.activate(change.database, row["version"])
            await change.publish(state_pb2.CHANGE_KIND_POLICY, RISK_POLICY, policy_rows(policy))
        else:
            rows = model_rows(row["purpose"], row["digest"], row["version"], row["serial"])
            await change.publish(state_pb2.CHANGE_KIND_MODEL, row["purpose"], rows)
        await _audit(change, action, row)


async def _audit(change: AdminChange, action: str, row: dict[str, Any]) -> None:
    summary = {
        "status": row["status"],
        "digest": row["digest"].hex(),
        "serial": row["serial"],
        "approvers": row["approvers"],
    }
    await change.audit(action, "model", f"{row['purpose']}/{row['version']}", new=summary)
