"""Rows S3-12 to S3-24 from the command line: seeds word for word, every limit by YAML, breakers
tried out and reset, strategies enabled.
"""

import json
from collections.abc import Iterator

import psycopg
import pytest

from tests.archive_rows import add_decision
from tests.commands.test_apply import APPLY, FILE, Stack
from tests.control_harness import reset
from tests.gateway_process import LOW_RISK, MAX_DRAWDOWN

EVERYTHING = """
instruments:
  - symbol: EURUSD
    base_currency: EUR
    quote_currency: USD
    tick_size: 1e-5
    pip_size: 0.0001
    tick_value: 1
    lot_step: 0.01
    min_lot: 0.01
    max_lot: 100
    contract_size: 100000
    restricted: true
    collar_percentage: 0.5
    collar_window_percentage: 3
    collar_window_ms: 60000
    hours_timezone: America/New_York
    trading_hours:
      - {day_of_week: 1, opens: 10:30, closes: 16:00}
      - {day_of_week: 5, opens: 09:30, closes: 24:00}
accounts: [{account_id: desk, currency: USD, equity: 1000000}]
risk_configurations:
  - config_id: everything
    account_id: desk
    position_max_drawdown_percentage: 3
    position_trailing_stop_multiplier: 1.5
    daily_max_drawdown_percentage: 2
    weekly_max_drawdown_percentage: 5
    monthly_max_drawdown_percentage: 10
    max_position_size_percentage: 5
    max_correlated_exposure_percentage: 10
    risk_per_trade_percentage: 0.5
    volatility_adjustment_factor: 0.8
    cooling_off_period_minutes: 0
    consecutive_loss_threshold: 0
    max_order_value: 500000
    max_order_lots: 5.5
    max_notional: 2000000
    max_long_lots: 10
    max_short_lots: 8
    max_strategy_notional: 1000000
    message_limit: 50
    repeat_limit: 20
    repeat_window_ms: 60000
    duplicate_window_ms: 500
    symbol_configs:
      - {symbol: EURUSD, max_position_size_percentage: 3, max_leverage: 5,
         position_max_drawdown_percentage: 2, risk_per_trade_percentage: 0.3, restricted: true,
         max_order_value: 1000, max_order_lots: 0.5, max_long_lots: 1, max_short_lots: 1}
circuit_breakers:
  - name: late and wide
    account_id: desk
    condition: expression
    expression: spread_pips > 3 && hour >= 22
    action: reduce_size
    parameters: {multiplier: 0.25, cooling_off_minutes: 60, half_open_minutes: 30,
                 lock_after_trips: 3}
    providers: [{provider_id: "7", provider_type: user}]
    strategies: [trend]
"""


