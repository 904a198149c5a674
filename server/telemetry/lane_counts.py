"""The compiled lane's counters in the form that the metrics know; read without touching the lane.

They are plain integers in memory; a reader may see counts that are one decision apart.
"""

from collections.abc import Iterable
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from server.hotpath.lane.headers import PATHS
from server.hotpath.lane.lane_record import BUCKETS
from server.lane import Lane
from server.telemetry.decision_counts import CODE_NAMES, CallTimes, DecisionCounts

_METHOD_NAMES: Final = ("", *(path.decode().rpartition("/")[2] for path in PATHS))
_GAUGES: Final = {
    "connections_now": "Open connections of the decision port.",
    "calls_now": "Open calls of the decision port.",
}
_COUNTERS: Final = {
    "turns": "Turns of the lane's loop.",
    "connections_accepted": "Connections taken.",
    "connections_refused": "Connections closed at once: too many.",
    "connections_timed_out": "Connections closed: stalled or unfinished.",
    "connections_broken": "Connections closed: protocol or TLS error.",
    "calls_started": "Calls begun.",
    "calls_refused": "Calls refused: too many of one connection.",
    "calls_cancelled": "Calls that their callers gave up.",
    "streams_paused": "Times a stream waited for its reader.",
    "bytes_in": "Bytes received.",
    "bytes_out": "Bytes sent.",
}


def read_lane_counts(lane: Lane) -> DecisionCounts:
    """Return a copy of the counts of a lane."""
    record, wire = lane.record[0], lane.wire.record[0]
    counts = DecisionCounts()
    counts.verdicts = wire["verdicts"].tolist()
    counts.repeated = int(wire["repeated"])
    counts.reports = wire["reports"].tolist()
    for code, count in enumerate((record["errors"] + wire["errors"]).tolist()):
        if count:
            counts.errors[CODE_NAMES[code]] = count
    for method, name in enumerate(_METHOD_NAMES):
        if record["answers"][method]:
            counts.calls[name] = _read_times(record, method)
    return counts


def read_lane_metrics(lane: Lane) -> Iterable[Metric]:
    """Return the metrics that only the compiled lane has."""
    record = lane.record[0]
    for name, text in _GAUGES.items():
        yield GaugeMetricFamily(f"riskgate_lane_{name}", text, value=int(record[name]))
    for name, text in _COUNTERS.items():
        yield CounterMetricFamily(f"riskgate_lane_{name}", text, value=int(record[name]))


def _read_times(record: Any, method: int) -> CallTimes:
    times = CallTimes()
    buckets = record["latency_buckets"][method * BUCKETS : (method + 1) * BUCKETS]
    times.buckets = buckets.tolist()
    times.total_ns = int(record["latency_ns"][method])
    return times
