"""Strategies: what each holds and has open, and how often it was executed."""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.account_changes import find_account_nb
from server.hotpath.intrinsics import address_reference
from server.hotpath.jit import kernel, routine
from server.hotpath.layout import CHANGE_STRATEGY, ID_WORDS
from server.hotpath.memory import strategies_of, strategy_at
from server.hotpath.table import find_nb

STRATEGY_KEY_WORDS: Final = 1 + ID_WORDS

strategy_change_at = address_reference(CHANGE_STRATEGY)


@kernel
def strategy_key_nb(state: Any, account_row: int, strategy_id: Any) -> None:
    """Write the key of a strategy of an account into the scratch."""
    state.scratch[0] = account_row
    for word in range(ID_WORDS):
        state.scratch[1 + word] = strategy_id[word]


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
