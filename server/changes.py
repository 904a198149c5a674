"""Entity to state change: where decimals become ticks, steps, ppm, micros and picos.

All arithmetic is decimal. A value that is not on its grid or leaves its range is refused by name;
nothing is rounded, except a conversion rate and a notional, which round up (against the trader).
"""

import math
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, Context, Decimal, localcontext
from typing import Any, Final

import numpy as np

from riskgate.v1 import identity_pb2, state_pb2, types_pb2
from server.entities import (
    Account,
    CircuitBreaker,
    ConversionRate,
    IdentityEntry,
    Instrument,
    MarketContext,
    Provider,
    RiskConfiguration,
)
from server.errors import InvalidFieldError
from server.hotpath import layout
from server.policy import policy_row

_CONTEXT: Final = Context(prec=60)
_INT64_MAX: Final = 2**63 - 1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE_NS: Final = 60 * layout.SECOND_NS

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
BREAKER_CONDITIONS: Final = {
    "max_drawdown": types_pb2.BREAKER_CONDITION_MAX_DRAWDOWN,
    "daily_loss": types_pb2.BREAKER_CONDITION_DAILY_LOSS,
    "weekly_loss": types_pb2.BREAKER_CONDITION_WEEKLY_LOSS,
    "monthly_loss": types_pb2.BREAKER_CONDITION_MONTHLY_LOSS,
    "consecutive_losses": types_pb2.BREAKER_CONDITION_CONSECUTIVE_LOSSES,
    "volatility": types_pb2.BREAKER_CONDITION_VOLATILITY,
}
IDENTITY_STATUSES: Final = {
    "active": identity_pb2.IDENTITY_STATUS_ACTIVE,
    "frozen": identity_pb2.IDENTITY_STATUS_FROZEN,
    "revoked": identity_pb2.IDENTITY_STATUS_REVOKED,
}
BREAKER_ACTIONS: Final = {
    "block": types_pb2.BREAKER_ACTION_BLOCK,
    "reduce_only": types_pb2.BREAKER_ACTION_REDUCE_ONLY,
    "reduce_size": types_pb2.BREAKER_ACTION_REDUCE_SIZE,
    "close_position": types_pb2.BREAKER_ACTION_CLOSE,
    "alert": types_pb2.BREAKER_ACTION_ALERT,
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
    with localcontext(_CONTEXT):
        tick_mantissa, tick_scale = _fraction(instrument.tick_size, "tick_size", 10**10, 10**12)
        lot_mantissa, lot_scale = _fraction(instrument.lot_step, "lot_step", 10**6, 10**8)
        min_lot = _multiple(instrument.min_lot, instrument.lot_step, "min_lot", "lot_step")
        max_lot = _multiple(instrument.max_lot, instrument.lot_step, "max_lot", "lot_step")
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
            "ticks_per_pip": _multiple(
                instrument.pip_size, instrument.tick_size, "pip_size", "tick_size"
            ),
            "tick_value_picos": _scaled(instrument.tick_value, layout.PICOS, "tick_value", low=1),
            "tick_notional_picos": _scaled_up(
                instrument.tick_size * instrument.contract_size, layout.PICOS, "contract_size"
            ),
            "lot_mantissa": lot_mantissa,
            "lot_scale": lot_scale,
            "min_lot_steps": min_lot,
            "max_lot_steps": max_lot,
            "default_slippage_micropips": _scaled(
                instrument.default_slippage_pips, layout.MICROS, "default_slippage_pips"
            ),
            "commission_per_lot_micros": _scaled(
                instrument.commission_per_lot, layout.MICROS, "commission_per_lot"
            ),
        }
    return _rows(layout.CHANGE_INSTRUMENT, [values])


