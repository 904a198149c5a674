"""Instruments and accounts: message to entity and back."""

from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Final
from zoneinfo import available_timezones

from riskgate.v1 import reference_pb2
from server.changes import TRADING_STATES
from server.entities import Account, Instrument
from server.errors import InvalidFieldError
from server.forms import fields
from server.forms.trading_hours import read_trading_hours, write_trading_hours

_EQUITY_MAX: Final = "1e12"
_YEAR_MS: Final = 31_536_000_000
_DAY_MS: Final = 86_400_000
_TTL_MS_MAX: Final = 300_000
_TTL_MS_DEFAULT: Final = 30_000


def read_instrument(message: reference_pb2.Instrument, path: str = "instrument") -> Instrument:
    """Return the instrument a message describes.

    Raises:
        InvalidFieldError: a field is absent, malformed or out of range.
    """
    hours = read_trading_hours(message.trading_hours, fields.join(path, "trading_hours"))
    if message.hours_timezone and not hours:
        raise InvalidFieldError(fields.join(path, "hours_timezone"), "needs trading_hours")
    instrument = Instrument(
        symbol=fields.symbol(message.symbol, path=path),
        exchange=_name(message.exchange, "exchange", path),
        base_currency=fields.currency(message.base_currency, "base_currency", path=path),
        quote_currency=fields.currency(message.quote_currency, "quote_currency", path=path),
        tick_size=fields.number(message, "tick_size", "1e-12", "1e6", path=path),
        pip_size=fields.number(message, "pip_size", "1e-12", "1e12", path=path),
        tick_value=fields.number(message, "tick_value", "1e-12", "1e6", path=path),
        lot_step=fields.number(message, "lot_step", "1e-8", "1e6", path=path),
        min_lot=fields.number(message, "min_lot", "1e-8", "1e15", path=path),
        max_lot=fields.number(message, "max_lot", "1e-8", "1e15", path=path),
        contract_size=fields.number(message, "contract_size", "1e-6", "1e9", path=path),
        default_slippage_pips=_or_zero(message, "default_slippage_pips", path),
        commission_per_lot=_or_zero(message, "commission_per_lot", path),
        correlation_group=_name(message.correlation_group, "correlation_group", path),
        restricted=message.restricted,
        collar_fraction=_collar(message, "collar_percentage", path),
        collar_window_fraction=_collar(message, "collar_window_percentage", path),
        collar_window_ms=fields.optional_whole(message, "collar_window_ms", 1, _DAY_MS, path=path),
        hours_timezone=_timezone(message.hours_timezone, "hours_timezone", path) if hours else "",
        trading_hours=hours,
    )
    if (instrument.collar_window_fraction is None) != (instrument.collar_window_ms is None):
        problem = "goes together with collar_window_percentage"
        raise InvalidFieldError(fields.join(path, "collar_window_ms"), problem)
    fields.on_grid(instrument.contract_size, 6, "contract_size", path)
    return instrument


def write_instrument(instrument: Instrument) -> reference_pb2.Instrument:
    """Return the message that describes an instrument."""
    message = reference_pb2.Instrument(
        symbol=instrument.symbol,
        exchange=instrument.exchange,
        base_currency=instrument.base_currency,
        quote_currency=instrument.quote_currency,
        tick_size=float(instrument.tick_size),
        pip_size=float(instrument.pip_size),
        tick_value=float(instrument.tick_value),
        lot_step=float(instrument.lot_step),
        min_lot=float(instrument.min_lot),
        max_lot=float(instrument.max_lot),
        contract_size=float(instrument.contract_size),
        default_slippage_pips=float(instrument.default_slippage_pips),
        commission_per_lot=float(instrument.commission_per_lot),
        correlation_group=instrument.correlation_group,
        restricted=instrument.restricted or None,
        collar_window_ms=instrument.collar_window_ms,
        hours_timezone=instrument.hours_timezone,
        trading_hours=map(write_trading_hours, instrument.trading_hours),
    )
    if instrument.collar_fraction is not None:
        message.collar_percentage = fields.percent(instrument.collar_fraction)
    if instrument.collar_window_fraction is not None:
        message.collar_window_percentage = fields.percent(instrument.collar_window_fraction)
    return message


def read_account(
    message: reference_pb2.Account, old: Account | None, now: datetime, path: str = "account"
) -> Account:
    """Return the account a message describes, given the one on record.

    The equity mark on record stays, with its time, unless the message brings another value or a
    newer time.

    Raises:
        InvalidFieldError: a field is absent, malformed or out of range.
    """
    as_of = fields.moment(message, "equity_as_of", path=path, now=now)
    if old is None or message.HasField("equity"):
        equity = fields.number(message, "equity", "0", _EQUITY_MAX, path=path, above_low=True)
        fields.on_grid(equity, 6, "equity", path)
    else:
        equity = old.equity
    if old is not None and equity == old.equity and (as_of is None or as_of <= old.equity_as_of):
        as_of = old.equity_as_of
    elif old is not None and as_of is not None and as_of <= old.equity_as_of:
        raise InvalidFieldError(fields.join(path, "equity_as_of"), "is older than that on record")
    ttl_ms = fields.optional_whole(message, "reservation_ttl_ms", 1, _TTL_MS_MAX, path=path)
    return Account(
        account_id=fields.identifier(message.account_id, "account_id", path=path),
        currency=fields.currency(message.currency, "currency", path=path),
        equity=equity,
        equity_as_of=as_of or now,
        reservation_ttl_ms=_TTL_MS_DEFAULT if ttl_ms is None else ttl_ms,
        allow_new_providers=message.allow_new_providers,
        timezone=_timezone(message.timezone, "timezone", path),
        trading_state=fields.choice(
            message.trading_state, TRADING_STATES, "trading_state", default="active", path=path
        ),
        equity_max_age_ms=fields.optional_whole(
            message, "equity_max_age_ms", 1, _YEAR_MS, path=path
        ),
        sandbox=message.sandbox,
    )


def write_account(account: Account) -> reference_pb2.Account:
    """Return the message that describes an account."""
    return reference_pb2.Account(
        account_id=account.account_id,
        currency=account.currency,
        equity=float(account.equity),
        reservation_ttl_ms=account.reservation_ttl_ms,
        allow_new_providers=account.allow_new_providers,
        timezone=account.timezone,
        trading_state=TRADING_STATES[account.trading_state],
        equity_max_age_ms=account.equity_max_age_ms,
        equity_as_of=fields.timestamp(account.equity_as_of),
        sandbox=account.sandbox,
    )


def _or_zero(message: reference_pb2.Instrument, name: str, path: str) -> Decimal:
    value = fields.optional_number(message, name, "0", "1e6", path=path)
    return Decimal(0) if value is None else fields.on_grid(value, 6, name, path)


def _name(value: str, field: str, path: str) -> str:
    limit = fields.NAME_BYTES_MAX
    return fields.label(value, field, bytes_max=limit, required=False, path=path)


def _collar(message: reference_pb2.Instrument, name: str, path: str) -> Decimal | None:
    return fields.optional_fraction(message, name, path=path, above_zero=True)


def _timezone(value: str, field: str, path: str) -> str:
    zone = value or "UTC"
    if len(zone) > fields.NAME_BYTES_MAX or zone not in _zones():
        raise InvalidFieldError(fields.join(path, field), "is not an IANA time zone")
    return zone


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())
