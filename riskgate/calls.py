"""What the sync and the asyncio client have in common: requests, answers and the retry.

A `Call` is one RPC about to be made. `Attempts` is its clock: it hands out the time that is left
and admits at most one more try, only after UNAVAILABLE and only for a call that has the same effect
when it arrives twice. Nothing in here waits or touches a socket.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import grpc

from riskgate.directives import Heard
from riskgate.errors import NoDecisionError
from riskgate.fields import DecideFields, ReportFields, SyncFields, fill_message
from riskgate.v1 import decision_pb2

DEADLINE_S: Final = 0.25
RETRIES_MAX: Final = 1
# Pause before the second try: long enough for a restarted listener, short against the deadline.
RETRY_PAUSE_S: Final = 0.01

# One item of a batch or a stream: its answer, or why there is none.
Outcome = decision_pb2.DecideResponse | NoDecisionError


@dataclass(frozen=True, slots=True)
class Call:
    """One unary RPC of DecisionService.

    Attributes:
        method: Its name in the stub, as in `Decide`.
        request: The message to send.
        is_repeatable: It has the same effect when it arrives twice.
        account_id: Whose engine is called, when there are several; of a batch the first's.
    """

    method: str
    request: Any
    is_repeatable: bool
    account_id: str = ""


def build_order_id() -> str:
    """Return a client order id that nobody else has."""
    return str(uuid4())


def build_request(
    request: decision_pb2.DecideRequest | None, fields: DecideFields, *, idempotent: bool
) -> decision_pb2.DecideRequest:
    """Return the request to send: a copy of the given one with the fields, and an order id.

    Args:
        request: Base of the new request; None: empty.
        fields: Set over it.
        idempotent: Give it a new client_order_id when it has none.

    Raises:
        NoDecisionError: INVALID_ARGUMENT, a field cannot be what was given.
    """
    message = fill_message(decision_pb2.DecideRequest, request, fields)
    if idempotent and not message.client_order_id:
        message.client_order_id = build_order_id()
    return message


def build_decide(
    request: decision_pb2.DecideRequest | None, fields: DecideFields, *, idempotent: bool
) -> Call:
    """Return the call of one decision."""
    message = build_request(request, fields, idempotent=idempotent)
    return Call("Decide", message, bool(message.client_order_id), message.account_id)


def build_batch(
    requests: Iterable[decision_pb2.DecideRequest], *, all_or_none: bool, idempotent: bool
) -> Call:
    """Return the call of a batch; it may be repeated when every request carries an order id."""
    messages = [build_request(request, {}, idempotent=idempotent) for request in requests]
    batch = decision_pb2.DecideBatchRequest(requests=messages, all_or_none=all_or_none)
    is_repeatable = all(message.client_order_id for message in messages)
    first = messages[0].account_id if messages else ""
    return Call("DecideBatch", batch, is_repeatable, first)


def build_report(report: decision_pb2.ExecutionReport | None, fields: ReportFields) -> Call:
    """Return the call of an execution report; it may be repeated when it has a report id."""
    message = fill_message(decision_pb2.ExecutionReport, report, fields)
    request = decision_pb2.ReportExecutionRequest(report=message)
    return Call("ReportExecution", request, bool(message.report_id), message.account_id)


def build_sync(request: decision_pb2.SyncAccountRequest | None, fields: SyncFields) -> Call:
    """Return the call that replaces an account's positions; never repeated.

    A second one would undo the reports that came between the two.
    """
    message = fill_message(decision_pb2.SyncAccountRequest, request, fields)
    return Call("SyncAccount", message, is_repeatable=False, account_id=message.account_id)


def build_acknowledge(directive: decision_pb2.Directive, *, success: bool, detail: str) -> Call:
    """Return the call that says what became of a directive; it may be repeated."""
    request = decision_pb2.AckDirectiveRequest(
        directive_id=directive.directive_id,
        success=success,
        detail=detail,
        account_id=directive.account_id,
    )
    return Call("AckDirective", request, is_repeatable=True, account_id=directive.account_id)


def build_heard(account_id: str, after_directive_id: int, engines: int) -> list[Heard]:
    """Return the watches of directives, one for each engine that is asked.

    Raises:
        NoDecisionError: INVALID_ARGUMENT, the id could be one of several engines.
    """
    if account_id:
        engines = 1
    if after_directive_id and engines > 1:
        problem = "after_directive_id needs an account_id when there are several engines"
        raise NoDecisionError(grpc.StatusCode.INVALID_ARGUMENT, problem, "after_directive_id")
    return [Heard(account_id, after_directive_id) for _ in range(engines)]


def build_stream_item(
    tag: int, request: decision_pb2.DecideRequest, *, idempotent: bool
) -> decision_pb2.DecideStreamRequest:
    """Return one message of a stream; answers carry its tag."""
    return decision_pb2.DecideStreamRequest(
        tag=tag, request=build_request(request, {}, idempotent=idempotent)
    )


def read_outcome(
    item: decision_pb2.BatchResult | decision_pb2.DecideStreamResponse,
) -> Outcome:
    """Return what one item of a batch or a stream came to."""
    if item.WhichOneof("result") == "response":
        return item.response
    return NoDecisionError.from_item(item.error)


def read_batch(request: decision_pb2.DecideBatchRequest, answer: Any) -> list[Outcome]:
    """Return one outcome per request, in order.

    Raises:
        NoDecisionError: INTERNAL, the answer has another number of results.
    """
    if len(answer.results) != len(request.requests):
        raise NoDecisionError(grpc.StatusCode.INTERNAL, "the answer has another number of results")
    return [read_outcome(item) for item in answer.results]


def read_stream_item(tag: int, answer: decision_pb2.DecideStreamResponse) -> Outcome:
    """Return the outcome of the request with that tag.

    Raises:
        NoDecisionError: INTERNAL, the answer belongs to another request.
    """
    if answer.tag != tag:
        raise NoDecisionError(grpc.StatusCode.INTERNAL, "an answer of the stream is out of order")
    return read_outcome(answer)


class Attempts:
    """The tries of one call inside its deadline.

    Args:
        call: What is called.
        deadline_s: Seconds for all tries together, > 0.
        now_s: Monotonic clock, seconds.

    Raises:
        NoDecisionError: INVALID_ARGUMENT, the deadline is not a positive number.
    """

    def __init__(
        self, call: Call, deadline_s: float, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        if not deadline_s > 0:
            problem = "deadline_s must be a positive number of seconds"
            raise NoDecisionError(grpc.StatusCode.INVALID_ARGUMENT, problem, "deadline_s")
        self._now_s = now_s
        self._ends_at_s = now_s() + deadline_s
        self._retries_left = RETRIES_MAX if call.is_repeatable else 0
        self.is_retry = False

    def remaining_s(self) -> float:
        """Return the seconds left for the next try, ≥ 0."""
        return max(0.0, self._ends_at_s - self._now_s())

    def admit_retry(self, error: grpc.RpcError) -> float:
        """Return how long to pause before one more try, seconds.

        Raises:
            NoDecisionError: There is no further try; it carries the status of this error.
        """
        is_away = error.code() is grpc.StatusCode.UNAVAILABLE
        if not (is_away and self._retries_left > 0 and self.remaining_s() > RETRY_PAUSE_S):
            raise NoDecisionError.from_rpc(error) from error
        self._retries_left -= 1
        self.is_retry = True
        return RETRY_PAUSE_S
