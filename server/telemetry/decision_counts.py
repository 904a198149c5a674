"""What the decision port counts: plain integers, written by one thread, read by any other.

A reader may see counts that are one decision apart; nothing waits for it.
"""

from bisect import bisect_left
from collections import Counter
from typing import Final

from server.hotpath.lane.lane_record import BUCKETS, LATENCY_BOUNDS_NS

# By number; kept here so that a compiled lane needs no gRPC.
CODE_NAMES: Final = (
    *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND"),
    *("ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION"),
    *("ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"),
    "UNAUTHENTICATED",
)
_VERDICTS: Final = 4


class CallTimes:
    """How long the answers of one method took, from receipt to answer.

    Attributes:
        buckets: Answers by time, not cumulative; bounds are LATENCY_BOUNDS_NS, the last has none.
        total_ns: Sum of the times.
    """

    def __init__(self) -> None:
        self.buckets = [0] * BUCKETS
        self.total_ns = 0

    def add(self, took_ns: int) -> None:
        """Count one answer."""
        self.buckets[bisect_left(LATENCY_BOUNDS_NS, took_ns)] += 1
        self.total_ns += took_ns


class DecisionCounts:
    """Counts of one engine since its start.

    Attributes:
        verdicts: Decisions by number of riskgate.v1.Verdict; repetitions are not among them.
        repeated: Answers given again for a known client_order_id.
        errors: Calls and items that got no decision, by gRPC code name.
        reports: Execution reports by number of riskgate.v1.ReportOutcome.
        calls: Times by name of the method; a message of a stream counts as one.
    """

    def __init__(self) -> None:
        self.verdicts = [0] * _VERDICTS
        self.repeated = 0
        self.errors: Counter[str] = Counter()
        self.reports = [0] * _VERDICTS
        self.calls: dict[str, CallTimes] = {}

    def add_decision(self, verdict: int) -> None:
        """Count one decision."""
        self.verdicts[verdict] += 1

    def add_call(self, method: str, took_ns: int) -> None:
        """Count one answer of a method."""
        self.calls.setdefault(method, CallTimes()).add(took_ns)

    def add_error(self, code_name: str) -> None:
        """Count one call or item without a decision."""
        self.errors[code_name] += 1

    def add_report(self, outcome: int) -> None:
        """Count one execution report that was taken."""
        self.reports[outcome] += 1
