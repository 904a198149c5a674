"""Rows S0-56, S3-01, X-3 to X-5: the database refuses each bad row by itself, straight in SQL."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors, sql

from server.record.migrate import migrate
from tests.constraint_rows import BAD, GOOD, ONE_ROW, Connection, insert
from tests.limit_constraint_rows import FULL, LIMITS_BAD

ALL_BAD = BAD + LIMITS_BAD


@pytest.fixture(scope="module")
def connection(database_url: str) -> Iterator[Connection]:
    with psycopg.connect(database_url, autocommit=True) as opened:
        opened.execute("DROP SCHEMA IF EXISTS riskgate CASCADE")
        migrate(database_url)
        insert(opened, "instrument", GOOD["instrument"] | {"symbol": "EURUSD"})
        insert(opened, "account", GOOD["account"] | {"account_id": "A"})
        insert(
            opened,
            "risk_configuration",
            GOOD["risk_configuration"] | {"config_id": "c1", "is_active": True},
        )
        symbol = GOOD["symbol_risk_configuration"] | {"symbol": "BTCUSDT"}
        insert(opened, "symbol_risk_configuration", symbol)
        insert(opened, "circuit_breaker", GOOD["circuit_breaker"] | {"name": "b1"})
        model = GOOD["model_version"] | {"version": "1.0.0", "digest": b"\1" * 32}
        insert(opened, "model_version", model)
        insert(opened, "activation_proposal", GOOD["activation_proposal"])
        signed = {"keyid": "1" * 64, "person": "rita", "key_group": "risk"}
        insert(opened, "approval", GOOD["approval"] | signed)
        yield opened


@pytest.mark.parametrize("table", sorted(set(GOOD) - ONE_ROW))
def test_insert_when_row_is_good_then_accepted(connection: Connection, table: str) -> None:
    with connection.transaction(force_rollback=True):
        insert(connection, table, GOOD[table])


@pytest.mark.parametrize(("table", "change"), FULL, ids=[table for table, _ in FULL])
def test_insert_when_row_says_all_that_may_be_said_then_accepted(
    connection: Connection, table: str, change: dict[str, Any]
) -> None:
    with connection.transaction(force_rollback=True):
        insert(connection, table, GOOD[table] | change)


@pytest.mark.parametrize(
    ("table", "change"),
    ALL_BAD,
    ids=[f"{table}-{'-'.join(change)}" for table, change in ALL_BAD],
)
def test_insert_when_value_is_bad_then_database_refuses(
    connection: Connection, table: str, change: dict[str, Any]
) -> None:
    with (
        pytest.raises((errors.IntegrityError, errors.DataError)),
        connection.transaction(force_rollback=True),
    ):
        insert(connection, table, GOOD[table] | change)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE riskgate.model_version SET manifest = '{\"a\":1}'",
        "UPDATE riskgate.model_version SET digest = decode(repeat('09', 32), 'hex')",
        "UPDATE riskgate.model_version SET version = '7.0.0'",
        "UPDATE riskgate.model_version SET algorithm = 'other'",
        "UPDATE riskgate.model_version SET author = 'other'",
        "UPDATE riskgate.model_version SET author_keyid = repeat('0', 64)",
        "UPDATE riskgate.model_version SET pushed_at = now() + interval '1 day'",
        "UPDATE riskgate.model_version SET sealed_parameters = decode(repeat('09', 64), 'hex')",
        "DELETE FROM riskgate.model_version",
    ],
)
def test_what_was_signed_of_a_model_never_changes(connection: Connection, statement: str) -> None:
    with (
        pytest.raises(errors.RestrictViolation, match="sealed"),
        connection.transaction(force_rollback=True),
    ):
        connection.execute(statement)


def test_a_model_moves_but_its_serial_never_falls_and_revoked_is_the_end(
    connection: Connection,
) -> None:
    with connection.transaction(force_rollback=True):
        connection.execute("UPDATE riskgate.model_version SET status = 'approved', serial = 5")
        connection.execute("UPDATE riskgate.model_version SET status = 'revoked'")
        for statement in (
            "UPDATE riskgate.model_version SET serial = 4",
            "UPDATE riskgate.model_version SET status = 'active'",
        ):
            with (
                pytest.raises(errors.RestrictViolation, match="sealed"),
                connection.transaction(),
            ):
                connection.execute(statement)


def test_sealed_parameters_take_a_newer_key_but_do_not_disappear(connection: Connection) -> None:
    with connection.transaction(force_rollback=True):
        sealed = GOOD["model_version"] | {"sealed_parameters": b"\1" * 64}
        insert(connection, "model_version", sealed)
        update = "UPDATE riskgate.model_version SET sealed_parameters = %s WHERE version = '1.0.1'"
        connection.execute(update, [b"\2" * 64])
        with pytest.raises(errors.RestrictViolation, match="sealed"), connection.transaction():
            connection.execute(update, [None])


def test_update_when_second_model_becomes_active_then_refused(connection: Connection) -> None:
    with connection.transaction(force_rollback=True):
        insert(connection, "model_version", GOOD["model_version"])
        with pytest.raises(errors.UniqueViolation, match="one_active"), connection.transaction():
            connection.execute("UPDATE riskgate.model_version SET status = 'active', serial = 1")


APPEND_ONLY = {
    "audit_log": "actor",
    "deployment_event": "actor",
    "ledger_entry": "entry",
    "activation_proposal": "reason",
    "approval": "person",
}


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize("verb", ["UPDATE riskgate.{} SET {} = 'x'", "DELETE FROM riskgate.{}"])
def test_change_when_log_is_append_only_then_refused(
    connection: Connection, table: str, verb: str
) -> None:
    names = [sql.Identifier(table), sql.Identifier(APPEND_ONLY[table])]
    statement = sql.SQL(verb).format(*names[: verb.count("{}")])
    with connection.transaction(force_rollback=True):
        insert(connection, table, GOOD[table])
        with (
            pytest.raises(errors.RestrictViolation, match="append-only"),
            connection.transaction(),
        ):
            connection.execute(statement)


@pytest.mark.parametrize(
    "table",
    ["model_version", "deployment_event", "ledger_entry", "activation_proposal", "approval"],
)
def test_what_is_kept_for_good_cannot_be_emptied_at_once(
    connection: Connection, table: str
) -> None:
    statement = sql.SQL("TRUNCATE riskgate.{} CASCADE").format(sql.Identifier(table))
    with (
        pytest.raises(errors.RestrictViolation, match=f"{table} is append-only"),
        connection.transaction(force_rollback=True),
    ):
        connection.execute(statement)


@pytest.mark.parametrize(
    ("parent", "survives"),
    [
        ("DELETE FROM riskgate.account WHERE account_id = 'A'", True),
        ("DELETE FROM riskgate.risk_configuration", False),
    ],
)
def test_delete_when_parent_has_children_then_as_declared(
    connection: Connection, parent: str, survives: bool
) -> None:
    with connection.transaction(force_rollback=True):
        insert(connection, "circuit_breaker_event", GOOD["circuit_breaker_event"])
        if survives:
            with pytest.raises(errors.IntegrityError), connection.transaction():
                connection.execute(parent)
            return
        connection.execute(parent)
        count = "SELECT count(*) FROM riskgate.symbol_risk_configuration"
        assert connection.execute(count).fetchone() == (0,)


def test_a_trip_is_on_record_longer_than_its_breaker(connection: Connection) -> None:
    with connection.transaction(force_rollback=True):
        insert(connection, "circuit_breaker_event", GOOD["circuit_breaker_event"])
        connection.execute("DELETE FROM riskgate.circuit_breaker")
        kept = connection.execute("SELECT breaker_id FROM riskgate.circuit_breaker_event")
        assert kept.fetchone() == (None,)
