"""The recorder's side of the record: rows by COPY, and the offset in the same transaction.

A batch states the entry it goes on from. If the offset is another by now, nothing is written: so
neither a second recorder nor a repeat after a COMMIT whose outcome was not heard writes twice.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple, Self

import psycopg
from psycopg import sql
from psycopg.types.string import BytesBinaryDumper

from server.errors import BrokenInvariantError, UnavailableError
from server.hotpath.reasons import CHECK_UNITS, REASON_CODES, U_NONE
from server.record.archive_tables import Table

log = logging.getLogger(__name__)

DAYS_AHEAD: Final = 3
_EPOCH_DAY: Final = datetime(1970, 1, 1, tzinfo=UTC).date()
# Partitions are small while they fill and nobody has analysed them yet: a plan made then must not
# scan them when they are large.
_OPTIONS: Final = (
    "-c statement_timeout=60000 -c lock_timeout=10000 -c idle_in_transaction_session_timeout=60000 "
    "-c timezone=UTC -c enable_seqscan=off -c jit=off -c application_name=riskgate-recorder"
)
_CONNECT: Final[dict[str, Any]] = {
    "autocommit": True,
    "connect_timeout": 5,
    "options": _OPTIONS,
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
}
_REFUSED: Final = (psycopg.IntegrityError, psycopg.DataError)

Database = psycopg.Connection[tuple[Any, ...]]


class Position(NamedTuple):
    """The newest entry that is recorded; all 0 before the first."""

    entry_number: int
    epoch: int
    sequence: int


class Instrument(NamedTuple):
    """Sizes of one symbol."""

    lot_step: Decimal
    pip_size: Decimal


class Reference(NamedTuple):
    """Instruments by symbol, algorithms by SHA-256 of the model."""

    instruments: dict[str, Instrument]
    algorithms: dict[bytes, str]


class RefusedRowsError(BrokenInvariantError):
    """PostgreSQL does not take rows that we made: a key is there already or a value is wrong."""


class Archive:
    """One connection of the recorder of one shard.

    Args:
        database_url: Of the record, migrated.
        shard: 0 to shards - 1.
        shards: 1 without sharding.

    Raises (every method):
        UnavailableError: PostgreSQL is away or cannot take it now; what happened to the
            transaction is told by `read_position` on a new connection.
        RefusedRowsError: It refuses a row for good.
    """

    def __init__(self, database_url: str, *, shard: int = 0, shards: int = 1) -> None:
        self._shard = (shard, shards)
        self._days: set[int] = set()
        with _named_errors():
            self.database: Database = psycopg.connect(database_url, **_CONNECT)
        # The last one registered is taken for a type; by itself that is a slow one.
        self.database.adapters.register_dumper(bytes, BytesBinaryDumper)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.database.close()

    def prepare(self, reasons: Iterable[tuple[int, int, str, str]]) -> Position:
        """Name the checks, make the offset's row if it is not there, and return the offset.

        Args:
            reasons: Index, code, name and unit of every check.
        """
        with _named_errors(), self.database.transaction(), self.database.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO riskgate.reason VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
                list(reasons),
            )
            cursor.execute(
                "INSERT INTO riskgate.journal_offset (shard, shards, entry_number, epoch, sequence)"
                " VALUES (%s, %s, 0, 0, 0) ON CONFLICT DO NOTHING",
                self._shard,
            )
            cursor.execute(
                "SELECT entry_number, epoch, sequence FROM riskgate.journal_offset"
                " WHERE (shard, shards) = (%s, %s)",
                self._shard,
            )
            return Position(*(cursor.fetchone() or (0, 0, 0)))

    def read_reference(self) -> Reference:
        """Return all instruments and models of the record."""
        with _named_errors():
            instruments = self.database.execute(
                "SELECT symbol, lot_step, pip_size FROM riskgate.instrument"
            ).fetchall()
            models = self.database.execute(
                "SELECT digest, algorithm FROM riskgate.model_version"
            ).fetchall()
        return Reference(
            {symbol: Instrument(*sizes) for symbol, *sizes in instruments},
            {bytes(digest): algorithm for digest, algorithm in models},
        )

    def make_days(self, days: Iterable[int]) -> None:
        """Make the partitions of these days, of today and of a few days ahead.

        Args:
            days: Counted from 1970-01-01 UTC.
        """
        today = (datetime.now(UTC).date() - _EPOCH_DAY).days
        wanted = {*days, *range(today, today + DAYS_AHEAD + 1)} - self._days
        with _named_errors():
            for day in sorted(wanted):
                self.database.execute(
                    "SELECT riskgate.make_archive_day(%s)", [_EPOCH_DAY + timedelta(days=day)]
                )
        self._days |= wanted

    def record(
        self,
        start: Position,
        end: Position,
        entry_at: datetime,
        write: Callable[[Database], None],
    ) -> bool:
        """Move the offset and write rows, both or neither.

        Args:
            start: Where the rows begin; must be the offset.
            end: The new offset.
            entry_at: Clock reading of the last entry.
            write: Writes the rows inside the transaction.

        Returns:
            Whether it was written; False: the offset is another by now, read it.
        """
        with _named_errors(), self.database.transaction():
            # First, so that another recorder waits here and then finds that it is late.
            moved = self.database.execute(
                "UPDATE riskgate.journal_offset SET (entry_number, epoch, sequence, entry_at,"
                " updated_at) = (%s, %s, %s, %s, now()) WHERE (shard, shards, entry_number, epoch,"
                " sequence) = (%s, %s, %s, %s, %s)",
                [*end, entry_at, *self._shard, *start],
            )
            if moved.rowcount != 1:
                return False
            write(self.database)
        return True


def copy_rows(database: Database, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Append rows by binary COPY."""
    if not rows:
        return
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
        sql.Identifier("riskgate", table.name),
        sql.SQL(", ").join(map(sql.Identifier, table.columns)),
    )
    with database.cursor() as cursor, cursor.copy(statement) as stream:
        stream.set_types(list(table.columns.values()))
        write_row = stream.write_row
        for row in rows:
            write_row(row)


def list_reasons(names: dict[int, str], units: dict[int, str]) -> list[tuple[int, int, str, str]]:
    """Return index, code, name and unit of every check."""
    return [
        (index, code, names[code], units[CHECK_UNITS.get(index, U_NONE)])
        for index, code in enumerate(REASON_CODES)
    ]


@contextmanager
def _named_errors() -> Iterator[None]:
    try:
        yield
    except _REFUSED as error:
        raise RefusedRowsError(f"the record refuses rows: {error}") from error
    except psycopg.Error as error:
        raise UnavailableError("record", str(error).strip() or type(error).__name__) from error
