"""A signed risk policy on its way from the control port to the next decision, and back (S0-41)."""

import asyncio
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
from typer.testing import CliRunner

from riskgate.v1 import admin_pb2, provider_pb2, state_pb2, types_pb2
from riskgate.v1 import model_pb2 as pb
from server.cli import app
from server.loaders.artifact_store import ArtifactStore, read_artifact_directory
from server.loaders.policy_release import build_policy_release
from server.policy import DEFAULT_POLICY, canonical_bytes, policy_row
from server.record.admin_change import Note, admin_change
from server.record.reencode import reencode_outdated
from server.security.keys import ensure_development_keys
from tests.artifact_builder import load_author_key
from tests.control_harness import Control, play, refusal, wait_until
from tests.decision_harness import Port, example_changes, good_request
from tests.following_harness import following
from tests.model_flow import Desk

CAUTIOUS: dict[str, Any] = {
    **DEFAULT_POLICY,
    "version": "1.1.0",
    "multiplier": [[0, 0.5], [50, 1.0], [65, 1.0], [87.5, 1.0], [100, 1.5]],
    "score_weights": [1, 0, 0, 0, 0],
}


async def decide(parts: Control, port: Port, version: int) -> Any:
    """Ask for the worked example's decision at a state at least that new."""
    await parts.published(version)
    # Alive too: a state without a sign of life of the publisher is a reason to refuse.
    engine = port.engine.state.engine[0]
    await wait_until(lambda: engine["state_version"] >= version and engine["heartbeat_at_ns"] > 0)
    return await asyncio.to_thread(port.decide, good_request(dry_run=True))


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    (folder / "keys").mkdir(mode=0o700)
    ensure_development_keys(folder / "keys")
    return folder


async def activate(desk: Desk, version: str) -> Any:
    await desk.approve_both(version)
    return await desk.activate(version)


async def put_examples(parts: Control) -> None:
    for kind, key, rows in example_changes():
        async with admin_change(parts.pool, Note(actor="ann")) as change:
            await change.publish(kind, key, rows)
    parts.publisher.wake()


def release(data_dir: Path, policy: dict[str, Any]) -> dict[str, bytes]:
    return build_policy_release(policy, "ann", load_author_key(data_dir / "keys"))


def test_policy_when_activated_then_the_next_decision_follows_it_and_a_rollback_returns(
    database_url: str, redis_url: str, data_dir: Path
) -> None:
    async def scenario(parts: Control) -> None:
        desk = Desk(parts, data_dir, "risk_policy")
        await put_examples(parts)
        first, second = release(data_dir, DEFAULT_POLICY), release(data_dir, CAUTIOUS)
        with following(redis_url, data_dir) as (port, _):
            before = await decide(parts, port, 4)
            assert (before.lot_size, before.policy_version) == (0.32, "1.0.0")
            pushed = await desk.push(first)
            assert ArtifactStore(data_dir / "artifacts").read(pushed.model.digest.hex()) == first
            assert (await desk.push(first)).outcome == admin_pb2.CHANGE_OUTCOME_UNCHANGED
            same = await decide(parts, port, (await activate(desk, "1.0.0")).state_version)
            assert same.lot_size == 0.32
            assert same.policy_digest == sha256(first["policy.json"]).digest()

            await desk.push(second)
            # Pushed and not yet activated: nothing changes.
            assert (await decide(parts, port, 5)).lot_size == 0.32
            moved = await decide(parts, port, (await activate(desk, "1.1.0")).state_version)
            assert (moved.lot_size, moved.policy_version) == (0.24, "1.1.0")
            assert moved.policy_digest == sha256(second["policy.json"]).digest()

            back = await decide(parts, port, (await desk.rollback()).state_version)
            assert (back.lot_size, back.policy_version) == (0.32, "1.0.0")
            assert back.policy_digest == same.policy_digest
            # The approval of 1.0.0 named nothing to go back to: the default policy it is.
            default = await decide(parts, port, (await desk.rollback()).state_version)
            assert default.policy_digest == sha256(canonical_bytes(DEFAULT_POLICY)).digest()
            assert (await refusal(desk.rollback()))[0] == grpc.StatusCode.FAILED_PRECONDITION
            listed = (await parts.models.ListModels(pb.ListModelsRequest())).models
            told = [(each.purpose, each.version, each.algorithm) for each in listed]
            assert told == [("risk_policy", version, "knots") for version in ("1.0.0", "1.1.0")]

    play(database_url, redis_url, data_dir, scenario)


def test_policy_when_redis_is_emptied_then_a_new_engine_has_the_activated_one(
    database_url: str, redis_url: str, data_dir: Path
) -> None:
    async def scenario(parts: Control) -> None:
        desk = Desk(parts, data_dir, "risk_policy")
        await put_examples(parts)
        await desk.push(release(data_dir, CAUTIOUS))
        version = (await activate(desk, "1.1.0")).state_version
        await parts.published(version)
        await parts.redis.flushdb()
        with following(redis_url, data_dir) as (port, _):
            answer = await decide(parts, port, version)
            assert (answer.lot_size, answer.policy_version) == (0.24, "1.1.0")

    play(database_url, redis_url, data_dir, scenario)


