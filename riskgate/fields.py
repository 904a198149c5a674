"""Keyword arguments of the calls: proto fields by name, enumerations also as short words.

`side="buy"` is `SIDE_BUY`, `provider_type="channel_source"` is `PROVIDER_TYPE_CHANNEL_SOURCE`. A
keyword that is None counts as absent, so optional numbers can be passed through as they are.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, TypedDict, TypeVar

import grpc
from google.protobuf.message import Message

from riskgate.errors import NoDecisionError
from riskgate.v1 import decision_pb2

_Message = TypeVar("_Message", bound=Message)


class DecideFields(TypedDict, total=False):
    """Fields of `DecideRequest`; units, ranges and absence as in decision.proto."""

    client_order_id: str | None
    account_id: str
    connection_id: str | None
    provider_id: str | None
    provider_type: str | int | None
    symbol: str
    exchange: str | None
    side: str | int
    order_type: str | int | None
    time_in_force: str | int | None
    entry_price: float | None
    stop_loss: float | None
    take_profit: float | None
    requested_lots: float | None
    reduce_only: bool
    position_id: str | None
    replaces_client_order_id: str | None
    group_id: str | None
    atr: float | None
    volatility_index: float | None
    session: str | int | None
    signal_id: str | None
    strategy_id: str | None
    sent_at: datetime | None
    explain: bool
    dry_run: bool
    min_state_version: int | None


class ReportFields(TypedDict, total=False):
    """Fields of `ExecutionReport`; units, ranges and absence as in decision.proto."""

    report_id: str
    account_id: str
    client_order_id: str | None
    decision_id: int | None
    kind: str | int
    lots: float | None
    price: float | None
    cumulative_lots: float | None
    realised_pnl: float | None
    commission: float | None
    event_time: datetime | None
    position_id: str | None
    symbol: str | None
    side: str | int | None


class SyncFields(TypedDict, total=False):
    """Fields of `SyncAccountRequest`; units, ranges and absence as in decision.proto."""

    account_id: str
    equity: float | None
    as_of: datetime | None
    positions: Iterable[decision_pb2.Position]
    working_orders: Iterable[decision_pb2.WorkingOrder]


def fill_message(
    kind: type[_Message], given: _Message | None, fields: Mapping[str, Any]
) -> _Message:
    """Return a new message: a copy of the given one with the named fields set over it.

    Raises:
        NoDecisionError: INVALID_ARGUMENT, a field is unknown or has a value of the wrong type.
    """
    message = kind()
    if given is not None:
        message.CopyFrom(given)
    for name, value in fields.items():
        if value is not None:
            message.MergeFrom(_build_one(kind, name, value))
    return message


def _build_one(kind: type[_Message], name: str, value: object) -> _Message:
    if name not in kind.DESCRIPTOR.fields_by_name:
        raise _refusal(name, "is not a field of this call")
    if isinstance(value, str):
        value = _read_word(kind, name, value)
    try:
        return kind(**{name: value})
    except (TypeError, ValueError, OverflowError):
        raise _refusal(name, "has a value of the wrong type or out of range") from None


def _read_word(kind: type[Message], name: str, word: str) -> str | int:
    enum: Any = kind.DESCRIPTOR.fields_by_name[name].enum_type
    if enum is None:
        return word
    prefix = enum.values[0].name.removesuffix("UNSPECIFIED")
    found = enum.values_by_name.get(prefix + word.upper().removeprefix(prefix))
    if found is None:
        words = (value.name.removeprefix(prefix).lower() for value in enum.values[1:])
        raise _refusal(name, f"must be one of {', '.join(words)}")
    number: int = found.number
    return number


def _refusal(name: str, problem: str) -> NoDecisionError:
    return NoDecisionError(grpc.StatusCode.INVALID_ARGUMENT, f"{name}: {problem}", name)
