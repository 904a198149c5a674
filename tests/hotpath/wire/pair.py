"""Two engines with equal state: one behind the Python port, one behind the compiled wire.

Both get the same bytes at the same clock readings; whatever leaves must be the same bytes. Messages
for compiled code end right before a page that may not be read, so that reading on crashes.
"""

import ctypes
import mmap
from functools import partial
from types import SimpleNamespace
from typing import Any, Final, NamedTuple

import grpc
import numpy as np
import pytest

from riskgate.v1 import decision_pb2 as pb
from server.engine import Engine
from server.hotpath.events import make_event_nb
from server.hotpath.lane.structs import METHOD_DECIDE
from server.hotpath.layout import ID_WORDS, words
from server.hotpath.models import load_model
from server.hotpath.table import find_nb
from server.hotpath.wire.acknowledge import answer_acknowledge_nb
from server.hotpath.wire.batch import BATCH_BYTES_MAX, answer_batch_nb
from server.hotpath.wire.decision import answer_decide_nb
from server.hotpath.wire.grants import begin_grant_nb
from server.hotpath.wire.memory import new_wire
from server.hotpath.wire.outcome import REFUSED, WAIT
from server.hotpath.wire.readings import begin_readings_nb
from server.hotpath.wire.report import answer_report_nb
from server.hotpath.wire.response import ANSWER_BYTES_MAX
from server.hotpath.wire.stream import answer_stream_item_nb
from server.owner import LoopOwner
from server.security.grants import Grants
from server.services import judge
from server.services.answering import Arrival
from server.services.call_access import CallAccess
from server.services.decision import REQUEST_BYTES_MAX, DecisionService
from server.services.refusal import Refusal, refusal_of
from server.telemetry.decision_counts import DecisionCounts
from tests.cases import MODELS, Change, World
from tests.cases.markets import ENCODINGS

CANARY: Final = 0xA5
_CANARY_BYTES: Final = 64
_PAGE: Final = mmap.PAGESIZE
_PROT_NONE: Final = 0


class Refused(NamedTuple):
    """Why a whole call got no decision."""

    code: int
    field: str
    message: str


