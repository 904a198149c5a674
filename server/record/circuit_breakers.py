"""Rows of circuit breakers and of the events in which they tripped.

Method names are those of the system that this record takes over; `to_dict` and `event_to_dict`
speak its field names.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from server.entities import BreakerProvider, CircuitBreaker
from server.errors import AlreadyExistsError, ConflictError, NotFoundError, PreconditionError
from server.record import rows
from server.record.pool import Database

_TABLE: Final = "circuit_breaker"
_EVENTS: Final = "circuit_breaker_event"
KIND: Final = "circuit breaker"
_SCOPES: Final = ("symbols", "exchanges", "strategies")
_PARAMETERS: Final = (
    "threshold",
    "multiplier",
    "cooling_off_minutes",
    "half_open_minutes",
    "lock_after_trips",
)


@dataclass(frozen=True, slots=True)
class StoredBreaker:
    """A breaker as it stands in the record.

    Attributes:
        version: Counts its updates from 1.
        reset_at: When a person reset it last; None: never.
    """

    breaker_id: int
    breaker: CircuitBreaker
    version: int
    created_at: datetime
    updated_at: datetime
    reset_at: datetime | None = None


class CircuitBreakerRepository:
    """Circuit breakers by id, or by name inside an account."""

    async def get_by_id(self, database: Database, breaker_id: int) -> StoredBreaker | None:
        """Return the breaker, or None."""
        row = await rows.find(database, _TABLE, {"breaker_id": breaker_id})
        return None if row is None else _stored(row)

    async def get_by_name(
        self, database: Database, name: str, account_id: str
    ) -> StoredBreaker | None:
        """Return the breaker of an account with this name, or None."""
        row = await rows.find(database, _TABLE, {"account_id": account_id, "name": name})
        return None if row is None else _stored(row)

    async def get_all_for_account(self, database: Database, account_id: str) -> list[StoredBreaker]:
        """Return every breaker of an account in the order of their names."""
        query = "SELECT * FROM riskgate.circuit_breaker WHERE account_id = %s ORDER BY name"
        found = await (await database.execute(query, [account_id])).fetchall()
        return [_stored(row) for row in found]

    async def page(
        self,
        database: Database,
        *,
        account_id: str,
        after: Sequence[str] | None,
        limit: int,
        among: Collection[str] | None = None,
    ) -> list[StoredBreaker]:
        """Return breakers ordered by account and name.

        Args:
            database: Open transaction.
            account_id: Whose; empty: of all accounts.
            after: Key of the last one seen; None: from the first one.
            limit: How many at most.
            among: Of these accounts only; None: of any.
        """
        where = {"account_id": account_id} if account_id else None
        order = ["account_id", "name"]
        found = await rows.page(
            database,
            _TABLE,
            order,
            after=after,
            limit=limit,
            where=where,
            among={"account_id": among},
        )
        return [_stored(row) for row in found]

    async def create(self, database: Database, breaker: CircuitBreaker) -> StoredBreaker:
        """Store a new breaker.

        Raises:
            AlreadyExistsError: the account has one of this name.
        """
        if await self.get_by_name(database, breaker.name, breaker.account_id):
            raise AlreadyExistsError(KIND, breaker.name)
        return _stored(await rows.insert(database, _TABLE, _columns(breaker)))

    async def update(
        self,
        database: Database,
        breaker_id: int,
        breaker: CircuitBreaker,
        *,
        expected_version: int | None = None,
    ) -> StoredBreaker:
        """Replace a breaker.

        Raises:
            NotFoundError: there is none of this id.
            ConflictError: its version is not the expected one.
        """
        current = await self.get_by_id(database, breaker_id)
        if current is None:
            raise NotFoundError(KIND, str(breaker_id))
        if expected_version not in {None, current.version}:
            raise ConflictError(
                KIND,
                str(breaker_id),
                expected_version=expected_version or 0,
                version=current.version,
            )
        values = _columns(breaker)
        values |= {"version": current.version + 1, "updated_at": datetime.now(UTC)}
        row = await rows.update(database, _TABLE, {"breaker_id": breaker_id}, values)
        return current if row is None else _stored(row)

    async def delete(self, database: Database, breaker_id: int) -> bool:
        """Remove a breaker with its events; False when there was none."""
        return await rows.delete(database, _TABLE, {"breaker_id": breaker_id})

    async def enable(self, database: Database, breaker_id: int) -> StoredBreaker:
        """Let a breaker trip again.

        Raises:
            NotFoundError: there is none of this id.
        """
        return await self._switch(database, breaker_id, enabled=True)

    async def disable(self, database: Database, breaker_id: int) -> StoredBreaker:
        """Keep a breaker from tripping.

        Raises:
            NotFoundError: there is none of this id.
        """
        return await self._switch(database, breaker_id, enabled=False)

    async def reset(self, database: Database, breaker_id: int, at: datetime) -> StoredBreaker:
        """Note that a person resets a breaker; its definition and version stay.

        Raises:
            NotFoundError: there is none of this id.
        """
        row = await rows.update(database, _TABLE, {"breaker_id": breaker_id}, {"reset_at": at})
        if row is None:
            raise NotFoundError(KIND, str(breaker_id))
        return _stored(row)

    async def log_event(
        self,
        database: Database,
        breaker_id: int,
        *,
        triggered_values: Mapping[str, Any],
        action_taken: str,
        action_result: Mapping[str, Any] | None = None,
        positions_affected: Sequence[Any] | None = None,
    ) -> DictRow:
        """Append one trip of a breaker.

        Raises:
            PreconditionError: the breaker is not on record.
        """
        stored = await self.get_by_id(database, breaker_id)
        if stored is None:
            raise PreconditionError(f"circuit breaker {breaker_id} does not exist")
        values = {
            "breaker_id": breaker_id,
            "account_id": stored.breaker.account_id,
            "breaker_name": stored.breaker.name,
            "triggered_values": Jsonb(triggered_values),
            "action_taken": action_taken,
            "action_result": None if action_result is None else Jsonb(action_result),
            "positions_affected": None if positions_affected is None else Jsonb(positions_affected),
        }
        return await rows.insert(database, _EVENTS, values)

    async def get_events(
        self,
        database: Database,
        breaker_id: int | None,
        limit: int,
        *,
        before_event_id: int | None = None,
    ) -> list[DictRow]:
        """Return the newest events of one breaker, or of all, newest first."""
        query = (
            "SELECT * FROM riskgate.circuit_breaker_event"
            " WHERE (%(breaker)s::bigint IS NULL OR breaker_id = %(breaker)s)"
            " AND (%(before)s::bigint IS NULL OR event_id < %(before)s)"
            " ORDER BY event_id DESC LIMIT %(limit)s"
        )
        values = {"breaker": breaker_id, "before": before_event_id, "limit": limit}
        return await (await database.execute(query, values)).fetchall()

    def to_dict(self, stored: StoredBreaker) -> dict[str, Any]:
        """Return the breaker in the field names of its origin; None in a scope means all."""
        breaker = stored.breaker
        parameters = {name: getattr(breaker, name) for name in _PARAMETERS}
        return {
            "id": stored.breaker_id,
            "name": breaker.name,
            "description": breaker.description,
            "account_id": breaker.account_id,
            "condition": breaker.condition,
            "action": breaker.action,
            "expression": breaker.expression or None,
            "parameters": {name: value for name, value in parameters.items() if value is not None},
            "symbols": list(breaker.symbols) or None,
            "exchanges": list(breaker.exchanges) or None,
            "providers": [asdict(each) for each in breaker.providers] or None,
            "strategies": list(breaker.strategies) or None,
            "enabled": breaker.enabled,
            "created_at": stored.created_at,
            "updated_at": stored.updated_at,
        }

    def event_to_dict(self, event: DictRow) -> dict[str, Any]:
        """Return an event in the field names of its origin."""
        return {
            "id": event["event_id"],
            "circuit_breaker_id": event["breaker_id"],
            "timestamp": event["occurred_at"],
            "triggered_values": event["triggered_values"],
            "action_taken": event["action_taken"],
            "action_result": event["action_result"],
            "positions_affected": event["positions_affected"],
        }

    async def _switch(self, database: Database, breaker_id: int, *, enabled: bool) -> StoredBreaker:
        current = await self.get_by_id(database, breaker_id)
        if current is None:
            raise NotFoundError(KIND, str(breaker_id))
        if current.breaker.enabled == enabled:
            return current
        switched = replace(current.breaker, enabled=enabled)
        return await self.update(database, breaker_id, switched)


def _columns(breaker: CircuitBreaker) -> dict[str, Any]:
    values = asdict(breaker)
    for scope in _SCOPES:
        values[scope] = list(values[scope]) or None
    values["providers"] = Jsonb(values["providers"]) if values["providers"] else None
    return values


def _stored(row: DictRow) -> StoredBreaker:
    values = dict(row)
    for name in ("breaker_id", "version", "created_at", "updated_at", "reset_at"):
        del values[name]
    for scope in _SCOPES:
        values[scope] = tuple(values[scope] or ())
    values["providers"] = tuple(BreakerProvider(**each) for each in values["providers"] or ())
    return StoredBreaker(
        row["breaker_id"],
        CircuitBreaker(**values),
        row["version"],
        row["created_at"],
        row["updated_at"],
        row["reset_at"],
    )
