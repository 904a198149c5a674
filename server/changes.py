"""Entity to state change: where decimals become ticks, steps, ppm, micros and picos.

All arithmetic is decimal. A value that is not on its grid or leaves its range is refused by name;
nothing is rounded, except a conversion rate and a notional, which round up (against the trader).
"""

import math
import time
from datetime import UTC, datetime, timedelta
from decimal import localcontext
from typing import Any, Final

import numpy as np

from riskgate.v1 import identity_pb2, state_pb2, types_pb2
from server.entities import (
    Account,
    ConversionRate,
    IdentityEntry,
    Instrument,
    MarketContext,
    Provider,
    RiskConfiguration,
    SymbolRiskConfiguration,
)
from server.errors import InvalidFieldError
from server.hotpath import layout
from server.policy import policy_row
from server.scaling import (
    ARITHMETIC,
    encode_rows,
    limit,
    multiple,
    ppm,
    scaled,
    scaled_up,
    split_decimal,
)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE_NS: Final = 60 * layout.SECOND_NS
_DAY_MINUTES: Final = 1_440

# Of a MODEL change that lets no model speak.
NO_DIGEST: Final = bytes(32)
NO_VERSION: Final = "0.0.0"

TRADING_STATES: Final = {
    "active": types_pb2.TRADING_STATE_ACTIVE,
    "reducing": types_pb2.TRADING_STATE_REDUCING,
    "halted": types_pb2.TRADING_STATE_HALTED,
}
PROVIDER_TYPES: Final = {
    "channel_source": types_pb2.PROVIDER_TYPE_CHANNEL_SOURCE,
    "user": types_pb2.PROVIDER_TYPE_USER,
}
IDENTITY_STATUSES: Final = {
    "active": identity_pb2.IDENTITY_STATUS_ACTIVE,
    "frozen": identity_pb2.IDENTITY_STATUS_FROZEN,
    "revoked": identity_pb2.IDENTITY_STATUS_REVOKED,
}


def state_change(
    kind: state_pb2.ChangeKind, key: str, rows: bytes, *, version: int = 0
) -> state_pb2.StateChange:
    """Build the message that outbox, Redis and ring carry; empty rows delete the entity."""
    return state_pb2.StateChange(
        version=version,
        kind=kind,
        key=key,
        rows=rows,
        layout_version=layout.LAYOUT_VERSION,
        made_at_ns=time.time_ns(),
    )


def instrument_rows(instrument: Instrument) -> bytes:
    """Encode an instrument.

    Raises:
        InvalidFieldError: a number is off its grid or out of range.
    """
    with localcontext(ARITHMETIC):
        tick_mantissa, tick_scale = split_decimal(instrument.tick_size, "tick_size", 10**10, 10**12)
        lot_mantissa, lot_scale = split_decimal(instrument.lot_step, "lot_step", 10**6, 10**8)
        min_lot = multiple(instrument.min_lot, instrument.lot_step, "min_lot", "lot_step")
        max_lot = multiple(instrument.max_lot, instrument.lot_step, "max_lot", "lot_step")
        if max_lot < min_lot:
            raise InvalidFieldError("max_lot", "must not be below min_lot")
        if max_lot > layout.LOT_STEPS_MAX:
            raise InvalidFieldError("max_lot", "must be at most 1e9 lot steps")
        values = {
            "symbol": layout.words(instrument.symbol, layout.SYMBOL_WORDS),
            "exchange": layout.words(instrument.exchange, layout.SYMBOL_WORDS),
            "correlation_group": layout.words(instrument.correlation_group, layout.SYMBOL_WORDS),
            "base_currency": layout.currency_word(instrument.base_currency),
            "quote_currency": layout.currency_word(instrument.quote_currency),
            "tick_size": float(instrument.tick_size),
            "tick_mantissa": tick_mantissa,
            "tick_scale": tick_scale,
            "ticks_per_pip": multiple(
                instrument.pip_size, instrument.tick_size, "pip_size", "tick_size"
            ),
            "tick_value_picos": scaled(instrument.tick_value, layout.PICOS, "tick_value", low=1),
            "tick_notional_picos": scaled_up(
                instrument.tick_size * instrument.contract_size, layout.PICOS, "contract_size"
            ),
            "lot_mantissa": lot_mantissa,
            "lot_scale": lot_scale,
            "min_lot_steps": min_lot,
            "max_lot_steps": max_lot,
            "default_slippage_micropips": scaled(
                instrument.default_slippage_pips, layout.MICROS, "default_slippage_pips"
            ),
            "commission_per_lot_micros": scaled(
                instrument.commission_per_lot, layout.MICROS, "commission_per_lot"
            ),
            **_collars(instrument),
            **_hours(instrument),
        }
    return encode_rows(layout.CHANGE_INSTRUMENT, [values])


