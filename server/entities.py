"""The things people decide, as plain frozen values in canonical units.

Ratios are fractions, money and prices are decimals, times are aware UTC. What comes from a caller
becomes one of these in `server/forms`, what goes to the engines leaves in `server/changes.py`,
rows are read in `server/record`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

IdentityStatus = Literal["active", "frozen", "revoked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingHours:
    """From opening to closing on one day, ISO weekday and minutes of it: 0 to 1,440, local time."""

    day_of_week: int
    opens_minute: int
    closes_minute: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """What an order can be about; the units are those of riskgate.v1.Instrument."""

    symbol: str
    exchange: str = ""
    base_currency: str
    quote_currency: str
    tick_size: Decimal
    pip_size: Decimal
    tick_value: Decimal
    lot_step: Decimal
    min_lot: Decimal
    max_lot: Decimal
    contract_size: Decimal
    default_slippage_pips: Decimal = Decimal(0)
    commission_per_lot: Decimal = Decimal(0)
    correlation_group: str = ""
    restricted: bool = False
    collar_fraction: Decimal | None = None
    collar_window_fraction: Decimal | None = None
    collar_window_ms: int | None = None
    hours_timezone: str = ""
    trading_hours: tuple[TradingHours, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Whose money an order risks; equity in account currency."""

    account_id: str
    currency: str
    equity: Decimal
    equity_as_of: datetime
    reservation_ttl_ms: int = 30_000
    allow_new_providers: bool = False
    timezone: str = "UTC"
    trading_state: str = "active"
    equity_max_age_ms: int | None = None
    sandbox: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RegimeThreshold:
    """What one market regime does to new risk: a factor of 0 to 1, or a block."""

    multiplier: Decimal = Decimal(1)
    block: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolRiskConfiguration:
    """Limits of one symbol inside a risk configuration."""

    symbol: str
    max_position_size_fraction: Decimal
    max_leverage: Decimal
    position_max_drawdown_fraction: Decimal
    risk_per_trade_fraction: Decimal
    override: bool = False
    max_order_value: Decimal | None = None
    max_order_lots: Decimal | None = None
    max_long_lots: Decimal | None = None
    max_short_lots: Decimal | None = None
    restricted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskConfiguration:
    """Limits of one account; None is no limit."""

    config_id: str
    account_id: str
    position_max_drawdown_fraction: Decimal
    position_trailing_stop_multiplier: Decimal
    daily_max_drawdown_fraction: Decimal
    weekly_max_drawdown_fraction: Decimal
    monthly_max_drawdown_fraction: Decimal
    max_position_size_fraction: Decimal
    max_correlated_exposure_fraction: Decimal
    risk_per_trade_fraction: Decimal
    volatility_adjustment_factor: Decimal
    market_regime_thresholds: Mapping[str, RegimeThreshold] = field(default_factory=dict)
    cooling_off_period_minutes: int
    consecutive_loss_threshold: int
    is_active: bool = True
    symbol_configs: tuple[SymbolRiskConfiguration, ...] = ()
    max_leverage: Decimal | None = None
    min_provider_score: Decimal | None = None
    max_order_value: Decimal | None = None
    max_order_lots: Decimal | None = None
    max_notional: Decimal | None = None
    max_long_lots: Decimal | None = None
    max_short_lots: Decimal | None = None
    max_strategy_notional: Decimal | None = None
    message_limit: int | None = None
    message_window_ms: int | None = None
    repeat_limit: int | None = None
    repeat_window_ms: int | None = None
    duplicate_window_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerProvider:
    """A provider in the scope of a breaker."""

    provider_id: str
    provider_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitBreaker:
    """A condition that stops or shrinks new risk; empty scopes match everything.

    Attributes:
        threshold: Of a built-in condition; None: the condition is an expression.
        expression: CEL; empty: the condition is built in.
    """

    name: str
    description: str = ""
    account_id: str
    condition: str
    action: str
    threshold: Decimal | None = None
    expression: str = ""
    multiplier: Decimal | None = None
    cooling_off_minutes: int | None = None
    half_open_minutes: int | None = None
    lock_after_trips: int | None = None
    symbols: tuple[str, ...] = ()
    exchanges: tuple[str, ...] = ()
    providers: tuple[BreakerProvider, ...] = ()
    strategies: tuple[str, ...] = ()
    enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderFigures:
    """The figures a performance score follows from, and those beside them."""

    win_rate_fraction: Decimal | None = None
    max_drawdown_fraction: Decimal | None = None
    reward_to_risk_ratio: Decimal | None = None
    sl_compliance_fraction: Decimal | None = None
    score_trend: str = "stable"
    total_signals: int | None = None
    winning_signals: int | None = None
    losing_signals: int | None = None
    avg_slippage_pips: Decimal | None = None
    max_slippage_pips: Decimal | None = None
    avg_latency_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A source of signals with its score, 0 to 100."""

    provider_id: str
    provider_type: str
    performance_score: Decimal
    score_as_of: datetime
    figures: ProviderFigures = ProviderFigures()


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketContext:
    """Measurements of one symbol at one instant; None was not measured."""

    symbol: str
    atr: Decimal | None = None
    volatility_index: Decimal | None = None
    regime: str = ""
    bid: Decimal | None = None
    ask: Decimal | None = None
    as_of: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionRate:
    """Units of one currency for one unit of another."""

    from_currency: str
    to_currency: str
    rate: Decimal
    as_of: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityEntry:
    """One entry.

    Attributes:
        uri: As in the certificate.
        accounts: Accounts that a trader may use, sorted.
        every_account: All of them.
        providers: Providers (by provider_id) it may name, sorted; empty: every provider.
        calls_per_second: 1 to 1,000,000; None: the server's default.
        burst: Calls at once, 1 to 1,000,000; None: the server's default.
        status: active; frozen by a rule until a person looks; revoked.
        has_second_factor: It has a secret for one-time codes.
        version: Counts its changes from 1; 0: not stored yet.
        updated_at: Of the last change; None: not stored yet.
    """

    uri: str
    accounts: tuple[str, ...] = ()
    every_account: bool = False
    providers: tuple[str, ...] = ()
    calls_per_second: int | None = None
    burst: int | None = None
    status: IdentityStatus = "active"
    has_second_factor: bool = False
    version: int = 0
    updated_at: datetime | None = None

    @property
    def is_active(self) -> bool:
        """Tell whether it may call at all."""
        return self.status == "active"


def plain(value: object) -> Any:
    """Return an entity as JSON values: decimals and times become text."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return value
