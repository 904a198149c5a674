"""A batch whose items all go or none does: judged first, then answered."""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.intrinsics import address_of, address_reference, copy_bytes
from server.hotpath.jit import i64, kernel, part, routine
from server.hotpath.layout import packed_dtype
from server.hotpath.memory import decision_of, engine_of, request_of, work_of
from server.hotpath.order_flow import take_back_nb
from server.hotpath.reasons import R_BATCH_DENIED, S_DENY
from server.hotpath.records import DECIDED, DECISION, KNOWN_HOLD, REPEATED
from server.hotpath.verdict import VERDICT_DENY
from server.hotpath.wire import fields as f
from server.hotpath.wire.decision import (
    finish_decision_nb,
    judge_request_nb,
    read_request_nb,
    repeat_answer_nb,
)
from server.hotpath.wire.item import put_error_nb, put_result_of_nb
from server.hotpath.wire.memory_of_answers import load_answer_nb
from server.hotpath.wire.outcome import BARRED, REFUSED
from server.hotpath.wire.readings import note_checks_nb, note_decision_nb
from server.hotpath.wire.refusal_texts import (
    REPLACES_TOGETHER,
)
from server.hotpath.wire.refusals import refuse_fixed_nb
from server.hotpath.wire.scan import DEPTH_MAX, LENGTH, MALFORMED, VARINT, read_field_nb
from server.hotpath.wire.tables import REPLACES_ROW

_I8 = "<i8"
ERROR_BYTES_MAX: Final = 512

# What one item came to; its decision stands beside it in `wire.decisions`.
JUDGED: Final = packed_dtype(
    ("outcome", _I8),  # DECIDED, BARRED, REPEATED or REFUSED
    ("explain", _I8),
    ("server_ns", _I8),
    ("reading", _I8),  # number of its note in `wire.readings`
    ("account_row", _I8),
    ("newest_event", _I8),  # when it was decided: a later item may trip another breaker
    ("error_bytes", _I8),
    ("error", ("u1", (ERROR_BYTES_MAX,))),  # encoded RequestError
)
_JUDGED_BYTES: Final = JUDGED.itemsize
_ERROR_OFFSET: Final[int] = JUDGED.fields["error"][1]  # type: ignore[index]
_DECISION_BYTES: Final = DECISION.itemsize

judged_at = address_reference(JUDGED)
decision_at = address_reference(DECISION)


@kernel
def _judged_nb(wire: Any, item: int) -> Any:
    return judged_at(wire.judged + item * i64(_JUDGED_BYTES))


@kernel
def _decision_nb(wire: Any, item: int) -> Any:
    return decision_at(wire.decisions + item * i64(_DECISION_BYTES))


@part
def _judge_item_nb(
    state: Any,
    wire: Any,
    item: int,
    content: int,
    length: int,
    received_ns: int,
    decided_ns: int,
) -> None:
    judged = _judged_nb(wire, item)
    outcome = i64(REFUSED)
    if read_request_nb(state, wire, content, length):
        if wire.text_bytes[REPLACES_ROW] != 0:
            # Taking such an answer back would have to bring the replaced hold back too.
            refuse_fixed_nb(wire, i64(REPLACES_TOGETHER))
        else:
            outcome = judge_request_nb(state, wire, received_ns)
    judged.outcome = outcome
    if outcome == REFUSED:
        error = address_of(judged) + _ERROR_OFFSET
        judged.error_bytes = put_error_nb(error, wire) - error
        return
    judged.reading = wire.reading_count
    judged.server_ns = 0
    if outcome == DECIDED:
        decision = decision_of(state)
        judged.server_ns = note_decision_nb(state, wire, decision, received_ns, decided_ns)
    judged.explain = request_of(state).explain
    judged.account_row = work_of(state).account_row
    judged.newest_event = engine_of(state).event_count
    kept = address_of(_decision_nb(wire, item))
    copy_bytes(kept, address_of(decision_of(state)), i64(_DECISION_BYTES))


