"""Kept measurements as state changes, for a rebuild of the shared state."""

from typing import Final

from riskgate.v1 import state_pb2
from server import feed
from server.changes import conversion_rate_rows, market_parts, unix_ns
from server.entities import ConversionRate, MarketContext
from server.record.market import MarketRepository
from server.record.pool import Pool, connection

# Kind, key, rows and the time of one measurement.
MeasurementParts = tuple[state_pb2.ChangeKind, str, bytes, int]
_PAGE: Final = 1_000


async def kept_measurements(pool: Pool) -> list[MeasurementParts]:
    """Return every measurement that the record keeps.

    Raises:
        UnavailableError: PostgreSQL is away.
    """
    repository = MarketRepository()
    measurements: list[MeasurementParts] = []
    async with connection(pool) as database:
        rates_after: list[str] | None = None
        while rates := await repository.rates(database, after=rates_after, limit=_PAGE):
            measurements += [rate_measurement(rate) for rate in rates]
            rates_after = [rates[-1].from_currency, rates[-1].to_currency]
        symbols_after: list[str] | None = None
        while contexts := await repository.contexts(database, after=symbols_after, limit=_PAGE):
            for context in (part for parts in contexts for part in parts):
                measurements += context_measurements(context)
            symbols_after = [contexts[-1][0].symbol]
    return measurements


def rate_measurement(rate: ConversionRate) -> MeasurementParts:
    """Return a conversion rate as the engines take it."""
    key = feed.conversion_rate_key(rate.from_currency, rate.to_currency)
    kind = state_pb2.CHANGE_KIND_CONVERSION_RATE
    return kind, key, conversion_rate_rows(rate), unix_ns(rate.as_of)


def context_measurements(context: MarketContext) -> list[MeasurementParts]:
    """Return each measured part of a context as the engines take it."""
    at_ns = unix_ns(context.as_of)
    return [
        (state_pb2.CHANGE_KIND_MARKET, feed.market_key(context.symbol, part), rows, at_ns)
        for part, rows in market_parts(context).items()
    ]
