"""The requests of a journaled call, each beside its answer then and its answer now."""

from collections.abc import Iterator
from typing import Any

from riskgate.v1 import types_pb2 as types
from riskgate.v1.decision_pb2 import (
    DecideBatchResponse,
    DecideRequest,
    DecideResponse,
    DecideStreamRequest,
    DecideStreamResponse,
)
from server.hotpath.journal.entries import KIND_DECIDE, KIND_STREAM
from server.journal.reader import Call, Entry
from server.replays.tally import REFUSED, Pair, Verdict
from server.services.batch import read_batch


def read_decisions(
    entry: Entry, call: Call
) -> tuple[list[DecideRequest], list[DecideResponse | None]]:
    """Return what an entry of decisions asks and was answered; None where it was refused."""
    if entry.kind == KIND_DECIDE:
        return [DecideRequest.FromString(call.request)], [DecideResponse.FromString(call.answer)]
    if entry.kind == KIND_STREAM:
        request = DecideStreamRequest.FromString(call.request).request
        return [request], [DecideStreamResponse.FromString(call.answer).response]
    results = DecideBatchResponse.FromString(call.answer).results
    answers = [each.response if each.HasField("response") else None for each in results]
    return list(_read_requests(call.request, len(answers))), answers


def _read_requests(raw: bytes, count: int) -> Iterator[DecideRequest]:
    """Yield the items of a batch; one that is no message is an empty request."""
    items: list[Any] = read_batch(raw)[0][:count]
    for item in items:
        yield item if isinstance(item, DecideRequest) else DecideRequest()


def _verdict_of(answer: DecideResponse | None) -> Verdict:
    if answer is None:
        return Verdict(REFUSED, 0.0, "")
    verdict = types.Verdict.Name(answer.verdict).removeprefix("VERDICT_")
    binding = ""
    if answer.binding_limit:
        binding = types.Reason.Name(answer.binding_limit).removeprefix("REASON_")
    return Verdict(verdict, answer.lot_size, binding)


def pair_of(request: DecideRequest, was: DecideResponse, now: DecideResponse | None) -> Pair:
    """Return what a decision was and is now."""
    # An enumeration that nobody knows has no name.
    kinds = types.ProviderType.items()
    kind = next((name for name, number in kinds if number == request.provider_type), "")
    return Pair(
        was.decision_id,
        request.account_id,
        request.symbol,
        f"{kind.removeprefix('PROVIDER_TYPE_').lower()}:{request.provider_id}",
        not (request.dry_run or request.reduce_only),
        _verdict_of(was),
        _verdict_of(now),
    )
