"""Provider metrics from closed trades and stop fills: by day, ISO week, month, and overall.

A signal counts in the period in which it closed, a fill in the period of its time, all in UTC. A
figure that has nothing to be made of is None, never 0. Shares are fractions of 1. The performance
score follows from these figures in the server, by a signed policy; it is not worked out here.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from statistics import fmean, stdev
from typing import Any, Final, TypeVar

import numpy as np

from trainer.drawdown import measure_drawdown
from trainer.periods import CALENDAR_PERIODS, Period, PeriodType, find_period
from trainer.rows import StopFill, Trade

DEFAULT_START_EQUITY: Final = 10_000.0
STOP_TOLERANCE_PIPS: Final = 1.0
REWARD_TO_RISK_MAX: Final = 1e6
SHARPE_TRADES_MIN: Final = 2
_YEAR: Final = timedelta(days=365.25)
_DAY: Final = timedelta(days=1)
# A price difference this small against the pip is what binary subtraction leaves of an exact tie.
_PIP_NOISE: Final = 1e-6

ProviderKey = tuple[str, str]
_Row = TypeVar("_Row", Trade, StopFill)


@dataclass(frozen=True, slots=True)
class ProviderMetric:
    """Figures of one provider in one period.

    Attributes:
        period_end: Last day, included.
        win_rate_fraction: winning / total; breakeven trades are in the total.
        max_drawdown_fraction: Deepest fall of the equity curve as a share of its peak, 0 to 1.
        reward_to_risk_ratio: Mean realised result over initial risk of trades with a stop, not
            below 0.
        sl_compliance_fraction: Share of trades with a stop that lost no more than its distance and
            1 pip.
        without_stop: Closed trades without a stop on the losing side of the entry; left out of
            those two.
        avg_slippage_pips: Mean of the adverse part over all fills, >= 0.
        avg_improvement_pips: Mean of the improving part over all fills, <= 0.
    """

    provider_id: str
    provider_type: str
    period_type: PeriodType
    period_start: date
    period_end: date
    total_signals: int
    winning_signals: int
    losing_signals: int
    breakeven_signals: int
    win_rate_fraction: float | None
    max_drawdown_fraction: float | None
    max_drawdown_money: float | None
    worst_trade_money: float | None
    reward_to_risk_ratio: float | None
    sl_compliance_fraction: float | None
    without_stop: int
    sharpe_per_trade: float | None
    sharpe_annualised: float | None
    avg_slippage_pips: float | None
    max_slippage_pips: float | None
    avg_improvement_pips: float | None
    avg_latency_ms: float | None
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    latency_p99_ms: float | None


def provider_metrics(
    trades: Sequence[Trade],
    fills: Sequence[StopFill],
    start_equity: float = DEFAULT_START_EQUITY,
) -> list[ProviderMetric]:
    """Return the metrics of every provider for every period in which it traded.

    Args:
        trades: Closed trades in any order.
        fills: Stop fills in any order.
        start_equity: Of each provider before its first trade, account currency, > 0; statements do
            not say it.

    Returns:
        Rows by provider, then period type, then time; the overall row of a provider comes last.
    """
    if not start_equity > 0:
        raise ValueError("the start equity is not above zero")
    own_trades = _group_by_provider(sorted(trades, key=lambda row: (row.close_ts, row.trade_no)))
    own_fills = _group_by_provider(sorted(fills, key=lambda row: (row.ts, row.trade_no)))
    metrics: list[ProviderMetric] = []
    for key in sorted(own_trades.keys() | own_fills.keys()):
        mine, filled = own_trades.get(key, []), own_fills.get(key, [])
        for period_type in CALENDAR_PERIODS:
            metrics += _measure_periods(key, period_type, mine, filled, start_equity)
        moments = [trade.close_ts for trade in mine] + [fill.ts for fill in filled]
        whole = Period(
            "overall",
            find_period("daily", min(moments)).start,
            find_period("daily", max(moments)).end,
        )
        metrics.append(_measure(key, whole, mine, filled, start_equity))
    return metrics


def to_document(metric: ProviderMetric) -> dict[str, Any]:
    """Return a metric as a JSON value, dates in ISO form."""
    return {
        name: value.isoformat() if isinstance(value, date) else value
        for name, value in asdict(metric).items()
    }


def measure_initial_risk(trade: Trade) -> float | None:
    """Return the distance from entry to a stop on the losing side, in price units, or None.

    A recorded stop is the last one: where it was trailed past the entry, the initial risk is not
    known.
    """
    if trade.stop_loss is None:
        return None
    distance = (trade.open_price - trade.stop_loss) * trade.direction
    return distance if distance > _PIP_NOISE * trade.pip_size else None


def measure_sharpe(profits: Sequence[float], span: timedelta) -> tuple[float | None, float | None]:
    """Return mean / sample standard deviation per trade, and the same per year.

    Args:
        profits: Net profit of each trade.
        span: From first to last close; less than a day counts as a day.

    Returns:
        (None, None) for fewer than two trades or without any spread.
    """
    if len(profits) < SHARPE_TRADES_MIN:
        return None, None
    deviation = stdev(profits)
    mean = fmean(profits)
    if not deviation > abs(mean) * 1e-12:
        return None, None
    per_trade = mean / deviation
    return per_trade, per_trade * math.sqrt(len(profits) * (_YEAR / max(span, _DAY)))


def _measure_periods(
    key: ProviderKey,
    period_type: PeriodType,
    trades: Sequence[Trade],
    fills: Sequence[StopFill],
    start_equity: float,
) -> Iterable[ProviderMetric]:
    closed: dict[Period, list[Trade]] = {}
    filled: dict[Period, list[StopFill]] = {}
    for trade in trades:
        closed.setdefault(find_period(period_type, trade.close_ts), []).append(trade)
    for fill in fills:
        filled.setdefault(find_period(period_type, fill.ts), []).append(fill)
    equity = start_equity
    for period in sorted(closed.keys() | filled.keys()):
        mine = closed.get(period, [])
        yield _measure(key, period, mine, filled.get(period, []), equity)
        equity += math.fsum(trade.net_profit for trade in mine)


def _measure(
    key: ProviderKey,
    period: Period,
    trades: Sequence[Trade],
    fills: Sequence[StopFill],
    start_equity: float,
) -> ProviderMetric:
    profits = [trade.net_profit for trade in trades]
    winning = sum(profit > 0 for profit in profits)
    losing = sum(profit < 0 for profit in profits)
    drawdown = measure_drawdown(start_equity, profits) if trades else None
    ratio, compliance, without_stop = _measure_stops(trades)
    sharpe, sharpe_annualised = measure_sharpe(profits, _measure_span(trades))
    adverse = [max(fill.slippage_pips, 0.0) for fill in fills]
    improving = [min(fill.slippage_pips, 0.0) for fill in fills]
    latencies = [fill.latency_ms for fill in fills if fill.latency_ms is not None]
    p50, p95, p99 = (
        (float(value) for value in np.quantile(latencies, (0.5, 0.95, 0.99)))
        if latencies
        else (None, None, None)
    )
    return ProviderMetric(
        provider_id=key[1],
        provider_type=key[0],
        period_type=period.period_type,
        period_start=period.start,
        period_end=period.end,
        total_signals=len(trades),
        winning_signals=winning,
        losing_signals=losing,
        breakeven_signals=len(trades) - winning - losing,
        win_rate_fraction=winning / len(trades) if trades else None,
        max_drawdown_fraction=drawdown.cumulative_fraction if drawdown else None,
        max_drawdown_money=drawdown.cumulative_money if drawdown else None,
        worst_trade_money=drawdown.individual_money if drawdown else None,
        reward_to_risk_ratio=ratio,
        sl_compliance_fraction=compliance,
        without_stop=without_stop,
        sharpe_per_trade=sharpe,
        sharpe_annualised=sharpe_annualised,
        # A mean of equal floats may exceed them in its last digit.
        avg_slippage_pips=min(fmean(adverse), max(adverse)) if fills else None,
        max_slippage_pips=max(adverse) if fills else None,
        avg_improvement_pips=fmean(improving) if fills else None,
        avg_latency_ms=fmean(latencies) if latencies else None,
        latency_p50_ms=p50,
        latency_p95_ms=p95,
        latency_p99_ms=p99,
    )


def _measure_stops(trades: Sequence[Trade]) -> tuple[float | None, float | None, int]:
    ratios: list[float] = []
    kept = 0
    for trade in trades:
        risk = measure_initial_risk(trade)
        if risk is None:
            continue
        gain = (trade.close_price - trade.open_price) * trade.direction
        ratios.append(gain / risk)
        allowed_pips = STOP_TOLERANCE_PIPS + _PIP_NOISE
        kept += -gain <= risk + allowed_pips * trade.pip_size
    if not ratios:
        return None, None, len(trades)
    ratio = min(max(fmean(ratios), 0.0), REWARD_TO_RISK_MAX)
    return ratio, kept / len(ratios), len(trades) - len(ratios)


def _measure_span(trades: Sequence[Trade]) -> timedelta:
    closes: list[datetime] = [trade.close_ts for trade in trades]
    return closes[-1] - closes[0] if closes else timedelta(0)


def _group_by_provider(rows: Iterable[_Row]) -> dict[ProviderKey, list[_Row]]:
    groups: dict[ProviderKey, list[_Row]] = {}
    for row in rows:
        groups.setdefault((row.provider_type, row.provider_id), []).append(row)
    return groups
