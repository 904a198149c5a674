"""Rows of the archive as the recorder writes them, for tests of what reads them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql

Connection = psycopg.Connection[tuple[Any, ...]]

TODAY = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
_DECISION: dict[str, Any] = {
    "epoch": 1,
    "shard": 0,
    "entry_number": 1,
    "account_id": "account123",
    **dict.fromkeys(("connection_id", "client_order_id", "signal_id", "strategy_id"), ""),
    "provider_id": "7",
    "provider_type": "user",
    "symbol": "EURUSD",
    "side": "buy",
    "reduce_only": False,
    "dry_run": False,
    "verdict": "allow",
    "mode": "normal",
    "durability": "process",
    "lots": 1,
    "sl_buffer_pips": 1,
    "trading_session": "london",
    "reasons": [],
    "state_version": 1,
    **dict.fromkeys(("model_version", "policy_version"), ""),
    **dict.fromkeys(("model_digest", "policy_digest", "checks", "request", "answer"), b""),
    "server_ns": 1,
}
_REPORT: dict[str, Any] = {
    "epoch": 1,
    "shard": 0,
    "entry_number": 1,
    "account_id": "account123",
    "outcome": "applied",
    "kind": "fill",
    **dict.fromkeys(("client_order_id", "connection_id", "signal_id", "provider_id"), ""),
    "provider_type": "user",
    "symbol": "EURUSD",
    "side": "buy",
    "position_id": "",
    "trading_session": "london",
    "day_of_week": 1,
    "equity": 1000,
    "held_lots": 0,
    "request": b"",
}
_HOLD: dict[str, Any] = {
    "epoch": 1,
    "shard": 0,
    "account_id": "account123",
    "client_order_id": "",
    "symbol": "EURUSD",
    "is_exit": False,
    "lots": 1,
    "held_lots": 1,
}


def add_decision(connection: Connection, sequence: int, **columns: Any) -> None:
    at = TODAY + timedelta(seconds=sequence)
    row = {**_DECISION, "sequence": sequence, "decided_at": at, **columns}
    _insert(connection, "decision", row, row["decided_at"])


def add_report(connection: Connection, sequence: int, position_lots: float, **columns: Any) -> None:
    at = TODAY + timedelta(seconds=sequence)
    said = {"report_id": f"report {sequence}", "position_lots": position_lots}
    row = {**_REPORT, **said, "sequence": sequence, "reported_at": at, "event_at": at, **columns}
    _insert(connection, "execution_log", row, row["reported_at"])


def add_hold(connection: Connection, sequence: int, state: str, **columns: Any) -> None:
    said = {"state": state, "expires_at": datetime.now(UTC) + timedelta(hours=1)}
    times = {"made_at": TODAY, "changed_at": TODAY}
    row = {**_HOLD, **said, **times, "sequence": sequence, **columns}
    _insert(connection, "reservation", row, row["made_at"])


def _insert(connection: Connection, table: str, row: dict[str, Any], at: datetime) -> None:
    connection.execute("SELECT riskgate.make_archive_day(%s)", [at.date()])
    query = sql.SQL("INSERT INTO riskgate.{} ({}) VALUES ({})").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join([sql.Placeholder()] * len(row)),
    )
    connection.execute(query, list(row.values()))
