"""One DecideBatchRequest to one DecideBatchResponse: each item on its own, or all together.

A bad item fails alone, also one that is no valid message; but one item with an account or provider
that is not the caller's refuses the whole call, so that whatever is journaled can be judged again
without knowing what its caller was allowed then. With `all_or_none` one denied or bad item
denies all new answers and their holds are given back; what was answered in an earlier call stays.
"""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.jit import i64, kernel, part, routine
from server.hotpath.memory import engine_of
from server.hotpath.wire import fields as f
from server.hotpath.wire.decision import (
    ACCOUNT_AT,
    PROVIDER_AT,
    answer_read_request_nb,
    read_request_nb,
)
from server.hotpath.wire.grants import is_limited_nb, may_use_nb
from server.hotpath.wire.item import put_error_nb, put_result_of_nb
from server.hotpath.wire.outcome import REFUSED, WAIT
from server.hotpath.wire.packing import pack_request_nb
from server.hotpath.wire.refusal_texts import (
    N_REQUEST,
    N_REQUESTS,
    P_ITEMS,
    P_MESSAGE,
)
from server.hotpath.wire.refusals import refuse_field_nb
from server.hotpath.wire.response import ANSWER_BYTES_MAX
from server.hotpath.wire.scan import DEPTH_MAX, LENGTH, MALFORMED, VARINT, read_field_nb
from server.hotpath.wire.tables import IS_REQUEST
from server.hotpath.wire.together import answer_together_nb
from server.hotpath.wire.wire_record import ITEMS_MAX

# Each item may be announced by two tags and two lengths.
RESULT_BYTES_MAX: Final = ANSWER_BYTES_MAX + 10
BATCH_BYTES_MAX: Final = ITEMS_MAX * RESULT_BYTES_MAX


@routine
def count_items_nb(wire: Any, address: int, length: int) -> int:
    """Return how many items of a batch can be answered, at most ITEMS_MAX."""
    end = address + length
    items = i64(0)
    while address < end and items < ITEMS_MAX:
        number, wire_type, _, _, address = read_field_nb(
            address, end, i64(DEPTH_MAX), wire.open_numbers
        )
        if address == MALFORMED:
            break
        if number == f.DECIDE_BATCH_REQUEST_REQUESTS and wire_type == LENGTH:
            items += 1
    return items


@kernel
def _newest_version_nb(wire: Any, address: int, length: int) -> int:
    """Return the min_state_version of an encoded DecideRequest, 0 if it cannot be waited for."""
    end = address + length
    version = i64(0)
    while address < end:
        number, wire_type, value, _, address = read_field_nb(
            address, end, i64(DEPTH_MAX), wire.open_numbers
        )
        if address == MALFORMED:
            return i64(0)
        if number == f.DECIDE_REQUEST_MIN_STATE_VERSION and wire_type == VARINT:
            version = value
    return max(version, 0)


@routine
def _look_over_nb(wire: Any, address: int, length: int) -> Any:
    """Return how many items there are (−1: malformed), all_or_none, and the newest version."""
    end = address + length
    items, together, version = i64(0), False, i64(0)
    while address < end:
        number, wire_type, value, content, address = read_field_nb(
            address, end, i64(DEPTH_MAX), wire.open_numbers
        )
        if address == MALFORMED:
            return i64(-1), False, i64(0)
        if number == f.DECIDE_BATCH_REQUEST_REQUESTS and wire_type == LENGTH:
            items += 1
            if wire.may_wait != 0 and items <= ITEMS_MAX:
                version = max(version, _newest_version_nb(wire, content, value))
        elif number == f.DECIDE_BATCH_REQUEST_ALL_OR_NONE and wire_type == VARINT:
            together = value != 0
    return items, together, version


@routine
def _may_use_all_nb(state: Any, wire: Any, address: int, end: int) -> bool:
    """Tell whether every good item is about the caller's own accounts and providers."""
    while address < end:
        number, wire_type, length, content, address = read_field_nb(
            address, end, i64(DEPTH_MAX), wire.open_numbers
        )
        if number != f.DECIDE_BATCH_REQUEST_REQUESTS or wire_type != LENGTH:
            continue
        good = read_request_nb(state, wire, content, length)
        good = good and pack_request_nb(wire, i64(IS_REQUEST), state.request)
        if good and not may_use_nb(wire, state.request + ACCOUNT_AT, state.request + PROVIDER_AT):
            return False
    return True


@part
def _answer_each_nb(
    state: Any,
    wire: Any,
    address: int,
    end: int,
    received_ns: int,
    decided_ns: int,
    out: int,
) -> int:
    while address < end:
        number, wire_type, length, content, address = read_field_nb(
            address, end, i64(DEPTH_MAX), wire.open_numbers
        )
        if number != f.DECIDE_BATCH_REQUEST_REQUESTS or wire_type != LENGTH:
            continue
        answered, field = i64(REFUSED), i64(f.BATCH_RESULT_RESPONSE)
        if read_request_nb(state, wire, content, length):
            answered = answer_read_request_nb(state, wire, received_ns, decided_ns, wire.answer)
        if answered == REFUSED:
            answered = put_error_nb(wire.answer, wire) - wire.answer
            field = i64(f.BATCH_RESULT_ERROR)
        out = put_result_of_nb(out, field, wire.answer, answered)
    return out


@routine
def answer_batch_nb(
    state: Any,
    wire: Any,
    address: int,
    length: int,
    received_ns: int,
    decided_ns: int,
    out: int,
) -> int:
    """Answer one DecideBatchRequest; as `answer_decide_nb`, with room for BATCH_BYTES_MAX.

    A state that is not new enough is waited for once, for the whole batch.
    """
    items, together, version = _look_over_nb(wire, address, length)
    if items < 0:
        refuse_field_nb(wire, i64(0), i64(N_REQUEST), i64(P_MESSAGE))
        return i64(REFUSED)
    if items < 1 or items > ITEMS_MAX:
        refuse_field_nb(wire, i64(0), i64(N_REQUESTS), i64(P_ITEMS))
        return i64(REFUSED)
    end = address + length
    wire.items = items
    if is_limited_nb(wire) and not _may_use_all_nb(state, wire, address, end):
        return i64(REFUSED)
    if wire.may_wait != 0 and version > engine_of(state).state_version:
        return i64(WAIT)
    wire.may_wait = 0  # from here on a state that is too old is an item's own error
    if together:
        return answer_together_nb(state, wire, address, end, received_ns, decided_ns, out) - out
    return _answer_each_nb(state, wire, address, end, received_ns, decided_ns, out) - out
