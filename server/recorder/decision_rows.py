"""The rows of one decision: itself, what bound it, what a model predicted, the hold it took."""

from decimal import Decimal
from struct import Struct
from typing import Any, Final, NamedTuple

from riskgate.v1 import types_pb2
from riskgate.v1.decision_pb2 import DecideRequest, DecideResponse
from server.hotpath.journal.entries import CALL_BYTES, READING_BYTES
from server.hotpath.layout import MICROS, MILLISECOND_NS, PPM
from server.hotpath.reasons import (
    CHECK_UNITS,
    REASON_CODES,
    REASONS_MAX,
    U_COUNT,
    U_LOTS,
    U_MILLISECONDS,
    U_MONEY,
    U_NONE,
    U_POINTS,
    U_RATIO,
)
from server.journal.reader import Entry
from server.record.archive import Reference
from server.record.archive_tables import smallint_array, to_time
from server.recorder.values import (
    DURABILITIES,
    MODES,
    PROVIDER_TYPES,
    SESSIONS,
    SIDES,
    STATUSES,
    UNITS,
    VERDICTS,
    clean,
    day_of,
    to_decimal,
    to_unix_ns,
    weekday_of,
)

Row = tuple[Any, ...]

_CHECKS: Final = len(REASON_CODES)
_DIVISORS: Final = {
    U_RATIO: PPM,
    U_MONEY: MICROS,
    U_POINTS: MICROS,
    U_COUNT: 1,
    U_MILLISECONDS: MILLISECOND_NS,
}
# Reasons that bound a size: 4xx are limits, and an exit may be clipped.
_LIMIT_CODES: Final = frozenset({*range(400, 500), int(types_pb2.REASON_EXIT_CLIPPED)})
_OUTPUT_INVALID: Final = int(types_pb2.REASON_MODEL_OUTPUT_INVALID)


class Reading(NamedTuple):
    """READING of server/hotpath/journal/entries.py, as plain numbers."""

    decided_ns: int
    q50_pips: float
    q90_pips: float
    binding: int
    limit: int
    observed: int
    lots_max: int
    status: bytes


_READING: Final = Struct(f"<qddqqqq{REASONS_MAX}s")


def read_reading(entry: Entry, position: int) -> Reading:
    """Return one reading of a call that has at least so many."""
    return Reading(*_READING.unpack_from(entry.raw, CALL_BYTES + position * READING_BYTES))


class Decided(NamedTuple):
    """One decision with everything that its rows are made of."""

    shard: int
    entry_number: int
    at: int  # microseconds since 2000
    reading: Reading
    request: DecideRequest
    answer: DecideResponse
    request_bytes: bytes
    answer_bytes: bytes


def decision_row(decided: Decided) -> Row:
    """Return the row of table `decision`."""
    request, answer, reading = decided.request, decided.answer, decided.reading
    return (
        answer.epoch,
        answer.decision_id,
        decided.at,
        decided.shard,
        decided.entry_number,
        clean(request.account_id),
        clean(request.connection_id),
        clean(request.client_order_id),
        clean(request.signal_id),
        clean(request.strategy_id),
        clean(request.provider_id),
        PROVIDER_TYPES[request.provider_type],
        clean(request.symbol),
        SIDES[request.side],
        request.reduce_only,
        request.dry_run,
        VERDICTS[answer.verdict],
        MODES[answer.mode],
        DURABILITIES[answer.durability],
        to_decimal(answer.lot_size),
        to_decimal(answer.sl_buffer_pips),
        to_decimal(answer.stop_price) if answer.HasField("stop_price") else None,
        to_decimal(answer.performance_score) if answer.HasField("performance_score") else None,
        SESSIONS[answer.session],
        smallint_array(tuple(answer.reasons)),
        REASON_CODES[reading.binding - 1] if reading.binding else None,
        answer.state_version,
        answer.model_version,
        answer.model_digest,
        answer.policy_version,
        answer.policy_digest,
        answer.server_ns,
        reading.status[:_CHECKS],
        decided.request_bytes,
        decided.answer_bytes,
    )


def binding_row(decided: Decided, reference: Reference) -> Row | None:
    """Return the row of table `decision_binding`; None where nothing bound."""
    reading = decided.reading
    if not reading.binding:
        return None
    index = reading.binding - 1
    unit, code = CHECK_UNITS.get(index, U_NONE), REASON_CODES[index]
    instrument = reference.instruments.get(clean(decided.request.symbol))
    limit = observed = lots_max = None
    if unit == U_LOTS:
        if instrument is not None:
            limit = reading.limit * instrument.lot_step
            observed = reading.observed * instrument.lot_step
    elif unit != U_NONE:
        limit = Decimal(reading.limit) / _DIVISORS[unit]
        observed = Decimal(reading.observed) / _DIVISORS[unit]
    if instrument is not None and code in _LIMIT_CODES:
        lots_max = reading.lots_max * instrument.lot_step
    answer = decided.answer
    status = STATUSES[reading.status[index]]
    key = (answer.epoch, answer.decision_id, decided.at)
    return (*key, code, status, UNITS[unit], limit, observed, lots_max)


def prediction_row(decided: Decided, reference: Reference) -> Row | None:
    """Return the row of table `prediction`; None where no model spoke or nothing may follow."""
    request, answer = decided.request, decided.answer
    if (
        request.dry_run
        or not answer.model_digest
        or not answer.HasField("predicted_slippage_pips")
        or _OUTPUT_INVALID in answer.reasons
    ):
        return None
    return (
        answer.epoch,
        answer.decision_id,
        "slippage",
        decided.at,
        clean(request.signal_id),
        clean(request.connection_id),
        clean(request.account_id),
        clean(request.provider_id),
        PROVIDER_TYPES[request.provider_type],
        clean(request.symbol),
        SESSIONS[answer.session],
        weekday_of(day_of(decided.reading.decided_ns)),
        to_decimal(request.atr) if request.HasField("atr") else None,
        to_decimal(request.volatility_index) if request.HasField("volatility_index") else None,
        to_decimal(answer.predicted_slippage_pips),
        to_decimal(decided.reading.q90_pips),
        answer.model_version,
        reference.algorithms.get(answer.model_digest, ""),
        answer.model_digest,
    )


def reservation_row(decided: Decided) -> Row | None:
    """Return the row of table `reservation`; None where nothing is held."""
    request, answer = decided.request, decided.answer
    if request.dry_run or not answer.HasField("reservation_expires_at"):
        return None
    lots = to_decimal(answer.lot_size)
    return (
        answer.epoch,
        answer.decision_id,
        decided.at,
        decided.shard,
        clean(request.account_id),
        clean(request.client_order_id),
        clean(request.symbol),
        request.reduce_only,
        lots,
        lots,
        "held",
        to_time(to_unix_ns(answer.reservation_expires_at)),
        decided.at,
    )
