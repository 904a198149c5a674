"""Strategies that a person has let go on; how often one was executed is known to the engines."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from server.record import rows
from server.record.pool import Database

_TABLE: Final = "strategy_enabling"


class Enabling(NamedTuple):
    """When a strategy of an account was enabled last."""

    account_id: str
    strategy_id: str
    enabled_at: datetime


class StrategyRepository:
    """Enabled strategies by account and strategy_id."""

    async def enable(
        self, database: Database, account_id: str, strategy_id: str, at: datetime
    ) -> None:
        """Note that a strategy is enabled."""
        key = {"account_id": account_id, "strategy_id": strategy_id}
        await rows.upsert(database, _TABLE, key, {"enabled_at": at})

    async def page(
        self, database: Database, *, after: Sequence[str] | None, limit: int
    ) -> list[Enabling]:
        """Return them ordered by account and strategy."""
        order = ["account_id", "strategy_id"]
        found = await rows.page(database, _TABLE, order, after=after, limit=limit)
        return [Enabling(**row) for row in found]