def account_rows(account: Account) -> bytes:
    """Encode an account with its equity mark."""
    max_age_ms = account.equity_max_age_ms
    values = {
        "account_id": layout.words(account.account_id),
        "timezone": layout.words(account.timezone, layout.SYMBOL_WORDS),
        "currency": layout.currency_word(account.currency),
        "equity_micros": _scaled(account.equity, layout.MICROS, "equity", low=1),
        "equity_at_ns": unix_ns(account.equity_as_of),
        "equity_max_age_ns": layout.NOT_SET
        if max_age_ms is None
        else max_age_ms * layout.MILLISECOND_NS,
        "reservation_ttl_ns": account.reservation_ttl_ms * layout.MILLISECOND_NS,
        "trading_state": TRADING_STATES[account.trading_state],
        "allow_new_providers": int(account.allow_new_providers),
    }
    return _rows(layout.CHANGE_ACCOUNT, [values])


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
        "position_max_drawdown_ppm": _ppm(configuration, "position_max_drawdown_fraction"),
        "max_position_size_ppm": _ppm(configuration, "max_position_size_fraction"),
        "max_leverage_ppm": _ppm(configuration, "max_leverage"),
        "risk_per_trade_ppm": _ppm(configuration, "risk_per_trade_fraction"),
        "position_trailing_stop_ppm": _ppm(configuration, "position_trailing_stop_multiplier"),
        "daily_max_drawdown_ppm": _ppm(configuration, "daily_max_drawdown_fraction"),
        "weekly_max_drawdown_ppm": _ppm(configuration, "weekly_max_drawdown_fraction"),
        "monthly_max_drawdown_ppm": _ppm(configuration, "monthly_max_drawdown_fraction"),
        "max_correlated_exposure_ppm": _ppm(configuration, "max_correlated_exposure_fraction"),
        "volatility_adjustment_ppm": _ppm(configuration, "volatility_adjustment_factor"),
        "cooling_off_ns": configuration.cooling_off_period_minutes * _MINUTE_NS,
        "consecutive_loss_threshold": configuration.consecutive_loss_threshold,
        "min_provider_score_micropoints": _ppm(configuration, "min_provider_score"),
        "regime_count": len(regimes),
        "regime_names": np.concatenate(
            [layout.words(name, layout.SYMBOL_WORDS) for name, _ in regimes]
            + [np.zeros(pad * layout.SYMBOL_WORDS, dtype="<i8")]
        ),
        "regime_multiplier_ppm": [_ppm(rule, "multiplier") for _, rule in regimes] + [0] * pad,
        "regime_blocked": [int(rule.block) for _, rule in regimes] + [0] * pad,
    }
    overrides = [
        {
            "account_id": account_id,
            "symbol": layout.words(symbol.symbol, layout.SYMBOL_WORDS),
            "override": int(symbol.override),
            "position_max_drawdown_ppm": _ppm(symbol, "position_max_drawdown_fraction"),
            "max_position_size_ppm": _ppm(symbol, "max_position_size_fraction"),
            "max_leverage_ppm": _ppm(symbol, "max_leverage"),
            "risk_per_trade_ppm": _ppm(symbol, "risk_per_trade_fraction"),
        }
        for symbol in configuration.symbol_configs
    ]
    return _rows(layout.CHANGE_RISK_CONFIGURATION, [own, *overrides])


def provider_rows(provider: Provider) -> bytes:
    """Encode a provider's score."""
    values = {
        "provider_id": layout.words(provider.provider_id),
        "provider_type": PROVIDER_TYPES[provider.provider_type],
        "score_micropoints": _ppm(provider, "performance_score"),
        "calculated_at_ns": unix_ns(provider.score_as_of),
    }
    return _rows(layout.CHANGE_PROVIDER, [values])


