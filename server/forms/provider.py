"""Providers: message with percents to entity with fractions, and back."""

from calendar import monthrange
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from riskgate.v1 import provider_pb2 as pb
from server.changes import PROVIDER_TYPES
from server.entities import Provider, ProviderFigures
from server.errors import InvalidFieldError
from server.forms import fields
from server.provider_score import NEUTRAL_SCORE, base_score, find_trend, has_rates, score
from server.record.provider_metrics import ProviderMetric

_COUNT_MAX: Final = 2**32 - 1
_DAY_MS: Final = 86_400_000
_TRENDS: Final = {
    "up": pb.SCORE_TREND_UP,
    "stable": pb.SCORE_TREND_STABLE,
    "down": pb.SCORE_TREND_DOWN,
}
_PERIODS: Final = {
    "daily": pb.PERIOD_TYPE_DAILY,
    "weekly": pb.PERIOD_TYPE_WEEKLY,
    "monthly": pb.PERIOD_TYPE_MONTHLY,
}
_RATES: Final = ("win_rate", "max_drawdown", "reward_to_risk_ratio", "sl_compliance_rate")


def read_provider(
    message: pb.Provider,
    old: Provider | None,
    now: datetime,
    policy: Any,
    path: str = "provider",
) -> Provider:
    """Return the provider a message describes, given the one on record and the POLICY row in use.

    A score equal to the one on record keeps its time, unless the message brings a newer one.

    Raises:
        InvalidFieldError: a field is absent, malformed or out of range.
    """
    figures = read_figures(message.figures, fields.join(path, "figures"))
    points = read_score(message, figures, policy, path)
    as_of = fields.moment(message, "score_as_of", path=path, now=now)
    if old is not None and points == old.performance_score:
        as_of = max(as_of or old.score_as_of, old.score_as_of)
    elif old is not None and as_of is not None and as_of <= old.score_as_of:
        name = fields.join(path, "score_as_of")
        raise InvalidFieldError(name, "is older than the score on record")
    provider_id, provider_type = read_key(message, path)
    return Provider(
        provider_id=provider_id,
        provider_type=provider_type,
        performance_score=points,
        score_as_of=as_of or now,
        figures=figures,
    )


def read_metric(message: pb.ProviderMetric, policy: Any, path: str) -> ProviderMetric:
    """Return the metric a message describes, scored by the POLICY row in use.

    Raises:
        InvalidFieldError: a field is absent, malformed or out of range, or the period is not whole.
    """
    inner = fields.join(path, "figures")
    figures = read_figures(message.figures, inner)
    if figures.total_signals is None:
        raise InvalidFieldError(fields.join(inner, "total_signals"), "is required")
    if (figures.win_rate_fraction is None) != (figures.total_signals == 0):
        name = fields.join(inner, "win_rate")
        raise InvalidFieldError(name, "is there exactly when there are signals")
    provider_id, provider_type = read_key(message, path)
    period_type = fields.choice(message.period_type, _PERIODS, "period_type", path=path)
    start = _day(message.period_start, "period_start", path)
    end = _day(message.period_end, "period_end", path)
    if (start, end) != _whole_period(period_type, start):
        problem = f"does not end a whole {period_type} period"
        raise InvalidFieldError(fields.join(path, "period_end"), problem)
    return ProviderMetric(
        provider_id=provider_id,
        provider_type=provider_type,
        period_type=period_type,
        period_start=start,
        period_end=end,
        figures=figures,
        performance_score=read_score(message, figures, policy, path),
    )


def follow_metric(
    message: pb.ProviderMetric,
    metric: ProviderMetric,
    before: ProviderMetric | None,
    policy: Any,
) -> ProviderMetric:
    """Return a metric with what follows from the period before: last score, and trend if unsaid.

    Args:
        message: what the metric was read from; a trend or a score that it states stays.
        metric: the metric.
        before: the last period of the same kind; None makes the first score stable.
        policy: POLICY row in use; both periods are compared by it.
    """
    metric = replace(
        metric, performance_score_previous=None if before is None else before.performance_score
    )
    if message.figures.score_trend != pb.SCORE_TREND_UNSPECIFIED:
        return metric
    last = None if before is None else base_score(before.figures, before.performance_score, policy)
    trend = find_trend(base_score(metric.figures, metric.performance_score, policy), last)
    figures = replace(metric.figures, score_trend=trend)
    points = metric.performance_score
    if not message.HasField("performance_score") and has_rates(figures):
        points = score(figures, policy)
    return replace(metric, figures=figures, performance_score=points)


def read_key(message: Any, path: str = "") -> tuple[str, str]:
    """Return id and type of the provider a message names."""
    return (
        fields.identifier(message.provider_id, "provider_id", path=path),
        fields.choice(message.provider_type, PROVIDER_TYPES, "provider_type", path=path),
    )


