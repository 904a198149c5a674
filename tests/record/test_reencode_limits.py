"""After an upgrade, resets and enabled strategies go out anew, also those of what is gone."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import psycopg
import pytest

from riskgate.v1 import state_pb2
from server import feed
from server.breaker_changes import breaker_reset_rows, breaker_rows
from server.changes import strategy_rows, unix_ns
from server.hotpath import layout
from server.record.admin_change import Note, admin_change
from server.record.migrate import migrate
from server.record.outbox import Outbox
from server.record.pool import Pool, open_pool
from server.record.reencode import reencode_outdated
from server.record.repositories import Repositories
from tests.record.test_limit_repositories import ACCOUNT, BREAKER

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
STRATEGY = state_pb2.CHANGE_KIND_STRATEGY
RESET = state_pb2.CHANGE_KIND_BREAKER_RESET


@pytest.fixture
def play(database_url: str) -> Callable[[Callable[[Pool], Awaitable[None]]], None]:
    with psycopg.connect(database_url, autocommit=True) as opened:
        opened.execute("DROP SCHEMA IF EXISTS riskgate CASCADE")
    migrate(database_url)

    async def run(scenario: Callable[[Pool], Awaitable[None]]) -> None:
        async with open_pool(database_url) as pool:
            await scenario(pool)

    return lambda scenario: asyncio.run(run(scenario))


async def newest(pool: Pool, kind: int, key: str) -> Any:
    (entry,) = [each for each in await Outbox(pool).latest_of_each(kind, "", 10) if each.key == key]
    change = state_pb2.StateChange.FromString(entry.change)
    assert change.layout_version == layout.LAYOUT_VERSION
    (row,) = np.frombuffer(change.rows, layout.CHANGE_ROWS[kind])
    return row


def test_resets_and_strategies_are_encoded_anew_and_what_is_gone_says_nothing(play: Any) -> None:
    async def scenario(pool: Pool) -> None:
        repositories = Repositories()
        async with admin_change(pool, Note()) as change:
            database = change.database
            await repositories.accounts.put(database, ACCOUNT)
            kept, gone = [
                (await repositories.breakers.create(database, each)).breaker_id
                for each in (BREAKER, replace(BREAKER, name="gone"))
            ]
            for number in (kept, gone):
                rows = breaker_rows(BREAKER, str(number))
                await change.publish(state_pb2.CHANGE_KIND_BREAKER, str(number), rows)
                await repositories.breakers.reset(database, number, NOON)
                await change.publish(RESET, str(number), breaker_reset_rows(str(number), NOON))
            await repositories.breakers.delete(database, gone)
            await change.publish(state_pb2.CHANGE_KIND_BREAKER, str(gone), b"")
            await repositories.strategies.enable(database, "A", "trend", NOON)
            for name in ("trend", "of nobody"):
                key = feed.strategy_key("A", name)
                await change.publish(STRATEGY, key, strategy_rows("A", name, NOON))
            await database.execute("UPDATE riskgate.state_change SET layout_version = 1")
        # Two breakers, their resets, two strategies and the account.
        assert await reencode_outdated(pool) == 7
        assert await reencode_outdated(pool) == 0
        noon_ns = unix_ns(NOON)
        assert (await newest(pool, RESET, str(kept)))["reset_at_ns"] == noon_ns
        assert (await newest(pool, RESET, str(gone)))["reset_at_ns"] == 0
        trend = await newest(pool, STRATEGY, feed.strategy_key("A", "trend"))
        assert trend["enabled_at_ns"] == noon_ns
        nobody = await newest(pool, STRATEGY, feed.strategy_key("A", "of nobody"))
        assert (nobody["enabled_at_ns"], layout.text(nobody["strategy_id"])) == (0, "of nobody")

    play(scenario)
