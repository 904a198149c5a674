"""A real gRPC server whose answers a test scripts, and one way to drive both clients."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, aclosing, contextmanager
from itertools import islice
from typing import Any

import grpc
import pytest

import riskgate
from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import decision_pb2_grpc

Script = Callable[[Any, grpc.ServicerContext, int], Any]

# Far beyond what a busy machine needs; tests of deadlines name their own.
DEADLINE_S = 10.0


class ScriptedGate(decision_pb2_grpc.DecisionServiceServicer):
    """Answers each call with the script and keeps what it was sent."""

    def __init__(self) -> None:
        self.address = ""
        self.script: Script = lambda *given: pb.DecideResponse(decision_id=given[-1])
        self.received: list[Any] = []
        self._lock = threading.Lock()

    def _answer(self, request: Any, context: grpc.ServicerContext) -> Any:
        with self._lock:
            self.received.append(request)
            number = len(self.received)
        return self.script(request, context, number)

    Decide = DecideBatch = ReportExecution = SyncAccount = AckDirective = _answer

    def WatchDirectives(  # noqa: N802
        self, request: Any, context: grpc.ServicerContext
    ) -> Iterator[Any]:
        for directive in self._answer(request, context):
            yield pb.WatchDirectivesResponse(directive=directive)

    def DecideStream(self, items: Any, context: grpc.ServicerContext) -> Iterator[Any]:  # noqa: N802
        for item in items:
            yield self._answer(item, context)


@contextmanager
def open_gate() -> Iterator[ScriptedGate]:
    servicer = ScriptedGate()
    server = grpc.server(ThreadPoolExecutor(max_workers=4))
    decision_pb2_grpc.add_DecisionServiceServicer_to_server(servicer, server)
    servicer.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield servicer
    finally:
        server.stop(grace=None).wait()


@pytest.fixture
def gate() -> Iterator[ScriptedGate]:
    with open_gate() as opened:
        yield opened


@pytest.fixture
def gates() -> Iterator[list[ScriptedGate]]:
    """Three engines, in the order of the shards."""
    with ExitStack() as stack:
        yield [stack.enter_context(open_gate()) for _ in range(3)]


class BlockingDriver:
    """Makes one call with `Client`."""

    @staticmethod
    def call(address: str | list[str], method: str, *args: Any, **keywords: Any) -> Any:
        with riskgate.Client(address, deadline_s=DEADLINE_S) as client:
            return getattr(client, method)(*args, **keywords)

    @staticmethod
    def stream(address: str | list[str], requests: list[pb.DecideRequest]) -> list[Any]:
        with riskgate.Client(address, deadline_s=DEADLINE_S) as client:
            return list(client.stream(requests))

    @staticmethod
    def watch(address: str | list[str], count: int, *args: Any, **keywords: Any) -> list[Any]:
        with riskgate.Client(address, deadline_s=DEADLINE_S) as client:
            return list(islice(client.watch_directives(*args, **keywords), count))


class AsyncDriver:
    """Makes one call with `AsyncClient`."""

    @staticmethod
    def call(address: str | list[str], method: str, *args: Any, **keywords: Any) -> Any:
        async def run() -> Any:
            async with riskgate.AsyncClient(address, deadline_s=DEADLINE_S) as client:
                return await getattr(client, method)(*args, **keywords)

        return asyncio.run(run())

    @staticmethod
    def stream(address: str | list[str], requests: list[pb.DecideRequest]) -> list[Any]:
        async def run() -> list[Any]:
            async with riskgate.AsyncClient(address, deadline_s=DEADLINE_S) as client:
                return [outcome async for outcome in client.stream(requests)]

        return asyncio.run(run())

    @staticmethod
    def watch(address: str | list[str], count: int, *args: Any, **keywords: Any) -> list[Any]:
        async def run() -> list[Any]:
            async with riskgate.AsyncClient(address, deadline_s=DEADLINE_S) as client:
                heard: list[Any] = []
                async with aclosing(client.watch_directives(*args, **keywords)) as watch:
                    async for directive in watch:
                        heard.append(directive)
                        if len(heard) == count:
                            break
                return heard

        return asyncio.run(run())


@pytest.fixture(params=[BlockingDriver, AsyncDriver], ids=["sync", "aio"])
def driver(request: pytest.FixtureRequest) -> Any:
    return request.param
