"""Kept measurements: market contexts and conversion rates.

They are no admin changes and have no place in their order.

Each part of a context keeps its own time, so that a new ATR never makes an old quote look young.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from psycopg.rows import DictRow

from server.entities import ConversionRate, MarketContext
from server.record import rows
from server.record.pool import Database

_CONTEXTS: Final = "market_context"
_RATES: Final = "conversion_rate"
# Column of a part's time -> the columns it measures.
_PARTS: Final = {
    "atr_as_of": ("atr",),
    "volatility_as_of": ("volatility_index",),
    "regime_as_of": ("regime",),
    "quote_as_of": ("bid", "ask"),
}


class MarketRepository:
    """The newest kept measurement of each symbol and currency pair."""

    async def keep_context(self, database: Database, context: MarketContext) -> bool | None:
        """Store each part that was measured, unless a newer one is there.

        Returns:
            None: the symbol had none. True: numbers differ from those before. False: they do not.
        """
        row = await rows.find(database, _CONTEXTS, {"symbol": context.symbol})
        values: dict[str, Any] = {}
        for time_column, columns in _PARTS.items():
            measured = {name: getattr(context, name) or None for name in columns}
            if columns == ("volatility_index",):
                measured = {"volatility_index": context.volatility_index}
            before: datetime | None = None if row is None else row[time_column]
            if None not in measured.values() and (before is None or before <= context.as_of):
                values |= {**measured, time_column: context.as_of}
        if row is None:
            await rows.insert(database, _CONTEXTS, {"symbol": context.symbol, **values})
            return None
        if values:
            await rows.update(database, _CONTEXTS, {"symbol": context.symbol}, values)
        return any(row[name] != value for name, value in values.items() if name not in _PARTS)

    async def keep_rate(self, database: Database, rate: ConversionRate) -> bool | None:
        """Store a rate unless a newer one is there; the result is as in `keep_context`."""
        key = {"from_currency": rate.from_currency, "to_currency": rate.to_currency}
        row = await rows.find(database, _RATES, key)
        if row is not None and row["as_of"] > rate.as_of:
            return False
        await rows.upsert(database, _RATES, key, {"rate": rate.rate, "as_of": rate.as_of})
        return None if row is None else bool(row["rate"] != rate.rate)

    async def contexts(
        self, database: Database, *, after: Sequence[str] | None, limit: int
    ) -> list[list[MarketContext]]:
        """Return kept contexts in the order of their symbols, each as one context per part."""
        found = await rows.page(database, _CONTEXTS, ["symbol"], after=after, limit=limit)
        return [_parts(row) for row in found]

    async def rates(
        self, database: Database, *, after: Sequence[str] | None, limit: int
    ) -> list[ConversionRate]:
        """Return kept rates in the order of their currencies."""
        order = ["from_currency", "to_currency"]
        found = await rows.page(database, _RATES, order, after=after, limit=limit)
        return [ConversionRate(**row) for row in found]


def joined(parts: Sequence[MarketContext]) -> MarketContext:
    """Return the parts of one symbol as one context, as old as its oldest part."""
    whole = parts[0]
    for part in parts[1:]:
        measured = {
            name: getattr(part, name)
            for columns in _PARTS.values()
            for name in columns
            if getattr(part, name) not in {None, ""}
        }
        whole = replace(whole, **measured, as_of=min(whole.as_of, part.as_of))
    return whole


def _parts(row: DictRow) -> list[MarketContext]:
    return [
        MarketContext(
            symbol=row["symbol"], as_of=row[time], **{name: row[name] for name in columns}
        )
        for time, columns in _PARTS.items()
        if row[time] is not None
    ]
