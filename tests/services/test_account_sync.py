"""What a broker's picture may not say: the engine would lose it or never hear of equity again."""

import numpy as np
import pytest

from riskgate.v1.decision_pb2 import SyncAccountRequest
from server.broker_view import BrokerOrder, BrokerPosition
from server.engine import Engine
from server.errors import InvalidFieldError
from server.hotpath.layout import SECOND_NS
from server.services.account_sync import FUTURE_NS_MAX, read_as_of
from server.services.convert import write_time
from tests.desk import NOW_NS, SMALL, Desk


@pytest.mark.parametrize(
    ("lots", "price", "stop", "field"),
    [
        (1e300, 1.1, None, "positions[0].lots"),
        (1.0, 1e300, None, "positions[0].average_price"),
        (1.0, 1e-9, None, "positions[0].average_price"),
        (1.0, 1.1, 1e300, "positions[0].stop_loss"),
    ],
)
def test_sync_when_a_number_is_out_of_range_then_nothing_changes(
    lots: float, price: float, stop: float | None, field: str
) -> None:
    engine = Engine(SMALL)
    Desk(engine)
    good = BrokerPosition("", "EURUSD", 1, 2.0, 1.1, None)
    engine.sync("A", None, NOW_NS, [good], [], NOW_NS)
    before = engine.state.positions.rows.copy()
    bad = BrokerPosition("", "EURUSD", 1, lots, price, stop)
    with pytest.raises(InvalidFieldError) as refused:
        engine.sync("A", None, NOW_NS, [bad], [], NOW_NS)
    assert refused.value.field == field
    assert np.array_equal(before, engine.state.positions.rows)


def test_sync_when_an_order_has_too_many_lots_then_names_it() -> None:
    engine = Engine(SMALL)
    Desk(engine)
    with pytest.raises(InvalidFieldError) as refused:
        engine.sync("A", None, NOW_NS, [], [BrokerOrder("x", "EURUSD", 1, 1e300, 1.1)], NOW_NS)
    assert refused.value.field == "working_orders[0].lots"


def test_as_of_when_in_the_future_then_refused() -> None:
    request = SyncAccountRequest(account_id="A")
    write_time(request.as_of, NOW_NS + FUTURE_NS_MAX)
    assert read_as_of(request, NOW_NS) == NOW_NS + FUTURE_NS_MAX
    with pytest.raises(InvalidFieldError):
        read_as_of(request, NOW_NS - SECOND_NS)
