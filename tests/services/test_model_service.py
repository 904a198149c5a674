"""ModelService: only verified artifacts enter, only approved ones speak, a rollback is a new
serial.
"""

from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psycopg
import pytest

from riskgate.v1 import admin_pb2, state_pb2
from riskgate.v1 import model_pb2 as pb
from server import feed
from server.hotpath import layout
from server.loaders.artifact_store import ArtifactStore
from server.security.keys import ensure_development_keys
from tests.artifact_builder import build_artifact, load_author_key
from tests.control_harness import Control, play, refusal

UNCHANGED = admin_pb2.CHANGE_OUTCOME_UNCHANGED
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    (folder / "keys").mkdir(mode=0o700)
    ensure_development_keys(folder / "keys")
    return folder


def artifact(data_dir: Path, version: str = "1.0.0") -> dict[str, bytes]:
    key = load_author_key(data_dir / "keys")
    return build_artifact(
        key,
        change_manifest=lambda manifest: manifest.update(version=version),
        version=version,
    )


async def push(parts: Control, files: dict[str, bytes]) -> Any:
    request = pb.PushModelRequest(
        files=[pb.ModelFile(name=name, content=content) for name, content in files.items()]
    )
    return await parts.models.PushModel(request)


def note(actor: str = "ann", reason: str = "") -> admin_pb2.ChangeNote:
    return admin_pb2.ChangeNote(actor=actor, reason=reason)


async def approve(parts: Control, version: str, actor: str = "ann", digest: bytes = b"") -> Any:
    request = pb.ApproveModelRequest(
        purpose="slippage", version=version, digest=digest, note=note(actor)
    )
    return await parts.models.ApproveModel(request)


async def activate(parts: Control, version: str, serial: int | None = None) -> Any:
    request = pb.ActivateModelRequest(
        purpose="slippage", version=version, serial=serial, note=note()
    )
    return await parts.models.ActivateModel(request)


async def rollback(parts: Control, reason: str = "worse in the canary", version: str = "") -> Any:
    request = pb.RollbackModelRequest(purpose="slippage", version=version, note=note(reason=reason))
    return await parts.models.RollbackModel(request)


async def speaking(parts: Control, state_version: int) -> tuple[tuple[int, int, int], int, bytes]:
    """Version, serial and digest of the model that engines are told to use."""
    await parts.published(state_version)
    field = feed.state_field(state_pb2.CHANGE_KIND_MODEL, "slippage")
    data: Any = await parts.redis.hget(feed.STATE_KEY, field)
    rows = state_pb2.StateChange.FromString(data).rows
    row = np.frombuffer(rows, dtype=layout.CHANGE_MODEL)[0]
    version = (int(row["version_major"]), int(row["version_minor"]), int(row["version_patch"]))
    return version, int(row["serial"]), row["digest"].tobytes()


