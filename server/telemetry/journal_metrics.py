"""The journal's Prometheus metrics, from the record that compiled code keeps."""

from collections.abc import Iterable
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from server.hotpath.layout import SECOND_NS


def read_journal_metrics(journal: Any) -> Iterable[Metric]:
    """Return what an engine's journal (JOURNAL record) counts; nothing when it keeps none."""
    if not journal["mode"]:
        return
    for name, text, value in (
        ("entry_number", "Newest entry.", journal["entry_number"]),
        ("synced_number", "Newest entry known to be on disk.", journal["synced_number"]),
        ("failed", "Error number of a sync that failed, else 0.", journal["failed"]),
        ("fenced", "1: another engine has taken over.", journal["fenced"]),
        ("spare_ready", "1: the next segment lies ready.", journal["next_ready"]),
    ):
        yield GaugeMetricFamily(f"riskgate_journal_{name}", text, value=int(value))
    for name, text, count in (
        ("bytes", "Bytes written.", int(journal["bytes_written"])),
        ("segments", "Segments filled.", int(journal["rotations"])),
        ("syncs", "Syncs to disk.", int(journal["syncs"])),
        ("sync_seconds", "Time in syncs.", int(journal["sync_ns"]) / SECOND_NS),
        ("barred", "Calls and changes that found no room.", int(journal["barred"])),
    ):
        yield CounterMetricFamily(f"riskgate_journal_{name}", text, value=count)
