"""A control process that also speaks HTTP, and one request to it; for tests."""

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.rows import tuple_row

from tests.control_harness import reset
from tests.stack_harness import riskgate_command

REASON: Final = {"X-Reason": "limits of the desk"}
ACCOUNT_ID: Final = "account123"
# Both as the seed prints them, apart from Python's True.
LOW_RISK: Final[dict[str, Any]] = json.loads("""{
    "config_id": "low_risk",
    "account_id": "account123",
    "position_max_drawdown_percentage": 3.0,
    "position_trailing_stop_multiplier": 1.5,
    "daily_max_drawdown_percentage": 2.0,
    "weekly_max_drawdown_percentage": 5.0,
    "monthly_max_drawdown_percentage": 10.0,
    "max_position_size_percentage": 5.0,
    "max_correlated_exposure_percentage": 10.0,
    "risk_per_trade_percentage": 0.5,
    "volatility_adjustment_factor": 0.8,
    "market_regime_thresholds": {},
    "cooling_off_period_minutes": 120,
    "consecutive_loss_threshold": 2,
    "is_active": true,
    "symbol_configs": [
        {
            "symbol": "BTCUSDT",
            "max_position_size_percentage": 3.0,
            "max_leverage": 5,
            "position_max_drawdown_percentage": 2.0,
            "risk_per_trade_percentage": 0.3
        }
    ]
}""")
MAX_DRAWDOWN: Final[dict[str, Any]] = json.loads("""{
    "name": "max_drawdown_10_percent",
    "description": "Close position when drawdown exceeds 10%",
    "account_id": "account123",
    "condition": "max_drawdown",
    "action": "close_position",
    "parameters": {"threshold": 0.1},
    "symbols": ["BTCUSDT", "ETHUSDT"],
    "exchanges": ["binance"],
    "enabled": true
}""")


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    content: Any
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class GatewayProcess:
    """A running control process.

    Attributes:
        port: Of HTTP.
        control_port: Of gRPC.
        database_url: Of its record.
        log_path: Where it writes what it says.
        tls: How to call it by default; None: plaintext.
    """

    port: int
    control_port: int
    database_url: str
    log_path: Path
    process: "subprocess.Popen[bytes]"
    tls: ssl.SSLContext | None = None

    def connect(self, tls: ssl.SSLContext | None = None) -> http.client.HTTPConnection:
        secured = tls or self.tls
        if secured is None:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        return http.client.HTTPSConnection("localhost", self.port, timeout=60, context=secured)

    def ask(
        self,
        verb: str,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> Answer:
        """Send a request on a connection of its own; changes carry a reason unless told."""
        connection = self.connect(tls)
        said = dict(REASON if headers is None and verb != "GET" else headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None:
            said = {"Content-Type": "application/json"} | said
        try:
            connection.request(verb, path, body, said)
            answer = connection.getresponse()
            raw = answer.read()
        finally:
            connection.close()
        found = {name.lower(): value for name, value in answer.getheaders()}
        is_json = found.get("content-type", "").startswith("application/json")
        return Answer(answer.status, json.loads(raw) if is_json and raw else raw.decode(), found)

    def query(self, text: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask the record."""
        with psycopg.connect(self.database_url, autocommit=True, row_factory=tuple_row) as database:
            cursor = database.execute(text.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def audited(self, *columns: str) -> list[tuple[Any, ...]]:
        """Return these columns of every row of the audit log, oldest first."""
        return self.query(
            f"SELECT {', '.join(columns)} FROM riskgate.audit_log ORDER BY audit_id"  # noqa: S608 - columns of the test
        )

    def put_account(self, account_id: str = ACCOUNT_ID) -> None:
        self.query(
            "INSERT INTO riskgate.account (account_id, currency, equity, equity_as_of)"
            " VALUES (%s, 'USD', 10000, now()) ON CONFLICT DO NOTHING",
            account_id,
        )

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


@contextmanager
def gateway_process(
    database_url: str, redis_url: str, folder: Path, **settings: str
) -> Iterator[GatewayProcess]:
    """Start a control process over empty services; returns when it serves.

    Args:
        database_url: Of its record, which is emptied.
        redis_url: Emptied too.
        folder: Its data directory.
        settings: More of its settings, by name.
    """
    reset(database_url, redis_url)
    port, control_port = _free_ports(2)
    said = {
        "database_url": database_url,
        "redis_url": redis_url,
        "control_listen": f"127.0.0.1:{control_port}",
        "http_listen": f"127.0.0.1:{port}",
        "insecure_loopback": "true",
    } | settings
    environment = os.environ | {f"RISKGATE_{name.upper()}": each for name, each in said.items()}
    log_path = folder / "control.log"
    with log_path.open("ab") as output:
        process = subprocess.Popen(
            riskgate_command("control", folder), env=environment, stdout=output, stderr=output
        )
    made = GatewayProcess(port, control_port, database_url, log_path, process)
    try:
        _wait_until_it_serves(made, is_plain=said["insecure_loopback"] == "true")
        yield made
    finally:
        if process.poll() is None:
            made.end(signal.SIGKILL)


def _free_ports(count: int) -> list[int]:
    found = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in found]
    for each in found:
        each.close()
    return ports


def _wait_until_it_serves(made: GatewayProcess, *, is_plain: bool) -> None:
    give_up_s = time.monotonic() + 120
    while True:
        assert made.process.poll() is None, made.log_path.read_text(encoding="utf-8")
        assert time.monotonic() < give_up_s, made.log_path.read_text(encoding="utf-8")
        try:
            socket.create_connection(("127.0.0.1", made.port), timeout=5).close()
            # With TLS there is nobody here yet who could ask.
            if not is_plain or made.ask("GET", "/healthz").status == HTTPStatus.OK:
                return
        except OSError:
            pass
        time.sleep(0.05)
