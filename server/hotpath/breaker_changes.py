"""What a change of a circuit breaker does. Rules: docs/decision.md, section 8."""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.account_changes import find_account_nb
from server.hotpath.accounts import roll_account_nb
from server.hotpath.breakers import (
    close_breaker_nb,
    refresh_breakers_nb,
    relink_breakers_nb,
)
from server.hotpath.intrinsics import address_of, address_reference, load_word
from server.hotpath.jit import kernel, routine
from server.hotpath.layout import CHANGE_BREAKER, CHANGE_BREAKER_RESET, ID_WORDS
from server.hotpath.memory import account_at, breaker_at, breakers_of, words_at_nb
from server.hotpath.table import find_nb, insert_nb, write_key_nb

BREAKER_BYTES: Final = CHANGE_BREAKER.itemsize

RESET_BYTES: Final = CHANGE_BREAKER_RESET.itemsize

# Length, steps and constants stand together at the end, in the change as in the breaker.
_PROGRAM_AT: Final[int] = CHANGE_BREAKER.fields["program_length"][1]  # type: ignore[index]
_PROGRAM_WORDS: Final = (BREAKER_BYTES - _PROGRAM_AT) // 8

breaker_change_at = address_reference(CHANGE_BREAKER)
breaker_reset_at = address_reference(CHANGE_BREAKER_RESET)


@routine
def _join_chain_nb(state: Any, account_row: int, row: int) -> None:
    """Put a breaker at the end of its account's chain."""
    account = account_at(state, account_row)
    breaker_at(state, row).next_breaker = 0
    if account.first_breaker == 0:
        account.first_breaker = row
        return
    last = account.first_breaker
    while breaker_at(state, last).next_breaker != 0:
        last = breaker_at(state, last).next_breaker
    breaker_at(state, last).next_breaker = row


@routine
def _leave_chain_nb(state: Any, row: int) -> None:
    account = account_at(state, breaker_at(state, row).account_row)
    after = breaker_at(state, row).next_breaker
    if account.first_breaker == row:
        account.first_breaker = after
        return
    before = account.first_breaker
    while breaker_at(state, before).next_breaker != row:
        before = breaker_at(state, before).next_breaker
    breaker_at(state, before).next_breaker = after


@kernel
def _same_condition_nb(breaker: Any, change: Any) -> bool:
    """Tell whether a change leaves what a breaker judges as it is, thresholds aside."""
    same = breaker.condition == change.condition and breaker.over_request == change.over_request
    own, other = address_of(breaker) + _PROGRAM_AT, address_of(change) + _PROGRAM_AT
    for word in range(_PROGRAM_WORDS):
        same &= load_word(own + 8 * word) == load_word(other + 8 * word)
    return same


@routine
def put_breaker_nb(state: Any, address: int, deleted: bool, now_ns: int) -> bool:
    """Define a circuit breaker; a disabled or deleted one is closed.

    Return False when its account is unknown or there is no room.
    """
    change = breaker_change_at(address)
    words = words_at_nb(address, BREAKER_BYTES // 8)
    row = find_nb(breakers_of(state), words, ID_WORDS)
    if deleted:
        if row == 0:
            return True
        breaker_at(state, row).enabled = 0
        close_breaker_nb(state, row)
        relink_breakers_nb(state, breaker_at(state, row).account_row)
        return True
    account_row = find_account_nb(state, change.account_id)
    if account_row == 0:
        return False
    roll_account_nb(state, account_row, now_ns)
    if row == 0:
        row = insert_nb(breakers_of(state), words, ID_WORDS)
        if row == 0:
            return False
        close_breaker_nb(state, row)
    breaker = breaker_at(state, row)
    if not _same_condition_nb(breaker, change):
        # Another condition starts afresh.
        close_breaker_nb(state, row)
        breaker.trip_count = 0
    if breaker.enabled == 0 and change.enabled != 0:
        breaker.trip_count = 0
    if breaker.account_row not in (0, account_row):
        left = breaker.account_row
        _leave_chain_nb(state, row)
        relink_breakers_nb(state, left)
        breaker.account_row = 0
    write_key_nb(breakers_of(state), row, words, BREAKER_BYTES // 8)
    if breaker.account_row == 0:
        breaker.account_row = account_row
        _join_chain_nb(state, account_row, row)
    refresh_breakers_nb(state, account_row, now_ns)
    return True


@routine
def reset_breaker_nb(state: Any, address: int, now_ns: int) -> bool:
    """Close a breaker because a person says so, unless that was said before.

    Return False when it is unknown.
    """
    change = breaker_reset_at(address)
    row = find_nb(breakers_of(state), words_at_nb(address, RESET_BYTES // 8), ID_WORDS)
    if row == 0:
        return False
    breaker = breaker_at(state, row)
    if change.reset_at_ns > breaker.reset_at_ns:
        roll_account_nb(state, breaker.account_row, now_ns)
        breaker.reset_at_ns = change.reset_at_ns
        breaker.trip_count = 0
        close_breaker_nb(state, row)
        refresh_breakers_nb(state, breaker.account_row, now_ns)
    return True
