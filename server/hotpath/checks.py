"""Writing what a check found into the decision: status, limit, observed, largest lot."""

from __future__ import annotations

from typing import Any

from server.hotpath.jit import kernel
from server.hotpath.reasons import S_CUT, S_DENY, S_NOTE, S_PASS

HAS_LIMIT = 1
HAS_LOTS = 2


@kernel
def check_nb(decision: Any, reason: int, passed: bool) -> bool:
    """Record a check without numbers; return whether it passed."""
    decision.status[reason] = S_PASS if passed else S_DENY
    return passed


@kernel
def check_numbers_nb(decision: Any, reason: int, passed: bool, limit: int, observed: int) -> bool:
    """Record a check with its limit and what was observed, in the check's unit.

    Return whether it passed.
    """
    decision.numbers[reason] |= HAS_LIMIT
    decision.limit[reason] = limit
    decision.observed[reason] = observed
    return check_nb(decision, reason, passed)


@kernel
def note_nb(decision: Any, reason: int) -> None:
    """Record something worth knowing that denies nothing."""
    decision.status[reason] = S_NOTE


@kernel
def cap_nb(
    decision: Any, reason: int, lots_max: int, limit: int, observed: int, min_lot_steps: int
) -> None:
    """Record a limit on size; it binds when `lots_max` (steps, ≥ 0) is below the target."""
    decision.numbers[reason] |= HAS_LIMIT | HAS_LOTS
    decision.limit[reason] = limit
    decision.observed[reason] = observed
    decision.lots_max[reason] = lots_max
    decision.largest_steps = min(decision.largest_steps, lots_max)
    if lots_max >= decision.target_steps:
        decision.status[reason] = S_PASS
    else:
        decision.status[reason] = S_DENY if lots_max < min_lot_steps else S_CUT
