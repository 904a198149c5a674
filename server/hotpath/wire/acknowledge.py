"""One AckDirectiveRequest to one AckDirectiveResponse: a router says what it has done."""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.clock import take_reading_nb
from server.hotpath.events import acknowledge_event_nb, event_row_nb
from server.hotpath.intrinsics import address_of, load_long, store_long
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.layout import ID_BYTES_MAX, ID_WORDS
from server.hotpath.memory import event_at
from server.hotpath.records import P_RANGE, P_REQUIRED
from server.hotpath.wire import fields as f
from server.hotpath.wire.decision import refuse_malformed_nb
from server.hotpath.wire.directives import (
    DETAIL_BYTES_MAX,
    EVENT_ACCOUNT_AT,
    put_inner_directive_nb,
)
from server.hotpath.wire.grants import may_use_nb
from server.hotpath.wire.outcome import REFUSED
from server.hotpath.wire.refusal_texts import (
    DIRECTIVE_DONE,
    DIRECTIVE_UNKNOWN,
    JOURNAL_AWAY,
    N_ACCOUNT_ID,
    N_DETAIL,
    N_DIRECTIVE_ID,
    P_LONG_DETAIL,
    P_LONG_ID,
    P_ZERO_BYTE,
    TOO_LARGE,
    WRONG_SHARD,
)
from server.hotpath.wire.refusals import refuse_field_nb, refuse_fixed_nb
from server.hotpath.wire.scan import DEPTH_MAX, LENGTH, MALFORMED, VARINT, read_field_nb
from server.hotpath.wire.sharding import owns_account_nb
from server.hotpath.wire.text import is_text_nb, pack_text_nb

# Rows in which the texts are noted.
_DETAIL: Final = 0
_ACCOUNT: Final = 1


@kernel
def _note_text_nb(wire: Any, row: int, name: int, content: int, length: int) -> None:
    wire.text_at[row] = content
    wire.text_bytes[row] = length
    if not is_text_nb(content, length) and wire.bad_text == 0:
        wire.bad_text = name


@routine
def _read_nb(wire: Any, address: int, length: int) -> Any:
    """Return whether the message is well formed, its directive_id and its success."""
    end = address + length
    wire.bad_text = 0
    wire.text_bytes[_DETAIL] = wire.text_bytes[_ACCOUNT] = 0
    directive_id, success, is_good = i64(0), i64(0), True
    while address < end:
        number, wire_type, value, content, address = read_field_nb(
            address, end, i64(DEPTH_MAX), wire.open_numbers
        )
        if address == MALFORMED:
            wire.bad_text = 0
            return False, directive_id, success
        is_good &= number != 0
        if wire_type == VARINT and number == f.ACK_DIRECTIVE_REQUEST_DIRECTIVE_ID:
            directive_id = value
        elif wire_type == VARINT and number == f.ACK_DIRECTIVE_REQUEST_SUCCESS:
            success = i64(1) if value != 0 else i64(0)
        elif wire_type == LENGTH and number == f.ACK_DIRECTIVE_REQUEST_DETAIL:
            _note_text_nb(wire, i64(_DETAIL), i64(N_DETAIL), content, value)
        elif wire_type == LENGTH and number == f.ACK_DIRECTIVE_REQUEST_ACCOUNT_ID:
            _note_text_nb(wire, i64(_ACCOUNT), i64(N_ACCOUNT_ID), content, value)
    return is_good and wire.bad_text == 0, directive_id, success


@routine
def _pack_nb(wire: Any, row: int, name: int, room: int, problem: int, target: int) -> bool:
    """Copy a noted text into `room` bytes of zeros; refuse what does not fit."""
    for offset in range(0, room, 8):
        store_long(target + offset, i64(0))
    length = wire.text_bytes[row]
    if length == 0:
        return True
    if length > room:
        refuse_field_nb(wire, i64(0), name, problem)
        return False
    if not pack_text_nb(wire.text_at[row], length, target):
        refuse_field_nb(wire, i64(0), name, i64(P_ZERO_BYTE))
        return False
    return True


@kernel
def _is_about_nb(account: int, at: int) -> bool:
    """Tell whether the account at an address is the one that was named, if one was."""
    if load_long(account) == 0:
        return True
    for word in range(ID_WORDS):
        if load_long(account + 8 * word) != load_long(at + 8 * word):
            return False
    return True


@routine
def _find_nb(state: Any, wire: Any, directive_id: int, account: int) -> int:
    """Return the row of a directive of the caller's; 0: refused, alike if it is another's."""
    row = event_row_nb(state, directive_id)
    if row != 0:
        event = event_at(state, row)
        at = address_of(event) + EVENT_ACCOUNT_AT
        if _is_about_nb(account, at) and may_use_nb(wire, at, i64(0)):
            return row
    refuse_fixed_nb(wire, i64(DIRECTIVE_UNKNOWN))
    return i64(0)


@routine
def answer_acknowledge_nb(
    state: Any, wire: Any, address: int, length: int, received_ns: int, out: int
) -> int:
    """Acknowledge one directive; what was said first of it stands.

    Returns:
        Length of the AckDirectiveResponse at `out`, or REFUSED. Arguments as for
        `answer_decide_nb`.
    """
    if length > wire.request_bytes_max:
        refuse_fixed_nb(wire, i64(TOO_LARGE))
        return i64(REFUSED)
    is_good, directive_id, success = _read_nb(wire, address, length)
    detail, account = wire.scratch, wire.scratch + i64(DETAIL_BYTES_MAX)
    if not is_good:
        refuse_malformed_nb(wire, i64(0))
    elif directive_id <= 0:
        problem = i64(P_REQUIRED if directive_id == 0 else P_RANGE)
        refuse_field_nb(wire, i64(0), i64(N_DIRECTIVE_ID), problem)
    elif _pack_nb(
        wire, i64(_DETAIL), i64(N_DETAIL), i64(DETAIL_BYTES_MAX), i64(P_LONG_DETAIL), detail
    ) and _pack_nb(
        wire, i64(_ACCOUNT), i64(N_ACCOUNT_ID), i64(ID_BYTES_MAX), i64(P_LONG_ID), account
    ):
        return _acknowledge_nb(state, wire, directive_id, success, received_ns, out)
    return i64(REFUSED)


@routine
def _acknowledge_nb(
    state: Any, wire: Any, directive_id: int, success: int, received_ns: int, out: int
) -> int:
    detail, account = wire.scratch, wire.scratch + i64(DETAIL_BYTES_MAX)
    if not owns_account_nb(wire, account):
        refuse_fixed_nb(wire, i64(WRONG_SHARD))
        return i64(REFUSED)
    row = _find_nb(state, wire, directive_id, account)
    if row == 0:
        return i64(REFUSED)
    event = event_at(state, row)
    if event.acknowledged_at_ns == 0:
        if wire.barred != 0 and wire.exits_only == 0:
            refuse_fixed_nb(wire, i64(JOURNAL_AWAY))
            return i64(REFUSED)
        now_ns = take_reading_nb(state, received_ns)
        size = wire.text_bytes[_DETAIL]
        acknowledge_event_nb(state, directive_id, success != 0, detail, size, now_ns)
        wire.applied = 1
    elif event.succeeded != success:
        refuse_fixed_nb(wire, i64(DIRECTIVE_DONE))
        return i64(REFUSED)
    field = i64(f.ACK_DIRECTIVE_RESPONSE_DIRECTIVE)
    return put_inner_directive_nb(out, field, event, wire.scratch) - out
