"""One kill said to everybody who can hold it, side by side: every engine, and control."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import grpc

from riskgate.channel import Credentials, open_channel
from riskgate.credentials import CredentialsError, load_from_environment, load_operator
from riskgate.v1 import kill_pb2 as pb
from riskgate.v1 import kill_pb2_grpc
from server.errors import UnavailableError
from server.known_engines import KnownEngine, Way, find_local, find_others, mark_replaced

CONTROL: Final = "control"
_PAUSE_S: Final = 0.02
_ATTEMPT_S: Final = 1.0
_HEAD_START_S: Final = 0.1
_SIDE_BY_SIDE: Final = 80
# An engine that is away, or restarts; anything else is an answer.
_AGAIN: Final = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


# (what to say, longest wait in seconds) → what control answers.
AskControl = Callable[[pb.KillRequest, float], pb.KillResponse]


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What became of a kill at one of those who were asked.

    Attributes:
        who: `engine I/N` or `control`.
        confirmed: It holds there.
        is_needed: Without it the kill is not complete.
        took_ms: From the command to the answer.
        at_ns: When the answer came, nanoseconds of `time.perf_counter_ns`.
        sequence: Of the engine; 0: none.
        address: That has answered, or was asked last.
        detail: Why it is not confirmed.
    """

    who: str
    confirmed: bool
    is_needed: bool
    took_ms: float
    sequence: int = 0
    address: str = ""
    detail: str = ""
    at_ns: int = field(default_factory=time.perf_counter_ns)


class KillCall:
    """Says one kill, or several at once, to everybody.

    Args:
        data_dir: Of the stack; names the engines and the certificate to show.
        requests: What to say, at least one; their times are the same for all.
        deadline_s: Longest wait for each.
        ask_control: Says it to control; None: nobody asks control.
    """

    def __init__(
        self,
        data_dir: Path,
        requests: Sequence[pb.KillRequest],
        deadline_s: float,
        ask_control: AskControl | None = None,
    ) -> None:
        self._data_dir = data_dir
        self._requests = requests
        self._ends_at_s = time.perf_counter() + deadline_s
        self._began_s = time.perf_counter()
        self._ask_control = ask_control
        self.problem = ""

    def run(self) -> list[Confirmation]:
        """Return what everybody said; engines first, in the order of their shards.

        `problem` then tells why engines of other machines could not be looked for.
        """
        local = find_local(self._data_dir)
        with ThreadPoolExecutor(_SIDE_BY_SIDE, "kill") as pool:
            asked = {engine: pool.submit(self._ask, engine) for engine in local}
            control = pool.submit(self._control) if self._ask_control else None
            # What looks for others needs this interpreter: the local ones go first.
            wait(asked.values(), timeout=_HEAD_START_S)
            asked |= self._ask_others(pool, local)
            said = {engine: future.result() for engine, future in asked.items()}
            answers = [control.result()] if control else []
        needed = mark_replaced(list(said))
        engines = [
            replace(said[engine], is_needed=now.is_needed)
            for engine, now in zip(said, needed, strict=True)
        ]
        return sorted(engines, key=lambda each: each.who) + answers

    def _ask_others(
        self, pool: ThreadPoolExecutor, local: list[KnownEngine]
    ) -> dict[KnownEngine, "Future[Confirmation]"]:
        try:
            others = find_others(self._data_dir, local, time.time_ns())
        except UnavailableError as error:
            self.problem = str(error)
            return {}
        return {engine: pool.submit(self._ask, engine) for engine in others}

    def _ask(self, engine: KnownEngine) -> Confirmation:
        """Try every way in turn until one has an answer, the time is up, or all have refused."""
        who, address = f"engine {engine.shard}", ""
        left = list(engine.ways)
        problems: dict[str, str] = {}
        while left:
            for way in tuple(left):
                address = way.address
                try:
                    return self._read(who, address, self._call(way))
                except grpc.RpcError as error:
                    failed: Any = error
                    problems[address] = f"{failed.code().name.lower()}: {failed.details()}"
                    if failed.code() not in _AGAIN:
                        left.remove(way)
                except (CredentialsError, ValueError) as error:
                    problems[address] = str(error)
                    left.remove(way)
            if time.perf_counter() + _PAUSE_S >= self._ends_at_s:
                break
            time.sleep(_PAUSE_S)
        detail = "; ".join(f"{address}: {problem}" for address, problem in problems.items())
        return Confirmation(who, False, True, self._took_ms(), address=address, detail=detail)

    def _call(self, way: Way) -> list[pb.KillResponse]:
        left_s = max(min(self._ends_at_s - time.perf_counter(), _ATTEMPT_S), 0.001)
        with open_channel(way.address, "decision", self._credentials(way)) as channel:
            stub: Any = kill_pb2_grpc.KillServiceStub(channel)
            waiting = [stub.Kill.future(each, timeout=left_s) for each in self._requests]
            return [each.result() for each in waiting]

    def _credentials(self, way: Way) -> Credentials:
        if not way.is_tls:
            return "plaintext"
        return load_from_environment() or load_operator(self._data_dir)

    def _control(self) -> Confirmation:
        assert self._ask_control is not None  # noqa: S101 - it is asked only then
        try:
            answers = [
                self._ask_control(each, max(self._ends_at_s - time.perf_counter(), 0.001))
                for each in self._requests
            ]
        except Exception as error:  # noqa: BLE001 - whatever it is, engines come first
            return Confirmation(CONTROL, False, False, self._took_ms(), detail=str(error))
        return self._read(CONTROL, "", answers)

    def _read(self, who: str, address: str, answers: Sequence[pb.KillResponse]) -> Confirmation:
        is_latched = all(each.latched for each in answers)
        return Confirmation(
            who,
            is_latched,
            who != CONTROL,
            self._took_ms(),
            max(each.sequence for each in answers),
            address,
            "" if is_latched else "re-armed later than this kill: is a clock slow?",
        )

    def _took_ms(self) -> float:
        return (time.perf_counter() - self._began_s) * 1_000


def is_complete(said: list[Confirmation]) -> bool:
    """Tell whether there are engines and every one that is needed has confirmed."""
    engines = [each for each in said if each.is_needed]
    return bool(engines) and all(each.confirmed for each in engines)
