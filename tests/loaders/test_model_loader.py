"""Activated models reach a spare slot of the engine, proven; refused ones leave it as it was."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from riskgate.v1 import state_pb2
from server.changes import model_rows
from server.hotpath.layout import CHANGE_MODEL
from server.hotpath.memory import Capacity, State, new_state
from server.hotpath.model_tables import MODEL_SLOTS
from server.loaders.activation_change import NO_DIGEST, Activation, read_activation
from server.loaders.artifact_store import ArtifactStore
from server.loaders.model_loader import ModelLoader
from server.loaders.model_slots import ModelSlots
from server.loaders.model_source import ModelSource
from server.loaders.proof_judge import ProofJudge, Seen
from server.security.keys import ROOT_KEY_FILE, ensure_development_keys, load_private_key
from server.security.statements import payload_of, sign_statement
from server.security.trust_files import trust_file
from server.security.trust_set import build_trust_set
from tests.activation_builder import Approvals, activation_of, model_change
from tests.artifact_builder import build_artifact, build_small_model, load_author_key
from tests.onnx_builder import build_random_trees, build_tree_model
from tests.poison_graphs import GRAPHS


class Stage:
    """A data directory with keys and a store, an engine's memory, and what the loader hands on."""

    def __init__(self, data_dir: Path, seen: dict[str, Seen] | None = None) -> None:
        self.data_dir = data_dir
        ensure_development_keys(data_dir / "keys")
        self.key = load_author_key(data_dir / "keys")
        self.approvals = Approvals(data_dir / "keys")
        self.store = ArtifactStore(data_dir / "artifacts")
        self.state: State = new_state(Capacity(**dict.fromkeys(Capacity._fields, 16)))
        self.state.engine[0]["model_slot"] = -1
        self.taken: list[tuple[int, int]] = []
        self.partial: list[bool] = []
        self.is_slow = False
        judge = ProofJudge(ModelSource(data_dir).load_trust, seen)
        self.loader = ModelLoader(data_dir, self.state, self.put, judge=judge)

    def put(self, change: bytes, slot: int, *, is_partial: bool) -> bool:
        row = read_activation(state_pb2.StateChange.FromString(change), change)
        self.taken.append((row.serial, slot))
        self.partial.append(is_partial)
        if self.is_slow:
            return True
        engine = self.state.engine[0]
        if row.serial > engine["model_serial"]:
            engine["model_serial"], engine["model_slot"] = row.serial, slot
        return True

    def store_model(self, seed: int) -> bytes:
        digest = self.store.put(build_artifact(self.key, build_small_model(seed)))
        return bytes.fromhex(digest)

    def proof(self, digest: bytes, serial: int, **said: Any) -> state_pb2.ActivationProof:
        return self.approvals.approve(digest, serial, **said)

    def activate(
        self,
        digest: bytes,
        serial: int,
        proof: state_pb2.ActivationProof | None = None,
        **changed: Any,
    ) -> None:
        said = self.proof(digest, serial) if proof is None else proof
        self.loader.activate(activation_of(model_change(digest, serial, said), **changed))

    def activate_and_wait(self, digest: bytes, serial: int, **said: Any) -> None:
        self.activate(digest, serial, self.proof(digest, serial, **said))
        self.wait_until_idle()

    def wait_until_idle(self) -> None:
        wait(lambda: self.loader.is_idle)

    @property
    def reasons(self) -> list[str]:
        return list(self.loader.wanted.refusals)


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    made.loader.start()
    yield made
    made.loader.stop()


def test_a_model_that_stands_in_a_slot_is_switched_to_before_the_call_returns(
    stage: Stage,
) -> None:
    first, second = stage.store_model(1), stage.store_model(2)
    stage.activate_and_wait(first, 1)
    stage.activate_and_wait(second, 2)
    slots = {first: stage.taken[0][1], second: stage.taken[1][1]}
    before = stage.state.models.slots.copy()
    for serial in range(3, 43):
        digest = (first, second)[(serial + 1) % 2]
        stage.activate(digest, serial)
        assert stage.taken[-1] == (serial, slots[digest])
        assert stage.loader.running == (serial, digest)
    assert (stage.state.models.slots == before).all()
    assert (stage.loader.loaded, stage.loader.switched, stage.reasons) == (2, 42, [])


