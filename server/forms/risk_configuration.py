"""Risk configurations: message with percents to entity with fractions, and back."""

from decimal import Decimal
from typing import Any, Final

from riskgate.v1 import risk_config_pb2 as pb
from server.entities import RegimeThreshold, RiskConfiguration, SymbolRiskConfiguration
from server.errors import InvalidFieldError
from server.forms import fields
from server.forms.order_limits import (
    ACCOUNT_LIMITS,
    ORDER_LIMITS,
    read_flow,
    read_limits,
    write_flow,
    write_limits,
)
from server.hotpath.layout import REGIMES_MAX
from server.record.risk_configurations import StoredRiskConfiguration

_SYMBOLS_MAX: Final = 256
_FACTOR_PERCENT_MAX: Final = "1000000"
_YEAR_MINUTES: Final = 525_600
_LOSSES_MAX: Final = 1_000


def read_risk_configuration(
    message: pb.RiskConfiguration, path: str = "configuration"
) -> RiskConfiguration:
    """Return the configuration a message describes, with fractions for its percents.

    Raises:
        InvalidFieldError: a field is absent, malformed or out of range, also inside a symbol row.
    """

    def share(name: str) -> Decimal:
        return fields.fraction(message, name, path=path)

    def exposure(name: str) -> Decimal:
        return fields.fraction(message, name, _FACTOR_PERCENT_MAX, path=path)

    def strength(name: str) -> Decimal:
        value = fields.number(message, name, "0", "100", path=path)
        return fields.on_grid(value, 6, name, path)

    limits: dict[str, Any] = {
        **read_limits(message, ACCOUNT_LIMITS, path),
        **read_flow(message, path),
    }
    return RiskConfiguration(
        config_id=fields.identifier(message.config_id, "config_id", path=path),
        account_id=fields.identifier(message.account_id, "account_id", path=path),
        position_max_drawdown_fraction=share("position_max_drawdown_percentage"),
        position_trailing_stop_multiplier=strength("position_trailing_stop_multiplier"),
        daily_max_drawdown_fraction=share("daily_max_drawdown_percentage"),
        weekly_max_drawdown_fraction=share("weekly_max_drawdown_percentage"),
        monthly_max_drawdown_fraction=share("monthly_max_drawdown_percentage"),
        max_position_size_fraction=exposure("max_position_size_percentage"),
        max_correlated_exposure_fraction=exposure("max_correlated_exposure_percentage"),
        risk_per_trade_fraction=share("risk_per_trade_percentage"),
        volatility_adjustment_factor=strength("volatility_adjustment_factor"),
        market_regime_thresholds=_read_regimes(message, path),
        cooling_off_period_minutes=fields.whole(
            message, "cooling_off_period_minutes", 0, _YEAR_MINUTES, path=path
        ),
        consecutive_loss_threshold=fields.whole(
            message, "consecutive_loss_threshold", 0, _LOSSES_MAX, path=path
        ),
        is_active=message.is_active if message.HasField("is_active") else True,
        symbol_configs=_read_symbols(message, path),
        max_leverage=_optional_leverage(message, path),
        min_provider_score=_optional_score(message, path),
        **limits,
    )


def write_risk_configuration(stored: StoredRiskConfiguration) -> pb.RiskConfiguration:
    """Return the message that describes a stored configuration, with percents."""
    configuration = stored.configuration
    message = pb.RiskConfiguration(
        config_id=configuration.config_id,
        account_id=configuration.account_id,
        position_max_drawdown_percentage=fields.percent(
            configuration.position_max_drawdown_fraction
        ),
        position_trailing_stop_multiplier=float(configuration.position_trailing_stop_multiplier),
        daily_max_drawdown_percentage=fields.percent(configuration.daily_max_drawdown_fraction),
        weekly_max_drawdown_percentage=fields.percent(configuration.weekly_max_drawdown_fraction),
        monthly_max_drawdown_percentage=fields.percent(configuration.monthly_max_drawdown_fraction),
        max_position_size_percentage=fields.percent(configuration.max_position_size_fraction),
        max_correlated_exposure_percentage=fields.percent(
            configuration.max_correlated_exposure_fraction
        ),
        risk_per_trade_percentage=fields.percent(configuration.risk_per_trade_fraction),
        volatility_adjustment_factor=float(configuration.volatility_adjustment_factor),
        cooling_off_period_minutes=configuration.cooling_off_period_minutes,
        consecutive_loss_threshold=configuration.consecutive_loss_threshold,
        is_active=configuration.is_active,
        symbol_configs=[_write_symbol(symbol) for symbol in configuration.symbol_configs],
        version=stored.version,
        created_at=fields.timestamp(stored.created_at),
        updated_at=fields.timestamp(stored.updated_at),
    )
    for name, rule in configuration.market_regime_thresholds.items():
        threshold = pb.RegimeThreshold(multiplier=float(rule.multiplier), block=rule.block)
        message.market_regime_thresholds[name].CopyFrom(threshold)
    if configuration.max_leverage is not None:
        message.max_leverage = float(configuration.max_leverage)
    if configuration.min_provider_score is not None:
        message.min_provider_score = float(configuration.min_provider_score)
    write_limits(message, configuration, ACCOUNT_LIMITS)
    write_flow(message, configuration)
    return message


