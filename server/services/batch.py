"""Many requests in one call: judged in order, each seeing the holds of those before it.

A bad item fails alone, also one that is no valid message. With `all_or_none` one denied or bad item
denies all new answers and their holds are given back; what was answered in an earlier call stays as
it was answered. A batch is judged without a pause, so nobody sees half of it.
"""

from typing import Final

from google.protobuf.message import DecodeError

from riskgate.v1.decision_pb2 import (
    CheckResult,
    DecideBatchRequest,
    DecideBatchResponse,
    DecideRequest,
    DecideResponse,
)
from riskgate.v1.types_pb2 import CHECK_STATUS_DENY, REASON_BATCH_DENIED, VERDICT_DENY
from server.errors import InvalidFieldError
from server.hotpath.reasons import R_BATCH_DENIED, REASON_CODES
from server.services.judge import Judge, Judged
from server.services.parse import parse, split_fields
from server.services.refusal import REPLACES_TOGETHER, Refusal, refusal_of

ITEMS_MAX: Final = 1_000
_INDICES: Final = {int(code): index for index, code in enumerate(REASON_CODES)}

Item = DecideRequest | Refusal


def read_batch(raw: bytes) -> tuple[list[Item], bool]:
    """Return the items, each parsed or refused, and `all_or_none`.

    Raises:
        InvalidFieldError: Not a batch, or none or too many items.
    """
    items: list[Item]
    try:
        message = DecideBatchRequest.FromString(raw)
    except DecodeError:
        items, all_or_none = _read_each(raw)
    else:
        items, all_or_none = list(message.requests), message.all_or_none
    if not 1 <= len(items) <= ITEMS_MAX:
        raise InvalidFieldError("requests", f"must have 1 to {ITEMS_MAX} items")
    return items, all_or_none


def _read_each(raw: bytes) -> tuple[list[Item], bool]:
    # One item is damaged: each is parsed alone, so that the others do not suffer.
    numbers = DecideBatchRequest.DESCRIPTOR.fields_by_name
    items: list[Item] = []
    all_or_none = False
    for number, content in split_fields(raw):
        if number == numbers["requests"].number and isinstance(content, bytes):
            try:
                items.append(parse(DecideRequest, content))
            except InvalidFieldError as error:
                items.append(refusal_of(error))
        elif number == numbers["all_or_none"].number and isinstance(content, int):
            all_or_none = bool(content)
    return items, all_or_none


def decide_each(judge: Judge, items: list[Item], received_ns: int) -> DecideBatchResponse:
    """Judge the items one by one, each on its own."""
    response = DecideBatchResponse()
    for item in items:
        _add(response, item if isinstance(item, Refusal) else judge.decide(item, received_ns))
    return response


def decide_together(judge: Judge, items: list[Item], received_ns: int) -> DecideBatchResponse:
    """Judge the items as one: all go, or none does."""
    outcomes = [
        item if isinstance(item, Refusal) else _judge_together(judge, item, received_ns)
        for item in items
    ]
    denied = _is_denied(judge, outcomes)
    response = DecideBatchResponse()
    for outcome in outcomes:
        if isinstance(outcome, Refusal):
            _add(response, outcome)
        elif outcome.response is None:
            # An id that occurs twice in this batch: its answer was remembered a few items ago.
            _add(response, judge.recall(outcome.idempotency_row))
        else:
            if denied and outcome.response.verdict != VERDICT_DENY:
                judge.cancel(outcome)
                _deny(outcome.response)
            _add(response, judge.remember(outcome.response, outcome.idempotency_row))
    return response


def _judge_together(judge: Judge, item: DecideRequest, received_ns: int) -> Judged | Refusal:
    # Taking such an answer back would have to bring the replaced hold back too.
    if item.replaces_client_order_id:
        return REPLACES_TOGETHER
    return judge.judge(item, received_ns)


def _is_denied(judge: Judge, outcomes: list[Judged | Refusal]) -> bool:
    """Tell whether any item is in error or denied, now or when it was first answered."""
    new_rows = set()
    for outcome in outcomes:
        if isinstance(outcome, Refusal):
            return True
        if outcome.response is not None:
            if outcome.response.verdict == VERDICT_DENY:
                return True
            new_rows.add(outcome.idempotency_row)
        elif outcome.idempotency_row not in new_rows:
            stored = DecideResponse.FromString(judge.peek(outcome.idempotency_row))
            if stored.verdict == VERDICT_DENY:
                return True
    return False


def _deny(response: DecideResponse) -> None:
    """Turn an answer that would have let an order go into the denial of the whole batch."""
    response.verdict = VERDICT_DENY
    response.lot_size = 0.0
    response.ClearField("reservation_expires_at")
    response.binding_limit = REASON_BATCH_DENIED
    # No other reason of this answer denies, so this one is the most severe.
    response.reasons.insert(0, REASON_BATCH_DENIED)
    if response.checks:
        # Checks stand in the engine's order of reasons.
        place = sum(_INDICES[check.check] < R_BATCH_DENIED for check in response.checks)
        denied = CheckResult(check=REASON_BATCH_DENIED, status=CHECK_STATUS_DENY)
        response.checks.insert(place, denied)


def _add(response: DecideBatchResponse, outcome: bytes | Refusal) -> None:
    if isinstance(outcome, Refusal):
        response.results.add(error=outcome.to_error())
    else:
        response.results.add().response.MergeFromString(outcome)
