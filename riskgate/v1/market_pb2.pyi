import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from riskgate.v1 import admin_pb2 as _admin_pb2
from riskgate.v1 import rights_pb2 as _rights_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MarketContext(_message.Message):
    __slots__ = ("symbol", "atr", "volatility_index", "regime", "bid", "ask", "as_of")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    ATR_FIELD_NUMBER: _ClassVar[int]
    VOLATILITY_INDEX_FIELD_NUMBER: _ClassVar[int]
    REGIME_FIELD_NUMBER: _ClassVar[int]
    BID_FIELD_NUMBER: _ClassVar[int]
    ASK_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    atr: float
    volatility_index: float
    regime: str
    bid: float
    ask: float
    as_of: _timestamp_pb2.Timestamp
    def __init__(self, symbol: _Optional[str] = ..., atr: _Optional[float] = ..., volatility_index: _Optional[float] = ..., regime: _Optional[str] = ..., bid: _Optional[float] = ..., ask: _Optional[float] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ConversionRate(_message.Message):
    __slots__ = ("from_currency", "to_currency", "rate", "as_of")
    FROM_CURRENCY_FIELD_NUMBER: _ClassVar[int]
    TO_CURRENCY_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    from_currency: str
    to_currency: str
    rate: float
    as_of: _timestamp_pb2.Timestamp
    def __init__(self, from_currency: _Optional[str] = ..., to_currency: _Optional[str] = ..., rate: _Optional[float] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class MarketServicePutRequest(_message.Message):
    __slots__ = ("context", "rate", "keep")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    KEEP_FIELD_NUMBER: _ClassVar[int]
    context: MarketContext
    rate: ConversionRate
    keep: bool
    def __init__(self, context: _Optional[_Union[MarketContext, _Mapping]] = ..., rate: _Optional[_Union[ConversionRate, _Mapping]] = ..., keep: _Optional[bool] = ...) -> None: ...

class MarketServicePutResponse(_message.Message):
    __slots__ = ("accepted", "superseded", "outcomes")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    SUPERSEDED_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    accepted: int
    superseded: int
    outcomes: _containers.RepeatedScalarFieldContainer[_admin_pb2.ChangeOutcome]
    def __init__(self, accepted: _Optional[int] = ..., superseded: _Optional[int] = ..., outcomes: _Optional[_Iterable[_Union[_admin_pb2.ChangeOutcome, str]]] = ...) -> None: ...

class ListMarketContextsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListMarketContextsResponse(_message.Message):
    __slots__ = ("contexts", "next_page_token")
    CONTEXTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    contexts: _containers.RepeatedCompositeFieldContainer[MarketContext]
    next_page_token: str
    def __init__(self, contexts: _Optional[_Iterable[_Union[MarketContext, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListConversionRatesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListConversionRatesResponse(_message.Message):
    __slots__ = ("rates", "next_page_token")
    RATES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    rates: _containers.RepeatedCompositeFieldContainer[ConversionRate]
    next_page_token: str
    def __init__(self, rates: _Optional[_Iterable[_Union[ConversionRate, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
