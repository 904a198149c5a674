"""One DecideRequest to one DecideResponse: decode, judge, encode, remember."""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.decide import decide_nb, deny_unjournaled_nb, recall_answer_nb
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.memory import decision_of, engine_of, request_of, work_of
from server.hotpath.reasons import R_JOURNAL_FULL
from server.hotpath.records import CONFLICT, DECIDED, REPEATED, REQUEST
from server.hotpath.wire.decode import begin_message_nb, scan_message_nb
from server.hotpath.wire.grants import copy_caller_nb, may_use_nb
from server.hotpath.wire.memory_of_answers import load_answer_nb, store_answer_nb
from server.hotpath.wire.outcome import BARRED, REFUSED, WAIT
from server.hotpath.wire.packing import pack_request_nb
from server.hotpath.wire.readings import note_decision_nb
from server.hotpath.wire.refusal_texts import (
    ANSWER_GONE,
    N_REQUEST,
    ORDER_ID_TAKEN,
    P_MESSAGE,
    P_UTF8,
    STATE_TOO_OLD,
    TOO_LARGE,
    WRONG_SHARD,
)
from server.hotpath.wire.refusals import refuse_field_nb, refuse_fixed_nb
from server.hotpath.wire.response import put_response_nb
from server.hotpath.wire.scan import DEPTH_MAX
from server.hotpath.wire.sharding import owns_account_nb
from server.hotpath.wire.tables import IS_REQUEST

ACCOUNT_AT: Final[int] = REQUEST.fields["account_id"][1]  # type: ignore[index]
PROVIDER_AT: Final[int] = REQUEST.fields["provider_id"][1]  # type: ignore[index]
CALLER_AT: Final[int] = REQUEST.fields["identity"][1]  # type: ignore[index]


@routine
def refuse_malformed_nb(wire: Any, prefix: int) -> None:
    """Refuse a message that could not be read; name its first text that is not UTF-8, if any."""
    if wire.bad_text != 0:
        refuse_field_nb(wire, prefix, wire.bad_text, i64(P_UTF8))
    else:
        refuse_field_nb(wire, i64(0), i64(N_REQUEST), i64(P_MESSAGE))


@routine
def read_request_nb(state: Any, wire: Any, address: int, length: int) -> bool:
    """Decode a DecideRequest into `state.request`; texts are noted, not yet packed."""
    begin_message_nb(wire, i64(IS_REQUEST), state.request)
    depth = i64(DEPTH_MAX)
    if scan_message_nb(wire, i64(IS_REQUEST), state.request, address, length, depth):
        return True
    refuse_malformed_nb(wire, i64(0))
    return False


@kernel
def judge_request_nb(state: Any, wire: Any, received_ns: int) -> int:
    """Pack and judge the request that was read.

    Returns DECIDED, BARRED, REPEATED, REFUSED or WAIT.
    """
    if not pack_request_nb(wire, i64(IS_REQUEST), state.request):
        return i64(REFUSED)
    copy_caller_nb(wire, state.request + CALLER_AT)
    if not may_use_nb(wire, state.request + ACCOUNT_AT, state.request + PROVIDER_AT):
        return i64(REFUSED)
    if not owns_account_nb(wire, state.request + ACCOUNT_AT):
        refuse_fixed_nb(wire, i64(WRONG_SHARD))
        return i64(REFUSED)
    if request_of(state).min_state_version > engine_of(state).state_version:
        if wire.may_wait != 0:
            return i64(WAIT)
        refuse_fixed_nb(wire, i64(STATE_TOO_OLD))
        return i64(REFUSED)
    barred = wire.barred != 0 and (wire.exits_only == 0 or request_of(state).reduce_only == 0)
    if not barred:
        outcome = decide_nb(state, received_ns)
    elif wire.barred == 1 + R_JOURNAL_FULL:
        outcome = recall_answer_nb(state, received_ns)  # what was said before still holds
    else:
        outcome = i64(DECIDED)
    if barred and outcome == DECIDED:
        deny_unjournaled_nb(state, received_ns, wire.barred - 1)
        return i64(BARRED)
    if outcome in (DECIDED, REPEATED):
        return i64(outcome)
    decision = decision_of(state)
    if outcome == CONFLICT:
        refuse_fixed_nb(wire, i64(ORDER_ID_TAKEN))
    else:
        refuse_field_nb(wire, i64(0), decision.field, decision.problem)
    return i64(REFUSED)


@routine
def finish_decision_nb(
    state: Any,
    wire: Any,
    decision: Any,
    explain: int,
    server_ns: int,
    account_row: int,
    newest_event: int,
    out: int,
) -> int:
    """Encode, count and remember a new answer; return its length. As `put_response_nb`."""
    end = put_response_nb(
        out,
        state,
        decision,
        wire.durability,
        explain,
        server_ns,
        account_row,
        newest_event,
        wire.scratch,
    )
    wire.verdicts[decision.verdict] += 1
    store_answer_nb(state, wire, decision.idempotency_row, out, end - out)
    return end - out


@routine
def repeat_answer_nb(state: Any, wire: Any, row: int, out: int) -> int:
    """Give a stored answer again, byte for byte; REFUSED if it could not be kept."""
    wire.repeated += 1
    length = load_answer_nb(state, wire, row, out)
    if length == 0:
        refuse_fixed_nb(wire, i64(ANSWER_GONE))
        return i64(REFUSED)
    return length


@kernel
def answer_read_request_nb(
    state: Any, wire: Any, received_ns: int, decided_ns: int, out: int
) -> int:
    """Answer the request that was read; returns as `answer_decide_nb`."""
    outcome = judge_request_nb(state, wire, received_ns)
    decision = decision_of(state)
    if outcome in (DECIDED, BARRED):
        server_ns = i64(0)
        if outcome == DECIDED:
            server_ns = note_decision_nb(state, wire, decision, received_ns, decided_ns)
        explain, account_row = request_of(state).explain, work_of(state).account_row
        newest = engine_of(state).event_count
        return finish_decision_nb(
            state, wire, decision, explain, server_ns, account_row, newest, out
        )
    if outcome == REPEATED:
        return repeat_answer_nb(state, wire, decision.idempotency_row, out)
    return outcome


@kernel
def answer_decide_nb(
    state: Any,
    wire: Any,
    address: int,
    length: int,
    received_ns: int,
    decided_ns: int,
    out: int,
) -> int:
    """Answer one DecideRequest.

    Args:
        state: MEMORY record of the engine.
        wire: WIRE record.
        address: Of the message.
        length: Of the message, bytes.
        received_ns: When its last byte came, Unix time.
        decided_ns: Clock reading after the decision; LIVE, or RECORDED in a replay.
        out: Address with room for ANSWER_BYTES_MAX.

    Returns:
        Length of the DecideResponse at `out`, REFUSED or WAIT.
    """
    if length > wire.request_bytes_max:
        refuse_fixed_nb(wire, i64(TOO_LARGE))
        return i64(REFUSED)
    if not read_request_nb(state, wire, address, length):
        return i64(REFUSED)
    return answer_read_request_nb(state, wire, received_ns, decided_ns, out)
