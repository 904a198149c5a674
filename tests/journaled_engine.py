"""A real engine that keeps a journal, asked by the compiled wire with a clock of the test's own."""

from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import numpy as np

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import state_pb2
from server.changes import model_rows
from server.engine import Engine
from server.hotpath.change_kinds import MODEL
from server.hotpath.journal.entries import (
    KIND_ACKNOWLEDGE,
    KIND_BATCH,
    KIND_DECIDE,
    KIND_REPORT,
    KIND_STREAM,
)
from server.hotpath.journal.journal_record import MODE_PROCESS
from server.hotpath.lane.structs import METHOD_DECIDE
from server.hotpath.layout import LAYOUT_VERSION
from server.hotpath.memory import Capacity
from server.hotpath.model_tables import MODEL_SLOTS
from server.hotpath.models import load_model
from server.hotpath.wire.acknowledge import answer_acknowledge_nb
from server.hotpath.wire.batch import BATCH_BYTES_MAX, answer_batch_nb
from server.hotpath.wire.decision import answer_decide_nb
from server.hotpath.wire.grants import begin_grant_nb
from server.hotpath.wire.journaling import begin_call_nb, end_call_nb
from server.hotpath.wire.memory import new_wire
from server.hotpath.wire.report import answer_report_nb
from server.hotpath.wire.stream import answer_stream_item_nb
from server.journal.keeper import JournalKeeper
from server.journal.segments import Origin
from server.journal.writer import append_start, durability_of, new_start
from server.replays.replayer import begin_epoch
from server.services.sync_errand import try_sync_account
from tests.cases import MODELS
from tests.cases.markets import ENCODINGS
from tests.cases.world import ROOMY, START_NS

SEGMENT_BYTES: Final = 16 << 20
REQUEST_BYTES_MAX: Final = 65_536
ORIGIN: Final = Origin(epoch=7)
_START: Final = {
    "started_at_ns": START_NS,
    "restarted": False,
    "idempotency_min_age_ns": 1_000_000_000,
    "request_bytes_max": REQUEST_BYTES_MAX,
}
# A decision takes half a microsecond here, so that `server_ns` is a number worth comparing.
_DECIDED_AFTER_NS: Final = 500
_KEEPER_TURN: Final = 64
_NOBODY: Final = np.zeros(1, np.int64)


class StoredModel(NamedTuple):
    """A model of the random world that can be found by its digest."""

    number: int

    @property
    def digest(self) -> bytes:
        """32 bytes."""
        return bytes([self.number + 1]) * 32

    def load_into(self, models: Any, slot: int) -> None:
        """Write it into a slot."""
        version = (1, 0, self.number)
        load_model(models, slot, MODELS[self.number], ENCODINGS, self.digest, version)


STORED_MODELS: Final = {
    model.digest: model for model in (StoredModel(number) for number in range(len(MODELS)))
}


def find_model(digest: bytes) -> StoredModel:
    """Return a stored model, as the artifact store of an engine does."""
    return STORED_MODELS[digest]