def breaker_rows(breaker: CircuitBreaker, breaker_id: str) -> bytes:
    """Encode a breaker; the threshold's unit follows from its condition."""
    counts_losses = breaker.condition == "consecutive_losses"
    scale = 1 if counts_losses else layout.PPM
    multiplier = Decimal("0.5") if breaker.multiplier is None else breaker.multiplier
    symbols, exchanges = layout.BREAKER_SYMBOLS_MAX, layout.BREAKER_EXCHANGES_MAX
    values = {
        "breaker_id": layout.words(breaker_id),
        "name": layout.words(breaker.name),
        "account_id": layout.words(breaker.account_id),
        "condition": BREAKER_CONDITIONS[breaker.condition],
        "action": BREAKER_ACTIONS[breaker.action],
        "enabled": int(breaker.enabled),
        "threshold": _scaled(breaker.threshold, scale, "parameters.threshold"),
        "multiplier_ppm": _scaled(multiplier, layout.PPM, "parameters.multiplier"),
        "cooling_off_ns": (breaker.cooling_off_minutes or 0) * _MINUTE_NS,
        "symbol_count": len(breaker.symbols),
        "exchange_count": len(breaker.exchanges),
        "symbols": _names(breaker.symbols, symbols, "symbols"),
        "exchanges": _names(breaker.exchanges, exchanges, "exchanges"),
    }
    return _rows(layout.CHANGE_BREAKER, [values])


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
        name: _rows(layout.CHANGE_MARKET, [blank | measured]) for name, measured in parts.items()
    }


def conversion_rate_rows(rate: ConversionRate) -> bytes:
    """Encode a conversion rate."""
    values = {
        "from_currency": layout.currency_word(rate.from_currency),
        "to_currency": layout.currency_word(rate.to_currency),
        "rate_picos": _scaled_up(rate.rate, layout.PICOS, "rate"),
        "as_of_ns": unix_ns(rate.as_of),
    }
    return _rows(layout.CHANGE_CONVERSION_RATE, [values])


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
    return _rows(layout.CHANGE_MODEL, [values])


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
    return _rows(layout.CHANGE_HEARTBEAT, [values])


def unix_ns(moment: datetime) -> int:
    """Return an aware time as whole Unix nanoseconds, without passing through a float."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1_000


def _rows(dtype: np.dtype[np.void], records: Sequence[dict[str, Any]]) -> bytes:
    table = np.zeros(len(records), dtype=dtype)
    for row, record in enumerate(records):
        for column, value in record.items():
            table[column][row] = value
    return table.tobytes()


def _names(names: Sequence[str], count_max: int, field: str) -> np.ndarray[Any, Any]:
    if len(names) > count_max:
        raise InvalidFieldError(field, "has too many entries")
    packed = np.zeros(count_max * layout.SYMBOL_WORDS, dtype="<i8")
    for position, name in enumerate(names):
        start = position * layout.SYMBOL_WORDS
        packed[start : start + layout.SYMBOL_WORDS] = layout.words(name, layout.SYMBOL_WORDS)
    return packed


def _ppm(entity: object, attribute: str) -> int:
    """Return a ratio as ppm, or points as micropoints; None is NOT_SET."""
    value: Decimal | None = getattr(entity, attribute)
    return layout.NOT_SET if value is None else _scaled(value, layout.PPM, attribute)


def _scaled(value: Decimal, scale: int, field: str, *, low: int = 0) -> int:
    with localcontext(_CONTEXT):
        scaled = value * scale
        if scaled != scaled.to_integral_value():
            raise InvalidFieldError(field, "has too many decimals")
        return _bounded(int(scaled), field, low)


def _scaled_up(value: Decimal, scale: int, field: str) -> int:
    with localcontext(_CONTEXT):
        whole = (value * scale).to_integral_value(rounding=ROUND_CEILING)
        return _bounded(int(whole), field, 1)


def _bounded(value: int, field: str, low: int) -> int:
    if not low <= value <= _INT64_MAX:
        raise InvalidFieldError(field, "is out of range")
    return value


def _multiple(value: Decimal, step: Decimal, field: str, step_field: str) -> int:
    count = value / step
    if count != count.to_integral_value() or count < 1:
        raise InvalidFieldError(field, f"must be a whole number of {step_field}")
    return int(count)


def _fraction(value: Decimal, field: str, mantissa_max: int, scale_max: int) -> tuple[int, int]:
    """Split a decimal into mantissa and power of ten."""
    if value <= 0:
        raise InvalidFieldError(field, "must be positive")
    exponent = value.normalize().as_tuple().exponent
    scale = 10 ** max(0, -int(exponent))
    mantissa = int(value * scale)
    if scale > scale_max or mantissa > mantissa_max:
        raise InvalidFieldError(field, "has too many digits")
    return mantissa, scale
