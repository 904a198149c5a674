"""What the market and the instrument forbid: restriction, trading hours, quote, price collars.

Rules: docs/decision.md, section 13.
"""

from __future__ import annotations

from typing import Any

from server.hotpath.checks import check_nb, check_numbers_nb
from server.hotpath.clock import age_nb
from server.hotpath.hours import check_hours_nb
from server.hotpath.jit import kernel, routine
from server.hotpath.layout import PPM, QUOTE_STALE_NS
from server.hotpath.memory import decision_of, instrument_at, override_at, work_of
from server.hotpath.reasons import (
    R_INSTRUMENT_RESTRICTED,
    R_PRICE_COLLAR,
    R_PRICE_COLLAR_WINDOW,
    R_QUOTE_MISSING,
    R_QUOTE_STALE,
    S_NOT_APPLICABLE,
)
from server.hotpath.units import UP, mul_div_nb, quote_twice_ticks_nb


@kernel
def _check_restricted_nb(state: Any) -> None:
    """Deny new risk in an instrument that is restricted, for all or for this account."""
    work, decision = work_of(state), decision_of(state)
    of_account = override_at(state, work.override_row).restricted != 0
    restricted = instrument_at(state, work.instrument_row).restricted != 0
    restricted |= work.override_row != 0 and of_account
    check_nb(decision, R_INSTRUMENT_RESTRICTED, not restricted)


@kernel
def _check_collar_nb(state: Any, reason: int, limit_ppm: int, twice_ticks: int) -> None:
    """Deny a price too far from a middle, of which `twice_ticks` is the double."""
    work, decision = work_of(state), decision_of(state)
    distance = abs(2 * work.entry_ticks - twice_ticks)
    observed = mul_div_nb(state, distance, PPM, twice_ticks, UP)
    check_numbers_nb(decision, reason, observed <= limit_ppm, limit_ppm, observed)


@routine
def _judge_quote_nb(state: Any) -> None:
    work, decision = work_of(state), decision_of(state)
    instrument = instrument_at(state, work.instrument_row)
    twice = quote_twice_ticks_nb(instrument.bid, instrument.ask, instrument.tick_size)
    if not check_nb(decision, R_QUOTE_MISSING, instrument.quote_at_ns > 0 and twice > 0):
        return
    age = age_nb(work.now_ns, instrument.quote_at_ns)
    if not check_numbers_nb(decision, R_QUOTE_STALE, age <= QUOTE_STALE_NS, QUOTE_STALE_NS, age):
        return
    if instrument.collar_ppm > 0:
        _check_collar_nb(state, R_PRICE_COLLAR, instrument.collar_ppm, twice)
    if instrument.collar_window_ppm > 0:
        begun = instrument.collar_twice_ticks
        if check_nb(decision, R_QUOTE_MISSING, begun > 0):
            _check_collar_nb(state, R_PRICE_COLLAR_WINDOW, instrument.collar_window_ppm, begun)


@kernel
def _check_quote_nb(state: Any) -> None:
    """Deny a price too far from the market, as it is now or as its window began."""
    work, decision = work_of(state), decision_of(state)
    instrument = instrument_at(state, work.instrument_row)
    if instrument.collar_ppm == 0:
        decision.status[R_PRICE_COLLAR] = S_NOT_APPLICABLE
    if instrument.collar_window_ppm == 0:
        decision.status[R_PRICE_COLLAR_WINDOW] = S_NOT_APPLICABLE
    if instrument.collar_ppm == 0 and instrument.collar_window_ppm == 0:
        decision.status[R_QUOTE_MISSING] = S_NOT_APPLICABLE
        decision.status[R_QUOTE_STALE] = S_NOT_APPLICABLE
        return
    _judge_quote_nb(state)


@kernel
def check_instrument_nb(state: Any) -> None:
    """Deny what is restricted, closed, or priced too far from the market."""
    _check_restricted_nb(state)
    check_hours_nb(state)
    _check_quote_nb(state)
