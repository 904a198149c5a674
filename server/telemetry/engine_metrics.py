"""The engine's Prometheus metrics: read when asked for, from integers that are there anyway.

Nothing here is called by a decision, and nothing waits for the engine's owner.
"""

import time
from collections.abc import Iterable
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from riskgate.v1.decision_pb2 import ReportOutcome
from riskgate.v1.types_pb2 import Verdict
from server.addresses import split_address
from server.decision_port import DecisionPort
from server.engine import Engine
from server.errors import UnavailableError
from server.hotpath.lane.lane_record import LATENCY_BOUNDS_NS
from server.hotpath.layout import HEARTBEAT_DEGRADED_NS, HEARTBEAT_REFUSE_NS, SECOND_NS
from server.intake import Intake
from server.loaders.activations import Activations
from server.loaders.redis_state import RedisStateLoader
from server.telemetry.decision_counts import DecisionCounts
from server.telemetry.journal_metrics import read_journal_metrics


class EngineMetrics(Collector):
    """Collects what one engine process counts."""

    def __init__(
        self,
        engine: Engine,
        intake: Intake,
        port: DecisionPort,
        feed: RedisStateLoader,
        activations: Activations,
    ) -> None:
        self._engine = engine
        self._intake = intake
        self._port = port
        self._feed = feed
        self._activations = activations

    def collect(self) -> Iterable[Metric]:
        """Return all metrics as they are now."""
        yield from self._decisions()
        yield from self._state()
        yield from self._changes()
        yield from self._read_activations()
        yield from self._port.read_metrics()
        yield from read_journal_metrics(self._engine.journal[0])

    def _decisions(self) -> Iterable[Metric]:
        counts = self._port.read_counts()
        decisions = CounterMetricFamily(
            "riskgate_decisions", "Decisions by verdict.", labels=["verdict"]
        )
        for name, number in Verdict.items()[1:]:
            label = name.removeprefix("VERDICT_").lower()
            decisions.add_metric([label], counts.verdicts[number])
        yield decisions
        yield CounterMetricFamily(
            "riskgate_repeated_answers", "Stored answers given again.", value=counts.repeated
        )
        errors = CounterMetricFamily(
            "riskgate_errors", "Calls and items without a decision, by code.", labels=["code"]
        )
        for code, count in list(counts.errors.items()):
            errors.add_metric([code], count)
        yield errors
        reports = CounterMetricFamily(
            "riskgate_reports", "Execution reports by outcome.", labels=["outcome"]
        )
        for name, number in ReportOutcome.items()[1:]:
            label = name.removeprefix("REPORT_OUTCOME_").lower()
            reports.add_metric([label], counts.reports[number])
        yield reports
        yield _call_times(counts)

    def _state(self) -> Iterable[Metric]:
        engine = self._engine.state.engine[0]
        age_ns = _heartbeat_age_ns(int(engine["heartbeat_at_ns"]))
        yield _gauge("state_version", "Newest change applied.", int(engine["state_version"]))
        yield _gauge("epoch", "Number of this start.", int(engine["epoch"]))
        yield _gauge("sequence", "Events so far.", int(engine["sequence"]))
        yield _gauge("heartbeat_age_seconds", "Age of the feed.", age_ns / SECOND_NS)
        yield _gauge("mode", "1 normal, 2 degraded, 3 refuse.", self._mode(age_ns))
        in_use = int(engine["reservation_in_use"])
        yield _gauge("reservations", "Holds that are held or working.", in_use)
        yield _gauge("model_serial", "Activation in use.", int(engine["model_serial"]))

    def _changes(self) -> Iterable[Metric]:
        yield _gauge("ring_depth", "Changes that wait for the engine.", self._intake.depth)
        unknown = int(self._engine.state.engine[0]["unknown_changes"])
        for name, text, count in (
            ("changes", "Changes taken by the engine.", self._intake.applied),
            ("changes_refused", "Changes the engine refused.", self._engine.refused_changes),
            ("changes_unknown", "Changes that named something unknown.", unknown),
            ("feed_loads", "Whole loads of the state.", self._feed.loads),
            ("feed_dropped", "Malformed entries of the feed.", self._feed.dropped),
            ("feed_outages", "Failed calls to Redis.", self._feed.outages),
            ("models_loaded", "Models loaded.", self._activations.models.loaded),
            (
                "models_switched",
                "Changes of the model handed on.",
                self._activations.models.switched,
            ),
        ):
            yield CounterMetricFamily(f"riskgate_{name}", text, value=count)

    def _read_activations(self) -> Iterable[Metric]:
        activations = self._activations
        yield _gauge("proven", "1: it runs what the record says.", int(activations.is_proven))
        yield _gauge("behind", "1: it will not soon, either.", int(activations.is_behind))
        accepted = CounterMetricFamily(
            "riskgate_activations_accepted", "Activations with a good proof.", labels=["purpose"]
        )
        refused = CounterMetricFamily(
            "riskgate_activations_refused",
            "Activations that were refused, by the error that says why.",
            labels=["purpose", "reason"],
        )
        for wanted in activations.wanted:
            accepted.add_metric([wanted.purpose], wanted.accepted)
            for reason, count in list(wanted.refusals.items()):
                refused.add_metric([wanted.purpose, reason], count)
        yield from (accepted, refused)

    def _mode(self, heartbeat_age_ns: float) -> int:
        engine = self._engine.state.engine[0]
        if not heartbeat_age_ns <= HEARTBEAT_REFUSE_NS or engine["clock_unconfirmed"]:
            return 3
        return 2 if heartbeat_age_ns > HEARTBEAT_DEGRADED_NS or engine["record_away"] else 1


def serve_metrics(listen: str, collector: Collector) -> WSGIServer:
    """Serve one collector over HTTP from a thread of its own; `shutdown()` ends it.

    Args:
        listen: HOST:PORT.
        collector: What to serve.

    Raises:
        UnavailableError: The address cannot be bound.
    """
    registry = CollectorRegistry()
    registry.register(collector)
    host, port = split_address(listen)
    try:
        server, _ = start_http_server(port, host, registry)
    except OSError as error:
        raise UnavailableError("metrics port", f"{listen}: {error.strerror}") from error
    return server


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"riskgate_{name}", text, value=value)


def _call_times(counts: DecisionCounts) -> HistogramMetricFamily:
    family = HistogramMetricFamily(
        "riskgate_call_seconds",
        "From receipt of a request to its answer, in the engine process.",
        labels=["method"],
    )
    bounds = [*(str(bound_ns / SECOND_NS) for bound_ns in LATENCY_BOUNDS_NS), "+Inf"]
    for method, times in sorted(counts.calls.items()):
        buckets, total = [], 0
        for bound, count in zip(bounds, list(times.buckets), strict=True):
            total += count
            buckets.append((bound, float(total)))
        family.add_metric([method], buckets, sum_value=times.total_ns / SECOND_NS)
    return family


def _heartbeat_age_ns(heartbeat_at_ns: int) -> float:
    # Never seen counts as infinitely old.
    return max(time.time_ns() - heartbeat_at_ns, 0) if heartbeat_at_ns else float("inf")
