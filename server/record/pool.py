"""Connections to PostgreSQL with every limit stated, and its errors in our words.

A statement, a lock and an idle transaction each end by themselves; a dead peer is noticed.
Nothing that PostgreSQL says leaves the process: its text stays in the log as the cause.
"""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import psycopg
from psycopg import errors
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from server.errors import (
    AlreadyExistsError,
    InvalidFieldError,
    PreconditionError,
    UnavailableError,
)

Database = psycopg.AsyncConnection[DictRow]
Pool = AsyncConnectionPool[Database]

# What PostgreSQL says of a reference to nothing.
_MISSING: Final = re.compile(
    r'Key \(.*?\)=\((?P<key>.*)\) is not present in table "(?P<table>\w+)"'
)
CONNECTIONS_MAX: Final = 8
ACQUIRE_TIMEOUT_S: Final = 3.0
_OPTIONS: Final = (
    "-c statement_timeout=10000 -c lock_timeout=5000 "
    "-c idle_in_transaction_session_timeout=15000 -c timezone=UTC"
)
_CONNECT: Final[dict[str, Any]] = {
    "autocommit": False,
    "row_factory": dict_row,
    "connect_timeout": 3,
    "options": _OPTIONS,
    "application_name": "riskgate-control",
    "tcp_user_timeout": 5_000,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
}


@asynccontextmanager
async def open_pool(database_url: str) -> AsyncIterator[Pool]:
    """Open a pool that reconnects by itself; it also opens while PostgreSQL is away."""
    pool: Pool = AsyncConnectionPool(
        database_url,
        connection_class=psycopg.AsyncConnection[DictRow],
        kwargs=_CONNECT,
        min_size=1,
        max_size=CONNECTIONS_MAX,
        timeout=ACQUIRE_TIMEOUT_S,
        max_waiting=256,
        max_lifetime=1_800,
        reconnect_timeout=2,
        check=AsyncConnectionPool.check_connection,
        open=False,
    )
    await pool.open(wait=False)
    try:
        yield pool
    finally:
        await pool.close(timeout=2)


@asynccontextmanager
async def connection(pool: Pool) -> AsyncIterator[Database]:
    """Borrow a connection for one transaction.

    Raises:
        UnavailableError: PostgreSQL is away or every connection is busy.
        RiskgateError: what the database refused, as one of our errors.
    """
    with named_errors():
        async with pool.connection() as database:
            yield database


@asynccontextmanager
async def connect(database_url: str) -> AsyncIterator[Database]:
    """Open one connection for a while, without a pool; each transaction is the caller's.

    Raises:
        UnavailableError: PostgreSQL is away.
        RiskgateError: what the database refused, as one of our errors.
    """
    with named_errors():
        database: Database = await psycopg.AsyncConnection.connect(
            database_url, **_CONNECT | {"autocommit": True}
        )
        async with database:
            yield database


@contextmanager
def named_errors() -> Iterator[None]:
    """Turn what PostgreSQL refuses into the error a caller can act on."""
    try:
        yield
    except errors.UniqueViolation as error:
        raise AlreadyExistsError(_table(error), _constraint(error)) from error
    except (errors.ForeignKeyViolation, errors.RestrictViolation) as error:
        if missing := _MISSING.match(error.diag.message_detail or ""):
            problem = f"{missing['table']} {missing['key']} does not exist"
            raise PreconditionError(problem) from error
        raise PreconditionError(f"{_table(error)} is used by or needs another entry") from error
    except (errors.CheckViolation, errors.NotNullViolation) as error:
        raise InvalidFieldError(_table(error), _constraint(error)) from error
    except errors.DataError as error:
        raise InvalidFieldError("value", "is out of range") from error
    except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout) as error:
        raise UnavailableError("record", str(error)) from error


def _table(error: psycopg.Error) -> str:
    return (error.diag.table_name or "entry").replace("_", " ")


def _constraint(error: psycopg.Error) -> str:
    return (error.diag.constraint_name or "value refused").replace("_", " ")
