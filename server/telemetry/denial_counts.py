"""How many calls and connections were denied, by reason, for Prometheus."""

from collections.abc import Iterable
from typing import Final

from prometheus_client.core import CounterMetricFamily, Metric

from server.hotpath.wire.grant_record import DENIAL_NAMES
from server.security.grants import Grants
from server.security.peer_certificate import Finding

_REASONS: Final = sorted(
    {*DENIAL_NAMES[1:], *(finding.name.lower() for finding in Finding if finding != 1)}
)


def read_denial_metrics(grants: Grants) -> Iterable[Metric]:
    """Return what was denied so far; up to a second old."""
    family = CounterMetricFamily(
        "riskgate_denied_calls", "Denied calls and connections by reason.", labels=["reason"]
    )
    for reason in _REASONS:
        family.add_metric([reason], grants.totals[reason])
    yield family