def account_rows(account: Account) -> bytes:
    """Encode an account with its equity mark."""
    max_age_ms = account.equity_max_age_ms
    values = {
        "account_id": layout.words(account.account_id),
        "timezone": layout.words(account.timezone, layout.SYMBOL_WORDS),
        "currency": layout.currency_word(account.currency),
        "equity_micros": scaled(account.equity, layout.MICROS, "equity", low=1),
        "equity_at_ns": unix_ns(account.equity_as_of),
        "equity_max_age_ns": layout.NOT_SET
        if max_age_ms is None
        else max_age_ms * layout.MILLISECOND_NS,
        "reservation_ttl_ns": account.reservation_ttl_ms * layout.MILLISECOND_NS,
        "trading_state": TRADING_STATES[account.trading_state],
        "allow_new_providers": int(account.allow_new_providers),
    }
    return encode_rows(layout.CHANGE_ACCOUNT, [values])


def risk_configuration_rows(configuration: RiskConfiguration) -> bytes:
    """Encode a configuration: the account's row first, then one row per symbol override.

    Raises:
        InvalidFieldError: a number is off its grid, or there are too many regimes.
    """
    regimes = sorted(configuration.market_regime_thresholds.items())
    if len(regimes) > layout.REGIMES_MAX:
        raise InvalidFieldError("market_regime_thresholds", "has too many regimes")
    pad = layout.REGIMES_MAX - len(regimes)
    account_id = layout.words(configuration.account_id)
    own = {
        "account_id": account_id,
        "position_max_drawdown_ppm": ppm(configuration, "position_max_drawdown_fraction"),
        "max_position_size_ppm": ppm(configuration, "max_position_size_fraction"),
        "max_leverage_ppm": ppm(configuration, "max_leverage"),
        "risk_per_trade_ppm": ppm(configuration, "risk_per_trade_fraction"),
        "position_trailing_stop_ppm": ppm(configuration, "position_trailing_stop_multiplier"),
        "daily_max_drawdown_ppm": ppm(configuration, "daily_max_drawdown_fraction"),
        "weekly_max_drawdown_ppm": ppm(configuration, "weekly_max_drawdown_fraction"),
        "monthly_max_drawdown_ppm": ppm(configuration, "monthly_max_drawdown_fraction"),
        "max_correlated_exposure_ppm": ppm(configuration, "max_correlated_exposure_fraction"),
        "volatility_adjustment_ppm": ppm(configuration, "volatility_adjustment_factor"),
        "cooling_off_ns": configuration.cooling_off_period_minutes * _MINUTE_NS,
        "consecutive_loss_threshold": configuration.consecutive_loss_threshold,
        "min_provider_score_micropoints": ppm(configuration, "min_provider_score"),
        "regime_count": len(regimes),
        "regime_names": np.concatenate(
            [layout.words(name, layout.SYMBOL_WORDS) for name, _ in regimes]
            + [np.zeros(pad * layout.SYMBOL_WORDS, dtype="<i8")]
        ),
        "regime_multiplier_ppm": [ppm(rule, "multiplier") for _, rule in regimes] + [0] * pad,
        "regime_blocked": [int(rule.block) for _, rule in regimes] + [0] * pad,
        **_order_limits(configuration),
        **_flow_limits(configuration),
        "max_notional_micros": limit(configuration, "max_notional", layout.MICROS),
        "max_strategy_notional_micros": limit(
            configuration, "max_strategy_notional", layout.MICROS
        ),
    }
    overrides = [
        {
            "account_id": account_id,
            "symbol": layout.words(symbol.symbol, layout.SYMBOL_WORDS),
            "override": int(symbol.override),
            "position_max_drawdown_ppm": ppm(symbol, "position_max_drawdown_fraction"),
            "max_position_size_ppm": ppm(symbol, "max_position_size_fraction"),
            "max_leverage_ppm": ppm(symbol, "max_leverage"),
            "risk_per_trade_ppm": ppm(symbol, "risk_per_trade_fraction"),
            "restricted": int(symbol.restricted),
            **_order_limits(symbol),
        }
        for symbol in configuration.symbol_configs
    ]
    return encode_rows(layout.CHANGE_RISK_CONFIGURATION, [own, *overrides])


