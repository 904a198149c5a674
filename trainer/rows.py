"""The rows that the trainer works on: a closed trade, a stop fill, a bar.

Times are timezone-aware UTC, prices are in quote currency per unit, money is in account currency.
Prices and money are floats here because statistics are made of them; the record keeps them as
NUMERIC, written from the shortest decimal form of the float, so that nothing is lost on the way
there and back.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from trainer.errors import DataFormatError

Side = Literal["buy", "sell"]
ID_BYTES_MAX: Final = 64
SYMBOL_BYTES_MAX: Final = 32
PROVIDER_TYPES: Final = ("channel_source", "user")
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Trade:
    """One closed trade.

    Attributes:
        trade_no: Number of the trade within its provider, 0 upwards.
        lots: Size, > 0.
        stop_loss: Stop as it stood at the close; None when there was none.
        exit_reason: `sl`, `tp`, `stop_out` or `other`.
        pip_size: Price units of one pip, > 0.
        account_id: Account that held the trade; empty when the source has one account per provider.
    """

    provider_id: str
    provider_type: str
    trade_no: int
    symbol: str
    side: Side
    lots: float
    open_ts: datetime
    open_price: float
    close_ts: datetime
    close_price: float
    stop_loss: float | None
    take_profit: float | None
    exit_reason: str
    commission: float
    swap: float
    profit: float
    pip_size: float
    account_id: str = ""

    def __post_init__(self) -> None:
        _check_identity(self.provider_id, self.provider_type, self.symbol, self.side)
        _check_aware(self.open_ts, self.close_ts)
        _check_positive(self.lots, self.open_price, self.close_price, self.pip_size)
        _check_finite(self.commission, self.swap, self.profit)
        for price in (self.stop_loss, self.take_profit):
            if price is not None:
                _check_positive(price)
        if self.close_ts < self.open_ts:
            raise DataFormatError("a trade closes before it opens")

    @property
    def net_profit(self) -> float:
        """Profit after commission and swap; cents that binary addition invents are rounded away."""
        return round(self.profit + self.commission + self.swap, 8)

    @property
    def direction(self) -> int:
        """Return +1 for a buy and -1 for a sell."""
        return 1 if self.side == "buy" else -1


@dataclass(frozen=True, slots=True)
class StopFill:
    """One exit at a stop or target: the level that was asked for and the price that was paid.

    Attributes:
        exit_reason: `sl` or `tp`.
        slippage_pips: Positive is worse for the trader, negative is price improvement.
        latency_ms: From the trigger to the fill, >= 0; None when the source does not know.
    """

    provider_id: str
    provider_type: str
    trade_no: int
    symbol: str
    side: Side
    lots: float
    ts: datetime
    exit_reason: str
    ref_price: float
    fill_price: float
    pip_size: float
    slippage_pips: float
    latency_ms: float | None = None

    def __post_init__(self) -> None:
        _check_identity(self.provider_id, self.provider_type, self.symbol, self.side)
        _check_aware(self.ts)
        _check_positive(self.lots, self.ref_price, self.fill_price, self.pip_size)
        _check_finite(self.slippage_pips)
        if self.latency_ms is not None and not 0 <= self.latency_ms < math.inf:
            raise DataFormatError("a latency is not a number of milliseconds >= 0")

    @property
    def ts_us(self) -> int:
        """Time of the fill in microseconds since 1970, exact."""
        return (self.ts - EPOCH) // _MICROSECOND


@dataclass(frozen=True, slots=True)
class Bar:
    """One price bar; `source` names the series, `basis` the kind of price."""

    symbol: str
    source: str
    interval: str
    ts: datetime
    basis: Literal["bid", "trade"]
    open: float
    high: float
    low: float
    close: float
    volume: float | None


def _check_identity(provider_id: str, provider_type: str, symbol: str, side: str) -> None:
    if not 0 < len(provider_id.encode()) <= ID_BYTES_MAX:
        raise DataFormatError(f"provider_id has not 1 to {ID_BYTES_MAX} bytes")
    if provider_type not in PROVIDER_TYPES:
        raise DataFormatError(f"provider_type is none of {', '.join(PROVIDER_TYPES)}")
    if not 0 < len(symbol.encode()) <= SYMBOL_BYTES_MAX:
        raise DataFormatError(f"symbol has not 1 to {SYMBOL_BYTES_MAX} bytes")
    if side not in ("buy", "sell"):
        raise DataFormatError("side is neither buy nor sell")


def _check_aware(*moments: datetime) -> None:
    if any(moment.utcoffset() is None for moment in moments):
        raise DataFormatError("a time carries no timezone")


def _check_positive(*values: float) -> None:
    if not all(0 < value < math.inf for value in values):
        raise DataFormatError("a price, size or pip size is not a positive number")


def _check_finite(*values: float) -> None:
    if not all(math.isfinite(value) for value in values):
        raise DataFormatError("an amount is not a finite number")
