"""Breakers as messages: expressions, scopes and times; what is refused is named."""

from typing import Any

import pytest

from riskgate.v1 import breaker_pb2 as pb
from riskgate.v1 import types_pb2
from server.entities import BreakerProvider, CircuitBreaker
from server.errors import InvalidFieldError
from server.forms.breaker import read_breaker

CHANNEL = types_pb2.PROVIDER_TYPE_CHANNEL_SOURCE


def read(**changes: Any) -> CircuitBreaker:
    values: dict[str, Any] = {
        "name": "b",
        "account_id": "A",
        "condition": types_pb2.BREAKER_CONDITION_EXPRESSION,
        "expression": "drawdown > 0.12",
        "action": types_pb2.BREAKER_ACTION_BLOCK,
    }
    return read_breaker(pb.CircuitBreaker(**(values | changes)))


def refused(**changes: Any) -> tuple[str, str]:
    with pytest.raises(InvalidFieldError) as error:
        read(**changes)
    return error.value.field, error.value.problem


def built_in(**parameters: Any) -> dict[str, Any]:
    return {
        "condition": types_pb2.BREAKER_CONDITION_MAX_DRAWDOWN,
        "expression": "",
        "parameters": pb.BreakerParameters(**parameters),
    }


def test_an_expression_needs_no_threshold_and_a_built_in_condition_needs_one() -> None:
    breaker = read()
    assert (breaker.condition, breaker.expression) == ("expression", "drawdown > 0.12")
    assert breaker.threshold is None
    assert refused(**built_in()) == ("breaker.parameters.threshold", "is required")


@pytest.mark.parametrize(
    ("changes", "field", "problem"),
    [
        ({"expression": ""}, "expression", "is required"),
        ({"expression": "  "}, "expression", "is required"),
        ({"expression": "drawdown > 0.1 ||" * 100 + "true"}, "expression", "longer than 1024"),
        ({"expression": "drawdon > 0.1"}, "expression", "did you mean drawdown"),
        ({"expression": "drawdown"}, "expression", "must be true or false"),
        ({"expression": "__import__('os')"}, "expression", "only variables"),
        ({"expression": "(" * 200 + "is_buy" + ")" * 200}, "expression", "nests deeper"),
        (
            built_in(threshold=0.1) | {"expression": "drawdown > 0.1"},
            "expression",
            "needs the condition expression",
        ),
        (
            {"parameters": pb.BreakerParameters(threshold=0.1)},
            "parameters.threshold",
            "is not for an expression",
        ),
    ],
)
def test_a_bad_expression_is_refused_with_what_is_wrong(
    changes: dict[str, Any], field: str, problem: str
) -> None:
    found = refused(**changes)
    assert found[0] == f"breaker.{field}"
    assert problem in found[1]


def test_every_condition_may_cool_off_open_half_and_lock() -> None:
    parameters = {"cooling_off_minutes": 60, "half_open_minutes": 30, "lock_after_trips": 3}
    breaker = read(**built_in(threshold=0.1, **parameters))
    assert {name: getattr(breaker, name) for name in parameters} == parameters
    largest = {
        "cooling_off_minutes": 525_600,
        "half_open_minutes": 525_600,
        "lock_after_trips": 1_000,
    }
    for name, most in largest.items():
        for value in (0, most + 1):
            found = refused(**built_in(threshold=0.1, **{name: value}))
            assert found[0] == f"breaker.parameters.{name}"


def test_providers_and_strategies_of_a_scope_are_read_in_order() -> None:
    providers = [pb.BreakerProvider(provider_id="channel_1", provider_type=CHANNEL)]
    breaker = read(providers=providers, strategies=["trend", "carry"])
    assert breaker.providers == (
        BreakerProvider(provider_id="channel_1", provider_type="channel_source"),
    )
    assert breaker.strategies == ("trend", "carry")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"providers": [pb.BreakerProvider(provider_type=CHANNEL)]}, "providers[0].provider_id"),
        ({"providers": [pb.BreakerProvider(provider_id="7")]}, "providers[0].provider_type"),
        (
            {"providers": [pb.BreakerProvider(provider_id="7", provider_type=CHANNEL)] * 2},
            "providers",
        ),
        (
            {
                "providers": [
                    pb.BreakerProvider(provider_id=str(number), provider_type=CHANNEL)
                    for number in range(9)
                ]
            },
            "providers",
        ),
        ({"strategies": ["trend", ""]}, "strategies[1]"),
        ({"strategies": ["s" * 65]}, "strategies[0]"),
        ({"strategies": ["trend", "trend"]}, "strategies"),
        ({"strategies": [str(number) for number in range(9)]}, "strategies"),
    ],
)
def test_a_bad_scope_is_refused_by_its_place(changes: dict[str, Any], field: str) -> None:
    assert refused(**changes)[0] == f"breaker.{field}"