def test_a_slot_in_use_is_never_written_however_many_models_follow_each_other(
    stage: Stage,
) -> None:
    digests = [stage.store_model(seed) for seed in range(6)]
    for serial in range(1, 9):
        active = int(stage.state.engine[0]["model_slot"])
        before = stage.state.models.slots[active].copy() if active >= 0 else None
        stage.activate_and_wait(digests[serial % 6], serial)
        assert stage.taken[-1][0] == serial
        slot = stage.taken[-1][1]
        assert slot != active
        assert 0 <= slot < MODEL_SLOTS
        assert stage.loader.running == (serial, digests[serial % 6])
        if before is not None:
            assert stage.state.models.slots[active] == before
    assert stage.reasons == []


def test_the_active_slot_is_not_claimed_though_it_was_written_longest_ago(stage: Stage) -> None:
    stage.activate_and_wait(stage.store_model(1), 1)
    active = stage.taken[-1][1]
    slots = ModelSlots(stage.state)
    claimed = set()
    for number in range(3 * MODEL_SLOTS):
        slot = slots.claim(())
        claimed.add(slot)
        slots.note_filled(slot, bytes([number]) * 32)
    assert claimed == set(range(MODEL_SLOTS)) - {active}


def test_a_slot_on_its_way_to_the_engine_is_not_written(stage: Stage) -> None:
    """The engine takes nothing for a while: what was handed over must stand when it does."""
    stage.is_slow = True
    digests = [stage.store_model(seed) for seed in range(5)]
    for serial, digest in enumerate(digests[:4], 1):
        stage.activate_and_wait(digest, serial)
    assert sorted(slot for _, slot in stage.taken) == [0, 1, 2, 3]
    stage.activate(digests[4], 5)
    blocked = threading.Event()
    assert not blocked.wait(0.5)
    assert not stage.loader.is_idle
    held = stage.state.models.slots["digest"]
    assert {digest.tobytes() for digest in held} == set(digests[:4])


def test_what_a_rollback_goes_back_to_is_loaded_beforehand_and_takes_one_change(
    stage: Stage,
) -> None:
    old, new = stage.store_model(1), stage.store_model(2)
    proof = stage.proof(new, 1, fallback_digest=old.hex())
    stage.activate(new, 1, proof)
    wait(lambda: stage.loader.is_idle and stage.loader.is_preloaded and stage.loader.loaded == 2)
    stage.activate(old, 2, stage.approvals.roll_back(proof, 2))
    assert stage.loader.running == (2, old)
    assert (stage.loader.loaded, stage.reasons) == (2, [])


def test_a_rollback_to_no_model_takes_one_change(stage: Stage) -> None:
    new = stage.store_model(1)
    proof = stage.proof(new, 1)
    stage.activate(new, 1, proof)
    stage.wait_until_idle()
    stage.activate(NO_DIGEST, 2, stage.approvals.roll_back(proof, 2))
    assert stage.loader.running == (2, NO_DIGEST)
    assert stage.taken[-1] == (2, -1)


def test_a_fallback_that_cannot_be_loaded_leaves_the_new_model_in_use(stage: Stage) -> None:
    new = stage.store_model(1)
    stage.activate_and_wait(new, 1, fallback_digest="ab" * 32)
    wait(lambda: stage.loader.is_preloaded)
    assert stage.loader.running == (1, new)
    assert (stage.loader.loaded, stage.loader.is_proven) == (1, True)


