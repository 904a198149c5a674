"""What must be true after a fault: nothing that a client was told is lost, doubled or altered."""

import random
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import types_pb2 as types
from server.hotpath.journal.entries import KIND_BATCH, KIND_DECIDE, KIND_REPORT, KIND_STREAM
from server.journal.reader import Call, read_call, read_entries
from server.journal.segments import list_segments
from tests.faults.orders import Orders, Told, client_of, report_bytes

# Holds that are looked at after a fault, and a margin before the end of their life.
HOLDS_MAX: Final = 40
_LIFE_LEFT_S: Final = 2.0


class Kept(NamedTuple):
    """What stands in a journal.

    Attributes:
        decisions: Answers by client_order_id, one for each entry that made it.
        reports: How often each report_id was applied.
    """

    decisions: dict[str, list[pb.DecideResponse]]
    reports: Counter[str]


def read_kept(journal: Path, first_number: int | None = None) -> Kept:
    """Read all decisions and reports of a journal."""
    kept = Kept({}, Counter())
    for entry in read_entries(journal, first_number):
        if entry.kind in {KIND_DECIDE, KIND_BATCH, KIND_STREAM}:
            for request, answer in _decisions(entry.kind, read_call(entry)):
                kept.decisions.setdefault(request.client_order_id, []).append(answer)
        elif entry.kind == KIND_REPORT:
            call = read_call(entry)
            report = pb.ReportExecutionRequest.FromString(call.request).report
            outcome = pb.ReportExecutionResponse.FromString(call.answer).outcome
            kept.reports[report.report_id] += outcome == pb.REPORT_OUTCOME_APPLIED
    return kept


def read_last_number(journal: Path) -> int:
    """Return the number of the newest entry; 0 in an empty journal."""
    segments = list_segments(journal)
    number = segments[-1].first_entry - 1 if segments else 0
    for entry in read_entries(journal, number + 1):
        number = entry.number
    return number


def _decisions(kind: int, call: Call) -> list[tuple[pb.DecideRequest, pb.DecideResponse]]:
    request, answer = call.request, call.answer
    if kind == KIND_DECIDE:
        return [(pb.DecideRequest.FromString(request), pb.DecideResponse.FromString(answer))]
    if kind == KIND_STREAM:
        one = pb.DecideStreamRequest.FromString(request).request
        return [(one, pb.DecideStreamResponse.FromString(answer).response)]
    requests = pb.DecideBatchRequest.FromString(request).requests
    results = pb.DecideBatchResponse.FromString(answer).results
    return [(each, one.response) for each, one in zip(requests, results, strict=True)]


def check_journal(orders: Orders, kept: Kept) -> None:
    """Every decision that was told stands in the journal once, as it was told."""
    missing = [name for name in orders.told if name not in kept.decisions]
    assert not missing, f"{len(missing)} of {len(orders.told)} are lost, as {missing[:3]}"
    doubled = [name for name, answers in kept.decisions.items() if len(answers) != 1]
    assert not doubled, f"decided more than once: {doubled[:3]}"
    altered = [
        name for name, told in orders.told.items() if told.decision != kept.decisions[name][0]
    ]
    assert not altered, f"journaled differently: {altered[:3]}"
    reports = [name for name in orders.reports if kept.reports[name] != 1]
    assert not reports, f"reports not journaled once: {reports[:3]}"


def check_memory(address: str, orders: Orders, names: list[str]) -> None:
    """The engine gives the very same answers again, and takes no report a second time."""
    with client_of(address) as client:
        for name in names:
            told = orders.told[name]
            (answer,) = client.ask([told.request])
            # What was an item of something else comes alone now: the same answer, its own bytes.
            assert pb.DecideResponse.FromString(answer) == told.decision, name
            assert answer == told.answer or not told.is_single, name
        for name in random.sample(sorted(orders.reports), min(len(orders.reports), 20)):
            outcome = client.report(orders.reports[name]).outcome
            assert outcome == pb.REPORT_OUTCOME_DUPLICATE, name


def check_numbering(told: list[Told]) -> None:
    """Decision ids go on through all epochs, and no start has denied anything for its own sake."""
    ids = sorted((each.decision.epoch, each.decision.decision_id) for each in told)
    numbers = [number for _, number in ids]
    assert all(one < other for one, other in pairwise(numbers))
    restarted = [each for each in told if types.REASON_RESTARTED in each.decision.reasons]
    assert not restarted


def check_holds(address: str, orders: Orders, seed: int) -> int:
    """What was held is held: acknowledge the newest orders, then cancel them; return how many."""
    deadline_s = time.time() + _LIFE_LEFT_S
    held = [
        (name, told)
        for name, told in list(orders.told.items())[-10 * HOLDS_MAX :]
        if told.decision.reservation_expires_at.seconds > deadline_s and name not in orders.closed
    ][-HOLDS_MAX:]
    with client_of(address) as client:
        for name, told in held:
            for kind, left in (
                (types.REPORT_KIND_ACK, told.decision.lot_size),
                (types.REPORT_KIND_CANCEL, 0.0),
            ):
                answer = client.report(report_bytes(f"check-{seed}-{kind}-{name}", name, kind))
                found = (answer.outcome, answer.held_lots)
                assert found == (pb.REPORT_OUTCOME_APPLIED, left), name
            orders.closed.add(name)
    return len(held)
