"""Measurements: message to entity and back."""

from datetime import datetime
from decimal import Decimal

from riskgate.v1 import market_pb2 as pb
from server.entities import ConversionRate, MarketContext
from server.errors import InvalidFieldError
from server.forms import fields


def read_context(message: pb.MarketContext, now: datetime, path: str = "context") -> MarketContext:
    """Return what a message measured.

    Raises:
        InvalidFieldError: a field is malformed or out of range, or nothing was measured.
    """
    bid, ask = _price(message, "bid", path), _price(message, "ask", path)
    if (bid is None) != (ask is None):
        raise InvalidFieldError(fields.join(path, "ask" if ask is None else "bid"), "is required")
    if bid is not None and ask is not None and bid > ask:
        raise InvalidFieldError(fields.join(path, "bid"), "must not be above ask")
    volatility = fields.optional_number(message, "volatility_index", "0", "100", path=path)
    if volatility is not None:
        volatility = round(volatility, 6)
    regime = fields.label(
        message.regime, "regime", bytes_max=fields.NAME_BYTES_MAX, required=False, path=path
    )
    context = MarketContext(
        symbol=fields.symbol(message.symbol, path=path),
        atr=_price(message, "atr", path),
        volatility_index=volatility,
        regime=regime,
        bid=bid,
        ask=ask,
        as_of=fields.moment(message, "as_of", path=path, now=now) or now,
    )
    if context.atr is None and volatility is None and bid is None and not regime:
        raise InvalidFieldError(path, "measures nothing")
    return context


def write_context(context: MarketContext) -> pb.MarketContext:
    """Return the message that describes a measurement."""
    numbers = {
        name: float(value)
        for name in ("atr", "volatility_index", "bid", "ask")
        if (value := getattr(context, name)) is not None
    }
    return pb.MarketContext(
        symbol=context.symbol,
        regime=context.regime,
        as_of=fields.timestamp(context.as_of),
        **numbers,
    )


def read_rate(message: pb.ConversionRate, now: datetime, path: str = "rate") -> ConversionRate:
    """Return the conversion rate of a message.

    Raises:
        InvalidFieldError: a field is absent, malformed or out of range.
    """
    from_currency = fields.currency(message.from_currency, "from_currency", path=path)
    to_currency = fields.currency(message.to_currency, "to_currency", path=path)
    if from_currency == to_currency:
        raise InvalidFieldError(fields.join(path, "to_currency"), "must differ from from_currency")
    return ConversionRate(
        from_currency=from_currency,
        to_currency=to_currency,
        rate=fields.number(message, "rate", "1e-9", "1e6", path=path),
        as_of=fields.moment(message, "as_of", path=path, now=now) or now,
    )


def write_rate(rate: ConversionRate) -> pb.ConversionRate:
    """Return the message that describes a conversion rate."""
    return pb.ConversionRate(
        from_currency=rate.from_currency,
        to_currency=rate.to_currency,
        rate=float(rate.rate),
        as_of=fields.timestamp(rate.as_of),
    )


def _price(message: pb.MarketContext, name: str, path: str) -> Decimal | None:
    return fields.optional_number(message, name, "0", "1e15", path=path, above_low=True)
