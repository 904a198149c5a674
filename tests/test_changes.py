"""Rows X-4, X-5: decimals become whole numbers exactly once, and what is off its grid is refused
by name.
"""

import math
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskgate.v1 import state_pb2
from server import changes
from server.entities import (
    Account,
    ConversionRate,
    Instrument,
    MarketContext,
    Provider,
    RegimeThreshold,
    RiskConfiguration,
    SymbolRiskConfiguration,
)
from server.errors import InvalidFieldError
from server.hotpath import layout

NOON = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
NOON_NS = 1_767_268_800_123_456_000

EURUSD = Instrument(
    symbol="EURUSD",
    exchange="fx",
    base_currency="EUR",
    quote_currency="USD",
    tick_size=Decimal("0.00001"),
    pip_size=Decimal("0.0001"),
    tick_value=Decimal(1),
    lot_step=Decimal("0.01"),
    min_lot=Decimal("0.01"),
    max_lot=Decimal(100),
    contract_size=Decimal(100_000),
    default_slippage_pips=Decimal("0.3"),
    commission_per_lot=Decimal("7.25"),
    correlation_group="usd",
)
ACCOUNT = Account(account_id="A", currency="EUR", equity=Decimal("10000.5"), equity_as_of=NOON)
CONFIGURATION = RiskConfiguration(
    config_id="low_risk",
    account_id="A",
    position_max_drawdown_fraction=Decimal("0.03"),
    position_trailing_stop_multiplier=Decimal("1.5"),
    daily_max_drawdown_fraction=Decimal("0.02"),
    weekly_max_drawdown_fraction=Decimal("0.05"),
    monthly_max_drawdown_fraction=Decimal("0.1"),
    max_position_size_fraction=Decimal("0.05"),
    max_correlated_exposure_fraction=Decimal("0.1"),
    risk_per_trade_fraction=Decimal("0.005"),
    volatility_adjustment_factor=Decimal("0.8"),
    market_regime_thresholds={
        "volatile": RegimeThreshold(multiplier=Decimal("0.5")),
        "crisis": RegimeThreshold(block=True),
    },
    cooling_off_period_minutes=120,
    consecutive_loss_threshold=2,
    symbol_configs=(
        SymbolRiskConfiguration(
            symbol="BTCUSDT",
            max_position_size_fraction=Decimal("0.03"),
            max_leverage=Decimal(5),
            position_max_drawdown_fraction=Decimal("0.02"),
            risk_per_trade_fraction=Decimal("0.003"),
            override=True,
        ),
    ),
)


def rows(kind: int, data: bytes) -> Any:
    return np.frombuffer(data, dtype=layout.CHANGE_ROWS[kind])


def test_instrument_rows_when_on_grid_then_every_column_is_exact() -> None:
    (row,) = rows(state_pb2.CHANGE_KIND_INSTRUMENT, changes.instrument_rows(EURUSD))
    assert layout.text(row["symbol"]) == "EURUSD"
    assert layout.text(row["correlation_group"]) == "usd"
    assert row["quote_currency"] == layout.currency_word("USD")
    expected = {
        "tick_size": 0.00001,
        "tick_mantissa": 1,
        "tick_scale": 100_000,
        "ticks_per_pip": 10,
        "tick_value_picos": 10**12,
        "tick_notional_picos": 10**12,
        "lot_mantissa": 1,
        "lot_scale": 100,
        "min_lot_steps": 1,
        "max_lot_steps": 10_000,
        "default_slippage_micropips": 300_000,
        "commission_per_lot_micros": 7_250_000,
    }
    assert {name: row[name] for name in expected} == expected


