"""The messages of a stream, judged in order as long as there is room for the answers."""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.intrinsics import load_byte
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.journal.entries import KIND_STREAM
from server.hotpath.journal.journal_record import journal_at
from server.hotpath.lane.frames import PREFIX_BYTES, put_message_nb
from server.hotpath.lane.keeping import keep_call_nb
from server.hotpath.lane.latency import count_answer_nb
from server.hotpath.lane.queue import park_call_nb, queue_call_nb
from server.hotpath.lane.replies import (
    begin_answer_nb,
    continue_answer_nb,
    end_answer_nb,
    refuse_with_nb,
)
from server.hotpath.lane.requests import (
    give_back_window_nb,
    message_length_nb,
    prefix_is_good_nb,
)
from server.hotpath.lane.structs import CALL_READING, METHOD_DECIDE_STREAM, connection_at
from server.hotpath.lane.texts import INVALID_ARGUMENT, OK, T_STOPPING, T_TRUNCATED, UNAVAILABLE
from server.hotpath.wire.grants import begin_grant_nb, limit_item_nb
from server.hotpath.wire.journaling import begin_call_nb
from server.hotpath.wire.outcome import LIVE, WAIT
from server.hotpath.wire.response import ANSWER_BYTES_MAX
from server.hotpath.wire.stream import answer_stream_item_nb

# Items of one stream before the other calls get their turn.
STREAM_TURN_ITEMS: Final = 64
# An answer with the prefixes of gRPC and of the stream around it.
STREAM_ANSWER_BYTES_MAX: Final = ANSWER_BYTES_MAX + 64


@kernel
def _holds_message_nb(lane: Any, call: Any) -> bool:
    """Tell whether a whole message of a stream has come; refuse a bad one."""
    held = call.input_to - call.input_from
    if held < PREFIX_BYTES:
        return False
    at = call.input + call.input_from
    length = message_length_nb(at)
    if not prefix_is_good_nb(lane, call, load_byte(at), length):
        return False
    call.message_bytes = length
    return held >= PREFIX_BYTES + length


@kernel
def _rest_stream_nb(lane: Any, call: Any, address: int) -> None:
    """All that has come is judged: ask for more, or end the answer as the peer has ended."""
    give_back_window_nb(call)
    held = call.input_to - call.input_from
    call.partial_since_ns = lane.now_ns if held > 0 else 0
    if call.peer_ended != 0 and held > 0:
        refuse_with_nb(lane, call, INVALID_ARGUMENT, T_TRUNCATED)
    elif call.peer_ended != 0:
        end_answer_nb(call, OK)
        if call.answering == 0:
            begin_answer_nb(lane, call, address)
    elif lane.draining_since_ns != 0:
        refuse_with_nb(lane, call, UNAVAILABLE, T_STOPPING)


@routine
def judge_stream_nb(lane: Any, state: Any, wire: Any, call: Any, address: int) -> None:
    """Answer the messages of a stream in order, as long as there is room for the answers."""
    call.state = CALL_READING
    items = 0
    while _holds_message_nb(lane, call):
        if call.output_size - call.output_to < STREAM_ANSWER_BYTES_MAX:
            lane.streams_paused += 1
            call.partial_since_ns = 0  # the peer owes us nothing: it is the answers that wait
            return  # the data source queues the call again once the peer has read
        if items == STREAM_TURN_ITEMS:
            queue_call_nb(lane, address)
            return
        wire.may_wait = call.parked_until_ns == 0 or lane.now_ns < call.parked_until_ns
        at = call.input + call.input_from + PREFIX_BYTES
        out = call.output + call.output_to + PREFIX_BYTES
        length = call.message_bytes
        begin_call_nb(wire, journal_at(lane.journal), i64(KIND_STREAM), at, length)
        begin_grant_nb(wire, connection_at(call.connection).grant, i64(METHOD_DECIDE_STREAM))
        if call.parked_until_ns == 0:
            limit_item_nb(wire, connection_at(call.connection).grant, lane.now_ns)
        outcome = answer_stream_item_nb(
            state, wire, at, length, call.received_ns, LIVE, out, lane.is_ready
        )
        keep_call_nb(lane, state, wire, call, i64(KIND_STREAM), at, length, out, outcome)
        if outcome == WAIT:
            park_call_nb(lane, address)
            return
        call.parked_until_ns = 0
        put_message_nb(call, outcome)
        call.input_from += PREFIX_BYTES + call.message_bytes
        count_answer_nb(lane, METHOD_DECIDE_STREAM, call.received_ns)
        items += 1
        if call.answering == 0:
            begin_answer_nb(lane, call, address)
        else:
            continue_answer_nb(call)
    if call.finished == 0:
        _rest_stream_nb(lane, call, address)
