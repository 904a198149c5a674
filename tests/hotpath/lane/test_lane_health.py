"""grpc.health.v1 of the compiled lane, asked by gRPC's own client."""

import queue
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from server.services.decision import SERVICE_NAME
from tests.decision_harness import new_engine
from tests.lane_harness import LanePort, open_lane

Status = health_pb2.HealthCheckResponse
OURS = ("", SERVICE_NAME)


@pytest.fixture
def port() -> Iterator[LanePort]:
    with open_lane(ready=False) as port:
        yield port


def ask(port: LanePort, service: str = "") -> Any:
    request = health_pb2.HealthCheckRequest(service=service)
    return health_pb2_grpc.HealthStub(port.channel).Check(request, timeout=10).status


class Watcher:
    """Listens to a Watch until it ends."""

    def __init__(self, port: LanePort, service: str = "") -> None:
        self.channel = port.dial()
        request = health_pb2.HealthCheckRequest(service=service)
        self.call = health_pb2_grpc.HealthStub(self.channel).Watch(request)
        self.heard: queue.Queue[int | None] = queue.Queue()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def next(self) -> int | None:
        """Return the next status; None: the watch has ended."""
        return self.heard.get(timeout=10)

    def close(self) -> None:
        self.call.cancel()
        self._thread.join()
        self.channel.close()

    def _listen(self) -> None:
        try:
            for answer in self.call:
                self.heard.put(answer.status)
        except grpc.RpcError:
            pass
        self.heard.put(None)


@pytest.mark.parametrize("service", OURS)
def test_a_check_tells_whether_decisions_are_made(port: LanePort, service: str) -> None:
    assert ask(port, service) == Status.NOT_SERVING
    port.is_ready = True
    assert ask(port, service) == Status.SERVING
    port.is_ready = False
    assert ask(port, service) == Status.NOT_SERVING


@pytest.mark.parametrize("service", ["x", SERVICE_NAME + "x", SERVICE_NAME[:-1], "y" * 300])
def test_a_check_of_a_service_that_is_not_here_is_not_found(port: LanePort, service: str) -> None:
    with pytest.raises(grpc.RpcError) as failure:
        ask(port, service)
    assert failure.value.code() == grpc.StatusCode.NOT_FOUND
    assert failure.value.details() == "this service is not known"


@pytest.mark.parametrize("service", OURS)
def test_a_watcher_is_told_each_change_once(port: LanePort, service: str) -> None:
    watcher = Watcher(port, service)
    assert watcher.next() == Status.NOT_SERVING
    for _ in range(50):
        port.is_ready = True
        assert watcher.next() == Status.SERVING
        port.is_ready = True
        port.is_ready = False
        assert watcher.next() == Status.NOT_SERVING
    assert watcher.heard.empty()
    watcher.close()


def test_a_watcher_of_an_unknown_service_hears_only_that(port: LanePort) -> None:
    watcher = Watcher(port, "nobody")
    assert watcher.next() == Status.SERVICE_UNKNOWN
    port.is_ready = True
    assert ask(port) == Status.SERVING
    assert watcher.heard.empty()
    watcher.close()


def test_every_watcher_is_told_and_a_cancelled_one_leaves_nothing(port: LanePort) -> None:
    watchers = [Watcher(port) for _ in range(20)]
    assert {watcher.next() for watcher in watchers} == {Status.NOT_SERVING}
    for watcher in watchers[:10]:
        watcher.close()
    port.is_ready = True
    assert {watcher.next() for watcher in watchers[10:]} == {Status.SERVING}
    port.wait_for(lambda: port.read("calls_now") == 10)
    for watcher in watchers[10:]:
        watcher.close()
    port.wait_for(lambda: port.read("calls_now") == 0)


def test_watchers_hear_not_serving_when_the_port_stops_and_their_calls_end_well() -> None:
    port = LanePort(new_engine())
    watchers = [Watcher(port) for _ in range(3)]
    assert {watcher.next() for watcher in watchers} == {Status.SERVING}
    port.stop()
    for watcher in watchers:
        assert watcher.next() == Status.NOT_SERVING
        assert watcher.next() is None
        assert watcher.call.code() == grpc.StatusCode.OK
        watcher.close()
