"""ModelService: only verified artifacts enter, only what two groups have signed speaks, and a
rollback goes where the approval said.
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
from server.loaders.model_source import ModelSource
from server.security.activation_proof import check_proof
from server.security.feed_seal import FeedSeal
from server.security.keys import AUTHOR_KEY_FILE, ensure_development_keys
from tests.artifact_builder import build_artifact, load_author_key
from tests.control_harness import Control, play, refusal
from tests.model_flow import RISK, TECHNOLOGY, Desk, artifact, note, sign

UNCHANGED = admin_pb2.CHANGE_OUTCOME_UNCHANGED
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
INVALID = grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    (folder / "keys").mkdir(mode=0o700)
    ensure_development_keys(folder / "keys")
    return folder


async def published(parts: Control, data_dir: Path, state_version: int) -> state_pb2.StateChange:
    """The MODEL change that engines find in Redis."""
    await parts.published(state_version)
    field = feed.state_field(state_pb2.CHANGE_KIND_MODEL, "slippage")
    sealed: Any = await parts.redis.hget(feed.STATE_KEY, field)
    FeedSeal.load(data_dir / "keys").open(sealed)
    return state_pb2.StateChange.FromString(sealed)


async def speaking(parts: Control, data_dir: Path, answer: Any) -> tuple[str, int, bytes]:
    """Version, serial and digest that engines are told, after checking the proof as they do."""
    change = await published(parts, data_dir, answer.state_version)
    row = np.frombuffer(change.rows, dtype=layout.CHANGE_MODEL)[0]
    digest, serial = row["digest"].tobytes(), int(row["serial"])
    source = ModelSource(data_dir)
    trust = source.load_trust()
    check_proof(
        state_pb2.ActivationProof.FromString(change.proof),
        purpose="slippage",
        digest=digest,
        serial=serial,
        active_serial=serial - 1,
        trust=trust,
        find_author=lambda found: source.find_author(found, trust),
    )
    version = ".".join(str(int(row[f"version_{part}"])) for part in ("major", "minor", "patch"))
    return version, serial, digest


def test_a_model_speaks_after_two_groups_have_signed_and_a_rollback_goes_to_the_fallback(
    database_url: str, redis_url: str, data_dir: Path
) -> None:
    async def scenario(parts: Control) -> None:
        desk = Desk(parts, data_dir)
        first = await desk.push()
        assert (await desk.push()).outcome == UNCHANGED
        assert ArtifactStore(data_dir / "artifacts").read(first.model.digest.hex())
        assert first.model.status == pb.MODEL_STATUS_REGISTERED
        statement = await desk.propose("1.0.0")
        assert (await refusal(desk.activate("1.0.0")))[0] == PRECONDITION
        one = await desk.approve("1.0.0", statement, RISK)
        assert (one.model.status, list(one.model.approvers)) == (
            pb.MODEL_STATUS_REGISTERED,
            ["development-risk"],
        )
        assert (await desk.approve("1.0.0", statement, RISK)).outcome == UNCHANGED
        assert (await refusal(desk.activate("1.0.0")))[0] == PRECONDITION
        both = await desk.approve("1.0.0", statement, TECHNOLOGY)
        assert both.model.status == pb.MODEL_STATUS_APPROVED
        assert both.model.HasField("approved_at")
        answer = await desk.activate("1.0.0")
        assert (await desk.activate("1.0.0")).outcome == UNCHANGED
        assert await speaking(parts, data_dir, answer) == ("1.0.0", 1, first.model.digest)

        second = await desk.ship("1.10.0")
        assert (await speaking(parts, data_dir, second))[:2] == ("1.10.0", 2)
        back = await desk.rollback()
        assert back.model.version == "1.0.0"
        assert await speaking(parts, data_dir, back) == ("1.0.0", 3, first.model.digest)
        # The approval of 1.0.0 named nothing to go back to: the rule answer speaks.
        none = await desk.rollback()
        assert not none.HasField("model")
        assert await speaking(parts, data_dir, none) == ("0.0.0", 4, bytes(32))
        assert (await refusal(desk.rollback()))[0] == PRECONDITION
        assert await desk.events() == [
            ("push", "1.0.0", 0),
            ("propose", "1.0.0", 0),
            ("approve", "1.0.0", 0),
            ("approve", "1.0.0", 0),
            ("activate", "1.0.0", 1),
            ("push", "1.10.0", 0),
            ("propose", "1.10.0", 0),
            ("approve", "1.10.0", 0),
            ("approve", "1.10.0", 0),
            ("deprecate", "1.0.0", 0),
            ("activate", "1.10.0", 2),
            ("withdraw", "1.10.0", 0),
            ("rollback", "1.0.0", 3),
            ("withdraw", "1.0.0", 4),
        ]

    play(database_url, redis_url, data_dir, scenario)


def test_a_version_that_was_withdrawn_returns_by_a_new_approval_only(
    database_url: str, redis_url: str, data_dir: Path
) -> None:
    async def scenario(parts: Control) -> None:
        desk = Desk(parts, data_dir)
        await desk.ship("1.0.0")
        await desk.push(version="2.0.0")
        old = await desk.approve_both("2.0.0")
        await desk.activate("2.0.0")
        await desk.rollback()
        code, text, _ = await refusal(desk.activate("2.0.0"))
        assert (code, "deprecated" in text) == (PRECONDITION, True)
        # Every approval that was ever given, sent again.
        for key_file in (RISK, TECHNOLOGY):
            code, text, _ = await refusal(desk.approve("2.0.0", old, key_file))
            assert (code, "stale" in text) == (PRECONDITION, True)
        new = await desk.propose("2.0.0")
        for key_file in (RISK, TECHNOLOGY):
            code, text, _ = await refusal(desk.approve("2.0.0", old, key_file))
            assert (code, "not the current proposal" in text) == (PRECONDITION, True)
            await desk.approve("2.0.0", new, key_file)
        again = await desk.activate("2.0.0")
        assert (await speaking(parts, data_dir, again))[:2] == ("2.0.0", 4)

    play(database_url, redis_url, data_dir, scenario)


def test_a_proposal_is_stale_once_another_version_was_activated(
    database_url: str, redis_url: str, data_dir: Path
) -> None:
    async def scenario(parts: Control) -> None:
        desk = Desk(parts, data_dir)
        for version in ("1.0.0", "1.1.0"):
            await desk.push(version=version)
            await desk.approve_both(version)
        await desk.activate("1.1.0")
        code, text, _ = await refusal(desk.activate("1.0.0"))
        assert (code, "stale" in text) == (PRECONDITION, True)
        await desk.approve_both("1.0.0", fallback_version="v1.1")
        assert (await desk.activate("v1.0")).model.serial == 2

    play(database_url, redis_url, data_dir, scenario)


def test_a_new_proposal_takes_the_signatures_of_the_one_before_away(
    database_url: str, redis_url: str, data_dir: Path
) -> None:
    async def scenario(parts: Control) -> None:
        desk = Desk(parts, data_dir)
        await desk.push()
        await desk.approve_both("1.0.0")
        assert await desk.status("1.0.0") == "approved"
        newer = await desk.propose("1.0.0", note=note("another reason"))
        assert await desk.status("1.0.0") == "testing"
        model = (await desk.approve("1.0.0", newer, RISK)).model
        assert list(model.approvers) == ["development-risk"]
        assert (await refusal(desk.activate("1.0.0")))[0] == PRECONDITION

    play(database_url, redis_url, data_dir, scenario)


def test_signatures_that_prove_nothing_are_refused(
    database_url: str, redis_url: str, data_dir: Path
) -> None:
    async def scenario(parts: Control) -> None:
        desk = Desk(parts, data_dir)
        await desk.push()
        good = await desk.propose("1.0.0")
        code, text, _ = await refusal(desk.approve("1.0.0", good, AUTHOR_KEY_FILE))
        assert (code, "role" in text) == (PRECONDITION, True)
        other = good.replace(b"better", b"bitter")
        code, text, _ = await refusal(desk.approve("1.0.0", other, RISK))
        assert (code, "not the current proposal" in text) == (PRECONDITION, True)
        flipped = bytearray(sign(data_dir, good, RISK))
        flipped[flipped.index(b'"sig":"') + 9] ^= 1
        assert (await refusal(desk.send("1.0.0", bytes(flipped))))[0] == PRECONDITION
        code, _, field = await refusal(desk.send("1.0.0", b""))
        assert (code, field) == (INVALID, "envelope")
        code, _, field = await refusal(desk.send("1.0.0", b"x" * 40_000))
        assert (code, field) == (INVALID, "envelope")
        assert await desk.status("1.0.0") == "registered"
        with psycopg.connect(database_url) as opened:
            assert opened.execute("SELECT count(*) FROM riskgate.approval").fetchone() == (0,)

    play(database_url, redis_url, data_dir, scenario)


def test_a_revoked_version_is_silent_for_good_and_its_fallback_speaks(
    database_url: str, redis_url: str, data_dir: Path
) -> None:
    async def scenario(parts: Control) -> None:
        desk = Desk(parts, data_dir)
        await desk.ship("1.0.0")
        await desk.ship("2.0.0")
        answer = await desk.revoke("2.0.0")
        assert (answer.model.status, answer.active.version) == (pb.MODEL_STATUS_REVOKED, "1.0.0")
        assert (await speaking(parts, data_dir, answer))[:2] == ("1.0.0", 3)
        assert (await desk.revoke("2.0.0")).outcome == UNCHANGED
        for attempt in (
            desk.propose("2.0.0"),
            desk.activate("2.0.0"),
            desk.move("2.0.0", "archived"),
        ):
            assert (await refusal(attempt))[0] == PRECONDITION
        # A fallback that was revoked is no way back.
        await desk.ship("3.0.0")
        assert not (await desk.revoke("1.0.0")).HasField("active")
        for attempt in (desk.rollback(), desk.revoke("3.0.0")):
            code, text, _ = await refusal(attempt)
            assert (code, "fallback slippage 1.0.0 is revoked" in text) == (PRECONDITION, True)
        assert await desk.status("3.0.0") == "active"

    play(database_url, redis_url, data_dir, scenario)


def test_a_fallback_that_never_spoke_or_is_the_version_itself_is_refused(
    database_url: str, redis_url: str, data_dir: Path
) -> None:
    async def scenario(parts: Control) -> None:
        desk = Desk(parts, data_dir)
        await desk.push(version="1.0.0")
        await desk.push(version="1.1.0")
        # Far enough that a rollback could reach it, had it ever spoken.
        await desk.move("1.0.0", "testing")
        for fallback in ("1.0.0", "1.1.0"):
            attempt = desk.propose("1.1.0", fallback_version=fallback)
            assert (await refusal(attempt))[0] == PRECONDITION
        missing = desk.propose("1.1.0", fallback_version="9.9.9")
        assert (await refusal(missing))[0] == grpc.StatusCode.NOT_FOUND

    play(database_url, redis_url, data_dir, scenario)


def test_every_step_asks_for_a_reason_and_names_the_field(
    database_url: str, redis_url: str, data_dir: Path
) -> None:
    async def scenario(parts: Control) -> None:
        desk = Desk(parts, data_dir)
        await desk.push()
        named: dict[str, Any] = {"purpose": "slippage", "version": "1.0.0"}
        empty = note("  ")
        attempts = (
            parts.models.ProposeActivation(pb.ProposeActivationRequest(**named, note=empty)),
            parts.models.ApproveModel(pb.ApproveModelRequest(**named, envelope=b"x", note=empty)),
            parts.models.ActivateModel(pb.ActivateModelRequest(**named, note=empty)),
            parts.models.RollbackModel(pb.RollbackModelRequest(purpose="slippage", note=empty)),
            desk.move("1.0.0", "testing", reason=""),
            parts.models.RevokeModel(pb.RevokeModelRequest(**named, note=empty)),
        )
        for attempt in attempts:
            code, _, field = await refusal(attempt)
            assert (code, field) == (INVALID, "note.reason")
        code, _, field = await refusal(desk.propose("1.0.0", expires_in_hours=25))
        assert (code, field) == (INVALID, "expires_in_hours")
        code, _, field = await refusal(desk.propose("1.0"[:1]))
        assert (code, field) == (INVALID, "version")

    play(database_url, redis_url, data_dir, scenario)


def test_moves_follow_the_lifecycle_and_leave_status_before_and_after(
    database_url: str, redis_url: str, data_dir: Path
) -> None:
    async def scenario(parts: Control) -> None:
        desk = Desk(parts, data_dir)
        await desk.push()
        for status in ("training", "trained", "testing"):
            answer = await desk.move("1.0.0", status)
            assert answer.outcome == admin_pb2.CHANGE_OUTCOME_UPDATED
        assert (await desk.move("1.0.0", "testing")).outcome == UNCHANGED
        code, text, _ = await refusal(desk.move("1.0.0", "active"))
        assert (code, "move to active" in text) == (PRECONDITION, True)
        await desk.approve_both("1.0.0")
        await desk.move("1.0.0", "shadow")
        await desk.move("1.0.0", "canary")
        await desk.activate("1.0.0")
        assert (await refusal(desk.move("1.0.0", "archived")))[0] == PRECONDITION
        listed = await parts.models.ListDeploymentEvents(
            pb.ListDeploymentEventsRequest(purpose="slippage", version="v1.0", page_size=3)
        )
        assert (len(listed.events), listed.next_event_id) == (3, listed.events[-1].event_id + 1)
        rest = await parts.models.ListDeploymentEvents(
            pb.ListDeploymentEventsRequest(from_event_id=listed.next_event_id)
        )
        steps = [
            (
                each.event,
                pb.ModelStatus.Name(each.status_before)[13:].lower(),
                pb.ModelStatus.Name(each.status_after)[13:].lower(),
            )
            for each in (*listed.events, *rest.events)
        ]
        assert steps == [
            ("push", "unspecified", "registered"),
            ("move", "registered", "training"),
            ("move", "training", "trained"),
            ("move", "trained", "testing"),
            ("propose", "testing", "testing"),
            ("approve", "testing", "testing"),
            ("approve", "testing", "approved"),
            ("move", "approved", "shadow"),
            ("move", "shadow", "canary"),
            ("activate", "canary", "active"),
        ]
        assert rest.next_event_id == 0
        assert {each.identity for each in rest.events} == {"insecure-loopback"}
        numbers = [each.ledger_entry_id for each in (*listed.events, *rest.events)]
        assert numbers == list(range(1, 11))

    play(database_url, redis_url, data_dir, scenario)


def test_versions_are_listed_by_their_numbers(
    database_url: str, redis_url: str, data_dir: Path
) -> None:
    async def scenario(parts: Control) -> None:
        desk = Desk(parts, data_dir)
        for version in ("1.0.0", "1.10.0", "1.9.0"):
            await desk.push(version=version)
        listed = (await parts.models.ListModels(pb.ListModelsRequest())).models
        assert [each.version for each in listed] == ["1.0.0", "1.9.0", "1.10.0"]
        page = await parts.models.ListModels(pb.ListModelsRequest(page_size=2))
        rest = await parts.models.ListModels(
            pb.ListModelsRequest(page_size=2, page_token=page.next_page_token)
        )
        assert [each.version for each in rest.models] == ["1.10.0"]

    play(database_url, redis_url, data_dir, scenario)


def test_push_when_artifact_is_not_sound_then_refused_and_not_registered(
    database_url: str, redis_url: str, data_dir: Path
) -> None:
    async def scenario(parts: Control) -> None:
        desk = Desk(parts, data_dir)
        good = artifact(data_dir, "2.0.0")
        flipped = dict(good)
        model = bytearray(flipped["model.onnx"])
        model[len(model) // 2] ^= 1
        flipped["model.onnx"] = bytes(model)
        code, text, _ = await refusal(desk.push(flipped))
        assert code == INVALID
        assert "hash" in text
        extra = good | {"../../evil": b"x"}
        assert (await refusal(desk.push(extra)))[0] == INVALID
        code, _, field = await refusal(desk.push({}))
        assert (code, field) == (INVALID, "files")
        assert not (await parts.models.ListModels(pb.ListModelsRequest())).models
        # Another artifact under a version that is taken.
        await desk.push(good)
        other = build_artifact(
            load_author_key(data_dir / "keys"),
            change_manifest=lambda manifest: manifest.update(version="2.0.0", metrics={"a": 1}),
            version="2.0.0",
        )
        assert (await refusal(desk.push(other)))[0] == grpc.StatusCode.ALREADY_EXISTS

    play(database_url, redis_url, data_dir, scenario)
