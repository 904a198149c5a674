"""Engine time: never backwards, and no leap forward without the feed's word for it."""

from __future__ import annotations

from typing import Any

from server.hotpath.jit import kernel
from server.hotpath.layout import CLOCK_LEAP_NS, HEARTBEAT_DEGRADED_NS, HEARTBEAT_REFUSE_NS
from server.hotpath.memory import engine_of
from server.hotpath.records import AGE_ABSENT
from server.hotpath.reservations import expire_nb

MODE_NORMAL = 1
MODE_DEGRADED = 2
MODE_REFUSE = 3


@kernel
def take_reading_nb(state: Any, reading_ns: int) -> int:
    """Take in a clock reading, release what has expired, and return the engine's time."""
    engine = engine_of(state)
    if engine.reading_ns > 0 and reading_ns - engine.reading_ns > CLOCK_LEAP_NS:
        engine.clock_unconfirmed = 1
    engine.reading_ns = reading_ns
    engine.now_ns = max(engine.now_ns, reading_ns)
    expire_nb(state, engine.now_ns)
    return engine.now_ns


@kernel
def age_nb(now_ns: int, then_ns: int) -> int:
    """Return how old something is, at least 0."""
    return max(now_ns - then_ns, 0)


@kernel
def heartbeat_age_nb(state: Any, now_ns: int) -> int:
    """Return the age of the feed, AGE_ABSENT if it was never seen."""
    seen = engine_of(state).heartbeat_at_ns
    return age_nb(now_ns, seen) if seen > 0 else AGE_ABSENT


@kernel
def mode_nb(state: Any, heartbeat_age_ns: int) -> int:
    """Return the mode of the service (riskgate.v1.Mode)."""
    engine = engine_of(state)
    if heartbeat_age_ns == AGE_ABSENT or not (heartbeat_age_ns <= HEARTBEAT_REFUSE_NS):
        return MODE_REFUSE
    if engine.clock_unconfirmed != 0:
        return MODE_REFUSE
    if heartbeat_age_ns > HEARTBEAT_DEGRADED_NS or engine.record_away != 0:
        return MODE_DEGRADED
    return MODE_NORMAL


@kernel
def session_nb(state: Any, now_ns: int) -> int:
    """Return the trading session that is open by the engine's calendar."""
    engine = engine_of(state)
    if engine.next_session_at_ns > 0 and now_ns >= engine.next_session_at_ns:
        return engine.next_session
    return engine.session
