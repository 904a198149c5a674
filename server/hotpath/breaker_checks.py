"""Breakers in a decision: judging conditions over the request, denying, listing."""

from __future__ import annotations

from typing import Any

from server.hotpath.breakers import denies_new_risk_nb, in_scope_nb, is_tripped_nb
from server.hotpath.checks import check_nb
from server.hotpath.jit import kernel
from server.hotpath.layout import DECISION_BREAKERS_MAX
from server.hotpath.memory import account_at, breaker_at, decision_of, work_of
from server.hotpath.reasons import R_BREAKER_TRIPPED

BREAKER_TRIPPED = 2


@kernel
def judge_breakers_nb(state: Any) -> None:
    """Judge the conditions over the request, before the risk money is sized."""


@kernel
def check_breakers_nb(state: Any) -> None:
    """Deny what a tripped breaker in scope denies; list the breakers that are not closed."""
    work, decision = work_of(state), decision_of(state)
    check_nb(decision, R_BREAKER_TRIPPED, True)
    row = account_at(state, work.account_row).first_breaker
    while row != 0:
        breaker = breaker_at(state, row)
        if in_scope_nb(state, row, work.instrument_row) and is_tripped_nb(
            state, row, work.volatility_micropoints
        ):
            if denies_new_risk_nb(breaker.action):
                check_nb(decision, R_BREAKER_TRIPPED, False)
            listed = decision.breaker_count
            if listed < DECISION_BREAKERS_MAX:
                decision.breaker_row[listed] = row
                decision.breaker_state[listed] = BREAKER_TRIPPED
                decision.breaker_tripped_at_ns[listed] = (
                    breaker.tripped_at_ns if breaker.tripped_at_ns > 0 else work.now_ns
                )
                decision.breaker_closes_at_ns[listed] = breaker.closes_at_ns
                decision.breaker_count = listed + 1
        row = breaker.next_breaker
