"""Rows X-1, S4-22 of the requirements: building the database, twice, and naming what drifted."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from server.errors import PreconditionError
from server.record.migrate import check, migrate


@pytest.fixture
def empty_database(database_url: str) -> str:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS riskgate CASCADE")
    return database_url


def test_migrate_when_database_is_empty_then_builds_everything(empty_database: str) -> None:
    assert check(empty_database)[0] == "migration 0001_core.sql is not applied"
    assert migrate(empty_database)[0] == "0001_core.sql"
    assert check(empty_database) == []


def test_migrate_when_applied_before_then_does_nothing(empty_database: str) -> None:
    migrate(empty_database)
    assert migrate(empty_database) == []


def test_migrate_when_four_start_at_once_then_each_file_runs_once(empty_database: str) -> None:
    with ThreadPoolExecutor(4) as threads:
        applied = list(threads.map(migrate, [empty_database] * 4))
    assert len([names for names in applied if names]) == 1
    assert check(empty_database) == []


def test_check_when_table_is_gone_then_names_it(empty_database: str) -> None:
    migrate(empty_database)
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute("DROP TABLE riskgate.circuit_breaker_event")
    assert check(empty_database) == ["table riskgate.circuit_breaker_event is missing"]


def test_migrate_when_applied_file_changed_then_refuses(empty_database: str) -> None:
    migrate(empty_database)
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute("UPDATE riskgate.schema_migration SET sha256 = 'x' WHERE name ~ '^0001'")
    with pytest.raises(PreconditionError, match=r"0001_core\.sql changed"):
        migrate(empty_database)
    assert check(empty_database) == ["migration 0001_core.sql changed after it was applied"]


def test_check_when_database_is_newer_then_says_so(empty_database: str) -> None:
    migrate(empty_database)
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute("INSERT INTO riskgate.schema_migration VALUES ('9999_later.sql', 'x')")
    assert check(empty_database) == ["migration 9999_later.sql is not part of this release"]
