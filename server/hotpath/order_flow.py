"""How often orders come: message rate, repeated execution, the same order twice.

What was let through is counted when its hold is made, and counted back when an all-or-none batch
takes it back. Exits are counted in the message rate and never stopped. Rules: docs/decision.md,
section 13.
"""

from __future__ import annotations

from typing import Any

from server.hotpath.checks import check_numbers_nb
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.memory import (
    account_at,
    configuration_at,
    decision_of,
    request_of,
    reservation_at,
    work_of,
)
from server.hotpath.order_contents import (
    check_content_nb,
    forget_content_nb,
    remember_content_nb,
)
from server.hotpath.reasons import R_MESSAGE_RATE, S_NOT_APPLICABLE
from server.hotpath.reservations import is_live_nb, release_nb
from server.hotpath.strategies import (
    check_strategy_nb,
    count_execution_nb,
    uncount_execution_nb,
)


@kernel
def _interval_nb(configuration: Any) -> int:
    """Return the time in which one message more may be sent."""
    return max(configuration.message_window_ns // configuration.message_limit, i64(1))


@kernel
def _check_message_rate_nb(state: Any) -> None:
    """Deny an order for which its account has sent too many of late (S3-24)."""
    work, decision = work_of(state), decision_of(state)
    configuration = configuration_at(state, work.account_row)
    limit = configuration.message_limit
    if limit == 0:
        decision.status[R_MESSAGE_RATE] = S_NOT_APPLICABLE
        return
    interval = _interval_nb(configuration)
    ahead = max(account_at(state, work.account_row).message_full_at_ns - work.now_ns, 0)
    sent = (ahead + interval - 1) // interval
    check_numbers_nb(decision, R_MESSAGE_RATE, sent < limit, limit, sent)


@kernel
def check_flow_nb(state: Any) -> None:
    """Deny an order that comes too often or again."""
    if account_at(state, work_of(state).account_row).has_configuration == 0:
        return
    check_strategy_nb(state)
    _check_message_rate_nb(state)
    check_content_nb(state)


@kernel
def _count_message_nb(account: Any, configuration: Any, now_ns: int) -> None:
    if configuration.message_limit == 0:
        return
    interval = _interval_nb(configuration)
    full_at = max(account.message_full_at_ns, now_ns) + interval
    # Exits may come faster; they do not keep new risk away for longer than the window.
    account.message_full_at_ns = min(full_at, now_ns + interval * configuration.message_limit)


@kernel
def count_order_nb(state: Any) -> None:
    """Count an order that was let through."""
    work = work_of(state)
    account = account_at(state, work.account_row)
    configuration = configuration_at(state, work.account_row)
    if account.has_configuration == 0:
        return
    _count_message_nb(account, configuration, work.now_ns)
    if request_of(state).reduce_only != 0:
        return
    if configuration.repeat_limit > 0:
        count_execution_nb(state, work.strategy_row, work.now_ns)
    if configuration.duplicate_window_ns > 0:
        held = reservation_at(state, decision_of(state).reservation_row)
        held.content_row = remember_content_nb(state, configuration.duplicate_window_ns)


@routine
def take_back_nb(state: Any, row: int) -> None:
    """Give back the hold of an answer that an all-or-none batch takes back: it is not sent.

    Only within the call that made the hold, while no configuration changes.
    """
    held = reservation_at(state, row)
    if not is_live_nb(held.state):
        return  # a later order of the same batch has replaced it
    account = account_at(state, held.account_row)
    configuration = configuration_at(state, held.account_row)
    if account.has_configuration != 0 and held.is_exit == 0:
        if configuration.message_limit > 0:
            account.message_full_at_ns -= _interval_nb(configuration)
        if configuration.repeat_limit > 0:
            uncount_execution_nb(state, held.strategy_row, configuration.repeat_limit)
        if configuration.duplicate_window_ns > 0:
            forget_content_nb(state, held.content_row)
    release_nb(state, row)
