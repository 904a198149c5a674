"""Breakers in a decision: judging conditions over the request, listing, scaling, denying.

The breakers in scope that are not closed for the decision at hand stand in a chain
(`work.first_open`, `breaker.next_open`), those over the state first, with the state that counts
for it: a dry run judges alike and writes nothing that outlives it. Rules: docs/decision.md,
section 14.
"""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.breaker_conditions import VOLATILITY
from server.hotpath.breaker_scope import in_scope_nb
from server.hotpath.breakers import (
    CLOSED,
    HALF_OPEN,
    TRIPPED,
    close_breaker_nb,
    is_told_nb,
    open_half_nb,
    trip_breaker_nb,
    tripped_state_nb,
    tripped_until_ns_nb,
)
from server.hotpath.checks import check_nb, note_nb
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.layout import DECISION_BREAKERS_MAX
from server.hotpath.memory import (
    account_at,
    breaker_at,
    decision_of,
    instrument_at,
    request_of,
    work_of,
)
from server.hotpath.programs import is_expression_nb, run_program_nb
from server.hotpath.reasons import R_BREAKER_REDUCED_SIZE, R_BREAKER_TRIPPED
from server.hotpath.units import scale_nb
from server.hotpath.variables import fill_request_variables_nb, fill_state_variables_nb

ACTION_REDUCE_SIZE: Final = 3
ACTION_ALERT: Final = 5


@routine
def volatility_needed_nb(state: Any, account_row: int, instrument_row: int) -> bool:
    """Tell whether an enabled volatility breaker is in scope, so that a missing index must deny."""
    instrument, request = instrument_at(state, instrument_row), request_of(state)
    row = account_at(state, account_row).first_judged
    while row != 0:
        breaker = breaker_at(state, row)
        if breaker.condition == VOLATILITY and in_scope_nb(breaker, instrument, request):
            return True
        row = breaker.next_judged
    return False


@kernel
def _count_in_nb(
    state: Any, last: int, row: int, state_now: int, tripped_at_ns: int, closes_at_ns: int
) -> int:
    """Chain and list a breaker that is not closed for this decision; return its row."""
    work, decision = work_of(state), decision_of(state)
    breaker = breaker_at(state, row)
    breaker.judged_state = state_now
    breaker.next_open = 0
    if last == 0:
        work.first_open = row
    else:
        breaker_at(state, last).next_open = row
    listed = decision.breaker_count
    if listed < DECISION_BREAKERS_MAX:
        decision.breaker_row[listed] = row
        decision.breaker_state[listed] = state_now
        decision.breaker_tripped_at_ns[listed] = tripped_at_ns
        decision.breaker_closes_at_ns[listed] = closes_at_ns
        decision.breaker_count = listed + 1
    return row


@routine
def _count_dry_run_nb(state: Any, last: int, row: int, holds: bool) -> int:
    """Do as `_count_judged_nb` without writing: find what it would find."""
    breaker, now_ns = breaker_at(state, row), work_of(state).now_ns
    found = breaker.state
    tripped_at, closes_at = breaker.tripped_at_ns, breaker.closes_at_ns
    if found in (TRIPPED, HALF_OPEN) and closes_at > 0 and now_ns >= closes_at:
        # A half open one closes; a tripped one opens half for a while, if it has such a while.
        opens = found == TRIPPED and breaker.half_open_ns > 0
        found = i64(HALF_OPEN) if opens else i64(CLOSED)
        closes_at = now_ns + breaker.half_open_ns
    if holds and found in (CLOSED, HALF_OPEN):
        told = is_told_nb(breaker, now_ns, True)
        found = tripped_state_nb(breaker, breaker.trip_count + (1 if told else 0))
        tripped_at = now_ns
        closes_at = tripped_until_ns_nb(breaker, found, now_ns, True)
    elif not holds and found == TRIPPED and closes_at == 0:
        found = i64(CLOSED)
    if found == CLOSED:
        return last
    return _count_in_nb(state, last, row, found, tripped_at, closes_at)


