"""What PostgreSQL itself refuses of identities and second factors, whoever asks."""

from typing import Any

import psycopg
import pytest
from psycopg import errors, sql

from server.record.migrate import migrate

DESK = "spiffe://riskgate/trader/desk-1"


@pytest.fixture
def database(database_url: str) -> Any:
    with psycopg.connect(database_url, autocommit=True) as opened:
        opened.execute("DROP SCHEMA IF EXISTS riskgate CASCADE")
        migrate(database_url)
        opened.execute("INSERT INTO riskgate.identity (uri, status) VALUES (%s, 'revoked')", [DESK])
        yield opened


@pytest.mark.parametrize("statement", ["DELETE FROM", "TRUNCATE"])
def test_a_revoked_identity_cannot_be_forgotten(database: Any, statement: str) -> None:
    with pytest.raises(errors.RestrictViolation, match="append-only"):
        database.execute(f"{statement} riskgate.identity")
    assert database.execute("SELECT status FROM riskgate.identity").fetchall() == [("revoked",)]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("uri", ""),
        ("uri", "x" * 65),
        ("accounts", ["a"] * 257),
        ("accounts", [None]),
        ("providers", ["p"] * 257),
        ("calls_per_second", 0),
        ("calls_per_second", 1_000_001),
        ("burst", 0),
        ("status", "asleep"),
        ("version", 0),
    ],
)
def test_an_identity_out_of_bounds_is_refused(database: Any, column: str, value: object) -> None:
    with pytest.raises((errors.CheckViolation, errors.NotNullViolation)):
        database.execute(
            sql.SQL("UPDATE riskgate.identity SET {} = %s").format(sql.Identifier(column)), [value]
        )


def test_some_accounts_and_every_account_contradict_each_other(database: Any) -> None:
    with pytest.raises(errors.CheckViolation, match="identity_names_accounts_or_has_all"):
        database.execute("UPDATE riskgate.identity SET accounts = '{a}', every_account = true")


def test_a_secret_that_is_too_short_to_be_encrypted_is_refused(database: Any) -> None:
    with pytest.raises(errors.CheckViolation):
        database.execute(
            "INSERT INTO riskgate.second_factor (uri, secret, last_step) VALUES (%s, %s, 0)",
            [DESK, b"JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"],
        )
