"""SyncAccount between message and broker view; every number is checked here, before the engine."""

import math
from decimal import ROUND_FLOOR, Decimal
from typing import Final

from riskgate.v1.decision_pb2 import Position, SyncAccountRequest, SyncAccountResponse, WorkingOrder
from server.broker_view import BrokerOrder, BrokerPosition, Difference
from server.errors import InvalidFieldError
from server.hotpath.layout import (
    EQUITY_MICROS_MAX,
    ID_BYTES_MAX,
    MICROS,
    SECOND_NS,
    SYMBOL_BYTES_MAX,
)
from server.services.convert import check_text, read_time

ITEMS_MAX: Final = 4_096
# How far a caller's clock may run ahead of ours.
FUTURE_NS_MAX: Final = 60 * SECOND_NS
_EQUITY_MAX: Final = EQUITY_MICROS_MAX // MICROS
_SIDES: Final = (1, 2)


def read_account_id(message: SyncAccountRequest) -> str:
    """Return the account.

    Raises:
        InvalidFieldError: Empty or too long.
    """
    return _required_text("account_id", message.account_id, ID_BYTES_MAX)


def read_equity(message: SyncAccountRequest) -> int | None:
    """Return the equity in micros, rounded down; None when the message has none.

    Raises:
        InvalidFieldError: Not finite, not above 0, or above 1e12.
    """
    if not message.HasField("equity"):
        return None
    equity = _positive("equity", message.equity)
    if equity > _EQUITY_MAX:
        raise InvalidFieldError("equity", "is out of range")
    # The shortest decimal that prints the same is what the caller wrote.
    return int(Decimal(repr(equity)).scaleb(6).to_integral_value(ROUND_FLOOR))


def read_as_of(message: SyncAccountRequest, received_ns: int) -> int:
    """Return when the figures were true, Unix nanoseconds; the time of receipt if not stated.

    Raises:
        InvalidFieldError: Out of range, or in the future: later equity would seem older than it.
    """
    if not message.HasField("as_of"):
        return received_ns
    as_of_ns = read_time("as_of", message.as_of)
    if as_of_ns > received_ns + FUTURE_NS_MAX:
        raise InvalidFieldError("as_of", "must not lie in the future")
    return as_of_ns


def read_positions(message: SyncAccountRequest) -> list[BrokerPosition]:
    """Return the open positions.

    Raises:
        InvalidFieldError: Too many, or a field of one is absent or wrong.
    """
    if len(message.positions) > ITEMS_MAX:
        raise InvalidFieldError("positions", f"must have at most {ITEMS_MAX} items")
    return [
        _read_position(position, f"positions[{index}]")
        for index, position in enumerate(message.positions)
    ]


def read_working_orders(message: SyncAccountRequest) -> list[BrokerOrder]:
    """Return the working orders.

    Raises:
        InvalidFieldError: Too many, or a field of one is absent or wrong.
    """
    if len(message.working_orders) > ITEMS_MAX:
        raise InvalidFieldError("working_orders", f"must have at most {ITEMS_MAX} items")
    return [
        _read_order(order, f"working_orders[{index}]")
        for index, order in enumerate(message.working_orders)
    ]


def write_differences(differences: list[Difference], sequence: int) -> SyncAccountResponse:
    """Build the answer."""
    response = SyncAccountResponse(sequence=sequence)
    for difference in differences:
        response.differences.add(**difference._asdict())
    return response


def _read_position(position: Position, path: str) -> BrokerPosition:
    check_text(f"{path}.position_id", position.position_id, ID_BYTES_MAX)
    stop_loss = None
    if position.HasField("stop_loss"):
        stop_loss = _positive(f"{path}.stop_loss", position.stop_loss)
    return BrokerPosition(
        position.position_id,
        _required_text(f"{path}.symbol", position.symbol, SYMBOL_BYTES_MAX),
        _side(f"{path}.side", position.side),
        _required_positive(position, "lots", path),
        _required_positive(position, "average_price", path),
        stop_loss,
    )


def _read_order(order: WorkingOrder, path: str) -> BrokerOrder:
    return BrokerOrder(
        _required_text(f"{path}.client_order_id", order.client_order_id, ID_BYTES_MAX),
        _required_text(f"{path}.symbol", order.symbol, SYMBOL_BYTES_MAX),
        _side(f"{path}.side", order.side),
        _required_positive(order, "lots", path),
        _required_positive(order, "price", path),
    )


def _required_text(field: str, value: str, bytes_max: int) -> str:
    if not value:
        raise InvalidFieldError(field, "is required")
    check_text(field, value, bytes_max)
    return value


def _required_positive(message: Position | WorkingOrder, name: str, path: str) -> float:
    field = f"{path}.{name}"
    # Both messages have the field; the generated types know only their own.
    if not message.HasField(name):
        raise InvalidFieldError(field, "is required")
    return _positive(field, getattr(message, name))


def _positive(field: str, value: float) -> float:
    if not math.isfinite(value):
        raise InvalidFieldError(field, "must be a finite number")
    if not value > 0.0:
        raise InvalidFieldError(field, "must be greater than zero")
    return value


def _side(field: str, side: int) -> int:
    if side == 0:
        raise InvalidFieldError(field, "is required")
    if side not in _SIDES:
        raise InvalidFieldError(field, "is not a known value")
    return side
