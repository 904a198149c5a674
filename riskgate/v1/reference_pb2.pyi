import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from riskgate.v1 import admin_pb2 as _admin_pb2
from riskgate.v1 import rights_pb2 as _rights_pb2
from riskgate.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Instrument(_message.Message):
    __slots__ = ("symbol", "exchange", "base_currency", "quote_currency", "tick_size", "pip_size", "tick_value", "lot_step", "min_lot", "max_lot", "contract_size", "default_slippage_pips", "commission_per_lot", "correlation_group", "restricted", "collar_percentage", "collar_window_percentage", "collar_window_ms", "hours_timezone", "trading_hours")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    BASE_CURRENCY_FIELD_NUMBER: _ClassVar[int]
    QUOTE_CURRENCY_FIELD_NUMBER: _ClassVar[int]
    TICK_SIZE_FIELD_NUMBER: _ClassVar[int]
    PIP_SIZE_FIELD_NUMBER: _ClassVar[int]
    TICK_VALUE_FIELD_NUMBER: _ClassVar[int]
    LOT_STEP_FIELD_NUMBER: _ClassVar[int]
    MIN_LOT_FIELD_NUMBER: _ClassVar[int]
    MAX_LOT_FIELD_NUMBER: _ClassVar[int]
    CONTRACT_SIZE_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_SLIPPAGE_PIPS_FIELD_NUMBER: _ClassVar[int]
    COMMISSION_PER_LOT_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_GROUP_FIELD_NUMBER: _ClassVar[int]
    RESTRICTED_FIELD_NUMBER: _ClassVar[int]
    COLLAR_PERCENTAGE_FIELD_NUMBER: _ClassVar[int]
    COLLAR_WINDOW_PERCENTAGE_FIELD_NUMBER: _ClassVar[int]
    COLLAR_WINDOW_MS_FIELD_NUMBER: _ClassVar[int]
    HOURS_TIMEZONE_FIELD_NUMBER: _ClassVar[int]
    TRADING_HOURS_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    exchange: str
    base_currency: str
    quote_currency: str
    tick_size: float
    pip_size: float
    tick_value: float
    lot_step: float
    min_lot: float
    max_lot: float
    contract_size: float
    default_slippage_pips: float
    commission_per_lot: float
    correlation_group: str
    restricted: bool
    collar_percentage: float
    collar_window_percentage: float
    collar_window_ms: int
    hours_timezone: str
    trading_hours: _containers.RepeatedCompositeFieldContainer[TradingHours]
    def __init__(self, symbol: _Optional[str] = ..., exchange: _Optional[str] = ..., base_currency: _Optional[str] = ..., quote_currency: _Optional[str] = ..., tick_size: _Optional[float] = ..., pip_size: _Optional[float] = ..., tick_value: _Optional[float] = ..., lot_step: _Optional[float] = ..., min_lot: _Optional[float] = ..., max_lot: _Optional[float] = ..., contract_size: _Optional[float] = ..., default_slippage_pips: _Optional[float] = ..., commission_per_lot: _Optional[float] = ..., correlation_group: _Optional[str] = ..., restricted: _Optional[bool] = ..., collar_percentage: _Optional[float] = ..., collar_window_percentage: _Optional[float] = ..., collar_window_ms: _Optional[int] = ..., hours_timezone: _Optional[str] = ..., trading_hours: _Optional[_Iterable[_Union[TradingHours, _Mapping]]] = ...) -> None: ...

class TradingHours(_message.Message):
    __slots__ = ("day_of_week", "opens", "closes")
    DAY_OF_WEEK_FIELD_NUMBER: _ClassVar[int]
    OPENS_FIELD_NUMBER: _ClassVar[int]
    CLOSES_FIELD_NUMBER: _ClassVar[int]
    day_of_week: int
    opens: str
    closes: str
    def __init__(self, day_of_week: _Optional[int] = ..., opens: _Optional[str] = ..., closes: _Optional[str] = ...) -> None: ...

class Account(_message.Message):
    __slots__ = ("account_id", "currency", "equity", "reservation_ttl_ms", "allow_new_providers", "timezone", "trading_state", "equity_max_age_ms", "equity_as_of", "sandbox")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    EQUITY_FIELD_NUMBER: _ClassVar[int]
    RESERVATION_TTL_MS_FIELD_NUMBER: _ClassVar[int]
    ALLOW_NEW_PROVIDERS_FIELD_NUMBER: _ClassVar[int]
    TIMEZONE_FIELD_NUMBER: _ClassVar[int]
    TRADING_STATE_FIELD_NUMBER: _ClassVar[int]
    EQUITY_MAX_AGE_MS_FIELD_NUMBER: _ClassVar[int]
    EQUITY_AS_OF_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    currency: str
    equity: float
    reservation_ttl_ms: int
    allow_new_providers: bool
    timezone: str
    trading_state: _types_pb2.TradingState
    equity_max_age_ms: int
    equity_as_of: _timestamp_pb2.Timestamp
    sandbox: bool
    def __init__(self, account_id: _Optional[str] = ..., currency: _Optional[str] = ..., equity: _Optional[float] = ..., reservation_ttl_ms: _Optional[int] = ..., allow_new_providers: _Optional[bool] = ..., timezone: _Optional[str] = ..., trading_state: _Optional[_Union[_types_pb2.TradingState, str]] = ..., equity_max_age_ms: _Optional[int] = ..., equity_as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., sandbox: _Optional[bool] = ...) -> None: ...