class GuardedBuffer:
    """Memory for a message, with a forbidden page behind it."""

    def __init__(self, size: int) -> None:
        self._pages = mmap.mmap(-1, (size + 2 * _PAGE) // _PAGE * _PAGE + _PAGE)
        self._bytes = np.frombuffer(self._pages, np.uint8)
        self._end = len(self._bytes) - _PAGE
        libc = ctypes.CDLL(None, use_errno=True)
        guard = ctypes.c_void_p(self._bytes.ctypes.data + self._end)
        assert libc.mprotect(guard, ctypes.c_size_t(_PAGE), _PROT_NONE) == 0

    def put(self, raw: bytes) -> int:
        """Return the address of a copy that ends where the guard begins."""
        start = self._end - len(raw)
        self._bytes[start : self._end] = np.frombuffer(raw, np.uint8)
        return int(self._bytes.ctypes.data + start)


class NotingOwner(LoopOwner):
    """Owns nothing: notes which version was waited for, and does not wait."""

    waited_for = 0

    def __init__(self) -> None:
        pass

    def drain(self) -> None:
        pass

    async def wait_for_version(self, version: int, wait_s: float) -> bool:  # noqa: ARG002
        self.waited_for = version
        return False


class Pair:
    """The two engines of one random world.

    Attributes:
        counts: Of the Python port.
        wire: WIRE record of the compiled one.
    """

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        settings: Any = {
            "started_at_ns": world.started_at_ns,
            "restarted": world.restarted,
            "idempotency_min_age_ns": world.idempotency_min_age_ns,
        }
        self.plain, self.compiled = (Engine(world.capacity, epoch=3, **settings) for _ in "ab")
        for engine in (self.plain, self.compiled):
            for slot, lowered in enumerate(MODELS):
                load_model(engine.state.models, slot, lowered, ENCODINGS, bytes(32), (1, 0, slot))
        self.counts = DecisionCounts()
        self._owner = NotingOwner()
        self.is_ready = True
        self.grants = Grants("riskgate")
        # Address of the GRANT that both sides work for; 0: nothing is checked.
        self.grant = 0
        self._service = DecisionService(
            self.plain,
            self._owner,
            self.counts,
            access=CallAccess(Grants("riskgate"), is_open=False),
            is_ready=lambda: self.is_ready,
        )
        self._decided_ns = 0
        monkeypatch.setattr(judge, "time", SimpleNamespace(time_ns=lambda: self._decided_ns))
        self._wire = new_wire(self.compiled.state.answers, request_bytes_max=REQUEST_BYTES_MAX)
        self.wire = self._wire.record[0]
        self._input = GuardedBuffer(1 << 22)
        self._output = np.full(BATCH_BYTES_MAX + _CANARY_BYTES, CANARY, np.uint8)

    def change(self, event: Change) -> None:
        """Apply one change to both."""
        kind, version, rows, deleted, reading = event
        for engine in (self.plain, self.compiled):
            engine.apply_rows(kind, version, rows.copy(), deleted=deleted, reading_ns=reading)

    # --- What the Python port answers -----------------------------------------------------------

    async def _expect_unary(self, behaviour: Any, raw: bytes, received_ns: int) -> bytes | Refused:
        try:
            outcome = await behaviour(raw, self._arrival(received_ns))
        except Exception as error:  # noqa: BLE001 - as the port does
            outcome = refusal_of(error)
        if isinstance(outcome, Refusal):
            return Refused(outcome.code.value[0], outcome.field, outcome.message)
        assert isinstance(outcome, bytes)
        return outcome

    async def _expect_item(self, raw: bytes, received_ns: int) -> bytes:
        return await self._service._answer_item(raw, self._arrival(received_ns))

    def _arrival(self, received_ns: int) -> Arrival:
        return Arrival(received_ns, 0.0, self.grant, METHOD_DECIDE)

    # --- What the compiled wire answers ---------------------------------------------------------

    def _answer(self, function: Any, raw: bytes, room: int) -> tuple[bytes | Refused, bool]:
        """Return the answer, and whether the call had to wait first."""
        self.wire["may_wait"] = 1
        begin_readings_nb(self.wire)
        begin_grant_nb(self.wire, self.grant, METHOD_DECIDE)
        address, out = self._input.put(raw), self._output.ctypes.data
        before = self.compiled.state.engine.tobytes()
        result = function(address, len(raw), out)
        waited = result == WAIT
        if waited:
            assert self.compiled.state.engine.tobytes() == before, (
                "a call that waits changed something"
            )
            self.wire["may_wait"] = 0
            result = function(address, len(raw), out)
        assert (self._output[room : room + _CANARY_BYTES] == CANARY).all(), "wrote too much"
        if result == REFUSED:
            return self._refusal(), waited
        assert 0 <= result <= room
        answer = self._output[:result].tobytes()
        self._output[:result] = CANARY
        return answer, waited

    def _refusal(self) -> Refused:
        wire = self.wire
        field, message = (
            ctypes.string_at(int(wire[f"refusal_{part}"]), int(wire[f"refusal_{part}_bytes"]))
            for part in ("field", "message")
        )
        return Refused(int(wire["refusal_code"]), field.decode(), message.decode())

    # --- Both -----------------------------------------------------------------------------------

    async def decide(self, raw: bytes, received_ns: int, decided_ns: int) -> bytes | Refused:
        """Answer a DecideRequest on both sides; return the common answer."""
        self._begin(decided_ns)
        expected = await self._expect_unary(self._service._decide, raw, received_ns)
        state = self.compiled.state.memory[0]
        function = partial(self._decide, answer_decide_nb, state, received_ns)
        return self._compare(raw, expected, *self._answer(function, raw, ANSWER_BYTES_MAX))

    async def batch(self, raw: bytes, received_ns: int, decided_ns: int) -> bytes | Refused:
        """Answer a DecideBatchRequest on both sides."""
        self._begin(decided_ns)
        expected = await self._expect_unary(self._service._decide_batch, raw, received_ns)
        state = self.compiled.state.memory[0]
        function = partial(self._decide, answer_batch_nb, state, received_ns)
        return self._compare(raw, expected, *self._answer(function, raw, BATCH_BYTES_MAX))

    async def stream_item(self, raw: bytes, received_ns: int, decided_ns: int) -> bytes | Refused:
        """Answer a DecideStreamRequest on both sides."""
        self._begin(decided_ns)
        expected = await self._expect_item(raw, received_ns)
        state = self.compiled.state.memory[0]

        def function(address: int, length: int, out: int) -> int:
            return answer_stream_item_nb(
                state, self.wire, address, length, received_ns, decided_ns, out,
                int(self.is_ready),
            )  # fmt: skip

        got, waited = self._answer(function, raw, ANSWER_BYTES_MAX)
        is_error = pb.DecideStreamResponse.FromString(expected).HasField("error")
        return self._compare(raw, expected, got, waited or is_error)

    async def report(self, raw: bytes, received_ns: int) -> bytes | Refused:
        """Answer a ReportExecutionRequest on both sides."""
        self._begin(0)
        expected = await self._expect_unary(self._service._report, raw, received_ns)
        state = self.compiled.state.memory[0]

        def function(address: int, length: int, out: int) -> int:
            return answer_report_nb(state, self.wire, address, length, received_ns, out)

        return self._compare(raw, expected, *self._answer(function, raw, ANSWER_BYTES_MAX))

    async def acknowledge(self, raw: bytes, received_ns: int) -> bytes | Refused:
        """Answer an AckDirectiveRequest on both sides."""
        self._begin(0)
        expected = await self._expect_unary(self._service._ack_directive, raw, received_ns)
        state = self.compiled.state.memory[0]

        def function(address: int, length: int, out: int) -> int:
            return answer_acknowledge_nb(state, self.wire, address, length, received_ns, out)

        return self._compare(raw, expected, *self._answer(function, raw, ANSWER_BYTES_MAX))

    def trip(self, account_id: str, now_ns: int, **columns: Any) -> None:
        """Let a breaker of an account trip in both engines, as when its condition holds."""
        for engine in (self.plain, self.compiled):
            row = len(engine.state.breakers.rows) - 1
            breaker = engine.state.breakers.rows[row]
            values = {"condition": 1, "action": 4, "threshold": 100_000, "state": 2, **columns}
            for name, value in values.items():
                breaker[name] = value
            breaker["breaker_id"], breaker["name"] = words("17"), words("max_drawdown_10_percent")
            accounts = engine.state.accounts
            account_row = find_nb(accounts.record[0], words(account_id), ID_WORDS)
            breaker["account_row"] = account_row
            make_event_nb(engine.state.memory[0], row, now_ns, False)
            breaker["account_row"] = 0

    def _begin(self, decided_ns: int) -> None:
        self._decided_ns = decided_ns
        self._owner.waited_for = 0

    def _decide(self, kernel: Any, state: Any, received_ns: int, *where: int) -> int:
        address, length, out = where
        result: int = kernel(state, self.wire, address, length, received_ns, self._decided_ns, out)
        return result

    def _compare(
        self, raw: bytes, expected: bytes | Refused, got: bytes | Refused, may_have_waited: bool
    ) -> bytes | Refused:
        assert got == expected, f"message {raw.hex()}"
        # What is refused in any case may be refused before the wait or after it.
        if not isinstance(got, Refused):
            waited_for = self._owner.waited_for
            assert may_have_waited or waited_for == 0, f"no wait for {waited_for}: {raw.hex()}"
        return got

    def compare_state(self) -> None:
        """Every table, the stored answers and the counts are equal."""
        for name, part in self.plain.state._asdict().items():
            if name in {
                "memory",
                "request",
                "decision",
                "work",
                "report",
                "report_result",
                "models",
            }:
                continue
            other = getattr(self.compiled.state, name)
            pairs = (
                [(part, other)]
                if isinstance(part, np.ndarray)
                else [(part.rows, other.rows), (part.cells, other.cells)]
            )
            same = all(np.array_equal(a.view(np.uint8), b.view(np.uint8)) for a, b in pairs)
            assert same, name

    def compare_counts(self) -> None:
        """Counts are equal; refused calls are counted where they leave, on both sides."""
        counts, wire = self.counts, self.wire
        assert wire["verdicts"].tolist() == counts.verdicts
        assert int(wire["repeated"]) == counts.repeated
        assert wire["reports"].tolist() == counts.reports
        codes = {code.value[0]: code.name for code in grpc.StatusCode}
        errors = {codes[number]: int(n) for number, n in enumerate(wire["errors"]) if n}
        assert errors == dict(counts.errors)
