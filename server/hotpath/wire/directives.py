"""An EVENT row as a Directive, and those of an account that nobody has acknowledged."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from server.hotpath.events import first_event_nb, next_event_nb
from server.hotpath.intrinsics import address_of, copy_bytes
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.layout import ID_BYTES_MAX, SYMBOL_BYTES_MAX
from server.hotpath.memory import event_at
from server.hotpath.rows import EVENT, EVENT_POSITIONS_MAX
from server.hotpath.wire import fields as f
from server.hotpath.wire.encode import (
    TIME_BYTES_MAX,
    close_short_nb,
    put_double_nb,
    put_number_nb,
    put_tag_nb,
    put_time_nb,
    put_varint_nb,
    put_words_nb,
)
from server.hotpath.wire.numbers import nearest_nb
from server.hotpath.wire.scan import LENGTH

# In one answer.
DIRECTIVES_MAX: Final = 8
# DirectiveKind by BreakerAction: block, reduce only, reduce size, close, alert.
DIRECTIVE_KINDS: Final = (0, 3, 2, 5, 1, 4)
_KINDS: Final = np.array(DIRECTIVE_KINDS, np.int64)


def _offset(column: str) -> int:
    return int(EVENT.fields[column][1])  # type: ignore[index]


_BREAKER_ID: Final = _offset("breaker_id")
_BREAKER_NAME: Final = _offset("breaker_name")
EVENT_ACCOUNT_AT: Final = _offset("account_id")
EVENT_DETAIL_AT: Final = _offset("detail")
DETAIL_BYTES_MAX: Final[int] = EVENT["detail"].itemsize
_SYMBOL: Final = _offset("symbol")
_POSITION_SYMBOLS: Final = _offset("position_symbols")

_OUTCOME_BYTES_MAX: Final = 2 + (3 + DETAIL_BYTES_MAX) + TIME_BYTES_MAX
_POSITION_BYTES_MAX: Final = 2 + (2 + SYMBOL_BYTES_MAX) + 9
# Numbers, three ids, a symbol, a time and the positions.
OPEN_DIRECTIVE_BYTES_MAX: Final = (
    3 * 11
    + 3 * (2 + ID_BYTES_MAX)
    + (2 + SYMBOL_BYTES_MAX)
    + TIME_BYTES_MAX
    + EVENT_POSITIONS_MAX * _POSITION_BYTES_MAX
)
# The outcome is built behind its place, as its length is known only then.
DIRECTIVE_BYTES_MAX: Final = OPEN_DIRECTIVE_BYTES_MAX + 3 + 2 * _OUTCOME_BYTES_MAX
DIRECTIVES_BYTES_MAX: Final = DIRECTIVES_MAX * (4 + OPEN_DIRECTIVE_BYTES_MAX)


@routine
def _put_position_nb(out: int, event: Any, number: int) -> int:
    start = put_tag_nb(out, i64(f.DIRECTIVE_POSITIONS), i64(LENGTH)) + 1
    symbol = address_of(event) + _POSITION_SYMBOLS + number * i64(SYMBOL_BYTES_MAX)
    end = put_words_nb(start, i64(f.DIRECTIVE_POSITION_SYMBOL), symbol, i64(SYMBOL_BYTES_MAX))
    mantissa, scale = event.position_lot_mantissa[number], event.position_lot_scale[number]
    lots = nearest_nb(event.position_steps[number], i64(0), mantissa, scale)
    return close_short_nb(start, put_double_nb(end, i64(f.DIRECTIVE_POSITION_LOTS), lots))


@routine
def _put_outcome_nb(out: int, event: Any) -> int:
    aside = out + _OUTCOME_BYTES_MAX
    end = put_number_nb(aside, i64(f.DIRECTIVE_OUTCOME_SUCCESS), event.succeeded)
    detail, room = address_of(event) + EVENT_DETAIL_AT, i64(DETAIL_BYTES_MAX)
    end = put_words_nb(end, i64(f.DIRECTIVE_OUTCOME_DETAIL), detail, room)
    end = put_time_nb(end, i64(f.DIRECTIVE_OUTCOME_ACKNOWLEDGED_AT), event.acknowledged_at_ns)
    out = put_varint_nb(put_tag_nb(out, i64(f.DIRECTIVE_OUTCOME), i64(LENGTH)), end - aside)
    copy_bytes(out, aside, end - aside)
    return out + (end - aside)


@routine
def put_directive_nb(out: int, event: Any) -> int:
    """Write the fields of a Directive; return the end.

    Args:
        out: Address with room for DIRECTIVE_BYTES_MAX.
        event: EVENT row.
    """
    at, room = address_of(event), i64(ID_BYTES_MAX)
    out = put_number_nb(out, i64(f.DIRECTIVE_DIRECTIVE_ID), event.event_id)
    out = put_number_nb(out, i64(f.DIRECTIVE_KIND), _KINDS[event.action])
    out = put_words_nb(out, i64(f.DIRECTIVE_ACCOUNT_ID), at + EVENT_ACCOUNT_AT, room)
    out = put_words_nb(out, i64(f.DIRECTIVE_SYMBOL), at + _SYMBOL, i64(SYMBOL_BYTES_MAX))
    out = put_words_nb(out, i64(f.DIRECTIVE_BREAKER_ID), at + _BREAKER_ID, room)
    out = put_time_nb(out, i64(f.DIRECTIVE_ISSUED_AT), event.at_ns)
    out = put_words_nb(out, i64(f.DIRECTIVE_BREAKER_NAME), at + _BREAKER_NAME, room)
    for number in range(min(event.position_count, EVENT_POSITIONS_MAX)):
        out = _put_position_nb(out, event, i64(number))
    out = put_number_nb(out, i64(f.DIRECTIVE_POSITION_COUNT), event.position_count)
    return _put_outcome_nb(out, event) if event.acknowledged_at_ns != 0 else out


@kernel
def put_inner_directive_nb(out: int, field: int, event: Any, scratch: int) -> int:
    """Write a Directive as a field of another message; it is built at `scratch` first."""
    size = put_directive_nb(scratch, event) - scratch
    out = put_varint_nb(put_tag_nb(out, field, i64(LENGTH)), size)
    copy_bytes(out, scratch, size)
    return out + size


@routine
def put_directives_nb(out: int, state: Any, account_row: int, newest: int, scratch: int) -> int:
    """Write the newest directives of an account that are not acknowledged, newest first.

    Args:
        out: Address with room for DIRECTIVES_BYTES_MAX.
        state: MEMORY record.
        account_row: Whose.
        newest: Id of the newest one that counts: others were made since the decision.
        scratch: Address with room for DIRECTIVE_BYTES_MAX.
    """
    row = first_event_nb(state, account_row)
    count = 0
    while row != 0 and count < DIRECTIVES_MAX:
        event = event_at(state, row)
        if event.event_id <= newest:
            field = i64(f.DECIDE_RESPONSE_DIRECTIVES)
            out = put_inner_directive_nb(out, field, event, scratch)
            count += 1
        row = next_event_nb(state, row)
    return out
