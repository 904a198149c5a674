"""What a journal says happened, in order: orders that got a hold, reports, limits that were set.

Read with nothing but the reader of the journal and the messages of the port. No table of an engine
and no kernel is looked at here, so that a mistake in those cannot hide itself.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import state_pb2
from server.hotpath.journal.entries import (
    KIND_BATCH,
    KIND_CHANGE,
    KIND_DECIDE,
    KIND_REPORT,
)
from server.hotpath.layout import CHANGE_RISK_CONFIGURATION
from server.journal.reader import Entry, read_call, read_change, read_entries

_DECISIONS: Final = (KIND_DECIDE, KIND_BATCH)
_LIMITS: Final = state_pb2.CHANGE_KIND_RISK_CONFIGURATION


class Decided(NamedTuple):
    """One decision: what was asked and what was answered."""

    request: Any
    answer: Any


class Reported(NamedTuple):
    """One report that was taken, and the answer to it."""

    report: Any
    answer: Any


class Limited(NamedTuple):
    """The account's limits from here on, by column; those of symbols are not used here."""

    columns: dict[str, int]


class Event(NamedTuple):
    """What one entry says.

    Attributes:
        number: Of the entry.
        reading_ns: Clock reading that it was made at.
        what: None: only time has passed.
    """

    number: int
    reading_ns: int
    what: Decided | Reported | Limited | None


def read_events(folder: Path) -> Iterator[Event]:
    """Read a journal from its begin to its end.

    Raises:
        JournalCorruptError: An entry is damaged.
    """
    for entry in read_entries(folder):
        for what in _read(entry):
            yield Event(entry.number, entry.reading_ns, what)


def _read(entry: Entry) -> list[Decided | Reported | Limited | None]:
    if entry.kind == KIND_DECIDE:
        call = read_call(entry)
        request = pb.DecideRequest.FromString(call.request)
        return [Decided(request, pb.DecideResponse.FromString(call.answer))]
    if entry.kind == KIND_BATCH:
        call = read_call(entry)
        requests = pb.DecideBatchRequest.FromString(call.request).requests
        results = pb.DecideBatchResponse.FromString(call.answer).results
        return [
            Decided(request, result.response)
            for request, result in zip(requests, results, strict=True)
        ]
    if entry.kind == KIND_REPORT:
        call = read_call(entry)
        report = pb.ReportExecutionRequest.FromString(call.request).report
        return [Reported(report, pb.ReportExecutionResponse.FromString(call.answer))]
    if entry.kind == KIND_CHANGE:
        change = read_change(entry)
        if change.kind == _LIMITS:
            row = np.frombuffer(change.rows, CHANGE_RISK_CONFIGURATION)[0]
            names = [name for name in row.dtype.names or () if row[name].ndim == 0]
            return [Limited({name: int(row[name]) for name in names})]
    return [None]
