"""WatchDirectives: each watcher is told what is there, then each directive in the turn it is made.

A watcher has one small buffer. While that is full it is told nothing, and it is queued again when
its peer has read; who falls behind by all events that the engine keeps is told so, and ended.
"""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.events import event_row_nb
from server.hotpath.intrinsics import address_of, copy_bytes, load_long
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.lane.access import may_go_on_nb
from server.hotpath.lane.frames import PREFIX_BYTES, put_message_nb
from server.hotpath.lane.latency import count_answer_nb
from server.hotpath.lane.pool import CALL_BYTES
from server.hotpath.lane.queue import queue_call_nb
from server.hotpath.lane.replies import (
    begin_answer_nb,
    continue_answer_nb,
    refuse_as_found_nb,
    refuse_with_nb,
)
from server.hotpath.lane.structs import (
    CALL_ANSWERED,
    CALL_FREE,
    METHOD_WATCH_DIRECTIVES,
    call_at,
    connection_at,
)
from server.hotpath.lane.texts import (
    RESOURCE_EXHAUSTED,
    T_SLOW_READER,
    T_STOPPING,
    UNAVAILABLE,
)
from server.hotpath.layout import ID_BYTES_MAX, ID_WORDS
from server.hotpath.memory import engine_of, event_at
from server.hotpath.wire import fields as f
from server.hotpath.wire.directives import (
    DIRECTIVE_BYTES_MAX,
    EVENT_ACCOUNT_AT,
    put_inner_directive_nb,
)
from server.hotpath.wire.grants import begin_grant_nb, may_see_nb
from server.hotpath.wire.watch import read_watch_nb

# Events that one watcher looks at before the other calls get their turn.
_TURN_EVENTS: Final = 512
_MESSAGE_BYTES_MAX: Final = PREFIX_BYTES + 4 + DIRECTIVE_BYTES_MAX


@kernel
def _concerns_nb(wire: Any, call: Any, event: Any) -> bool:
    """Tell whether a watcher asked for an event's account and may see it."""
    account = address_of(event) + EVENT_ACCOUNT_AT
    if load_long(call.input) != 0:
        for word in range(ID_WORDS):
            if load_long(call.input + 8 * word) != load_long(account + 8 * word):
                return False
    return may_see_nb(wire, account)


@routine
def _tell_nb(lane: Any, state: Any, wire: Any, call: Any, address: int) -> None:
    """Send what a watcher has not looked at yet, as far as its buffer goes."""
    newest = engine_of(state).event_count
    if call.seen_event < newest - state.event_capacity:
        refuse_with_nb(lane, call, i64(RESOURCE_EXHAUSTED), i64(T_SLOW_READER))
        return
    last = min(newest, call.seen_event + _TURN_EVENTS)
    while call.seen_event < last:
        if call.output_size - call.output_to < _MESSAGE_BYTES_MAX:
            lane.streams_paused += 1
            return  # the data source queues the call again once the peer has read
        call.seen_event += 1
        event = event_at(state, event_row_nb(state, call.seen_event))
        is_new = call.seen_event > call.begun_event
        if (is_new or event.acknowledged_at_ns == 0) and _concerns_nb(wire, call, event):
            out = call.output + call.output_to + PREFIX_BYTES
            field = i64(f.WATCH_DIRECTIVES_RESPONSE_DIRECTIVE)
            put_message_nb(call, put_inner_directive_nb(out, field, event, wire.scratch) - out)
    if last < newest:
        queue_call_nb(lane, address)


@routine
def _begin_nb(lane: Any, state: Any, wire: Any, call: Any) -> bool:
    """Read what is watched; tell whether that may be."""
    # The message is read into the output: its own bytes are in the way of the account's.
    if not read_watch_nb(state, wire, call.input, call.message_bytes, call.output):
        refuse_as_found_nb(lane, wire, call)
        return False
    copy_bytes(call.input, call.output, i64(ID_BYTES_MAX))
    newest = engine_of(state).event_count
    after = load_long(call.output + i64(ID_BYTES_MAX))
    call.begun_event = newest
    call.seen_event = max(after if after <= newest else i64(0), newest - state.event_capacity)
    return True


@routine
def judge_watch_nb(lane: Any, state: Any, wire: Any, call: Any, address: int) -> None:
    """Begin a watch, or go on with one."""
    call.state = CALL_ANSWERED
    is_new = call.answering == 0
    begin_grant_nb(wire, connection_at(call.connection).grant, call.method)
    if is_new:
        if not _begin_nb(lane, state, wire, call):
            return
        begin_answer_nb(lane, call, address)
        count_answer_nb(lane, call.method, call.received_ns)
    elif not may_go_on_nb(lane, call):
        return
    _tell_nb(lane, state, wire, call, address)
    if call.finished == 0 and lane.draining_since_ns != 0:
        refuse_with_nb(lane, call, i64(UNAVAILABLE), i64(T_STOPPING))
    elif call.finished == 0 and call.output_from < call.output_to:
        continue_answer_nb(call)


@routine
def queue_watchers_nb(lane: Any, state: Any) -> None:
    """Let every watcher be told of events that were made since the last time."""
    lane.told_event = engine_of(state).event_count
    for number in range(lane.calls_fresh):
        address = lane.calls + number * i64(CALL_BYTES)
        call = call_at(address)
        if call.state == CALL_FREE or call.method != METHOD_WATCH_DIRECTIVES:
            continue
        if call.gone == 0 and call.answering != 0 and call.finished == 0:
            queue_call_nb(lane, address)
