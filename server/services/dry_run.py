"""Whether a breaker would have tripped, asked of recorded decisions."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from riskgate.v1 import breaker_pb2 as pb
from riskgate.v1 import types_pb2
from server.breaker_changes import EXPRESSION
from server.conditions import Condition, compile_condition, evaluate
from server.entities import BreakerProvider, CircuitBreaker
from server.errors import InvalidFieldError
from server.forms import fields
from server.forms.breaker import read_breaker
from server.record.decisions import RecordedDecision
from server.recorded_values import read_values

_DECISIONS_MAX: Final = 10_000
_DECISIONS_DEFAULT: Final = 1_000
_SHOWN_MAX: Final = 100
# What the built-in conditions ask, as expressions.
_BUILT_IN: Final = {
    "max_drawdown": "drawdown >",
    "daily_loss": "day_loss >",
    "weekly_loss": "week_loss >",
    "monthly_loss": "month_loss >",
    "consecutive_losses": "consecutive_losses >=",
    "volatility": "volatility_index >",
}


@dataclass(frozen=True, slots=True)
class DryRun:
    """A breaker and the values to assume of every decision."""

    breaker: CircuitBreaker
    condition: Condition
    decision_count: int
    assumed: Mapping[str, float]

    @property
    def account_id(self) -> str:
        """Whose decisions are asked."""
        return self.breaker.account_id

    def judge(self, recorded: Sequence[RecordedDecision]) -> pb.TestBreakerResponse:
        """Return what the condition says of decisions, newest first."""
        answer = pb.TestBreakerResponse(
            decision_count=len(recorded), expression=self.condition.text
        )
        known: Counter[str] = Counter()
        for decision in recorded:
            if not self._has_in_scope(decision):
                continue
            answer.in_scope_count += 1
            values = {**read_values(decision), **self.assumed}
            found = {name: values[name] for name in self.condition.variables if name in values}
            known.update(found.keys())
            truth = evaluate(self.condition, found)
            if truth == 0.0:
                continue
            is_unknown = math.isnan(truth)
            answer.unknown_count += is_unknown
            answer.tripped_count += not is_unknown
            if len(answer.decisions) < _SHOWN_MAX:
                answer.decisions.append(_show(decision, found, is_unknown=is_unknown))
        for name in sorted(self.condition.variables):
            _list_of(answer, known[name]).append(name)
        return answer

    def _has_in_scope(self, decision: RecordedDecision) -> bool:
        breaker = self.breaker
        provider = BreakerProvider(
            provider_id=decision.provider_id, provider_type=decision.provider_type
        )
        # What a decision leaves open is in every scope of that kind.
        return (
            (not breaker.symbols or decision.symbol in breaker.symbols)
            and (not breaker.exchanges or (decision.exchange or "") in {"", *breaker.exchanges})
            and (not breaker.providers or provider in breaker.providers)
            and (not breaker.strategies or decision.strategy_id in {"", *breaker.strategies})
        )


def read_dry_run(request: pb.TestBreakerRequest) -> DryRun:
    """Return what a request asks for.

    Raises:
        InvalidFieldError: a field is absent, malformed or out of range.
    """
    message = pb.CircuitBreaker()
    message.CopyFrom(fields.require(request, "breaker"))
    message.account_id = fields.identifier(request.account_id, "account_id")
    # A definition that is only tried needs neither.
    message.name = message.name or "dry run"
    message.action = message.action or types_pb2.BREAKER_ACTION_BLOCK
    breaker = read_breaker(message)
    count = request.decision_count or _DECISIONS_DEFAULT
    if count > _DECISIONS_MAX:
        raise InvalidFieldError("decision_count", f"must be at most {_DECISIONS_MAX}")
    condition = compile_condition(_expression(breaker))
    return DryRun(breaker, condition, count, _read_assumed(request, condition))


def _expression(breaker: CircuitBreaker) -> str:
    if breaker.condition == EXPRESSION:
        return breaker.expression
    threshold = Decimal(0) if breaker.threshold is None else breaker.threshold
    return f"{_BUILT_IN[breaker.condition]} {threshold:f}"


def _read_assumed(request: pb.TestBreakerRequest, condition: Condition) -> dict[str, float]:
    assumed = dict(request.assumed_values)
    for name, value in sorted(assumed.items()):
        path = f"assumed_values[{name}]"
        if name not in condition.variables:
            raise InvalidFieldError(path, "is not in the condition")
        if not math.isfinite(value):
            raise InvalidFieldError(path, "must be a finite number")
    return assumed


def _list_of(answer: pb.TestBreakerResponse, known_count: int) -> Any:
    if known_count == 0:
        return answer.unknown_variables
    if known_count < answer.in_scope_count:
        return answer.partly_known_variables
    return answer.known_variables


def _show(
    decision: RecordedDecision, values: Mapping[str, float], *, is_unknown: bool
) -> pb.TestedDecision:
    return pb.TestedDecision(
        decision_id=decision.sequence,
        epoch=decision.epoch,
        decided_at=fields.timestamp(decision.decided_at),
        client_order_id=decision.client_order_id,
        symbol=decision.symbol,
        unknown=is_unknown,
        values=values,
    )
