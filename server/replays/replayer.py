"""The Python handle of a replay: a journal's entries into an engine, every answer byte compared.

What an engine did is done again by the same kernels, from the first entry or behind a snapshot. The
few entries that need Python (a start, a model, a broker's view) are done here.
"""

import logging
import mmap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import numpy as np

from riskgate.v1.decision_pb2 import RequestError
from server.engine import Engine
from server.errors import JournalCorruptError, JournalTrimmedError, OtherReleaseError
from server.hotpath.journal.entries import (
    CALL,
    CALL_BYTES,
    CALL_KINDS,
    ENTRY_BYTES,
    HEADER_BYTES,
    KIND_NAMES,
    READING_BYTES,
    START,
)
from server.hotpath.journal.replay import (
    AT_END,
    AT_LAST,
    AT_MODEL,
    AT_START,
    AT_SYNC,
    DAMAGED,
    DIFFERENT,
    REPLAY,
    replay_nb,
    step_nb,
)
from server.hotpath.layout import ARITHMETIC_VERSION, CHANGE_MODEL
from server.hotpath.memory import Capacity
from server.hotpath.ring_frame import FRAME_BYTES
from server.hotpath.rows import WHEEL_SHIFT
from server.hotpath.wire.batch import BATCH_BYTES_MAX
from server.hotpath.wire.memory import new_wire
from server.journal.segments import Segment, list_segments
from server.replays.resizing import resize
from server.services.sync_errand import try_sync_account

log = logging.getLogger(__name__)

NUMBER_MAX: Final = 2**62
# More are counted and not kept.
DIFFERENCES_MAX: Final = 1_000
# The plain numbers of START.
_START_NAMES: Final = tuple(name for name in START.names or () if not START[name].shape)
_SLACK_BYTES: Final = 4_096


class Loadable(Protocol):
    """A verified model."""

    def load_into(self, models: Any, slot: int) -> None:
        """Write it into a slot."""


class Difference(NamedTuple):
    """An entry that did not come out as it was journaled.

    Attributes:
        number: Of the entry.
        sequence: Of the engine behind it, as journaled.
        kind: Name of its kind.
        was: Journaled answer; empty for a change.
        now: Answer of the replay; empty if the call was refused.
        by_model: Whether the model's output differs.
    """

    number: int
    sequence: int
    kind: str
    was: bytes
    now: bytes
    by_model: bool