def read_score(
    message: pb.Provider | pb.ProviderMetric, figures: ProviderFigures, policy: Any, path: str
) -> Decimal:
    """Return the score that is stated or follows from the figures; 50 without either."""
    name = "performance_score"
    stated = fields.optional_number(message, name, "0", "100", path=path)
    if stated is not None:
        return fields.on_grid(stated, 4, name, path)
    return score(figures, policy) if has_rates(figures) else NEUTRAL_SCORE


def read_figures(message: pb.ProviderFigures, path: str) -> ProviderFigures:
    """Return the figures of a message.

    Raises:
        InvalidFieldError: a figure is out of range, or only some of the four rates are there.
    """

    def count(name: str, high: int = _COUNT_MAX) -> int | None:
        return fields.optional_whole(message, name, 0, high, path=path)

    def pips(name: str) -> Decimal | None:
        return fields.optional_number(message, name, "0", "1e6", path=path)

    present = [message.HasField(name) for name in _RATES]
    if any(present) and not all(present):
        missing = _RATES[present.index(False)]
        raise InvalidFieldError(fields.join(path, missing), "is required with the other rates")
    figures = ProviderFigures(
        win_rate_fraction=fields.optional_fraction(message, "win_rate", path=path),
        max_drawdown_fraction=fields.optional_fraction(message, "max_drawdown", path=path),
        reward_to_risk_ratio=_ratio(message, path),
        sl_compliance_fraction=fields.optional_fraction(message, "sl_compliance_rate", path=path),
        score_trend=fields.choice(
            message.score_trend, _TRENDS, "score_trend", default="stable", path=path
        ),
        total_signals=count("total_signals"),
        winning_signals=count("winning_signals"),
        losing_signals=count("losing_signals"),
        avg_slippage_pips=pips("avg_slippage"),
        max_slippage_pips=pips("max_slippage"),
        avg_latency_ms=count("avg_latency_ms", _DAY_MS),
    )
    _check_order(figures, path)
    return figures


def write_provider(provider: Provider) -> pb.Provider:
    """Return the message that describes a provider, with percents."""
    return pb.Provider(
        provider_id=provider.provider_id,
        provider_type=PROVIDER_TYPES[provider.provider_type],
        performance_score=float(provider.performance_score),
        figures=_write_figures(provider.figures),
        score_as_of=fields.timestamp(provider.score_as_of),
    )


def _write_figures(figures: ProviderFigures) -> pb.ProviderFigures:
    percents = {
        "win_rate": figures.win_rate_fraction,
        "max_drawdown": figures.max_drawdown_fraction,
        "sl_compliance_rate": figures.sl_compliance_fraction,
    }
    numbers = {
        "reward_to_risk_ratio": figures.reward_to_risk_ratio,
        "avg_slippage": figures.avg_slippage_pips,
        "max_slippage": figures.max_slippage_pips,
    }
    return pb.ProviderFigures(
        score_trend=_TRENDS[figures.score_trend],
        total_signals=figures.total_signals,
        winning_signals=figures.winning_signals,
        losing_signals=figures.losing_signals,
        avg_latency_ms=figures.avg_latency_ms,
        **{name: fields.percent(value) for name, value in percents.items() if value is not None},
        **{name: float(value) for name, value in numbers.items() if value is not None},
    )


def _ratio(message: pb.ProviderFigures, path: str) -> Decimal | None:
    name = "reward_to_risk_ratio"
    value = fields.optional_number(message, name, "0", "1e6", path=path)
    return None if value is None else fields.on_grid(value, 6, name, path)


def _check_order(figures: ProviderFigures, path: str) -> None:
    parts = (figures.winning_signals or 0) + (figures.losing_signals or 0)
    if figures.total_signals is not None and parts > figures.total_signals:
        name = fields.join(path, "total_signals")
        raise InvalidFieldError(name, "is less than winning plus losing")
    low, high = figures.avg_slippage_pips, figures.max_slippage_pips
    if low is not None and high is not None and low > high:
        raise InvalidFieldError(fields.join(path, "max_slippage"), "is less than avg_slippage")


def _day(text: str, name: str, path: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InvalidFieldError(fields.join(path, name), "must be a day as YYYY-MM-DD") from error


def _whole_period(period_type: str, day: date) -> tuple[date, date]:
    """Return first and last day of the day, ISO week or month around a day."""
    if period_type == "daily":
        return day, day
    if period_type == "weekly":
        monday = day - timedelta(days=day.weekday())
        return monday, monday + timedelta(days=6)
    last = monthrange(day.year, day.month)[1]
    return day.replace(day=1), day.replace(day=last)
