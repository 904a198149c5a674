"""The few statements that every repository needs.

They are composed from table and column names of our own code, never from input.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from psycopg.rows import DictRow
from psycopg.sql import SQL, Composed, Identifier, Placeholder

from server.record.pool import Database

_SCHEMA = "riskgate"


async def find(database: Database, table: str, key: Mapping[str, Any]) -> DictRow | None:
    """Return the one row with this key, or None."""
    query = SQL("SELECT * FROM {} WHERE {}").format(_name(table), _equal(key))
    return await (await database.execute(query, list(key.values()))).fetchone()


async def page(
    database: Database,
    table: str,
    order: Sequence[str],
    *,
    after: Sequence[str] | None,
    limit: int,
    where: Mapping[str, Any] | None = None,
    among: Mapping[str, Collection[str] | None] | None = None,
) -> list[DictRow]:
    """Return up to `limit` rows in the order of these columns, after the row with that key.

    Args:
        database: Open transaction.
        table: Of the schema.
        order: Columns of the order, which together are a key.
        after: Key of the last row seen; None: from the first row.
        limit: Rows at most.
        where: Values that columns must have.
        among: Columns of which each value must be among some; None in their place: any value.
    """
    conditions = [_equal(where)] if where else []
    values = list(where.values()) if where else []
    for column, allowed in (among or {}).items():
        if allowed is not None:
            conditions.append(SQL("{} = ANY({})").format(Identifier(column), Placeholder()))
            values.append(list(allowed))
    columns = SQL(", ").join(Identifier(column) for column in order)
    if after is not None:
        places = SQL(", ").join([Placeholder()] * len(order))
        conditions.append(SQL("({}) > ({})").format(columns, places))
        values += after
    condition = SQL(" WHERE ") + SQL(" AND ").join(conditions) if conditions else SQL("")
    query = SQL("SELECT * FROM {}{} ORDER BY {} LIMIT %s").format(_name(table), condition, columns)
    return await (await database.execute(query, [*values, limit])).fetchall()


async def insert(database: Database, table: str, values: Mapping[str, Any]) -> DictRow:
    """Insert a row and return it as stored."""
    query = SQL("INSERT INTO {} ({}) VALUES ({}) RETURNING *").format(
        _name(table),
        SQL(", ").join(map(Identifier, values)),
        SQL(", ").join([Placeholder()] * len(values)),
    )
    row = await (await database.execute(query, list(values.values()))).fetchone()
    assert row is not None  # noqa: S101 - INSERT … RETURNING without a conflict clause has a row
    return row


async def update(
    database: Database, table: str, key: Mapping[str, Any], values: Mapping[str, Any]
) -> DictRow | None:
    """Change the row with this key and return it as stored, or None."""
    assignments = SQL(", ").join(
        SQL("{} = {}").format(Identifier(column), Placeholder()) for column in values
    )
    query = SQL("UPDATE {} SET {} WHERE {} RETURNING *").format(
        _name(table), assignments, _equal(key)
    )
    cursor = await database.execute(query, [*values.values(), *key.values()])
    return await cursor.fetchone()


async def upsert(
    database: Database, table: str, key: Mapping[str, Any], values: Mapping[str, Any]
) -> None:
    """Insert the row with this key, or change it where it is."""
    everything = {**key, **values}
    query = SQL("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT ({}) DO UPDATE SET {}").format(
        _name(table),
        SQL(", ").join(map(Identifier, everything)),
        SQL(", ").join([Placeholder()] * len(everything)),
        SQL(", ").join(map(Identifier, key)),
        SQL(", ").join(SQL("{0} = EXCLUDED.{0}").format(Identifier(name)) for name in values),
    )
    await database.execute(query, list(everything.values()))


async def delete(database: Database, table: str, key: Mapping[str, Any]) -> bool:
    """Remove the row with this key; False when there was none."""
    query = SQL("DELETE FROM {} WHERE {}").format(_name(table), _equal(key))
    return (await database.execute(query, list(key.values()))).rowcount > 0


def _name(table: str) -> Identifier:
    return Identifier(_SCHEMA, table)


def _equal(key: Mapping[str, Any]) -> Composed:
    return SQL(" AND ").join(
        SQL("{} = {}").format(Identifier(column), Placeholder()) for column in key
    )
