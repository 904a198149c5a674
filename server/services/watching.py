"""WatchDirectives of the grpcio port: one coroutine for each watcher."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from server.hotpath.lane.structs import METHOD_WATCH_DIRECTIVES
from server.services.answering import Answering, Context, seconds_left
from server.services.call_access import CallAccess
from server.services.directive_calls import DirectiveCalls, Watch
from server.services.refusal import NOT_READY, TOO_LATE, Refusal, refusal_of


class Watching:
    """Watches of one port.

    Args:
        answering: Of the port.
        access: Tells who calls, and whether that call may be made.
        directives: Of the engine.
        drain: Applies the changes that wait.
    """

    def __init__(
        self,
        answering: Answering,
        access: CallAccess,
        directives: DirectiveCalls,
        drain: Callable[[], None],
    ) -> None:
        self._answering = answering
        self._access = access
        self._directives = directives
        self._drain = drain

    async def watch(self, raw: bytes, context: Context) -> AsyncIterator[bytes]:
        """Answer WatchDirectives."""
        try:
            watch = self._open(raw, context)
            if isinstance(watch, Watch):
                # Whoever hears this knows that nothing is missed from here on.
                await context.send_initial_metadata(())
            while isinstance(watch, Watch):
                refusal = self._directives.find_end(watch)
                refusal = refusal or self._access.find_refusal(
                    watch.grant, METHOD_WATCH_DIRECTIVES, calls=0
                )
                if refusal is not None:
                    await self._answering.abort(refusal, context)
                for message in self._directives.take(watch):
                    yield message
                await self._directives.wait_for_news()
            await self._answering.abort(watch, context)
        except asyncio.CancelledError:
            await self._answering.end_interrupted(context)

    def _open(self, raw: bytes, context: Context) -> Watch | Refusal:
        received_ns = time.time_ns()
        try:
            grant = self._access.find_grant(context)
            denied = self._access.find_refusal(grant, METHOD_WATCH_DIRECTIVES)
            if denied is not None:
                return denied
            if seconds_left(context) <= 0.0:
                return TOO_LATE
            if not self._answering.is_ready():
                return NOT_READY
            self._drain()
            watch = self._directives.open_watch(raw, grant)
        except Exception as error:  # noqa: BLE001 - nothing unexpected may leave as it is
            return refusal_of(error)
        if isinstance(watch, Watch):
            self._answering.counts.add_call("WatchDirectives", time.time_ns() - received_ns)
        return watch
