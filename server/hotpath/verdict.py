"""From checks to an answer: which limit binds, what may go, and the hold that goes with it."""

from __future__ import annotations

from typing import Any

from server.hotpath.checks import check_nb, check_numbers_nb
from server.hotpath.jit import i64, kernel
from server.hotpath.layout import ID_WORDS, NOT_SET
from server.hotpath.memory import (
    account_at,
    decision_of,
    exposures_of,
    request_of,
    reservation_at,
    reservations_of,
    work_of,
)
from server.hotpath.positions import (
    exposure_key_nb,
    find_position_nb,
    make_exposure_nb,
    make_position_nb,
    net_key_nb,
    positions_have_room_nb,
)
from server.hotpath.reasons import (
    CAP_RUNS,
    R_BELOW_MIN_LOT,
    R_EXIT_CLIPPED,
    R_LOT_STEP,
    R_MONTHLY_LOSS_BUDGET,
    R_ORDER_VALUE,
    R_POSITIONS_FULL,
    R_RESERVATIONS_FULL,
    R_RISK_PER_TRADE,
    R_STRATEGY_NOTIONAL,
    REASON_CODES,
    S_CUT,
    S_DENY,
)
from server.hotpath.records import KNOWN_HOLD
from server.hotpath.reservations import add_to_sums_nb, free_rows_nb, hold_nb
from server.hotpath.strategies import settle_strategy_nb
from server.hotpath.table import rows_used_nb
from server.hotpath.units import decimal_nb

VERDICT_ALLOW = 1
VERDICT_REDUCE = 2
VERDICT_DENY = 3

_REASON_COUNT = len(REASON_CODES)
RESERVED_FOR_EXITS = 64
"""One row in so many is kept for exits."""
ACCOUNT_SHARE = 8
"""No account may hold more than one row in so many."""


@kernel
def is_cap_nb(reason: int) -> bool:
    """Tell whether a reason is a limit on size rather than a denial of its own."""
    return (
        R_RISK_PER_TRADE <= reason <= R_MONTHLY_LOSS_BUDGET
        or R_ORDER_VALUE <= reason <= R_STRATEGY_NOTIONAL
    )


@kernel
def check_room_nb(state: Any) -> None:
    """Deny when no reservation, or no row for the position, could be made for this order."""
    request, work, decision = request_of(state), work_of(state), decision_of(state)
    capacity = reservations_of(state).capacity
    free = free_rows_nb(state)
    if request.reduce_only != 0:
        check_numbers_nb(decision, R_RESERVATIONS_FULL, free > 0, capacity, capacity - free)
        return
    held = account_at(state, work.account_row).reservation_count
    quota = max(capacity // ACCOUNT_SHARE, 1)
    passed = free > capacity // RESERVED_FOR_EXITS and held < quota
    check_numbers_nb(decision, R_RESERVATIONS_FULL, passed, quota, held)
    room = work.net_row != 0 or positions_have_room_nb(state, 1)
    room = room and (
        work.exposure_row != 0
        or rows_used_nb(exposures_of(state)) + 1 <= exposures_of(state).capacity
    )
    check_nb(decision, R_POSITIONS_FULL, room)


@kernel
def first_denial_nb(decision: Any) -> int:
    """Return the first reason that denies by itself (no cap, not the minimum lot).

    NOT_SET if none does.
    """
    for reason in range(_REASON_COUNT):
        if (
            decision.status[reason] == S_DENY
            and not is_cap_nb(reason)
            and reason != R_BELOW_MIN_LOT
        ):
            return reason
    return NOT_SET


@kernel
def _binding_cap_nb(decision: Any) -> int:
    binding = NOT_SET
    for first, last in CAP_RUNS:
        for reason in range(first, last + 1):
            if decision.status[reason] in (S_CUT, S_DENY) and (
                binding == NOT_SET or decision.lots_max[reason] < decision.lots_max[binding]
            ):
                binding = reason
    return binding


@kernel
def _binding_limit_nb(decision: Any, denial: int) -> int:
    if denial != NOT_SET:
        return denial
    cap = _binding_cap_nb(decision)
    if cap != NOT_SET:
        return cap
    if decision.status[R_BELOW_MIN_LOT] == S_DENY:
        return R_BELOW_MIN_LOT
    if decision.status[R_EXIT_CLIPPED] == S_CUT:
        return R_EXIT_CLIPPED
    if decision.status[R_LOT_STEP] == S_CUT:
        return R_LOT_STEP
    return NOT_SET


@kernel
def give_verdict_nb(decision: Any, off_step: int) -> None:
    """Set verdict, binding limit and final lot from the statuses."""
    denial = first_denial_nb(decision)
    decision.binding = _binding_limit_nb(decision, denial) + 1
    denied = denial != NOT_SET or decision.status[R_BELOW_MIN_LOT] == S_DENY
    for first, last in CAP_RUNS:
        for reason in range(first, last + 1):
            denied |= decision.status[reason] == S_DENY
    if denied:
        decision.verdict = VERDICT_DENY
        decision.lot_steps = 0
    elif decision.lot_steps < decision.target_steps or off_step != 0:
        decision.verdict = VERDICT_REDUCE
    else:
        decision.verdict = VERDICT_ALLOW
    if denial != NOT_SET and denial != R_EXIT_CLIPPED:
        decision.largest_steps = 0


@kernel
def finish_sizes_nb(decision: Any, mantissa: int, scale: int) -> None:
    """Turn the lot counts of the answer into doubles."""
    decision.lot_mantissa = mantissa
    decision.lot_scale = scale
    decision.lot_size = decimal_nb(decision.lot_steps, mantissa, scale)
    decision.largest_passing_lots = decimal_nb(decision.largest_steps, mantissa, scale)


@kernel
def hold_decision_nb(state: Any) -> None:
    """Reserve what the answer lets through, until a report or the end of its lifetime."""
    request, work, decision = request_of(state), work_of(state), decision_of(state)
    account = account_at(state, work.account_row)
    is_exit = request.reduce_only != 0
    if not is_exit:
        net_key_nb(state, work.account_row, work.instrument_row)
        work.net_row = make_position_nb(state)
        exposure_key_nb(state, work.account_row, work.instrument_row)
        work.exposure_row = make_exposure_nb(state)
    row = hold_nb(
        state, decision.sequence, work.account_row, account.reservation_ttl_ns, work.now_ns
    )
    held = reservation_at(state, row)
    held.instrument_row = work.instrument_row
    held.side = request.side
    held.left_steps = decision.lot_steps
    held.entry_ticks = work.entry_ticks
    held.strategy_row = settle_strategy_nb(state)
    if is_exit:
        for word in range(ID_WORDS):
            held.position_id[word] = request.position_id[word]
        held.is_exit = 1
        held.position_row = work.exit_row
        if request.position_id[0] != 0:
            net_key_nb(state, work.account_row, work.instrument_row)
            held.net_row = find_position_nb(state)
    else:
        held.position_row = work.net_row
        held.exposure_row = work.exposure_row
        held.loss_per_lot_micros = decision.loss_per_lot_micros
        held.notional_per_lot_micros = decision.notional_per_lot_micros
        held.risk_micros = work.hold_risk_micros
        held.notional_micros = work.hold_notional_micros
    add_to_sums_nb(state, row, i64(1))
    decision.reservation_row = row
    decision.expires_at_ns = held.expires_at_ns
    decision.known |= KNOWN_HOLD