class Replayer:
    """Replays one journal into one engine.

    Args:
        engine: Fresh, or restored from a snapshot; with the capacity of the journal.
        folder: Of the journal.
        find_model: Returns the verified model of a digest (32 bytes).
        next_number: Of the first entry to replay: 1, or the one behind the snapshot.
        start: What the snapshot says of the START entry before it.

    Attributes:
        differences: What did not come out as it was, the first 1,000.
        difference_count: How many entries that were.
    """

    def __init__(
        self,
        engine: Engine,
        folder: Path,
        find_model: Callable[[bytes], Loadable],
        *,
        next_number: int = 1,
        start: Mapping[str, Any] | None = None,
    ) -> None:
        self.engine = engine
        self._folder = folder
        self._find_model = find_model
        self._wire = new_wire(engine.state.answers, request_bytes_max=1 << 30)
        self._wire.record["replaying"] = 1
        self._answer = np.zeros(BATCH_BYTES_MAX + _SLACK_BYTES, np.uint8)
        self._record = np.zeros(1, REPLAY)
        self._record["number"] = next_number
        self._record["answer"] = self._answer.ctypes.data
        self._segment: Segment | None = None
        self._known = (0, HEADER_BYTES)
        self._memory = np.zeros(0, np.uint8)
        self.differences: list[Difference] = []
        self.difference_count = 0
        self.start: dict[str, int] = {}
        if start:
            self._heed(start)

    @property
    def next_number(self) -> int:
        """Number of the entry that comes next."""
        return int(self._record["number"][0])

    @property
    def decisions(self) -> int:
        """Decisions made again so far."""
        return int(self._record["decisions"][0])

    @property
    def bytes_read(self) -> int:
        """Bytes of the entries done so far."""
        return int(self._record["bytes_read"][0])

    def advance(self, last_number: int = NUMBER_MAX, *, stop_at_damage: bool = False) -> bool:
        """Replay up to an entry or as far as the journal goes; tell whether the entry was reached.

        May be called again when the journal has grown.

        Args:
            last_number: Of the last entry to replay.
            stop_at_damage: Take a damaged entry for the end, which somebody else judges.

        Raises:
            JournalCorruptError: An entry is damaged or missing.
            OtherReleaseError: Another arithmetic wrote it.
            RiskgateError: A model of the journal cannot be loaded.
        """
        self._record["last_number"] = last_number
        while self.next_number <= last_number:
            if self._segment is None and not self._open_next():
                return False
            outcome = self._run()
            if outcome == AT_LAST:
                return True
            if outcome == DAMAGED and stop_at_damage:
                return False
            if outcome == DAMAGED:
                raise JournalCorruptError(
                    f"entry {self.next_number}: its checksum or number is wrong", path=self._path
                )
            if outcome == AT_END and not self._open_next():
                return False
        return True

    def answer_of_last(self) -> bytes:
        """Return the answer that the last call of the replay got."""
        length = max(int(self._record["answer_bytes"][0]), 0)
        return self._answer[:length].tobytes()

    def close(self) -> None:
        """Give the mapped segment back."""
        self._segment = None
        self._memory = np.zeros(0, np.uint8)

    def _run(self) -> int:
        record = self._record[0]
        outcome = int(replay_nb(self.engine.state.memory[0], self._wire.record[0], record))
        if outcome == AT_START:
            self._begin_epoch()
        elif outcome == AT_MODEL:
            self._load_model()
        elif outcome == AT_SYNC:
            self._sync_account()
        elif outcome == DIFFERENT:
            self._note_difference()
        return outcome

    # --- Segments ---

    @property
    def _path(self) -> Path:
        return self._folder if self._segment is None else self._segment.path

    def _open_next(self) -> bool:
        """Map the segment that holds the next entry; tell whether it is there."""
        number = self.next_number
        current = self._segment
        found = None
        for segment in list_segments(self._folder, after=current.number if current else 0):
            if segment.first_entry <= number and (current is None or segment.first_entry == number):
                found = segment
            elif current is None and found is None:
                raise JournalTrimmedError(number, segment.first_entry)
            elif current is not None:
                if self._memory[self._offset : self._offset + 8].any():
                    # It came after this segment was left for ended: there is more to do here.
                    return True
                raise JournalCorruptError(
                    f"entry {number} is missing before entry {segment.first_entry}",
                    path=segment.path,
                )
            if current is not None:
                break
        if found is None:
            return False
        if found.arithmetic_version != ARITHMETIC_VERSION:
            raise OtherReleaseError(
                f"{found.path} has arithmetic version {found.arithmetic_version}, this is "
                f"{ARITHMETIC_VERSION}: replay it with riskgate {found.release}, which wrote it",
                detail=f"riskgate {found.release}",
            )
        with found.path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._segment = found
        self._known = (found.first_entry, HEADER_BYTES)
        self._memory = np.frombuffer(mapped, np.uint8)
        start = self._memory.ctypes.data
        self._record["end"] = start + len(self._memory)
        self._record["at"] = start + HEADER_BYTES
        self._skip_to(number)
        return True

    def _skip_to(self, number: int) -> None:
        """Pass over the entries of a segment that a snapshot already holds."""
        known_number, offset = self._known
        for _ in range(number - known_number):
            size_bytes = int(self._memory[offset : offset + 4].view("<u4")[0])
            if not size_bytes:
                raise JournalCorruptError(f"entry {number} is missing", path=self._path)
            offset += size_bytes
        self._known = (number, offset)
        self._record["at"] = self._memory.ctypes.data + offset

    # --- Entries that need Python ---

    @property
    def _offset(self) -> int:
        return int(self._record["at"][0]) - self._memory.ctypes.data

    def _begin_epoch(self) -> None:
        start = self._memory[self._offset : self._offset + START.itemsize].view(START)[0]
        if capacity_of(start) != self.engine.capacity:
            self.engine = resize(self.engine, capacity_of(start))
            answers = self.engine.state.answers
            self._wire.record["answers"] = answers.ctypes.data
            self._wire.record["answer_capacity"] = len(answers)
        begin_epoch(self.engine, start)
        self._heed({name: int(start[name]) for name in _START_NAMES})
        step_nb(self._record[0])

    def _heed(self, start: Mapping[str, Any]) -> None:
        """Answer from now on as the engine of a START entry did."""
        self.start = dict(start)
        for name in ("durability", "request_bytes_max", "shard", "shards"):
            self._wire.record[name] = start[name]

    def _load_model(self) -> None:
        offset = self._offset + ENTRY_BYTES + FRAME_BYTES
        row = self._memory[offset : offset + CHANGE_MODEL.itemsize].view(CHANGE_MODEL)[0]
        digest, slot = row["digest"].tobytes(), int(row["slot"])
        engine = self.engine.state.engine[0]
        if row["serial"] > engine["model_serial"] and any(digest):
            load_slot(self.engine, slot, digest, self._find_model)
        self._record["model_ready"] = self.next_number

    def _sync_account(self) -> None:
        call = self._memory[self._offset : self._offset + CALL_BYTES].view(CALL)[0]
        request, answer = self._parts_of(call)
        outcome = try_sync_account(self.engine, request, int(call["reading_ns"]))
        now = b"" if isinstance(outcome, RequestError) else outcome
        sequence = int(self.engine.state.engine[0]["sequence"])
        self._record["answer_bytes"] = len(now)
        self._answer[: len(now)] = np.frombuffer(now, np.uint8)
        step_nb(self._record[0])
        if now != answer or sequence != call["sequence"]:
            self._keep(call, answer, now, by_model=False)

    def _parts_of(self, call: Any) -> tuple[bytes, bytes]:
        start = self._offset + CALL_BYTES + int(call["reading_count"]) * READING_BYTES
        request = self._memory[start : start + int(call["request_bytes"])].tobytes()
        start += (len(request) + 7) & ~7
        return request, self._memory[start : start + int(call["answer_bytes"])].tobytes()

    def _note_difference(self) -> None:
        if self.difference_count >= DIFFERENCES_MAX:
            self.difference_count += 1
            return
        # The mark stands behind the entry already; walk to it again.
        mark = self._record[0].copy()
        self._skip_to(self.next_number - 1)
        call = self._memory[self._offset : self._offset + CALL_BYTES].view(CALL)[0]
        is_call = int(call["kind"]) in CALL_KINDS
        was = self._parts_of(call)[1] if is_call else b""
        now = self.answer_of_last() if is_call else b""
        self._record[0] = mark
        by_model = bool(self._wire.record["model_differences"][0])
        self._wire.record["model_differences"] = 0
        self._keep(call, was, now, by_model=by_model)

    def _keep(self, call: Any, was: bytes, now: bytes, *, by_model: bool) -> None:
        self.difference_count += 1
        if len(self.differences) < DIFFERENCES_MAX:
            name = KIND_NAMES[int(call["kind"])]
            numbers = int(call["number"]), int(call["sequence"])
            self.differences.append(Difference(*numbers, name, was, now, by_model))


