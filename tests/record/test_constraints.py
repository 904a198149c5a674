"""Rows S0-56, S3-01, X-3 to X-5: the database refuses each bad row by itself, straight in SQL."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors, sql

from server.record.migrate import migrate

Connection = psycopg.Connection[tuple[Any, ...]]

GOOD: dict[str, dict[str, Any]] = {
    "instrument": {
        "symbol": "GBPUSD",
        "base_currency": "GBP",
        "quote_currency": "USD",
        "tick_size": "0.00001",
        "pip_size": "0.0001",
        "tick_value": "1",
        "lot_step": "0.01",
        "min_lot": "0.01",
        "max_lot": "100",
        "contract_size": "100000",
    },
    "account": {
        "account_id": "B",
        "currency": "USD",
        "equity": "1000",
        "equity_as_of": "2026-01-01T00:00:00Z",
    },
    "conversion_rate": {
        "from_currency": "EUR",
        "to_currency": "USD",
        "rate": "1.1",
        "as_of": "2026-01-01T00:00:00Z",
    },
    "risk_configuration": {
        "account_id": "A",
        "config_id": "c2",
        "position_max_drawdown_fraction": "0.03",
        "position_trailing_stop_multiplier": "1.5",
        "daily_max_drawdown_fraction": "0.02",
        "weekly_max_drawdown_fraction": "0.05",
        "monthly_max_drawdown_fraction": "0.1",
        "max_position_size_fraction": "0.05",
        "max_correlated_exposure_fraction": "0.1",
        "risk_per_trade_fraction": "0.005",
        "volatility_adjustment_factor": "0.8",
        "cooling_off_period_minutes": 120,
        "consecutive_loss_threshold": 2,
        "is_active": False,
    },
    "symbol_risk_configuration": {
        "risk_configuration_id": 1,
        "symbol": "EURUSD",
        "max_position_size_fraction": "0.03",
        "max_leverage": "5",
        "position_max_drawdown_fraction": "0.02",
        "risk_per_trade_fraction": "0.003",
    },
    "circuit_breaker": {
        "account_id": "A",
        "name": "b2",
        "condition": "max_drawdown",
        "action": "block",
        "threshold": "0.1",
    },
    "circuit_breaker_event": {
        "breaker_id": 1,
        "triggered_values": "{}",
        "action_taken": "block",
    },
    "provider": {
        "provider_id": "7",
        "provider_type": "user",
        "performance_score": "50",
        "score_as_of": "2026-01-01T00:00:00Z",
    },
    "market_context": {"symbol": "EURUSD"},
    "model_version": {
        "purpose": "slippage",
        "version": "1.0.1",
        "algorithm": "linear",
        "digest": b"\2" * 32,
        "author": "quant",
        "manifest": "{}",
    },
    "approval": {
        "purpose": "slippage",
        "version": "1.0.0",
        "approver": "ann",
        "digest": b"\1" * 32,
    },
    "deployment_event": {
        "purpose": "slippage",
        "version": "1.0.0",
        "event": "push",
        "actor": "ann",
        "reason": "",
    },
    "policy": {"version": "1.0.0", "digest": b"\3" * 32, "body": "{}"},
    "audit_log": {
        "actor": "ann",
        "action": "create",
        "subject": "account",
        "subject_key": "A",
        "reason": "",
    },
    "state_version": {"version": 1},
    "state_change": {
        "version": 1,
        "kind": 1,
        "key": "EURUSD",
        "change": b"x",
        "layout_version": 1,
    },
}

BAD: list[tuple[str, dict[str, Any]]] = [
    ("instrument", {"symbol": ""}),
    ("instrument", {"symbol": "S" * 33}),
    ("instrument", {"exchange": "x" * 33}),
    ("instrument", {"base_currency": "usd"}),
    ("instrument", {"quote_currency": "US"}),
    ("instrument", {"quote_currency": None}),
    ("instrument", {"tick_size": "0"}),
    ("instrument", {"tick_size": "NaN"}),
    ("instrument", {"pip_size": "0.000015"}),
    ("instrument", {"pip_size": "0.000001"}),
    ("instrument", {"tick_value": "0"}),
    ("instrument", {"tick_value": "NaN"}),
    ("instrument", {"tick_value": "1000001"}),
    ("instrument", {"lot_step": "0"}),
    ("instrument", {"min_lot": "0.015"}),
    ("instrument", {"min_lot": "0"}),
    ("instrument", {"max_lot": "0.005"}),
    ("instrument", {"max_lot": "100.001"}),
    ("instrument", {"max_lot": "10000001"}),
    ("instrument", {"contract_size": "-1"}),
    ("instrument", {"default_slippage_pips": "-0.1"}),
    ("instrument", {"commission_per_lot": "NaN"}),
    ("account", {"account_id": "a" * 65}),
    ("account", {"currency": "usd"}),
    ("account", {"equity": "0"}),
    ("account", {"equity": "NaN"}),
    ("account", {"equity": "1000000000000.000001"}),
    ("account", {"equity": "0.0000001"}),
    ("account", {"equity_as_of": None}),
    ("account", {"reservation_ttl_ms": 0}),
    ("account", {"reservation_ttl_ms": 300_001}),
    ("account", {"trading_state": "open"}),
    ("account", {"equity_max_age_ms": 0}),
    ("conversion_rate", {"rate": "0"}),
    ("conversion_rate", {"rate": "NaN"}),
    ("conversion_rate", {"to_currency": "EUR"}),
    ("risk_configuration", {"account_id": "nobody"}),
    ("risk_configuration", {"config_id": "c1"}),
    ("risk_configuration", {"is_active": True}),
    ("risk_configuration", {"risk_per_trade_fraction": "0.5000001"}),
    ("risk_configuration", {"risk_per_trade_fraction": "70"}),
    ("risk_configuration", {"daily_max_drawdown_fraction": "-0.01"}),
    ("risk_configuration", {"weekly_max_drawdown_fraction": "NaN"}),
    ("risk_configuration", {"monthly_max_drawdown_fraction": None}),
    ("risk_configuration", {"max_position_size_fraction": "10000.1"}),
    ("risk_configuration", {"volatility_adjustment_factor": "101"}),
    ("risk_configuration", {"market_regime_thresholds": "[]"}),
    ("risk_configuration", {"market_regime_thresholds": "{"}),
    ("risk_configuration", {"cooling_off_period_minutes": -1}),
    ("risk_configuration", {"consecutive_loss_threshold": 1001}),
    ("risk_configuration", {"max_leverage": "0"}),
    ("risk_configuration", {"min_provider_score": "101"}),
    ("risk_configuration", {"version": 0}),
    ("symbol_risk_configuration", {"risk_configuration_id": 99}),
    ("symbol_risk_configuration", {"symbol": "BTCUSDT"}),
    ("symbol_risk_configuration", {"max_leverage": "0"}),
    ("symbol_risk_configuration", {"risk_per_trade_fraction": "1.1"}),
    ("circuit_breaker", {"account_id": "nobody"}),
    ("circuit_breaker", {"name": "b1"}),
    ("circuit_breaker", {"name": ""}),
    ("circuit_breaker", {"condition": "__import__('os')"}),
    ("circuit_breaker", {"action": "sell_everything"}),
    ("circuit_breaker", {"threshold": "1.1"}),
    ("circuit_breaker", {"threshold": "NaN"}),
    ("circuit_breaker", {"condition": "volatility", "threshold": "100.5"}),
    (
        "circuit_breaker",
        {"condition": "consecutive_losses", "threshold": "1.5", "cooling_off_minutes": 5},
    ),
    ("circuit_breaker", {"condition": "consecutive_losses", "threshold": "2"}),
    ("circuit_breaker", {"multiplier": "1.5"}),
    ("circuit_breaker", {"symbols": []}),
    ("circuit_breaker", {"symbols": ["S"] * 33}),
    ("circuit_breaker", {"exchanges": []}),
    ("circuit_breaker_event", {"breaker_id": 99}),
    ("circuit_breaker_event", {"triggered_values": "[]"}),
    ("circuit_breaker_event", {"action_taken": "nap"}),
    ("circuit_breaker_event", {"positions_affected": "{}"}),
    ("provider", {"provider_type": "robot"}),
    ("provider", {"performance_score": "100.1"}),
    ("provider", {"performance_score": "-1"}),
    ("provider", {"win_rate_fraction": "70"}),
    ("provider", {"score_trend": "sideways"}),
    ("provider", {"total_signals": 1, "winning_signals": 1, "losing_signals": 1}),
    ("provider", {"avg_slippage_pips": "2", "max_slippage_pips": "1"}),
    ("market_context", {"symbol": "UNKNOWN"}),
    ("market_context", {"atr": "1"}),
    ("market_context", {"atr": "0", "atr_as_of": "now"}),
    ("market_context", {"volatility_index": "101", "volatility_as_of": "now"}),
    ("market_context", {"bid": "1", "quote_as_of": "now"}),
    ("market_context", {"bid": "2", "ask": "1", "quote_as_of": "now"}),
    ("model_version", {"version": "v2.1"}),
    ("model_version", {"version": "1.0.0"}),
    ("model_version", {"digest": b"\1" * 32}),
    ("model_version", {"digest": b"\1"}),
    ("model_version", {"status": "shiny"}),
    ("model_version", {"status": "active"}),
    ("approval", {"version": "9.9.9"}),
    ("deployment_event", {"version": "9.9.9"}),
    ("deployment_event", {"event": "activate"}),
    ("deployment_event", {"serial": 1}),
    ("deployment_event", {"event": "rollback", "serial": 1}),
    ("policy", {"version": "one"}),
    ("audit_log", {"action": ""}),
    ("audit_log", {"reason": "r" * 257}),
    ("state_version", {"only_row": True}),
    ("state_version", {"only_row": False}),
    ("state_change", {"version": 0}),
    ("state_change", {"key": ""}),
    ("state_change", {"key": "k" * 161}),
    ("state_change", {"change": b"x" * 70_000}),
]


@pytest.fixture(scope="module")
def connection(database_url: str) -> Iterator[Connection]:
    with psycopg.connect(database_url, autocommit=True) as opened:
        opened.execute("DROP SCHEMA IF EXISTS riskgate CASCADE")
        migrate(database_url)
        _insert(opened, "instrument", GOOD["instrument"] | {"symbol": "EURUSD"})
        _insert(opened, "account", GOOD["account"] | {"account_id": "A"})
        _insert(
            opened,
            "risk_configuration",
            GOOD["risk_configuration"] | {"config_id": "c1", "is_active": True},
        )
        symbol = GOOD["symbol_risk_configuration"] | {"symbol": "BTCUSDT"}
        _insert(opened, "symbol_risk_configuration", symbol)
        _insert(opened, "circuit_breaker", GOOD["circuit_breaker"] | {"name": "b1"})
        model = GOOD["model_version"] | {"version": "1.0.0", "digest": b"\1" * 32}
        _insert(opened, "model_version", model)
        yield opened


def _insert(connection: Connection, table: str, values: dict[str, Any]) -> None:
    query = sql.SQL("INSERT INTO riskgate.{} ({}) VALUES ({})").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, values)),
        sql.SQL(", ").join([sql.Placeholder()] * len(values)),
    )
    connection.execute(query, list(values.values()))


@pytest.mark.parametrize("table", [table for table in GOOD if table != "state_version"])
def test_insert_when_row_is_good_then_accepted(connection: Connection, table: str) -> None:
    with connection.transaction(force_rollback=True):
        _insert(connection, table, GOOD[table])


@pytest.mark.parametrize(
    ("table", "change"), BAD, ids=[f"{table}-{'-'.join(change)}" for table, change in BAD]
)
def test_insert_when_value_is_bad_then_database_refuses(
    connection: Connection, table: str, change: dict[str, Any]
) -> None:
    with (
        pytest.raises((errors.IntegrityError, errors.DataError)),
        connection.transaction(force_rollback=True),
    ):
        _insert(connection, table, GOOD[table] | change)


def test_update_when_model_is_sealed_then_refused_but_lifecycle_moves(
    connection: Connection,
) -> None:
    for statement in (
        "UPDATE riskgate.model_version SET manifest = '{\"a\":1}'",
        "UPDATE riskgate.model_version SET digest = decode(repeat('09', 32), 'hex')",
        "UPDATE riskgate.model_version SET version = '7.0.0'",
        "DELETE FROM riskgate.model_version",
    ):
        with (
            pytest.raises(errors.RestrictViolation, match="sealed"),
            connection.transaction(force_rollback=True),
        ):
            connection.execute(statement)
    with connection.transaction(force_rollback=True):
        connection.execute("UPDATE riskgate.model_version SET status = 'approved'")


def test_update_when_second_model_becomes_active_then_refused(connection: Connection) -> None:
    with connection.transaction(force_rollback=True):
        _insert(connection, "model_version", GOOD["model_version"])
        with pytest.raises(errors.UniqueViolation, match="one_active"), connection.transaction():
            connection.execute("UPDATE riskgate.model_version SET status = 'active', serial = 1")


@pytest.mark.parametrize("table", ["audit_log", "deployment_event"])
@pytest.mark.parametrize("verb", ["UPDATE riskgate.{} SET actor = 'x'", "DELETE FROM riskgate.{}"])
def test_change_when_log_is_append_only_then_refused(
    connection: Connection, table: str, verb: str
) -> None:
    statement = sql.SQL(verb).format(sql.Identifier(table))
    with connection.transaction(force_rollback=True):
        _insert(connection, table, GOOD[table])
        with (
            pytest.raises(errors.RestrictViolation, match="append-only"),
            connection.transaction(),
        ):
            connection.execute(statement)


@pytest.mark.parametrize(
    ("parent", "survives"),
    [
        ("DELETE FROM riskgate.account WHERE account_id = 'A'", True),
        ("DELETE FROM riskgate.risk_configuration", False),
        ("DELETE FROM riskgate.circuit_breaker", False),
    ],
)
def test_delete_when_parent_has_children_then_as_declared(
    connection: Connection, parent: str, survives: bool
) -> None:
    with connection.transaction(force_rollback=True):
        _insert(connection, "circuit_breaker_event", GOOD["circuit_breaker_event"])
        if survives:
            with pytest.raises(errors.IntegrityError), connection.transaction():
                connection.execute(parent)
            return
        connection.execute(parent)
        child = (
            "symbol_risk_configuration" if "configuration" in parent else "circuit_breaker_event"
        )
        count = sql.SQL("SELECT count(*) FROM riskgate.{}").format(sql.Identifier(child))
        assert connection.execute(count).fetchone() == (0,)
