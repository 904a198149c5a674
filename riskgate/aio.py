"""The asyncio client of the decision port; arguments, answers and errors are those of `Client`.

`riskgate/calls.py` builds the requests, decides about the retry and reads the answers; this class
only awaits. It belongs to the event loop in which it was made.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Sequence
from types import TracebackType
from typing import Any, Self, Unpack

import grpc

from riskgate import calls, directives
from riskgate.batches import Part, join_batch, split_batch
from riskgate.channel import (
    Credentials,
    RunningStack,
    list_addresses,
    merge_credentials,
    open_aio_channel,
)
from riskgate.credentials import FilePath
from riskgate.errors import NoDecisionError
from riskgate.fields import DecideFields, ReportFields, SyncFields
from riskgate.shards import find_shard
from riskgate.streams import decide_split_aio
from riskgate.v1 import decision_pb2, decision_pb2_grpc


class AsyncClient:
    """The same for asyncio; make it inside the event loop that uses it.

    Arguments, answers and errors are those of `Client`.
    """

    def __init__(
        self,
        address: str | Sequence[str],
        *,
        credentials: Credentials = None,
        certificate: FilePath | None = None,
        key: FilePath | None = None,
        ca: FilePath | None = None,
        deadline_s: float = calls.DEADLINE_S,
    ) -> None:
        self._deadline_s = deadline_s
        addresses = list_addresses(address)
        shown = merge_credentials(credentials, certificate, key, ca)
        self._channels = [open_aio_channel(each, "decision", shown) for each in addresses]
        self._stubs: list[Any] = [
            decision_pb2_grpc.DecisionServiceStub(channel) for channel in self._channels
        ]

    @classmethod
    def from_data_dir(
        cls,
        data_dir: FilePath | None = None,
        *,
        certificate: FilePath | None = None,
        key: FilePath | None = None,
        ca: FilePath | None = None,
        deadline_s: float = calls.DEADLINE_S,
    ) -> Self:
        """As `Client.from_data_dir`."""
        stack = RunningStack.read(data_dir)
        credentials = stack.choose_credentials(stack.decision, certificate, key, ca)
        return cls(stack.decision, credentials=credentials, deadline_s=deadline_s)

    async def decide(
        self,
        request: decision_pb2.DecideRequest | None = None,
        /,
        *,
        deadline_s: float | None = None,
        idempotent: bool = True,
        **fields: Unpack[DecideFields],
    ) -> decision_pb2.DecideResponse:
        """As `Client.decide`."""
        call = calls.build_decide(request, fields, idempotent=idempotent)
        answer: decision_pb2.DecideResponse = await self._run(call, deadline_s)
        return answer

    async def decide_batch(
        self,
        requests: Iterable[decision_pb2.DecideRequest],
        *,
        all_or_none: bool = False,
        deadline_s: float | None = None,
        idempotent: bool = True,
    ) -> list[calls.Outcome]:
        """As `Client.decide_batch`."""
        batch = calls.build_batch(requests, all_or_none=all_or_none, idempotent=idempotent)
        parts = split_batch(batch, len(self._stubs))
        answers = await asyncio.gather(*(self._attempt(part, deadline_s) for part in parts))
        return join_batch(parts, answers)

    async def stream(
        self,
        requests: Iterable[decision_pb2.DecideRequest] | AsyncIterable[decision_pb2.DecideRequest],
        *,
        lifetime_s: float | None = None,
        idempotent: bool = True,
    ) -> AsyncIterator[calls.Outcome]:
        """As `Client.stream`; the requests may come from an asynchronous iterator too."""
        items = _iterate_items(requests, idempotent=idempotent)
        if len(self._stubs) == 1:
            answers = self._stubs[0].DecideStream(items, timeout=lifetime_s)
        else:
            answers = decide_split_aio(self._stubs, items, lifetime_s)
        tag = 0
        try:
            async for answer in answers:
                yield calls.read_stream_item(tag, answer)
                tag += 1
        except grpc.RpcError as error:
            raise NoDecisionError.from_rpc(error) from error
        finally:
            if isinstance(answers, AsyncGenerator):
                await answers.aclose()

    async def report(
        self,
        report: decision_pb2.ExecutionReport | None = None,
        /,
        *,
        deadline_s: float | None = None,
        **fields: Unpack[ReportFields],
    ) -> decision_pb2.ReportExecutionResponse:
        """As `Client.report`."""
        answer: decision_pb2.ReportExecutionResponse = await self._run(
            calls.build_report(report, fields), deadline_s
        )
        return answer

    async def sync_account(
        self,
        request: decision_pb2.SyncAccountRequest | None = None,
        /,
        *,
        deadline_s: float | None = None,
        **fields: Unpack[SyncFields],
    ) -> decision_pb2.SyncAccountResponse:
        """As `Client.sync_account`."""
        answer: decision_pb2.SyncAccountResponse = await self._run(
            calls.build_sync(request, fields), deadline_s
        )
        return answer

    async def watch_directives(
        self, account_id: str = "", *, after_directive_id: int = 0
    ) -> AsyncGenerator[decision_pb2.Directive, None]:
        """As `Client.watch_directives`."""
        heard = calls.build_heard(account_id, after_directive_id, len(self._stubs))
        shard = find_shard(account_id, len(self._stubs))
        stubs = [self._stubs[shard]] if account_id else self._stubs
        watch = directives.watch_aio(stubs, heard)
        try:
            async for directive in watch:
                yield directive
        finally:
            if isinstance(watch, AsyncGenerator):
                await watch.aclose()

    async def acknowledge(
        self,
        directive: decision_pb2.Directive,
        /,
        *,
        success: bool,
        detail: str = "",
        deadline_s: float | None = None,
    ) -> decision_pb2.Directive:
        """As `Client.acknowledge`."""
        call = calls.build_acknowledge(directive, success=success, detail=detail)
        answer: decision_pb2.AckDirectiveResponse = await self._run(call, deadline_s)
        return answer.directive

    async def close(self) -> None:
        """Close the channels; running calls end with an error."""
        for channel in self._channels:
            await channel.close(grace=None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _run(self, call: calls.Call, deadline_s: float | None) -> Any:
        attempts = calls.Attempts(call, self._deadline_s if deadline_s is None else deadline_s)
        stub = self._stubs[find_shard(call.account_id, len(self._stubs))]
        method = getattr(stub, call.method)
        while True:
            try:
                return await method(
                    call.request,
                    timeout=attempts.remaining_s(),
                    wait_for_ready=attempts.is_retry,
                )
            except grpc.RpcError as error:
                await asyncio.sleep(attempts.admit_retry(error))

    async def _attempt(self, part: Part, deadline_s: float | None) -> Any:
        """Return the answer to a part of a batch, or the error that it came to."""
        try:
            return await self._run(part.call, deadline_s)
        except NoDecisionError as error:
            return error


async def _iterate_items(
    requests: Iterable[decision_pb2.DecideRequest] | AsyncIterable[decision_pb2.DecideRequest],
    *,
    idempotent: bool,
) -> AsyncIterator[decision_pb2.DecideStreamRequest]:
    tag = 0
    if isinstance(requests, AsyncIterable):
        async for request in requests:
            yield calls.build_stream_item(tag, request, idempotent=idempotent)
            tag += 1
        return
    for tag, request in enumerate(requests):
        yield calls.build_stream_item(tag, request, idempotent=idempotent)
