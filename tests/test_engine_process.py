"""The engine as a process: ready only with a whole state, counted starts, metrics, orderly end."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import redis
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import state_pb2 as kinds
from riskgate.v1.types_pb2 import (
    MODE_REFUSE,
    REASON_FEED_STALE,
    REASON_RESTARTED,
    VERDICT_ALLOW,
    VERDICT_DENY,
)
from server import feed
from server.addresses import resolve_port
from server.changes import heartbeat_rows, state_change
from server.hotpath.layout import LAYOUT_VERSION
from server.loaders.artifact_store import ArtifactStore
from server.loaders.redis_replica import RedisReplicas
from server.security.keys import ensure_development_keys
from server.services.decision import SERVICE_NAME
from tests.activation_builder import Approvals, model_change
from tests.artifact_builder import build_artifact, build_small_model, load_author_key
from tests.decision_harness import example_changes, good_request
from tests.feed_harness import SEAL, give_feed_key, sealed
from tests.poison_graphs import GRAPHS

START_TIMEOUT_S = 150
LANES = ("compiled", "grpcio")
PROGRAM = """
from server.engine_process import run_engine
from server.settings import load_settings
run_engine(load_settings())
"""
# An account whose broker's view takes for ever.
STUCK_PROGRAM = (
    """
import time
import server.compiled_port
server.compiled_port._sync = lambda *_: time.sleep(600)
"""
    + PROGRAM
)


class Feed:
    """Writes into Redis what the control process would."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client: Any = redis.Redis.from_url(url, socket_timeout=5)
        self.client.flushdb()
        self.version = 0
        self.revisions: Counter[str] = Counter()

    def put(self, kind: Any, key: str, rows: bytes, proof: bytes = b"") -> None:
        self.version += 1
        name = feed.state_field(kind, key)
        self.revisions[name] += 1
        message = state_change(kind, key, rows, version=self.version)
        message.proof = proof
        change = sealed(message, self.revisions[name])
        self.client.hset(feed.STATE_KEY, name, change)

    def publish(self) -> None:
        self.client.set(feed.VERSION_KEY, self.version)
        self.client.set(feed.LAYOUT_KEY, LAYOUT_VERSION)
        self.client.set(feed.GENERATION_KEY, time.time_ns())

    def beat(self) -> None:
        rows = heartbeat_rows(self.version, record_away=False)
        change = state_change(kinds.CHANGE_KIND_HEARTBEAT, "publisher", rows)
        entry = {
            feed.FIELD_GENERATION: self.client.get(feed.GENERATION_KEY),
            feed.FIELD_VERSION: 0,
            feed.FIELD_CHANGE: sealed(change),
        }
        self.client.xadd(feed.STREAM_KEY, entry)


