"""Puts the checks of `access_checks.py` before every method, and a row behind every refusal.

`Admission` does so for whatever port a call came by, `AccessInterceptor` for gRPC. A message is
parsed after its sender is known: strangers learn nothing about formats. A mutating call goes on to
its end although its caller goes away: what it did, or why not, is on record.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio

from server.record.pool import Pool
from server.security.caller import Call
from server.services.access_checks import AccessChecks, Visit
from server.services.interceptors import answers_of, behaviour_of, reader_of, same_kind
from server.services.peer import PeerReader
from server.services.refused_calls import TASK_NAME, RefusedCalls
from server.trust_errors import AccessError


class Admission:
    """Lets calls in; every port of the process shares one, and so rates, places and the log.

    Args:
        pool: Of the record.
        reader: Of certificates; None: plaintext, by `insecure_loopback`.
        note_call: Told of each call that may go on; None: nobody asks.
    """

    def __init__(
        self,
        pool: Pool,
        reader: PeerReader | None,
        note_call: Callable[[Call], None] | None = None,
    ) -> None:
        self.checks = AccessChecks(pool, reader)
        self._note_call = note_call
        self._refused = RefusedCalls(pool)

    @asynccontextmanager
    async def judged(self, visit: Visit, context: Any) -> AsyncIterator[None]:
        """Admit a call; write the row if it is refused, now or later.

        Args:
            visit: The call.
            context: Answers `peer`, `auth_context` and `invocation_metadata` as gRPC's does.

        Raises:
            AccessError: The call is denied.
            UnavailableError: PostgreSQL is away, so nobody knows.
        """
        try:
            await self.checks.admit(visit, context)
            if self._note_call is not None:
                self._note_call(visit.call)
            yield
        except Exception as error:
            if isinstance(error, AccessError) or visit.right.mutates:
                await self._refused.record(visit.call, error, reason=visit.reason)
            raise
        finally:
            self.checks.leave(visit)


class AccessInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """Wraps every call; `ErrorInterceptor` around it answers what it raises."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._checks = admission.checks

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Return the handler of the call with its behaviour wrapped; None for an unknown method."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method = str(handler_call_details.method)
        behaviour, read = behaviour_of(handler), reader_of(handler)

        async def prepare(raw: Any, visit: Visit, context: Any) -> Any:
            request = read(raw)
            if handler.request_streaming:
                return self._each(request, visit, context)
            await self._checks.require(visit, request, context)
            return request

        async def admitted(raw: Any, context: Any) -> Any:
            visit = Visit(method)
            async with self._admission.judged(visit, context):
                return await behaviour(await prepare(raw, visit, context), context)

        async def finished(raw: Any, context: Any) -> Any:
            return await finish(admitted(raw, context))

        async def admitted_stream(raw: Any, context: Any) -> AsyncIterator[Any]:
            visit = Visit(method)
            async with self._admission.judged(visit, context):
                request = await prepare(raw, visit, context)
                async for answer in answers_of(behaviour(request, context)):
                    yield answer

        if handler.response_streaming:
            return same_kind(handler, admitted_stream)
        goes_on = self._checks.mutates(method) and not handler.request_streaming
        return same_kind(handler, finished if goes_on else admitted)

    async def _each(
        self, requests: AsyncIterator[Any], visit: Visit, context: Any
    ) -> AsyncIterator[Any]:
        async for request in requests:
            await self._checks.require_still(visit)
            await self._checks.require(visit, request, context)
            yield request


async def finish(work: Any) -> Any:
    """Return what the work returns; it goes on if the caller goes away meanwhile."""
    task = asyncio.create_task(work, name=TASK_NAME)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        # Its refusal is on record, and nobody is left to be told.
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        raise


async def finish_abandoned() -> None:
    """Wait for calls and rows whose callers have gone away; for the end of the process."""
    tasks = [task for task in asyncio.all_tasks() if task.get_name() == TASK_NAME]
    await asyncio.gather(*tasks, return_exceptions=True)