@pytest.fixture(scope="module")
def stack(
    database_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    reset(database_url, redis_url)
    running = Stack(database_url, redis_url, tmp_path_factory.mktemp("limits"))
    try:
        _apply_seed(running)
        yield running
    finally:
        running.process.kill()
        running.process.wait(10)


def _apply_seed(running: Stack) -> None:
    seed = {"risk_configurations": [LOW_RISK], "circuit_breakers": [MAX_DRAWDOWN]}
    account = {"account_id": "account123", "currency": "USD", "equity": 1_000_000}
    # JSON is YAML.
    file = running.folder / "seed.yaml"
    file.write_text(json.dumps({"accounts": [account], **seed}))
    done = running.json(*APPLY, str(file))
    assert (done["created"], done["updated"]) == (3, 0)
    assert running.json(*APPLY, str(file))["unchanged"] == 3


def test_the_seed_s_samples_are_on_record_as_they_stand_in_the_seed(stack: Stack) -> None:
    configuration = stack.json("get", "risk_configurations", "account123/low_risk")
    symbols = LOW_RISK["symbol_configs"]
    plain = {name: value for name, value in LOW_RISK.items() if name != "symbol_configs"}
    assert {name: configuration[name] for name in plain} == plain
    (symbol,) = configuration["symbol_configs"]
    assert {name: symbol[name] for name in symbols[0]} == symbols[0]
    breaker = stack.json("get", "circuit_breakers", "account123/max_drawdown_10_percent")
    assert (breaker["condition"], breaker["action"]) == ("MAX_DRAWDOWN", "CLOSE")
    same = ("name", "description", "symbols", "exchanges", "enabled")
    assert {name: breaker[name] for name in same} == {name: MAX_DRAWDOWN[name] for name in same}
    assert breaker["parameters"]["threshold"] == 0.1


def test_a_scope_of_null_is_everything(stack: Stack) -> None:
    file = stack.folder / "null.yaml"
    everywhere = MAX_DRAWDOWN | {"name": "everywhere", "symbols": None, "exchanges": None}
    file.write_text(json.dumps({"circuit_breakers": [everywhere]}))
    stack.json(*APPLY, str(file))
    breaker = stack.json("get", "breaker", "account123/everywhere")
    assert (breaker["symbols"], breaker["exchanges"]) == ([], [])


def test_every_limit_can_be_said_in_yaml_and_saying_it_twice_changes_nothing(stack: Stack) -> None:
    file = stack.folder / "everything.yaml"
    file.write_text(EVERYTHING)
    assert stack.json(*APPLY, str(file))["created"] == 4
    assert stack.json(*APPLY, str(file))["unchanged"] == 4
    instrument = stack.json("get", "instruments", "EURUSD")
    assert instrument["trading_hours"] == [
        {"day_of_week": 1, "opens": "10:30", "closes": "16:00"},
        {"day_of_week": 5, "opens": "09:30", "closes": "24:00"},
    ]
    assert (instrument["restricted"], instrument["collar_percentage"]) == (True, 0.5)
    configuration = stack.json("get", "risk_configurations", "desk/everything")
    assert configuration["message_window_ms"] == 1_000
    assert configuration["max_strategy_notional"] == 1_000_000
    assert configuration["symbol_configs"][0]["max_order_lots"] == 0.5
    breaker = stack.json("get", "breakers", "desk/late and wide")
    assert breaker["over_request"] is True
    assert breaker["parameters"]["lock_after_trips"] == 3
    assert breaker["providers"] == [{"provider_id": "7", "provider_type": "USER"}]


def test_a_limit_of_0_is_refused_by_its_place_in_the_file(stack: Stack) -> None:
    file = stack.folder / "zero.yaml"
    file.write_text(EVERYTHING.replace("max_order_value: 500000", "max_order_value: 0"))
    refused = stack.run(*APPLY, str(file))
    assert refused.returncode == 1
    assert "risk_configurations[0]: invalid field: configuration.max_order_value" in refused.stderr


def test_a_breaker_is_tried_out_reset_and_switched(stack: Stack, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as opened:
        add_decision(opened, 1)
    tried = stack.json("breakers", "test", "account123", "--expression", "hour == 12")
    assert (tried["tripped_count"], tried["known_variables"]) == (1, ["hour"])
    name = "max_drawdown_10_percent"
    # That breaker is about BTCUSDT and ETHUSDT, and the decision about EURUSD.
    scoped = stack.json("breakers", "test", "account123", "--breaker", name)
    assert (scoped["decision_count"], scoped["in_scope_count"]) == (1, 0)
    shown = stack.run(
        *("breakers", "test", "account123", "--expression", "drawdown > 0.1"),
        *("--assume", "drawdown=0.12"),
    )
    assert "1 decisions, 1 in scope: 1 tripped, 0 unknown" in shown.stdout
    which = f"account123/{name}"
    done = stack.run("breakers", "reset", which, "--reason", "looked at it")
    assert (done.returncode, done.stdout.strip()) == (0, f"{which} is reset")
    assert stack.run("breakers", "reset", which).returncode == 1
    off = stack.json("breakers", "disable", which, "--reason", "drill")
    assert off["breaker"]["enabled"] is False
    on = stack.json("breakers", "enable", which, "--reason", "drill")
    assert (on["breaker"]["enabled"], on["outcome"]) == (True, "UPDATED")
    assert stack.json("breakers", "events", which) == []


def test_a_strategy_is_enabled_with_a_reason(stack: Stack) -> None:
    done = stack.run("strategies", "enable", "account123", "trend", "--reason", "mended")
    assert done.stdout.startswith("account123/trend is enabled since 20")
    assert "a reason is required" in stack.run("strategies", "enable", "account123", "t").stderr


def test_a_file_of_the_old_form_still_says_what_it_said(stack: Stack) -> None:
    file = stack.folder / "old.yaml"
    file.write_text(FILE.replace("account123", "old"))
    assert stack.run(*APPLY, str(file)).returncode == 0