def test_policy_when_the_layout_changed_then_it_is_encoded_anew(
    database_url: str, redis_url: str, data_dir: Path
) -> None:
    async def scenario(parts: Control) -> None:
        desk = Desk(parts, data_dir, "risk_policy")
        release_files = release(data_dir, CAUTIOUS)
        await desk.push(release_files)
        version = (await activate(desk, "1.1.0")).state_version
        with psycopg.connect(database_url) as opened:
            opened.execute("UPDATE riskgate.state_change SET layout_version = 99")
        # The publisher looks for such rows, too, and may have been quicker.
        assert await reencode_outdated(parts.pool) in {0, 1}
        with psycopg.connect(database_url) as opened:
            (row,) = opened.execute(
                "SELECT change FROM riskgate.state_change WHERE version > %s", [version]
            ).fetchall()
        change = state_pb2.StateChange.FromString(row[0])
        proof = state_pb2.ActivationProof.FromString(change.proof)
        assert {file.name: file.content for file in proof.files} == release_files
        assert (change.kind, change.key) == (state_pb2.CHANGE_KIND_POLICY, "risk_policy")
        assert change.rows == policy_row(CAUTIOUS).tobytes()

    play(database_url, redis_url, data_dir, scenario)


def test_score_when_the_policy_has_other_weights_then_follows_them(
    database_url: str, redis_url: str, data_dir: Path
) -> None:
    figures = provider_pb2.ProviderFigures(
        win_rate=70, max_drawdown=12.5, reward_to_risk_ratio=3, sl_compliance_rate=100
    )
    provider = provider_pb2.Provider(
        provider_id="7", provider_type=types_pb2.PROVIDER_TYPE_CHANNEL_SOURCE, figures=figures
    )

    async def scenario(parts: Control) -> None:
        desk = Desk(parts, data_dir, "risk_policy")
        request = provider_pb2.PutProviderRequest(provider=provider)
        # 0.35 · 70 + 0.25 · 75 + 0.20 · 100 + 0.15 · 100 + 0.05 · 50
        assert (await parts.providers.PutProvider(request)).provider.performance_score == 80.75
        await desk.push(release(data_dir, CAUTIOUS))
        await activate(desk, "1.1.0")
        assert (await parts.providers.PutProvider(request)).provider.performance_score == 70

    play(database_url, redis_url, data_dir, scenario)


def test_push_when_the_policy_is_not_sound_then_refused_and_not_registered(
    database_url: str, redis_url: str, data_dir: Path
) -> None:
    async def scenario(parts: Control) -> None:
        desk = Desk(parts, data_dir, "risk_policy")
        good = release(data_dir, CAUTIOUS)
        changed = good | {"policy.json": good["policy.json"].replace(b"0.5", b"1.5", 1)}
        code, text, _ = await refusal(desk.push(changed))
        assert (code, "hash" in text) == (grpc.StatusCode.INVALID_ARGUMENT, True)
        assert not (await parts.models.ListModels(pb.ListModelsRequest())).models
        await desk.push(good)
        other = release(data_dir, CAUTIOUS | {"k_slip": 2.0})
        assert (await refusal(desk.push(other)))[0] == grpc.StatusCode.ALREADY_EXISTS

    play(database_url, redis_url, data_dir, scenario)


def test_init_when_run_then_writes_what_a_push_accepts(
    database_url: str, redis_url: str, data_dir: Path, tmp_path: Path
) -> None:
    source, out = tmp_path / "policy.json", tmp_path / "release"
    source.write_text(json.dumps(CAUTIOUS), encoding="utf-8")
    words = ["policy", "init", "--out", str(out), "--data-dir", str(data_dir)]
    done = CliRunner().invoke(app, [*words, "--from", str(source), "--version", "2.0.0"])
    assert done.exit_code == 0, done.output
    again = CliRunner().invoke(app, [*words, "--version", "2.0.1"])
    assert (again.exit_code, "never written over" in again.output) == (1, True)
    source.write_text(json.dumps(CAUTIOUS | {"k_slip": -1}), encoding="utf-8")
    bad = CliRunner().invoke(app, [*words, "--from", str(source), "--version", "2.0.2"])
    assert (bad.exit_code, "k_slip" in bad.output) == (1, True)

    async def scenario(parts: Control) -> None:
        desk = Desk(parts, data_dir, "risk_policy")
        answer = await desk.push(read_artifact_directory(out))
        assert (answer.model.purpose, answer.model.version) == ("risk_policy", "2.0.0")

    play(database_url, redis_url, data_dir, scenario)
