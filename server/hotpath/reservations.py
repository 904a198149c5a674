"""Holds.

What a sized answer keeps busy until a report commits or releases it, or its lifetime ends.

A held row sits in three places: its own table (by decision id), a bucket of the timing wheel (while
it may expire) and the list of its account. Its risk, notional and lots are part of the sums of
account, exposure, strategy and position row. Closed rows stay findable for late reports until they
are needed again, oldest first.
"""

from __future__ import annotations

from typing import Any

from server.hotpath.intrinsics import load_word, store_word
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.layout import ID_WORDS
from server.hotpath.memory import (
    account_at,
    engine_of,
    exposure_at,
    position_at,
    positions_of,
    reservation_at,
    reservations_of,
    strategy_at,
)
from server.hotpath.rows import (
    RESERVATION_CLOSED,
    RESERVATION_HELD,
    RESERVATION_WORKING,
    WHEEL_BUCKETS,
    WHEEL_SHIFT,
)
from server.hotpath.table import clear_row_nb, find_nb, link_nb, unlink_nb

SIDE_BUY = 1
CLOSED_SHARE = 64
"""One row in so many stays findable after it was closed, for late reports."""


@kernel
def is_live_nb(reservation_state: int) -> bool:
    """Tell whether a reservation still holds something."""
    return reservation_state in (RESERVATION_HELD, RESERVATION_WORKING)


@kernel
def add_to_sums_nb(state: Any, row: int, sign: int) -> None:
    """Add (+1) or take away (−1) what a reservation holds from every sum it is part of."""
    held = reservation_at(state, row)
    if held.is_exit != 0:
        position_at(state, held.position_row).working_exit_steps += sign * held.left_steps
        if held.net_row != 0:
            position_at(state, held.net_row).working_exit_steps += sign * held.left_steps
        return
    account = account_at(state, held.account_row)
    account.held_risk_micros += sign * held.risk_micros
    account.held_notional_micros += sign * held.notional_micros
    exposure_at(state, held.exposure_row).held_notional_micros += sign * held.notional_micros
    if held.strategy_row != 0:
        strategy_at(state, held.strategy_row).held_notional_micros += sign * held.notional_micros
    position = position_at(state, held.position_row)
    if held.side == SIDE_BUY:
        position.held_buy_steps += sign * held.left_steps
    else:
        position.held_sell_steps += sign * held.left_steps


@kernel
def _bucket_nb(state: Any, expires_at_ns: int) -> int:
    """Return the address of the wheel bucket of a time."""
    return state.wheel + 8 * ((expires_at_ns >> WHEEL_SHIFT) & (WHEEL_BUCKETS - 1))


@kernel
def _enter_wheel_nb(state: Any, row: int) -> None:
    held = reservation_at(state, row)
    bucket = _bucket_nb(state, held.expires_at_ns)
    first = load_word(bucket)
    held.previous_expiring = 0
    held.next_expiring = first
    if first != 0:
        reservation_at(state, first).previous_expiring = row
    store_word(bucket, row)


@kernel
def leave_wheel_nb(state: Any, row: int) -> None:
    """Take a held reservation out of the wheel: it no longer expires."""
    held = reservation_at(state, row)
    before = held.previous_expiring
    after = held.next_expiring
    if before != 0:
        reservation_at(state, before).next_expiring = after
    else:
        store_word(_bucket_nb(state, held.expires_at_ns), after)
    if after != 0:
        reservation_at(state, after).previous_expiring = before


@kernel
def free_rows_nb(state: Any) -> int:
    """Return how many reservations could still be made."""
    return reservations_of(state).capacity - engine_of(state).reservation_in_use


@kernel
def next_row_nb(state: Any) -> int:
    """Return the row that the next reservation will take, 0 if none is free."""
    engine = engine_of(state)
    capacity = reservations_of(state).capacity
    few_closed = engine.closed_count <= capacity // CLOSED_SHARE
    if engine.reservation_fresh < capacity and few_closed:
        return engine.reservation_fresh + 1
    return engine.closed_head if engine.closed_count > 0 else i64(0)


@kernel
def _take_row_nb(state: Any) -> int:
    """Return a row to write to. The caller has checked that one is free."""
    engine = engine_of(state)
    row = next_row_nb(state)
    if row > engine.reservation_fresh:
        engine.reservation_fresh = row
        return row
    engine.closed_head = reservation_at(state, row).next_closed
    engine.closed_count -= 1
    unlink_nb(reservations_of(state), row, 1)
    return row


