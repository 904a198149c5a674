"""Which reports were applied before: the last ids of all accounts, oldest forgotten first."""

from __future__ import annotations

from typing import Any

from server.hotpath.jit import routine
from server.hotpath.layout import ID_WORDS
from server.hotpath.memory import (
    engine_of,
    report_of,
    reports_of,
    seen_report_at,
)
from server.hotpath.table import find_nb, link_nb, unlink_nb

_REPORT_KEY_WORDS = 1 + ID_WORDS


@routine
def is_new_report_nb(state: Any, account_row: int) -> bool:
    """Tell whether this account's report_id is new."""
    state.scratch[0] = account_row
    for word in range(ID_WORDS):
        state.scratch[1 + word] = report_of(state).report_id[word]
    return find_nb(reports_of(state), state.scratch, _REPORT_KEY_WORDS) == 0


@routine
def remember_report_nb(state: Any, account_row: int) -> None:
    """Remember this report's id; the oldest goes when the table is full."""
    engine = engine_of(state)
    capacity = reports_of(state).capacity
    if engine.report_oldest == 0:
        engine.report_oldest = 1
    if engine.report_count == capacity:
        unlink_nb(reports_of(state), engine.report_oldest, _REPORT_KEY_WORDS)
        engine.report_oldest = engine.report_oldest % capacity + 1
        engine.report_count -= 1
    row = (engine.report_oldest + engine.report_count - 1) % capacity + 1
    seen_report_at(state, row).account_row = account_row
    for word in range(ID_WORDS):
        seen_report_at(state, row).report_id[word] = report_of(state).report_id[word]
    link_nb(reports_of(state), row, _REPORT_KEY_WORDS)
    engine.report_count += 1
