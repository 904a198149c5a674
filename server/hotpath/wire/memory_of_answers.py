"""The ring of stored answers: the same order id gets the same bytes again."""

from __future__ import annotations

from typing import Any

from server.hotpath.intrinsics import copy_bytes
from server.hotpath.jit import i64, routine
from server.hotpath.memory import engine_of, remembered_at


@routine
def store_answer_nb(state: Any, wire: Any, row: int, source: int, length: int) -> None:
    """Keep an answer under a row of the idempotency table; row 0 keeps nothing.

    Without room the row stays unanswered: a repetition is refused rather than given another order's
    bytes.
    """
    engine = engine_of(state)
    if row == 0 or engine.answer_used + length > wire.answer_capacity:
        return
    start = engine.answer_head
    first = min(length, wire.answer_capacity - start)
    copy_bytes(wire.answers + start, source, first)
    copy_bytes(wire.answers, source + first, length - first)
    remembered = remembered_at(state, row)
    remembered.answer_offset = start
    remembered.answer_bytes = length
    engine.answer_head = (start + length) % wire.answer_capacity
    engine.answer_used += length


@routine
def load_answer_nb(state: Any, wire: Any, row: int, target: int) -> int:
    """Copy a stored answer; return its length, 0 if it was not stored."""
    remembered = remembered_at(state, row)
    length = remembered.answer_bytes
    if length == 0:
        return i64(0)
    start = remembered.answer_offset
    first = min(length, wire.answer_capacity - start)
    copy_bytes(target, wire.answers + start, first)
    copy_bytes(target + first, wire.answers, length - first)
    return length