@routine
def _count_judged_nb(state: Any, last: int, row: int, holds: bool) -> int:
    """Move a breaker over the request on; if it is not closed then, chain it and return its row."""
    breaker, now_ns = breaker_at(state, row), work_of(state).now_ns
    due = breaker.closes_at_ns > 0 and now_ns >= breaker.closes_at_ns
    if breaker.state == TRIPPED and due:
        open_half_nb(state, row, now_ns)
    elif breaker.state == HALF_OPEN and due:
        close_breaker_nb(state, row)
    if holds and breaker.state in (CLOSED, HALF_OPEN):
        trip_breaker_nb(state, row, now_ns, True)
    elif not holds and breaker.state == TRIPPED and breaker.closes_at_ns == 0:
        close_breaker_nb(state, row)
    if breaker.state == CLOSED:
        return last
    return _count_in_nb(
        state, last, row, breaker.state, breaker.tripped_at_ns, breaker.closes_at_ns
    )


@routine
def _judge_over_request_nb(state: Any, last: int) -> None:
    """Judge the breakers over the request that are in scope."""
    request, work = request_of(state), work_of(state)
    instrument = instrument_at(state, work.instrument_row)
    dry_run = request.dry_run != 0
    filled = False
    row = account_at(state, work.account_row).first_judged
    while row != 0:
        breaker = breaker_at(state, row)
        if in_scope_nb(breaker, instrument, request):
            if is_expression_nb(breaker):
                if not filled:
                    fill_state_variables_nb(state, work.account_row)
                    fill_request_variables_nb(state)
                    filled = True
                holds = run_program_nb(state, breaker) != 0.0
            else:
                holds = work.volatility_micropoints > breaker.threshold
            if holds or breaker.state != CLOSED:
                if dry_run:
                    last = _count_dry_run_nb(state, last, row, holds)
                else:
                    last = _count_judged_nb(state, last, row, holds)
        row = breaker.next_judged


@kernel
def judge_breakers_nb(state: Any) -> None:
    """Find the breakers in scope that are not closed for this decision, and list them."""
    work = work_of(state)
    account = account_at(state, work.account_row)
    last = i64(0)
    row = account.first_active
    while row != 0:
        breaker = breaker_at(state, row)
        if in_scope_nb(breaker, instrument_at(state, work.instrument_row), request_of(state)):
            last = _count_in_nb(
                state, last, row, breaker.state, breaker.tripped_at_ns, breaker.closes_at_ns
            )
        row = breaker.next_active
    if account.first_judged != 0:
        _judge_over_request_nb(state, last)


@kernel
def reduce_by_breakers_nb(state: Any, money: int) -> int:
    """Scale the risk money by what reduces it: REDUCE_SIZE that acts, anything half open."""
    work, decision = work_of(state), decision_of(state)
    row = work.first_open
    while row != 0:
        breaker = breaker_at(state, row)
        half = breaker.judged_state == HALF_OPEN and breaker.action != ACTION_ALERT
        if half or breaker.action == ACTION_REDUCE_SIZE:
            money = scale_nb(state, money, breaker.multiplier_ppm)
            note_nb(decision, R_BREAKER_REDUCED_SIZE)
        row = breaker.next_open
    return money


@kernel
def check_breakers_nb(state: Any) -> None:
    """Deny what a breaker in scope denies: every action but ALERT and REDUCE_SIZE."""
    passed = True
    row = work_of(state).first_open
    while row != 0:
        breaker = breaker_at(state, row)
        lets_pass = (
            breaker.judged_state == HALF_OPEN
            or breaker.action == ACTION_ALERT
            or breaker.action == ACTION_REDUCE_SIZE
        )
        passed &= lets_pass
        row = breaker.next_open
    check_nb(decision_of(state), R_BREAKER_TRIPPED, passed)
