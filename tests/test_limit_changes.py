"""Limits on orders, collars and trading hours become rows: exact, and 0 where there is none."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from riskgate.v1 import state_pb2
from server import changes
from server.entities import RiskConfiguration, TradingHours
from server.errors import InvalidFieldError
from server.hotpath import layout
from tests.test_changes import CONFIGURATION, EURUSD, NOON, NOON_NS

LIMITS: dict[str, tuple[Any, str, int]] = {
    "max_order_value": (Decimal("1000.000001"), "max_order_value_micros", 1_000_000_001),
    "max_order_lots": (Decimal("2.5"), "max_order_microlots", 2_500_000),
    "max_long_lots": (Decimal("0.000001"), "max_long_microlots", 1),
    "max_short_lots": (Decimal(10**12), "max_short_microlots", 10**18),
    "max_notional": (Decimal(10**12), "max_notional_micros", 10**18),
    "max_strategy_notional": (Decimal(7), "max_strategy_notional_micros", 7_000_000),
    "message_limit": (50, "message_limit", 50),
    "message_window_ms": (1_000, "message_window_ns", 10**9),
    "repeat_limit": (3, "repeat_limit", 3),
    "repeat_window_ms": (60_000, "repeat_window_ns", 60 * 10**9),
    "duplicate_window_ms": (5, "duplicate_window_ns", 5_000_000),
}
OF_SYMBOLS = ("max_order_value", "max_order_lots", "max_long_lots", "max_short_lots")


def rows_of(configuration: RiskConfiguration) -> Any:
    data = changes.risk_configuration_rows(configuration)
    return np.frombuffer(data, layout.CHANGE_RISK_CONFIGURATION)


def test_a_limit_that_is_not_set_is_0_in_its_column() -> None:
    own, override = rows_of(CONFIGURATION)
    columns = [column for _, column, _ in LIMITS.values()]
    assert [int(own[column]) for column in columns] == [0] * len(columns)
    assert [int(override[column]) for column in [*columns, "restricted"]] == [0] * 12


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_is_exact_in_its_own_column_and_in_no_other(name: str) -> None:
    value, column, stored = LIMITS[name]
    changed: dict[str, Any] = {name: value}
    own, _ = rows_of(replace(CONFIGURATION, **changed))
    found = {each: int(own[each]) for _, each, _ in LIMITS.values()}
    assert found == dict.fromkeys(found, 0) | {column: stored}


@pytest.mark.parametrize("name", OF_SYMBOLS)
def test_a_limit_of_a_symbol_stands_in_the_row_of_that_symbol(name: str) -> None:
    value, column, stored = LIMITS[name]
    changed: dict[str, Any] = {name: value}
    symbol = replace(CONFIGURATION.symbol_configs[0], **changed, restricted=True)
    own, override = rows_of(replace(CONFIGURATION, symbol_configs=(symbol,)))
    assert (override[column], own[column]) == (stored, 0)
    assert (override["restricted"], own["restricted"]) == (1, 0)


@pytest.mark.parametrize("name", [name for name in LIMITS if name.startswith("max_")])
@pytest.mark.parametrize("value", ["0.0000001", "0", "-1", "9223372036855"])
def test_a_limit_off_its_grid_or_out_of_range_is_refused_by_name(name: str, value: str) -> None:
    changed: dict[str, Any] = {name: Decimal(value)}
    with pytest.raises(InvalidFieldError) as refused:
        changes.risk_configuration_rows(replace(CONFIGURATION, **changed))
    assert refused.value.field == name


def test_an_instrument_without_collars_and_hours_says_so_with_0() -> None:
    (row,) = np.frombuffer(changes.instrument_rows(EURUSD), layout.CHANGE_INSTRUMENT)
    columns = ("restricted", "collar_ppm", "collar_window_ppm", "collar_window_ns", "hours_count")
    assert [int(row[column]) for column in columns] == [0] * 5
    assert not row["hours_open_minute"].any()
    assert layout.text(row["hours_timezone"]) == ""


def test_collars_and_hours_of_an_instrument_are_exact() -> None:
    hours = (
        TradingHours(day_of_week=1, opens_minute=9 * 60 + 30, closes_minute=16 * 60),
        TradingHours(day_of_week=7, opens_minute=0, closes_minute=1_440),
    )
    instrument = replace(
        EURUSD,
        restricted=True,
        collar_fraction=Decimal("0.000001"),
        collar_window_fraction=Decimal("0.05"),
        collar_window_ms=60_000,
        hours_timezone="America/New_York",
        trading_hours=hours,
    )
    (row,) = np.frombuffer(changes.instrument_rows(instrument), layout.CHANGE_INSTRUMENT)
    assert (row["restricted"], row["collar_ppm"], row["collar_window_ppm"]) == (1, 1, 50_000)
    assert row["collar_window_ns"] == 60 * 10**9
    assert layout.text(row["hours_timezone"]) == "America/New_York"
    assert row["hours_count"] == 2
    assert row["hours_open_minute"].tolist()[:3] == [570, 6 * 1_440, 0]
    assert row["hours_close_minute"].tolist()[:3] == [960, 7 * 1_440, 0]


def test_an_enabled_strategy_says_who_and_since_when() -> None:
    kind = layout.CHANGE_ROWS[state_pb2.CHANGE_KIND_STRATEGY]
    (row,) = np.frombuffer(changes.strategy_rows("A", "trend", NOON), kind)
    assert (layout.text(row["account_id"]), layout.text(row["strategy_id"])) == ("A", "trend")
    assert row["enabled_at_ns"] == NOON_NS
    (gone,) = np.frombuffer(changes.strategy_rows("A", "trend", None), kind)
    assert gone["enabled_at_ns"] == 0
