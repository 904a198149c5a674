"""`riskgate apply` and `get` over a control process of its own: twice changes nothing, SIGTERM
ends it.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from server.commands.apply_file import read_apply_file
from server.errors import ConfigurationError
from tests.control_harness import reset

FILE = """
instruments:
  - {symbol: EURUSD, base_currency: EUR, quote_currency: USD, tick_size: 1e-5, pip_size: 0.0001,
     tick_value: 1, lot_step: 0.01, min_lot: 0.01, max_lot: 100, contract_size: 100000}
accounts:
  - {account_id: account123, currency: USD, equity: 1000000, reservation_ttl_ms: 5000}
conversion_rates:
  - {from: EUR, to: USD, rate: 1.1}
risk_configurations:
  - config_id: low_risk
    account_id: account123
    position_max_drawdown_percentage: 3.0
    position_trailing_stop_multiplier: 1.5
    daily_max_drawdown_percentage: 2.0
    weekly_max_drawdown_percentage: 5.0
    monthly_max_drawdown_percentage: 10.0
    max_position_size_percentage: 5.0
    max_correlated_exposure_percentage: 10.0
    risk_per_trade_percentage: 0.5
    volatility_adjustment_factor: 0.8
    market_regime_thresholds: {volatile: {multiplier: 0.5}}
    cooling_off_period_minutes: 120
    consecutive_loss_threshold: 2
    symbol_configs:
      - {symbol: BTCUSDT, max_position_size_percentage: 3.0, max_leverage: 5,
         position_max_drawdown_percentage: 2.0, risk_per_trade_percentage: 0.3}
circuit_breakers:
  - name: max_drawdown_10_percent
    description: Close position when drawdown exceeds 10%
    account_id: account123
    condition: max_drawdown
    action: close_position
    parameters: {threshold: 0.1}
    symbols: [BTCUSDT, ETHUSDT]
    exchanges: [binance]
    enabled: true
providers:
  - {signal_provider_id: channel_12345, signal_provider_type: channel_source,
     performance_score: 87.5, win_rate: 70.0, max_drawdown: 12.5, reward_to_risk_ratio: 2.85,
     sl_compliance_rate: 98.0, score_trend: up}
  - {provider_id: user_67890, provider_type: user, performance_score: 62.3}
market:
  - {symbol: EURUSD, atr: 0.001, volatility_index: 50, regime: ranging}
"""


APPLY = ("apply", "--reason", "test", "-f")


class Stack:
    """A control process and the command line that talks to it."""

    def __init__(self, database_url: str, redis_url: str, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        self.folder = folder
        environment = {
            "RISKGATE_DATABASE_URL": database_url,
            "RISKGATE_REDIS_URL": redis_url,
            "RISKGATE_CONTROL_LISTEN": self.address,
            "RISKGATE_DATA_DIR": str(folder),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "server", "control"], env=os.environ | environment
        )

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "server", *arguments, "--control", self.address]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def json(self, *arguments: str) -> Any:
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def stack(
    database_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    reset(database_url, redis_url)
    running = Stack(database_url, redis_url, tmp_path_factory.mktemp("stack"))
    yield running
    if running.process.poll() is None:
        running.process.kill()
    running.process.wait(10)


def test_apply_when_done_twice_then_the_second_changes_nothing(stack: Stack) -> None:
    file = stack.folder / "sample.yaml"
    file.write_text(FILE)
    first = stack.json(*APPLY, str(file))
    assert (first["created"], first["updated"], first["unchanged"]) == (8, 0, 0)
    second = stack.json(*APPLY, str(file))
    assert (second["created"], second["updated"], second["unchanged"]) == (0, 0, 8)
    assert second["state_version"] == first["state_version"] == 6
    file.write_text(FILE.replace("max_lot: 100,", "max_lot: 50,").replace("87.5", "80"))
    third = stack.json(*APPLY, str(file))
    changed = [each["kind"] for each in third["entries"] if each["outcome"] == "updated"]
    assert changed == ["instrument", "provider"]


def test_apply_when_there_is_no_reason_then_nothing_is_applied(stack: Stack) -> None:
    file = stack.folder / "unjustified.yaml"
    file.write_text(FILE.replace("user_67890", "user_of_nobody"))
    refused = stack.run("apply", "-f", str(file))
    assert refused.returncode == 1
    assert "--reason: is required: the file has risk_configurations" in refused.stderr
    assert "user_of_nobody" not in stack.run("get", "providers").stdout


def test_get_when_asked_then_shows_the_record(stack: Stack) -> None:
    one = stack.json("get", "risk_configurations", "account123/low_risk")
    assert one["risk_per_trade_percentage"] == 0.5
    assert one["market_regime_thresholds"] == {"volatile": {"multiplier": 0.5, "block": False}}
    providers = stack.json("get", "providers")
    names = [(each["provider_id"], each["provider_type"]) for each in providers]
    assert names == [("channel_12345", "CHANNEL_SOURCE"), ("user_67890", "USER")]
    missing = stack.run("get", "instruments", "NOPE")
    assert missing.returncode == 1
    assert "not found: instruments NOPE" in missing.stderr
    assert "Traceback" not in missing.stderr


def test_apply_when_server_refuses_then_names_the_place_in_the_file(stack: Stack) -> None:
    file = stack.folder / "bad.yaml"
    file.write_text(FILE.replace("pip_size: 0.0001", "pip_size: 0.000015"))
    refused = stack.run(*APPLY, str(file))
    assert refused.returncode == 1
    assert "instruments[0]: invalid field: instrument.pip_size" in refused.stderr


def test_control_when_told_to_stop_then_not_serving_and_exit_code_0(stack: Stack) -> None:
    with grpc.insecure_channel(stack.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service="riskgate.v1.ReferenceService")
        answer = health.Check(request, timeout=10, wait_for_ready=True)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    stack.process.send_signal(signal.SIGTERM)
    assert stack.process.wait(20) == 0
    away = stack.run("get", "instruments")
    assert away.returncode == 1
    assert "does not answer" in away.stderr


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("instruments: [{symbol: X, colour: red}]", "instruments[0].colour: unknown key"),
        ("instruments: [{symbol: X}]", "instruments[0].tick_size: Field required"),
        (FILE.replace("1e-5", "[]"), "instruments[0].tick_size: Input should be a valid number"),
        (FILE.replace("tick_value: 1,", "tick_value: yes,"), "tick_value: must be a number"),
        (FILE.replace("tick_value: 1,", "tick_value: .nan,"), "instruments[0].tick_value"),
        (FILE.replace("max_drawdown\n", "sell_all\n"), "circuit_breakers[0].condition"),
        (FILE.replace("[binance]", "[]"), "circuit_breakers[0].exchanges"),
        (FILE.replace("percentage: 0.3}", "percentage: 0.3, x: 1}"), "symbol_configs[0].x"),
        (
            FILE.replace("regime: ranging", "as_of: 2026-01-01 00:00:00"),
            "market[0].as_of: Input should have timezone info",
        ),
        ("- 1", "file: Input should be a valid dictionary"),
        ("a: [", "is not YAML"),
        ("accounts: [{account_id: A, account_id: B, currency: USD}]", "account_id stands twice"),
        (
            "market: [{symbol: A, atr: 1}, {symbol: A, atr: 2}]",
            "market[1]: is the same entry as market[0]",
        ),
    ],
)
def test_read_apply_file_when_form_is_wrong_then_names_the_path(
    tmp_path: Path, text: str, problem: str
) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        read_apply_file(file)
    assert problem in str(refused.value)
    assert "instance of" not in str(refused.value)
