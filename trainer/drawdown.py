"""Falls of an equity curve: the worst single loss and the deepest fall from a peak.

The curve is the start equity plus the running sum of net profits, in the order of closing; open
positions do not show. Recorded statements do not say what the account began with, so the start
equity is an input and the fraction is only as good as it; the fall in money does not depend on it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from trainer.rows import Trade


@dataclass(frozen=True, slots=True)
class Drawdown:
    """Falls of one curve, all >= 0.

    Attributes:
        individual_money: Largest loss of a single trade, account currency.
        cumulative_money: Deepest fall from a peak, account currency.
        cumulative_fraction: Deepest fall as a share of its peak, 0 to 1; 1 also when the peak was
            not above zero.
    """

    individual_money: float
    cumulative_money: float
    cumulative_fraction: float


def measure_drawdown(start_equity: float, profits: Iterable[float]) -> Drawdown:
    """Return the falls of the curve that moves by each profit in turn."""
    equity = peak = start_equity
    individual = money = fraction = 0.0
    for profit in profits:
        equity += profit
        peak = max(peak, equity)
        fall = peak - equity
        individual = max(individual, -profit)
        money = max(money, fall)
        if fall > 0:
            fraction = max(fraction, min(fall / peak, 1.0) if peak > 0 else 1.0)
    return Drawdown(individual, money, fraction)


def measure_drawdowns(
    trades: Sequence[Trade], name_curve: Callable[[Trade], tuple[str, ...]], start_equity: float
) -> dict[tuple[str, ...], Drawdown]:
    """Return the falls of each curve.

    Args:
        trades: Closed trades in any order.
        name_curve: Whose curve a trade belongs to: `by_provider` or `by_account`.
        start_equity: Before the first trade of each curve, account currency.
    """
    profits: dict[tuple[str, ...], list[float]] = {}
    for trade in sorted(trades, key=lambda trade: (trade.close_ts, trade.trade_no)):
        profits.setdefault(name_curve(trade), []).append(trade.net_profit)
    return {name: measure_drawdown(start_equity, own) for name, own in profits.items()}


def by_provider(trade: Trade) -> tuple[str, ...]:
    """Return the provider that a trade belongs to."""
    return (trade.provider_type, trade.provider_id)


def by_account(trade: Trade) -> tuple[str, ...]:
    """Return the account that a trade belongs to; without accounts, one per provider."""
    return (trade.account_id,) if trade.account_id else by_provider(trade)
