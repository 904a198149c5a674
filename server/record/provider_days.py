"""The daily tier of live provider figures: sums that grow with every execution.

Days add up to weeks and months: a week made of its days equals one made of the executions, also
its drawdown, because each day keeps peak, trough and deepest fall of its running profit.
"""

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from server.record.archive import Database

_ZERO: Final = Decimal(0)


class ProviderDay(NamedTuple):
    """One UTC day of one provider."""

    provider_id: str
    provider_type: str
    day: date


@dataclass(slots=True)
class DaySums:
    """Columns of provider_day behind its key, in their order; money in account currency."""

    closes: int = 0
    wins: int = 0
    losses: int = 0
    profit: Decimal = _ZERO
    profit_peak: Decimal = _ZERO
    profit_trough: Decimal = _ZERO
    drawdown: Decimal = _ZERO
    worst_loss: Decimal = _ZERO
    fills: int = 0
    adverse_pips: Decimal = _ZERO
    adverse_pips_max: Decimal = _ZERO
    improvement_pips: Decimal = _ZERO
    timed_fills: int = 0
    latency_ms: Decimal = _ZERO

    def add_close(self, profit: Decimal) -> None:
        """Count one close with its net profit."""
        self.closes += 1
        self.wins += profit > 0
        self.losses += profit < 0
        self.profit += profit
        self.profit_peak = max(self.profit_peak, self.profit)
        self.profit_trough = min(self.profit_trough, self.profit)
        self.drawdown = max(self.drawdown, self.profit_peak - self.profit)
        self.worst_loss = max(self.worst_loss, -profit)

    def add_fill(self, slippage_pips: Decimal, latency_ms: Decimal | None) -> None:
        """Count one execution with a slippage; positive is worse."""
        self.fills += 1
        self.adverse_pips += max(slippage_pips, _ZERO)
        self.adverse_pips_max = max(self.adverse_pips_max, slippage_pips)
        self.improvement_pips += min(slippage_pips, _ZERO)
        if latency_ms is not None:
            self.timed_fills += 1
            self.latency_ms += latency_ms

    def add(self, later: "DaySums") -> None:
        """Append what happened later on that day."""
        before = self.profit
        self.drawdown = max(
            self.drawdown, later.drawdown, self.profit_peak - (before + later.profit_trough)
        )
        self.profit_peak = max(self.profit_peak, before + later.profit_peak)
        self.profit_trough = min(self.profit_trough, before + later.profit_trough)
        self.worst_loss = max(self.worst_loss, later.worst_loss)
        self.adverse_pips_max = max(self.adverse_pips_max, later.adverse_pips_max)
        for name in _PLAIN_SUMS:
            setattr(self, name, getattr(self, name) + getattr(later, name))


_PLAIN_SUMS: Final = (
    *("closes", "wins", "losses", "profit", "fills", "adverse_pips", "improvement_pips"),
    *("timed_fills", "latency_ms"),
)
_LOCK: Final = """
INSERT INTO riskgate.provider_day (provider_id, provider_type, day) VALUES (%s, %s, %s)
ON CONFLICT DO NOTHING"""
_READ: Final = """
SELECT closes, wins, losses, profit, profit_peak, profit_trough, drawdown, worst_loss, fills,
    adverse_pips, adverse_pips_max, improvement_pips, timed_fills, latency_ms
FROM riskgate.provider_day WHERE (provider_id, provider_type, day) = (%s, %s, %s) FOR UPDATE"""
_WRITE: Final = """
UPDATE riskgate.provider_day SET (closes, wins, losses, profit, profit_peak, profit_trough,
    drawdown, worst_loss, fills, adverse_pips, adverse_pips_max, improvement_pips, timed_fills,
    latency_ms) = (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
WHERE (provider_id, provider_type, day) = (%s, %s, %s)"""
_REFRESH: Final = "SELECT riskgate.refresh_provider_metric(%s, %s, %s, %s, %s)"


def add_days(database: Database, days: Mapping[ProviderDay, DaySums]) -> None:
    """Add what happened to the days of providers, then work out their metrics anew.

    In the order of their keys, so that the recorders of two shards never wait for each other.
    """
    for key in sorted(days):
        database.execute(_LOCK, key)
        row = database.execute(_READ, key).fetchone()
        sums = DaySums(*(row or ()))
        sums.add(days[key])
        database.execute(_WRITE, [*astuple(sums), *key])
    periods = {(*key[:2], *period) for key in days for period in periods_of(key.day)}
    for period in sorted(periods):
        database.execute(_REFRESH, period)


def periods_of(day: date) -> list[tuple[str, date, date]]:
    """Return type, first and last day of the day, ISO week and month that a day is in."""
    monday = day - timedelta(days=day.weekday())
    first = day.replace(day=1)
    last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    return [
        ("daily", day, day),
        ("weekly", monday, monday + timedelta(days=6)),
        ("monthly", first, last),
    ]
