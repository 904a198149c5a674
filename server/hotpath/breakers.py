"""Circuit breakers over the state of an account: how they trip, cool, open half, close and lock.

They are judged when that state changes, never in a decision, which only looks at those that are
not closed (`account.first_active`) and at the time when the next one changes by itself
(`account.breaker_due_ns`). Rules: docs/decision.md, section 14.
"""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.breaker_conditions import (
    CONSECUTIVE_LOSSES,
    holds_over_state_nb,
    is_over_request_nb,
)
from server.hotpath.events import make_event_nb
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.layout import SECOND_NS
from server.hotpath.memory import account_at, breaker_at, engine_of
from server.hotpath.programs import is_expression_nb
from server.hotpath.variables import fill_state_variables_nb

CLOSED: Final = 1
TRIPPED: Final = 2
COOLING: Final = 3
HALF_OPEN: Final = 4
LOCKED: Final = 5

EVENT_PAUSE_NS: Final = 60 * SECOND_NS
"""A request may trip a breaker at every decision; only one trip in such a time is told."""


@kernel
def close_breaker_nb(state: Any, row: int) -> None:
    """Close a breaker and forget when it tripped."""
    breaker = breaker_at(state, row)
    breaker.state = CLOSED
    breaker.tripped_at_ns = 0
    breaker.closes_at_ns = 0


@kernel
def open_half_nb(state: Any, row: int, now_ns: int) -> None:
    """Let reduced risk through for a while, or close where no such while is set."""
    breaker = breaker_at(state, row)
    if breaker.half_open_ns > 0:
        breaker.state = HALF_OPEN
        breaker.closes_at_ns = now_ns + breaker.half_open_ns
    else:
        close_breaker_nb(state, row)


@kernel
def is_told_nb(breaker: Any, now_ns: int, over_request: bool) -> bool:
    """Tell whether a trip now would count and make an event."""
    return (
        not over_request
        or breaker.event_at_ns == 0
        or now_ns - breaker.event_at_ns >= EVENT_PAUSE_NS
    )


@kernel
def tripped_state_nb(breaker: Any, trip_count: int) -> int:
    """Return the state that a breaker goes to by a trip of this number."""
    locks = breaker.lock_after_trips > 0 and trip_count >= breaker.lock_after_trips
    return i64(LOCKED) if locks else i64(TRIPPED)


@kernel
def tripped_until_ns_nb(breaker: Any, to_state: int, now_ns: int, over_request: bool) -> int:
    """Return until when a breaker that trips now stays so, 0: until something else changes."""
    by_time = over_request or breaker.condition == CONSECUTIVE_LOSSES
    if to_state == LOCKED or not by_time or breaker.cooling_off_ns <= 0:
        return i64(0)
    return now_ns + breaker.cooling_off_ns


@routine
def trip_breaker_nb(state: Any, row: int, now_ns: int, over_request: bool) -> None:
    """Trip a breaker and make an event of it."""
    breaker = breaker_at(state, row)
    told = is_told_nb(breaker, now_ns, over_request)
    if told:
        breaker.trip_count += 1
    breaker.state = tripped_state_nb(breaker, breaker.trip_count)
    breaker.tripped_at_ns = now_ns
    breaker.closes_at_ns = tripped_until_ns_nb(breaker, breaker.state, now_ns, over_request)
    if told:
        make_event_nb(state, row, now_ns, over_request)


@kernel
def _pass_time_nb(state: Any, row: int, now_ns: int) -> None:
    """Do what has become due; consecutive losses cool at the roll."""
    breaker = breaker_at(state, row)
    if breaker.state == HALF_OPEN and now_ns >= breaker.closes_at_ns:
        close_breaker_nb(state, row)
    elif breaker.state == COOLING and now_ns >= breaker.closes_at_ns:
        open_half_nb(state, row, now_ns)


@kernel
def _calm_down_nb(state: Any, row: int, now_ns: int) -> None:
    """Begin to cool, since the condition holds no more."""
    breaker = breaker_at(state, row)
    cooled_at = breaker.tripped_at_ns + breaker.cooling_off_ns
    if breaker.cooling_off_ns > 0 and now_ns < cooled_at:
        breaker.state = COOLING
        breaker.closes_at_ns = cooled_at
    else:
        open_half_nb(state, row, now_ns)


@kernel
def _judge_nb(state: Any, row: int, account_row: int, now_ns: int) -> None:
    breaker = breaker_at(state, row)
    if breaker.state == LOCKED:
        return
    _pass_time_nb(state, row, now_ns)
    if holds_over_state_nb(state, row, account_row):
        if breaker.state in (CLOSED, HALF_OPEN):
            trip_breaker_nb(state, row, now_ns, False)
        elif breaker.state == COOLING:
            breaker.state = TRIPPED
            breaker.closes_at_ns = 0
    elif breaker.state == TRIPPED and breaker.condition != CONSECUTIVE_LOSSES:
        _calm_down_nb(state, row, now_ns)


@routine
def refresh_breakers_nb(state: Any, account_row: int, now_ns: int) -> None:
    """Judge every state condition of an account and move its breakers on."""
    row = account_at(state, account_row).first_breaker
    if row == 0:
        return
    filled = False
    while row != 0:
        breaker = breaker_at(state, row)
        if breaker.enabled == 0:
            close_breaker_nb(state, row)
        elif not is_over_request_nb(breaker):
            if not filled and is_expression_nb(breaker):
                fill_state_variables_nb(state, account_row)
                filled = True
            _judge_nb(state, row, account_row, now_ns)
        row = breaker.next_breaker
    relink_breakers_nb(state, account_row)


@routine
def relink_breakers_nb(state: Any, account_row: int) -> None:
    """Chain the breakers that decisions look at, in their order, and find when one is due."""
    account = account_at(state, account_row)
    account.first_judged = 0
    account.first_active = 0
    last_judged = i64(0)
    last_active = i64(0)
    due = i64(0)
    row = account.first_breaker
    while row != 0:
        breaker = breaker_at(state, row)
        breaker.next_judged = 0
        breaker.next_active = 0
        if breaker.enabled != 0 and is_over_request_nb(breaker):
            if last_judged == 0:
                account.first_judged = row
            else:
                breaker_at(state, last_judged).next_judged = row
            last_judged = row
        elif breaker.state != CLOSED:
            if last_active == 0:
                account.first_active = row
            else:
                breaker_at(state, last_active).next_active = row
            last_active = row
            closes_at = breaker.closes_at_ns
            if closes_at > 0 and (due == 0 or closes_at < due):
                due = closes_at
        row = breaker.next_breaker
    account.breaker_due_ns = due


@routine
def close_won_breakers_nb(state: Any, account_row: int) -> None:
    """Half open what losses in a row have tripped: the account has won or broken even."""
    row = account_at(state, account_row).first_breaker
    while row != 0:
        breaker = breaker_at(state, row)
        if breaker.condition == CONSECUTIVE_LOSSES and breaker.state == TRIPPED:
            open_half_nb(state, row, engine_of(state).now_ns)
        row = breaker.next_breaker


@routine
def end_cool_offs_nb(state: Any, account_row: int, now_ns: int) -> None:
    """Half open what losses in a row have tripped long enough ago, which also ends the count."""
    account = account_at(state, account_row)
    row = account.first_active
    while row != 0:
        breaker = breaker_at(state, row)
        if (
            breaker.condition == CONSECUTIVE_LOSSES
            and breaker.state == TRIPPED
            and 0 < breaker.closes_at_ns <= now_ns
        ):
            open_half_nb(state, row, now_ns)
            account.consecutive_losses = 0
        row = breaker.next_active