def strategy_rows(account_id: str, strategy_id: str, enabled_at: datetime | None) -> bytes:
    """Encode that a person lets a strategy go on; None changes nothing."""
    values = {
        "account_id": layout.words(account_id),
        "strategy_id": layout.words(strategy_id),
        "enabled_at_ns": 0 if enabled_at is None else unix_ns(enabled_at),
    }
    return encode_rows(layout.CHANGE_STRATEGY, [values])


def provider_rows(provider: Provider) -> bytes:
    """Encode a provider's score."""
    values = {
        "provider_id": layout.words(provider.provider_id),
        "provider_type": PROVIDER_TYPES[provider.provider_type],
        "score_micropoints": ppm(provider, "performance_score"),
        "calculated_at_ns": unix_ns(provider.score_as_of),
    }
    return encode_rows(layout.CHANGE_PROVIDER, [values])


def market_parts(context: MarketContext) -> dict[str, bytes]:
    """Encode each measured part of a context as a row of its own, by the name of the part.

    One row per part lets the newest of each win without reading the others first.
    """
    at_ns = unix_ns(context.as_of)
    blank: dict[str, Any] = {
        "symbol": layout.words(context.symbol, layout.SYMBOL_WORDS),
        "atr": math.nan,
        "volatility_index": math.nan,
        "bid": math.nan,
        "ask": math.nan,
    }
    parts: dict[str, dict[str, Any]] = {}
    if context.atr is not None:
        parts["atr"] = {"atr": float(context.atr), "atr_at_ns": at_ns}
    if context.volatility_index is not None:
        parts["volatility"] = {
            "volatility_index": float(context.volatility_index),
            "volatility_at_ns": at_ns,
        }
    if context.bid is not None and context.ask is not None:
        parts["quote"] = {
            "bid": float(context.bid),
            "ask": float(context.ask),
            "quote_at_ns": at_ns,
        }
    if context.regime:
        parts["regime"] = {"regime": layout.words(context.regime, layout.SYMBOL_WORDS)}
    return {
        name: encode_rows(layout.CHANGE_MARKET, [blank | measured])
        for name, measured in parts.items()
    }


def conversion_rate_rows(rate: ConversionRate) -> bytes:
    """Encode a conversion rate."""
    values = {
        "from_currency": layout.currency_word(rate.from_currency),
        "to_currency": layout.currency_word(rate.to_currency),
        "rate_picos": scaled_up(rate.rate, layout.PICOS, "rate"),
        "as_of_ns": unix_ns(rate.as_of),
    }
    return encode_rows(layout.CHANGE_CONVERSION_RATE, [values])


