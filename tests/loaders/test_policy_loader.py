"""A risk policy reaches the engine only as it was signed, approved, and not passed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from riskgate.v1 import state_pb2
from server.changes import policy_rows
from server.hotpath.layout import POLICY
from server.hotpath.memory import Capacity, State, new_state
from server.loaders.activation_change import NO_DIGEST, read_activation
from server.loaders.activations import Activations
from server.loaders.policy_release import build_policy_release
from server.loaders.proof_judge import Seen
from server.policy import DEFAULT_POLICY, RISK_POLICY, default_policy_row
from server.security.keys import ensure_development_keys
from tests.activation_builder import Approvals, activation_of, model_change, policy_change
from tests.artifact_builder import load_author_key

CAREFUL = DEFAULT_POLICY | {"k_slip": 2.0, "version": "1.1.0"}


class Stage:
    """An engine's memory, and what it is handed."""

    def __init__(self, data_dir: Path, seen: dict[str, Seen] | None = None) -> None:
        ensure_development_keys(data_dir / "keys")
        self.key = load_author_key(data_dir / "keys")
        self.approvals = Approvals(data_dir / "keys")
        self.state: State = new_state(Capacity(**dict.fromkeys(Capacity._fields, 16)))
        self.state.engine[0]["model_slot"] = -1
        self.state.policy[:] = default_policy_row()
        self.taken = 0
        self.activations = Activations(data_dir, self.state, self.put, seen)

    def put(self, change: bytes, *_slot: int, **_said: bool) -> bool:
        message = state_pb2.StateChange.FromString(change)
        assert message.kind == state_pb2.CHANGE_KIND_POLICY
        self.state.policy[:] = read_row(message.rows)
        self.taken += 1
        return True

    def release(self, policy: dict[str, Any]) -> dict[str, bytes]:
        return build_policy_release(policy, "ann", self.key)

    def change(self, policy: dict[str, Any], serial: int, **said: Any) -> state_pb2.StateChange:
        files = self.release(policy)
        proof = self.approve(policy, serial, **said)
        return policy_change(policy, files, proof)

    def approve(
        self, policy: dict[str, Any], serial: int, **said: Any
    ) -> state_pb2.ActivationProof:
        digest = read_activation(policy_change(policy, self.release(policy), NOTHING), b"").digest
        said = {"purpose": RISK_POLICY, "version": policy["version"]} | said
        return self.approvals.approve(digest, serial, **said)

    def activate(self, message: state_pb2.StateChange, **changed: Any) -> None:
        self.activations.activate(activation_of(message, **changed))

    @property
    def k_slip_ppm(self) -> int:
        return int(self.state.policy[0]["k_slip_ppm"])

    @property
    def reasons(self) -> list[str]:
        return list(self.activations.policies.wanted.refusals)


NOTHING = state_pb2.ActivationProof()


def read_row(rows: bytes) -> Any:
    return np.frombuffer(rows, POLICY)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_a_policy_that_people_have_approved_is_handed_on_at_once(stage: Stage) -> None:
    stage.activate(stage.change(CAREFUL, 1))
    assert (stage.k_slip_ppm, stage.reasons) == (2_000_000, [])
    assert stage.activations.is_proven
    assert stage.activations.seen[RISK_POLICY].serial == 1


def test_a_policy_whose_row_is_not_the_signed_one_is_refused(stage: Stage) -> None:
    message = stage.change(CAREFUL, 1)
    message.rows = policy_rows(CAREFUL | {"k_slip": 0.0})
    stage.activate(message)
    assert (stage.taken, stage.reasons) == (0, ["ArtifactPolicyInvalidError"])
    assert stage.activations.is_behind
    stage.activate(stage.change(CAREFUL, 1))
    assert stage.taken == 1
    assert not stage.activations.is_behind


