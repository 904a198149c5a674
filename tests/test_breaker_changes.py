"""Breakers become rows: units by condition, scopes word for word, expressions as programs."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from riskgate.v1 import state_pb2
from server.breaker_changes import breaker_reset_rows, breaker_rows, is_over_request
from server.conditions import compile_condition
from server.entities import BreakerProvider, CircuitBreaker
from server.errors import InvalidFieldError
from server.hotpath import layout

BREAKER = CircuitBreaker(
    name="b", account_id="A", condition="max_drawdown", action="block", threshold=Decimal("0.1")
)
EXPRESSION = replace(BREAKER, condition="expression", threshold=None, expression="drawdown > 0.12")


def row_of(breaker: CircuitBreaker) -> Any:
    rows = breaker_rows(breaker, "17")
    (row,) = np.frombuffer(rows, layout.CHANGE_ROWS[state_pb2.CHANGE_KIND_BREAKER])
    return row


@pytest.mark.parametrize(
    ("condition", "threshold", "stored", "over_request"),
    [
        ("max_drawdown", "0.1", 100_000, 0),
        ("monthly_loss", "1", 1_000_000, 0),
        ("consecutive_losses", "3", 3, 0),
        ("volatility", "72.5", 72_500_000, 1),
    ],
)
def test_the_unit_of_a_threshold_follows_from_its_condition(
    condition: str, threshold: str, stored: int, over_request: int
) -> None:
    breaker = replace(
        BREAKER, condition=condition, threshold=Decimal(threshold), cooling_off_minutes=5
    )
    row = row_of(breaker)
    assert (row["threshold"], row["over_request"]) == (stored, over_request)
    assert is_over_request(breaker) == bool(over_request)
    assert row["cooling_off_ns"] == 5 * 60 * 10**9
    assert row["program_length"] == 0
    assert layout.text(row["breaker_id"]) == "17"


def test_what_is_not_said_of_a_breaker_is_0_and_its_factor_a_half() -> None:
    row = row_of(BREAKER)
    counts = ("symbol_count", "exchange_count", "provider_count", "strategy_count")
    unused = ("half_open_ns", "lock_after_trips", "cooling_off_ns", *counts)
    assert [int(row[name]) for name in unused] == [0] * len(unused)
    assert row["multiplier_ppm"] == 500_000
    assert (row["enabled"], row_of(replace(BREAKER, enabled=False))["enabled"]) == (1, 0)


def test_half_open_time_lock_and_factor_are_exact() -> None:
    breaker = replace(
        BREAKER, half_open_minutes=30, lock_after_trips=3, multiplier=Decimal("0.123456")
    )
    row = row_of(breaker)
    assert row["half_open_ns"] == 30 * 60 * 10**9
    assert (row["lock_after_trips"], row["multiplier_ppm"]) == (3, 123_456)


def test_every_name_of_a_scope_stands_in_its_place() -> None:
    providers = (
        BreakerProvider(provider_id="channel_1", provider_type="channel_source"),
        BreakerProvider(provider_id="p" * 64, provider_type="user"),
    )
    breaker = replace(
        BREAKER,
        symbols=("BTCUSDT", "E" * 32),
        exchanges=("binance",),
        providers=providers,
        strategies=("trend", "s" * 64),
    )
    row = row_of(breaker)
    symbols = row["symbols"].reshape(-1, layout.SYMBOL_WORDS)
    assert [layout.text(each) for each in symbols[:3]] == ["BTCUSDT", "E" * 32, ""]
    assert layout.text(row["exchanges"][: layout.SYMBOL_WORDS]) == "binance"
    found = row["providers"].reshape(-1, layout.ID_WORDS + 1)
    ids = [layout.text(each[: layout.ID_WORDS]) for each in found[:3]]
    assert ids == ["channel_1", "p" * 64, ""]
    assert found[:3, layout.ID_WORDS].tolist() == [1, 2, 0]
    strategies = row["strategies"].reshape(-1, layout.ID_WORDS)
    assert [layout.text(each) for each in strategies[:3]] == ["trend", "s" * 64, ""]
    counts = ("symbol_count", "exchange_count", "provider_count", "strategy_count")
    assert [int(row[name]) for name in counts] == [2, 1, 2, 2]


@pytest.mark.parametrize("text", ["drawdown > 0.12", "spread_pips > 3.0 && hour >= 22"])
def test_an_expression_goes_out_as_its_program(text: str) -> None:
    row = row_of(replace(EXPRESSION, expression=text))
    condition = compile_condition(text)
    length = int(row["program_length"])
    assert tuple(row["program"][:length]) == condition.program
    assert not row["program"][length:].any()
    constants = row["constants"][: len(condition.constants)]
    assert tuple(constants) == condition.constants
    assert bool(row["over_request"]) == condition.over_request
    assert row["threshold"] == 0


def test_a_threshold_finer_than_its_grid_is_refused_by_name() -> None:
    with pytest.raises(InvalidFieldError) as refused:
        breaker_rows(replace(BREAKER, threshold=Decimal("0.1000001")), "17")
    assert refused.value.field == "parameters.threshold"


def test_a_reset_says_when_and_one_of_a_breaker_that_is_gone_says_nothing() -> None:
    kind = layout.CHANGE_ROWS[state_pb2.CHANGE_KIND_BREAKER_RESET]
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    (row,) = np.frombuffer(breaker_reset_rows("17", noon), kind)
    assert layout.text(row["breaker_id"]) == "17"
    assert row["reset_at_ns"] == 1_767_268_800 * 10**9
    (gone,) = np.frombuffer(breaker_reset_rows("17", None), kind)
    assert gone["reset_at_ns"] == 0
