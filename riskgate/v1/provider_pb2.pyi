import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from riskgate.v1 import admin_pb2 as _admin_pb2
from riskgate.v1 import rights_pb2 as _rights_pb2
from riskgate.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ScoreTrend(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SCORE_TREND_UNSPECIFIED: _ClassVar[ScoreTrend]
    SCORE_TREND_UP: _ClassVar[ScoreTrend]
    SCORE_TREND_STABLE: _ClassVar[ScoreTrend]
    SCORE_TREND_DOWN: _ClassVar[ScoreTrend]

class PeriodType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PERIOD_TYPE_UNSPECIFIED: _ClassVar[PeriodType]
    PERIOD_TYPE_DAILY: _ClassVar[PeriodType]
    PERIOD_TYPE_WEEKLY: _ClassVar[PeriodType]
    PERIOD_TYPE_MONTHLY: _ClassVar[PeriodType]
SCORE_TREND_UNSPECIFIED: ScoreTrend
SCORE_TREND_UP: ScoreTrend
SCORE_TREND_STABLE: ScoreTrend
SCORE_TREND_DOWN: ScoreTrend
PERIOD_TYPE_UNSPECIFIED: PeriodType
PERIOD_TYPE_DAILY: PeriodType
PERIOD_TYPE_WEEKLY: PeriodType
PERIOD_TYPE_MONTHLY: PeriodType

class Provider(_message.Message):
    __slots__ = ("provider_id", "provider_type", "performance_score", "figures", "score_as_of")
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_TYPE_FIELD_NUMBER: _ClassVar[int]
    PERFORMANCE_SCORE_FIELD_NUMBER: _ClassVar[int]
    FIGURES_FIELD_NUMBER: _ClassVar[int]
    SCORE_AS_OF_FIELD_NUMBER: _ClassVar[int]
    provider_id: str
    provider_type: _types_pb2.ProviderType
    performance_score: float
    figures: ProviderFigures
    score_as_of: _timestamp_pb2.Timestamp
    def __init__(self, provider_id: _Optional[str] = ..., provider_type: _Optional[_Union[_types_pb2.ProviderType, str]] = ..., performance_score: _Optional[float] = ..., figures: _Optional[_Union[ProviderFigures, _Mapping]] = ..., score_as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ProviderFigures(_message.Message):
    __slots__ = ("win_rate", "max_drawdown", "reward_to_risk_ratio", "sl_compliance_rate", "score_trend", "total_signals", "winning_signals", "losing_signals", "avg_slippage", "max_slippage", "avg_latency_ms")
    WIN_RATE_FIELD_NUMBER: _ClassVar[int]
    MAX_DRAWDOWN_FIELD_NUMBER: _ClassVar[int]
    REWARD_TO_RISK_RATIO_FIELD_NUMBER: _ClassVar[int]
    SL_COMPLIANCE_RATE_FIELD_NUMBER: _ClassVar[int]
    SCORE_TREND_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIGNALS_FIELD_NUMBER: _ClassVar[int]
    WINNING_SIGNALS_FIELD_NUMBER: _ClassVar[int]
    LOSING_SIGNALS_FIELD_NUMBER: _ClassVar[int]
    AVG_SLIPPAGE_FIELD_NUMBER: _ClassVar[int]
    MAX_SLIPPAGE_FIELD_NUMBER: _ClassVar[int]
    AVG_LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    win_rate: float
    max_drawdown: float
    reward_to_risk_ratio: float
    sl_compliance_rate: float
    score_trend: ScoreTrend
    total_signals: int
    winning_signals: int
    losing_signals: int
    avg_slippage: float
    max_slippage: float
    avg_latency_ms: int
    def __init__(self, win_rate: _Optional[float] = ..., max_drawdown: _Optional[float] = ..., reward_to_risk_ratio: _Optional[float] = ..., sl_compliance_rate: _Optional[float] = ..., score_trend: _Optional[_Union[ScoreTrend, str]] = ..., total_signals: _Optional[int] = ..., winning_signals: _Optional[int] = ..., losing_signals: _Optional[int] = ..., avg_slippage: _Optional[float] = ..., max_slippage: _Optional[float] = ..., avg_latency_ms: _Optional[int] = ...) -> None: ...

class ProviderMetric(_message.Message):
    __slots__ = ("provider_id", "provider_type", "period_start", "period_end", "period_type", "figures", "performance_score")
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_TYPE_FIELD_NUMBER: _ClassVar[int]
    PERIOD_START_FIELD_NUMBER: _ClassVar[int]
    PERIOD_END_FIELD_NUMBER: _ClassVar[int]
    PERIOD_TYPE_FIELD_NUMBER: _ClassVar[int]
    FIGURES_FIELD_NUMBER: _ClassVar[int]
    PERFORMANCE_SCORE_FIELD_NUMBER: _ClassVar[int]
    provider_id: str
    provider_type: _types_pb2.ProviderType
    period_start: str
    period_end: str
    period_type: PeriodType
    figures: ProviderFigures
    performance_score: float
    def __init__(self, provider_id: _Optional[str] = ..., provider_type: _Optional[_Union[_types_pb2.ProviderType, str]] = ..., period_start: _Optional[str] = ..., period_end: _Optional[str] = ..., period_type: _Optional[_Union[PeriodType, str]] = ..., figures: _Optional[_Union[ProviderFigures, _Mapping]] = ..., performance_score: _Optional[float] = ...) -> None: ...

class PutProviderRequest(_message.Message):
    __slots__ = ("provider", "note")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    provider: Provider
    note: _admin_pb2.ChangeNote
    def __init__(self, provider: _Optional[_Union[Provider, _Mapping]] = ..., note: _Optional[_Union[_admin_pb2.ChangeNote, _Mapping]] = ...) -> None: ...

class PutProviderResponse(_message.Message):
    __slots__ = ("provider", "outcome", "state_version")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    STATE_VERSION_FIELD_NUMBER: _ClassVar[int]
    provider: Provider
    outcome: _admin_pb2.ChangeOutcome
    state_version: int
    def __init__(self, provider: _Optional[_Union[Provider, _Mapping]] = ..., outcome: _Optional[_Union[_admin_pb2.ChangeOutcome, str]] = ..., state_version: _Optional[int] = ...) -> None: ...

class GetProviderRequest(_message.Message):
    __slots__ = ("provider_id", "provider_type")
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_TYPE_FIELD_NUMBER: _ClassVar[int]
    provider_id: str
    provider_type: _types_pb2.ProviderType
    def __init__(self, provider_id: _Optional[str] = ..., provider_type: _Optional[_Union[_types_pb2.ProviderType, str]] = ...) -> None: ...

class GetProviderResponse(_message.Message):
    __slots__ = ("provider",)
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    provider: Provider
    def __init__(self, provider: _Optional[_Union[Provider, _Mapping]] = ...) -> None: ...

class ListProvidersRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListProvidersResponse(_message.Message):
    __slots__ = ("providers", "next_page_token")
    PROVIDERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    providers: _containers.RepeatedCompositeFieldContainer[Provider]
    next_page_token: str
    def __init__(self, providers: _Optional[_Iterable[_Union[Provider, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class PutProviderMetricsRequest(_message.Message):
    __slots__ = ("metrics", "note")
    METRICS_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    metrics: _containers.RepeatedCompositeFieldContainer[ProviderMetric]
    note: _admin_pb2.ChangeNote
    def __init__(self, metrics: _Optional[_Iterable[_Union[ProviderMetric, _Mapping]]] = ..., note: _Optional[_Union[_admin_pb2.ChangeNote, _Mapping]] = ...) -> None: ...

class PutProviderMetricsResponse(_message.Message):
    __slots__ = ("written", "unchanged", "scores_moved", "state_version")
    WRITTEN_FIELD_NUMBER: _ClassVar[int]
    UNCHANGED_FIELD_NUMBER: _ClassVar[int]
    SCORES_MOVED_FIELD_NUMBER: _ClassVar[int]
    STATE_VERSION_FIELD_NUMBER: _ClassVar[int]
    written: int
    unchanged: int
    scores_moved: int
    state_version: int
    def __init__(self, written: _Optional[int] = ..., unchanged: _Optional[int] = ..., scores_moved: _Optional[int] = ..., state_version: _Optional[int] = ...) -> None: ...
