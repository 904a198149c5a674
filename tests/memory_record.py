"""The record of limits in memory: for tests of services that need no PostgreSQL.

`tests/record/test_limit_repositories.py` holds it to the same contract as the real one.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from server.entities import Account, CircuitBreaker, RiskConfiguration
from server.errors import AlreadyExistsError, ConflictError, NotFoundError, PreconditionError
from server.record.admin_change import Note
from server.record.circuit_breakers import KIND as BREAKER
from server.record.circuit_breakers import CircuitBreakerRepository, StoredBreaker
from server.record.decisions import DecisionRepository, RecordedDecision
from server.record.reference import AccountRepository
from server.record.repositories import Repositories
from server.record.risk_configurations import (
    KIND,
    RiskConfigurationRepository,
    StoredRiskConfiguration,
)
from server.record.strategies import StrategyRepository


@dataclass
class MemoryDatabase:
    """What the tables would hold, and what left as changes and audit rows."""

    accounts: dict[str, Account] = field(default_factory=dict)
    configurations: dict[tuple[str, str], StoredRiskConfiguration] = field(default_factory=dict)
    breakers: dict[int, StoredBreaker] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    strategies: dict[tuple[str, str], datetime] = field(default_factory=dict)
    decisions: dict[str, list[RecordedDecision]] = field(default_factory=dict)
    numbers: int = 0
    changes: list[tuple[int, str, bytes]] = field(default_factory=list)
    # Action, subject, key, value before, value after.
    audits: list[tuple[str, str, str, object, object]] = field(default_factory=list)

    def number(self) -> int:
        self.numbers += 1
        return self.numbers

    def require_account(self, account_id: str) -> None:
        if account_id not in self.accounts:
            raise PreconditionError(f"account {account_id} does not exist")


class MemoryAccounts(AccountRepository):
    async def get(self, database: Any, account_id: str) -> Account | None:
        found: Account | None = database.accounts.get(account_id)
        return found


class MemoryConfigurations(RiskConfigurationRepository):
    async def get_by_id(
        self, database: Any, config_id: str, account_id: str
    ) -> StoredRiskConfiguration | None:
        found: StoredRiskConfiguration | None = database.configurations.get((account_id, config_id))
        return found

    async def get_all_for_account(
        self, database: Any, account_id: str
    ) -> list[StoredRiskConfiguration]:
        rows = sorted(database.configurations.items())
        return [stored for (owner, _), stored in rows if owner == account_id]

    async def get_active(self, database: Any, account_id: str) -> StoredRiskConfiguration | None:
        found = await self.get_all_for_account(database, account_id)
        return next((each for each in found if each.configuration.is_active), None)

    async def page(
        self,
        database: Any,
        *,
        account_id: str,
        after: Any,
        limit: int,
        among: Any = None,
    ) -> list[StoredRiskConfiguration]:
        found = [
            stored
            for key, stored in sorted(database.configurations.items())
            if (not account_id or key[0] == account_id)
            and (after is None or key > tuple(after))
            and (among is None or key[0] in among)
        ]
        return found[:limit]

    async def create(
        self, database: Any, configuration: RiskConfiguration
    ) -> StoredRiskConfiguration:
        if await self.get_by_id(database, configuration.config_id, configuration.account_id):
            raise AlreadyExistsError(KIND, configuration.config_id)
        now = datetime.now(UTC)
        return await self._put(database, StoredRiskConfiguration(configuration, 1, now, now))

    async def update(
        self,
        database: Any,
        configuration: RiskConfiguration,
        *,
        expected_version: int | None = None,
    ) -> StoredRiskConfiguration:
        name = configuration.config_id
        old = await self.get_by_id(database, name, configuration.account_id)
        if old is None:
            raise NotFoundError(KIND, name)
        if expected_version not in {None, old.version}:
            raise ConflictError(
                KIND, name, expected_version=expected_version or 0, version=old.version
            )
        now = datetime.now(UTC)
        stored = StoredRiskConfiguration(configuration, old.version + 1, old.created_at, now)
        return await self._put(database, stored)

    async def delete(self, database: Any, config_id: str, account_id: str) -> bool:
        return database.configurations.pop((account_id, config_id), None) is not None

    async def keep_breakers(
        self, database: Any, config_id: str, account_id: str, breakers: Any
    ) -> StoredRiskConfiguration:
        old = await self.get_by_id(database, config_id, account_id)
        if old is None:
            raise NotFoundError(KIND, config_id)
        now = datetime.now(UTC)
        stored = replace(old, saved_breakers=list(breakers), breakers_saved_at=now)
        return await self._put(database, stored)

    async def _put(
        self, database: MemoryDatabase, stored: StoredRiskConfiguration
    ) -> StoredRiskConfiguration:
        configuration = stored.configuration
        database.require_account(configuration.account_id)
        active = await self.get_active(database, configuration.account_id)
        others = active is not None and active.configuration.config_id != configuration.config_id
        if configuration.is_active and others:
            raise AlreadyExistsError(KIND, "one active per account")
        key = (configuration.account_id, configuration.config_id)
        database.configurations[key] = stored
        return stored


class MemoryBreakers(CircuitBreakerRepository):
    async def get_by_id(self, database: Any, breaker_id: int) -> StoredBreaker | None:
        found: StoredBreaker | None = database.breakers.get(breaker_id)
        return found

    async def get_by_name(self, database: Any, name: str, account_id: str) -> StoredBreaker | None:
        found = await self.get_all_for_account(database, account_id)
        return next((each for each in found if each.breaker.name == name), None)

    async def get_all_for_account(self, database: Any, account_id: str) -> list[StoredBreaker]:
        owned = [
            each for each in database.breakers.values() if each.breaker.account_id == account_id
        ]
        return sorted(owned, key=lambda each: each.breaker.name)

    async def page(
        self, database: Any, *, account_id: str, after: Any, limit: int, among: Any = None
    ) -> list[StoredBreaker]:
        keyed = {
            (each.breaker.account_id, each.breaker.name): each
            for each in database.breakers.values()
        }
        found = [
            stored
            for key, stored in sorted(keyed.items())
            if (not account_id or key[0] == account_id)
            and (after is None or key > tuple(after))
            and (among is None or key[0] in among)
        ]
        return found[:limit]

    async def create(self, database: Any, breaker: CircuitBreaker) -> StoredBreaker:
        database.require_account(breaker.account_id)
        if await self.get_by_name(database, breaker.name, breaker.account_id):
            raise AlreadyExistsError(BREAKER, breaker.name)
        now = datetime.now(UTC)
        stored = StoredBreaker(database.number(), breaker, 1, now, now)
        database.breakers[stored.breaker_id] = stored
        return stored

    async def update(
        self,
        database: Any,
        breaker_id: int,
        breaker: CircuitBreaker,
        *,
        expected_version: int | None = None,
    ) -> StoredBreaker:
        old = await self._require(database, breaker_id)
        if expected_version not in {None, old.version}:
            raise ConflictError(
                *(BREAKER, str(breaker_id)),
                expected_version=expected_version or 0,
                version=old.version,
            )
        stored = replace(
            old, breaker=breaker, version=old.version + 1, updated_at=datetime.now(UTC)
        )
        database.breakers[breaker_id] = stored
        return stored

    async def delete(self, database: Any, breaker_id: int) -> bool:
        return database.breakers.pop(breaker_id, None) is not None

    async def reset(self, database: Any, breaker_id: int, at: datetime) -> StoredBreaker:
        stored = replace(await self._require(database, breaker_id), reset_at=at)
        database.breakers[breaker_id] = stored
        return stored

    async def log_event(self, database: Any, breaker_id: int, **told: Any) -> Any:
        if breaker_id not in database.breakers:
            raise PreconditionError(f"circuit breaker {breaker_id} does not exist")
        breaker = database.breakers[breaker_id].breaker
        blank = {"action_result": None, "positions_affected": None}
        blank |= {"account_id": breaker.account_id, "breaker_name": breaker.name}
        blank |= {"directive_id": None, "epoch": None}
        blank |= {"acknowledged_at": None, "acknowledged_by": None}
        row = {"event_id": database.number(), "breaker_id": breaker_id, **blank, **told}
        row["occurred_at"] = datetime.now(UTC)
        database.events.append(row)
        return row

    async def get_events(
        self,
        database: Any,
        breaker_id: int | None,
        limit: int,
        *,
        before_event_id: int | None = None,
    ) -> list[Any]:
        found = [
            event
            for event in reversed(database.events)
            if breaker_id in {None, event["breaker_id"]}
            and (before_event_id is None or event["event_id"] < before_event_id)
        ]
        return found[:limit]

    async def _require(self, database: Any, breaker_id: int) -> StoredBreaker:
        found = await self.get_by_id(database, breaker_id)
        if found is None:
            raise NotFoundError(BREAKER, str(breaker_id))
        return found


class MemoryStrategies(StrategyRepository):
    async def enable(self, database: Any, account_id: str, strategy_id: str, at: datetime) -> None:
        database.strategies[account_id, strategy_id] = at


class MemoryDecisions(DecisionRepository):
    async def newest(self, database: Any, account_id: str, limit: int) -> list[RecordedDecision]:
        newest: list[RecordedDecision] = database.decisions.get(account_id, [])[:limit]
        return newest


MEMORY = Repositories(
    accounts=MemoryAccounts(),
    configurations=MemoryConfigurations(),
    breakers=MemoryBreakers(),
    strategies=MemoryStrategies(),
    decisions=MemoryDecisions(),
)


@dataclass
class MemoryChange:
    """An open change."""

    database: MemoryDatabase
    note: Note

    @property
    def version(self) -> int:
        return len(self.database.changes)

    async def publish(self, kind: int, key: str, rows: bytes) -> int:
        self.database.changes.append((kind, key, rows))
        return self.version

    async def audit(
        self, action: str, subject: str, key: str, *, old: object = None, new: object = None
    ) -> None:
        self.database.audits.append((action, subject, key, old, new))


@dataclass
class MemoryParts:
    """Stands in for `Parts`: changes happen whole or not at all, one after the other."""

    database: MemoryDatabase = field(default_factory=MemoryDatabase)
    publisher: Any = None
    woken: int = 0

    def __post_init__(self) -> None:
        self.publisher = self
        self._lock = asyncio.Lock()

    def wake(self) -> None:
        self.woken += 1

    @asynccontextmanager
    async def change(self, note: Note) -> AsyncIterator[MemoryChange]:
        async with self._lock:
            draft = deepcopy(self.database)
            yield MemoryChange(draft, note)
            self.database = draft

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[MemoryDatabase]:
        yield self.database
