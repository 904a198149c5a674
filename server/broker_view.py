"""What the broker says about an account, and where the engine believed otherwise."""

from typing import NamedTuple


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
