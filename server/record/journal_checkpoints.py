"""Checkpoints of the journal in PostgreSQL; see server/journal/checkpoint.py for what they are."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, Self

import psycopg

from server.errors import UnavailableError
from server.journal.checkpoint import Checkpoint, Statement
from server.shards import WHOLE, Shard

_ROWS_AHEAD: Final = 1_000
_WHERE: Final = "FROM riskgate.journal_checkpoint WHERE (shard, shards) = (%s, %s)"
_CONNECT: Final[dict[str, Any]] = {
    "autocommit": True,
    "connect_timeout": 5,
    "options": "-c statement_timeout=60000 -c lock_timeout=10000 "
    "-c idle_in_transaction_session_timeout=60000 -c timezone=UTC "
    "-c application_name=riskgate-checkpoints",
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
}


class JournalCheckpoints:
    """The checkpoints of one journal in the record.

    The connection is made when it is first needed, and again after it was lost.

    Args:
        database_url: Of the record, migrated.
        shard: Whose journal it is.

    Raises (every method):
        UnavailableError: PostgreSQL is away, not migrated, or refuses.
    """

    name: Final = "PostgreSQL"

    def __init__(self, database_url: str, shard: Shard = WHOLE) -> None:
        self._database_url = database_url
        self._shard = [shard.index, shard.count]
        self._database: psycopg.Connection[tuple[Any, ...]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back the connection; the next call makes a new one."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def connect(self) -> None:
        """Make the connection now, to tell whether PostgreSQL can be reached."""
        with self._connected():
            pass

    def read(self, first_number: int = 1) -> Iterator[bytes]:
        """Return the envelopes in order; none if even their table is gone."""
        with self._connected() as database:
            table = database.execute("SELECT to_regclass('riskgate.journal_checkpoint')").fetchone()
        if table == (None,):
            return
        with (
            self._connected() as database,
            database.transaction(),
            database.cursor(name="checkpoints") as cursor,
        ):
            cursor.itersize = _ROWS_AHEAD
            cursor.execute(
                f"SELECT envelope {_WHERE} AND number >= %s ORDER BY number",
                [*self._shard, first_number],
            )
            for (envelope,) in cursor:
                yield bytes(envelope)

    def read_last(self) -> bytes | None:
        """Return the newest envelope; None before the first."""
        with self._connected() as database:
            row = database.execute(
                f"SELECT envelope {_WHERE} ORDER BY number DESC LIMIT 1", self._shard
            ).fetchone()
        return bytes(row[0]) if row else None

    def read_fingerprints(self, statement: Statement) -> bytes:
        """Return the fingerprints of a span, unverified; nothing if they are not there."""
        with self._connected() as database:
            row = database.execute(
                f"SELECT fingerprints {_WHERE} AND number = %s", [*self._shard, statement.number]
            ).fetchone()
        return bytes(row[0]) if row else b""

    def append(self, checkpoint: Checkpoint, fingerprints: bytes) -> None:
        """Add the next checkpoint, in one transaction.

        Raises:
            UnavailableError: As for all; or one of this number is there, so read again.
        """
        statement = checkpoint.statement
        with self._connected() as database:
            database.execute(
                "INSERT INTO riskgate.journal_checkpoint VALUES"
                " (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
                [
                    *self._shard,
                    statement.number,
                    statement.segment,
                    statement.first_entry,
                    statement.entry_count,
                    datetime.fromtimestamp(statement.made_at_ns / 1e9, UTC),
                    checkpoint.raw,
                    fingerprints,
                ],
            )

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        try:
            if self._database is None or self._database.closed:
                self._database = psycopg.connect(self._database_url, **_CONNECT)
            yield self._database
        except psycopg.Error as error:
            raise UnavailableError("record", str(error).strip() or type(error).__name__) from error
