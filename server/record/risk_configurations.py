"""Rows of risk configurations with their symbol overrides.

Method names are those of the system that this record takes over; `to_dict` speaks its field names
and percents. A configuration and its symbol rows are written in the caller's transaction: all of
them or none.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from server.entities import RegimeThreshold, RiskConfiguration, SymbolRiskConfiguration, plain
from server.errors import AlreadyExistsError, ConflictError, NotFoundError
from server.record import rows
from server.record.pool import Database

_TABLE: Final = "risk_configuration"
_SYMBOLS: Final = "symbol_risk_configuration"
_SYMBOL_COLUMNS: Final = (
    "symbol",
    "max_position_size_fraction",
    "max_leverage",
    "position_max_drawdown_fraction",
    "risk_per_trade_fraction",
    "override",
    "max_order_value",
    "max_order_lots",
    "max_long_lots",
    "max_short_lots",
    "restricted",
)
_OF_THE_RECORD: Final = (
    "id",
    "version",
    "created_at",
    "updated_at",
    "saved_breakers",
    "breakers_saved_at",
)
KIND: Final = "risk configuration"


@dataclass(frozen=True, slots=True)
class StoredRiskConfiguration:
    """A configuration as it stands in the record.

    Attributes:
        version: Counts its updates from 1.
        saved_breakers: The account's breakers when it was saved, as JSON values; None: it was not.
        breakers_saved_at: When that was.
    """

    configuration: RiskConfiguration
    version: int
    created_at: datetime
    updated_at: datetime
    saved_breakers: Sequence[dict[str, Any]] | None = None
    breakers_saved_at: datetime | None = None


class RiskConfigurationRepository:
    """Risk configurations by account and config_id."""

    async def get_by_id(
        self, database: Database, config_id: str, account_id: str
    ) -> StoredRiskConfiguration | None:
        """Return the configuration, or None."""
        key = {"account_id": account_id, "config_id": config_id}
        row = await rows.find(database, _TABLE, key)
        return None if row is None else (await _with_symbols(database, [row]))[0]

    async def get_all_for_account(
        self, database: Database, account_id: str
    ) -> list[StoredRiskConfiguration]:
        """Return every configuration of an account in the order of config_id."""
        query = "SELECT * FROM riskgate.risk_configuration WHERE account_id = %s ORDER BY config_id"
        found = await (await database.execute(query, [account_id])).fetchall()
        return await _with_symbols(database, found)

    async def get_active(
        self, database: Database, account_id: str
    ) -> StoredRiskConfiguration | None:
        """Return the configuration that decides for an account, or None."""
        row = await rows.find(database, _TABLE, {"account_id": account_id, "is_active": True})
        return None if row is None else (await _with_symbols(database, [row]))[0]

    async def page(
        self,
        database: Database,
        *,
        account_id: str,
        after: Sequence[str] | None,
        limit: int,
        among: Collection[str] | None = None,
    ) -> list[StoredRiskConfiguration]:
        """Return configurations ordered by account and config_id.

        Args:
            database: Open transaction.
            account_id: Whose; empty: of all accounts.
            after: Key of the last one seen; None: from the first one.
            limit: How many at most.
            among: Of these accounts only; None: of any.
        """
        where = {"account_id": account_id} if account_id else None
        order = ["account_id", "config_id"]
        found = await rows.page(
            database,
            _TABLE,
            order,
            after=after,
            limit=limit,
            where=where,
            among={"account_id": among},
        )
        return await _with_symbols(database, found)

    async def create(
        self, database: Database, configuration: RiskConfiguration
    ) -> StoredRiskConfiguration:
        """Store a new configuration with its symbol rows.

        Raises:
            AlreadyExistsError: the account has one of this id.
        """
        key = {"account_id": configuration.account_id, "config_id": configuration.config_id}
        if await rows.find(database, _TABLE, key):
            raise AlreadyExistsError(KIND, configuration.config_id)
        row = await rows.insert(database, _TABLE, _columns(configuration))
        await _insert_symbols(database, row["id"], configuration)
        return _stored(row, configuration.symbol_configs)

    async def update(
        self,
        database: Database,
        configuration: RiskConfiguration,
        *,
        expected_version: int | None = None,
    ) -> StoredRiskConfiguration:
        """Replace a configuration and its symbol rows; breakers saved with it are forgotten.

        Raises:
            NotFoundError: there is none of this id.
            ConflictError: its version is not the expected one.
        """
        key = {"account_id": configuration.account_id, "config_id": configuration.config_id}
        current = await rows.find(database, _TABLE, key)
        if current is None:
            raise NotFoundError(KIND, configuration.config_id)
        version = int(current["version"])
        if expected_version is not None and expected_version != version:
            raise ConflictError(
                KIND, configuration.config_id, expected_version=expected_version, version=version
            )
        values = _columns(configuration)
        values |= {"version": version + 1, "updated_at": datetime.now(UTC)}
        values |= {"saved_breakers": None, "breakers_saved_at": None}
        row = await rows.update(database, _TABLE, key, values)
        await database.execute(
            "DELETE FROM riskgate.symbol_risk_configuration WHERE risk_configuration_id = %s",
            [current["id"]],
        )
        await _insert_symbols(database, current["id"], configuration)
        return _stored(row or current, configuration.symbol_configs)

    async def delete(self, database: Database, config_id: str, account_id: str) -> bool:
        """Remove a configuration with its symbol rows; False when there was none."""
        key = {"account_id": account_id, "config_id": config_id}
        return await rows.delete(database, _TABLE, key)

    async def keep_breakers(
        self,
        database: Database,
        config_id: str,
        account_id: str,
        breakers: Sequence[Mapping[str, Any]],
    ) -> StoredRiskConfiguration:
        """Keep breakers, as JSON values, with a configuration until it is updated.

        Raises:
            NotFoundError: there is none of this id.
        """
        key = {"account_id": account_id, "config_id": config_id}
        values = {
            "saved_breakers": Jsonb(list(breakers)),
            "breakers_saved_at": datetime.now(UTC),
        }
        row = await rows.update(database, _TABLE, key, values)
        if row is None:
            raise NotFoundError(KIND, config_id)
        return (await _with_symbols(database, [row]))[0]

    def to_dict(self, stored: StoredRiskConfiguration) -> dict[str, Any]:
        """Return the configuration in the field names and percents of its origin."""
        configuration = stored.configuration
        named = {_edge_name(name): value for name, value in _edge_values(configuration)}
        named["market_regime_thresholds"] = {
            name: {"multiplier": rule.multiplier, "block": rule.block}
            for name, rule in configuration.market_regime_thresholds.items()
        }
        named["symbol_configs"] = [
            {_edge_name(name): value for name, value in _edge_values(symbol)}
            for symbol in configuration.symbol_configs
        ]
        named["created_at"] = stored.created_at
        named["updated_at"] = stored.updated_at
        return named


def _edge_name(name: str) -> str:
    return name.removesuffix("_fraction") + "_percentage" if name.endswith("_fraction") else name


def _edge_values(entity: Any) -> list[tuple[str, Any]]:
    return [
        (name, value * 100 if name.endswith("_fraction") and isinstance(value, Decimal) else value)
        for name, value in asdict(entity).items()
    ]


def _columns(configuration: RiskConfiguration) -> dict[str, Any]:
    values = asdict(configuration)
    del values["symbol_configs"]
    values["market_regime_thresholds"] = Jsonb(plain(configuration.market_regime_thresholds))
    return values


async def _insert_symbols(
    database: Database, row_id: int, configuration: RiskConfiguration
) -> None:
    for symbol in configuration.symbol_configs:
        values = {"risk_configuration_id": row_id, **asdict(symbol)}
        await rows.insert(database, _SYMBOLS, values)


async def _with_symbols(
    database: Database, found: Sequence[DictRow]
) -> list[StoredRiskConfiguration]:
    query = (
        "SELECT * FROM riskgate.symbol_risk_configuration"
        " WHERE risk_configuration_id = ANY(%s) ORDER BY risk_configuration_id, symbol"
    )
    cursor = await database.execute(query, [[row["id"] for row in found]])
    symbols: dict[int, list[SymbolRiskConfiguration]] = {}
    for row in await cursor.fetchall():
        entity = SymbolRiskConfiguration(**{name: row[name] for name in _SYMBOL_COLUMNS})
        symbols.setdefault(row["risk_configuration_id"], []).append(entity)
    return [_stored(row, tuple(symbols.get(row["id"], ()))) for row in found]


def _stored(row: DictRow, symbols: tuple[SymbolRiskConfiguration, ...]) -> StoredRiskConfiguration:
    values = dict(row)
    for name in _OF_THE_RECORD:
        del values[name]
    values["market_regime_thresholds"] = {
        name: RegimeThreshold(multiplier=Decimal(rule["multiplier"]), block=rule["block"])
        for name, rule in row["market_regime_thresholds"].items()
    }
    configuration = RiskConfiguration(**values, symbol_configs=symbols)
    return StoredRiskConfiguration(
        configuration, *(row[name] for name in _OF_THE_RECORD if name != "id")
    )
