"""From a parsed request to a judged one: the synchronous middle of every decision call.

Between writing the request and reading the answer nothing may be awaited: the engine has one
request record and one owner. The rule that an answer is remembered before the next request is
judged is kept here, too.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from riskgate.v1.decision_pb2 import DecideRequest, DecideResponse
from riskgate.v1.types_pb2 import Durability
from server.engine import Engine
from server.errors import RiskgateError
from server.hotpath.reasons import R_JOURNAL_FULL
from server.hotpath.records import CONFLICT, DECIDED, REPEATED
from server.hotpath.wire.decision import ACCOUNT_AT, CALLER_AT, PROVIDER_AT
from server.journal.calls import CallJournal
from server.journal.writer import durability_of
from server.services.convert import read_decision, read_refusal, write_request
from server.services.refusal import (
    ANSWER_GONE,
    NOT_YOURS,
    ORDER_ID_TAKEN,
    STATE_TOO_OLD,
    WRONG_SHARD,
    Refusal,
    refusal_of,
)
from server.shards import WHOLE, Shard
from server.telemetry.decision_counts import DecisionCounts


@dataclass(slots=True)
class Judged:
    """One answer that has not left yet.

    Attributes:
        response: The new answer; None when the one stored in the row counts.
        idempotency_row: Where the answer belongs or is; 0: nowhere.
        reservation_row: The hold of the answer; 0: none.
    """

    response: DecideResponse | None
    idempotency_row: int
    reservation_row: int


class Judge:
    """Asks the engine.

    Args:
        engine: The engine; only its owner calls this.
        counts: Receives every answer; refusals are counted where they leave.
        calls: Journal of the port, which says whether anything may be decided.
        shard: Which accounts are decided here.
    """

    def __init__(
        self,
        engine: Engine,
        counts: DecisionCounts,
        calls: CallJournal,
        shard: Shard = WHOLE,
    ) -> None:
        self._engine = engine
        self._calls = calls
        self._shard = shard
        self._counts = counts

    def judge(self, message: DecideRequest, received_ns: int) -> Judged | Refusal:
        """Judge one request; the answer is not yet remembered.

        Args:
            message: What was asked.
            received_ns: Clock reading before the request was parsed, Unix nanoseconds.
        """
        engine, state = self._engine, self._engine.state
        try:
            write_request(message, state.request)
        except RiskgateError as error:
            return refusal_of(error)
        self._calls.write_caller(state.request.ctypes.data + CALLER_AT)
        if not self._may_use_written():
            return NOT_YOURS
        if not self._shard.owns(message.account_id):
            return WRONG_SHARD
        if message.min_state_version > engine.state_version:
            return STATE_TOO_OLD
        bar = self._calls.find_bar(is_exit=message.reduce_only)
        if bar is None:
            outcome = engine.decide(received_ns)
        elif bar == R_JOURNAL_FULL:
            outcome = engine.recall(received_ns)  # what was said before still holds
        else:
            outcome = DECIDED
        if bar is not None and outcome == DECIDED:
            engine.deny(bar, received_ns)
            return Judged(self._read(message, 0), 0, 0)
        decided_ns = time.time_ns()
        if outcome == DECIDED:
            self._calls.note_decision(received_ns, decided_ns)
            response = self._read(message, decided_ns - received_ns)
            decision = state.decision[0]
            rows = int(decision["idempotency_row"]), int(decision["reservation_row"])
            return Judged(response, *rows)
        if outcome == REPEATED:
            return Judged(None, int(state.decision[0]["idempotency_row"]), 0)
        if outcome == CONFLICT:
            return ORDER_ID_TAKEN
        return refusal_of(read_refusal(state))

    def may_use_all(self, messages: Iterable[DecideRequest]) -> bool:
        """Tell whether all good requests are about the caller's own accounts and providers."""
        if not self._calls.is_limited:
            return True
        for message in messages:
            try:
                write_request(message, self._engine.state.request)
            except RiskgateError:
                continue  # an item's own error
            if not self._may_use_written():
                return False
        return True

    def _may_use_written(self) -> bool:
        request = self._engine.state.request.ctypes.data
        return self._calls.may_use(request + ACCOUNT_AT, request + PROVIDER_AT)

    def _read(self, message: DecideRequest, server_ns: int) -> DecideResponse:
        return read_decision(
            self._engine.state,
            explain=message.explain,
            server_ns=server_ns,
            durability=cast("Durability", durability_of(self._engine)),
        )

    def decide(self, message: DecideRequest, received_ns: int) -> bytes | Refusal:
        """Judge one request and remember its answer; returns the encoded answer."""
        judged = self.judge(message, received_ns)
        if isinstance(judged, Refusal):
            return judged
        if judged.response is None:
            return self.recall(judged.idempotency_row)
        return self.remember(judged.response, judged.idempotency_row)

    def remember(self, response: DecideResponse, row: int) -> bytes:
        """Encode an answer and keep it for repetitions; row 0 keeps nothing."""
        self._counts.add_decision(response.verdict)
        answer = response.SerializeToString()
        if row:
            self._engine.remember(row, answer)
        return answer

    def recall(self, row: int) -> bytes | Refusal:
        """Return the remembered answer of a repeated request, byte for byte."""
        self._counts.repeated += 1
        return self.peek(row) or ANSWER_GONE

    def peek(self, row: int) -> bytes:
        """Return a remembered answer without counting a repetition."""
        return self._engine.stored_answer(row)

    def cancel(self, judged: Judged) -> None:
        """Give back the hold of an answer."""
        if judged.reservation_row:
            self._engine.cancel(judged.reservation_row)
