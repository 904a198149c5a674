"""What the archive knows of the values that conditions are about; see docs/conditions.md.

Known is only what follows exactly from the request and the answer as they were on the wire, with
the sizes of the instrument as it is now. What came from the engine's state, such as equity or a
quote, is not in them.
"""

import math
from collections.abc import Iterator
from datetime import UTC
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from riskgate.v1 import types_pb2
from riskgate.v1.decision_pb2 import DecideRequest, DecideResponse
from server.record.decisions import RecordedDecision

_MICRO: Final = Decimal("1e-6")


def read_values(decision: RecordedDecision) -> dict[str, float]:
    """Return the values of the variables that are known of a decision, by their names."""
    request = DecideRequest.FromString(decision.request)
    answer = DecideResponse.FromString(decision.answer)
    return dict(_read(decision, request, answer))


def _read(
    decision: RecordedDecision, request: DecideRequest, answer: DecideResponse
) -> Iterator[tuple[str, float]]:
    decided_at = decision.decided_at.astimezone(UTC)
    yield "hour", float(decided_at.hour)
    yield "weekday", float(decided_at.isoweekday())
    yield "is_buy", float(request.side == types_pb2.SIDE_BUY)
    yield "is_new_provider", float(types_pb2.REASON_NEW_PROVIDER in answer.reasons)
    if request.HasField("entry_price"):
        yield "entry_price", request.entry_price
    if request.HasField("requested_lots"):
        yield "requested_lots", request.requested_lots
    if answer.HasField("performance_score"):
        yield "score", answer.performance_score
    # Age 0: the stored one, which the archive does not know, did not count.
    ages = answer.input_ages
    is_given = request.HasField("volatility_index") and ages.HasField("volatility_ms")
    if is_given and ages.volatility_ms == 0:
        yield "volatility_index", math.ceil(request.volatility_index * 1e6 - 1e-6) / 1e6
    if decision.tick_size and decision.pip_size:
        yield from _read_pips(request, answer, decision.tick_size, decision.pip_size)


def _read_pips(
    request: DecideRequest, answer: DecideResponse, tick_size: Decimal, pip_size: Decimal
) -> Iterator[tuple[str, float]]:
    ticks_per_pip = int(pip_size / tick_size)
    if request.HasField("entry_price") and request.HasField("stop_loss"):
        prices = (request.entry_price, request.stop_loss)
        entry, stop = (round(price / float(tick_size)) for price in prices)
        yield "stop_distance_pips", abs(entry - stop) / ticks_per_pip
    ages = answer.input_ages
    if request.HasField("atr") and ages.HasField("atr_ms") and ages.atr_ms == 0:
        yield "atr_pips", math.ceil(request.atr / float(tick_size) - 1e-6) / ticks_per_pip
    # Without it the checks ended before buffer and slippage were known.
    if answer.HasField("sizing_slippage_pips"):
        micropips = _micros(answer.sizing_slippage_pips)
        yield "slippage_pips", -(-micropips * ticks_per_pip // 1_000_000) / ticks_per_pip
        yield "buffer_pips", answer.sl_buffer_pips


def _micros(value: float) -> int:
    return int((Decimal(repr(value)) / _MICRO).to_integral_value(rounding=ROUND_HALF_EVEN))
