import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from riskgate.v1 import admin_pb2 as _admin_pb2
from riskgate.v1 import breaker_pb2 as _breaker_pb2
from riskgate.v1 import rights_pb2 as _rights_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RiskConfiguration(_message.Message):
    __slots__ = ("config_id", "account_id", "position_max_drawdown_percentage", "position_trailing_stop_multiplier", "daily_max_drawdown_percentage", "weekly_max_drawdown_percentage", "monthly_max_drawdown_percentage", "max_position_size_percentage", "max_correlated_exposure_percentage", "risk_per_trade_percentage", "volatility_adjustment_factor", "market_regime_thresholds", "cooling_off_period_minutes", "consecutive_loss_threshold", "is_active", "symbol_configs", "max_leverage", "min_provider_score", "version", "created_at", "updated_at", "max_order_value", "max_order_lots", "max_notional", "max_long_lots", "max_short_lots", "max_strategy_notional", "message_limit", "message_window_ms", "repeat_limit", "repeat_window_ms", "duplicate_window_ms")
    class MarketRegimeThresholdsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: RegimeThreshold
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[RegimeThreshold, _Mapping]] = ...) -> None: ...
    CONFIG_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    POSITION_MAX_DRAWDOWN_PERCENTAGE_FIELD_NUMBER: _ClassVar[int]
    POSITION_TRAILING_STOP_MULTIPLIER_FIELD_NUMBER: _ClassVar[int]
    DAILY_MAX_DRAWDOWN_PERCENTAGE_FIELD_NUMBER: _ClassVar[int]
    WEEKLY_MAX_DRAWDOWN_PERCENTAGE_FIELD_NUMBER: _ClassVar[int]
    MONTHLY_MAX_DRAWDOWN_PERCENTAGE_FIELD_NUMBER: _ClassVar[int]
    MAX_POSITION_SIZE_PERCENTAGE_FIELD_NUMBER: _ClassVar[int]
    MAX_CORRELATED_EXPOSURE_PERCENTAGE_FIELD_NUMBER: _ClassVar[int]
    RISK_PER_TRADE_PERCENTAGE_FIELD_NUMBER: _ClassVar[int]
    VOLATILITY_ADJUSTMENT_FACTOR_FIELD_NUMBER: _ClassVar[int]
    MARKET_REGIME_THRESHOLDS_FIELD_NUMBER: _ClassVar[int]
    COOLING_OFF_PERIOD_MINUTES_FIELD_NUMBER: _ClassVar[int]
    CONSECUTIVE_LOSS_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    IS_ACTIVE_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_CONFIGS_FIELD_NUMBER: _ClassVar[int]
    MAX_LEVERAGE_FIELD_NUMBER: _ClassVar[int]
    MIN_PROVIDER_SCORE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    MAX_ORDER_VALUE_FIELD_NUMBER: _ClassVar[int]
    MAX_ORDER_LOTS_FIELD_NUMBER: _ClassVar[int]
    MAX_NOTIONAL_FIELD_NUMBER: _ClassVar[int]
    MAX_LONG_LOTS_FIELD_NUMBER: _ClassVar[int]
    MAX_SHORT_LOTS_FIELD_NUMBER: _ClassVar[int]
    MAX_STRATEGY_NOTIONAL_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_LIMIT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_WINDOW_MS_FIELD_NUMBER: _ClassVar[int]
    REPEAT_LIMIT_FIELD_NUMBER: _ClassVar[int]
    REPEAT_WINDOW_MS_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_WINDOW_MS_FIELD_NUMBER: _ClassVar[int]
    config_id: str
    account_id: str
    position_max_drawdown_percentage: float
    position_trailing_stop_multiplier: float
    daily_max_drawdown_percentage: float
    weekly_max_drawdown_percentage: float
    monthly_max_drawdown_percentage: float
    max_position_size_percentage: float
    max_correlated_exposure_percentage: float
    risk_per_trade_percentage: float
    volatility_adjustment_factor: float
    market_regime_thresholds: _containers.MessageMap[str, RegimeThreshold]
    cooling_off_period_minutes: int
    consecutive_loss_threshold: int
    is_active: bool
    symbol_configs: _containers.RepeatedCompositeFieldContainer[SymbolRiskConfiguration]
    max_leverage: float
    min_provider_score: float
    version: int
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    max_order_value: float
    max_order_lots: float
    max_notional: float
    max_long_lots: float
    max_short_lots: float
    max_strategy_notional: float
    message_limit: int
    message_window_ms: int
    repeat_limit: int
    repeat_window_ms: int
    duplicate_window_ms: int
    def __init__(self, config_id: _Optional[str] = ..., account_id: _Optional[str] = ..., position_max_drawdown_percentage: _Optional[float] = ..., position_trailing_stop_multiplier: _Optional[float] = ..., daily_max_drawdown_percentage: _Optional[float] = ..., weekly_max_drawdown_percentage: _Optional[float] = ..., monthly_max_drawdown_percentage: _Optional[float] = ..., max_position_size_percentage: _Optional[float] = ..., max_correlated_exposure_percentage: _Optional[float] = ..., risk_per_trade_percentage: _Optional[float] = ..., volatility_adjustment_factor: _Optional[float] = ..., market_regime_thresholds: _Optional[_Mapping[str, RegimeThreshold]] = ..., cooling_off_period_minutes: _Optional[int] = ..., consecutive_loss_threshold: _Optional[int] = ..., is_active: _Optional[bool] = ..., symbol_configs: _Optional[_Iterable[_Union[SymbolRiskConfiguration, _Mapping]]] = ..., max_leverage: _Optional[float] = ..., min_provider_score: _Optional[float] = ..., version: _Optional[int] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., max_order_value: _Optional[float] = ..., max_order_lots: _Optional[float] = ..., max_notional: _Optional[float] = ..., max_long_lots: _Optional[float] = ..., max_short_lots: _Optional[float] = ..., max_strategy_notional: _Optional[float] = ..., message_limit: _Optional[int] = ..., message_window_ms: _Optional[int] = ..., repeat_limit: _Optional[int] = ..., repeat_window_ms: _Optional[int] = ..., duplicate_window_ms: _Optional[int] = ...) -> None: ...

