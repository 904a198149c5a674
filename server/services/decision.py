"""The decision port over grpc.aio: raw bytes in, raw bytes out, every failure typed.

Messages are taken and given as bytes, so that parsing, refusing and repeating a stored answer byte
for byte all happen here. Each call runs on the event loop that owns the engine; nothing slow or
remote is called. No decision is made before the state is current (`is_ready`).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Final

import grpc
import grpc.aio

from riskgate.v1 import decision_pb2 as pb
from server.engine import Engine
from server.errors import ExhaustedError, InvalidFieldError, NotFoundError, RiskgateError
from server.hotpath.journal.entries import (
    KIND_ACKNOWLEDGE,
    KIND_BATCH,
    KIND_DECIDE,
    KIND_REPORT,
    KIND_STREAM,
    KIND_SYNC,
)
from server.hotpath.lane.structs import (
    METHOD_ACK_DIRECTIVE,
    METHOD_DECIDE,
    METHOD_DECIDE_BATCH,
    METHOD_DECIDE_STREAM,
    METHOD_KILL,
    METHOD_REPORT_EXECUTION,
    METHOD_SYNC_ACCOUNT,
)
from server.hotpath.records import (
    REPORT,
    REPORT_ACCOUNT_UNKNOWN,
    REPORT_FULL,
    REPORT_INVALID,
)
from server.journal.calls import CallJournal
from server.owner import LoopOwner
from server.services.answering import Answering, Arrival, Context, Outcome, seconds_left
from server.services.batch import Item, decide_each, decide_together, read_batch
from server.services.call_access import CallAccess
from server.services.convert import (
    read_report_refusal,
    read_report_result,
    write_report,
)
from server.services.directive_calls import DirectiveCalls
from server.services.judge import Judge
from server.services.kill_errand import kill_errand
from server.services.parse import parse, split_fields
from server.services.refusal import (
    JOURNAL_AWAY,
    NOT_READY,
    NOT_YOURS,
    TOO_LARGE,
    WRONG_SHARD,
    Refusal,
    refusal_of,
)
from server.services.sync_errand import sync_account
from server.services.watching import Watching
from server.shards import WHOLE, Shard
from server.telemetry.decision_counts import CODE_NAMES, DecisionCounts

SERVICE_NAME: Final = "riskgate.v1.DecisionService"
KILL_SERVICE: Final = "riskgate.v1.KillService"
# One request, report or sync; only a batch may be larger, up to the limit of the port.
REQUEST_BYTES_MAX: Final = 65_536
STATE_WAIT_S_MAX: Final = 0.05
VERSION_MAX: Final = 2**63 - 1
REPORT_ACCOUNT_AT: Final[int] = REPORT.fields["account_id"][1]  # type: ignore[index]


class DecisionService:
    """Answers the calls of one engine's decision port.

    Args:
        engine: Owned by the running event loop.
        owner: Applies what waits before each decision.
        counts: Receives every outcome.
        access: Tells who calls, and whether that call may be made.
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
        access: CallAccess,
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
        self._directives = DirectiveCalls(engine, self._calls, shard)
        self._shard = shard
        self._access = access
        self._is_ready = is_ready
        self._answering = Answering(counts, access, is_ready)
        self._watching = Watching(self._answering, access, self._directives, owner.drain)
        self._state_wait_s = state_wait_s
        self._request_bytes_max = request_bytes_max

    def add_to(self, server: grpc.aio.Server) -> None:
        """Register all methods of the service."""
        unary = grpc.unary_unary_rpc_method_handler
        handlers = {
            "Decide": unary(self._answering.single(METHOD_DECIDE, self._decide)),
            "DecideBatch": unary(self._answering.single(METHOD_DECIDE_BATCH, self._decide_batch)),
            "DecideStream": grpc.stream_stream_rpc_method_handler(self._decide_stream),
            "ReportExecution": unary(self._answering.single(METHOD_REPORT_EXECUTION, self._report)),
            "SyncAccount": unary(self._answering.single(METHOD_SYNC_ACCOUNT, self._sync)),
            "WatchDirectives": grpc.unary_stream_rpc_method_handler(self._watching.watch),
            "AckDirective": unary(
                self._answering.single(METHOD_ACK_DIRECTIVE, self._ack_directive)
            ),
        }
        server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(SERVICE_NAME, handlers),
                grpc.method_handlers_generic_handler(KILL_SERVICE, {"Kill": unary(self._kill)}),
            )
        )

    def stop_watches(self) -> None:
        """End every watch of directives, which would not end by itself."""
        self._directives.stop()

    # --- Calls ---

    async def _decide(self, raw: bytes, call: Arrival) -> Outcome:
        if len(raw) > self._request_bytes_max:
            return TOO_LARGE
        message = parse(pb.DecideRequest, raw)
        await self._wait_for_state([message], call.seconds_left)
        self._owner.drain()
        return self._keep(
            KIND_DECIDE, raw, call, lambda: self._judge.decide(message, call.received_ns)
        )

    async def _decide_batch(self, raw: bytes, call: Arrival) -> Outcome:
        items, all_or_none = read_batch(raw)
        await self._wait_for_state(items, call.seconds_left)
        self._owner.drain()
        judge_all = decide_together if all_or_none else decide_each

        def answer() -> Outcome:
            self._calls.charge(len(items))
            requests = (item for item in items if isinstance(item, pb.DecideRequest))
            if not self._judge.may_use_all(requests):
                # As a whole: what is journaled can be judged again without any grant.
                return NOT_YOURS
            response = judge_all(self._judge, items, call.received_ns)
            for result in response.results:
                if result.HasField("error"):
                    self._counts.add_error(CODE_NAMES[result.error.code])
            return response.SerializeToString()

        return self._keep(KIND_BATCH, raw, call, answer)

    async def _report(self, raw: bytes, call: Arrival) -> Outcome:
        if len(raw) > self._request_bytes_max:
            return TOO_LARGE
        message = parse(pb.ReportExecutionRequest, raw)
        if not message.HasField("report"):
            raise InvalidFieldError("report", "is required")
        self._owner.drain()
        engine = self._engine
        write_report(message.report, engine.state.report)

        def answer() -> Outcome:
            if not self._calls.may_use(engine.state.report.ctypes.data + REPORT_ACCOUNT_AT):
                return NOT_YOURS
            if not self._shard.owns(message.report.account_id):
                return WRONG_SHARD
            if self._calls.find_bar(is_exit=True) is not None:
                return JOURNAL_AWAY
            outcome = engine.report(call.received_ns)
            if outcome == REPORT_INVALID:
                raise read_report_refusal(engine.state)
            if outcome == REPORT_ACCOUNT_UNKNOWN:
                raise NotFoundError("account", message.report.account_id)
            if outcome == REPORT_FULL:
                raise ExhaustedError("positions or reports")
            self._counts.add_report(outcome)
            self._calls.note_applied()
            return read_report_result(engine.state).SerializeToString()

        return self._keep(KIND_REPORT, raw, call, answer)

    async def _sync(self, raw: bytes, call: Arrival) -> Outcome:
        self._owner.drain()

        def answer() -> Outcome:
            if self._calls.find_bar(is_exit=True) is not None:
                return JOURNAL_AWAY
            may_use = self._calls.may_use
            outcome = sync_account(self._engine, raw, call.received_ns, self._shard, may_use)
            if not isinstance(outcome, Refusal):
                self._calls.note_applied()
            return outcome

        return self._keep(KIND_SYNC, raw, call, answer)

    def _keep(self, kind: int, raw: bytes, call: Arrival, answer: Callable[[], Outcome]) -> Outcome:
        """Judge a call without a pause and journal it; without that no answer leaves."""
        self._calls.begin(kind, raw, call.grant, call.method)
        try:
            outcome = answer()
        except RiskgateError:
            self._calls.end(kind, call.received_ns, raw, b"")
            raise
        finally:
            self._directives.announce()
        if isinstance(outcome, Refusal):
            self._calls.end(kind, call.received_ns, raw, b"")
            return outcome
        return outcome if self._calls.end(kind, call.received_ns, raw, outcome) else JOURNAL_AWAY

    async def _ack_directive(self, raw: bytes, call: Arrival) -> Outcome:
        if len(raw) > self._request_bytes_max:
            return TOO_LARGE
        message = parse(pb.AckDirectiveRequest, raw)
        self._owner.drain()
        return self._keep(
            KIND_ACKNOWLEDGE,
            raw,
            call,
            lambda: self._directives.acknowledge(message, call.received_ns),
        )

    async def _kill(self, raw: bytes, context: Context) -> bytes:
        """Kill: neither rate nor readiness nor deadline stops it."""
        received_ns = time.time_ns()
        grant = self._access.find_grant(context)
        outcome: Outcome | None = self._access.find_refusal(grant, METHOD_KILL, calls=0)
        if outcome is None and len(raw) > self._request_bytes_max:
            outcome = TOO_LARGE
        if outcome is None:
            caller = self._calls.caller_of(grant)
            outcome = kill_errand(self._engine, raw, received_ns, caller, self._shard)
        if isinstance(outcome, bytes):
            if self._calls.settle():
                self._counts.add_call("Kill", time.time_ns() - received_ns)
                return outcome
            outcome = JOURNAL_AWAY
        return await self._answering.abort(outcome, context)

    async def _decide_stream(
        self, requests: AsyncIterator[bytes], context: Context
    ) -> AsyncIterator[bytes]:
        grant = self._access.find_grant(context)
        try:
            async for raw in requests:
                refusal = self._access.find_refusal(grant, METHOD_DECIDE_STREAM, calls=0)
                if refusal is not None:
                    await self._answering.abort(refusal, context)
                if len(raw) > self._request_bytes_max:
                    # The compiled lane has no room to look for its tag; both end the stream.
                    await self._answering.abort(TOO_LARGE, context)
                call = Arrival(time.time_ns(), seconds_left(context), grant, METHOD_DECIDE_STREAM)
                answer = await self._answer_item(raw, call)
                self._counts.add_call("DecideStream", time.time_ns() - call.received_ns)
                yield answer
        except asyncio.CancelledError:
            await self._answering.end_interrupted(context)

    async def _answer_item(self, raw: bytes, call: Arrival) -> bytes:
        """Return the answer to one message of a stream: a decision, or why there is none."""
        limited = self._access.find_refusal(call.grant, call.method) if call.grant else None
        if limited is not None:
            return self._tagged(_find_tag(raw), limited)
        if not self._is_ready():
            return self._tagged(_find_tag(raw), NOT_READY)
        if len(raw) > self._request_bytes_max:
            return self._tagged(_find_tag(raw), TOO_LARGE)
        try:
            message = parse(pb.DecideStreamRequest, raw)
            if not message.HasField("request"):
                raise InvalidFieldError("request", "is required")
            await self._wait_for_state([message.request], call.seconds_left)
            self._owner.drain()
        except Exception as error:  # noqa: BLE001 - one item must not end the stream
            return self._tagged(_find_tag(raw), refusal_of(error))

        def answer() -> bytes:
            try:
                outcome = self._judge.decide(message.request, call.received_ns)
            except Exception as error:  # noqa: BLE001 - same
                outcome = refusal_of(error)
            return self._tagged(message.tag, outcome)

        kept = self._keep(KIND_STREAM, raw, call, answer)
        return kept if isinstance(kept, bytes) else self._tagged(message.tag, kept)

    def _tagged(self, tag: int, outcome: Outcome) -> bytes:
        response = pb.DecideStreamResponse(tag=tag)
        if isinstance(outcome, Refusal):
            self._counts.add_error(outcome.code.name)
            response.error.CopyFrom(outcome.to_error())
        else:
            response.response.MergeFromString(outcome)
        return response.SerializeToString()

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


def _find_tag(raw: bytes) -> int:
    """Return the tag of a message that was refused as a whole."""
    number = pb.DecideStreamRequest.DESCRIPTOR.fields_by_name["tag"].number
    try:
        tags = [content for found, content in split_fields(raw) if found == number]
    except InvalidFieldError:
        return 0
    return tags[-1] if tags and isinstance(tags[-1], int) else 0
