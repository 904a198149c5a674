"""The form of the file that `riskgate apply` reads; unknown keys are refused.

Ranges are the control port's business: here stand names and types, so that there is one rule each.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import (
    AliasChoices,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from server.errors import ConfigurationError

FILE_BYTES_MAX = 64 * 1024 * 1024


def _refuse_truth(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a number")  # noqa: TRY004 - pydantic collects ValueError
    return value


Number = Annotated[float, BeforeValidator(_refuse_truth), Field(allow_inf_nan=False)]
Whole = Annotated[int, BeforeValidator(_refuse_truth)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TradingHoursEntry(_Entry):
    """From opening to closing on one day, such as "09:30" to "16:00"."""

    day_of_week: Whole
    opens: str
    closes: str


class InstrumentEntry(_Entry):
    """One instrument."""

    symbol: str
    exchange: str = ""
    base_currency: str
    quote_currency: str
    tick_size: Number
    pip_size: Number
    tick_value: Number
    lot_step: Number
    min_lot: Number
    max_lot: Number
    contract_size: Number
    default_slippage_pips: Number | None = None
    commission_per_lot: Number | None = None
    correlation_group: str = ""
    restricted: bool | None = None
    collar_percentage: Number | None = None
    collar_window_percentage: Number | None = None
    collar_window_ms: Whole | None = None
    hours_timezone: str = ""
    trading_hours: list[TradingHoursEntry] = Field(default_factory=list)


class AccountEntry(_Entry):
    """One account."""

    account_id: str
    currency: str
    equity: Number | None = None
    equity_as_of: AwareDatetime | None = None
    reservation_ttl_ms: Whole | None = None
    allow_new_providers: bool | None = None
    timezone: str = ""
    trading_state: Literal["active", "reducing", "halted"] = "active"
    equity_max_age_ms: Whole | None = None
    sandbox: bool = False


class ConversionRateEntry(_Entry):
    """One conversion rate."""

    from_currency: str = Field(validation_alias=AliasChoices("from", "from_currency"))
    to_currency: str = Field(validation_alias=AliasChoices("to", "to_currency"))
    rate: Number
    as_of: AwareDatetime | None = None


class RegimeEntry(_Entry):
    """What one regime does to new risk."""

    multiplier: Number | None = None
    block: bool = False


class SymbolConfigEntry(_Entry):
    """Limits of one symbol, in percent."""

    symbol: str
    max_position_size_percentage: Number
    max_leverage: Number
    position_max_drawdown_percentage: Number
    risk_per_trade_percentage: Number
    override: bool = False
    max_order_value: Number | None = None
    max_order_lots: Number | None = None
    max_long_lots: Number | None = None
    max_short_lots: Number | None = None
    restricted: bool | None = None


class RiskConfigurationEntry(_Entry):
    """Limits of one account, in percent."""

    config_id: str
    account_id: str
    position_max_drawdown_percentage: Number
    position_trailing_stop_multiplier: Number
    daily_max_drawdown_percentage: Number
    weekly_max_drawdown_percentage: Number
    monthly_max_drawdown_percentage: Number
    max_position_size_percentage: Number
    max_correlated_exposure_percentage: Number
    risk_per_trade_percentage: Number
    volatility_adjustment_factor: Number
    market_regime_thresholds: dict[str, RegimeEntry] = Field(default_factory=dict)
    cooling_off_period_minutes: Whole
    consecutive_loss_threshold: Whole
    is_active: bool = True
    symbol_configs: list[SymbolConfigEntry] = Field(default_factory=list)
    max_leverage: Number | None = None
    min_provider_score: Number | None = None
    max_order_value: Number | None = None
    max_order_lots: Number | None = None
    max_notional: Number | None = None
    max_long_lots: Number | None = None
    max_short_lots: Number | None = None
    max_strategy_notional: Number | None = None
    message_limit: Whole | None = None
    message_window_ms: Whole | None = None
    repeat_limit: Whole | None = None
    repeat_window_ms: Whole | None = None
    duplicate_window_ms: Whole | None = None


class BreakerParametersEntry(_Entry):
    """Numbers of one breaker."""

    threshold: Number | None = None
    multiplier: Number | None = None
    cooling_off_minutes: Whole | None = None
    half_open_minutes: Whole | None = None
    lock_after_trips: Whole | None = None


class BreakerProviderEntry(_Entry):
    """A provider in the scope of a breaker."""

    provider_id: str
    provider_type: Literal["channel_source", "user"]


class BreakerEntry(_Entry):
    """One circuit breaker; a scope of null means everything."""

    name: str
    description: str | None = None
    account_id: str
    condition: Literal[
        "max_drawdown",
        "daily_loss",
        "weekly_loss",
        "monthly_loss",
        "consecutive_losses",
        "volatility",
        "expression",
    ]
    expression: str | None = None
    action: Literal["block", "reduce_only", "reduce_size", "close_position", "alert"]
    parameters: BreakerParametersEntry = BreakerParametersEntry()
    symbols: Annotated[list[str], Field(min_length=1)] | None = None
    exchanges: Annotated[list[str], Field(min_length=1)] | None = None
    providers: Annotated[list[BreakerProviderEntry], Field(min_length=1)] | None = None
    strategies: Annotated[list[str], Field(min_length=1)] | None = None
    enabled: bool = True


class ProviderEntry(_Entry):
    """One provider with a score, the figures it follows from in percent, or both."""

    provider_id: str = Field(validation_alias=AliasChoices("provider_id", "signal_provider_id"))
    provider_type: Literal["channel_source", "user"] = Field(
        validation_alias=AliasChoices("provider_type", "signal_provider_type")
    )
    performance_score: Number | None = None
    score_as_of: AwareDatetime | None = None
    win_rate: Number | None = None
    max_drawdown: Number | None = None
    reward_to_risk_ratio: Number | None = None
    sl_compliance_rate: Number | None = None
    score_trend: Literal["up", "stable", "down"] | None = None
    total_signals: Whole | None = None
    winning_signals: Whole | None = None
    losing_signals: Whole | None = None
    avg_slippage: Number | None = None
    max_slippage: Number | None = None
    avg_latency_ms: Whole | None = None


class MarketEntry(_Entry):
    """Measurements of one symbol."""

    symbol: str
    atr: Number | None = None
    volatility_index: Number | None = None
    regime: str = ""
    bid: Number | None = None
    ask: Number | None = None
    as_of: AwareDatetime | None = None


class ApplyFile(_Entry):
    """Everything one file describes."""

    instruments: list[InstrumentEntry] = Field(default_factory=list)
    accounts: list[AccountEntry] = Field(default_factory=list)
    conversion_rates: list[ConversionRateEntry] = Field(default_factory=list)
    risk_configurations: list[RiskConfigurationEntry] = Field(default_factory=list)
    circuit_breakers: list[BreakerEntry] = Field(default_factory=list)
    providers: list[ProviderEntry] = Field(default_factory=list)
    market: list[MarketEntry] = Field(default_factory=list)


def read_apply_file(path: Path) -> ApplyFile:
    """Read and check a file.

    Raises:
        ConfigurationError: it cannot be read or its form is wrong; every problem names its path.
    """
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise ConfigurationError([f"{path}: is larger than {FILE_BYTES_MAX} bytes"])
        content = yaml.load(path.read_bytes(), _Loader)  # noqa: S506 - a safe loader
    except OSError as error:
        raise ConfigurationError([f"{path}: {error.strerror}"]) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        cause = " ".join(str(error).split())
        raise ConfigurationError([f"{path}: is not YAML: {cause}"]) from error
    try:
        applied = ApplyFile.model_validate({} if content is None else content)
    except ValidationError as error:
        problems = [f"{_place(problem['loc'])}: {_say(problem)}" for problem in error.errors()]
        raise ConfigurationError(problems) from None
    if problems := list(_find_repeated(applied)):
        raise ConfigurationError(problems)
    return applied


_WHOLE_TAG: Final = "tag:yaml.org,2002:int"
_WHOLE: Final = re.compile(r"[-+]?(?:0b[01_]+|0x[0-9A-Fa-f_]+|0[0-7_]*|[1-9][0-9_]*)$")


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice in one mapping: one of its values would be lost.

    Knows no whole numbers to the base 60: 10:30 is a time of day, not 630.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping of a node."""
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for name in names:
            if name != "<<" and names.count(name) > 1:
                problem = f"key {name} stands twice"
                raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in known if tag != _WHOLE_TAG]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_WHOLE_TAG, _WHOLE, list("-+0123456789"))

# What tells the entries of a list apart.
_KEYS: Final = {
    "instruments": ("symbol",),
    "accounts": ("account_id",),
    "conversion_rates": ("from_currency", "to_currency"),
    "risk_configurations": ("account_id", "config_id"),
    "circuit_breakers": ("account_id", "name"),
    "providers": ("provider_type", "provider_id"),
    "market": ("symbol",),
}


def _find_repeated(content: ApplyFile) -> Iterator[str]:
    for kind, names in _KEYS.items():
        seen: dict[tuple[str, ...], int] = {}
        for index, entry in enumerate(getattr(content, kind)):
            key = tuple(getattr(entry, name) for name in names)
            if seen.setdefault(key, index) != index:
                yield f"{kind}[{index}]: is the same entry as {kind}[{seen[key]}]"


def _place(location: tuple[int | str, ...]) -> str:
    place = ""
    for part in location:
        place += f"[{part}]" if isinstance(part, int) else f".{part}" if place else part
    return place or "file"


def _say(problem: Any) -> str:
    if problem["type"] == "extra_forbidden":
        return "unknown key"
    # Without the name of our class.
    return str(problem["msg"]).removeprefix("Value error, ").split(" or instance of ")[0]
