"""What the archive says of decisions and positions, by the queries of control."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from server.record.decisions import DecisionRepository
from server.record.migrate import migrate
from server.record.pool import connection, open_pool
from tests.archive_rows import TODAY, Connection, add_decision, add_hold, add_report
from tests.constraint_rows import GOOD, insert

EURUSD = GOOD["instrument"] | {"symbol": "EURUSD", "exchange": "fx"}


@pytest.fixture
def archive(database_url: str) -> Any:
    with psycopg.connect(database_url, autocommit=True) as opened:
        opened.execute("DROP SCHEMA IF EXISTS riskgate CASCADE")
        migrate(database_url)
        insert(opened, "instrument", EURUSD)
        for account_id in ("account123", "account456"):
            insert(opened, "account", GOOD["account"] | {"account_id": account_id})
        yield opened


def ask(database_url: str, question: Callable[[Any], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with open_pool(database_url) as pool, connection(pool) as database:
            return await question(database)

    return asyncio.run(run())


def find_open(database_url: str, symbol: str = "EURUSD") -> Any:
    return ask(database_url, lambda each: DecisionRepository().find_open(each, symbol))


def test_the_newest_decisions_of_an_account_on_new_risk_come_first(
    database_url: str, archive: Connection
) -> None:
    for sequence in (1, 3, 2):
        add_decision(archive, sequence)
    add_decision(archive, 9, decided_at=TODAY - timedelta(days=2))
    add_decision(archive, 4, reduce_only=True)
    add_decision(archive, 5, account_id="account456")
    add_decision(archive, 6, symbol="GONE", client_order_id="o", strategy_id="trend")

    def newest(limit: int) -> Any:
        return ask(
            database_url, lambda each: DecisionRepository().newest(each, "account123", limit)
        )

    found = newest(10)
    assert [each.sequence for each in found] == [6, 3, 2, 1, 9]
    assert (found[1].exchange, float(found[1].pip_size)) == ("fx", 0.0001)
    assert (found[0].exchange, found[0].tick_size, found[0].strategy_id) == (None, None, "trend")
    assert [each.sequence for each in newest(2)] == [6, 3]


def test_a_position_is_open_until_its_newest_report_says_otherwise(
    database_url: str, archive: Connection
) -> None:
    assert find_open(database_url) is None
    add_report(archive, 1, 0)
    add_report(archive, 2, -0.5, account_id="account456")
    assert find_open(database_url) == "account456"
    assert find_open(database_url, "GBPUSD") is None
    add_report(archive, 3, 0, account_id="account456")
    assert find_open(database_url) is None


@pytest.mark.parametrize(
    ("state", "columns", "is_open"),
    [
        ("held", {}, True),
        ("held", {"expires_at": TODAY - timedelta(days=1)}, False),
        ("working", {"expires_at": TODAY - timedelta(days=1)}, True),
        ("committed", {"held_lots": 0}, False),
        ("working", {"symbol": "GBPUSD"}, False),
    ],
)
def test_an_order_that_is_held_or_works_is_open(
    database_url: str, archive: Connection, state: str, columns: dict[str, Any], *, is_open: bool
) -> None:
    add_hold(archive, 1, state, **columns)
    assert find_open(database_url) == ("account123" if is_open else None)
