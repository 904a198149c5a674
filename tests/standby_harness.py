"""An engine that keeps a journal, its decision port, and a standby of it, in this process."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from riskgate.v1 import decision_pb2 as pb
from server.engine import Engine
from server.engine_start import Started, start_engine
from server.errors import (
    UnavailableError,
)
from server.journal.fencing import (
    raise_active_epoch,
)
from server.loaders.artifact_store import ArtifactStore
from server.loaders.calendar import Calendar
from server.loaders.model_loader import ModelLoader
from server.security.keys import ensure_development_keys
from server.settings import Settings, load_settings
from server.standby.standby import Standby
from server.warming import warm_kernels
from tests.activation_builder import Approvals, activation_of, model_change
from tests.artifact_builder import build_artifact, load_author_key
from tests.decision_harness import beat, example_changes, good_request, submit
from tests.faults.victim import SETTINGS
from tests.lane_harness import OPENERS

VERSION: Final = 4


class Epochs:
    """The epochs of one shard, named in this process."""

    def __init__(self) -> None:
        self.highest = 0
        self.is_away = False

    def raise_to(self, epoch: int) -> int:
        if self.is_away:
            raise UnavailableError("redis")
        self.highest = max(self.highest, epoch)
        return self.highest

    def close(self) -> None:
        """Nothing is open."""


class Primary(NamedTuple):
    """An engine that keeps a journal, behind its decision port."""

    settings: Settings
    started: Started
    port: Any

    @property
    def folder(self) -> Path:
        """Of its journal."""
        return self.settings.data_dir / "journal"

    @property
    def engine(self) -> Engine:
        """Owned by the port."""
        return self.started.engine

    def fence(self) -> int:
        """Let a higher epoch be active."""
        return raise_active_epoch(self.folder, lambda above: above + 1)


def settings_of(data_dir: Path, **said: Any) -> Settings:
    data_dir.mkdir(exist_ok=True)
    return load_settings(lane="compiled", data_dir=data_dir, **{**SETTINGS, **said})


@contextmanager
def primary_in(data_dir: Path, lane: str = "compiled", **said: Any) -> Iterator[Primary]:
    """Serve an engine with the state of the worked example."""
    warm()
    settings = settings_of(data_dir, **said)
    started = start_engine(settings)
    fill(started.engine)
    with OPENERS[lane](started.engine) as port:
        yield Primary(settings, started, port)
    started.close()


@cache
def warm() -> None:
    # Before the heartbeat: compiling takes longer than that is fresh.
    warm_kernels()


def fill(engine: Engine) -> None:
    """Give an engine the state of the worked example."""
    Calendar(engine.submit).add_timezone("UTC")
    for version, (kind, key, rows) in enumerate(example_changes(), start=1):
        submit(engine, kind, key, rows, version=version)
    beat(engine, version=VERSION)
    assert engine.drain(time.time_ns()) == VERSION + 2


@contextmanager
def standby_of(primary: Primary, data_dir: Path, **said: Any) -> Iterator[Standby]:
    standby = Standby(settings_of(data_dir, **said), primary.settings.data_dir, Epochs())
    try:
        yield standby
    finally:
        standby.close()


def order(name: str, **fields: Any) -> pb.DecideRequest:
    return good_request(client_order_id=name, requested_lots=0.01, **fields)


def follow(standby: Standby) -> None:
    while not standby.follow():
        pass


def activate_model(primary: Primary) -> None:
    """Activate a real model, as the engine process does."""
    data_dir = primary.settings.data_dir
    ensure_development_keys(data_dir / "keys")
    artifact = build_artifact(load_author_key(data_dir / "keys"))
    digest = bytes.fromhex(ArtifactStore(data_dir / "artifacts").put(artifact))
    proof = Approvals(data_dir / "keys").approve(digest, 1)
    message = model_change(digest, 1, proof, version=VERSION + 1)
    loader = ModelLoader(data_dir, primary.engine.state, primary.port.intake.put)
    loader.start()
    loader.activate(activation_of(message))
    primary.port.wait_for(lambda: loader.is_idle and primary.port.intake.depth == 0)
    loader.stop()
    assert primary.port.decide(order("with-model", dry_run=True)).model_version == "1.0.0"