def test_an_activation_that_nobody_has_approved_is_refused_whatever_stands_in_a_slot(
    stage: Stage,
) -> None:
    first, second = stage.store_model(1), stage.store_model(2)
    stage.activate_and_wait(first, 1)
    stage.activate_and_wait(second, 2)
    good = stage.proof(first, 3)
    stage.activate(first, 3, state_pb2.ActivationProof())
    stage.activate(first, 4, good)
    stage.activate(second, 3, good)
    expired = state_pb2.ActivationProof(
        activation=good.activation, activated_at_ns=time.time_ns() + 7_200 * 10**9
    )
    stage.activate(first, 3, expired)
    assert stage.reasons == [
        "ProofMissingError",
        "ProofSerialError",
        "ProofDigestError",
        "ApprovalExpiredError",
    ]
    assert stage.loader.running == (2, second)
    stage.activate(first, 3, good)
    assert stage.loader.running == (3, first)


def test_a_missing_or_damaged_artifact_is_refused_and_the_active_model_stays(
    stage: Stage,
) -> None:
    good = stage.store_model(1)
    stage.activate_and_wait(good, 1)
    slot = int(stage.state.engine[0]["model_slot"])
    damaged = stage.store_model(2)
    model = stage.data_dir / "artifacts" / "sha256" / damaged.hex() / "model.onnx"
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.chmod(0o644)
    model.write_bytes(bytes(content))
    stage.activate_and_wait(damaged, 2)
    assert not stage.loader.is_proven
    stage.activate_and_wait(bytes(range(32)), 3)
    assert stage.reasons == ["ArtifactHashMismatchError", "ArtifactNotFoundError"]
    assert stage.taken == [(1, slot)]
    assert stage.loader.running == (1, good)
    stage.activate_and_wait(stage.store_model(3), 5)
    assert stage.taken[-1][0] == 5
    assert stage.loader.is_proven


def test_an_approved_model_is_judged_once_more_by_the_engine_itself(stage: Stage) -> None:
    """Whoever stored it did not look: the store checks hashes only."""
    good = stage.store_model(1)
    stage.activate_and_wait(good, 1)
    sound = build_small_model().SerializeToString()
    attributes = build_random_trees(np.random.default_rng(5), 3, 2, full=True)
    attributes["target_ids"] = [1 - target for target in attributes["target_ids"]]
    for serial, artifact in enumerate(
        (
            build_artifact(stage.key, GRAPHS["loop"](), golden_from=sound),
            build_artifact(stage.key, build_tree_model(attributes)),
        ),
        start=2,
    ):
        stage.activate_and_wait(bytes.fromhex(stage.store.put(artifact)), serial)
    assert stage.reasons == ["ArtifactStructureRefusedError", "ArtifactImplausibleError"]
    assert stage.loader.running == (1, good)


def test_a_refused_model_is_taken_when_its_files_have_come(stage: Stage) -> None:
    late = build_artifact(stage.key, build_small_model(9))
    digest = bytes.fromhex(ArtifactStore(stage.data_dir / "elsewhere").put(late))
    stage.activate_and_wait(digest, 1)
    stage.loader.try_again()
    stage.wait_until_idle()
    assert stage.loader.running == (0, NO_DIGEST)
    assert stage.loader.wanted.refusals == {"ArtifactNotFoundError": 1}
    stage.store.put(late)
    stage.loader.try_again()
    wait(lambda: stage.loader.is_proven)
    assert stage.loader.running == (1, digest)
    assert stage.loader.wanted.problem is None


def test_a_model_for_another_purpose_is_refused_and_changes_nothing_else(stage: Stage) -> None:
    digest = stage.store_model(1)
    stage.activate_and_wait(digest, 1)
    proof = stage.proof(digest, 2, purpose="direction")
    stage.loader.activate(activation_of(model_change(digest, 2, proof, purpose="direction")))
    assert stage.reasons == ["ArtifactManifestInvalidError"]
    assert stage.loader.is_proven


