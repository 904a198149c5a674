"""Optional limits of risk configurations: each range, each absence, each refusal by its field."""

from decimal import Decimal
from typing import Any

import pytest

from riskgate.v1 import risk_config_pb2 as pb
from server.errors import InvalidFieldError
from server.forms.order_limits import ACCOUNT_LIMITS, ORDER_LIMITS
from server.forms.risk_configuration import read_risk_configuration
from tests.control_harness import low_risk

FLOW = {
    "message_limit": 1_000_000,
    "message_window_ms": 86_400_000,
    "repeat_limit": 1_000_000,
    "repeat_window_ms": 31_536_000_000,
    "duplicate_window_ms": 86_400_000,
}
# Which window needs which limit beside it.
NEEDED: dict[str, dict[str, Any]] = {
    "message_window_ms": {"message_limit": 1},
    "repeat_window_ms": {"repeat_limit": 1},
}


def refused(message: pb.RiskConfiguration) -> tuple[str, str]:
    with pytest.raises(InvalidFieldError) as error:
        read_risk_configuration(message)
    return error.value.field, error.value.problem


def with_symbol(**limits: Any) -> pb.RiskConfiguration:
    message = low_risk()
    for name, value in limits.items():
        setattr(message.symbol_configs[0], name, value)
    return message


def test_absent_limits_are_none_on_the_account_and_on_its_symbols() -> None:
    configuration = read_risk_configuration(low_risk())
    for name in (*ACCOUNT_LIMITS, *FLOW):
        assert getattr(configuration, name) is None, name
    (symbol,) = configuration.symbol_configs
    assert [getattr(symbol, name) for name in ORDER_LIMITS] == [None] * 4
    assert not symbol.restricted


@pytest.mark.parametrize("name", ACCOUNT_LIMITS)
@pytest.mark.parametrize("value", [0.000001, 0.1, 1_000_000.5, 1e12])
def test_a_limit_in_range_is_taken_as_the_decimal_that_was_written(name: str, value: float) -> None:
    configuration = read_risk_configuration(low_risk(**{name: value}))
    assert getattr(configuration, name) == Decimal(repr(value))


@pytest.mark.parametrize("name", ACCOUNT_LIMITS)
@pytest.mark.parametrize("value", [0, -0.0, -1, 1e12 + 1, 1e300, float("inf"), float("nan")])
def test_a_limit_of_0_or_out_of_range_is_refused_by_its_field(name: str, value: float) -> None:
    field, _ = refused(low_risk(**{name: value}))
    assert field == f"configuration.{name}"


@pytest.mark.parametrize("name", ORDER_LIMITS)
def test_a_limit_of_a_symbol_is_refused_by_its_place(name: str) -> None:
    place = f"configuration.symbol_configs[0].{name}"
    zero, fine = with_symbol(**{name: 0}), with_symbol(**{name: 0.0000001})
    assert refused(zero) == (place, "must be above 0 and at most 1e12")
    assert refused(fine)[0] == place
    (symbol,) = read_risk_configuration(with_symbol(**{name: 2.5})).symbol_configs
    assert getattr(symbol, name) == Decimal("2.5")


@pytest.mark.parametrize("name", FLOW)
def test_a_limit_of_the_flow_goes_from_1_to_its_largest(name: str) -> None:
    beside = NEEDED.get(name, {})
    for value in (1, FLOW[name]):
        configuration = read_risk_configuration(low_risk(**beside, **{name: value}))
        assert getattr(configuration, name) == value
    for value in (0, FLOW[name] + 1):
        assert refused(low_risk(**beside, **{name: value}))[0] == f"configuration.{name}"


@pytest.mark.parametrize("name", NEEDED)
def test_a_window_without_its_limit_is_refused(name: str) -> None:
    (limit,) = NEEDED[name]
    assert refused(low_risk(**{name: 5})) == (f"configuration.{name}", f"needs {limit}")


def test_a_message_limit_without_a_window_counts_by_the_second() -> None:
    assert read_risk_configuration(low_risk(message_limit=50)).message_window_ms == 1_000
    assert read_risk_configuration(low_risk(repeat_limit=5)).repeat_window_ms is None
