"""Recorded or simulated trades as orders: what a router would have asked, and how it ended."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from trainer.metrics import measure_initial_risk
from trainer.rows import StopFill, Trade

STRICT_ACCOUNT: Final = "account123"
WIDE_ACCOUNT: Final = "account456"
# One order in so many goes to the strict account, with the lots that it is meant for.
_STRICT_EVERY: Final = 10
_STRICT_LOTS: Final = (0.01, 0.10)
# The sample providers take part in the simulated market: every third order is one of theirs.
_SAMPLE_EVERY: Final = 3
_SAMPLE_PROVIDERS: Final = (("channel_source", "channel_12345"), ("user", "user_67890"))


@dataclass(frozen=True, slots=True)
class Order:
    """One order and its end.

    Attributes:
        lots: Asked for; None: as many as the risk money pays for.
        stop: None: the order has none.
        exit_price: Where the position was closed.
        atr: Price units; None: the stored one counts. Likewise the volatility index, 0 to 100.
        slippage_pips: Realised at the stop, positive is worse; None: it was not stopped out.
        filled_at: When the stop was filled; None as above.
        note: Says why a sample order is there; empty for trades.
    """

    order_id: str
    account_id: str
    provider_type: str
    provider_id: str
    symbol: str
    side: str
    entry: float
    stop: float | None
    lots: float | None
    exit_price: float
    atr: float | None = None
    volatility_index: float | None = None
    slippage_pips: float | None = None
    filled_at: datetime | None = None
    note: str = ""


def build_orders(
    trades: Sequence[Trade], fills: Iterable[StopFill], *, with_samples: bool
) -> tuple[list[Order], Counter[str]]:
    """Return an order per usable trade, in the order of opening, and why others are not usable.

    Args:
        trades: A trade is usable when its stop is on the losing side of its entry.
        fills: Realised slippage of stops; joined by provider and trade number.
        with_samples: Give some of the orders to the sample providers.
    """
    stopped = {
        (fill.provider_type, fill.provider_id, fill.trade_no): fill
        for fill in fills
        if fill.exit_reason == "sl"
    }
    orders: list[Order] = []
    left_out: Counter[str] = Counter()
    for trade in sorted(trades, key=lambda trade: (trade.open_ts, trade.provider_id)):
        if trade.stop_loss is None:
            left_out["no stop on record"] += 1
        elif measure_initial_risk(trade) is None:
            left_out["stop on record not on the losing side (trailed or wrong)"] += 1
        else:
            fill = stopped.get((trade.provider_type, trade.provider_id, trade.trade_no))
            orders.append(_build_order(len(orders), trade, fill, with_samples=with_samples))
    return orders, left_out


def build_samples() -> list[Order]:
    """Return a few made-up orders of the sample providers, each for one reason."""
    channel, user = _SAMPLE_PROVIDERS

    def ask(
        name: str, account: str, provider: tuple[str, str], note: str, **other: float | None
    ) -> Order:
        stop = other.get("stop", 1.098)
        return Order(
            f"sample-{name}", account, *provider, "EURUSD", "buy", 1.1, stop,
            other.get("lots", 0.1), exit_price=1.102, note=note,
        )  # fmt: skip

    return [
        ask("strict", STRICT_ACCOUNT, channel, "low_risk, 0.10 lots"),
        ask("full-good", WIDE_ACCOUNT, channel, "full risk size at score 87.5", lots=None),
        ask("full-fair", WIDE_ACCOUNT, user, "full risk size at score 62.3", lots=None),
        ask("large", WIDE_ACCOUNT, user, "more than the risk pays for", lots=60.0),
        ask("step", WIDE_ACCOUNT, user, "not a whole lot step", lots=0.123),
        ask("no-stop", WIDE_ACCOUNT, channel, "no stop", stop=None),
        ask("stranger", STRICT_ACCOUNT, ("user", "user_nobody"), "unknown provider"),
        ask("newcomer", WIDE_ACCOUNT, ("user", "user_new"), "unknown, admitted", lots=None),
        Order(
            "sample-gold", STRICT_ACCOUNT, *channel, "XAUUSD", "sell", 2050.0, 2065.25, 0.05,
            exit_price=2040.0, atr=15.25, volatility_index=78.4, note="volatility 78.4",
        ),
        Order(
            "sample-bitcoin", STRICT_ACCOUNT, *user, "BTCUSDT", "buy", 60_000.0, 58_500.0, 2.0,
            exit_price=60_500.0, note="past 3 % of equity in BTCUSDT",
        ),
    ]  # fmt: skip


def _build_order(number: int, trade: Trade, fill: StopFill | None, *, with_samples: bool) -> Order:
    provider = (trade.provider_type, trade.provider_id)
    if with_samples and number % _SAMPLE_EVERY == 0:
        provider = _SAMPLE_PROVIDERS[number // _SAMPLE_EVERY % len(_SAMPLE_PROVIDERS)]
        fill = None
    strict = number % _STRICT_EVERY == 0
    lots = trade.lots
    if strict:
        lots = min(max(lots, _STRICT_LOTS[0]), _STRICT_LOTS[1])
    return Order(
        order_id=f"order-{number:06d}",
        account_id=STRICT_ACCOUNT if strict else WIDE_ACCOUNT,
        provider_type=provider[0],
        provider_id=provider[1],
        symbol=trade.symbol,
        side=trade.side,
        entry=trade.open_price,
        stop=trade.stop_loss,
        lots=round(lots, 2),
        exit_price=trade.close_price,
        slippage_pips=None if fill is None else fill.slippage_pips,
        filled_at=None if fill is None else fill.ts,
    )
