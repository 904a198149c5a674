"""Rows of instruments and accounts."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Any, Final

from psycopg.rows import DictRow

from server.entities import Account, Instrument, TradingHours
from server.record import rows
from server.record.pool import Database

_DAY_MINUTES: Final = 1_440
# Where trading hours stand, as minutes from Monday 00:00.
_MINUTES: Final = {"opens": "hours_open_minutes", "closes": "hours_close_minutes"}


class InstrumentRepository:
    """Instruments by symbol."""

    table = "instrument"

    async def get(self, database: Database, symbol: str) -> Instrument | None:
        """Return the instrument, or None."""
        row = await rows.find(database, self.table, {"symbol": symbol})
        return None if row is None else _instrument(row)

    async def page(
        self, database: Database, *, after: Sequence[str] | None, limit: int
    ) -> list[Instrument]:
        """Return instruments in the order of their symbols."""
        found = await rows.page(database, self.table, ["symbol"], after=after, limit=limit)
        return [_instrument(row) for row in found]

    async def put(self, database: Database, instrument: Instrument) -> None:
        """Create or replace the instrument."""
        values = asdict(instrument)
        del values["trading_hours"]
        for name in ("opens", "closes"):
            values[_MINUTES[name]] = [
                (each.day_of_week - 1) * _DAY_MINUTES + getattr(each, f"{name}_minute")
                for each in instrument.trading_hours
            ]
        await _put(database, self.table, "symbol", values)

    async def delete(self, database: Database, symbol: str) -> bool:
        """Remove the instrument; False when there was none."""
        return await rows.delete(database, self.table, {"symbol": symbol})


class AccountRepository:
    """Accounts by account_id."""

    table = "account"

    async def get(self, database: Database, account_id: str) -> Account | None:
        """Return the account, or None."""
        row = await rows.find(database, self.table, {"account_id": account_id})
        return None if row is None else _entity(Account, row)

    async def page(
        self,
        database: Database,
        *,
        after: Sequence[str] | None,
        limit: int,
        among: Collection[str] | None = None,
    ) -> list[Account]:
        """Return accounts in the order of their ids; only some, unless `among` is None."""
        found = await rows.page(
            database,
            self.table,
            ["account_id"],
            after=after,
            limit=limit,
            among={"account_id": among},
        )
        return [_entity(Account, row) for row in found]

    async def put(self, database: Database, account: Account) -> None:
        """Create or replace the account."""
        await _put(database, self.table, "account_id", asdict(account))

    async def delete(self, database: Database, account_id: str) -> bool:
        """Remove the account; False when there was none."""
        return await rows.delete(database, self.table, {"account_id": account_id})


def _instrument(row: DictRow) -> Instrument:
    both = zip(*(row[column] for column in _MINUTES.values()), strict=True)
    days = [(opens // _DAY_MINUTES, opens, closes) for opens, closes in both]
    hours = tuple(
        TradingHours(
            day_of_week=day + 1,
            opens_minute=opens - day * _DAY_MINUTES,
            closes_minute=closes - day * _DAY_MINUTES,
        )
        for day, opens, closes in days
    )
    entity: Instrument = _entity(Instrument, row | {"trading_hours": hours})
    return entity


async def _put(database: Database, table: str, key: str, values: dict[str, Any]) -> None:
    values["updated_at"] = datetime.now(UTC)
    await rows.upsert(database, table, {key: values.pop(key)}, values)


def _entity(kind: Any, row: DictRow) -> Any:
    return kind(**{field.name: row[field.name] for field in fields(kind)})