class PutInstrumentRequest(_message.Message):
    __slots__ = ("instrument", "note")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    instrument: Instrument
    note: _admin_pb2.ChangeNote
    def __init__(self, instrument: _Optional[_Union[Instrument, _Mapping]] = ..., note: _Optional[_Union[_admin_pb2.ChangeNote, _Mapping]] = ...) -> None: ...

class PutInstrumentResponse(_message.Message):
    __slots__ = ("instrument", "outcome", "state_version")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    STATE_VERSION_FIELD_NUMBER: _ClassVar[int]
    instrument: Instrument
    outcome: _admin_pb2.ChangeOutcome
    state_version: int
    def __init__(self, instrument: _Optional[_Union[Instrument, _Mapping]] = ..., outcome: _Optional[_Union[_admin_pb2.ChangeOutcome, str]] = ..., state_version: _Optional[int] = ...) -> None: ...

class GetInstrumentRequest(_message.Message):
    __slots__ = ("symbol",)
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    def __init__(self, symbol: _Optional[str] = ...) -> None: ...

class GetInstrumentResponse(_message.Message):
    __slots__ = ("instrument",)
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    instrument: Instrument
    def __init__(self, instrument: _Optional[_Union[Instrument, _Mapping]] = ...) -> None: ...

class ListInstrumentsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListInstrumentsResponse(_message.Message):
    __slots__ = ("instruments", "next_page_token")
    INSTRUMENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    instruments: _containers.RepeatedCompositeFieldContainer[Instrument]
    next_page_token: str
    def __init__(self, instruments: _Optional[_Iterable[_Union[Instrument, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteInstrumentRequest(_message.Message):
    __slots__ = ("symbol", "note")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    note: _admin_pb2.ChangeNote
    def __init__(self, symbol: _Optional[str] = ..., note: _Optional[_Union[_admin_pb2.ChangeNote, _Mapping]] = ...) -> None: ...

class DeleteInstrumentResponse(_message.Message):
    __slots__ = ("state_version",)
    STATE_VERSION_FIELD_NUMBER: _ClassVar[int]
    state_version: int
    def __init__(self, state_version: _Optional[int] = ...) -> None: ...

class PutAccountRequest(_message.Message):
    __slots__ = ("account", "note")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    account: Account
    note: _admin_pb2.ChangeNote
    def __init__(self, account: _Optional[_Union[Account, _Mapping]] = ..., note: _Optional[_Union[_admin_pb2.ChangeNote, _Mapping]] = ...) -> None: ...

class PutAccountResponse(_message.Message):
    __slots__ = ("account", "outcome", "state_version")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    STATE_VERSION_FIELD_NUMBER: _ClassVar[int]
    account: Account
    outcome: _admin_pb2.ChangeOutcome
    state_version: int
    def __init__(self, account: _Optional[_Union[Account, _Mapping]] = ..., outcome: _Optional[_Union[_admin_pb2.ChangeOutcome, str]] = ..., state_version: _Optional[int] = ...) -> None: ...

class GetAccountRequest(_message.Message):
    __slots__ = ("account_id",)
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    def __init__(self, account_id: _Optional[str] = ...) -> None: ...

class GetAccountResponse(_message.Message):
    __slots__ = ("account",)
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    account: Account
    def __init__(self, account: _Optional[_Union[Account, _Mapping]] = ...) -> None: ...

class ListAccountsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListAccountsResponse(_message.Message):
    __slots__ = ("accounts", "next_page_token")
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    accounts: _containers.RepeatedCompositeFieldContainer[Account]
    next_page_token: str
    def __init__(self, accounts: _Optional[_Iterable[_Union[Account, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteAccountRequest(_message.Message):
    __slots__ = ("account_id", "note")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    note: _admin_pb2.ChangeNote
    def __init__(self, account_id: _Optional[str] = ..., note: _Optional[_Union[_admin_pb2.ChangeNote, _Mapping]] = ...) -> None: ...

class DeleteAccountResponse(_message.Message):
    __slots__ = ("state_version",)
    STATE_VERSION_FIELD_NUMBER: _ClassVar[int]
    state_version: int
    def __init__(self, state_version: _Optional[int] = ...) -> None: ...