def warm_replay(engine: Engine) -> None:
    """Compile the replay, or load it from the cache."""
    wire, nothing = new_wire(engine.state.answers, request_bytes_max=1), np.zeros(1, REPLAY)
    replay_nb(engine.state.memory[0], wire.record[0], nothing[0])
    entry = np.zeros(1, np.int64)
    nothing["at"] = entry.ctypes.data
    step_nb(nothing[0])


def begin_epoch(engine: Engine, start: Any) -> None:
    """Do what an entry of KIND_START says, in an engine that starts and in every replay.

    Args:
        engine: Owned by the caller.
        start: START record.
    """
    row = engine.state.engine[0]
    row["epoch"] = start["epoch"]
    row["started_at_ns"] = start["started_at_ns"]
    row["restarted"] = start["restarted"]
    row["idempotency_min_age_ns"] = start["idempotency_min_age_ns"]
    # The clock may have moved while nothing ran; the feed confirms it anew.
    row["reading_ns"] = 0
    if row["wheel_tick"] == 0:
        row["wheel_tick"] = int(start["started_at_ns"]) >> WHEEL_SHIFT


def load_slot(
    engine: Engine, slot: int, digest: bytes, find_model: Callable[[bytes], Loadable]
) -> None:
    """Make a slot hold the model of a digest."""
    slots = engine.state.models.slots
    if slots[slot]["kind"] == 0 or slots[slot]["digest"].tobytes() != digest:
        find_model(digest).load_into(engine.state.models, slot)


def capacity_of(start: Any) -> Capacity:
    """Return the capacity that an entry of KIND_START names."""
    return Capacity(*(int(rows) for rows in start["capacity"]))
