"""The Python handle of the compiled lane: its thread, its stop, and the calls that Python answers.

The lane's thread owns the engine. It runs compiled code without the interpreter lock; only for an
errand (SyncAccount, rare and long, and Kill) it comes back to Python and answers it here, on that
thread.
"""

import ctypes
import logging
import os
import socket
import threading
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np

from riskgate.v1.decision_pb2 import RequestError
from server.engine import Engine
from server.hotpath.journal.entries import KIND_SYNC
from server.hotpath.lane.errand import answer_errand_nb, refuse_errand_nb
from server.hotpath.lane.frames import PREFIX_BYTES
from server.hotpath.lane.keeping import keep_call_nb
from server.hotpath.lane.lane_record import STATUS_NOT_SERVING, STATUS_SERVING
from server.hotpath.lane.loop import ERRAND, serve_nb
from server.hotpath.lane.memory import LaneBounds, new_lane
from server.hotpath.lane.structs import CALL, METHOD_KILL
from server.hotpath.wire.grants import may_use_nb
from server.hotpath.wire.journaling import begin_call_nb
from server.hotpath.wire.memory import new_wire
from server.journal.writer import durability_of

log = logging.getLogger(__name__)

_DRAIN: Final = 1
_STOP_NOW: Final = 2
_RESOURCE_EXHAUSTED: Final = 8
_UNAVAILABLE: Final = 14
_JOURNAL_AWAY: Final = "the journal cannot be written"

# (request bytes, Unix nanoseconds of its receipt, whether its caller may use the account whose zero
# padded id is at an address) → answer bytes, or why there is none.
Errand = Callable[[bytes, int, Callable[[int], bool]], bytes | RequestError]
# (request bytes, Unix nanoseconds of its receipt, identity of the caller) → the same. It journals
# by itself.
KillErrand = Callable[[bytes, int, str], bytes | RequestError]


class Errands(NamedTuple):
    """The calls that Python answers; each in the lane's thread."""

    sync: Errand
    kill: KillErrand


