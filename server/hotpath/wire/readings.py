"""What is noted of each decision of a call besides its answer, for the journal and for a replay.

In a replay the notes are those of the journal, at the place where they stand there: the clock
reading is taken from them, and what the model says now is compared with what it said then.
"""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.intrinsics import address_of, address_reference, copy_bytes
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.journal.entries import READING, READING_BYTES
from server.hotpath.libc import realtime_ns_nb
from server.hotpath.reasons import REASONS_MAX
from server.hotpath.records import DECISION, KNOWN_MODEL
from server.hotpath.wire.outcome import LIVE, RECORDED
from server.hotpath.wire.wire_record import ITEMS_MAX, TIMESPEC_OFFSET

_STATUS_AT: Final[int] = READING.fields["status"][1]  # type: ignore[index]
_DECISION_STATUS_AT: Final[int] = DECISION.fields["status"][1]  # type: ignore[index]

reading_at = address_reference(READING)


@kernel
def begin_readings_nb(wire: Any) -> None:
    """Forget the notes of the call before."""
    wire.reading_count = 0
    wire.applied = 0


@routine
def note_checks_nb(wire: Any, number: int, decision: Any) -> None:
    """Note what every check of a decision found, and the numbers of the one that binds."""
    if wire.replaying != 0:
        return
    address = wire.readings + min(number, i64(ITEMS_MAX - 1)) * i64(READING_BYTES)
    reading = reading_at(address)
    copy_bytes(address + _STATUS_AT, address_of(decision) + _DECISION_STATUS_AT, i64(REASONS_MAX))
    reading.binding = decision.binding
    reading.limit = 0
    reading.observed = 0
    reading.lots_max = 0
    if decision.binding > 0:
        index = decision.binding - 1
        if decision.numbers[index] & 1:
            reading.limit = decision.limit[index]
            reading.observed = decision.observed[index]
        if decision.numbers[index] & 2:
            reading.lots_max = decision.lots_max[index]


@routine
def note_decision_nb(
    state: Any, wire: Any, decision: Any, received_ns: int, decided_ns: int
) -> int:
    """Note a decision that was just made; return how long it took, nanoseconds.

    Args:
        state: MEMORY record.
        wire: WIRE record.
        decision: DECISION record.
        received_ns: When the request came.
        decided_ns: A clock reading, LIVE, or RECORDED.
    """
    # A caller that never begins a call writes over its last note, not behind it.
    number = min(wire.reading_count, i64(ITEMS_MAX - 1))
    wire.reading_count = number + 1
    reading = reading_at(wire.readings + number * i64(READING_BYTES))
    spoke = (decision.known & KNOWN_MODEL) != 0
    q50 = state.quantiles[0] if spoke else 0.0
    q90 = state.quantiles[1] if spoke else 0.0
    if decided_ns == RECORDED:
        if q50 != reading.q50_pips or q90 != reading.q90_pips:
            wire.model_differences += 1
        return reading.decided_ns - received_ns
    if decided_ns == LIVE:
        decided_ns = realtime_ns_nb(address_of(wire) + TIMESPEC_OFFSET)
    reading.decided_ns = decided_ns
    reading.q50_pips = q50
    reading.q90_pips = q90
    note_checks_nb(wire, number, decision)
    return decided_ns - received_ns
