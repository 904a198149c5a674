"""What only some answers have: every check in numbers, and the breakers that are not closed.

Numbers of checks are integers of the engine; here they become doubles in the unit of CHECK_UNITS.
"""

from collections.abc import Callable
from typing import Final

from riskgate.v1.decision_pb2 import BreakerStatus, DecideResponse
from server.hotpath.layout import MICROS, MILLISECOND_NS, PPM, SECOND_NS, text
from server.hotpath.memory import State
from server.hotpath.reasons import (
    CHECK_UNITS,
    REASON_CODES,
    S_ABSENT,
    U_COUNT,
    U_LOTS,
    U_MILLISECONDS,
    U_MONEY,
    U_NONE,
    U_POINTS,
    U_RATIO,
)

# Bits of DECISION.numbers.
HAS_LIMIT: Final = 1
HAS_LOTS_MAX: Final = 2

# Unit -> double of an engine number; lots need the instrument and are not here.
_TO_DOUBLE: Final[dict[int, Callable[[int], float]]] = {
    U_RATIO: lambda number: number / PPM,
    U_MONEY: lambda number: number / MICROS,
    U_POINTS: lambda number: number / MICROS,
    U_MILLISECONDS: lambda number: float(number // MILLISECOND_NS),
    U_COUNT: float,
    U_NONE: float,
}


def write_checks(
    state: State, status: bytes, lot_mantissa: int, lot_scale: int, response: DecideResponse
) -> None:
    """Append every check that was judged, by rising reason index.

    Args:
        state: Engine state right after the decision.
        status: One byte for each reason.
        lot_mantissa: Lots are steps · lot_mantissa / lot_scale.
        lot_scale: 0 when the instrument is unknown; numbers in lots are then left out.
        response: Receives the checks.
    """
    decision = state.decision[0]
    numbers, limits = decision["numbers"].tolist(), decision["limit"].tolist()
    observed, lots_max = decision["observed"].tolist(), decision["lots_max"].tolist()

    def to_lots(steps: int) -> float:
        return steps * lot_mantissa / lot_scale

    for index, code in enumerate(REASON_CODES):
        if status[index] == S_ABSENT:
            continue
        unit = CHECK_UNITS.get(index, U_NONE)
        check = response.checks.add(check=code, status=status[index], unit=unit)
        convert = to_lots if unit == U_LOTS else _TO_DOUBLE[unit]
        if numbers[index] & HAS_LIMIT and (unit != U_LOTS or lot_scale):
            check.limit = convert(limits[index])
            check.observed = convert(observed[index])
            # Whole numbers are subtracted first, so that the double has no error of its own.
            if unit == U_MILLISECONDS:
                check.headroom = check.limit - check.observed
            else:
                check.headroom = convert(limits[index] - observed[index])
        if numbers[index] & HAS_LOTS_MAX and lot_scale:
            check.lots_max = to_lots(lots_max[index])


def write_breakers(state: State, count: int, response: DecideResponse) -> None:
    """Append the breakers in scope that are not closed, in the order of their chain."""
    decision = state.decision[0]
    for position in range(count):
        breaker = state.breakers.rows[decision["breaker_row"][position]]
        status = BreakerStatus(
            breaker_id=text(breaker["breaker_id"]),
            name=text(breaker["name"]),
            state=int(decision["breaker_state"][position]),  # type: ignore[arg-type]
            action=int(breaker["action"]),  # type: ignore[arg-type]
        )
        tripped_at_ns = int(decision["breaker_tripped_at_ns"][position])
        closes_at_ns = int(decision["breaker_closes_at_ns"][position])
        if tripped_at_ns > 0:
            status.tripped_at.seconds, status.tripped_at.nanos = divmod(tripped_at_ns, SECOND_NS)
        if closes_at_ns > 0:
            status.closes_at.seconds, status.closes_at.nanos = divmod(closes_at_ns, SECOND_NS)
        response.breakers.append(status)
