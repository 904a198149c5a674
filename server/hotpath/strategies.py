"""Strategies: what each holds and has open, and how often it was executed.

A strategy gets a row with its first order that is let through under a limit on strategies. Rules:
docs/decision.md, section 13.
"""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.account_changes import find_account_nb
from server.hotpath.checks import check_nb, check_numbers_nb
from server.hotpath.intrinsics import address_reference
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.layout import CHANGE_STRATEGY, ID_WORDS
from server.hotpath.memory import (
    account_at,
    configuration_at,
    decision_of,
    request_of,
    strategies_of,
    strategy_at,
    work_of,
)
from server.hotpath.positions import strategy_notional_nb
from server.hotpath.reasons import (
    R_REPEATED_EXECUTION,
    R_STRATEGIES_FULL,
    R_STRATEGY_REQUIRED,
    S_NOT_APPLICABLE,
)
from server.hotpath.table import find_nb, insert_nb, rows_used_nb

STRATEGY_KEY_WORDS: Final = 1 + ID_WORDS

strategy_change_at = address_reference(CHANGE_STRATEGY)


@kernel
def strategy_key_nb(state: Any, account_row: int, strategy_id: Any) -> None:
    """Write the key of a strategy of an account into the scratch."""
    state.scratch[0] = account_row
    for word in range(ID_WORDS):
        state.scratch[1 + word] = strategy_id[word]


@kernel
def _find_strategy_nb(state: Any) -> int:
    """Return the row of the strategy that the request names, 0 if it has none."""
    strategy_key_nb(state, work_of(state).account_row, request_of(state).strategy_id)
    return find_nb(strategies_of(state), state.scratch, STRATEGY_KEY_WORDS)


@kernel
def _is_needed_nb(configuration: Any) -> bool:
    """Tell whether new risk must say which strategy it belongs to."""
    return configuration.repeat_limit > 0 or configuration.max_strategy_notional_micros > 0


@routine
def _judge_strategy_nb(state: Any, repeat_limit: int) -> None:
    work, decision = work_of(state), decision_of(state)
    if not check_nb(decision, R_STRATEGY_REQUIRED, request_of(state).strategy_id[0] != 0):
        return
    work.strategy_row = _find_strategy_nb(state)
    used, capacity = rows_used_nb(strategies_of(state)), strategies_of(state).capacity
    room = work.strategy_row != 0 or used < capacity
    check_numbers_nb(decision, R_STRATEGIES_FULL, room, capacity, used)
    decision.status[R_REPEATED_EXECUTION] = S_NOT_APPLICABLE
    if repeat_limit > 0:
        strategy = strategy_at(state, work.strategy_row)
        enabled = work.strategy_row == 0 or strategy.disabled_at_ns == 0
        count = strategy.execution_count if work.strategy_row != 0 else i64(0)
        check_numbers_nb(decision, R_REPEATED_EXECUTION, enabled, repeat_limit, count)


@kernel
def check_strategy_nb(state: Any) -> None:
    """Deny new risk without a strategy, or of one that its own repetition has stopped."""
    work, decision = work_of(state), decision_of(state)
    configuration = configuration_at(state, work.account_row)
    if not _is_needed_nb(configuration):
        decision.status[R_STRATEGY_REQUIRED] = S_NOT_APPLICABLE
        decision.status[R_STRATEGIES_FULL] = S_NOT_APPLICABLE
        decision.status[R_REPEATED_EXECUTION] = S_NOT_APPLICABLE
        return
    _judge_strategy_nb(state, configuration.repeat_limit)


@routine
def _make_strategy_nb(state: Any) -> None:
    """Give the strategy of the request a row of its own; there is room."""
    work = work_of(state)
    account = account_at(state, work.account_row)
    strategy_key_nb(state, work.account_row, request_of(state).strategy_id)
    work.strategy_row = insert_nb(strategies_of(state), state.scratch, STRATEGY_KEY_WORDS)
    strategy_at(state, work.strategy_row).next_of_account = account.first_strategy
    account.first_strategy = work.strategy_row


@kernel
def settle_strategy_nb(state: Any) -> int:
    """Return the row of the strategy that a hold of the request belongs to, 0 if it is none's.

    New risk belongs to one only if it must; an exit to the one that it names, if that is known.
    """
    request, work = request_of(state), work_of(state)
    account = account_at(state, work.account_row)
    if request.reduce_only != 0:
        if account.first_strategy != 0 and request.strategy_id[0] != 0:
            work.strategy_row = _find_strategy_nb(state)
    elif (
        account.has_configuration != 0
        and work.strategy_row == 0
        and _is_needed_nb(configuration_at(state, work.account_row))
    ):
        _make_strategy_nb(state)
    return work.strategy_row


@routine
def count_execution_nb(state: Any, row: int, now_ns: int) -> None:
    """Count an order of a strategy; the last one that its limit allows stops it."""
    strategy = strategy_at(state, row)
    configuration = configuration_at(state, strategy.account_row)
    window_ns, begun_ns = configuration.repeat_window_ns, strategy.window_start_ns
    if window_ns > 0 and (begun_ns == 0 or now_ns >= begun_ns + window_ns):
        strategy.execution_count = 0
        strategy.window_start_ns = now_ns
    strategy.execution_count += 1
    if strategy.execution_count >= configuration.repeat_limit:
        strategy.disabled_at_ns = now_ns


@routine
def uncount_execution_nb(state: Any, row: int, repeat_limit: int) -> None:
    """Count an order back that was never sent."""
    strategy = strategy_at(state, row)
    strategy.execution_count -= 1
    if strategy.execution_count == 0:
        strategy.window_start_ns = 0
    if strategy.execution_count < repeat_limit:
        strategy.disabled_at_ns = 0


@routine
def bound_strategies_nb(state: Any, account_row: int) -> None:
    """Let no strategy have more open than its account, after the broker has set that."""
    account = account_at(state, account_row)
    row = account.first_strategy
    while row != 0:
        strategy = strategy_at(state, row)
        strategy.open_notional_micros = strategy_notional_nb(account, strategy)
        row = strategy.next_of_account


@routine
def enable_strategy_nb(state: Any, address: int) -> bool:
    """Let a strategy go on that its own repetition has stopped; its executions count from zero.

    Return False when account or strategy is unknown.
    """
    change = strategy_change_at(address)
    account_row = find_account_nb(state, change.account_id)
    strategy_key_nb(state, account_row, change.strategy_id)
    row = find_nb(strategies_of(state), state.scratch, STRATEGY_KEY_WORDS)
    if account_row == 0 or row == 0:
        return False
    strategy = strategy_at(state, row)
    if change.enabled_at_ns > strategy.enabled_at_ns:
        strategy.enabled_at_ns = change.enabled_at_ns
        strategy.disabled_at_ns = 0
        strategy.execution_count = 0
        strategy.window_start_ns = 0
    return True
