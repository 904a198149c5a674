"""The audit log as a chain, read for verification: by control as it grows, by commands as a whole.

What is hashed is put together by PostgreSQL from the columns, and not kept as a copy beside them:
so whoever alters any column alters it, and hundreds of thousands of rows are read in a second.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Self

import psycopg

from server.errors import UnavailableError
from server.record.pool import Database
from server.security.audit_rows import NO_HASH, ChainRow

# The same bytes as encode_canonical of server/record/audit.py; a test compares them. Names sorted.
_TEXT: Final = """convert_to(concat('{"action":', to_json(action), ',"actor":', to_json(actor),
',"address":', to_json(address), ',"audit_id":', audit_id, ',"identity":', to_json(identity),
',"method":', to_json(method), ',"new_value":', coalesce(new_value::text, 'null'),
',"occurred_at_us":', (extract(epoch FROM occurred_at) * 1000000)::bigint,
',"old_value":', coalesce(old_value::text, 'null'), ',"outcome":', to_json(outcome),
',"reason":', to_json(reason::text), ',"state_version":', coalesce(state_version::text, 'null'),
',"subject":', to_json(subject), ',"subject_key":', to_json(subject_key), '}'), 'UTF8')"""
_COLUMNS: Final = f"audit_id, previous_hash, hash, {_TEXT} AS text"
_SELECT: Final = f"SELECT {_COLUMNS} FROM riskgate.audit_log"  # noqa: S608 - nothing from outside
_PAGE: Final = f"{_SELECT} WHERE audit_id > %s ORDER BY audit_id LIMIT %s"
_COPY: Final = f"COPY ({_SELECT} ORDER BY audit_id) TO STDOUT (FORMAT binary)"
_HEAD: Final = "SELECT row_count, newest_hash FROM riskgate.audit_head"
_LEDGER: Final = "SELECT count(*) AS entry_count FROM riskgate.ledger_entry"
_TYPES: Final = ["int8", "bytea", "bytea", "bytea"]
_CONNECT: Final[dict[str, Any]] = {
    "autocommit": True,
    "connect_timeout": 5,
    "options": "-c lock_timeout=10000 -c timezone=UTC -c application_name=riskgate-audit",
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
}


async def read_head_row(database: Database) -> tuple[int, bytes]:
    """Return how many rows there are, by the row that appending locks, and the last one's hash."""
    row = await (await database.execute(_HEAD)).fetchone()
    return (int(row["row_count"]), bytes(row["newest_hash"])) if row else (0, NO_HASH)


async def count_ledger_entries(database: Database) -> int:
    """Return how many entries the ledger of models has."""
    row = await (await database.execute(_LEDGER)).fetchone()
    return int(row["entry_count"]) if row else 0


async def read_rows(database: Database, after: int, limit: int) -> list[ChainRow]:
    """Return rows behind a number, in order."""
    found = await (await database.execute(_PAGE, [after, limit])).fetchall()
    return [
        ChainRow(
            int(row["audit_id"]),
            bytes(row["previous_hash"]),
            bytes(row["hash"]),
            bytes(row["text"]),
        )
        for row in found
    ]


class AuditLog:
    """The whole log at one moment: what is appended meanwhile is not seen.

    Args:
        database_url: Of the record, migrated.

    Raises (every method):
        UnavailableError: PostgreSQL is away, not migrated, or refuses.
    """

    def __init__(self, database_url: str) -> None:
        with _named_errors():
            self._database = psycopg.connect(database_url, **_CONNECT)
            self._database.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def read_head_row(self) -> tuple[int, bytes]:
        """Return row count and newest hash as the head row says."""
        with _named_errors():
            row = self._database.execute(_HEAD).fetchone()
        return (int(row[0]), bytes(row[1])) if row else (0, NO_HASH)

    def read(self) -> Iterator[ChainRow]:
        """Return all rows by their numbers; who stops in between may read again."""
        with (
            _named_errors(),
            # A savepoint: a COPY that is not read to its end fails.
            self._database.transaction(),
            self._database.cursor() as cursor,
            cursor.copy(_COPY) as copy,
        ):
            copy.set_types(_TYPES)
            yield from map(ChainRow._make, copy.rows())


@contextmanager
def _named_errors() -> Iterator[None]:
    try:
        yield
    except (psycopg.Error, OSError) as error:
        raise UnavailableError("record", str(error)) from error