class SymbolRiskConfiguration(_message.Message):
    __slots__ = ("symbol", "max_position_size_percentage", "max_leverage", "position_max_drawdown_percentage", "risk_per_trade_percentage", "override", "max_order_value", "max_order_lots", "max_long_lots", "max_short_lots", "restricted")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    MAX_POSITION_SIZE_PERCENTAGE_FIELD_NUMBER: _ClassVar[int]
    MAX_LEVERAGE_FIELD_NUMBER: _ClassVar[int]
    POSITION_MAX_DRAWDOWN_PERCENTAGE_FIELD_NUMBER: _ClassVar[int]
    RISK_PER_TRADE_PERCENTAGE_FIELD_NUMBER: _ClassVar[int]
    OVERRIDE_FIELD_NUMBER: _ClassVar[int]
    MAX_ORDER_VALUE_FIELD_NUMBER: _ClassVar[int]
    MAX_ORDER_LOTS_FIELD_NUMBER: _ClassVar[int]
    MAX_LONG_LOTS_FIELD_NUMBER: _ClassVar[int]
    MAX_SHORT_LOTS_FIELD_NUMBER: _ClassVar[int]
    RESTRICTED_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    max_position_size_percentage: float
    max_leverage: float
    position_max_drawdown_percentage: float
    risk_per_trade_percentage: float
    override: bool
    max_order_value: float
    max_order_lots: float
    max_long_lots: float
    max_short_lots: float
    restricted: bool
    def __init__(self, symbol: _Optional[str] = ..., max_position_size_percentage: _Optional[float] = ..., max_leverage: _Optional[float] = ..., position_max_drawdown_percentage: _Optional[float] = ..., risk_per_trade_percentage: _Optional[float] = ..., override: _Optional[bool] = ..., max_order_value: _Optional[float] = ..., max_order_lots: _Optional[float] = ..., max_long_lots: _Optional[float] = ..., max_short_lots: _Optional[float] = ..., restricted: _Optional[bool] = ...) -> None: ...

class RegimeThreshold(_message.Message):
    __slots__ = ("multiplier", "block")
    MULTIPLIER_FIELD_NUMBER: _ClassVar[int]
    BLOCK_FIELD_NUMBER: _ClassVar[int]
    multiplier: float
    block: bool
    def __init__(self, multiplier: _Optional[float] = ..., block: _Optional[bool] = ...) -> None: ...

class CreateRiskConfigurationRequest(_message.Message):
    __slots__ = ("configuration", "note")
    CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    configuration: RiskConfiguration
    note: _admin_pb2.ChangeNote
    def __init__(self, configuration: _Optional[_Union[RiskConfiguration, _Mapping]] = ..., note: _Optional[_Union[_admin_pb2.ChangeNote, _Mapping]] = ...) -> None: ...

class CreateRiskConfigurationResponse(_message.Message):
    __slots__ = ("configuration", "state_version")
    CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    STATE_VERSION_FIELD_NUMBER: _ClassVar[int]
    configuration: RiskConfiguration
    state_version: int
    def __init__(self, configuration: _Optional[_Union[RiskConfiguration, _Mapping]] = ..., state_version: _Optional[int] = ...) -> None: ...

class UpdateRiskConfigurationRequest(_message.Message):
    __slots__ = ("configuration", "expected_version", "note")
    CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    configuration: RiskConfiguration
    expected_version: int
    note: _admin_pb2.ChangeNote
    def __init__(self, configuration: _Optional[_Union[RiskConfiguration, _Mapping]] = ..., expected_version: _Optional[int] = ..., note: _Optional[_Union[_admin_pb2.ChangeNote, _Mapping]] = ...) -> None: ...

