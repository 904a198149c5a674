"""Rules on unusual behaviour: too much of one thing by one identity within a minute.

Pure counting; what follows from a finding is decided by whoever asked. A rule speaks once when its
threshold is reached, and again only after the count was below it.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final, NamedTuple

WINDOW_S: Final = 60.0
# Who came last stays: callers without a certificate must not fill the memory.
_COUNTS_MAX: Final = 4_096


class Rule(NamedTuple):
    """When a count becomes unusual.

    Attributes:
        name: As in riskgate.v1.Anomaly.
        threshold: From so many within WINDOW_S on.
    """

    name: str
    threshold: int


RAPID_DEPLOYMENTS: Final = Rule("rapid_deployments", 5)
# Calls that list; each returns up to 1,000 rows.
BULK_READS: Final = Rule("bulk_reads", 120)
MANY_DENIALS: Final = Rule("many_denials", 20)


class Anomaly(NamedTuple):
    """What a rule has found.

    Attributes:
        rule: That it was.
        identity: Whose calls.
        observed: How many within WINDOW_S.
    """

    rule: Rule
    identity: str
    observed: int


@dataclass(slots=True)
class _Count:
    calls: deque[tuple[float, int]] = field(default_factory=deque)
    total: int = 0
    is_reported: bool = False


class CallCounts:
    """Calls of the last minute, by rule and identity."""

    def __init__(self) -> None:
        self._counts: OrderedDict[tuple[str, str], _Count] = OrderedDict()

    def __len__(self) -> int:
        """Return how many counts are kept."""
        return len(self._counts)

    def add(self, rule: Rule, identity: str, at_s: float, calls: int = 1) -> Anomaly | None:
        """Count calls.

        Args:
            rule: That they are counted for.
            identity: Whose they are.
            at_s: When, on any clock that does not go back far.
            calls: How many.

        Returns:
            What the rule finds if its threshold is reached by these, else None.
        """
        count = self._counts.setdefault((rule.name, identity), _Count())
        self._counts.move_to_end((rule.name, identity))
        if len(self._counts) > _COUNTS_MAX:
            self._counts.popitem(last=False)
        while count.calls and count.calls[0][0] <= at_s - WINDOW_S:
            count.total -= count.calls.popleft()[1]
        if count.total < rule.threshold:
            count.is_reported = False
        count.calls.append((at_s, calls))
        count.total += calls
        if count.total < rule.threshold or count.is_reported:
            return None
        count.is_reported = True
        return Anomaly(rule, identity, count.total)
