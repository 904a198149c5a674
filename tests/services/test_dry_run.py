"""Row S3-12: a breaker asked of recorded decisions: what would have tripped, what nobody knows."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from riskgate.v1 import breaker_pb2 as pb
from riskgate.v1 import decision_pb2, types_pb2
from server.conditions import compile_condition
from server.errors import InvalidFieldError, PreconditionError
from server.hotpath.condition_codes import VARIABLES
from server.record.decisions import RecordedDecision
from server.recorded_values import read_values
from tests.services.test_limits_in_memory import ACCOUNT_ID, Desk

# A Friday, 22:30 in UTC.
NIGHT = datetime(2026, 1, 2, 22, 30, tzinfo=UTC)
ASKED: dict[str, Any] = {
    "entry_price": 1.10002,
    "stop_loss": 1.09952,
    "requested_lots": 2.5,
    "side": types_pb2.SIDE_BUY,
    "atr": 0.000104,
    "volatility_index": 40,
}
ANSWERED: dict[str, Any] = {
    "performance_score": 62.3,
    "sizing_slippage_pips": 0.25,
    "sl_buffer_pips": 1.5,
    "input_ages": decision_pb2.InputAges(atr_ms=0, volatility_ms=0),
}


def decided(
    sequence: int = 1,
    *,
    at: datetime = NIGHT,
    asked: dict[str, Any] | None = None,
    answered: dict[str, Any] | None = None,
    **columns: Any,
) -> RecordedDecision:
    request = decision_pb2.DecideRequest(**(ASKED | (asked or {})))
    answer = decision_pb2.DecideResponse(**(ANSWERED | (answered or {})))
    values: dict[str, Any] = {
        "symbol": "EURUSD",
        "exchange": "",
        "provider_id": "7",
        "provider_type": "user",
        "strategy_id": "",
    }
    return RecordedDecision(
        epoch=3,
        sequence=sequence,
        decided_at=at,
        client_order_id=f"order {sequence}",
        request=request.SerializeToString(),
        answer=answer.SerializeToString(),
        tick_size=Decimal("0.00001"),
        pip_size=Decimal("0.0001"),
        **(values | columns),
    )


def test_what_request_and_answer_say_is_known_and_what_the_state_said_is_not() -> None:
    known = read_values(decided())
    assert known == {
        "hour": 22.0,
        "weekday": 5.0,
        "is_buy": 1.0,
        "is_new_provider": 0.0,
        "entry_price": 1.10002,
        "requested_lots": 2.5,
        "score": 62.3,
        "volatility_index": 40.0,
        "stop_distance_pips": 5.0,
        # 10.4 ticks count as 11, 2.5 ticks of slippage as 3.
        "atr_pips": 1.1,
        "slippage_pips": 0.3,
        "buffer_pips": 1.5,
    }
    assert set(known) < set(VARIABLES)


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        ({"asked": {"stop_loss": None}}, {"stop_distance_pips"}),
        ({"asked": {"requested_lots": None}}, {"requested_lots"}),
        # The stored measurement was larger: only the engine knows it.
        ({"answered": {"input_ages": decision_pb2.InputAges(atr_ms=5)}}, {"atr_pips"}),
        ({"answered": {"performance_score": None}}, {"score"}),
        (
            {"answered": {"sizing_slippage_pips": None}},
            {"slippage_pips", "buffer_pips"},
        ),
    ],
)
def test_what_a_decision_does_not_say_is_not_known(
    change: dict[str, Any], missing: set[str]
) -> None:
    lost = set(read_values(decided())) - set(read_values(decided(**change)))
    assert missing <= lost <= missing | {"volatility_index"}


def test_without_its_instrument_a_decision_has_no_pips() -> None:
    known = read_values(decided()._replace(tick_size=None, pip_size=None))
    assert not [name for name in known if name.endswith("_pips")]


def ask(
    decisions: list[RecordedDecision],
    *,
    count: int | None = None,
    assumed: dict[str, float] | None = None,
    account_id: str = ACCOUNT_ID,
    **breaker: Any,
) -> pb.TestBreakerResponse:
    if "expression" in breaker:
        breaker["condition"] = types_pb2.BREAKER_CONDITION_EXPRESSION

    async def run() -> pb.TestBreakerResponse:
        desk = Desk()
        desk.parts.database.decisions[ACCOUNT_ID] = decisions
        request = pb.TestBreakerRequest(
            account_id=account_id,
            breaker=pb.CircuitBreaker(**breaker),
            decision_count=count,
            assumed_values=assumed,
        )
        return await desk.breakers.TestBreaker(request, None)

    return asyncio.run(run())


def test_what_held_and_what_is_unknown_are_counted_apart() -> None:
    decisions = [
        decided(3, asked={"requested_lots": 5}),
        decided(2, asked={"requested_lots": None}),
        decided(1, asked={"requested_lots": 1}),
    ]
    answer = ask(decisions, expression="requested_lots > 2")
    assert (answer.decision_count, answer.in_scope_count) == (3, 3)
    assert (answer.tripped_count, answer.unknown_count) == (1, 1)
    shown = [(each.decision_id, each.unknown, dict(each.values)) for each in answer.decisions]
    assert shown == [(3, False, {"requested_lots": 5.0}), (2, True, {})]
    assert answer.partly_known_variables == ["requested_lots"]


def test_a_condition_over_the_state_is_unknown_of_every_decision_unless_it_is_assumed() -> None:
    decisions = [decided(2), decided(1)]
    drawdown: dict[str, Any] = {
        "condition": types_pb2.BREAKER_CONDITION_MAX_DRAWDOWN,
        "parameters": pb.BreakerParameters(threshold=0.1),
    }
    answer = ask(decisions, **drawdown)
    assert answer.expression == "drawdown > 0.1"
    assert (answer.tripped_count, answer.unknown_count) == (0, 2)
    assert answer.unknown_variables == ["drawdown"]
    # The example of seed 003: 0.12 > 0.10 trips.
    assert ask(decisions, assumed={"drawdown": 0.12}, **drawdown).tripped_count == 2
    assert ask(decisions, assumed={"drawdown": 0.10}, **drawdown).tripped_count == 0


def test_what_is_false_whatever_is_unknown_has_not_tripped() -> None:
    answer = ask([decided()], expression="drawdown > 0.1 && hour < 6")
    assert (answer.tripped_count, answer.unknown_count) == (0, 0)
    assert answer.known_variables == ["hour"]
    assert answer.unknown_variables == ["drawdown"]


@pytest.mark.parametrize(
    ("scope", "columns", "is_in_scope"),
    [
        ({"symbols": ["EURUSD"]}, {}, True),
        ({"symbols": ["BTCUSDT"]}, {}, False),
        ({"exchanges": ["binance"]}, {"exchange": "binance"}, True),
        ({"exchanges": ["binance"]}, {"exchange": "kraken"}, False),
        ({"exchanges": ["binance"]}, {"exchange": ""}, True),
        ({"exchanges": ["binance"]}, {"exchange": None}, True),
        ({"strategies": ["trend"]}, {"strategy_id": "trend"}, True),
        ({"strategies": ["trend"]}, {"strategy_id": "carry"}, False),
        ({"strategies": ["trend"]}, {"strategy_id": ""}, True),
        ({"providers": ["user"]}, {}, True),
        ({"providers": ["channel_source"]}, {}, False),
    ],
)
def test_only_decisions_in_the_scope_of_the_breaker_are_asked(
    scope: dict[str, Any], columns: dict[str, Any], *, is_in_scope: bool
) -> None:
    if "providers" in scope:
        kind = types_pb2.ProviderType.Value(f"PROVIDER_TYPE_{scope['providers'][0].upper()}")
        provider = pb.BreakerProvider(provider_id="7", provider_type=kind)  # type: ignore[arg-type]
        scope = {"providers": [provider]}
    answer = ask([decided(**columns)], expression="hour > 6", **scope)
    assert (answer.decision_count, answer.in_scope_count) == (1, int(is_in_scope))


def test_no_more_decisions_are_asked_than_wanted_and_no_more_shown_than_100() -> None:
    decisions = [decided(n, at=NIGHT + timedelta(seconds=n)) for n in range(150, 0, -1)]
    answer = ask(decisions, count=120, expression="hour == 22")
    assert (answer.decision_count, answer.tripped_count) == (120, 120)
    assert [each.decision_id for each in answer.decisions] == list(range(150, 50, -1))
    assert ask([], expression="hour == 22").decision_count == 0


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"expression": "hour >"}, "breaker.expression"),
        ({"expression": "hour > 6", "count": 10_001}, "decision_count"),
        ({"expression": "hour > 6", "account_id": ""}, "account_id"),
        ({"expression": "hour > 6", "assumed": {"day_loss": 1.0}}, "assumed_values[day_loss]"),
        ({"expression": "hour > 6", "assumed": {"hour": float("nan")}}, "assumed_values[hour]"),
        ({"condition": types_pb2.BREAKER_CONDITION_DAILY_LOSS}, "breaker.parameters.threshold"),
    ],
)
def test_a_bad_question_is_refused_by_its_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidFieldError) as refused:
        ask([], **changes)
    assert refused.value.field == field


def test_an_account_that_is_not_on_record_is_told_so() -> None:
    with pytest.raises(PreconditionError):
        ask([], account_id="nobody", expression="hour > 6")


@pytest.mark.parametrize(
    ("condition", "threshold", "values", "holds"),
    [
        ("DAILY_LOSS", 0.02, {"day_loss": 0.0200001}, True),
        ("DAILY_LOSS", 0.02, {"day_loss": 0.02}, False),
        ("WEEKLY_LOSS", 0.02, {"week_loss": 0.03}, True),
        ("MONTHLY_LOSS", 0.02, {"month_loss": 0.03}, True),
        ("CONSECUTIVE_LOSSES", 3, {"consecutive_losses": 3.0}, True),
        ("CONSECUTIVE_LOSSES", 3, {"consecutive_losses": 2.0}, False),
        ("VOLATILITY", 70, {"volatility_index": 70.5}, True),
        ("VOLATILITY", 70, {"volatility_index": 70.0}, False),
    ],
)
def test_a_built_in_condition_asks_what_the_engine_asks(
    condition: str, threshold: float, values: dict[str, float], *, holds: bool
) -> None:
    parameters = pb.BreakerParameters(threshold=threshold, cooling_off_minutes=5)
    number = types_pb2.BreakerCondition.Value(f"BREAKER_CONDITION_{condition}")
    answer = ask([decided()], condition=number, parameters=parameters, assumed=values)
    assert answer.tripped_count == int(holds)
    assert compile_condition(answer.expression).variables == tuple(values)
