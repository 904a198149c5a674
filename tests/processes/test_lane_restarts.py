"""The engine of `riskgate serve --lane compiled` is stopped and killed while clients call it.

A client waits for ready and tries once more within its deadline of three seconds. The supervisor
keeps the listening socket, so that callers wait in its backlog while an engine restarts.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

import grpc
import pytest

from riskgate.v1 import decision_pb2 as pb
from server.embedded.process import wait_until
from server.services.decision import SERVICE_NAME
from tests.decision_harness import good_request
from tests.stack_harness import Stack, running_stack

DECIDE: Final = f"/{SERVICE_NAME}/Decide"
CLIENTS: Final = 4
DEADLINE_S: Final = 3.0
PAUSE_S: Final = 0.005
ROUNDS: Final = int(os.environ.get("RISKGATE_CAMPAIGN", "0")) * 20 or 1


class Load:
    """Clients that call one after the other and note what has failed."""

    def __init__(self, address: str) -> None:
        self.answered = 0
        self.retried = 0
        self.longest_s = 0.0
        self.failures: list[str] = []
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(address,)) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _run(self, address: str) -> None:
        with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            call: Any = channel.unary_unary(DECIDE)
            while not self._done.wait(PAUSE_S):
                self._ask(call)

    def _ask(self, call: Any) -> None:
        begun = time.monotonic()
        raw = good_request(dry_run=True).SerializeToString()
        errors = []
        for _ in range(2):
            left_s = DEADLINE_S - (time.monotonic() - begun)
            try:
                answer = call(raw, timeout=left_s, wait_for_ready=True)
            except grpc.RpcError as error:
                errors.append(f"{error.code().name}: {error.details()}")
                continue
            assert pb.DecideResponse.FromString(answer).decision_id
            break
        with self._lock:
            self.longest_s = max(self.longest_s, time.monotonic() - begun)
            self.retried += bool(errors)
            if len(errors) == 2:
                self.failures.append(" then ".join(errors))
            else:
                self.answered += 1


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RISKGATE_LANE", "compiled")
        with running_stack() as stack:
            yield stack


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_engine_when_it_ends_under_load_then_no_call_fails(
    stack: Stack, number: signal.Signals
) -> None:
    load = Load(stack.state.decision_address)
    try:
        for _ in range(ROUNDS):
            mark = load.answered
            assert wait_until(lambda mark=mark: load.answered > mark + 100, timeout_s=20)  # type: ignore[misc]
            old = stack.state.pids["engine"]
            os.kill(old, number)
            assert wait_until(lambda old=old: stack.state.pids.get("engine", old) != old, timeout_s=20)  # type: ignore[misc]
            mark = load.answered
            assert wait_until(lambda mark=mark: load.answered > mark + 50, timeout_s=30)  # type: ignore[misc]
    finally:
        load.stop()
    print(
        f"{number.name} × {ROUNDS}: {load.answered} calls, {load.retried} tried twice, "
        f"{len(load.failures)} failed, longest {load.longest_s:.2f} s"
    )
    assert not load.failures, load.failures[:3]