class Process:
    """One engine process of a data directory."""

    def __init__(
        self, data_dir: Path, redis_url: str, lane: str, *, program: str = PROGRAM, **settings: str
    ) -> None:
        self.address = resolve_port("decision_listen", "127.0.0.1:0")
        self.metrics = resolve_port("metrics_listen", "127.0.0.1:0")
        environment = {
            **os.environ,
            "RISKGATE_DATA_DIR": str(data_dir),
            "RISKGATE_REDIS_URL": redis_url,
            "RISKGATE_DECISION_LISTEN": self.address,
            "RISKGATE_METRICS_LISTEN": self.metrics,
            "RISKGATE_LANE": lane,
            **{f"RISKGATE_{name.upper()}": value for name, value in settings.items()},
        }
        give_feed_key(data_dir)
        self.log = data_dir / "engine.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", program], env=environment, stdout=log, stderr=log
            )
        self.channel: Any = grpc.insecure_channel(self.address)

    def status(self) -> str:
        assert self.process.poll() is None, self.log.read_text()
        request = health_pb2.HealthCheckRequest(service=SERVICE_NAME)
        try:
            answer = health_pb2_grpc.HealthStub(self.channel).Check(request, timeout=5)
        except grpc.RpcError as error:
            return str(error.code().name)
        return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))

    def wait_for(self, status: str) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while self.status() != status:
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def decide(self, **fields: Any) -> pb.DecideResponse:
        call = self.channel.unary_unary(f"/{SERVICE_NAME}/Decide")
        raw = call(good_request(**fields).SerializeToString(), timeout=10)
        return pb.DecideResponse.FromString(raw)

    def read_metrics(self) -> dict[str, float]:
        with urllib.request.urlopen(f"http://{self.metrics}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    def end(self) -> int:
        self.channel.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@pytest.fixture
def source(redis_url: str) -> Iterator[Feed]:
    made = Feed(redis_url)
    yield made
    made.client.flushdb()
    made.client.close()


@pytest.mark.parametrize("lane", LANES)
def test_engine_when_it_lives_its_life_then_each_promise_holds(
    tmp_path: Path, redis_url: str, source: Feed, lane: str
) -> None:
    ensure_development_keys(tmp_path / "keys")
    engine = Process(tmp_path, redis_url, lane)
    try:
        # Bound early, but without a state there is no decision.
        engine.wait_for("NOT_SERVING")
        with pytest.raises(grpc.RpcError) as failure:
            engine.decide()
        assert failure.value.code() == grpc.StatusCode.UNAVAILABLE
        for change in example_changes():
            source.put(*change)
        source.publish()
        engine.wait_for("SERVING")
        source.beat()
        _wait(lambda: engine.decide(dry_run=True).verdict == VERDICT_ALLOW)
        answer = engine.decide()
        assert (answer.lot_size, answer.epoch, answer.state_version) == (0.32, 1, source.version)
        if lane == "grpcio":  # the compiled lane answers no reflection
            assert _services(engine) >= {SERVICE_NAME, "grpc.health.v1.Health"}
        _activate_model(tmp_path, source)
        _wait(lambda: bool(_beaten(engine, source).model_digest))
        assert engine.decide().model_version == "1.0.0"
        metrics = engine.read_metrics()
        assert metrics["riskgate_state_version"] == source.version
        assert metrics['riskgate_decisions_total{verdict="allow"}'] >= 2
        assert metrics['riskgate_call_seconds_count{method="Decide"}'] >= 3
        assert metrics['riskgate_call_seconds_bucket{le="+Inf",method="Decide"}'] >= 3
        assert 0 < metrics['riskgate_call_seconds_sum{method="Decide"}'] < 60
        assert ("riskgate_lane_turns_total" in metrics) == (lane == "compiled")
        assert metrics['riskgate_errors_total{code="UNAVAILABLE"}'] == 1
        assert metrics["riskgate_models_loaded_total"] == 1
        assert metrics["riskgate_mode"] == 1
        assert metrics["riskgate_proven"] == 1
        _refuse_and_mend_a_model(tmp_path, source, engine)
        # Redis is emptied: decisions go on, and the feed grows old.
        source.client.flushdb()
        assert engine.decide(dry_run=True).verdict in {VERDICT_ALLOW, 2}
        assert engine.status() == "SERVING"
    finally:
        status = engine.end()
    assert status == 0, engine.log.read_text()


def test_engine_when_started_again_then_new_risk_waits_for_one_lifetime(
    tmp_path: Path, redis_url: str, source: Feed
) -> None:
    (tmp_path / "epoch").write_text("6\n")
    for change in example_changes():
        source.put(*change)
    source.publish()
    engine = Process(tmp_path, redis_url, "compiled")
    try:
        engine.wait_for("SERVING")
        answer = engine.decide()
        assert (answer.epoch, answer.verdict, answer.mode) == (7, VERDICT_DENY, MODE_REFUSE)
        source.beat()
        _wait(lambda: REASON_FEED_STALE not in engine.decide().reasons)
        assert REASON_RESTARTED in engine.decide().reasons
    finally:
        status = engine.end()
    assert status == 0, engine.log.read_text()


def test_engine_when_its_lane_stands_still_then_it_is_killed(
    tmp_path: Path, redis_url: str, source: Feed
) -> None:
    """A loop cannot be interrupted from outside: the supervisor has to start another process."""
    for change in example_changes():
        source.put(*change)
    source.publish()
    engine = Process(tmp_path, redis_url, "compiled", program=STUCK_PROGRAM, lane_stall_ms="500")
    try:
        engine.wait_for("SERVING")
        assert engine.decide(dry_run=True).decision_id
        sync = engine.channel.unary_unary(f"/{SERVICE_NAME}/SyncAccount")
        with pytest.raises(grpc.RpcError) as failure:
            sync(pb.SyncAccountRequest(account_id="A", equity=1.0).SerializeToString(), timeout=30)
        assert failure.value.code() == grpc.StatusCode.UNAVAILABLE
        assert engine.process.wait(10) == -signal.SIGKILL
        assert "the lane has stood still for 500 ms" in engine.log.read_text()
    finally:
        engine.end()


def test_engine_when_it_is_stopped_and_continued_then_it_lives(
    tmp_path: Path, redis_url: str, source: Feed
) -> None:
    for change in example_changes():
        source.put(*change)
    source.publish()
    engine = Process(tmp_path, redis_url, "compiled", lane_stall_ms="500")
    try:
        engine.wait_for("SERVING")
        engine.process.send_signal(signal.SIGSTOP)
        time.sleep(1.5)
        engine.process.send_signal(signal.SIGCONT)
        assert engine.decide(dry_run=True).decision_id
        time.sleep(0.5)
        assert engine.process.poll() is None
    finally:
        status = engine.end()
    assert status == 0, engine.log.read_text()


def _wait(condition: Any) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def _beaten(engine: Process, source: Feed) -> pb.DecideResponse:
    source.beat()
    return engine.decide(dry_run=True)


def _activate_model(data_dir: Path, source: Feed) -> None:
    artifact = build_artifact(load_author_key(data_dir / "keys"))
    digest = ArtifactStore(data_dir / "artifacts").put(artifact)
    _publish_model(data_dir, source, bytes.fromhex(digest), 1)


def _publish_model(data_dir: Path, source: Feed, digest: bytes, serial: int) -> None:
    proof = Approvals(data_dir / "keys").approve(digest, serial)
    message = model_change(digest, serial, proof)
    source.put(message.kind, message.key, message.rows, message.proof)
    source.client.set(feed.VERSION_KEY, source.version)


def _refuse_and_mend_a_model(data_dir: Path, source: Feed, engine: Process) -> None:
    """Poison, then missing files: NOT_SERVING, with the old model, until the files come."""
    before = engine.decide().model_digest
    key, store = load_author_key(data_dir / "keys"), ArtifactStore(data_dir / "artifacts")
    good = build_small_model().SerializeToString()
    poison = build_artifact(key, GRAPHS["loop"](), golden_from=good)
    _publish_model(data_dir, source, bytes.fromhex(store.put(poison)), 2)
    _wait_for_problem(data_dir, source, engine, "ArtifactStructureRefusedError")
    assert engine.decide().model_digest == before
    late = build_artifact(key, build_small_model(8))
    digest = bytes.fromhex(ArtifactStore(data_dir / "elsewhere").put(late))
    _publish_model(data_dir, source, digest, 3)
    _wait_for_problem(data_dir, source, engine, "ArtifactNotFoundError")
    assert engine.decide().model_digest == before
    metrics = engine.read_metrics()
    for reason in ("ArtifactStructureRefusedError", "ArtifactNotFoundError"):
        name = "riskgate_activations_refused_total"
        assert metrics[f'{name}{{purpose="slippage",reason="{reason}"}}'] == 1
    assert (metrics["riskgate_proven"], metrics["riskgate_behind"]) == (0, 1)
    store.put(late)
    _wait(lambda: engine.status() == "SERVING")
    assert _beaten(engine, source).model_digest == digest
    _wait(lambda: _read_replica(data_dir)["is_proven"])
    assert _read_replica(data_dir)["model_digest"] == digest.hex()
    (said,) = RedisReplicas(source.url, SEAL).read_all()
    assert (said.model_digest, said.model_serial, said.is_proven) == (digest.hex(), 3, True)
    assert (said.shard, said.address, said.epoch) == ("0/1", engine.address, 1)


def _wait_for_problem(data_dir: Path, source: Feed, engine: Process, problem: str) -> None:
    def is_there() -> bool:
        source.beat()  # the feed lives, so that the old model goes on answering
        said = _read_replica(data_dir)
        return said["problem"] == problem and engine.status() == "NOT_SERVING"

    _wait(is_there)
    assert not _read_replica(data_dir)["is_proven"]


def _read_replica(data_dir: Path) -> Any:
    return json.loads((data_dir / "replica.json").read_bytes())["replica"]


def _services(engine: Process) -> set[str]:
    stub = reflection_pb2_grpc.ServerReflectionStub(engine.channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    (answer,) = stub.ServerReflectionInfo(iter([request]), timeout=5)
    return {service.name for service in answer.list_services_response.service}
