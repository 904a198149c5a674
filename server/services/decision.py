"""The decision port over grpc.aio: raw bytes in, raw bytes out, every failure typed.

Messages are taken and given as bytes, so that parsing, refusing and repeating a stored answer byte
for byte all happen here. Each call runs on the event loop that owns the engine; nothing slow or
remote is called. No decision is made before the state is current (`is_ready`).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, NoReturn

import grpc
import grpc.aio

from riskgate.v1 import decision_pb2 as pb
from server.engine import Engine
from server.errors import ExhaustedError, InvalidFieldError, NotFoundError, RiskgateError
from server.hotpath.journal.entries import (
    KIND_BATCH,
    KIND_DECIDE,
    KIND_REPORT,
    KIND_STREAM,
    KIND_SYNC,
)
from server.hotpath.records import REPORT_ACCOUNT_UNKNOWN, REPORT_FULL, REPORT_INVALID
from server.journal.calls import CallJournal
from server.owner import LoopOwner
from server.services.batch import Item, decide_each, decide_together, read_batch
from server.services.convert import (
    read_report_refusal,
    read_report_result,
    write_report,
)
from server.services.judge import Judge
from server.services.parse import parse, split_fields
from server.services.refusal import (
    INTERRUPTED,
    JOURNAL_AWAY,
    NO_DIRECTIVES,
    NOT_READY,
    TOO_LARGE,
    TOO_LATE,
    WRONG_SHARD,
    Refusal,
    refusal_of,
)
from server.services.sync_errand import sync_account
from server.shards import WHOLE, Shard
from server.telemetry.decision_counts import CODE_NAMES, DecisionCounts

SERVICE_NAME: Final = "riskgate.v1.DecisionService"
# One request, report or sync; only a batch may be larger, up to the limit of the port.
REQUEST_BYTES_MAX: Final = 65_536
STATE_WAIT_S_MAX: Final = 0.05
VERSION_MAX: Final = 2**63 - 1

Context = grpc.aio.ServicerContext[bytes, bytes]
Outcome = bytes | Refusal


class DecisionService:
    """Answers the calls of one engine's decision port.

    Args:
        engine: Owned by the running event loop.
        owner: Applies what waits before each decision.
        counts: Receives every outcome.
        is_ready: Whether the state is current; until then every call is UNAVAILABLE.
        state_wait_s: Longest wait for a min_state_version.
        request_bytes_max: Largest single request.
        shard: Which accounts are decided here.
    """

    def __init__(
        self,
        engine: Engine,
        owner: LoopOwner,
        counts: DecisionCounts,
        *,
        is_ready: Callable[[], bool],
        state_wait_s: float = STATE_WAIT_S_MAX,
        request_bytes_max: int = REQUEST_BYTES_MAX,
        shard: Shard = WHOLE,
    ) -> None:
        self._engine = engine
        self._owner = owner
        self._counts = counts
        self._calls = CallJournal(engine)
        self._judge = Judge(engine, counts, self._calls, shard)
        self._shard = shard
        self._is_ready = is_ready
        self._state_wait_s = state_wait_s
        self._request_bytes_max = request_bytes_max

    def add_to(self, server: grpc.aio.Server) -> None:
        """Register all methods of the service."""
        unary = grpc.unary_unary_rpc_method_handler
        handlers = {
            "Decide": unary(self._single("Decide", self._decide)),
            "DecideBatch": unary(self._single("DecideBatch", self._decide_batch)),
            "DecideStream": grpc.stream_stream_rpc_method_handler(self._decide_stream),
            "ReportExecution": unary(self._single("ReportExecution", self._report)),
            "SyncAccount": unary(self._single("SyncAccount", self._sync)),
            "WatchDirectives": grpc.unary_stream_rpc_method_handler(self._watch_directives),
            "AckDirective": unary(self._single("AckDirective", self._ack_directive)),
        }
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICE_NAME, handlers),)
        )

    # --- Calls ---

    async def _decide(self, raw: bytes, received_ns: int, seconds_left: float) -> Outcome:
        if len(raw) > self._request_bytes_max:
            return TOO_LARGE
        message = parse(pb.DecideRequest, raw)
        await self._wait_for_state([message], seconds_left)
        self._owner.drain()
        return self._keep(
            KIND_DECIDE, raw, received_ns, lambda: self._judge.decide(message, received_ns)
        )

    async def _decide_batch(self, raw: bytes, received_ns: int, seconds_left: float) -> Outcome:
        items, all_or_none = read_batch(raw)
        await self._wait_for_state(items, seconds_left)
        self._owner.drain()
        judge_all = decide_together if all_or_none else decide_each

        def answer() -> bytes:
            response = judge_all(self._judge, items, received_ns)
            for result in response.results:
                if result.HasField("error"):
                    self._counts.add_error(CODE_NAMES[result.error.code])
            return response.SerializeToString()

        return self._keep(KIND_BATCH, raw, received_ns, answer)

    async def _report(self, raw: bytes, received_ns: int, seconds_left: float) -> Outcome:
        if len(raw) > self._request_bytes_max:
            return TOO_LARGE
        message = parse(pb.ReportExecutionRequest, raw)
        if not message.HasField("report"):
            raise InvalidFieldError("report", "is required")
        self._owner.drain()
        engine = self._engine
        write_report(message.report, engine.state.report)
        if not self._shard.owns(message.report.account_id):
            return WRONG_SHARD

        def answer() -> Outcome:
            if self._calls.find_bar(is_exit=True) is not None:
                return JOURNAL_AWAY
            outcome = engine.report(received_ns)
            if outcome == REPORT_INVALID:
                raise read_report_refusal(engine.state)
            if outcome == REPORT_ACCOUNT_UNKNOWN:
                raise NotFoundError("account", message.report.account_id)
            if outcome == REPORT_FULL:
                raise ExhaustedError("positions or reports")
            self._counts.add_report(outcome)
            self._calls.note_applied()
            return read_report_result(engine.state).SerializeToString()

        return self._keep(KIND_REPORT, raw, received_ns, answer)

    async def _sync(self, raw: bytes, received_ns: int, seconds_left: float) -> Outcome:
        self._owner.drain()

        def answer() -> Outcome:
            if self._calls.find_bar(is_exit=True) is not None:
                return JOURNAL_AWAY
            outcome = sync_account(self._engine, raw, received_ns, self._shard)
            if not isinstance(outcome, Refusal):
                self._calls.note_applied()
            return outcome

        return self._keep(KIND_SYNC, raw, received_ns, answer)

    def _keep(
        self, kind: int, raw: bytes, received_ns: int, answer: Callable[[], Outcome]
    ) -> Outcome:
        """Judge a call without a pause and journal it; without that no answer leaves."""
        self._calls.begin(kind, raw)
        try:
            outcome = answer()
        except RiskgateError:
            self._calls.end(kind, received_ns, raw, b"")
            raise
        if isinstance(outcome, Refusal):
            self._calls.end(kind, received_ns, raw, b"")
            return outcome
        return outcome if self._calls.end(kind, received_ns, raw, outcome) else JOURNAL_AWAY

    async def _ack_directive(self, raw: bytes, received_ns: int, seconds_left: float) -> Outcome:
        return NO_DIRECTIVES

    async def _watch_directives(self, raw: bytes, context: Context) -> None:
        await self._abort(NO_DIRECTIVES, context)

    async def _decide_stream(
        self, requests: AsyncIterator[bytes], context: Context
    ) -> AsyncIterator[bytes]:
        try:
            async for raw in requests:
                if len(raw) > self._request_bytes_max:
                    # The compiled lane has no room to look for its tag; both end the stream.
                    await self._abort(TOO_LARGE, context)
                received_ns = time.time_ns()
                answer = await self._answer_item(raw, received_ns, context)
                self._counts.add_call("DecideStream", time.time_ns() - received_ns)
                yield answer
        except asyncio.CancelledError:
            await self._end_interrupted(context)

    async def _answer_item(self, raw: bytes, received_ns: int, context: Context) -> bytes:
        """Return the answer to one message of a stream: a decision, or why there is none."""
        if not self._is_ready():
            return self._tagged(_find_tag(raw), NOT_READY)
        if len(raw) > self._request_bytes_max:
            return self._tagged(_find_tag(raw), TOO_LARGE)
        try:
            message = parse(pb.DecideStreamRequest, raw)
            if not message.HasField("request"):
                raise InvalidFieldError("request", "is required")
            await self._wait_for_state([message.request], _seconds_left(context))
            self._owner.drain()
        except Exception as error:  # noqa: BLE001 - one item must not end the stream
            return self._tagged(_find_tag(raw), refusal_of(error))

        def answer() -> bytes:
            try:
                outcome = self._judge.decide(message.request, received_ns)
            except Exception as error:  # noqa: BLE001 - same
                outcome = refusal_of(error)
            return self._tagged(message.tag, outcome)

        kept = self._keep(KIND_STREAM, raw, received_ns, answer)
        return kept if isinstance(kept, bytes) else self._tagged(message.tag, kept)

    def _tagged(self, tag: int, outcome: Outcome) -> bytes:
        response = pb.DecideStreamResponse(tag=tag)
        if isinstance(outcome, Refusal):
            self._counts.add_error(outcome.code.name)
            response.error.CopyFrom(outcome.to_error())
        else:
            response.response.MergeFromString(outcome)
        return response.SerializeToString()

    # --- Around each call ---

    def _single(
        self, name: str, behaviour: Callable[[bytes, int, float], Awaitable[Outcome]]
    ) -> Callable[[bytes, Context], Awaitable[bytes]]:
        """Wrap a call: clock, readiness, deadline, and the one way out for every failure."""

        async def answer(raw: bytes, context: Context) -> bytes:
            received_ns = time.time_ns()
            seconds_left = _seconds_left(context)
            try:
                if not self._is_ready():
                    refusal = NOT_READY
                elif seconds_left <= 0.0:
                    refusal = TOO_LATE
                else:
                    outcome = await behaviour(raw, received_ns, seconds_left)
                    if isinstance(outcome, bytes):
                        self._counts.add_call(name, time.time_ns() - received_ns)
                        return outcome
                    refusal = outcome
            except asyncio.CancelledError:
                await self._end_interrupted(context)
            except Exception as error:  # noqa: BLE001 - nothing unexpected may leave as it is
                refusal = refusal_of(error)
            return await self._abort(refusal, context)

        return answer

    async def _abort(self, refusal: Refusal, context: Context) -> NoReturn:
        self._counts.add_error(refusal.code.name)
        await refusal.abort(context)

    async def _end_interrupted(self, context: Context) -> NoReturn:
        # An escaping cancellation would leave a caller that still listens waiting for ever.
        if context.cancelled():
            raise asyncio.CancelledError
        await self._abort(INTERRUPTED, context)

    async def _wait_for_state(self, items: list[Item], seconds_left: float) -> None:
        """Wait once for the newest state that any item asks for; too old is judged per item."""
        versions = [
            item.min_state_version
            for item in items
            if isinstance(item, pb.DecideRequest) and self._shard.owns(item.account_id)
        ]
        # A number that no version can reach is refused with its item, and is not waited for.
        wanted = max((version for version in versions if version <= VERSION_MAX), default=0)
        if wanted > self._engine.state_version:
            await self._owner.wait_for_version(wanted, min(self._state_wait_s, seconds_left))


def _seconds_left(context: Context) -> float:
    # The stubs do not know that there may be no deadline.
    left: float | None = context.time_remaining()
    return float("inf") if left is None else left


def _find_tag(raw: bytes) -> int:
    """Return the tag of a message that was refused as a whole."""
    number = pb.DecideStreamRequest.DESCRIPTOR.fields_by_name["tag"].number
    try:
        tags = [content for found, content in split_fields(raw) if found == number]
    except InvalidFieldError:
        return 0
    return tags[-1] if tags and isinstance(tags[-1], int) else 0
