"""The register beside the approvals: encrypted parameters, expiry, who may not sign, the view of
deployments, engines, and what an upgrade or another layout leaves.
"""

import asyncio
import time
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import psycopg
import pytest

from riskgate.v1 import model_pb2 as pb
from riskgate.v1 import state_pb2
from server.changes import NO_DIGEST, NO_VERSION, model_rows, policy_rows
from server.hotpath import layout
from server.loaders.policy_release import build_policy_release
from server.loaders.redis_replica import RedisReplicas
from server.policy import DEFAULT_POLICY, canonical_bytes
from server.record import migrate as migrations
from server.record.migrate import migrate
from server.record.pool import open_pool
from server.record.reencode import reencode_outdated
from server.replica import Replica
from server.security.feed_seal import FeedSeal
from server.security.field_encryption import DATA_KEYS_FILE
from server.security.key_files import ensure_private_key
from server.security.keys import (
    APPROVER_RISK_KEY_FILE,
    APPROVER_TECHNOLOGY_KEY_FILE,
    AUTHOR_KEY_FILE,
    CONTROL_KEY_FILE,
    ROOT_KEY_FILE,
    ensure_development_keys,
    name_key,
)
from server.security.statements import sign_statement
from server.security.trust_files import write_first
from server.security.trust_set import build_trust_set
from server.services import activations
from tests.artifact_builder import load_author_key
from tests.control_harness import Control, play, refusal
from tests.model_flow import RISK, TECHNOLOGY, Desk, artifact

PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
HOUR_NS = 3_600 * 10**9


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    (folder / "keys").mkdir(mode=0o700)
    ensure_development_keys(folder / "keys")
    return folder


def policy(data_dir: Path, version: str) -> dict[str, bytes]:
    key = load_author_key(data_dir / "keys")
    return build_policy_release(DEFAULT_POLICY | {"version": version}, "ann", key)


def test_training_parameters_are_read_through_the_service_and_stand_encrypted_in_the_record(
    database_url: str, redis_url: str, data_dir: Path
) -> None:
    async def scenario(parts: Control) -> None:
        desk = Desk(parts, data_dir)
        files = artifact(data_dir, hyperparameters={"planted-marker": 4})
        model = (await desk.push(files)).model
        assert '"rows":1000' in model.training_json
        with psycopg.connect(database_url) as opened:
            (stored,) = opened.execute(
                "SELECT model_version::text || encode(sealed_parameters, 'escape')"
                " FROM riskgate.model_version"
            ).fetchone() or ("",)
        assert "mae_pips" in stored
        assert not any(word in stored for word in ("planted-marker", "data_sha256", "golden"))

    play(database_url, redis_url, data_dir, scenario)


async def get(parts: Control, version: str) -> Any:
    return await parts.models.GetModel(pb.GetModelRequest(purpose="slippage", version=version))


def test_parameters_that_were_moved_to_another_row_are_not_shown(
    database_url: str, redis_url: str, data_dir: Path
) -> None:
    async def scenario(parts: Control) -> None:
        desk = Desk(parts, data_dir)
        for version in ("1.0.0", "1.1.0"):
            await desk.push(version=version)
        with psycopg.connect(database_url) as opened:
            opened.execute(
                "UPDATE riskgate.model_version SET sealed_parameters = (SELECT sealed_parameters"
                " FROM riskgate.model_version WHERE version = '1.0.0') WHERE version = '1.1.0'"
            )
        assert (await get(parts, "1.0.0")).model.training_json
        for attempt in (get(parts, "1.1.0"), parts.models.ListModels(pb.ListModelsRequest())):
            code, text, _ = await refusal(attempt)
            assert (code, "sealed_parameters" in text) == (PRECONDITION, True)

    play(database_url, redis_url, data_dir, scenario)