class UpdateRiskConfigurationResponse(_message.Message):
    __slots__ = ("configuration", "outcome", "state_version")
    CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    STATE_VERSION_FIELD_NUMBER: _ClassVar[int]
    configuration: RiskConfiguration
    outcome: _admin_pb2.ChangeOutcome
    state_version: int
    def __init__(self, configuration: _Optional[_Union[RiskConfiguration, _Mapping]] = ..., outcome: _Optional[_Union[_admin_pb2.ChangeOutcome, str]] = ..., state_version: _Optional[int] = ...) -> None: ...

class GetRiskConfigurationRequest(_message.Message):
    __slots__ = ("config_id", "account_id")
    CONFIG_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    config_id: str
    account_id: str
    def __init__(self, config_id: _Optional[str] = ..., account_id: _Optional[str] = ...) -> None: ...

class GetRiskConfigurationResponse(_message.Message):
    __slots__ = ("configuration",)
    CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    configuration: RiskConfiguration
    def __init__(self, configuration: _Optional[_Union[RiskConfiguration, _Mapping]] = ...) -> None: ...

class ListRiskConfigurationsRequest(_message.Message):
    __slots__ = ("account_id", "page_size", "page_token")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    page_size: int
    page_token: str
    def __init__(self, account_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListRiskConfigurationsResponse(_message.Message):
    __slots__ = ("configurations", "next_page_token")
    CONFIGURATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    configurations: _containers.RepeatedCompositeFieldContainer[RiskConfiguration]
    next_page_token: str
    def __init__(self, configurations: _Optional[_Iterable[_Union[RiskConfiguration, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteRiskConfigurationRequest(_message.Message):
    __slots__ = ("config_id", "account_id", "note")
    CONFIG_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    config_id: str
    account_id: str
    note: _admin_pb2.ChangeNote
    def __init__(self, config_id: _Optional[str] = ..., account_id: _Optional[str] = ..., note: _Optional[_Union[_admin_pb2.ChangeNote, _Mapping]] = ...) -> None: ...

class DeleteRiskConfigurationResponse(_message.Message):
    __slots__ = ("state_version",)
    STATE_VERSION_FIELD_NUMBER: _ClassVar[int]
    state_version: int
    def __init__(self, state_version: _Optional[int] = ...) -> None: ...

class LoadRiskConfigurationRequest(_message.Message):
    __slots__ = ("config_id", "account_id")
    CONFIG_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    config_id: str
    account_id: str
    def __init__(self, config_id: _Optional[str] = ..., account_id: _Optional[str] = ...) -> None: ...

class AccountLimits(_message.Message):
    __slots__ = ("configuration", "breakers", "breakers_saved_at")
    CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    BREAKERS_FIELD_NUMBER: _ClassVar[int]
    BREAKERS_SAVED_AT_FIELD_NUMBER: _ClassVar[int]
    configuration: RiskConfiguration
    breakers: _containers.RepeatedCompositeFieldContainer[_breaker_pb2.CircuitBreaker]
    breakers_saved_at: _timestamp_pb2.Timestamp
    def __init__(self, configuration: _Optional[_Union[RiskConfiguration, _Mapping]] = ..., breakers: _Optional[_Iterable[_Union[_breaker_pb2.CircuitBreaker, _Mapping]]] = ..., breakers_saved_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class LoadRiskConfigurationResponse(_message.Message):
    __slots__ = ("limits",)
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    limits: AccountLimits
    def __init__(self, limits: _Optional[_Union[AccountLimits, _Mapping]] = ...) -> None: ...

class SaveRiskConfigurationRequest(_message.Message):
    __slots__ = ("config_id", "account_id", "expected_version", "note")
    CONFIG_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    config_id: str
    account_id: str
    expected_version: int
    note: _admin_pb2.ChangeNote
    def __init__(self, config_id: _Optional[str] = ..., account_id: _Optional[str] = ..., expected_version: _Optional[int] = ..., note: _Optional[_Union[_admin_pb2.ChangeNote, _Mapping]] = ...) -> None: ...

class SaveRiskConfigurationResponse(_message.Message):
    __slots__ = ("limits", "outcome")
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    limits: AccountLimits
    outcome: _admin_pb2.ChangeOutcome
    def __init__(self, limits: _Optional[_Union[AccountLimits, _Mapping]] = ..., outcome: _Optional[_Union[_admin_pb2.ChangeOutcome, str]] = ...) -> None: ...

class EnableStrategyRequest(_message.Message):
    __slots__ = ("account_id", "strategy_id", "note")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_ID_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    strategy_id: str
    note: _admin_pb2.ChangeNote
    def __init__(self, account_id: _Optional[str] = ..., strategy_id: _Optional[str] = ..., note: _Optional[_Union[_admin_pb2.ChangeNote, _Mapping]] = ...) -> None: ...

class EnableStrategyResponse(_message.Message):
    __slots__ = ("enabled_at", "state_version")
    ENABLED_AT_FIELD_NUMBER: _ClassVar[int]
    STATE_VERSION_FIELD_NUMBER: _ClassVar[int]
    enabled_at: _timestamp_pb2.Timestamp
    state_version: int
    def __init__(self, enabled_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., state_version: _Optional[int] = ...) -> None: ...