def _read_regimes(message: pb.RiskConfiguration, path: str) -> dict[str, RegimeThreshold]:
    path = fields.join(path, "market_regime_thresholds")
    if len(message.market_regime_thresholds) > REGIMES_MAX:
        raise InvalidFieldError(path, f"must have at most {REGIMES_MAX} regimes")
    regimes = {}
    for name, rule in sorted(message.market_regime_thresholds.items()):
        inner = fields.join(path, fields.symbol(name, "regime", path=path))
        multiplier = fields.optional_number(rule, "multiplier", "0", "1", path=inner)
        value = Decimal(1) if multiplier is None else multiplier
        fields.on_grid(value, 6, "multiplier", inner)
        regimes[name] = RegimeThreshold(multiplier=value, block=rule.block)
    return regimes


def _read_symbols(message: pb.RiskConfiguration, path: str) -> tuple[SymbolRiskConfiguration, ...]:
    if len(message.symbol_configs) > _SYMBOLS_MAX:
        problem = f"must have at most {_SYMBOLS_MAX} entries"
        raise InvalidFieldError(fields.join(path, "symbol_configs"), problem)
    rows: dict[str, SymbolRiskConfiguration] = {}
    for position, symbol in enumerate(message.symbol_configs):
        inner = fields.join(path, f"symbol_configs[{position}]")
        row = _read_symbol(symbol, inner)
        if row.symbol in rows:
            raise InvalidFieldError(fields.join(inner, "symbol"), "occurs twice")
        rows[row.symbol] = row
    return tuple(rows[name] for name in sorted(rows))


def _read_symbol(message: pb.SymbolRiskConfiguration, path: str) -> SymbolRiskConfiguration:
    leverage = fields.number(message, "max_leverage", "0", "10000", path=path, above_low=True)
    limits: dict[str, Any] = {**read_limits(message, ORDER_LIMITS, path)}
    return SymbolRiskConfiguration(
        symbol=fields.symbol(message.symbol, path=path),
        max_position_size_fraction=fields.fraction(
            message, "max_position_size_percentage", _FACTOR_PERCENT_MAX, path=path
        ),
        max_leverage=fields.on_grid(leverage, 6, "max_leverage", path),
        position_max_drawdown_fraction=fields.fraction(
            message, "position_max_drawdown_percentage", path=path
        ),
        risk_per_trade_fraction=fields.fraction(message, "risk_per_trade_percentage", path=path),
        override=message.override,
        restricted=message.restricted,
        **limits,
    )


def _write_symbol(symbol: SymbolRiskConfiguration) -> pb.SymbolRiskConfiguration:
    message = pb.SymbolRiskConfiguration(
        symbol=symbol.symbol,
        max_position_size_percentage=fields.percent(symbol.max_position_size_fraction),
        max_leverage=float(symbol.max_leverage),
        position_max_drawdown_percentage=fields.percent(symbol.position_max_drawdown_fraction),
        risk_per_trade_percentage=fields.percent(symbol.risk_per_trade_fraction),
        override=symbol.override,
        restricted=symbol.restricted or None,
    )
    write_limits(message, symbol, ORDER_LIMITS)
    return message


def _optional_leverage(message: pb.RiskConfiguration, path: str) -> Decimal | None:
    name = "max_leverage"
    value = fields.optional_number(message, name, "0", "10000", path=path, above_low=True)
    return None if value is None else fields.on_grid(value, 6, name, path)


def _optional_score(message: pb.RiskConfiguration, path: str) -> Decimal | None:
    name = "min_provider_score"
    value = fields.optional_number(message, name, "0", "100", path=path)
    return None if value is None else fields.on_grid(value, 6, name, path)
