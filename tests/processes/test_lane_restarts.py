"""The engine of `riskgate serve --lane compiled` is stopped and killed while clients call it.

A client waits for ready and tries once more within its deadline. The supervisor keeps the listening
socket, so that callers wait in its backlog while an engine restarts. The deadline is three seconds
in the campaign; a machine that runs other tests beside this one may need longer for a start.
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
IS_CAMPAIGN: Final = os.environ.get("RISKGATE_CAMPAIGN") == "1"
DEADLINE_S: Final = 3.0 if IS_CAMPAIGN else 20.0
PAUSE_S: Final = 0.005
RETRY_PAUSE_S: Final = 0.05
ROUNDS: Final = 20 if IS_CAMPAIGN else 1


class Load:
    """Clients that call one after the other and note what has failed."""

    def __init__(self, address: str) -> None:
        self.answered = 0
        self.retried = 0
        self.longest_s = 0.0
        self.failures: list[str] = []
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, args=(address,)) for _ in range(CLIENTS)
        ]
        for thread in self._threads:
            thread.start()

    def wait_for_answers(self, count: int) -> None:
        """Wait until so many more calls are answered."""
        wanted = self.answered + count
        assert wait_until(lambda: self.answered >= wanted, timeout_s=60)

    def stop(self) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _run(self, address: str) -> None:
        channel: Any
        with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            call = channel.unary_unary(DECIDE)
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
                # A call that follows at once may still be given the connection that has died.
                time.sleep(RETRY_PAUSE_S)
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
            load.wait_for_answers(100)
            old = stack.state.pids["engine"]
            os.kill(old, number)
            _wait_for_another_engine(stack, old)
            load.wait_for_answers(50)
    finally:
        load.stop()
    print(  # noqa: T201 - figures to read
        f"{number.name} × {ROUNDS}: {load.answered} calls, {load.retried} tried twice, "
        f"{len(load.failures)} failed, longest {load.longest_s:.2f} s"
    )
    assert not load.failures, load.failures[:3]


def _wait_for_another_engine(stack: Stack, old: int) -> None:
    assert wait_until(lambda: stack.state.pids.get("engine", old) != old, timeout_s=60)
