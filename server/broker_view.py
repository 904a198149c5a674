"""What the broker says about an account, and where the engine believed otherwise."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from server.errors import InvalidFieldError
from server.hotpath.layout import (
    LOT_STEPS_MAX,
    MICROS,
    PRICE_TICKS_MAX,
    SYMBOL_WORDS,
    text,
    words,
)
from server.hotpath.records import (
    DIFFERENCE_EQUITY,
    DIFFERENCE_ORDER,
    DIFFERENCE_POSITION,
    SYNC_ORDER,
    SYNC_POSITION,
)

if TYPE_CHECKING:
    from server.hotpath.memory import State

Rows = np.ndarray[Any, np.dtype[Any]]
_VALUES = ("engine_value", "broker_value")
# The least price that counts as one tick.
_TICKS_MIN = 0.5


class BrokerPosition(NamedTuple):
    """One open position.

    Attributes:
        position_id: Empty for the net position of account and symbol.
        symbol: Up to 32 bytes.
        side: riskgate.v1.Side, BUY is long.
        lots: Above 0.
        average_price: Average entry in quote currency, above 0.
        stop_loss: None when there is no stop in the market.
    """

    position_id: str
    symbol: str
    side: int
    lots: float
    average_price: float
    stop_loss: float | None


class BrokerOrder(NamedTuple):
    """One working order.

    Attributes:
        client_order_id: The caller's name for it.
        symbol: Up to 32 bytes.
        side: riskgate.v1.Side.
        lots: Not yet filled, above 0.
        price: Limit or stop price in quote currency, above 0.
    """

    client_order_id: str
    symbol: str
    side: int
    lots: float
    price: float


class Difference(NamedTuple):
    """One thing on which engine and broker disagreed.

    Attributes:
        subject: "equity", "position" or "working_order".
        symbol: Empty for equity.
        id: Position or client order id.
        engine_value: Lots, negative is short, or account currency.
        broker_value: In the same unit.
    """

    subject: str
    symbol: str
    id: str
    engine_value: float
    broker_value: float


def position_rows(positions: list[BrokerPosition]) -> Rows:
    """Pack positions into SYNC_POSITION rows."""
    rows = np.zeros(len(positions), SYNC_POSITION)
    for row, position in zip(rows, positions, strict=True):
        row["position_id"] = words(position.position_id)
        row["symbol"] = words(position.symbol, SYMBOL_WORDS)
        row["side"] = position.side
        row["lots"] = position.lots
        row["average_price"] = position.average_price
        row["stop_loss"] = math.nan if position.stop_loss is None else position.stop_loss
    return rows


def order_rows(orders: list[BrokerOrder]) -> Rows:
    """Pack working orders into SYNC_ORDER rows."""
    rows = np.zeros(len(orders), SYNC_ORDER)
    for row, order in zip(rows, orders, strict=True):
        row["client_order_id"] = words(order.client_order_id)
        row["symbol"] = words(order.symbol, SYMBOL_WORDS)
        row["side"] = order.side
        row["lots"] = order.lots
    return rows


def check_position(instrument: Rows, position: BrokerPosition, path: str) -> None:
    """Refuse a position with numbers beyond what the engine counts: it must not get lost.

    Raises:
        InvalidFieldError: lots or a price is out of the range of the instrument.
    """
    _check_lots(instrument, position.lots, path)
    tick_size = float(instrument["tick_size"])
    for name in ("average_price", "stop_loss"):
        price = getattr(position, name)
        # An average need not lie on the grid: it counts as the nearest tick.
        if price is not None and not _TICKS_MIN <= price / tick_size <= PRICE_TICKS_MAX:
            raise InvalidFieldError(f"{path}.{name}", "is out of range")


def check_order(instrument: Rows, order: BrokerOrder, path: str) -> None:
    """Refuse a working order with more lots than the engine counts.

    Raises:
        InvalidFieldError: lots are out of the range of the instrument.
    """
    _check_lots(instrument, order.lots, path)


def _check_lots(instrument: Rows, lots: float, path: str) -> None:
    if lots * float(instrument["lot_scale"]) / float(instrument["lot_mantissa"]) > LOT_STEPS_MAX:
        raise InvalidFieldError(f"{path}.lots", "is out of range")


def read_differences(state: State, rows: Rows, orders: list[BrokerOrder]) -> list[Difference]:
    """Name what DIFFERENCE rows point at, in lots and money."""
    return [_read_difference(state, row, orders) for row in rows]


def _read_difference(state: State, row: Rows, orders: list[BrokerOrder]) -> Difference:
    subject = int(row["subject"])
    if subject == DIFFERENCE_EQUITY:
        return Difference(
            "equity",
            "",
            "",
            float(row["engine_value"]) / MICROS,
            float(row["broker_value"]) / MICROS,
        )
    if subject == DIFFERENCE_ORDER:
        order = orders[int(row["row"])]
        return Difference("working_order", order.symbol, order.client_order_id, 0.0, order.lots)
    if subject == DIFFERENCE_POSITION:
        source, name = state.positions.rows[int(row["row"])], "position"
        label = text(source["position_id"])
    else:
        source, name = state.reservations.rows[int(row["row"])], "working_order"
        label = f"decision {int(source['decision_id'])}"
    instrument = state.instruments.rows[int(source["instrument_row"])]
    step = float(instrument["lot_mantissa"]) / float(instrument["lot_scale"])
    believed, said = (round(float(row[column]) * step, 8) for column in _VALUES)
    return Difference(name, text(instrument["symbol"]), label, believed, said)
