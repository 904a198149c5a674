"""Orders that only make a position smaller.

Judged apart, so that no halt, limit or staleness can trap them.
"""

from __future__ import annotations

from typing import Any

from server.hotpath.checks import HAS_LIMIT, HAS_LOTS, check_nb
from server.hotpath.jit import i64, kernel
from server.hotpath.memory import decision_of, position_at, request_of, work_of
from server.hotpath.positions import find_position_nb, position_key_nb
from server.hotpath.reasons import (
    R_EXIT_CLIPPED,
    R_LOT_STEP,
    R_NOT_REDUCING,
    R_POSITION_UNKNOWN,
    S_CUT,
    S_DENY,
    S_PASS,
)
from server.hotpath.records import HAS_REQUESTED_LOTS, KNOWN_LARGEST


@kernel
def size_exit_nb(state: Any) -> None:
    """Size an exit: at most the known position less the exits already working."""
    request, work, decision = request_of(state), work_of(state), decision_of(state)
    position_key_nb(state, work.account_row, work.instrument_row, request.position_id)
    work.exit_row = find_position_nb(state)
    position = position_at(state, work.exit_row)
    open_steps = position.net_steps if work.exit_row != 0 else i64(0)
    if not check_nb(decision, R_POSITION_UNKNOWN, open_steps != 0):
        return
    if not check_nb(decision, R_NOT_REDUCING, open_steps * work.direction < 0):
        return
    available = max(abs(open_steps) - position.working_exit_steps, i64(0))
    asked = (request.present & HAS_REQUESTED_LOTS) != 0
    target = work.requested_steps if asked else abs(open_steps)
    decision.target_steps = target
    decision.largest_steps = available
    decision.known |= KNOWN_LARGEST
    decision.lot_steps = min(target, available)
    decision.numbers[R_EXIT_CLIPPED] = HAS_LIMIT | HAS_LOTS
    decision.limit[R_EXIT_CLIPPED] = available
    decision.observed[R_EXIT_CLIPPED] = 0
    decision.lots_max[R_EXIT_CLIPPED] = available
    decision.status[R_EXIT_CLIPPED] = S_PASS if decision.lot_steps == target else S_CUT
    if work.off_step != 0:
        decision.status[R_LOT_STEP] = S_CUT
    if decision.lot_steps == 0:
        # Nothing is left to exit, or less than one lot step was asked for.
        decision.status[R_EXIT_CLIPPED if target > 0 else R_LOT_STEP] = S_DENY
