"""One stream of requests over several engines: a stream to each, the answers in order.

The caller's requests are taken by a thread, or a task, which hands each to the stream of its
account's engine and notes which one that was; the answers are read in that order. A few hundred
requests may wait for answers, then the caller's iterator is not asked for more.
"""

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

import grpc

from riskgate.errors import NoDecisionError
from riskgate.shards import find_shard
from riskgate.v1.decision_pb2 import DecideStreamRequest, DecideStreamResponse

WAITING_MAX: Final = 256
_EOF: Final[Any] = grpc.aio.EOF  # type: ignore[attr-defined] # the stubs do not know it
# How soon an idle stream notices that an engine has ended it.
_POLL_S: Final = 0.1


class _Feeder:
    """Hands requests out to the streams of the engines, in a thread of its own."""

    def __init__(self, items: Iterator[DecideStreamRequest], count: int) -> None:
        self._items = items
        self.queues: list[queue.Queue[Any]] = [queue.Queue(WAITING_MAX) for _ in range(count)]
        # Which engine has the next answer; None: that was all.
        self.order: queue.Queue[int | None] = queue.Queue(WAITING_MAX)
        self.failure: Exception | None = None
        self._stop = threading.Event()
        threading.Thread(target=self._run, name="riskgate-stream", daemon=True).start()

    def stop(self) -> None:
        """Take no more requests, and end every stream's waiting for one."""
        self._stop.set()
        for each in self.queues:
            with suppress(queue.Empty):
                while True:
                    each.get_nowait()
            each.put(None)

    def _run(self) -> None:
        try:
            for item in self._items:
                if self._stop.is_set():
                    return
                shard = find_shard(item.request.account_id, len(self.queues))
                self._put(self.queues[shard], item)
                self._put(self.order, shard)
        except Exception as error:  # noqa: BLE001 - the caller's iterator; raised where he reads
            self.failure = error
        # The order first: a stream that ends then does so because nothing is left to come.
        for each in (self.order, *self.queues):
            self._put(each, None)

    def _put(self, place: "queue.Queue[Any]", value: Any) -> None:
        while not self._stop.is_set():
            with suppress(queue.Full):
                place.put(value, timeout=_POLL_S)
                return


def decide_split(
    stubs: Sequence[Any], items: Iterator[DecideStreamRequest], lifetime_s: float | None
) -> Iterator[DecideStreamResponse]:
    """Yield the answer to each item, in order.

    Raises:
        grpc.RpcError: The stream to an engine broke.
        NoDecisionError: An engine ended its stream early, or the caller's requests failed.
    """
    feeder = _Feeder(items, len(stubs))
    streams = [
        stub.DecideStream(iter(source.get, None), timeout=lifetime_s)
        for stub, source in zip(stubs, feeder.queues, strict=True)
    ]
    try:
        while (shard := _next_shard(feeder, streams)) is not None:
            answer = next(streams[shard], None)
            if answer is None:
                raise _ended()
            yield answer
        if feeder.failure is not None:
            raise _failed() from feeder.failure
    finally:
        for stream in streams:
            stream.cancel()
        feeder.stop()


def _next_shard(feeder: _Feeder, streams: Sequence[Any]) -> int | None:
    while True:
        with suppress(queue.Empty):
            return feeder.order.get(timeout=_POLL_S)
        for stream in streams:
            # While the requests last none may end; reading it raises what ended it.
            if not stream.is_active() and next(stream, None) is None and feeder.order.empty():
                raise _ended()


async def decide_split_aio(
    stubs: Sequence[Any], items: AsyncIterator[DecideStreamRequest], lifetime_s: float | None
) -> AsyncIterator[DecideStreamResponse]:
    """As `decide_split`, on the running event loop."""
    queues: list[asyncio.Queue[Any]] = [asyncio.Queue(WAITING_MAX) for _ in stubs]
    order: asyncio.Queue[int | None] = asyncio.Queue(WAITING_MAX)

    async def feed() -> None:
        try:
            async for item in items:
                shard = find_shard(item.request.account_id, len(queues))
                await queues[shard].put(item)
                await order.put(shard)
        finally:
            if not is_over:
                for each in (order, *queues):
                    await each.put(None)

    streams = [
        stub.DecideStream(_drain(source), timeout=lifetime_s)
        for stub, source in zip(stubs, queues, strict=True)
    ]
    is_over = False
    feeder = asyncio.create_task(feed())
    try:
        while (shard := await _next_shard_aio(order, streams)) is not None:
            answer = await streams[shard].read()
            if answer is _EOF:
                raise _ended()
            yield answer
        try:
            await feeder
        except Exception as error:
            raise _failed() from error
    finally:
        is_over = True
        for stream in streams:
            stream.cancel()
        feeder.cancel()
        await asyncio.gather(feeder, return_exceptions=True)


async def _drain(source: "asyncio.Queue[Any]") -> AsyncIterator[DecideStreamRequest]:
    while (item := await source.get()) is not None:
        yield item


async def _next_shard_aio(order: "asyncio.Queue[int | None]", streams: Sequence[Any]) -> int | None:
    waiting = asyncio.ensure_future(order.get())
    try:
        while True:
            await asyncio.wait({waiting}, timeout=_POLL_S)
            if waiting.done():
                return waiting.result()
            for stream in streams:
                if stream.done() and await stream.read() is _EOF:
                    raise _ended()
    finally:
        waiting.cancel()


def _ended() -> NoDecisionError:
    return NoDecisionError(grpc.StatusCode.UNAVAILABLE, "an engine has ended its stream")


def _failed() -> NoDecisionError:
    return NoDecisionError(grpc.StatusCode.UNKNOWN, "the iterator of the requests failed")
