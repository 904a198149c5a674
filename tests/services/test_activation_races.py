"""Many at once ask for activations and rollbacks: one wins, serials stay without gaps, the rest are
told why not.
"""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest

from riskgate.v1 import admin_pb2
from server.loaders.policy_release import build_policy_release
from server.policy import DEFAULT_POLICY
from server.security.keys import ensure_development_keys
from tests.artifact_builder import load_author_key
from tests.control_harness import Control, play
from tests.model_flow import RISK, TECHNOLOGY, Desk

ROUNDS = 10
CALLS = 8
VERSIONS = ("1.0.0", "1.1.0", "1.2.0")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    (folder / "keys").mkdir(mode=0o700)
    ensure_development_keys(folder / "keys")
    return folder


async def push_all(desk: Desk) -> None:
    key = load_author_key(desk.data_dir / "keys")
    for version in VERSIONS:
        files = build_policy_release(DEFAULT_POLICY | {"version": version}, "ann", key)
        await desk.push(files)


def read_rows(database_url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database_url) as opened:
        return opened.execute(query.encode()).fetchall()


def test_of_two_versions_that_are_activated_at_once_one_wins(
    database_url: str, redis_url: str, data_dir: Path
) -> None:
    async def scenario(parts: Control) -> None:
        desk = Desk(parts, data_dir, "risk_policy")
        await push_all(desk)
        spoke = ""
        for serial in range(1, ROUNDS + 1):
            rivals = [version for version in VERSIONS if version != spoke][:2]
            for version in rivals:
                await desk.approve_both(version)
            calls = [desk.activate(version) for version in rivals * (CALLS // 2)]
            answers = await asyncio.gather(*calls, return_exceptions=True)
            done = [each for each in answers if not isinstance(each, BaseException)]
            spoke = done[0].model.version
            outcomes = [each.outcome for each in done]
            assert outcomes.count(admin_pb2.CHANGE_OUTCOME_UPDATED) == 1
            assert {(each.model.version, each.model.serial) for each in done} == {(spoke, serial)}
            refused = [each for each in answers if isinstance(each, grpc.aio.AioRpcError)]
            assert len(done) + len(refused) == CALLS
            codes = {(each.code(), "stale" in (each.details() or "")) for each in refused}
            assert codes == {(grpc.StatusCode.FAILED_PRECONDITION, True)}
        serials = read_rows(
            database_url,
            "SELECT serial FROM riskgate.deployment_event WHERE serial > 0 ORDER BY event_id",
        )
        assert serials == [(serial,) for serial in range(1, ROUNDS + 1)]
        active = "SELECT version FROM riskgate.model_version WHERE status = 'active'"
        assert read_rows(database_url, active) == [(spoke,)]

    play(database_url, redis_url, data_dir, scenario)


def test_rollbacks_at_once_go_back_one_by_one_and_never_further_than_was_approved(
    database_url: str, redis_url: str, data_dir: Path
) -> None:
    async def scenario(parts: Control) -> None:
        desk = Desk(parts, data_dir, "risk_policy")
        await push_all(desk)
        for version in VERSIONS:
            await desk.approve_both(version)
            await desk.activate(version)
        answers = await asyncio.gather(
            *(desk.rollback() for _ in range(CALLS)), return_exceptions=True
        )
        done = [each for each in answers if not isinstance(each, BaseException)]
        assert sorted(each.model.version for each in done) == ["", "1.0.0", "1.1.0"]
        assert len(answers) - len(done) == CALLS - len(VERSIONS)
        serials = read_rows(
            database_url,
            "SELECT serial FROM riskgate.deployment_event WHERE serial > 0 ORDER BY event_id",
        )
        assert serials == [(serial,) for serial in range(1, 2 * len(VERSIONS) + 1)]

    play(database_url, redis_url, data_dir, scenario)


def test_one_signature_that_is_sent_many_times_at_once_is_kept_once(
    database_url: str, redis_url: str, data_dir: Path
) -> None:
    async def scenario(parts: Control) -> None:
        desk = Desk(parts, data_dir, "risk_policy")
        await push_all(desk)
        statement = await desk.propose("1.0.0")
        calls = [
            desk.approve("1.0.0", statement, key_file)
            for key_file in (RISK, TECHNOLOGY)
            for _ in range(CALLS)
        ]
        outcomes = [each.outcome for each in await asyncio.gather(*calls)]
        assert outcomes.count(admin_pb2.CHANGE_OUTCOME_UPDATED) == 2
        people = read_rows(database_url, "SELECT person FROM riskgate.approval ORDER BY person")
        assert people == [("development-risk",), ("development-technology",)]
        assert await desk.status("1.0.0") == "approved"

    play(database_url, redis_url, data_dir, scenario)
