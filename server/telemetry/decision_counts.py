"""What the decision port counts: plain integers, written by one thread, read by any other.

A reader may see counts that are one decision apart; nothing waits for it.
"""

from bisect import bisect_left
from collections import Counter
from typing import Final

# Upper bounds of the latency buckets, seconds; the last one is infinite.
LATENCY_BOUNDS_S: Final = (
    0.000_01,
    0.000_02,
    0.000_05,
    0.000_1,
    0.000_2,
    0.000_5,
    0.001,
    0.002,
    0.005,
    0.01,
    0.05,
    0.1,
    1.0,
)
_BOUNDS_NS: Final = tuple(round(bound * 1e9) for bound in LATENCY_BOUNDS_S)
_VERDICTS: Final = 4


class DecisionCounts:
    """Counts of one engine since its start.

    Attributes:
        verdicts: Decisions by number of riskgate.v1.Verdict; repetitions are not among them.
        repeated: Answers given again for a known client_order_id.
        errors: Calls and items that got no decision, by gRPC code name.
        reports: Execution reports by number of riskgate.v1.ReportOutcome.
        latency_buckets: Decisions by time from receipt to decision, not cumulative.
        latency_total_ns: Sum of these times.
    """

    def __init__(self) -> None:
        self.verdicts = [0] * _VERDICTS
        self.repeated = 0
        self.errors: Counter[str] = Counter()
        self.reports = [0] * _VERDICTS
        self.latency_buckets = [0] * (len(LATENCY_BOUNDS_S) + 1)
        self.latency_total_ns = 0

    def add_decision(self, verdict: int, server_ns: int) -> None:
        """Count one decision and its time."""
        self.verdicts[verdict] += 1
        self.latency_buckets[bisect_left(_BOUNDS_NS, server_ns)] += 1
        self.latency_total_ns += server_ns

    def add_error(self, code_name: str) -> None:
        """Count one call or item without a decision."""
        self.errors[code_name] += 1

    def add_report(self, outcome: int) -> None:
        """Count one execution report that was taken."""
        self.reports[outcome] += 1
