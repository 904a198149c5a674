"""docs/limits.md names every limit of the contract, and no reason or command that is not there."""

import re
from pathlib import Path

import pytest

from riskgate.v1 import breaker_pb2, reference_pb2, risk_config_pb2, types_pb2

PAGE = Path(__file__).parents[1].joinpath("docs/limits.md").read_text(encoding="utf-8")
# What describes and does not limit.
DESCRIBES = {
    "RiskConfiguration": {
        *("config_id", "account_id", "is_active", "symbol_configs"),
        *("version", "created_at", "updated_at", "position_trailing_stop_multiplier"),
    },
    "SymbolRiskConfiguration": {"symbol"},
    "BreakerParameters": set(),
}


@pytest.mark.parametrize(
    "message",
    [
        risk_config_pb2.RiskConfiguration,
        risk_config_pb2.SymbolRiskConfiguration,
        breaker_pb2.BreakerParameters,
    ],
)
def test_every_limit_of_the_contract_stands_on_the_page(message: type) -> None:
    descriptor = message.DESCRIPTOR  # type: ignore[attr-defined]
    fields = set(descriptor.fields_by_name) - DESCRIBES[descriptor.name]
    assert {name for name in fields if not re.search(rf"\b{name}\b", PAGE)} == set()


def test_what_controls_an_instrument_stands_on_the_page() -> None:
    fields = list(reference_pb2.Instrument.DESCRIPTOR.fields_by_name)
    controls = fields[fields.index("restricted") :]
    assert len(controls) >= 6
    assert [name for name in controls if f"`{name}`" not in PAGE] == []


def test_every_reason_on_the_page_is_one_of_the_contract() -> None:
    words = set(re.findall(r"\b[A-Z][A-Z]+(?:_[A-Z]+)+\b", PAGE))
    known = {name.removeprefix("REASON_") for name in types_pb2.Reason.DESCRIPTOR.values_by_name}
    assert words - known == {"FAILED_PRECONDITION"}