def test_instrument_rows_when_tick_is_a_quarter_and_lot_a_thousand_then_exact() -> None:
    quarter = replace(
        EURUSD,
        tick_size=Decimal("0.25"),
        pip_size=Decimal("1.00"),
        lot_step=Decimal(1000),
        min_lot=Decimal(1000),
        max_lot=Decimal(5000),
        contract_size=Decimal(1),
    )
    (row,) = rows(state_pb2.CHANGE_KIND_INSTRUMENT, changes.instrument_rows(quarter))
    assert (row["tick_mantissa"], row["tick_scale"], row["ticks_per_pip"]) == (25, 100, 4)
    assert (row["lot_mantissa"], row["lot_scale"], row["max_lot_steps"]) == (1000, 1, 5)
    assert row["tick_notional_picos"] == 250_000_000_000


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("pip_size", "0.000015"),
        ("pip_size", "0.000001"),
        ("tick_value", "0"),
        ("tick_value", "0.0000000000001"),
        ("tick_value", "10000000"),
        ("tick_size", "0"),
        ("tick_size", "0.123456789012"),
        ("lot_step", "1.234567"),
        ("min_lot", "0.015"),
        ("max_lot", "0.001"),
        ("max_lot", "10000000.01"),
        ("contract_size", "1000000000000"),
        ("default_slippage_pips", "0.0000001"),
        ("commission_per_lot", "0.0000001"),
    ],
)
def test_instrument_rows_when_off_grid_or_range_then_names_the_field(
    field: str, value: str
) -> None:
    changed: dict[str, Any] = {field: Decimal(value)}
    with pytest.raises(InvalidFieldError) as refused:
        changes.instrument_rows(replace(EURUSD, **changed))
    assert refused.value.field == field


def test_account_rows_when_written_then_mark_and_bounds_are_exact() -> None:
    account = replace(
        ACCOUNT, reservation_ttl_ms=5_000, equity_max_age_ms=60_000, trading_state="halted"
    )
    (row,) = rows(state_pb2.CHANGE_KIND_ACCOUNT, changes.account_rows(account))
    assert layout.text(row["account_id"]) == "A"
    assert layout.text(row["timezone"]) == "UTC"
    assert row["equity_micros"] == 10_000_500_000
    assert row["equity_at_ns"] == NOON_NS
    assert row["equity_max_age_ns"] == 60_000_000_000
    assert row["reservation_ttl_ns"] == 5_000_000_000
    assert (row["trading_state"], row["allow_new_providers"]) == (3, 0)
    (plain,) = rows(state_pb2.CHANGE_KIND_ACCOUNT, changes.account_rows(ACCOUNT))
    assert plain["equity_max_age_ns"] == layout.NOT_SET


def test_account_rows_when_equity_is_the_largest_then_fits() -> None:
    richest = replace(ACCOUNT, equity=Decimal(10**12))
    (row,) = rows(state_pb2.CHANGE_KIND_ACCOUNT, changes.account_rows(richest))
    assert row["equity_micros"] == layout.EQUITY_MICROS_MAX


def test_risk_configuration_rows_when_nested_then_own_row_first_and_overrides_after() -> None:
    data = changes.risk_configuration_rows(CONFIGURATION)
    own, override = rows(state_pb2.CHANGE_KIND_RISK_CONFIGURATION, data)
    assert layout.text(own["symbol"]) == ""
    assert own["risk_per_trade_ppm"] == 5_000
    assert own["max_leverage_ppm"] == layout.NOT_SET
    assert own["min_provider_score_micropoints"] == layout.NOT_SET
    assert own["volatility_adjustment_ppm"] == 800_000
    assert own["cooling_off_ns"] == 120 * 60 * 10**9
    assert own["regime_count"] == 2
    first = own["regime_names"][: layout.SYMBOL_WORDS]
    assert layout.text(first) == "crisis"
    assert own["regime_blocked"].tolist()[:3] == [1, 0, 0]
    assert own["regime_multiplier_ppm"].tolist()[:3] == [1_000_000, 500_000, 0]
    assert layout.text(override["symbol"]) == "BTCUSDT"
    assert override["override"] == 1
    assert override["max_leverage_ppm"] == 5_000_000
    assert override["risk_per_trade_ppm"] == 3_000


