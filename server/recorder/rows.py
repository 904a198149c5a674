"""Entries of the journal to rows of the archive, and to events that change earlier rows.

Pure: the same entries and the same reference data give the same rows. What a report, a sync or a
replaced order does to rows of earlier entries is worked out in events.py.
"""

from collections.abc import Iterable
from typing import NamedTuple

from riskgate.v1 import types_pb2
from riskgate.v1.decision_pb2 import (
    DecideBatchRequest,
    DecideBatchResponse,
    DecideRequest,
    DecideResponse,
    DecideStreamRequest,
    DecideStreamResponse,
    ReportExecutionRequest,
    ReportExecutionResponse,
    SyncAccountRequest,
    SyncAccountResponse,
)
from riskgate.v1.state_pb2 import CHANGE_KIND_KILL, StateChange
from server.errors import BrokenInvariantError
from server.hotpath.journal.entries import (
    KIND_ACKNOWLEDGE,
    KIND_BATCH,
    KIND_CHANGE,
    KIND_DECIDE,
    KIND_EVENT,
    KIND_REPORT,
    KIND_STREAM,
    KIND_SYNC,
)
from server.journal.reader import Call, Entry, read_call, read_change
from server.record.archive import Reference
from server.record.archive_events import Acknowledgement, BreakerEvent
from server.record.archive_tables import to_time
from server.recorder.breaker_events import read_acknowledgement, read_breaker_event
from server.recorder.decision_rows import (
    Decided,
    Row,
    binding_row,
    decision_row,
    prediction_row,
    read_reading,
    reservation_row,
)
from server.recorder.values import clean, day_of


class Report(NamedTuple):
    """An execution report and what the engine answered."""

    entry: Entry
    request_bytes: bytes
    request: ReportExecutionRequest
    answer: ReportExecutionResponse


class Sync(NamedTuple):
    """The broker's view of an account."""

    entry: Entry
    request: SyncAccountRequest
    answer: SyncAccountResponse


class Replacement(NamedTuple):
    """An order whose hold ended because another took its place."""

    entry: Entry
    account_id: str
    client_order_id: str
    by_sequence: int


class Rows:
    """Rows of a run of entries, and what these do to earlier rows, in order.

    Args:
        shard: Of the journal.
        reference: As of these entries.
    """

    def __init__(self, shard: int, reference: Reference) -> None:
        self.decisions: list[Row] = []
        self.bindings: list[Row] = []
        self.predictions: list[Row] = []
        self.reservations: list[Row] = []
        self.events: list[Report | Sync | Replacement] = []
        self.breaker_events: list[BreakerEvent] = []
        self.acknowledgements: list[Acknowledgement] = []
        self.kills: list[StateChange] = []
        # On which something happened, counted from 1970-01-01.
        self.days: set[int] = set()
        self.shard = shard
        self.reference = reference

    def add(self, entry: Entry) -> None:
        """Take the next entry.

        Raises:
            JournalCorruptError: A call cannot be taken apart.
            BrokenInvariantError: It does not hold what its kind says.
        """
        kind = entry.kind
        if kind == KIND_DECIDE:
            call = _read_one(entry)
            request = DecideRequest.FromString(call.request)
            answer = DecideResponse.FromString(call.answer)
            self._add_decision(entry, 0, request, answer, (call.request, call.answer))
        elif kind == KIND_BATCH:
            self._add_batch(entry)
        elif kind == KIND_STREAM:
            call = _read_one(entry)
            asked = DecideStreamRequest.FromString(call.request).request
            answered = DecideStreamResponse.FromString(call.answer).response
            self._add_decision(entry, 0, asked, answered)
        elif kind == KIND_REPORT:
            call = read_call(entry)
            self.days.add(day_of(entry.reading_ns))
            report = ReportExecutionRequest.FromString(call.request)
            outcome = ReportExecutionResponse.FromString(call.answer)
            self.events.append(Report(entry, call.request, report, outcome))
        elif kind == KIND_SYNC:
            call = read_call(entry)
            sync = SyncAccountRequest.FromString(call.request)
            self.events.append(Sync(entry, sync, SyncAccountResponse.FromString(call.answer)))
        elif kind == KIND_EVENT:
            self.breaker_events.append(read_breaker_event(self.shard, entry))
        elif kind == KIND_ACKNOWLEDGE:
            self.acknowledgements.append(read_acknowledgement(self.shard, entry))
        elif kind == KIND_CHANGE:
            self._add_kill(entry)

    def _add_kill(self, entry: Entry) -> None:
        change = read_change(entry)
        if change.kind == CHANGE_KIND_KILL and change.version == 0:
            # Heard by the engine itself: the record has it from here.
            self.kills.append(StateChange.FromString(change.change))

    def add_all(self, entries: Iterable[Entry]) -> None:
        """Take entries in their order; as `add`."""
        for entry in entries:
            self.add(entry)

    def _add_batch(self, entry: Entry) -> None:
        call = read_call(entry)
        requests = DecideBatchRequest.FromString(call.request).requests
        results = DecideBatchResponse.FromString(call.answer).results
        made: dict[int, tuple[DecideRequest, DecideResponse]] = {}
        for request, result in zip(requests, results, strict=True):
            if result.HasField("response") and result.response.epoch == entry.epoch:
                made.setdefault(result.response.decision_id, (request, result.response))
        # An item that repeats an earlier order carries the smaller number of its first answer.
        earlier = len(made) - len(call.readings)
        if earlier < 0:
            raise BrokenInvariantError(f"entry {entry.number} has more readings than decisions")
        for position, number in enumerate(sorted(made)[earlier:]):
            self._add_decision(entry, position, *made[number])

    def _add_decision(
        self,
        entry: Entry,
        position: int,
        request: DecideRequest,
        answer: DecideResponse,
        wire: tuple[bytes, bytes] | None = None,
    ) -> None:
        if answer.epoch != entry.epoch or not answer.decision_id:
            raise BrokenInvariantError(f"entry {entry.number} holds no decision of its epoch")
        reading = read_reading(entry, position)
        self.days.add(day_of(reading.decided_ns))
        decided = Decided(
            self.shard,
            entry.number,
            to_time(reading.decided_ns),
            reading,
            request,
            answer,
            *(wire or (request.SerializeToString(), answer.SerializeToString())),
        )
        self.decisions.append(decision_row(decided))
        if binding := binding_row(decided, self.reference):
            self.bindings.append(binding)
        if prediction := prediction_row(decided, self.reference):
            self.predictions.append(prediction)
        if reservation := reservation_row(decided):
            self.reservations.append(reservation)
        replaced = clean(request.replaces_client_order_id)
        if replaced and not request.dry_run and answer.verdict != types_pb2.VERDICT_DENY:
            account_id = clean(request.account_id)
            self.events.append(Replacement(entry, account_id, replaced, answer.decision_id))


def _read_one(entry: Entry) -> Call:
    call = read_call(entry)
    if len(call.readings) != 1:
        raise BrokenInvariantError(f"entry {entry.number} has not the reading of its decision")
    return call