class Lane:
    """One decision port over one engine.

    Args:
        engine: Owned by the lane's thread from `start` on.
        listener: Listening, non-blocking socket; stays the caller's.
        local: Another one that never speaks TLS, for commands on this machine.
        bounds: What the port may use.
        errands: Answer SyncAccount and Kill.
        open_grant: Address of the GRANT of callers without a certificate; 0: they are denied.
        local_grant: The same at the local socket.
        shard: Number of this engine and how many share the accounts.
    """

    def __init__(
        self,
        engine: Engine,
        listener: socket.socket,
        bounds: LaneBounds,
        errands: Errands,
        *,
        open_grant: int = 0,
        local: socket.socket | None = None,
        local_grant: int = 0,
        shard: tuple[int, int] = (0, 1),
    ) -> None:
        self._engine = engine
        self._errands = errands
        self._memory = new_lane(
            listener.fileno(), bounds, local_fd=-1 if local is None else local.fileno()
        )
        self.wire = new_wire(
            engine.state.answers,
            request_bytes_max=bounds.request_bytes,
            durability=durability_of(engine),
            shard=shard,
        )
        self.record = self._memory.record
        self.record["journal"] = engine.journal.ctypes.data
        self.record["open_grant"] = open_grant
        self.record["local_grant"] = local_grant
        self._thread = threading.Thread(target=self._run, name="lane", daemon=True)
        self.failure: BaseException | None = None

    @property
    def tls_cell(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Where the address of the SSL_CTX of new connections stands; 0: plaintext."""
        return self.record["tls_context"]

    @property
    def turns(self) -> int:
        """Turns of the loop so far."""
        return int(self.record["turns"][0])

    @property
    def beat_ns(self) -> int:
        """Monotonic time of the last turn; 0 before the first one."""
        return int(self.record["beat_ns"][0])

    @property
    def is_running(self) -> bool:
        """Whether the thread lives."""
        return self._thread.is_alive()

    def judge_certificates(self, board_address: int) -> None:
        """Let every client certificate be judged over this board; before `start`.

        Who is not let in by the judge may call nothing.
        """
        self.record["board"] = board_address
        self.record["tls_judged"] = 1

    def hold(self) -> None:
        """Leave new connections in the backlog until `listen`; before `start`."""
        self.record["may_listen"] = 0

    def listen(self) -> None:
        """Take connections. Idempotent; any thread."""
        if not self.record["may_listen"][0]:
            self.record["may_listen"] = 1
            self.wake()

    def start(self) -> None:
        """Serve from now on, in a thread of its own."""
        self._thread.start()

    def wake(self) -> None:
        """Let the lane look at the ring and at its flags now. Any thread."""
        os.eventfd_write(self._memory.wake_fd, 1)

    def say(self, *, ready: bool, serving: bool) -> None:
        """Open or close the port for decisions, and tell health. Any thread."""
        self.record["is_ready"] = int(ready)
        self.record["health"] = STATUS_SERVING if serving else STATUS_NOT_SERVING
        self.wake()

    def stop(self, *, at_once: bool = False) -> None:
        """Take no more calls, finish those that run, and end the thread. Idempotent."""
        self.record["health"] = STATUS_NOT_SERVING
        self.record["stop"] = _STOP_NOW if at_once else _DRAIN
        self.wake()
        if self._thread.ident is not None:
            self._thread.join()

    def close(self) -> None:
        """Give the descriptors back, once the thread has ended."""
        self._memory.epoll.close()
        os.close(self._memory.wake_fd)

    def _run(self) -> None:
        try:
            while self._serve() == ERRAND:
                self._answer_errand()
        except BaseException as error:
            self.failure = error
            log.exception("the lane has ended by a failure")
            raise

    def _serve(self) -> int:
        engine = self._engine
        return serve_nb(
            self.record[0],
            engine.state.memory[0],
            self.wire.record[0],
            engine.ring.record[0],
        )

    def _run_kill(self, call: np.void) -> bytes | RequestError:
        wire = self.wire.record[0]
        caller = ctypes.string_at(int(wire["caller"]), int(wire["caller_bytes"])).decode()
        raw = ctypes.string_at(int(call["input"]), int(call["message_bytes"]))
        return self._errands.kill(raw, int(call["received_ns"]), caller)

    def _run_errand(self, call: np.void) -> bytes | RequestError:
        """Let Python answer a call, if there is room to journal what it does."""
        wire, journal = self.wire.record[0], self._engine.journal[0]
        address, length = int(call["input"]), int(call["message_bytes"])
        begin_call_nb(wire, journal, KIND_SYNC, address, length)
        if wire["barred"] and not wire["exits_only"]:
            return RequestError(code=_UNAVAILABLE, message=_JOURNAL_AWAY)
        outcome = self._errands.sync(
            ctypes.string_at(address, length),
            int(call["received_ns"]),
            lambda account: bool(may_use_nb(wire, account, 0)),
        )
        if isinstance(outcome, bytes):
            wire["applied"] = 1
            answer = np.frombuffer(outcome, np.uint8).ctypes.data
            keep_call_nb(
                self.record[0],
                self._engine.state.memory[0],
                wire,
                call,
                KIND_SYNC,
                address,
                length,
                answer,
                len(outcome),
            )
        return outcome

    def _answer_errand(self) -> None:
        address = int(self.record["errand"][0])
        first = int(self.record["calls"][0])
        call = self._memory.calls[(address - first) // CALL.itemsize]
        is_kill = int(call["method"]) == METHOD_KILL
        outcome = self._run_kill(call) if is_kill else self._run_errand(call)
        if isinstance(outcome, bytes):
            room = int(call["output_size"]) - PREFIX_BYTES
            if len(outcome) <= room:
                ctypes.memmove(int(call["output"]) + PREFIX_BYTES, outcome, len(outcome))
                answer_errand_nb(self.record[0], len(outcome))
                return
            outcome = RequestError(code=_RESOURCE_EXHAUSTED, message="the answer is too large")
        message = np.frombuffer(outcome.message.encode() + b"\0", np.uint8)
        field = np.frombuffer(outcome.field.encode() + b"\0", np.uint8)
        refuse_errand_nb(
            self.record[0],
            outcome.code,
            message.ctypes.data,
            len(message) - 1,
            field.ctypes.data,
            len(field) - 1,
        )


def warm_lane(engine: Engine) -> None:
    """Compile the lane, or load it from the cache: start one over an engine and stop it."""
    bounds = LaneBounds(connections=1, calls=1, streams=1, batches=1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        lane = Lane(engine, listener, bounds, Errands(lambda *_: b"", lambda *_: b""))
        lane.start()
        lane.stop(at_once=True)
        lane.close()
    if lane.failure is not None:
        raise lane.failure
