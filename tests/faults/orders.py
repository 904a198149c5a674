"""Clients that place orders without pause and keep every answer that they were given."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, Final, NamedTuple

import grpc

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import types_pb2 as types
from server.embedded.process import wait_until
from server.services.decision import SERVICE_NAME
from tests.decision_harness import good_request

CLIENTS: Final = 4
BATCH_ITEMS: Final = 3
# In each order, so that a segment is full after a few thousand of them.
PADDING_BYTES: Final = 4_000
# One call of so many is a batch, a stream's message, a report; all others are single orders.
_TURN: Final = 8
_DEADLINE_S: Final = 10.0
_PAUSE_S: Final = 0.002
_RETRY_PAUSE_S: Final = 0.02
_WAIT_S: Final = 60.0
OPTIONS: Final = [
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
]


class Told(NamedTuple):
    """A decision that a client was told of.

    Attributes:
        request: Bytes of the DecideRequest.
        answer: Bytes of the DecideResponse.
        decision: The same.
        is_single: Whether it came alone, so that the bytes are those that were sent.
    """

    request: bytes
    answer: bytes
    decision: pb.DecideResponse
    is_single: bool


class Orders:
    """What several clients have asked and were told, over all lives of one engine.

    Attributes:
        told: Decisions by client_order_id.
        reports: Applied reports by report_id, bytes of the request.
        closed: Orders that a report may have ended, whether or not it was answered.
        barred: Answers that decided nothing, because the journal took nothing.
        barred_alone: How many of them were no items of a batch; that needs more room.
        failures: Failed calls by status code.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._numbers = count(1)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        # What was asked before the clients were stopped, to be asked again first.
        self.open: list[list[tuple[str, bytes]]] = []
        self.problems: list[str] = []
        self.told: dict[str, Told] = {}
        self.reports: dict[str, bytes] = {}
        self.closed: set[str] = set()
        self.barred: list[pb.DecideResponse] = []
        self.barred_alone = 0
        self.failures: Counter[str] = Counter()

    def start(self, clients: int = CLIENTS, **fields: Any) -> None:
        """Let the clients call; `fields` go into every order."""
        self._stop.clear()
        self._threads = [
            threading.Thread(target=self._run, args=(fields,), daemon=True) for _ in range(clients)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let them end; calls without an answer are made again after the next start."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._threads = []
        assert not self.problems, self.problems[0]

    def wait_for_answers(self, more: int) -> None:
        """Wait until so many more decisions were told."""
        wanted = len(self.told) + more
        assert wait_until(
            lambda: len(self.told) >= wanted or bool(self.problems), timeout_s=_WAIT_S
        ), f"{len(self.told)} of {wanted}: {self.failures}"
        assert not self.problems, self.problems[0]

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so; fail when it never is."""
        assert wait_until(lambda: condition() or bool(self.problems), timeout_s=_WAIT_S)

    def place(self, client: "Client", name: str, **fields: Any) -> pb.DecideResponse:
        """Place one order in the caller's thread and remember what was told.

        Raises:
            grpc.RpcError: There is no answer.
        """
        raw = order_bytes(name, **fields)
        (answer,) = client.ask([raw])
        decision = pb.DecideResponse.FromString(answer)
        if decision.decision_id:
            self.told[name] = Told(raw, answer, decision, is_single=True)
        return decision

    def _run(self, fields: dict[str, Any]) -> None:
        channel: Any
        try:
            with grpc.insecure_channel(self._address, OPTIONS) as channel:
                client = Client(channel)
                for turn in count():
                    if self._stop.is_set():
                        return
                    self._take_turn(client, turn % _TURN, fields)
                    time.sleep(_PAUSE_S)
        except Exception as error:  # noqa: BLE001 - told by the thread that waits
            self.problems.append(repr(error))

    def _take_turn(self, client: "Client", turn: int, fields: dict[str, Any]) -> None:
        if turn == 3:
            self._report(client)
            return
        with self._lock:
            orders = self.open.pop() if self.open else []
        if not orders:
            names = [f"order-{next(self._numbers)}" for _ in range(BATCH_ITEMS if turn == 5 else 1)]
            orders = [(name, order_bytes(name, **fields)) for name in names]
        while not self._place(client, orders, in_stream=turn == 6):
            if self._stop.wait(_RETRY_PAUSE_S):
                with self._lock:
                    self.open.append(orders)
                return

    def _place(self, client: "Client", orders: list[tuple[str, bytes]], *, in_stream: bool) -> bool:
        """Ask once; tell whether there was an answer."""
        try:
            answers = client.ask([raw for _, raw in orders], in_stream=in_stream)
        except grpc.RpcError as error:
            with self._lock:
                self.failures[error.code().name] += 1
            return False
        with self._lock:
            for (name, raw), answer in zip(orders, answers, strict=True):
                decision = pb.DecideResponse.FromString(answer)
                if decision.decision_id:
                    assert name not in self.told, f"{name} was answered twice"
                    self.told[name] = Told(raw, answer, decision, len(orders) == 1)
                else:
                    self.barred.append(decision)
                    self.barred_alone += len(orders) == 1
        return True

    def _report(self, client: "Client") -> None:
        """Cancel an order that still waits; a report is applied once."""
        with self._lock:
            held = [
                (name, told)
                for name, told in list(self.told.items())[-40:]
                if told.decision.lot_size and name not in self.closed
            ]
            if not held:
                return
            name, _ = held[0]
            self.closed.add(name)
        raw = report_bytes(f"report-{name}", name, types.REPORT_KIND_CANCEL)
        try:
            answer = client.report(raw)
        except grpc.RpcError as error:
            with self._lock:
                self.failures[error.code().name] += 1
            return
        if answer.outcome in {pb.REPORT_OUTCOME_APPLIED, pb.REPORT_OUTCOME_DUPLICATE}:
            with self._lock:
                self.reports[f"report-{name}"] = raw


class Client:
    """Calls of the decision port with raw bytes.

    Args:
        channel: Where to.
    """

    def __init__(self, channel: Any) -> None:
        self._decide = channel.unary_unary(f"/{SERVICE_NAME}/Decide")
        self._batch = channel.unary_unary(f"/{SERVICE_NAME}/DecideBatch")
        self._stream = channel.stream_stream(f"/{SERVICE_NAME}/DecideStream")
        self._report = channel.unary_unary(f"/{SERVICE_NAME}/ReportExecution")

    def ask(self, requests: list[bytes], *, in_stream: bool = False) -> list[bytes]:
        """Return the answers: several requests go as a batch.

        Raises:
            grpc.RpcError: There is none.
        """
        if len(requests) > 1:
            batch = pb.DecideBatchRequest(requests=map(pb.DecideRequest.FromString, requests))
            raw = self._batch(batch.SerializeToString(), timeout=_DEADLINE_S)
            results = pb.DecideBatchResponse.FromString(raw).results
            assert all(result.HasField("response") for result in results), str(results)
            return [result.response.SerializeToString() for result in results]
        if not in_stream:
            return [self._decide(requests[0], timeout=_DEADLINE_S)]
        message = pb.DecideStreamRequest(tag=1, request=pb.DecideRequest.FromString(requests[0]))
        calls = self._stream(iter([message.SerializeToString()]), timeout=_DEADLINE_S)
        (raw,) = list(calls)
        item = pb.DecideStreamResponse.FromString(raw)
        assert item.HasField("response"), str(item)
        return [item.response.SerializeToString()]

    def report(self, raw: bytes) -> pb.ReportExecutionResponse:
        """Report an execution.

        Raises:
            grpc.RpcError: It was not taken.
        """
        return pb.ReportExecutionResponse.FromString(self._report(raw, timeout=_DEADLINE_S))


def order_bytes(name: str, *, padding_bytes: int = 0, **fields: Any) -> bytes:
    """Return a small order that the worked example's account may place.

    Args:
        name: Its client_order_id.
        padding_bytes: Of a field that nobody knows, so that a segment is full sooner.
        fields: Other fields of the request.
    """
    request = good_request(client_order_id=name, **{"requested_lots": 0.01, **fields})
    raw = request.SerializeToString()
    if padding_bytes:
        # Field 1000, of a length: no release has it, all skip it.
        raw += b"\xc2\x3e" + encode_length(padding_bytes) + bytes(padding_bytes)
    return raw


def encode_length(length: int) -> bytes:
    """Return a number as a varint of protobuf."""
    data = bytearray()
    while length > 0x7F:
        data.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*data, length])


def report_bytes(name: str, order: str, kind: Any, **fields: Any) -> bytes:
    """Return a report about an order."""
    report = pb.ExecutionReport(
        report_id=name, account_id="A", client_order_id=order, kind=kind, **fields
    )
    return pb.ReportExecutionRequest(report=report).SerializeToString()


@contextmanager
def client_of(address: str) -> Iterator[Client]:
    """Connect one client for a while."""
    with grpc.insecure_channel(address, OPTIONS) as channel:
        yield Client(channel)
