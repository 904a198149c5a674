"""Watches of directives: joined anew when they break, each directive told once.

A watch that is joined anew asks for all that is not acknowledged, as in the beginning, and leaves
out what it has told. So nothing is missed, also when an engine has begun to count anew.
"""

import asyncio
import queue
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Generator, Iterator, Sequence
from typing import Any, Final

import grpc

from riskgate.errors import NoDecisionError
from riskgate.v1.decision_pb2 import Directive, WatchDirectivesRequest

PAUSE_S_MIN: Final = 0.05
PAUSE_S_MAX: Final = 1.0
# As many as an engine keeps.
HEARD_MAX: Final = 16_384
# An engine that restarts, stands still for a moment, or had to drop a reader that was too slow.
_PASSING: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
# In the queue of several watches: how many directives wait for the caller.
_WAITING_MAX: Final = 256


class Heard:
    """What one watch of one engine has told so far.

    Args:
        account_id: Whose directives; empty: of all accounts the caller may see.
        after_directive_id: Only larger ids, in the beginning.
    """

    def __init__(self, account_id: str, after_directive_id: int) -> None:
        self.request = WatchDirectivesRequest(
            account_id=account_id, after_directive_id=after_directive_id
        )
        self._told: OrderedDict[tuple[int, int, int], None] = OrderedDict()
        self._pause_s = PAUSE_S_MIN

    def is_new(self, directive: Directive) -> bool:
        """Tell whether a directive was not told before, and note it."""
        self._pause_s = PAUSE_S_MIN
        at = directive.issued_at
        key = (directive.directive_id, at.seconds, at.nanos)
        if key in self._told:
            return False
        self._told[key] = None
        if len(self._told) > HEARD_MAX:
            self._told.popitem(last=False)
        return True

    def pause_s(self, error: grpc.RpcError | None) -> float:
        """Return how long to wait before the watch is joined anew, seconds.

        Args:
            error: What has ended it; None: nothing was said.

        Raises:
            NoDecisionError: It cannot be joined anew.
        """
        if error is not None and error.code() not in _PASSING:
            raise NoDecisionError.from_rpc(error) from error
        pause_s = self._pause_s
        self._pause_s = min(2 * pause_s, PAUSE_S_MAX)
        return pause_s


class _Watcher:
    """One watch, which another thread may end."""

    def __init__(self, stub: Any, heard: Heard) -> None:
        self._stub = stub
        self._heard = heard
        self._call: Any = None
        self.stop = threading.Event()

    def cancel(self) -> None:
        self.stop.set()
        if self._call is not None:
            self._call.cancel()

    def __iter__(self) -> Iterator[Directive]:
        while not self.stop.is_set():
            failure = None
            self._call = self._stub.WatchDirectives(self._heard.request, wait_for_ready=True)
            try:
                for answer in self._call:
                    if self._heard.is_new(answer.directive):
                        yield answer.directive
            except grpc.RpcError as error:
                failure = error
            finally:
                self._call.cancel()
            if not self.stop.is_set():
                self.stop.wait(self._heard.pause_s(failure))


def watch(stubs: Sequence[Any], heard: Sequence[Heard]) -> Generator[Directive, None, None]:
    """Yield the directives of several engines as they come; as `Client.watch_directives`."""
    watchers = [_Watcher(stub, each) for stub, each in zip(stubs, heard, strict=True)]
    if len(watchers) == 1:
        yield from watchers[0]
        return
    heard_of: queue.Queue[Any] = queue.Queue(_WAITING_MAX)

    def listen(watcher: _Watcher) -> None:
        try:
            for directive in watcher:
                _put(heard_of, directive, watcher.stop)
        except Exception as error:  # noqa: BLE001 - raised where the caller reads
            _put(heard_of, error, watcher.stop)

    for each in watchers:
        threading.Thread(target=listen, args=[each], name="riskgate-watch", daemon=True).start()
    try:
        while True:
            item = heard_of.get()
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        for each in watchers:
            each.cancel()


def _put(place: "queue.Queue[Any]", item: Any, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            place.put(item, timeout=PAUSE_S_MIN)
        except queue.Full:
            continue
        return


async def _watch_one_aio(stub: Any, heard: Heard) -> AsyncIterator[Directive]:
    while True:
        failure = None
        call = stub.WatchDirectives(heard.request, wait_for_ready=True)
        try:
            async for answer in call:
                if heard.is_new(answer.directive):
                    yield answer.directive
        except grpc.RpcError as error:
            failure = error
        finally:
            call.cancel()
        await asyncio.sleep(heard.pause_s(failure))


async def watch_aio(stubs: Sequence[Any], heard: Sequence[Heard]) -> AsyncIterator[Directive]:
    """As `watch`, on the running event loop."""
    heard_of: asyncio.Queue[Any] = asyncio.Queue(_WAITING_MAX)

    async def listen(stub: Any, each: Heard) -> None:
        try:
            async for directive in _watch_one_aio(stub, each):
                await heard_of.put(directive)
        except Exception as error:  # noqa: BLE001 - raised where the caller reads
            await heard_of.put(error)

    tasks = [
        asyncio.create_task(listen(stub, each)) for stub, each in zip(stubs, heard, strict=True)
    ]
    try:
        while True:
            item = await heard_of.get()
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
