"""One DecideStreamRequest to one DecideStreamResponse: always an answer, perhaps an error."""

from __future__ import annotations

from typing import Any

from server.hotpath.jit import i64, kernel, part, routine
from server.hotpath.records import P_REQUIRED
from server.hotpath.wire import fields as f
from server.hotpath.wire.decision import answer_read_request_nb, refuse_malformed_nb
from server.hotpath.wire.decode import begin_message_nb, scan_inner_message_nb
from server.hotpath.wire.encode import put_number_nb
from server.hotpath.wire.item import put_error_nb, put_message_field_nb
from server.hotpath.wire.outcome import REFUSED, WAIT
from server.hotpath.wire.refusal_texts import (
    IN_REQUEST,
    N_REQUEST,
    NOT_READY,
    TOO_LARGE,
    TOO_MANY_CALLS,
)
from server.hotpath.wire.refusals import refuse_field_nb, refuse_fixed_nb
from server.hotpath.wire.scan import DEPTH_MAX, LENGTH, MALFORMED, VARINT, read_field_nb
from server.hotpath.wire.tables import IS_REQUEST


@kernel
def _read_item_nb(state: Any, wire: Any, address: int, length: int) -> bool:
    """Decode a DecideStreamRequest; the tag is kept even when the rest is refused."""
    begin_message_nb(wire, i64(IS_REQUEST), state.request)
    end = address + length
    found, is_good = False, True
    echoed, tag = i64(0), i64(0)
    while address < end:
        number, wire_type, value, content, address = read_field_nb(
            address, end, i64(DEPTH_MAX), wire.open_numbers
        )
        if address == MALFORMED:
            wire.bad_text = 0
            wire.tag = 0
            wire.echoed_tag = 0
            refuse_malformed_nb(wire, i64(0))
            return False
        is_good &= number != 0
        if number == f.DECIDE_STREAM_REQUEST_TAG and wire_type == VARINT:
            echoed = tag = value
        elif number == f.DECIDE_STREAM_REQUEST_TAG and wire_type == LENGTH:
            echoed = i64(0)  # what a refused message echoes: its last field of this number
        elif number == f.DECIDE_STREAM_REQUEST_REQUEST and wire_type == LENGTH:
            found = True
            is_good &= scan_inner_message_nb(wire, i64(IS_REQUEST), state.request, content, value)
    wire.tag = tag if found and is_good else echoed
    wire.echoed_tag = echoed
    if not is_good or wire.bad_text != 0:
        refuse_malformed_nb(wire, i64(IN_REQUEST))
    elif not found:
        refuse_field_nb(wire, i64(0), i64(N_REQUEST), i64(P_REQUIRED))
    return found and is_good


@part
def _answer_item_nb(
    state: Any,
    wire: Any,
    address: int,
    length: int,
    received_ns: int,
    decided_ns: int,
    is_ready: int,
) -> int:
    # The tag is wanted in any case, so the message is read first.
    read = _read_item_nb(state, wire, address, length)
    if wire.is_limited != 0:
        wire.tag = wire.echoed_tag
        refuse_fixed_nb(wire, i64(TOO_MANY_CALLS))
        return i64(REFUSED)
    if is_ready == 0 or length > wire.request_bytes_max:
        wire.tag = wire.echoed_tag
        refuse_fixed_nb(wire, i64(NOT_READY) if is_ready == 0 else i64(TOO_LARGE))
        return i64(REFUSED)
    if not read:
        return i64(REFUSED)
    return answer_read_request_nb(state, wire, received_ns, decided_ns, wire.answer)


@routine
def answer_stream_item_nb(
    state: Any,
    wire: Any,
    address: int,
    length: int,
    received_ns: int,
    decided_ns: int,
    out: int,
    is_ready: int,
) -> int:
    """Answer one message of a stream.

    Returns:
        Length of the DecideStreamResponse at `out`, or WAIT. Other arguments and the room at `out`
        as for `answer_decide_nb`, and 32 bytes more.
    """
    answered = _answer_item_nb(state, wire, address, length, received_ns, decided_ns, is_ready)
    if answered == WAIT:
        return i64(WAIT)
    end = put_number_nb(out, i64(f.DECIDE_STREAM_RESPONSE_TAG), wire.tag)
    field = i64(f.DECIDE_STREAM_RESPONSE_RESPONSE)
    if answered == REFUSED:
        answered = put_error_nb(wire.answer, wire) - wire.answer
        field = i64(f.DECIDE_STREAM_RESPONSE_ERROR)
    return put_message_field_nb(end, field, wire.answer, answered) - out
