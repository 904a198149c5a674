"""Activated models reach a spare slot of the engine, checked; refused ones leave it as it was."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from riskgate.v1 import state_pb2
from server.changes import model_rows, state_change
from server.hotpath.layout import CHANGE_MODEL
from server.hotpath.memory import Capacity, State, new_state
from server.hotpath.model_tables import MODEL_SLOTS
from server.loaders import model_loader
from server.loaders.artifact_store import ArtifactStore
from server.loaders.model_loader import Activation, ModelLoader, read_activation
from server.security.keys import ensure_development_keys
from tests.artifact_builder import build_artifact, build_small_model, load_author_key


class Stage:
    """A data directory with keys and a store, an engine's memory, and what the loader hands on."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        ensure_development_keys(data_dir / "keys")
        self.key = load_author_key(data_dir / "keys")
        self.store = ArtifactStore(data_dir / "artifacts")
        self.state: State = new_state(Capacity(**dict.fromkeys(Capacity._fields, 16)))
        self.state.engine[0]["model_slot"] = -1
        self.taken: list[tuple[int, int]] = []
        self.partial: list[bool] = []
        self.loader = ModelLoader(data_dir, self.state, self.put)

    def put(self, change: bytes, slot: int, *, is_partial: bool) -> bool:
        row = read_activation(state_pb2.StateChange.FromString(change), change)
        self.taken.append((row.serial, slot))
        self.partial.append(is_partial)
        engine = self.state.engine[0]
        if row.serial > engine["model_serial"]:
            engine["model_serial"], engine["model_slot"] = row.serial, slot
        return True

    def store_model(self, seed: int) -> bytes:
        digest = self.store.put(build_artifact(self.key, build_small_model(seed)))
        return bytes.fromhex(digest)

    def activate(
        self, digest: bytes, serial: int, purpose: str = "slippage", *, is_known: bool = False
    ) -> None:
        rows = model_rows(purpose, digest, "1.0.0", serial)
        message = state_change(state_pb2.CHANGE_KIND_MODEL, purpose, rows, version=serial)
        activation = read_activation(message, message.SerializeToString())
        self.loader.activate(activation._replace(is_known=is_known))

    def wait_until_idle(self) -> None:
        wait(lambda: self.loader.is_idle)


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    made.loader.start()
    yield made
    made.loader.stop()


def test_activate_when_models_follow_each_other_then_no_slot_in_use_is_written(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_loader, "SLOT_REST_S", 0.5)
    digests = [stage.store_model(seed) for seed in (1, 2)]
    used: list[int] = []
    for serial in range(1, 6):
        active = int(stage.state.engine[0]["model_slot"])
        before = stage.state.models.slots[active].copy() if active >= 0 else None
        stage.activate(digests[serial % 2], serial)
        stage.wait_until_idle()
        assert stage.taken[-1][0] == serial
        slot = stage.taken[-1][1]
        assert slot not in {active, *used[-1:]}
        assert 0 <= slot < MODEL_SLOTS
        used.append(slot)
        assert stage.state.models.slots[slot]["digest"].tobytes() == digests[serial % 2]
        if before is not None:
            assert stage.state.models.slots[active] == before
    assert (stage.loader.loaded, stage.loader.refused) == (5, 0)


def test_activate_when_the_artifact_is_missing_or_damaged_then_the_active_model_stays(
    stage: Stage,
) -> None:
    good = stage.store_model(1)
    stage.activate(good, 1)
    stage.wait_until_idle()
    slot = int(stage.state.engine[0]["model_slot"])
    damaged = stage.store_model(2)
    model = stage.data_dir / "artifacts" / "sha256" / damaged.hex() / "model.onnx"
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.chmod(0o644)
    model.write_bytes(bytes(content))
    stage.activate(damaged, 2)
    stage.wait_until_idle()
    stage.activate(bytes(range(32)), 3)
    stage.wait_until_idle()
    stage.activate(stage.store_model(3), 4, purpose="other")
    stage.wait_until_idle()
    assert stage.loader.refused == 3
    assert stage.taken == [(1, slot)]
    assert stage.state.models.slots[slot]["digest"].tobytes() == good
    stage.activate(stage.store_model(3), 5)
    stage.wait_until_idle()
    assert stage.taken[-1][0] == 5


def test_activate_when_the_key_is_no_longer_trusted_then_it_is_refused(
    stage: Stage, tmp_path: Path
) -> None:
    digest = stage.store_model(1)
    other = tmp_path / "other"
    ensure_development_keys(other / "keys")
    (stage.data_dir / "keys" / "trust.json").write_bytes(
        (other / "keys" / "trust.json").read_bytes()
    )
    stage.activate(digest, 1)
    stage.wait_until_idle()
    assert (stage.loader.refused, stage.taken) == (1, [])


def test_activate_when_nothing_needs_loading_then_the_change_goes_on_at_once(
    stage: Stage,
) -> None:
    stage.activate(stage.store_model(1), 5)
    stage.wait_until_idle()
    slot = stage.taken[-1][1]
    stage.activate(bytes(range(32)), 5)
    stage.activate(bytes(32), 6)
    assert stage.taken[1:] == [(5, slot), (6, -1)]
    assert stage.loader.loaded == 1


def test_activate_when_it_is_part_of_a_load_then_its_change_is_so_too(stage: Stage) -> None:
    digest = stage.store_model(1)
    rows = model_rows("slippage", digest, "1.0.0", 1)
    message = state_change(state_pb2.CHANGE_KIND_MODEL, "slippage", rows, version=7)
    activation = read_activation(message, message.SerializeToString())
    stage.loader.activate(activation._replace(is_partial=True))
    stage.wait_until_idle()
    stage.activate(digest, 2)
    stage.wait_until_idle()
    assert stage.partial == [True, False]


def test_activate_when_a_recovered_engine_has_the_model_then_nothing_is_handed_on(
    stage: Stage,
) -> None:
    digest = stage.store_model(1)
    stage.activate(digest, 5, is_known=True)
    stage.wait_until_idle()
    assert [serial for serial, _ in stage.taken] == [5]
    stage.activate(digest, 5, is_known=True)
    stage.wait_until_idle()
    assert [serial for serial, _ in stage.taken] == [5]


@pytest.mark.parametrize(("raw", "purpose"), [(b"", ""), (b"\xff\xfe", "\ufffd\ufffd")])
def test_read_activation_when_the_purpose_is_no_text_then_it_names_nothing(
    raw: bytes, purpose: str
) -> None:
    rows = raw.ljust(CHANGE_MODEL.itemsize, b"\0")
    message = state_pb2.StateChange(rows=rows)
    assert read_activation(message, b"x") == Activation(b"x", purpose, bytes(32), 0)
