"""An engine process, its standby, and clients that keep everything they are told."""

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import grpc

from riskgate.v1 import decision_pb2 as pb
from server.embedded.process import wait_until
from server.hotpath.journal.entries import KIND_BATCH, KIND_DECIDE
from server.journal.fencing import Fence, read_fence
from server.journal.reader import read_call, read_entries
from server.services.decision import SERVICE_NAME
from server.shards import WHOLE
from server.standby.promotion_port import ask_for_promotion, socket_path
from tests.decision_harness import good_request
from tests.faults.orders import OPTIONS, order_bytes
from tests.faults.source import feeding
from tests.faults.victim import Victim, victim_in

WAIT_S: Final = 60.0
START_TIMEOUT_S: Final = 150.0
DEADLINE_S: Final = 30.0
SINGLES: Final = 3
BATCH_ITEMS: Final = 100
LATE_CALLS_MIN: Final = 20
REPEATS_MAX: Final = 200
# Large enough that the keeper is never late.
SEGMENT_BYTES: Final = 16 << 20


class Reserve(Victim):
    """A standby process, which is an engine once it was promoted.

    Args:
        data_dir: Its own.
        redis_url: Where its state will come from.
        primary: Data directory of the engine that it follows; None: what that ships to Redis.
    """

    def __init__(
        self, data_dir: Path, redis_url: str, primary: Path | None, **settings: Any
    ) -> None:
        super().__init__(data_dir, redis_url, **settings)
        self._primary = primary

    @property
    def words(self) -> Sequence[str]:
        return ("standby", "--follow", str(self._primary)) if self._primary else ("standby",)

    @property
    def said(self) -> dict[str, Any]:
        """Its report on itself; empty before the first one."""
        try:
            return dict(json.loads((self.data_dir / "run" / "standby.json").read_bytes()))
        except FileNotFoundError:
            return {}

    def wait_until_following(self) -> None:
        """Wait until it has reached the end of the journal."""
        # Its kernels may have to be compiled first.
        self.wait_for(lambda: self.said.get("state") == "following", START_TIMEOUT_S)

    def wait_for(self, condition: Callable[[], bool], timeout_s: float = WAIT_S) -> None:
        """Wait for something while it lives."""
        assert wait_until(lambda: self.is_dead or condition(), timeout_s=timeout_s), self.read_log()
        assert not self.is_dead, self.read_log()

    def promote(self) -> dict[str, Any]:
        """Let it take over; return what it says."""
        path = socket_path(self.data_dir, WHOLE)
        return ask_for_promotion(path, primary_is_dead=False, timeout_s=WAIT_S)


class Shipping(Victim):
    """A process that ships the journal of an engine's directory to Redis."""

    @property
    def words(self) -> Sequence[str]:
        return ("ship",)


class Couple(NamedTuple):
    """An engine and the standby that follows it."""

    primary: Victim
    reserve: Reserve

    @property
    def fence(self) -> Fence:
        """What was left with the primary."""
        fence = read_fence(self.primary.journal)
        assert fence is not None
        return fence


@contextlib.contextmanager
def couple_in(folder: Path, redis_url: str, **settings: Any) -> Iterator[Couple]:
    """Start an engine and a standby that has caught up."""
    folder.mkdir(exist_ok=True)
    with feeding(redis_url), victim_in(folder / "primary", redis_url, **settings) as primary:
        primary.serve()
        (folder / "reserve").mkdir()
        reserve = Reserve(folder / "reserve", redis_url, primary.data_dir, **settings)
        try:
            reserve.start()
            reserve.wait_until_following()
            yield Couple(primary, reserve)
        finally:
            if reserve.starts:
                reserve.kill()


def run_command(*words: str) -> "subprocess.CompletedProcess[str]":
    command = [str(Path(sys.executable).with_name("riskgate")), *words]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=WAIT_S)


class Call(NamedTuple):
    """One call with its times, Unix nanoseconds; without answers it failed."""

    sent_ns: int
    answered_ns: int
    request: bytes
    answers: tuple[pb.DecideResponse, ...]
    raw: bytes


class Callers:
    """Clients that call one engine without a pause and keep everything.

    Args:
        address: Of the engine.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._stop = threading.Event()
        self.calls: list[Call] = []
        item = good_request(requested_lots=0.01, client_order_id=None)
        self._batch = pb.DecideBatchRequest(requests=[item] * BATCH_ITEMS).SerializeToString()
        self._threads = [
            threading.Thread(target=self._run, args=(number,), daemon=True)
            for number in range(SINGLES + 1)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let them end."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        channel: Any
        with grpc.insecure_channel(self._address, OPTIONS) as channel:
            decide = channel.unary_unary(f"/{SERVICE_NAME}/Decide")
            batch = channel.unary_unary(f"/{SERVICE_NAME}/DecideBatch")
            turn = 0
            while not self._stop.is_set():
                turn += 1
                is_batch = number == SINGLES
                request = self._batch if is_batch else order_bytes(f"caller-{number}-{turn}")
                sent_ns, raw = time.time_ns(), b""
                with contextlib.suppress(grpc.RpcError):
                    raw = (batch if is_batch else decide)(request, timeout=DEADLINE_S)
                answered_ns = time.time_ns()
                self.calls.append(Call(sent_ns, answered_ns, request, _answers(raw, is_batch), raw))
                if not raw:
                    time.sleep(0.02)


def _answers(raw: bytes, is_batch: bool) -> tuple[pb.DecideResponse, ...]:
    if not raw:
        return ()
    if is_batch:
        return tuple(one.response for one in pb.DecideBatchResponse.FromString(raw).results)
    return (pb.DecideResponse.FromString(raw),)


def read_answers(journal: Path, first: int, last: int) -> dict[tuple[int, int], pb.DecideResponse]:
    """Return the decisions of some entries by epoch and id."""
    found = {}
    for entry in read_entries(journal, first):
        if entry.number > last:
            break
        if entry.kind in {KIND_DECIDE, KIND_BATCH}:
            for answer in _answers(read_call(entry).answer, entry.kind == KIND_BATCH):
                found[answer.epoch, answer.decision_id] = answer
    return found
