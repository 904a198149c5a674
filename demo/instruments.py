"""Instruments, conversion rates and market context for recorded trades that describe none of them.

From the data: pip size, tick (the decimals that prices have), currencies (the letters of a pair),
conversion rates (the latest price of a pair with the account currency) and an ATR stand-in. Not in
the data, hence simulated: contract sizes, by asset class, and a neutral volatility index.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from statistics import fmean
from typing import Any, Final

from trainer.rows import Trade

ACCOUNT_CURRENCY: Final = "USD"
NEUTRAL_VOLATILITY: Final = 50.0
_PAIR_LETTERS: Final = 6
_LOT_STEP: Final = 0.01
_LOTS_MAX: Final = 100
_SLIPPAGE_PIPS_DEFAULT: Final = 0.5


@dataclass(frozen=True, slots=True)
class AssetClass:
    """What instruments of a class have in common; contract_size is units of base per lot."""

    name: str
    contract_size: int


FX: Final = AssetClass("fx", 100_000)
GOLD: Final = AssetClass("metals", 100)
SILVER: Final = AssetClass("metals", 5_000)
OIL: Final = AssetClass("oil", 1_000)
CRYPTO: Final = AssetClass("crypto", 1)
INDEX: Final = AssetClass("indices", 10)
_NAMED: Final = {
    "XAUUSD": GOLD,
    "XAGUSD": SILVER,
    "BRN": OIL,
    "OILUSD": OIL,
    "UKOUSD": OIL,
    "US_OIL": OIL,
    "BTCUSD": CRYPTO,
}
# Quote currencies of indices that are not quoted in the account currency.
_INDEX_CURRENCIES: Final = {"JP225": "JPY"}
_CURRENCIES: Final = frozenset(
    "AUD CAD CHF CNH EUR GBP JPY MXN NOK NZD SEK SGD TRY USD".split()  # noqa: SIM905 - a list
)


@dataclass(frozen=True, slots=True)
class Instrument:
    """One derived instrument.

    Attributes:
        tick_value: Quote currency per lot and tick.
        atr: Stand-in, price units: mean move between entry and exit of its trades.
    """

    symbol: str
    asset_class: str
    base_currency: str
    quote_currency: str
    tick_size: Decimal
    pip_size: Decimal
    contract_size: int
    atr: float
    trades: int

    @property
    def tick_value(self) -> Decimal:
        """Worth of one tick of one lot, quote currency."""
        return self.tick_size * self.contract_size


def derive_instruments(trades: Sequence[Trade]) -> list[Instrument]:
    """Return one instrument per symbol of the trades, by symbol."""
    groups: dict[str, list[Trade]] = {}
    for trade in trades:
        groups.setdefault(trade.symbol, []).append(trade)
    return [_derive(symbol, groups[symbol]) for symbol in sorted(groups)]


def derive_rates(trades: Sequence[Trade], currencies: set[str]) -> dict[str, float]:
    """Return units of account currency for one unit of each currency, where prices tell it.

    Args:
        trades: The latest price of a pair counts.
        currencies: Currencies to convert.
    """
    prices = {trade.symbol: trade.close_price for trade in _order_by_close(trades)}
    known: dict[str, float] = {ACCOUNT_CURRENCY: 1.0}
    # Two rounds reach a currency that is only quoted against another one, as in EURTRY.
    for _round in range(2):
        for symbol, price in prices.items():
            base, quote = symbol[:3], symbol[3:]
            if not _is_pair(symbol):
                continue
            if quote in known:
                known.setdefault(base, known[quote] * price)
            elif base in known:
                known.setdefault(quote, known[base] / price)
    return {name: known[name] for name in sorted(currencies & known.keys())}


def build_document(instruments: Sequence[Instrument], rates: dict[str, float]) -> dict[str, Any]:
    """Return what `riskgate apply` takes for these instruments."""
    return {
        "instruments": [_describe(instrument) for instrument in instruments],
        "conversion_rates": [
            {"from": currency, "to": ACCOUNT_CURRENCY, "rate": float(f"{rate:.9g}")}
            for currency, rate in rates.items()
            if currency != ACCOUNT_CURRENCY
        ],
        "market": [
            {
                "symbol": instrument.symbol,
                "atr": instrument.atr,
                "volatility_index": NEUTRAL_VOLATILITY,
            }
            for instrument in instruments
        ],
    }


def _derive(symbol: str, trades: Sequence[Trade]) -> Instrument:
    pip_size = Decimal(repr(trades[0].pip_size)).normalize()
    decimals = max(_count_decimals(price) for trade in trades for price in _list_prices(trade))
    tick_size = min(Decimal(1).scaleb(-decimals), pip_size)
    kind, base, quote = _classify(symbol)
    moves = [abs(trade.close_price - trade.open_price) for trade in trades]
    atr = max(fmean(moves), float(tick_size))
    return Instrument(
        symbol=symbol,
        asset_class=kind.name,
        base_currency=base,
        quote_currency=quote,
        tick_size=tick_size,
        pip_size=pip_size,
        contract_size=kind.contract_size,
        atr=float(f"{atr:.6g}"),
        trades=len(trades),
    )


def _classify(symbol: str) -> tuple[AssetClass, str, str]:
    named = _NAMED.get(symbol)
    if named is not None:
        base = symbol[:3].replace("_", "")
        return named, base if len(base) == len("USD") else symbol.replace("_", ""), "USD"
    if _is_pair(symbol):
        return FX, symbol[:3], symbol[3:]
    return INDEX, symbol[:8], _INDEX_CURRENCIES.get(symbol, ACCOUNT_CURRENCY)


def _is_pair(symbol: str) -> bool:
    in_two = len(symbol) == _PAIR_LETTERS
    return in_two and symbol[:3] in _CURRENCIES and symbol[3:] in _CURRENCIES


def _describe(instrument: Instrument) -> dict[str, Any]:
    group = instrument.asset_class
    if group == FX.name:
        group = f"fx_{instrument.base_currency.lower()}"
    return {
        "symbol": instrument.symbol,
        "base_currency": instrument.base_currency,
        "quote_currency": instrument.quote_currency,
        "tick_size": float(instrument.tick_size),
        "pip_size": float(instrument.pip_size),
        "tick_value": float(instrument.tick_value),
        "lot_step": _LOT_STEP,
        "min_lot": _LOT_STEP,
        "max_lot": _LOTS_MAX,
        "contract_size": instrument.contract_size,
        "default_slippage_pips": _SLIPPAGE_PIPS_DEFAULT,
        "correlation_group": group,
    }


def _list_prices(trade: Trade) -> list[float]:
    prices = (trade.open_price, trade.close_price, trade.stop_loss, trade.take_profit)
    return [price for price in prices if price is not None]


def _count_decimals(price: float) -> int:
    exponent = Decimal(repr(price)).normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _order_by_close(trades: Sequence[Trade]) -> list[Trade]:
    return sorted(trades, key=lambda trade: trade.close_ts)
