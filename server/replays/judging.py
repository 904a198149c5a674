"""Journaled calls judged again, one request at a time, on whatever state an engine has by now."""

from collections.abc import Mapping
from typing import Any, Protocol

from riskgate.v1.decision_pb2 import DecideRequest, DecideResponse, DecideStreamRequest
from server.engine import Engine
from server.hotpath.journal.entries import KIND_BATCH, KIND_STREAM
from server.journal.calls import CallJournal
from server.journal.reader import Call, Entry
from server.services.batch import decide_each, decide_together, read_batch
from server.services.judge import Judge, Judged
from server.services.refusal import Refusal
from server.shards import WHOLE, Shard
from server.telemetry.decision_counts import DecisionCounts


class Watch(Protocol):
    """Looks on while requests are judged."""

    def before(self, message: DecideRequest) -> None:
        """A request is going to be judged."""

    def after(self, message: DecideRequest, judged: Judged | Refusal) -> None:
        """It was; the engine's records are still those of this decision."""


class Rejudge:
    """Answers journaled calls with an engine that keeps no journal.

    Args:
        engine: Owned by the caller.
        start: What the START of the journal says, for the shard.
        watch: Looks on.
    """

    def __init__(
        self, engine: Engine, start: Mapping[str, int], *, watch: Watch | None = None
    ) -> None:
        self._calls = CallJournal(engine)
        shard = Shard(start["shard"], start["shards"]) if start else WHOLE
        self._judge = _WatchedJudge(engine, self._calls, shard, watch)

    def answer(self, entry: Entry, call: Call) -> list[DecideResponse | None]:
        """Judge what an entry of KIND_DECIDE, KIND_BATCH or KIND_STREAM asks.

        Returns:
            One answer for each request; None where it is refused.
        """
        self._calls.begin(entry.kind, call.request)
        if entry.kind == KIND_BATCH:
            items, together = read_batch(call.request)
            decide = decide_together if together else decide_each
            results = decide(self._judge, items, entry.reading_ns).results
            return [item.response if item.HasField("response") else None for item in results]
        message = (
            DecideStreamRequest.FromString(call.request).request
            if entry.kind == KIND_STREAM
            else DecideRequest.FromString(call.request)
        )
        outcome = self._judge.decide(message, entry.reading_ns)
        return [None if isinstance(outcome, Refusal) else DecideResponse.FromString(outcome)]


class _WatchedJudge(Judge):
    def __init__(
        self, engine: Engine, calls: CallJournal, shard: Shard, watch: Watch | None
    ) -> None:
        super().__init__(engine, DecisionCounts(), calls, shard)
        self._watch = watch

    def judge(self, message: DecideRequest, received_ns: int) -> Judged | Refusal:
        if self._watch is None:
            return super().judge(message, received_ns)
        self._watch.before(message)
        judged: Any = super().judge(message, received_ns)
        self._watch.after(message, judged)
        return judged  # type: ignore[no-any-return]