def test_a_rollback_does_not_wait_for_a_key_that_is_lost(
    database_url: str, redis_url: str, data_dir: Path
) -> None:
    async def scenario(parts: Control) -> None:
        desk = Desk(parts, data_dir)
        await desk.ship("1.0.0")
        await desk.ship("1.1.0")
        ring = data_dir / "keys" / DATA_KEYS_FILE
        kept = ring.read_bytes()
        ring.write_text(f"{'ab' * 32} 1\n", encoding="ascii")
        try:
            assert (await refusal(get(parts, "1.0.0")))[0] == PRECONDITION
            back = await desk.rollback()
        finally:
            ring.write_bytes(kept)
        assert (back.model.version, back.model.training_json) == ("1.0.0", "")
        assert (await get(parts, "1.0.0")).model.training_json

    play(database_url, redis_url, data_dir, scenario)


def test_an_approval_that_is_too_old_activates_nothing(
    database_url: str, redis_url: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(parts: Control) -> None:
        desk = Desk(parts, data_dir, "risk_policy")
        await desk.push(policy(data_dir, "1.0.0"))
        await desk.approve_both("1.0.0", expires_in_hours=1)
        now_ns = time.time_ns()
        for ahead_ns, word in ((-HOUR_NS, "not valid yet"), (HOUR_NS, "expired")):
            clock = SimpleNamespace(time_ns=lambda ahead_ns=ahead_ns: now_ns + ahead_ns)
            monkeypatch.setattr(activations, "time", clock)
            code, text, _ = await refusal(desk.activate("1.0.0"))
            assert (code, word in text) == (PRECONDITION, True)
        monkeypatch.undo()
        assert (await desk.activate("1.0.0")).model.serial == 1

    play(database_url, redis_url, data_dir, scenario)


def test_an_order_that_engines_would_refuse_is_not_published(
    database_url: str, redis_url: str, data_dir: Path
) -> None:
    async def scenario(parts: Control) -> None:
        desk = Desk(parts, data_dir, "risk_policy")
        for version in ("1.0.0", "1.1.0"):
            answer = await desk.ship(version, policy(data_dir, version))
        control_key = data_dir / "keys" / CONTROL_KEY_FILE
        kept = control_key.read_bytes()
        control_key.unlink()
        try:
            # A key that the trust set does not name.
            ensure_private_key(control_key)
            code, text, _ = await refusal(desk.rollback())
        finally:
            control_key.write_bytes(kept)
        assert (code, "unknown key" in text) == (PRECONDITION, True)
        assert await desk.status("1.1.0") == "active"
        back = await desk.rollback()
        assert back.state_version == answer.state_version + 1

    play(database_url, redis_url, data_dir, scenario)


def make_keys(data_dir: Path, *further: tuple[str, str, Any, Any], risk: str) -> None:
    """Keys for these people, and a trust set that names them; ann releases."""
    keys_dir = data_dir / "keys"
    keys_dir.mkdir(mode=0o700)
    seats: list[tuple[str, str, Any, Any]] = [
        (AUTHOR_KEY_FILE, "ann", "author", ""),
        (APPROVER_RISK_KEY_FILE, risk, "approver", "risk"),
        (APPROVER_TECHNOLOGY_KEY_FILE, "tom", "approver", "technology"),
        (CONTROL_KEY_FILE, "control", "control", ""),
        (ROOT_KEY_FILE, "root", "root", ""),
        *further,
    ]
    keys = [
        name_key(ensure_private_key(keys_dir / file), person, role, group)
        for file, person, role, group in seats
    ]
    payload = build_trust_set(keys, root_threshold=1)
    envelope = sign_statement(payload, "trust", ensure_private_key(keys_dir / ROOT_KEY_FILE))
    write_first(keys_dir, envelope, sha256(payload).hexdigest())


def test_an_author_does_not_approve_even_with_another_key(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    make_keys(data_dir, risk="ann")

    async def scenario(parts: Control) -> None:
        desk = Desk(parts, data_dir, "risk_policy")
        await desk.push(policy(data_dir, "1.0.0"))
        statement = await desk.propose("1.0.0")
        code, text, _ = await refusal(desk.approve("1.0.0", statement, RISK))
        assert (code, "cannot approve his own" in text) == (PRECONDITION, True)
        one = await desk.approve("1.0.0", statement, TECHNOLOGY)
        assert list(one.model.approvers) == ["tom"]

    play(database_url, redis_url, data_dir, scenario)


def test_the_author_of_the_fallback_does_not_approve_either(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    of_ann, of_bob = "ann-risk.pem", "bob.pem"
    seats = ((of_ann, "ann", "approver", "risk"), (of_bob, "bob", "author", ""))
    make_keys(data_dir, *seats, risk="rita")

    async def scenario(parts: Control) -> None:
        desk = Desk(parts, data_dir, "risk_policy")
        await desk.ship("1.0.0", policy(data_dir, "1.0.0"))
        key = ensure_private_key(data_dir / "keys" / of_bob)
        await desk.push(build_policy_release(DEFAULT_POLICY | {"version": "2.0.0"}, "bob", key))
        # Going back would let what ann released speak by her own signature.
        statement = await desk.propose("2.0.0")
        await desk.approve("2.0.0", statement, TECHNOLOGY)
        code, text, _ = await refusal(desk.approve("2.0.0", statement, of_ann))
        assert (code, "cannot approve his own" in text) == (PRECONDITION, True)
        assert (await desk.approve("2.0.0", statement, RISK)).model.approvers
        assert (await desk.activate("2.0.0")).model.serial == 2

    play(database_url, redis_url, data_dir, scenario)


def test_the_view_of_deployments_says_what_was_told_to_speak_and_why_it_was_withdrawn(
    database_url: str, redis_url: str, data_dir: Path
) -> None:
    async def scenario(parts: Control) -> None:
        desk = Desk(parts, data_dir, "risk_policy")
        for version in ("1.0.0", "1.1.0"):
            await desk.ship(version, policy(data_dir, version))
        await desk.rollback("orders too small")
        with psycopg.connect(database_url) as opened:
            found = opened.execute(
                "SELECT version, serial, model_type, is_promoted, is_active, rollback_reason,"
                " model_path LIKE 'artifacts/sha256/%', deployed_at IS NOT NULL"
                " FROM riskgate.model_deployment ORDER BY id"
            ).fetchall()
        assert found == [
            ("1.0.0", 1, "knots", True, False, None, True, True),
            ("1.1.0", 2, "knots", True, False, "orders too small", True, True),
            ("1.0.0", 3, "knots", True, True, None, True, True),
        ]

    play(database_url, redis_url, data_dir, scenario)


def test_an_engine_is_proven_only_if_it_runs_what_the_record_says(
    database_url: str, redis_url: str, data_dir: Path
) -> None:
    async def scenario(parts: Control) -> None:
        desk = Desk(parts, data_dir)
        shipped = (await desk.ship("1.0.0")).model
        default = sha256(canonical_bytes(DEFAULT_POLICY)).hexdigest()
        good = (shipped.digest.hex(), 1, default, True)
        said = [
            good,
            ("0" * 64, 1, default, True),
            (shipped.digest.hex(), 2, default, True),
            (shipped.digest.hex(), 1, "0" * 64, True),
            ("", 0, default, True),
            (*good[:3], False),
        ]
        register = RedisReplicas(redis_url, FeedSeal.load(data_dir / "keys"))
        for number, (digest, serial, rules, is_proven) in enumerate(said):
            named = (f"{number}/6", "127.0.0.1:1", 7, digest, serial, rules, is_proven, "", 10**18)
            await asyncio.to_thread(register.say, Replica(*named))
        listed = (await parts.models.ListReplicas(pb.ListReplicasRequest())).replicas
        assert [each.is_proven for each in listed] == [True, False, False, False, False, False]
        assert (listed[0].shard, listed[0].model_digest) == ("0/6", shipped.digest)
        assert listed[0].said_at.seconds == 10**9
        await desk.rollback()
        after = (await parts.models.ListReplicas(pb.ListReplicasRequest())).replicas
        assert not any(each.is_proven for each in after)
        register.close()

    play(database_url, redis_url, data_dir, scenario)


def test_what_speaks_is_encoded_anew_with_its_proof_even_if_nothing_does(
    database_url: str, redis_url: str, data_dir: Path
) -> None:
    async def scenario(parts: Control) -> None:
        desk = Desk(parts, data_dir)

        async def encode_anew() -> tuple[Any, state_pb2.ActivationProof]:
            with psycopg.connect(database_url) as opened:
                opened.execute("UPDATE riskgate.state_change SET layout_version = 99")
            # The publisher looks for such rows, too, and may have been quicker.
            assert await reencode_outdated(parts.pool) in {0, 1}
            with psycopg.connect(database_url) as opened:
                query = "SELECT change FROM riskgate.state_change ORDER BY version DESC LIMIT 1"
                (raw,) = opened.execute(query).fetchone() or (b"",)
            change = state_pb2.StateChange.FromString(raw)
            proof = state_pb2.ActivationProof.FromString(change.proof)
            return np.frombuffer(change.rows, layout.CHANGE_MODEL)[0], proof

        shipped = (await desk.ship("1.0.0")).model
        row, proof = await encode_anew()
        assert (row["digest"].tobytes(), int(row["serial"])) == (shipped.digest, 1)
        assert proof.activation
        await desk.rollback()
        row, proof = await encode_anew()
        assert (row["digest"].tobytes(), int(row["serial"])) == (bytes(32), 2)
        assert proof.rollback

    play(database_url, redis_url, data_dir, scenario)


async def encode_outdated(database_url: str) -> int:
    async with open_pool(database_url) as pool:
        return await reencode_outdated(pool)


def test_an_upgrade_lets_nothing_speak_that_nobody_has_signed(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = migrations._sources()
    before = {name: text for name, text in files.items() if name < "0005"}
    with psycopg.connect(database_url, autocommit=True) as opened:
        opened.execute("DROP SCHEMA IF EXISTS riskgate CASCADE")
        monkeypatch.setattr(migrations, "_sources", lambda: before)
        migrate(database_url)
        for version, status, serial in (("1.0.0", "deprecated", 1), ("2.0.0", "active", 2)):
            opened.execute(
                "INSERT INTO riskgate.model_version (purpose, version, algorithm, digest, author,"
                " manifest, status, serial) VALUES ('slippage', %s, 'linear', %s, 'ann',"
                ' \'{"metrics": {}, "training": {}, "golden": []}\', %s, %s)',
                [version, version.encode().ljust(32), status, serial],
            )
        opened.execute(
            "INSERT INTO riskgate.approval (purpose, version, approver, digest)"
            " VALUES ('slippage', '2.0.0', 'bob', %s)",
            [b"2.0.0".ljust(32)],
        )
        opened.execute(
            "INSERT INTO riskgate.deployment_event (purpose, version, event, serial, actor, reason)"
            " VALUES ('slippage', '2.0.0', 'activate', 2, 'bob', '')"
        )
        for number, kind, key in ((1, 8, "risk_policy"), (2, 9, "slippage")):
            opened.execute(
                "INSERT INTO riskgate.state_change (version, kind, key, change, layout_version)"
                " VALUES (%s, %s, %s, 'x', %s)",
                [number, kind, key, layout.LAYOUT_VERSION],
            )
        opened.execute("UPDATE riskgate.state_version SET version = 2")
        monkeypatch.undo()
        assert "0007_model_trust.sql" in migrate(database_url)
        rows = opened.execute(
            "SELECT version, status, serial, manifest::text FROM riskgate.model_version"
            " ORDER BY version"
        ).fetchall()
        events = opened.execute("SELECT event, serial FROM riskgate.deployment_event").fetchall()
        assert asyncio.run(encode_outdated(database_url)) == 2
        assert asyncio.run(encode_outdated(database_url)) == 0
        query = "SELECT change FROM riskgate.state_change WHERE version > 2 ORDER BY kind"
        said = [state_pb2.StateChange.FromString(raw) for (raw,) in opened.execute(query)]
    assert [change.rows for change in said] == [
        policy_rows(DEFAULT_POLICY),
        model_rows("slippage", NO_DIGEST, NO_VERSION, 0),
    ]
    assert rows == [
        ("1.0.0", "deprecated", 1, '{"metrics": {}}'),
        ("2.0.0", "testing", 2, '{"metrics": {}}'),
    ]
    assert events == [("activate", 2)]
