"""The statement that a version tells its approvers, so that they need no file of it."""

from pathlib import Path

import pytest

from riskgate.v1 import model_pb2 as pb
from server.loaders.policy_release import build_policy_release
from server.policy import DEFAULT_POLICY
from server.security.keys import ensure_development_keys
from tests.artifact_builder import load_author_key
from tests.control_harness import Control, play
from tests.model_flow import RISK, TECHNOLOGY, Desk


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    (tmp_path / "keys").mkdir(mode=0o700)
    ensure_development_keys(tmp_path / "keys")
    return tmp_path


def release(data_dir: Path, version: str) -> dict[str, bytes]:
    key = load_author_key(data_dir / "keys")
    return build_policy_release(DEFAULT_POLICY | {"version": version}, "ann", key)


def test_a_version_tells_the_statement_that_may_be_signed_now(
    database_url: str, redis_url: str, data_dir: Path
) -> None:
    async def scenario(parts: Control) -> None:
        desk = Desk(parts, data_dir, "risk_policy")

        async def proposed(version: str) -> bytes:
            request = pb.GetModelRequest(purpose="risk_policy", version=version)
            return bytes((await parts.models.GetModel(request)).proposed_statement)

        for version in ("1.0.0", "1.1.0", "1.2.0"):
            await desk.push(release(data_dir, version))
        assert await proposed("1.0.0") == b""
        earlier = await desk.propose("1.0.0")
        newest = await desk.propose("1.0.0", expires_in_hours=1)
        assert await proposed("1.0.0") == newest != earlier
        await desk.approve("1.0.0", newest, RISK)
        assert await proposed("1.0.0") == newest
        await desk.approve("1.0.0", await proposed("1.0.0"), TECHNOLOGY)
        for version in ("1.1.0", "1.2.0"):
            await desk.propose(version)
        await desk.move("1.2.0", "rejected")
        assert await proposed("1.2.0") == b"", "who was rejected is signed by nobody"
        assert await proposed("1.1.0") != b""
        await desk.activate("1.0.0")
        assert await proposed("1.0.0") == b"", "it speaks"
        assert await proposed("1.1.0") == b"", "another activation came first"

    play(database_url, redis_url, data_dir, scenario)
