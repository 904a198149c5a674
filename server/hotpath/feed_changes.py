"""What changes of policy, model, time windows, session and heartbeat do.

A kernel here takes the address of rows of its kind, and returns False when the change is too old
or finds no room. Rules: docs/decision.md, section 8.
"""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.intrinsics import address_reference, copy_bytes
from server.hotpath.jit import routine
from server.hotpath.layout import (
    CHANGE_HEARTBEAT,
    CHANGE_MODEL,
    CHANGE_POLICY,
    CHANGE_SESSION,
    CHANGE_WINDOW,
    CLOCK_LEAP_NS,
    NOT_SET,
    SYMBOL_WORDS,
)
from server.hotpath.memory import engine_of, windows_of, words_at_nb
from server.hotpath.table import insert_nb, write_key_nb

POLICY_BYTES: Final = CHANGE_POLICY.itemsize
WINDOW_BYTES: Final = CHANGE_WINDOW.itemsize

model_change_at = address_reference(CHANGE_MODEL)
session_change_at = address_reference(CHANGE_SESSION)
heartbeat_change_at = address_reference(CHANGE_HEARTBEAT)


@routine
def put_policy_nb(state: Any, address: int) -> bool:
    """Replace the risk policy."""
    copy_bytes(state.policy, address, POLICY_BYTES)
    return True


@routine
def put_model_nb(state: Any, address: int) -> bool:
    """Make a filled slot the active model, or none when the digest is all zero.

    Older serials change nothing.
    """
    change = model_change_at(address)
    engine = engine_of(state)
    if change.serial <= engine.model_serial:
        return False
    empty = True
    for word in range(4):
        empty &= change.digest[word] == 0
    engine.model_serial = change.serial
    engine.model_slot = NOT_SET if empty else change.slot
    return True


@routine
def put_windows_nb(state: Any, rows_address: int, row_count: int) -> bool:
    """Set the boundaries of time zones, one per row."""
    for position in range(row_count):
        words = words_at_nb(rows_address + position * WINDOW_BYTES, WINDOW_BYTES // 8)
        row = insert_nb(windows_of(state), words, SYMBOL_WORDS)
        if row == 0:
            return False
        write_key_nb(windows_of(state), row, words, WINDOW_BYTES // 8)
    return True


@routine
def put_session_nb(state: Any, address: int) -> bool:
    """Set the open trading session and the next one."""
    change = session_change_at(address)
    engine = engine_of(state)
    engine.session = change.session
    engine.next_session = change.next_session
    engine.next_session_at_ns = change.next_at_ns
    return True


@routine
def put_heartbeat_nb(state: Any, address: int, now_ns: int) -> bool:
    """Note that the feed lives; a heartbeat that agrees with our clock confirms it after a leap."""
    change = heartbeat_change_at(address)
    engine = engine_of(state)
    if change.published_at_ns - now_ns <= CLOCK_LEAP_NS:
        # One from the future would never grow old.
        engine.heartbeat_at_ns = max(engine.heartbeat_at_ns, change.published_at_ns)
    engine.record_away = change.record_away
    if abs(change.published_at_ns - now_ns) <= CLOCK_LEAP_NS:
        engine.clock_unconfirmed = 0
    return True
