"""Rows S3-16, S3-18, S3-19: one contract for both records of limits, that of PostgreSQL and that
in memory with which services are tested.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from server.entities import Account, BreakerProvider, CircuitBreaker
from server.errors import AlreadyExistsError, ConflictError, NotFoundError, PreconditionError
from server.record.migrate import migrate
from server.record.pool import connection, open_pool
from server.record.repositories import Repositories
from tests.memory_record import MEMORY, MemoryParts
from tests.test_changes import CONFIGURATION

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ACCOUNT = Account(account_id="A", currency="USD", equity=Decimal(1000), equity_as_of=NOON)
SPARE = replace(CONFIGURATION, config_id="spare", is_active=False)
BREAKER = CircuitBreaker(
    name="drawdown",
    account_id="A",
    condition="max_drawdown",
    action="close_position",
    threshold=Decimal("0.1"),
    symbols=("BTCUSDT",),
    providers=(BreakerProvider(provider_id="7", provider_type="user"),),
    strategies=("trend",),
)
Open = Callable[[], AbstractAsyncContextManager[Any]]
Scenario = Callable[[Open, Repositories], Awaitable[None]]
Play = Callable[[Scenario], None]


@pytest.fixture(scope="module")
def migrated(database_url: str) -> str:
    with psycopg.connect(database_url, autocommit=True) as opened:
        opened.execute("DROP SCHEMA IF EXISTS riskgate CASCADE")
    migrate(database_url)
    return database_url


@pytest.fixture(params=["memory", "postgresql"])
def play(request: pytest.FixtureRequest) -> Iterator[Play]:
    """Play a scenario on an empty record with one account; each opening is one transaction."""
    if request.param == "memory":
        parts = MemoryParts()
        parts.database.accounts["A"] = ACCOUNT
        yield lambda scenario: asyncio.run(run(scenario, parts.reading, MEMORY))
        return
    url = request.getfixturevalue("migrated")
    with psycopg.connect(url, autocommit=True) as opened:
        opened.execute("TRUNCATE riskgate.account CASCADE")
        opened.execute("TRUNCATE riskgate.circuit_breaker_event")

    async def on_postgresql(scenario: Scenario) -> None:
        async with open_pool(url) as pool:
            async with connection(pool) as database:
                await Repositories().accounts.put(database, ACCOUNT)
            await run(scenario, lambda: connection(pool), Repositories())

    yield lambda scenario: asyncio.run(on_postgresql(scenario))


async def run(scenario: Scenario, open_: Open, repositories: Repositories) -> None:
    await scenario(open_, repositories)


def test_a_configuration_is_found_by_its_id_by_its_account_and_as_the_active_one(
    play: Play,
) -> None:
    async def scenario(open_: Open, repositories: Repositories) -> None:
        configurations = repositories.configurations
        limited = replace(
            CONFIGURATION,
            max_order_value=Decimal("1000.5"),
            max_strategy_notional=Decimal(10**12),
            message_limit=50,
            message_window_ms=1_000,
            repeat_limit=3,
            duplicate_window_ms=5,
        )
        async with open_() as database:
            stored = await configurations.create(database, limited)
            spare = await configurations.create(database, SPARE)
        async with open_() as database:
            assert await configurations.get_by_id(database, "low_risk", "A") == stored
            assert await configurations.get_all_for_account(database, "A") == [stored, spare]
            assert await configurations.get_active(database, "A") == stored
            assert await configurations.get_by_id(database, "low_risk", "B") is None
            assert await configurations.get_all_for_account(database, "B") == []
        assert (stored.configuration, stored.version) == (limited, 1)

    play(scenario)


def test_a_second_of_the_same_id_and_a_second_active_one_are_refused(play: Play) -> None:
    async def scenario(open_: Open, repositories: Repositories) -> None:
        configurations = repositories.configurations
        async with open_() as database:
            await configurations.create(database, CONFIGURATION)
        for taken in (CONFIGURATION, replace(CONFIGURATION, config_id="second")):
            with pytest.raises(AlreadyExistsError):
                async with open_() as database:
                    await configurations.create(database, taken)
        async with open_() as database:
            await configurations.create(database, SPARE)
        with pytest.raises(AlreadyExistsError):
            async with open_() as database:
                await configurations.update(database, replace(SPARE, is_active=True))

    play(scenario)


def test_an_update_raises_the_version_and_a_stale_one_is_a_conflict(play: Play) -> None:
    async def scenario(open_: Open, repositories: Repositories) -> None:
        configurations = repositories.configurations
        async with open_() as database:
            await configurations.create(database, CONFIGURATION)
        wider = replace(CONFIGURATION, max_leverage=Decimal(3), symbol_configs=())
        async with open_() as database:
            stored = await configurations.update(database, wider, expected_version=1)
        assert (stored.configuration, stored.version) == (wider, 2)
        with pytest.raises(ConflictError):
            async with open_() as database:
                await configurations.update(database, CONFIGURATION, expected_version=1)
        async with open_() as database:
            assert await configurations.get_by_id(database, "low_risk", "A") == stored

    play(scenario)


def test_what_is_not_there_is_not_found_and_a_configuration_needs_its_account(play: Play) -> None:
    async def scenario(open_: Open, repositories: Repositories) -> None:
        configurations = repositories.configurations
        with pytest.raises(NotFoundError):
            async with open_() as database:
                await configurations.update(database, CONFIGURATION)
        with pytest.raises(NotFoundError):
            async with open_() as database:
                await configurations.keep_breakers(database, "low_risk", "A", [])
        with pytest.raises(PreconditionError):
            async with open_() as database:
                await configurations.create(database, replace(CONFIGURATION, account_id="nobody"))
        async with open_() as database:
            assert not await configurations.delete(database, "low_risk", "A")
            await configurations.create(database, CONFIGURATION)
            assert await configurations.delete(database, "low_risk", "A")
            assert await configurations.get_active(database, "A") is None

    play(scenario)


def test_kept_breakers_stay_with_a_configuration_until_it_is_updated(play: Play) -> None:
    async def scenario(open_: Open, repositories: Repositories) -> None:
        configurations = repositories.configurations
        breakers = [{"name": "drawdown", "parameters": {"threshold": 0.1}}]
        async with open_() as database:
            stored = await configurations.create(database, SPARE)
            assert stored.saved_breakers is None
            kept = await configurations.keep_breakers(database, "spare", "A", breakers)
            assert await configurations.get_by_id(database, "spare", "A") == kept
            assert (kept.saved_breakers, kept.version) == (breakers, 1)
            assert kept.breakers_saved_at is not None
            updated = await configurations.update(database, SPARE)
            assert (updated.saved_breakers, updated.breakers_saved_at) == (None, None)

    play(scenario)


def test_a_breaker_is_found_by_its_id_its_name_and_its_account(play: Play) -> None:
    async def scenario(open_: Open, repositories: Repositories) -> None:
        breakers = repositories.breakers
        other = replace(
            BREAKER, name="a first", condition="expression", threshold=None, expression="is_buy"
        )
        async with open_() as database:
            stored = await breakers.create(database, BREAKER)
            first = await breakers.create(database, other)
        async with open_() as database:
            assert await breakers.get_by_id(database, stored.breaker_id) == stored
            assert await breakers.get_by_name(database, "drawdown", "A") == stored
            assert await breakers.get_by_name(database, "drawdown", "B") is None
            assert await breakers.get_all_for_account(database, "A") == [first, stored]
            assert await breakers.get_by_id(database, 10**9) is None
        assert (stored.breaker, stored.version, stored.reset_at) == (BREAKER, 1, None)
        assert first.breaker == other

    play(scenario)


def test_a_breaker_has_its_name_alone_and_an_account(play: Play) -> None:
    async def scenario(open_: Open, repositories: Repositories) -> None:
        breakers = repositories.breakers
        async with open_() as database:
            await breakers.create(database, BREAKER)
        with pytest.raises(AlreadyExistsError):
            async with open_() as database:
                await breakers.create(database, BREAKER)
        with pytest.raises(PreconditionError):
            async with open_() as database:
                await breakers.create(database, replace(BREAKER, account_id="nobody"))

    play(scenario)


def test_a_breaker_is_updated_switched_reset_and_deleted(play: Play) -> None:
    async def scenario(open_: Open, repositories: Repositories) -> None:
        breakers = repositories.breakers
        async with open_() as database:
            number = (await breakers.create(database, BREAKER)).breaker_id
            locking = replace(BREAKER, lock_after_trips=3, half_open_minutes=5)
            updated = await breakers.update(database, number, locking, expected_version=1)
            assert (updated.breaker, updated.version) == (locking, 2)
            assert await breakers.enable(database, number) == updated
            disabled = await breakers.disable(database, number)
            assert (disabled.breaker.enabled, disabled.version) == (False, 3)
            assert (await breakers.enable(database, number)).version == 4
            reset = await breakers.reset(database, number, NOON)
            assert (reset.reset_at, reset.version) == (NOON, 4)
            assert await breakers.get_by_id(database, number) == reset
        with pytest.raises(ConflictError):
            async with open_() as database:
                await breakers.update(database, number, BREAKER, expected_version=3)
        async with open_() as database:
            assert await breakers.delete(database, number)
            assert not await breakers.delete(database, number)

    play(scenario)


def test_of_a_breaker_that_is_not_there_nothing_can_be_changed(play: Play) -> None:
    async def scenario(open_: Open, repositories: Repositories) -> None:
        breakers = repositories.breakers
        calls: list[tuple[Any, list[Any]]] = [
            (breakers.update, [BREAKER]),
            (breakers.enable, []),
            (breakers.disable, []),
            (breakers.reset, [NOON]),
        ]
        for change, values in calls:
            with pytest.raises(NotFoundError):
                async with open_() as database:
                    await change(database, 9, *values)
        with pytest.raises(PreconditionError):
            async with open_() as database:
                await breakers.log_event(database, 9, triggered_values={}, action_taken="block")

    play(scenario)


def test_events_come_newest_first_and_no_more_than_asked_for(play: Play) -> None:
    async def scenario(open_: Open, repositories: Repositories) -> None:
        breakers = repositories.breakers
        async with open_() as database:
            number = (await breakers.create(database, BREAKER)).breaker_id
            other = (await breakers.create(database, replace(BREAKER, name="b"))).breaker_id
            for drawdown in (0.11, 0.12, 0.13):
                await breakers.log_event(
                    database,
                    number,
                    triggered_values={"drawdown": drawdown},
                    action_taken="close_position",
                    action_result={"success": True},
                    positions_affected=[{"symbol": "BTCUSDT", "exchange": "binance"}],
                )
            await breakers.log_event(database, other, triggered_values={}, action_taken="block")
            newest = await breakers.get_events(database, number, 2)
            seen = [event["triggered_values"]["drawdown"] for event in newest]
            assert seen == [0.13, 0.12]
            before = newest[-1]["event_id"]
            (rest,) = await breakers.get_events(database, number, 2, before_event_id=before)
            assert rest["triggered_values"] == {"drawdown": 0.11}
            assert len(await breakers.get_events(database, None, 10)) == 4
            shown = breakers.event_to_dict(newest[0])
        assert shown["circuit_breaker_id"] == number
        assert shown["action_result"] == {"success": True}
        assert shown["positions_affected"] == [{"symbol": "BTCUSDT", "exchange": "binance"}]

    play(scenario)


def test_both_records_show_themselves_in_the_field_names_of_their_origin(play: Play) -> None:
    async def scenario(open_: Open, repositories: Repositories) -> None:
        async with open_() as database:
            stored = await repositories.configurations.create(database, CONFIGURATION)
            breaker = await repositories.breakers.create(database, BREAKER)
        named = repositories.configurations.to_dict(stored)
        assert named["risk_per_trade_percentage"] == Decimal("0.5")
        assert named["symbol_configs"][0]["max_leverage"] == 5
        shown = repositories.breakers.to_dict(breaker)
        assert shown["parameters"] == {"threshold": Decimal("0.1")}
        assert (shown["symbols"], shown["exchanges"]) == (["BTCUSDT"], None)
        assert shown["providers"] == [{"provider_id": "7", "provider_type": "user"}]

    play(scenario)