def test_lifecycle_when_two_versions_pass_then_serials_rise_and_rollback_returns(
    database_url: str, redis_url: str, keys: Path
) -> None:
    async def scenario(parts: Control) -> None:
        first = await push(parts, artifact(keys))
        assert (await push(parts, artifact(keys))).outcome == UNCHANGED
        assert ArtifactStore(keys / "artifacts").read(first.model.digest.hex())
        code, _, _ = await refusal(activate(parts, "1.0.0"))
        assert code == PRECONDITION
        code, _, _ = await refusal(approve(parts, "1.0.0", digest=b"\0" * 32))
        assert code == PRECONDITION
        code, _, field = await refusal(approve(parts, "1.0.0", actor=""))
        assert (code, field) == (grpc.StatusCode.INVALID_ARGUMENT, "note.actor")
        await approve(parts, "1.0.0", digest=first.model.digest)
        assert (await approve(parts, "1.0.0")).outcome == UNCHANGED
        both = await approve(parts, "1.0.0", actor="bob")
        assert list(both.model.approvers) == ["ann", "bob"]
        one = await activate(parts, "1.0.0")
        assert (await activate(parts, "1.0.0")).outcome == UNCHANGED
        assert await speaking(parts, one.state_version) == ((1, 0, 0), 1, first.model.digest)
        code, _, _ = await refusal(rollback(parts))
        assert code == PRECONDITION

        await push(parts, artifact(keys, "1.10.0"))
        await approve(parts, "1.10.0")
        code, _, _ = await refusal(activate(parts, "1.10.0", serial=1))
        assert code == PRECONDITION
        two = await activate(parts, "1.10.0", serial=5)
        assert (await speaking(parts, two.state_version))[:2] == ((1, 10, 0), 5)
        code, _, field = await refusal(rollback(parts, reason=""))
        assert (code, field) == (grpc.StatusCode.INVALID_ARGUMENT, "note.reason")
        back = await rollback(parts)
        assert (await speaking(parts, back.state_version))[:2] == ((1, 0, 0), 6)
        # What was rolled back does not come back by a second rollback, only by name.
        code, _, _ = await refusal(rollback(parts))
        assert code == PRECONDITION
        named = await rollback(parts, version="1.10.0")
        assert (await speaking(parts, named.state_version))[:2] == ((1, 10, 0), 7)

        await push(parts, artifact(keys, "1.9.0"))
        listed = (await parts.models.ListModels(pb.ListModelsRequest())).models
        assert [each.version for each in listed] == ["1.0.0", "1.9.0", "1.10.0"]
        statuses = [pb.ModelStatus.Name(each.status)[13:] for each in listed]
        assert statuses == ["DEPRECATED", "TESTING", "ACTIVE"]
        page = await parts.models.ListModels(pb.ListModelsRequest(page_size=2))
        rest = await parts.models.ListModels(
            pb.ListModelsRequest(page_size=2, page_token=page.next_page_token)
        )
        assert [each.version for each in rest.models] == ["1.10.0"]
        with psycopg.connect(database_url) as opened:
            events = opened.execute(
                "SELECT event, version, serial FROM riskgate.deployment_event"
                " WHERE event NOT IN ('push', 'approve') ORDER BY event_id"
            ).fetchall()
        assert events == [
            ("activate", "1.0.0", 1),
            ("deprecate", "1.0.0", None),
            ("activate", "1.10.0", 5),
            ("withdraw", "1.10.0", None),
            ("rollback", "1.0.0", 6),
            ("withdraw", "1.0.0", None),
            ("rollback", "1.10.0", 7),
        ]

    play(database_url, redis_url, keys, scenario)


def test_push_when_artifact_is_not_sound_then_refused_and_not_registered(
    database_url: str, redis_url: str, keys: Path
) -> None:
    async def scenario(parts: Control) -> None:
        good = artifact(keys, "2.0.0")
        flipped = dict(good)
        model = bytearray(flipped["model.onnx"])
        model[len(model) // 2] ^= 1
        flipped["model.onnx"] = bytes(model)
        code, text, _ = await refusal(push(parts, flipped))
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert "hash" in text
        extra = good | {"../../evil": b"x"}
        assert (await refusal(push(parts, extra)))[0] == grpc.StatusCode.INVALID_ARGUMENT
        code, _, field = await refusal(push(parts, {}))
        assert (code, field) == (grpc.StatusCode.INVALID_ARGUMENT, "files")
        assert not (await parts.models.ListModels(pb.ListModelsRequest())).models
        # Another artifact under a version that is taken.
        await push(parts, good)
        other = build_artifact(
            load_author_key(keys / "keys"),
            change_manifest=lambda manifest: manifest.update(version="2.0.0", metrics={"a": 1}),
            version="2.0.0",
        )
        assert (await refusal(push(parts, other)))[0] == grpc.StatusCode.ALREADY_EXISTS

    play(database_url, redis_url, keys, scenario)