@kernel
def hold_nb(state: Any, decision_id: int, account_row: int, lifetime_ns: int, now_ns: int) -> int:
    """Make an empty HELD reservation, enter it into table, wheel and account, and return its row.

    The caller fills in what is held and then calls `add_to_sums_nb`.
    """
    row = _take_row_nb(state)
    held = reservation_at(state, row)
    clear_row_nb(reservations_of(state), row)
    held.decision_id = decision_id
    held.state = RESERVATION_HELD
    held.account_row = account_row
    held.made_at_ns = now_ns
    grain = 1 << WHEEL_SHIFT
    held.expires_at_ns = ((now_ns + lifetime_ns + grain - 1) >> WHEEL_SHIFT) << WHEEL_SHIFT
    link_nb(reservations_of(state), row, 1)
    _enter_wheel_nb(state, row)
    account = account_at(state, account_row)
    held.next_of_account = account.first_reservation
    if account.first_reservation != 0:
        reservation_at(state, account.first_reservation).previous_of_account = row
    account.first_reservation = row
    account.reservation_count += 1
    engine_of(state).reservation_in_use += 1
    return row


@kernel
def close_nb(state: Any, row: int) -> None:
    """Close a live reservation that holds nothing any more (its sums are already settled)."""
    held = reservation_at(state, row)
    if held.state == RESERVATION_HELD:
        leave_wheel_nb(state, row)
    account = account_at(state, held.account_row)
    before = held.previous_of_account
    after = held.next_of_account
    if before != 0:
        reservation_at(state, before).next_of_account = after
    else:
        account.first_reservation = after
    if after != 0:
        reservation_at(state, after).previous_of_account = before
    account.reservation_count -= 1
    engine = engine_of(state)
    engine.reservation_in_use -= 1
    held.state = RESERVATION_CLOSED
    held.left_steps = 0
    held.risk_micros = 0
    held.notional_micros = 0
    held.next_closed = 0
    if engine.closed_count == 0:
        engine.closed_head = row
    else:
        reservation_at(state, engine.closed_tail).next_closed = row
    engine.closed_tail = row
    engine.closed_count += 1


@routine
def release_nb(state: Any, row: int) -> None:
    """Give back everything a live reservation holds and close it."""
    held = reservation_at(state, row)
    add_to_sums_nb(state, row, -1)
    exit_row = held.position_row if held.is_exit != 0 else 0
    close_nb(state, row)
    if exit_row != 0:
        forget_flat_position_nb(state, exit_row)


@kernel
def expire_nb(state: Any, now_ns: int) -> None:
    """Release every held reservation whose lifetime has ended."""
    engine = engine_of(state)
    last = now_ns >> WHEEL_SHIFT
    tick = engine.wheel_tick
    # One turn of the wheel passes every bucket, however far the clock has moved.
    end = min(last, tick + WHEEL_BUCKETS)
    while tick < end:
        tick += 1
        bucket = state.wheel + 8 * (tick & (WHEEL_BUCKETS - 1))
        while load_word(bucket) != 0:
            release_nb(state, load_word(bucket))
    engine.wheel_tick = max(engine.wheel_tick, last)


@kernel
def find_reservation_nb(state: Any, decision_id: int) -> int:
    """Return the row of a decision's reservation, open or closed; 0 if it is not known."""
    state.scratch[0] = decision_id
    return find_nb(reservations_of(state), state.scratch, 1)


@routine
def forget_flat_position_nb(state: Any, row: int) -> None:
    """Free the row of a position with an id of its own that is flat and has no exits working."""
    position = position_at(state, row)
    if position.net_steps != 0 or position.working_exit_steps != 0:
        return
    named = False
    for word in range(ID_WORDS):
        named |= position.position_id[word] != 0
    if not named:
        return
    account = account_at(state, position.account_row)
    before = 0
    other = account.first_position
    while other != row:
        before = other
        other = position_at(state, other).next_position
    if before == 0:
        account.first_position = position.next_position
    else:
        position_at(state, before).next_position = position.next_position
    unlink_nb(positions_of(state), row, 2 + ID_WORDS)
    clear_row_nb(positions_of(state), row)
    position.next_position = engine_of(state).position_free
    engine_of(state).position_free = row