def model_rows(purpose: str, digest: bytes, version: str, serial: int) -> bytes:
    """Encode the activation of a model, whose files an engine finds by the digest, or of none."""
    major, minor, patch = (int(part) for part in version.split("."))
    values = {
        "purpose": layout.words(purpose, layout.SYMBOL_WORDS),
        "digest": np.frombuffer(digest, dtype="<i8"),
        "version_major": major,
        "version_minor": minor,
        "version_patch": patch,
        "serial": serial,
    }
    return encode_rows(layout.CHANGE_MODEL, [values])


def policy_rows(policy: dict[str, Any]) -> bytes:
    """Encode a risk policy that was verified when it was pushed."""
    return policy_row(policy).tobytes()


def identity_message(entry: IdentityEntry) -> identity_pb2.Identity:
    """Return the message that describes an identity."""
    message = identity_pb2.Identity(
        uri=entry.uri,
        accounts=entry.accounts,
        every_account=entry.every_account,
        providers=entry.providers,
        calls_per_second=entry.calls_per_second,
        burst=entry.burst,
        status=IDENTITY_STATUSES[entry.status],
        has_second_factor=entry.has_second_factor,
        version=entry.version,
    )
    if entry.updated_at is not None:
        message.updated_at.FromDatetime(entry.updated_at)
    return message


def identity_rows(entry: IdentityEntry) -> bytes:
    """Encode an identity as its message, less its second factor, which only control asks for."""
    message = identity_message(entry)
    message.ClearField("has_second_factor")
    return message.SerializeToString(deterministic=True)


def heartbeat_rows(version: int, *, record_away: bool) -> bytes:
    """Encode a sign of life of the publisher with the newest published version."""
    values = {
        "published_at_ns": time.time_ns(),
        "version": version,
        "record_away": int(record_away),
    }
    return encode_rows(layout.CHANGE_HEARTBEAT, [values])


def unix_ns(moment: datetime) -> int:
    """Return an aware time as whole Unix nanoseconds, without passing through a float."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1_000


def _collars(instrument: Instrument) -> dict[str, Any]:
    return {
        "restricted": int(instrument.restricted),
        "collar_ppm": limit(instrument, "collar_fraction", layout.PPM),
        "collar_window_ppm": limit(instrument, "collar_window_fraction", layout.PPM),
        "collar_window_ns": limit(instrument, "collar_window_ms", layout.MILLISECOND_NS),
    }


def _hours(instrument: Instrument) -> dict[str, Any]:
    """Return trading hours as minutes from Monday 00:00."""
    hours = instrument.trading_hours
    pad = [0] * (layout.TRADING_HOURS_MAX - len(hours))
    starts = [(each.day_of_week - 1) * _DAY_MINUTES for each in hours]
    both = list(zip(starts, hours, strict=True))
    return {
        "hours_timezone": layout.words(instrument.hours_timezone, layout.SYMBOL_WORDS),
        "hours_count": len(hours),
        "hours_open_minute": [start + each.opens_minute for start, each in both] + pad,
        "hours_close_minute": [start + each.closes_minute for start, each in both] + pad,
    }


def _order_limits(limits: RiskConfiguration | SymbolRiskConfiguration) -> dict[str, Any]:
    """Return the limits that an account and its symbols have; lots in microlots."""
    return {
        "max_order_value_micros": limit(limits, "max_order_value", layout.MICROS),
        "max_order_microlots": limit(limits, "max_order_lots", layout.MICROS),
        "max_long_microlots": limit(limits, "max_long_lots", layout.MICROS),
        "max_short_microlots": limit(limits, "max_short_lots", layout.MICROS),
    }


def _flow_limits(configuration: RiskConfiguration) -> dict[str, Any]:
    return {
        "message_limit": configuration.message_limit or 0,
        "message_window_ns": limit(configuration, "message_window_ms", layout.MILLISECOND_NS),
        "repeat_limit": configuration.repeat_limit or 0,
        "repeat_window_ns": limit(configuration, "repeat_window_ms", layout.MILLISECOND_NS),
        "duplicate_window_ns": limit(configuration, "duplicate_window_ms", layout.MILLISECOND_NS),
    }
