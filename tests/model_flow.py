"""Models and policies on their way through the control port, as people with keys take them."""

from pathlib import Path
from typing import Any

from riskgate.v1 import admin_pb2
from riskgate.v1 import model_pb2 as pb
from server.security.keys import (
    APPROVER_RISK_KEY_FILE,
    APPROVER_TECHNOLOGY_KEY_FILE,
    load_private_key,
)
from server.security.statements import sign_statement
from tests.artifact_builder import build_artifact, load_author_key
from tests.control_harness import Control

RISK = APPROVER_RISK_KEY_FILE
TECHNOLOGY = APPROVER_TECHNOLOGY_KEY_FILE


def note(reason: str = "better on the hold-out", actor: str = "ann") -> admin_pb2.ChangeNote:
    return admin_pb2.ChangeNote(actor=actor, reason=reason)


def artifact(data_dir: Path, version: str = "1.0.0", **changes: Any) -> dict[str, bytes]:
    """A signed slippage model."""
    return build_artifact(
        load_author_key(data_dir / "keys"),
        change_manifest=lambda manifest: manifest.update(version=version, **changes),
        version=version,
    )


def sign(data_dir: Path, statement: bytes, key_file: str) -> bytes:
    """The envelope of a proposed statement with the signature of one development key."""
    key = load_private_key(data_dir / "keys" / key_file)
    return sign_statement(statement, "activation", key)


class Desk:
    """What people ask of the register for one purpose."""

    def __init__(self, parts: Control, data_dir: Path, purpose: str = "slippage") -> None:
        self.stub = parts.models
        self.data_dir = data_dir
        self.purpose = purpose

    async def push(self, files: dict[str, bytes] | None = None, version: str = "1.0.0") -> Any:
        files = artifact(self.data_dir, version) if files is None else files
        sent = [pb.ModelFile(name=name, content=content) for name, content in files.items()]
        return await self.stub.PushModel(pb.PushModelRequest(files=sent, note=note()))

    async def propose(self, version: str, **changes: Any) -> bytes:
        named: dict[str, Any] = {"purpose": self.purpose, "version": version, "note": note()}
        request = pb.ProposeActivationRequest(**(named | changes))
        return bytes((await self.stub.ProposeActivation(request)).statement)

    async def approve(self, version: str, statement: bytes, key_file: str) -> Any:
        envelope = sign(self.data_dir, statement, key_file)
        return await self.send(version, envelope)

    async def send(self, version: str, envelope: bytes) -> Any:
        request = pb.ApproveModelRequest(
            purpose=self.purpose, version=version, envelope=envelope, note=note()
        )
        return await self.stub.ApproveModel(request)

    async def approve_both(self, version: str, **changes: Any) -> bytes:
        """Propose, and sign with both development keys."""
        statement = await self.propose(version, **changes)
        for key_file in (RISK, TECHNOLOGY):
            await self.approve(version, statement, key_file)
        return statement

    async def activate(self, version: str) -> Any:
        request = pb.ActivateModelRequest(purpose=self.purpose, version=version, note=note())
        return await self.stub.ActivateModel(request)

    async def ship(self, version: str = "1.0.0", files: dict[str, bytes] | None = None) -> Any:
        """Push, propose, approve, activate."""
        await self.push(files, version)
        await self.approve_both(version)
        return await self.activate(version)

    async def rollback(self, reason: str = "worse in use") -> Any:
        request = pb.RollbackModelRequest(purpose=self.purpose, note=note(reason))
        return await self.stub.RollbackModel(request)

    async def move(self, version: str, status: str, reason: str = "next step") -> Any:
        request = pb.MoveModelRequest(
            purpose=self.purpose,
            version=version,
            status=f"MODEL_STATUS_{status.upper()}",
            note=note(reason),
        )
        return await self.stub.MoveModel(request)

    async def revoke(self, version: str) -> Any:
        request = pb.RevokeModelRequest(purpose=self.purpose, version=version, note=note())
        return await self.stub.RevokeModel(request)

    async def status(self, version: str) -> str:
        request = pb.GetModelRequest(purpose=self.purpose, version=version)
        model = (await self.stub.GetModel(request)).model
        return pb.ModelStatus.Name(model.status).removeprefix("MODEL_STATUS_").lower()

    async def events(self) -> list[tuple[str, str, int]]:
        listed = await self.stub.ListDeploymentEvents(pb.ListDeploymentEventsRequest())
        return [(each.event, each.version, each.serial) for each in listed.events]
