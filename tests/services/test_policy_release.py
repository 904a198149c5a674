"""A signed risk policy on its way from the control port to the next decision, and back (S0-41)."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
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
from server.engine import Engine
from server.hotpath.memory import Capacity
from server.loaders.artifact_store import ArtifactStore, read_artifact_directory
from server.loaders.calendar import Calendar
from server.loaders.model_loader import Activation
from server.loaders.policy_release import build_policy_release
from server.loaders.redis_state import RedisStateLoader
from server.policy import DEFAULT_POLICY, policy_row
from server.record.admin_change import Note, admin_change
from server.record.reencode import reencode_outdated
from server.security.keys import ensure_development_keys
from tests.artifact_builder import load_author_key
from tests.control_harness import Control, play, refusal, wait_until
from tests.decision_harness import Port, example_changes, good_request, open_port

CAUTIOUS: dict[str, Any] = {
    **DEFAULT_POLICY,
    "version": "1.1.0",
    "multiplier": [[0, 0.5], [50, 1.0], [65, 1.0], [87.5, 1.0], [100, 1.5]],
    "score_weights": [1, 0, 0, 0, 0],
}


class _Receiver:
    """Hands everything that Redis holds to one engine."""

    def __init__(self, port: Port) -> None:
        self._port = port

    def put(self, change: bytes, *, is_partial: bool = False) -> bool:
        return self._port.intake.put(change, is_partial=is_partial)

    def complete(self, version: int) -> bool:
        return self._port.intake.complete(version)

    def add_timezone(self, timezone: str) -> None:
        Calendar(self._port.intake.put).add_timezone(timezone)

    def activate(self, activation: Activation) -> None:
        raise AssertionError(f"a policy is no model: {activation}")


@contextmanager
def following_port(redis_url: str) -> Iterator[Port]:
    """A decision port whose engine knows only what Redis tells it."""
    sizes = {**dict.fromkeys(Capacity._fields, 64), "answer_bytes": 1 << 22}
    engine = Engine(Capacity(**sizes), epoch=7, started_at_ns=time.time_ns())
    with open_port(engine) as port:
        loader = RedisStateLoader(redis_url, _Receiver(port), block_ms=20)
        loader.start()
        try:
            yield port
        finally:
            loader.stop()


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


def note(reason: str = "") -> admin_pb2.ChangeNote:
    return admin_pb2.ChangeNote(actor="ann", reason=reason)


async def push(parts: Control, files: dict[str, bytes]) -> Any:
    sent = [pb.ModelFile(name=name, content=content) for name, content in files.items()]
    return await parts.models.PushModel(pb.PushModelRequest(files=sent, note=note()))


async def activate(parts: Control, version: str) -> Any:
    named: dict[str, Any] = {"purpose": "risk_policy", "version": version, "note": note()}
    await parts.models.ApproveModel(pb.ApproveModelRequest(**named))
    return await parts.models.ActivateModel(pb.ActivateModelRequest(**named))


async def rollback(parts: Control) -> Any:
    request = pb.RollbackModelRequest(purpose="risk_policy", note=note("sizes too small"))
    return await parts.models.RollbackModel(request)


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
        await put_examples(parts)
        first, second = release(data_dir, DEFAULT_POLICY), release(data_dir, CAUTIOUS)
        with following_port(redis_url) as port:
            before = await decide(parts, port, 4)
            assert (before.lot_size, before.policy_version) == (0.32, "1.0.0")
            pushed = await push(parts, first)
            assert ArtifactStore(data_dir / "artifacts").read(pushed.model.digest.hex()) == first
            assert (await push(parts, first)).outcome == admin_pb2.CHANGE_OUTCOME_UNCHANGED
            same = await decide(parts, port, (await activate(parts, "1.0.0")).state_version)
            assert same.lot_size == 0.32
            assert same.policy_digest == sha256(first["policy.json"]).digest()
            assert (await refusal(rollback(parts)))[0] == grpc.StatusCode.FAILED_PRECONDITION

            await push(parts, second)
            # Pushed and not yet activated: nothing changes.
            assert (await decide(parts, port, 5)).lot_size == 0.32
            moved = await decide(parts, port, (await activate(parts, "1.1.0")).state_version)
            assert (moved.lot_size, moved.policy_version) == (0.24, "1.1.0")
            assert moved.policy_digest == sha256(second["policy.json"]).digest()

            back = await decide(parts, port, (await rollback(parts)).state_version)
            assert (back.lot_size, back.policy_version) == (0.32, "1.0.0")
            assert back.policy_digest == same.policy_digest
            listed = (await parts.models.ListModels(pb.ListModelsRequest())).models
            told = [(each.purpose, each.version, each.algorithm) for each in listed]
            assert told == [("risk_policy", version, "knots") for version in ("1.0.0", "1.1.0")]

    play(database_url, redis_url, data_dir, scenario)


def test_policy_when_redis_is_emptied_then_a_new_engine_has_the_activated_one(
    database_url: str, redis_url: str, data_dir: Path
) -> None:
    async def scenario(parts: Control) -> None:
        await put_examples(parts)
        await push(parts, release(data_dir, CAUTIOUS))
        version = (await activate(parts, "1.1.0")).state_version
        await parts.published(version)
        await parts.redis.flushdb()
        with following_port(redis_url) as port:
            answer = await decide(parts, port, version)
            assert (answer.lot_size, answer.policy_version) == (0.24, "1.1.0")

    play(database_url, redis_url, data_dir, scenario)


def test_policy_when_the_layout_changed_then_it_is_encoded_anew(
    database_url: str, redis_url: str, data_dir: Path
) -> None:
    async def scenario(parts: Control) -> None:
        await push(parts, release(data_dir, CAUTIOUS))
        version = (await activate(parts, "1.1.0")).state_version
        with psycopg.connect(database_url) as opened:
            opened.execute("UPDATE riskgate.state_change SET layout_version = 99")
        # The publisher looks for such rows, too, and may have been quicker.
        assert await reencode_outdated(parts.pool) in {0, 1}
        with psycopg.connect(database_url) as opened:
            (row,) = opened.execute(
                "SELECT change FROM riskgate.state_change WHERE version > %s", [version]
            ).fetchall()
        change = state_pb2.StateChange.FromString(row[0])
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
        request = provider_pb2.PutProviderRequest(provider=provider)
        # 0.35 · 70 + 0.25 · 75 + 0.20 · 100 + 0.15 · 100 + 0.05 · 50
        assert (await parts.providers.PutProvider(request)).provider.performance_score == 80.75
        await push(parts, release(data_dir, CAUTIOUS))
        await activate(parts, "1.1.0")
        assert (await parts.providers.PutProvider(request)).provider.performance_score == 70

    play(database_url, redis_url, data_dir, scenario)


def test_push_when_the_policy_is_not_sound_then_refused_and_not_registered(
    database_url: str, redis_url: str, data_dir: Path
) -> None:
    async def scenario(parts: Control) -> None:
        good = release(data_dir, CAUTIOUS)
        changed = good | {"policy.json": good["policy.json"].replace(b"0.5", b"1.5", 1)}
        code, text, _ = await refusal(push(parts, changed))
        assert (code, "hash" in text) == (grpc.StatusCode.INVALID_ARGUMENT, True)
        assert not (await parts.models.ListModels(pb.ListModelsRequest())).models
        await push(parts, good)
        other = release(data_dir, CAUTIOUS | {"k_slip": 2.0})
        assert (await refusal(push(parts, other)))[0] == grpc.StatusCode.ALREADY_EXISTS

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
        answer = await push(parts, read_artifact_directory(out))
        assert (answer.model.purpose, answer.model.version) == ("risk_policy", "2.0.0")

    play(database_url, redis_url, data_dir, scenario)
