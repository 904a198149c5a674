"""How long answers took, by method: read by the metrics from another thread."""

from __future__ import annotations

from typing import Any

from server.hotpath.jit import routine
from server.hotpath.lane.lane_record import BUCKETS, LATENCY_BOUNDS_NS
from server.hotpath.libc import realtime_ns_nb


@routine
def count_answer_nb(lane: Any, method: int, received_ns: int) -> None:
    """Note how long an answer took from the last byte of its request."""
    took_ns = max(realtime_ns_nb(lane.timespec) - received_ns, 0)
    bucket = 0
    for bound_ns in LATENCY_BOUNDS_NS:
        if took_ns > bound_ns:
            bucket += 1
    lane.latency_buckets[method * BUCKETS + bucket] += 1
    lane.latency_ns[method] += took_ns
    lane.answers[method] += 1
