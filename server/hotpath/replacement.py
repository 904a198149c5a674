"""An order that replaces another.

The old hold leaves all sums for the time of the judgement, then goes or comes back.
"""

from __future__ import annotations

from typing import Any

from server.hotpath.idempotency import find_order_nb
from server.hotpath.jit import i64, kernel
from server.hotpath.memory import (
    remembered_at,
    request_of,
    reservation_at,
    work_of,
)
from server.hotpath.reservations import (
    add_to_sums_nb,
    close_nb,
    find_reservation_nb,
    forget_flat_position_nb,
    is_live_nb,
)


@kernel
def take_out_replaced_nb(state: Any) -> None:
    """Take the hold of a replaced order out of all sums, until the verdict is known."""
    request, work = request_of(state), work_of(state)
    if request.replaces_client_order_id[0] == 0:
        return
    order = find_order_nb(state, work.account_row, request.replaces_client_order_id)
    if order == 0:
        return
    row = find_reservation_nb(state, remembered_at(state, order).decision_id)
    if row != 0 and is_live_nb(reservation_at(state, row).state):
        work.replaced_row = row
        add_to_sums_nb(state, row, i64(-1))


@kernel
def settle_replaced_nb(state: Any, gone: bool) -> None:
    """Close the hold of a replaced order, or put it back."""
    row = work_of(state).replaced_row
    if row == 0:
        return
    if not gone:
        add_to_sums_nb(state, row, i64(1))
        return
    held = reservation_at(state, row)
    exit_row = held.position_row if held.is_exit != 0 else i64(0)
    close_nb(state, row)
    if exit_row != 0:
        forget_flat_position_nb(state, exit_row)
