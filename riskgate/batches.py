"""A batch over several engines: one call for each, the outcomes in the order of the requests.

Orders of one account stay together and in order, so each still sees the holds of those before it.
Engines cannot decide as one: all-or-none needs accounts of one engine.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import grpc

from riskgate.calls import Call, Outcome, read_batch
from riskgate.errors import NoDecisionError
from riskgate.shards import find_shard
from riskgate.v1 import decision_pb2


class Part(NamedTuple):
    """What goes to one engine.

    Attributes:
        call: Routed like any other, by its account.
        positions: Where its requests stood in the batch.
    """

    call: Call
    positions: list[int]


def split_batch(batch: Call, count: int) -> list[Part]:
    """Return one part for each engine that is concerned; a batch without requests stays whole.

    Args:
        batch: As `calls.build_batch` made it.
        count: Engines of the stack.

    Raises:
        NoDecisionError: INVALID_ARGUMENT, all or none is asked of more than one engine.
    """
    requests = batch.request.requests
    positions: dict[int, list[int]] = {}
    for position, request in enumerate(requests):
        positions.setdefault(find_shard(request.account_id, count), []).append(position)
    if len(positions) <= 1:
        return [Part(batch, list(range(len(requests))))]
    if batch.request.all_or_none:
        problem = "all_or_none: the accounts belong to different engines, which decide on their own"
        raise NoDecisionError(grpc.StatusCode.INVALID_ARGUMENT, problem, "all_or_none")
    return [_build_part(batch, places) for places in positions.values()]


def _build_part(batch: Call, positions: list[int]) -> Part:
    chosen = [batch.request.requests[position] for position in positions]
    call = Call(
        batch.method,
        decision_pb2.DecideBatchRequest(requests=chosen),
        all(request.client_order_id for request in chosen),
        chosen[0].account_id,
    )
    return Part(call, positions)


def join_batch(parts: Sequence[Part], answers: Sequence[Any]) -> list[Outcome]:
    """Return one outcome per request, in the order of the batch.

    An engine that gave no answer leaves its requests without a decision, and only those.

    Args:
        parts: What was sent.
        answers: What each part came to: its answer, or the NoDecisionError of its call.

    Raises:
        NoDecisionError: No engine gave an answer.
    """
    outcomes: dict[int, Outcome] = {}
    errors: list[NoDecisionError] = []
    for part, answer in zip(parts, answers, strict=True):
        if isinstance(answer, NoDecisionError):
            found: Sequence[Outcome] = [answer] * len(part.positions)
            errors.append(answer)
        else:
            found = read_batch(part.call.request, answer)
        outcomes.update(zip(part.positions, found, strict=True))
    if len(errors) == len(parts):
        raise errors[0]
    return [outcomes[position] for position in range(len(outcomes))]