@routine
def _stored_verdict_nb(state: Any, wire: Any, row: int) -> int:
    """Return the verdict of a stored answer; 0 if there is none, as for an id of this batch."""
    address = wire.answer
    end = address + load_answer_nb(state, wire, row, address)
    verdict = i64(0)
    while address < end:
        number, wire_type, value, _, address = read_field_nb(
            address, end, i64(DEPTH_MAX), wire.open_numbers
        )
        if address == MALFORMED:
            break
        if number == f.DECIDE_RESPONSE_VERDICT and wire_type == VARINT:
            verdict = value
    return verdict


@routine
def _is_denied_nb(state: Any, wire: Any, items: int) -> bool:
    """Tell whether any item is in error or denied, now or when it was first answered."""
    for item in range(items):
        outcome = _judged_nb(wire, item).outcome
        decision = _decision_nb(wire, item)
        if outcome == REFUSED:
            return True
        if outcome in (DECIDED, BARRED) and decision.verdict == VERDICT_DENY:
            return True
        if outcome == REPEATED:
            row = decision.idempotency_row
            if _stored_verdict_nb(state, wire, row) == VERDICT_DENY:
                return True
    return False


@kernel
def _deny_nb(state: Any, decision: Any) -> None:
    """Turn an answer that would have let an order go into the denial of the whole batch."""
    if decision.reservation_row != 0:
        take_back_nb(state, decision.reservation_row)
    decision.verdict = VERDICT_DENY
    decision.lot_size = 0.0
    decision.known &= ~KNOWN_HOLD
    decision.binding = R_BATCH_DENIED + 1
    decision.status[R_BATCH_DENIED] = S_DENY
    decision.numbers[R_BATCH_DENIED] = 0


@routine
def _answer_item_nb(state: Any, wire: Any, item: int, denied: bool, out: int) -> int:
    judged, decision = _judged_nb(wire, item), _decision_nb(wire, item)
    if judged.outcome == REFUSED:
        error = address_of(judged) + _ERROR_OFFSET
        return put_result_of_nb(out, i64(f.BATCH_RESULT_ERROR), error, judged.error_bytes)
    if judged.outcome == REPEATED:
        # An id that occurs twice in this batch: its answer was remembered a few items ago.
        answered = repeat_answer_nb(state, wire, decision.idempotency_row, wire.answer)
        if answered == REFUSED:
            answered = put_error_nb(wire.answer, wire) - wire.answer
            return put_result_of_nb(out, i64(f.BATCH_RESULT_ERROR), wire.answer, answered)
    else:
        if denied and decision.verdict != VERDICT_DENY:
            _deny_nb(state, decision)
            note_checks_nb(wire, judged.reading, decision)
        answered = finish_decision_nb(
            state,
            wire,
            decision,
            judged.explain,
            judged.server_ns,
            judged.account_row,
            judged.newest_event,
            wire.answer,
        )
    return put_result_of_nb(out, i64(f.BATCH_RESULT_RESPONSE), wire.answer, answered)


@part
def answer_together_nb(
    state: Any,
    wire: Any,
    address: int,
    end: int,
    received_ns: int,
    decided_ns: int,
    out: int,
) -> int:
    """Judge the items of a batch as one; return the end of the results at `out`."""
    items = i64(0)
    while address < end:
        number, wire_type, length, content, address = read_field_nb(
            address, end, i64(DEPTH_MAX), wire.open_numbers
        )
        if number == f.DECIDE_BATCH_REQUEST_REQUESTS and wire_type == LENGTH:
            _judge_item_nb(state, wire, items, content, length, received_ns, decided_ns)
            items += 1
    denied = _is_denied_nb(state, wire, items)
    for item in range(items):
        out = _answer_item_nb(state, wire, i64(item), denied, out)
    return out