@pytest.mark.parametrize(
    ("breakage", "reason"),
    [
        ("no proof", "ProofMissingError"),
        ("another purpose", "ProofPurposeError"),
        ("another policy", "ProofDigestError"),
        ("an altered file", "ArtifactHashMismatchError"),
        ("no files", "ProofDigestError"),
    ],
)
def test_a_policy_that_is_not_proven_is_refused(stage: Stage, breakage: str, reason: str) -> None:
    files, proof = stage.release(CAREFUL), stage.approve(CAREFUL, 1)
    match breakage:
        case "no proof":
            proof = NOTHING
        case "another purpose":
            proof = stage.approve(CAREFUL, 1, purpose="slippage")
        case "another policy":
            proof = stage.approve(DEFAULT_POLICY | {"version": "1.1.0"}, 1)
        case "an altered file":
            files["policy.json"] += b" "
        case _:
            files = {}
    stage.activate(policy_change(CAREFUL, files, proof))
    assert (stage.taken, stage.reasons) == (0, [reason])


def test_an_earlier_approval_does_not_bring_its_policy_back(stage: Stage) -> None:
    first, second = stage.change(CAREFUL, 1), stage.change(DEFAULT_POLICY, 2)
    stage.activate(first)
    stage.activate(second)
    stage.activate(first)
    assert (stage.taken, stage.reasons) == (2, ["ProofNotNewerError"])
    assert stage.k_slip_ppm == 1_000_000


def test_a_rollback_ends_at_the_policy_that_the_approval_named(
    stage: Stage, tmp_path: Path
) -> None:
    old = stage.change(DEFAULT_POLICY | {"version": "1.0.5"}, 1)
    fallback = read_activation(old, b"").digest
    files = stage.release(DEFAULT_POLICY | {"version": "1.0.5"})
    proof = stage.approve(CAREFUL, 2, fallback_digest=fallback.hex())
    stage.activate(policy_change(CAREFUL, stage.release(CAREFUL), proof))
    back = stage.approvals.roll_back(proof, 3)
    stage.activate(policy_change(DEFAULT_POLICY | {"version": "1.0.5"}, files, back))
    assert (stage.taken, stage.reasons, stage.k_slip_ppm) == (2, [], 1_000_000)


def test_a_rollback_to_no_policy_ends_at_the_default(stage: Stage) -> None:
    proof = stage.approve(CAREFUL, 1)
    stage.activate(policy_change(CAREFUL, stage.release(CAREFUL), proof))
    back = stage.approvals.roll_back(proof, 2)
    stage.activate(policy_change(CAREFUL, {}, back))
    assert stage.reasons == ["ArtifactPolicyInvalidError"]
    stage.activate(policy_change(DEFAULT_POLICY, {}, back))
    assert (stage.taken, stage.k_slip_ppm) == (2, 1_000_000)
    assert stage.activations.seen[RISK_POLICY] == Seen(2, NO_DIGEST)


def test_a_policy_that_the_journal_has_brought_back_is_not_handed_on_again(stage: Stage) -> None:
    message = stage.change(CAREFUL, 1)
    stage.activate(message)
    stage.activate(message, is_known=True)
    assert (stage.taken, stage.activations.is_proven) == (1, True)


def test_a_known_policy_that_was_refused_before_is_judged_again(stage: Stage) -> None:
    stage.activate(stage.change(CAREFUL, 1), is_known=True)
    assert (stage.taken, stage.activations.is_proven) == (1, True)


def test_what_an_earlier_start_has_accepted_is_not_gone_back_from(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    old, new = stage.change(CAREFUL, 4), stage.change(DEFAULT_POLICY, 5)
    stage.activate(new)
    again = Stage(tmp_path, stage.activations.seen)
    again.activate(old)
    assert (again.taken, again.reasons) == (0, ["ProofNotNewerError"])
    again.activate(new)
    assert again.taken == 1


def test_a_model_that_calls_itself_a_policy_is_refused(stage: Stage) -> None:
    proof = stage.approve(CAREFUL, 1)
    digest = read_activation(stage.change(CAREFUL, 1), b"").digest
    stage.activate(model_change(digest, 1, proof, purpose=RISK_POLICY))
    assert stage.taken == 0
    assert list(stage.activations.models.wanted.refusals) == ["ArtifactManifestInvalidError"]
