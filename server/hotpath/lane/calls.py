"""A complete request to its answer: the checks of the port, then the engine.

The only place where the lane meets the engine. Every way out of a call is here: answered, refused,
parked until the state is new enough, or handed to Python as an errand.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from server.hotpath.jit import kernel, part, routine
from server.hotpath.journal.entries import (
    KIND_ACKNOWLEDGE,
    KIND_BATCH,
    KIND_DECIDE,
    KIND_REPORT,
)
from server.hotpath.journal.journal_record import journal_at
from server.hotpath.lane.access import may_call_nb
from server.hotpath.lane.directives import judge_watch_nb
from server.hotpath.lane.frames import PREFIX_BYTES, put_message_nb
from server.hotpath.lane.health import answer_health_nb
from server.hotpath.lane.keeping import keep_call_nb
from server.hotpath.lane.latency import count_answer_nb
from server.hotpath.lane.queue import park_call_nb
from server.hotpath.lane.replies import (
    begin_answer_nb,
    end_answer_nb,
    refuse_as_found_nb,
    refuse_with_nb,
)
from server.hotpath.lane.stream_calls import judge_stream_nb
from server.hotpath.lane.structs import (
    METHOD_ACK_DIRECTIVE,
    METHOD_DECIDE,
    METHOD_DECIDE_BATCH,
    METHOD_DECIDE_STREAM,
    METHOD_HEALTH_CHECK,
    METHOD_HEALTH_WATCH,
    METHOD_KILL,
    METHOD_REPORT_EXECUTION,
    METHOD_SYNC_ACCOUNT,
    METHOD_WATCH_DIRECTIVES,
    METHODS,
    connection_at,
)
from server.hotpath.lane.texts import (
    DEADLINE_EXCEEDED,
    OK,
    T_NOT_READY,
    T_TOO_LATE,
    UNAVAILABLE,
)
from server.hotpath.libc import monotonic_ns_nb
from server.hotpath.wire.acknowledge import answer_acknowledge_nb
from server.hotpath.wire.batch import answer_batch_nb
from server.hotpath.wire.decision import answer_decide_nb
from server.hotpath.wire.grants import begin_grant_nb, charge_items_nb
from server.hotpath.wire.journaling import begin_call_nb
from server.hotpath.wire.outcome import LIVE, REFUSED, WAIT
from server.hotpath.wire.report import answer_report_nb

# KIND_* of the journal, by method.
_KINDS: Final = np.zeros(METHODS, np.int64)
_KINDS[METHOD_DECIDE] = KIND_DECIDE
_KINDS[METHOD_DECIDE_BATCH] = KIND_BATCH
_KINDS[METHOD_REPORT_EXECUTION] = KIND_REPORT
_KINDS[METHOD_ACK_DIRECTIVE] = KIND_ACKNOWLEDGE

# A turn takes at most about this long.
DEADLINE_CLOSE_NS: Final = 10_000_000


@kernel
def _is_late_nb(lane: Any, call: Any) -> bool:
    """Tell whether a deadline has passed: by the turn's time, or the clock when it is close."""
    left_ns = call.deadline_ns - lane.now_ns
    return left_ns <= 0 or (
        left_ns < DEADLINE_CLOSE_NS and monotonic_ns_nb(lane.timespec) >= call.deadline_ns
    )


@kernel
def _may_be_judged_nb(lane: Any, call: Any) -> bool:
    """Check what every decision call has to pass; refuse the call if it does not."""
    if not may_call_nb(lane, call):
        return False
    if call.method == METHOD_KILL:
        return True  # late or not ready, it counts
    if call.deadline_ns != 0 and _is_late_nb(lane, call):
        refuse_with_nb(lane, call, DEADLINE_EXCEEDED, T_TOO_LATE)
    elif lane.is_ready == 0 and call.method != METHOD_DECIDE_STREAM:
        refuse_with_nb(lane, call, UNAVAILABLE, T_NOT_READY)
    else:
        return True
    return False


@kernel
def _finish_unary_nb(lane: Any, wire: Any, call: Any, address: int, outcome: int) -> None:
    if outcome == WAIT:
        park_call_nb(lane, address)
    elif outcome == REFUSED:
        refuse_as_found_nb(lane, wire, call)
    else:
        put_message_nb(call, outcome)
        end_answer_nb(call, OK)
        begin_answer_nb(lane, call, address)
        count_answer_nb(lane, call.method, call.received_ns)


@part
def _judge_unary_nb(lane: Any, state: Any, wire: Any, call: Any, address: int) -> None:
    wire.may_wait = call.parked_until_ns == 0 or lane.now_ns < call.parked_until_ns
    length, received_ns = call.message_bytes, call.received_ns
    journal = journal_at(lane.journal)
    kind = _KINDS[call.method]
    begin_call_nb(wire, journal, kind, call.input, length)
    begin_grant_nb(wire, connection_at(call.connection).grant, call.method)
    out = call.output + PREFIX_BYTES
    if call.method == METHOD_DECIDE:
        outcome = answer_decide_nb(state, wire, call.input, length, received_ns, LIVE, out)
    elif call.method == METHOD_DECIDE_BATCH:
        outcome = answer_batch_nb(state, wire, call.input, length, received_ns, LIVE, out)
        if outcome != WAIT:
            charge_items_nb(wire)
    elif call.method == METHOD_ACK_DIRECTIVE:
        outcome = answer_acknowledge_nb(state, wire, call.input, length, received_ns, out)
    else:
        outcome = answer_report_nb(state, wire, call.input, length, received_ns, out)
    keep_call_nb(lane, state, wire, call, kind, call.input, length, out, outcome)
    _finish_unary_nb(lane, wire, call, address, outcome)


@routine
def judge_call_nb(lane: Any, state: Any, wire: Any, call: Any, address: int) -> bool:
    """Judge one call; tell whether it is an errand that Python has to answer."""
    method = call.method
    if method in (METHOD_HEALTH_CHECK, METHOD_HEALTH_WATCH):
        answer_health_nb(lane, call, address)
    elif method == METHOD_WATCH_DIRECTIVES and call.answering != 0:
        judge_watch_nb(lane, state, wire, call, address)
    elif _may_be_judged_nb(lane, call):
        if method == METHOD_DECIDE_STREAM:
            judge_stream_nb(lane, state, wire, call, address)
        elif method in (METHOD_SYNC_ACCOUNT, METHOD_KILL):
            return True
        elif method == METHOD_WATCH_DIRECTIVES:
            judge_watch_nb(lane, state, wire, call, address)
        else:
            _judge_unary_nb(lane, state, wire, call, address)
    return False
