"""The compiled decision port around its lane: held connections, watching, counting."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1.types_pb2 import VERDICT_ALLOW, VERDICT_DENY
from server import compiled_port
from server.compiled_port import CompiledPort
from server.errors import ConfigurationError, UnavailableError
from server.hotpath.lane.lane_record import LATENCY_BOUNDS_NS
from server.listening import DECISION_FD_VARIABLE, open_listener
from server.settings import Settings, load_settings
from server.telemetry.engine_metrics import _call_times
from tests.decision_harness import good_request, new_engine
from tests.lane_harness import DECIDE, LanePort, open_lane
from tests.port_calls import refused, stream_of

SOME_PORT: dict[str, Any] = {"decision_listen": "127.0.0.1:0"}
ASK = good_request(dry_run=True).SerializeToString()


@pytest.fixture
def inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pass a listening socket on, as the supervisor does."""
    listener = open_listener("127.0.0.1:0")
    monkeypatch.setenv(DECISION_FD_VARIABLE, str(listener.detach()))


def test_port_when_its_socket_is_the_supervisors_then_callers_wait_for_the_state(
    inherited: None,
) -> None:
    with open_lane(ready=False) as port:
        waiting = port.channel.unary_unary(DECIDE).future(ASK, timeout=20, wait_for_ready=True)
        begun = port.lane.turns
        port.wait_for(lambda: port.lane.turns >= begun + 3)
        assert (port.read("connections_accepted"), waiting.done()) == (0, False)
        asyncio.run(port.compiled.say_serving())
        assert pb.DecideResponse.FromString(waiting.result()).verdict == VERDICT_ALLOW


def test_port_when_the_state_is_late_then_callers_are_told(
    inherited: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled_port, "HOLD_NS_MAX", 200_000_000)
    with open_lane(ready=False) as port:
        stub = health_pb2_grpc.HealthStub(port.channel)
        check = stub.Check.future(health_pb2.HealthCheckRequest(), timeout=20, wait_for_ready=True)
        asyncio.run(_watch(port, seconds=0.6))
        assert check.result().status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert refused(port, "Decide", ASK) == (
            grpc.StatusCode.UNAVAILABLE,
            "",
            "the engine is not ready",
        )


def test_port_when_its_own_socket_is_open_then_callers_are_told_at_once() -> None:
    with open_lane(ready=False) as port:
        assert refused(port, "Decide", ASK)[0] == grpc.StatusCode.UNAVAILABLE


def test_watch_when_the_lane_has_ended_then_it_says_so() -> None:
    with open_lane() as port:
        port.lane.stop()
        with pytest.raises(UnavailableError, match="the lane has ended"):
            asyncio.run(_watch(port, seconds=5))


def test_port_when_plaintext_is_not_allowed_then_nobody_may_call_anything(tmp_path: Path) -> None:
    # Past `load_settings`, which would not let such a port be opened at all.
    settings = Settings(lane="compiled", data_dir=tmp_path, insecure_loopback=False, **SOME_PORT)
    with open_lane(loaded=settings) as port:
        for method in ("Decide", "DecideBatch", "ReportExecution", "SyncAccount", "AckDirective"):
            assert refused(port, method, ASK) == (
                grpc.StatusCode.UNAUTHENTICATED,
                "",
                "no acceptable client certificate",
            )


def test_port_when_a_file_cannot_be_used_then_it_is_not_made(tmp_path: Path) -> None:
    files: dict[str, Any] = {
        "tls_certificate": tmp_path / "no.pem",
        "tls_key": tmp_path / "no",
        "tls_client_ca": tmp_path / "no",
        "insecure_loopback": False,
    }
    with pytest.raises(ConfigurationError, match=r"tls_certificate: .*no\.pem"):
        CompiledPort(load_settings(lane="compiled", **SOME_PORT, **files), new_engine())


def test_counts_when_calls_were_made_then_each_is_counted_once() -> None:
    with open_lane() as port:
        for number in range(3):
            port.decide(good_request(client_order_id=f"o{number}", requested_lots=0.01))
        port.decide(good_request(client_order_id="o0", requested_lots=0.01))
        port.decide(good_request(symbol="XXX"))
        port.report(
            report_id="r", account_id="A", client_order_id="o0", kind=3, price=1.1, lots=0.01
        )
        refused(port, "Decide", b"")
        refused(port, "Decide", bytes(70_000))
        port.batch(good_request(dry_run=True), good_request(account_id=""))
        stream_of(port, *[pb.DecideStreamRequest(request=good_request(dry_run=True))] * 5)
        counts = port.counts
        assert counts.verdicts[VERDICT_ALLOW] == 3 + 1 + 5
        assert counts.verdicts[VERDICT_DENY] == 1
        assert counts.repeated == 1
        assert counts.reports[pb.REPORT_OUTCOME_APPLIED] == 1
        assert counts.errors == {"INVALID_ARGUMENT": 2, "RESOURCE_EXHAUSTED": 1}
        calls = {name: sum(times.buckets) for name, times in counts.calls.items()}
        assert calls == {"Decide": 5, "ReportExecution": 1, "DecideBatch": 1, "DecideStream": 5}
        for times in counts.calls.values():
            assert 0 < times.total_ns < 60_000_000_000


def test_metrics_when_calls_were_made_then_the_histogram_is_cumulative_and_whole() -> None:
    with open_lane() as port:
        for _ in range(20):
            port.decide(good_request(dry_run=True))
        samples = list(_call_times(port.counts).samples)
        buckets = [one for one in samples if one.name == "riskgate_call_seconds_bucket"]
        assert [one.labels["method"] for one in buckets] == ["Decide"] * len(buckets)
        assert len(buckets) == len(LATENCY_BOUNDS_NS) + 1
        values = [one.value for one in buckets]
        assert values == sorted(values)
        assert (buckets[-1].labels["le"], values[-1]) == ("+Inf", 20.0)
        lane = {metric.name: metric.samples[0].value for metric in port.compiled.read_metrics()}
        assert lane["riskgate_lane_connections_now"] == 1
        assert lane["riskgate_lane_calls_started"] == 20
        assert lane["riskgate_lane_bytes_in"] > 20 * len(ASK)


async def _watch(port: LanePort, *, seconds: float) -> None:
    task = asyncio.create_task(port.compiled.watch())
    done, _ = await asyncio.wait([task], timeout=seconds)
    if done:
        task.result()
    task.cancel()