def test_risk_configuration_rows_when_finer_than_ppm_then_refused() -> None:
    with pytest.raises(InvalidFieldError) as refused:
        changes.risk_configuration_rows(
            replace(CONFIGURATION, risk_per_trade_fraction=Decimal("0.0050001"))
        )
    assert refused.value.field == "risk_per_trade_fraction"


def test_market_parts_when_only_atr_measured_then_one_row_leaves_the_rest() -> None:
    parts = changes.market_parts(MarketContext(symbol="EURUSD", atr=Decimal("0.001"), as_of=NOON))
    assert set(parts) == {"atr"}
    (row,) = rows(state_pb2.CHANGE_KIND_MARKET, parts["atr"])
    assert (row["atr"], row["atr_at_ns"]) == (0.001, NOON_NS)
    assert math.isnan(row["volatility_index"])
    assert math.isnan(row["bid"])
    assert row["quote_at_ns"] == 0


def test_conversion_rate_rows_when_finer_than_pico_then_rounds_up() -> None:
    rate = ConversionRate(
        from_currency="JPY", to_currency="BTC", rate=Decimal("6.12345678901234e-8"), as_of=NOON
    )
    data = changes.conversion_rate_rows(rate)
    (row,) = rows(state_pb2.CHANGE_KIND_CONVERSION_RATE, data)
    assert row["rate_picos"] == 61_235


def test_provider_and_model_rows_when_written_then_exact() -> None:
    provider = Provider(
        provider_id="7",
        provider_type="user",
        performance_score=Decimal("87.5"),
        score_as_of=NOON,
    )
    (row,) = rows(state_pb2.CHANGE_KIND_PROVIDER, changes.provider_rows(provider))
    assert (row["provider_type"], row["score_micropoints"]) == (2, 87_500_000)
    digest = bytes(range(32))
    (model,) = rows(
        state_pb2.CHANGE_KIND_MODEL, changes.model_rows("slippage", digest, "1.20.3", 4)
    )
    assert model["digest"].tobytes() == digest
    versions = [model[f"version_{part}"] for part in ("major", "minor", "patch")]
    assert (versions, model["serial"]) == ([1, 20, 3], 4)


def test_state_change_when_rows_empty_then_says_deleted_and_names_its_layout() -> None:
    change = changes.state_change(state_pb2.CHANGE_KIND_ACCOUNT, "A", b"", version=9)
    read = state_pb2.StateChange.FromString(change.SerializeToString())
    assert (read.version, read.key, read.rows) == (9, "A", b"")
    assert read.layout_version == layout.LAYOUT_VERSION


@given(ticks=st.integers(1, 10**10), decimals=st.integers(0, 12), pips=st.integers(1, 10**4))
def test_instrument_rows_when_any_tick_fits_then_mantissa_over_scale_is_the_tick(
    ticks: int, decimals: int, pips: int
) -> None:
    tick = Decimal(ticks).scaleb(-decimals)
    instrument = replace(
        EURUSD, tick_size=tick, pip_size=tick * pips, contract_size=Decimal("0.000001")
    )
    (row,) = rows(state_pb2.CHANGE_KIND_INSTRUMENT, changes.instrument_rows(instrument))
    assert Decimal(int(row["tick_mantissa"])) / int(row["tick_scale"]) == tick
    assert row["ticks_per_pip"] == pips


@given(micros=st.integers(1, layout.EQUITY_MICROS_MAX))
def test_account_rows_when_any_equity_fits_then_no_micro_is_lost(micros: int) -> None:
    account = replace(ACCOUNT, equity=Decimal(micros).scaleb(-6))
    (row,) = rows(state_pb2.CHANGE_KIND_ACCOUNT, changes.account_rows(account))
    assert row["equity_micros"] == micros
