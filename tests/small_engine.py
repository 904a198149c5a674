"""The smallest engine that takes changes, and a change whose effect can be read back."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from riskgate.v1 import state_pb2
from server.changes import conversion_rate_rows, state_change
from server.engine import Engine
from server.entities import ConversionRate
from server.hotpath.layout import PICOS, SECOND_NS
from server.hotpath.memory import Capacity

SMALL: Final = Capacity(**dict.fromkeys(Capacity._fields, 16))
NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
NOW_NS: Final = int(NOW.timestamp()) * SECOND_NS


def new_small_engine() -> Engine:
    return Engine(SMALL, started_at_ns=NOW_NS)


def rate_rows(rate: int) -> bytes:
    return conversion_rate_rows(
        ConversionRate(from_currency="EUR", to_currency="USD", rate=Decimal(rate), as_of=NOW)
    )


def rate_change(version: int) -> bytes:
    """Return a change that sets one conversion rate to the number of its version."""
    kind = state_pb2.CHANGE_KIND_CONVERSION_RATE
    return state_change(kind, "EUR/USD", rate_rows(version), version=version).SerializeToString()


def rate_of(engine: Engine) -> int:
    """Return the rate that the engine has now; 0 before the first change."""
    return int(engine.state.rates.rows[1]["rate_picos"]) // PICOS