def test_a_model_whose_author_is_no_longer_trusted_is_refused_also_from_its_slot(
    stage: Stage,
) -> None:
    first, second = stage.store_model(1), stage.store_model(2)
    stage.activate_and_wait(first, 1)
    stage.activate_and_wait(second, 2)
    dismiss_author(stage)
    stage.activate(first, 3)
    assert stage.reasons == ["ArtifactUntrustedKeyError"]
    assert stage.loader.running == (2, second)


def dismiss_author(stage: Stage) -> None:
    """Let a second version of the trust set name every key but the author's."""
    keys_dir = stage.data_dir / "keys"
    trust = ModelSource(stage.data_dir).load_trust()
    kept = [key for key in trust.keys.values() if key.role != "author"]
    previous = payload_of(trust_file(keys_dir, 1).read_bytes(), "trust")
    payload = build_trust_set(kept, root_threshold=1, previous=previous)
    root = load_private_key(keys_dir / ROOT_KEY_FILE)
    trust_file(keys_dir, 2).write_bytes(sign_statement(payload, "trust", root))


def test_an_activation_that_is_passed_is_handed_on_and_loads_nothing(stage: Stage) -> None:
    stage.activate_and_wait(stage.store_model(1), 5)
    slot = stage.taken[-1][1]
    stage.activate(bytes(range(32)), 5)
    assert stage.taken[1:] == [(5, slot)]
    assert stage.loader.loaded == 1
    # Another artifact with the same serial: what runs is not what the record says.
    assert not stage.loader.is_proven


def test_a_change_that_is_part_of_a_load_stays_so(stage: Stage) -> None:
    digest = stage.store_model(1)
    stage.activate(digest, 1, is_partial=True)
    stage.wait_until_idle()
    stage.activate(digest, 2)
    assert stage.partial == [True, False]


def test_a_recovered_engine_that_has_the_model_is_handed_nothing(stage: Stage) -> None:
    digest = stage.store_model(1)
    stage.activate(digest, 5, is_known=True)
    stage.wait_until_idle()
    assert [serial for serial, _ in stage.taken] == [5]
    stage.activate(digest, 5, is_known=True)
    assert [serial for serial, _ in stage.taken] == [5]
    again = ModelLoader(stage.data_dir, stage.state, stage.put)
    assert again.running == (5, digest)
    again.activate(activation_of(model_change(digest, 6, stage.proof(digest, 6))))
    assert again.running == (6, digest)
    assert again.loaded == 0


def test_an_engine_that_has_forgotten_everything_still_refuses_what_is_passed(
    tmp_path: Path,
) -> None:
    stage = Stage(tmp_path)
    old, new = stage.store_model(1), stage.store_model(2)
    later = Stage(tmp_path, {"slippage": Seen(7, new)})
    later.loader.start()
    later.activate_and_wait(old, 6)
    later.activate_and_wait(old, 7)
    assert later.loader.wanted.refusals == {"ProofNotNewerError": 2}
    later.activate_and_wait(new, 7)
    assert later.loader.running == (7, new)
    later.loader.stop()


@pytest.mark.parametrize(("raw", "purpose"), [(b"", ""), (b"\xff\xfe", "\ufffd\ufffd")])
def test_a_purpose_that_is_no_text_names_nothing(raw: bytes, purpose: str) -> None:
    rows = raw.ljust(CHANGE_MODEL.itemsize, b"\0")
    message = state_pb2.StateChange(rows=rows, proof=b"\xff\xff")
    activation = read_activation(message, b"x")
    assert activation == Activation(b"x", purpose, bytes(32), 0, rows)


def test_rows_of_a_model_are_read_as_they_were_written() -> None:
    rows = model_rows("slippage", bytes(range(32)), "1.2.3", 9)
    activation = read_activation(state_pb2.StateChange(rows=rows), b"x")
    assert (activation.purpose, activation.digest, activation.serial) == (
        "slippage",
        bytes(range(32)),
        9,
    )
