"""Rows of provider metrics: one per provider and whole period."""

from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final, LiteralString

from server.entities import ProviderFigures
from server.record import rows
from server.record.pool import Database

_TABLE: Final = "provider_metric"
_NEWEST: Final = """
SELECT * FROM riskgate.provider_metric WHERE provider_id = %s AND provider_type = %s
ORDER BY period_end DESC, period_start LIMIT 1"""
_BEFORE: Final = """
SELECT * FROM riskgate.provider_metric WHERE provider_id = %s AND provider_type = %s
AND period_type = %s AND period_start < %s ORDER BY period_start DESC LIMIT 1"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderMetric:
    """Figures of one provider over one whole period, both days inside it."""

    provider_id: str
    provider_type: str
    period_type: str
    period_start: date
    period_end: date
    figures: ProviderFigures
    performance_score: Decimal
    performance_score_previous: Decimal | None = None


class ProviderMetricRepository:
    """Metrics by provider and period."""

    async def put(self, database: Database, metric: ProviderMetric) -> bool:
        """Create or replace the row of a period; False when it already said the same."""
        key = {
            name: getattr(metric, name)
            for name in (
                "provider_id",
                "provider_type",
                "period_type",
                "period_start",
                "period_end",
            )
        }
        values = _columns(metric)
        old = await rows.find(database, _TABLE, key)
        if old is not None and all(old[name] == value for name, value in values.items()):
            return False
        now = datetime.now(UTC)
        times = {"calculated_at": now, "updated_at": now}
        await rows.upsert(database, _TABLE, key, values | times)
        return True

    async def newest(
        self, database: Database, provider_id: str, provider_type: str
    ) -> ProviderMetric | None:
        """Return the metric of the newest period, of the longest where two end together."""
        return await _find(database, _NEWEST, [provider_id, provider_type])

    async def before(self, database: Database, metric: ProviderMetric) -> ProviderMetric | None:
        """Return the metric of the last period of the same kind that starts before this one."""
        key = [metric.provider_id, metric.provider_type, metric.period_type, metric.period_start]
        return await _find(database, _BEFORE, key)


async def _find(database: Database, query: LiteralString, key: list[Any]) -> ProviderMetric | None:
    row = await (await database.execute(query, key)).fetchone()
    if row is None:
        return None
    figures = {field.name: row[field.name] for field in fields(ProviderFigures)}
    if figures["avg_latency_ms"] is not None:
        # The trainer writes the mean to this table unrounded; a provider shows whole ms.
        figures["avg_latency_ms"] = round(figures["avg_latency_ms"])
    own = {field.name: row[field.name] for field in fields(ProviderMetric) if field.name in row}
    return ProviderMetric(**own, figures=ProviderFigures(**figures))


def _columns(metric: ProviderMetric) -> dict[str, Any]:
    figures = metric.figures
    return {
        "total_signals": figures.total_signals or 0,
        "winning_signals": figures.winning_signals or 0,
        "losing_signals": figures.losing_signals or 0,
        "win_rate_fraction": figures.win_rate_fraction,
        "max_drawdown_fraction": figures.max_drawdown_fraction,
        "reward_to_risk_ratio": figures.reward_to_risk_ratio,
        "sl_compliance_fraction": figures.sl_compliance_fraction,
        "avg_slippage_pips": figures.avg_slippage_pips,
        "max_slippage_pips": figures.max_slippage_pips,
        "avg_latency_ms": figures.avg_latency_ms,
        "score_trend": figures.score_trend,
        "performance_score": metric.performance_score,
        "performance_score_previous": metric.performance_score_previous,
    }
