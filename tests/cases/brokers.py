"""What a broker of the random world says."""

import numpy as np

from server.broker_view import BrokerPosition
from tests.cases.markets import MARKETS


def lot_of(market: int) -> float:
    """Return one lot step of a market in lots."""
    return MARKETS[market].lot_mantissa / MARKETS[market].lot_scale


def broker_position(rng: np.random.Generator, index: int) -> BrokerPosition:
    """Return a position in a market, with or without an id and a stop."""
    market, side = MARKETS[index], int(rng.integers(1, 3))
    tick = market.tick_mantissa / market.tick_scale
    price = (market.centre_ticks + int(rng.integers(-30, 31)) + float(rng.choice([0, 0.3]))) * tick
    lots = lot_of(index) * float(rng.choice([1, 3, 12, 40.5]))
    stop = price - 20 * tick * float(rng.choice([-1, 1, 1, 2])) if rng.random() < 0.7 else None
    name = ("", "", "pos-1", "pos-2")[int(rng.integers(4))]
    return BrokerPosition(name, market.symbol, side, lots, price, stop)