class JournaledEngine:
    """An engine, its journal and its keeper; a context manager that ends both.

    Args:
        folder: Of the journal; made if it is not there.
        capacity: Of a fresh engine.
        engine: One that goes on, behind entry `last_entry`.
        segment_bytes: Of each segment.
        origin: Who writes.
        start: Columns of START that differ from those of a plain first start.
    """

    def __init__(
        self,
        folder: Path,
        capacity: Capacity = ROOMY,
        *,
        engine: Engine | None = None,
        last_entry: int = 0,
        segment_bytes: int = SEGMENT_BYTES,
        origin: Origin = ORIGIN,
        **start: Any,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.engine = engine or Engine(capacity, epoch=0)
        self.answers = 0
        self.grant = 0  # address of the GRANT of the caller; 0: nobody is denied anything
        self._calls = 0
        self._model_serial = int(self.engine.state.engine[0]["model_serial"])
        self._journal = self.engine.journal
        self._journal["mode"] = MODE_PROCESS
        self._journal["epoch"] = origin.epoch
        self._journal["entry_number"] = last_entry
        self._keeper = JournalKeeper(self._journal, folder, segment_bytes, origin)
        self._keeper.open()
        made = new_start(self.engine, **{**_START, "epoch": origin.epoch, **start})
        self.reading_ns = int(made["started_at_ns"][0])
        begin_epoch(self.engine, made[0])
        append_start(self.engine, made)
        self._wire = new_wire(
            self.engine.state.answers,
            request_bytes_max=REQUEST_BYTES_MAX,
            durability=durability_of(self.engine),
        )
        self._out = np.zeros(BATCH_BYTES_MAX + 64, np.uint8)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._keeper.stop()

    @property
    def entry_number(self) -> int:
        """Of the newest entry."""
        return int(self._journal["entry_number"][0])

    @property
    def sequence(self) -> int:
        """Of the engine."""
        return int(self.engine.state.engine[0]["sequence"])

    # --- Calls ---

    def call(self, kind: int, raw: bytes, reading_ns: int | None = None) -> bytes:
        """Make a call of KIND_* as the lane does; returns the answer, empty if it was refused."""
        if reading_ns is not None:
            self.reading_ns = reading_ns
        self._turn()
        memory = np.frombuffer(raw or b"\0", np.uint8)
        wire, journal, state = self._wire.record[0], self._journal[0], self.engine.state.memory[0]
        address, out = memory.ctypes.data, self._out.ctypes.data
        begin_call_nb(wire, journal, kind, address, len(raw))
        begin_grant_nb(wire, self.grant, METHOD_DECIDE)
        length = max(self._answer(kind, state, wire, raw, address, out), 0)
        end_call_nb(
            state, wire, journal, kind, self.reading_ns,
            address, len(raw), out, length, _NOBODY.ctypes.data, 0,
        )  # fmt: skip
        self.answers += int(wire["reading_count"])
        return self._out[:length].tobytes()

    def _answer(self, kind: int, state: Any, wire: Any, raw: bytes, address: int, out: int) -> int:
        received_ns = self.reading_ns
        what = (state, wire, address, len(raw), received_ns)
        decided_ns = received_ns + _DECIDED_AFTER_NS
        if kind == KIND_DECIDE:
            return answer_decide_nb(*what, decided_ns, out)
        if kind == KIND_BATCH:
            return answer_batch_nb(*what, decided_ns, out)
        if kind == KIND_STREAM:
            return answer_stream_item_nb(*what, decided_ns, out, 1)
        if kind == KIND_REPORT:
            return answer_report_nb(*what, out)
        if kind == KIND_ACKNOWLEDGE:
            return answer_acknowledge_nb(*what, out)
        outcome = try_sync_account(self.engine, raw, received_ns)
        if isinstance(outcome, pb.RequestError):
            return -1
        self._out[: len(outcome)] = np.frombuffer(outcome, np.uint8)
        wire["applied"] = 1
        return len(outcome)

    def decide(self, request: pb.DecideRequest, reading_ns: int | None = None) -> Any:
        """Ask for one decision."""
        answer = self.call(KIND_DECIDE, request.SerializeToString(), reading_ns)
        return pb.DecideResponse.FromString(answer)

    def batch(self, *requests: pb.DecideRequest, all_or_none: bool = False) -> Any:
        """Ask for several decisions at once."""
        message = pb.DecideBatchRequest(requests=requests, all_or_none=all_or_none)
        answer = self.call(KIND_BATCH, message.SerializeToString())
        return pb.DecideBatchResponse.FromString(answer).results

    def report(self, **fields: Any) -> Any:
        """Report an execution."""
        message = pb.ReportExecutionRequest(report=pb.ExecutionReport(**fields))
        answer = self.call(KIND_REPORT, message.SerializeToString())
        return pb.ReportExecutionResponse.FromString(answer)

    def acknowledge(self, **fields: Any) -> Any:
        """Say what became of a directive; None: it was refused."""
        message = pb.AckDirectiveRequest(**fields)
        answer = self.call(KIND_ACKNOWLEDGE, message.SerializeToString())
        return pb.AckDirectiveResponse.FromString(answer).directive if answer else None

    # --- Changes ---

    def change(
        self, kind: int, key: str, rows: bytes, version: int = 0, reading_ns: int | None = None,
        *, slot: int = -1,
    ) -> None:  # fmt: skip
        """Put one change through the ring; empty rows delete."""
        if reading_ns is not None:
            self.reading_ns = reading_ns
        message = state_pb2.StateChange(
            version=version, kind=kind, key=key, rows=rows, layout_version=LAYOUT_VERSION,  # type: ignore[arg-type]
        )  # fmt: skip
        assert self.engine.submit(message.SerializeToString(), slot)
        self._turn()
        self.engine.drain(self.reading_ns)

    def swap_model(self, number: int | None, version: int = 0) -> None:
        """Activate one of the models of the random world, in another slot; None: no model."""
        self._model_serial += 1
        slot, digest = -1, bytes(32)
        if number is not None:
            model = StoredModel(number)
            slot = (int(self.engine.state.engine[0]["model_slot"]) + 1) % MODEL_SLOTS
            model.load_into(self.engine.state.models, slot)
            digest = model.digest
        rows = model_rows("slippage", digest, f"1.0.{number or 0}", self._model_serial)
        self.change(MODEL, "slippage", rows, version, slot=slot)

    def _turn(self) -> None:
        self._calls += 1
        if self._calls % _KEEPER_TURN == 0:
            self._keeper.advance()


class JournaledRing:
    """Takes the rows of a desk through the ring of an engine that keeps a journal."""

    def __init__(self, live: JournaledEngine) -> None:
        self._live = live

    def apply(self, kind: int, version: int, rows: Any, *, deleted: bool, reading_ns: int) -> None:
        assert not deleted
        self._live.change(kind, "", rows.tobytes(), version, reading_ns)
