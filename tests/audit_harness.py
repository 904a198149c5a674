"""An audit log with signed heads for tests, and a forger who may do anything inside PostgreSQL."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Json

from riskgate.v1 import rights_pb2
from server.record.audit import AuditEntry, append
from server.record.audit_chain import AuditLog
from server.record.migrate import migrate
from server.record.pool import Pool, connection, open_pool
from server.security.audit_rows import NO_HASH, hash_row
from server.security.audit_verification import Verified, verify_log
from server.security.caller import Call, Caller
from server.security.canonical import encode_canonical
from server.security.head_files import HeadFiles, read_heads
from server.witness import Witness

KEY = Ed25519PrivateKey.from_private_bytes(b"\7" * 32)
METHOD = "/riskgate.v1.ReferenceService/PutAccount"
ANN = Call(Caller("spiffe://riskgate/admin/ann", rights_pb2.ROLE_ADMIN, address="10.0.0.7"), METHOD)
Row = dict[str, Any]


def entry(number: int = 1, **changes: Any) -> AuditEntry:
    values: Row = {
        "action": "update",
        "subject": "account",
        "subject_key": f"account{number}",
        "reason": f"limit of Zürich, case {number}",
        "old": {"equity": str(number), "note": 'a "quoted" \\ path\n'},
        "new": {"equity": str(number + 1), "note": None},
        "state_version": number,
    }
    return AuditEntry(**(values | changes))


@dataclass
class Book:
    """One log: PostgreSQL, heads, and what verification says."""

    database_url: str
    folder: Path
    files: HeadFiles = field(init=False)

    def __post_init__(self) -> None:
        self.files = HeadFiles(self.folder)
        with psycopg.connect(self.database_url, autocommit=True) as opened:
            opened.execute("DROP SCHEMA IF EXISTS riskgate CASCADE")
        migrate(self.database_url)

    def write(self, entries: Sequence[AuditEntry], call: Call = ANN) -> None:
        """Append rows, all in one transaction."""

        async def run(pool: Pool) -> None:
            async with connection(pool) as database:
                for each in entries:
                    await append(database, call, each)

        self.run(run)

    def witness(self, copy: HeadFiles | None = None) -> None:
        """Sign what is there."""

        async def run(pool: Pool) -> None:
            while await Witness(pool, KEY, self.files, copy=copy).write_head():
                pass

        self.run(run)

    def run(self, step: Callable[[Pool], Any]) -> Any:
        async def play() -> Any:
            async with open_pool(self.database_url) as pool:
                return await step(pool)

        return asyncio.run(play())

    def verify(self, *, with_fingerprints: bool = True) -> Verified:
        heads = read_heads(self.files, KEY.public_key())
        fingerprints = self.files.read_fingerprints() if with_fingerprints else b""
        with AuditLog(self.database_url) as log:
            return verify_log(log.read, log.read_head_row(), heads, fingerprints)

    @property
    def lines_path(self) -> Path:
        return self.folder / "heads.jsonl"

    # --- What somebody does who owns the tables ---

    def rows(self) -> list[Row]:
        with self.open() as opened:
            query = "SELECT * FROM riskgate.audit_log ORDER BY audit_id"
            return opened.execute(query).fetchall()

    def replace(self, rows: list[Row], *, without_checks: bool = False) -> None:
        """Put other rows, whole ones as `rows` returns them, in the place of all."""
        with self.unguarded() as opened:
            if without_checks:
                opened.execute(
                    "ALTER TABLE riskgate.audit_log DROP CONSTRAINT IF EXISTS"
                    " audit_log_audit_id_check"
                )
            opened.execute("DELETE FROM riskgate.audit_log")
            for row in rows:
                values = {**row}
                for column in ("old_value", "new_value"):
                    value = values[column]
                    values[column] = None if value is None else Json(value, _dump)
                statement = sql.SQL("INSERT INTO riskgate.audit_log ({}) VALUES ({})").format(
                    sql.SQL(", ").join(map(sql.Identifier, values)),
                    sql.SQL(", ").join([sql.Placeholder()] * len(values)),
                )
                opened.execute(statement, list(values.values()))

    def mend(self, first: int, count: int | None = None) -> None:
        """Make links and hashes of rows right again.

        Args:
            first: Index of the first.
            count: How many; None: all that follow.
        """
        with AuditLog(self.database_url) as log:
            chain = list(log.read())
        before = chain[first - 1].hash if first else NO_HASH
        with self.unguarded() as opened:
            for row in chain[first : None if count is None else first + count]:
                own = hash_row(before, row.text)
                opened.execute(
                    "UPDATE riskgate.audit_log SET previous_hash = %s, hash = %s"
                    " WHERE audit_id = %s",
                    [before, own, row.audit_id],
                )
                before = own

    def mend_head_row(self) -> None:
        """Make the head row agree with the rows that are there."""
        with self.open() as opened:
            opened.execute(
                "UPDATE riskgate.audit_head SET (row_count, newest_hash) ="
                " (SELECT coalesce(max(audit_id), 0), coalesce((SELECT hash FROM riskgate.audit_log"
                " ORDER BY audit_id DESC LIMIT 1), %s) FROM riskgate.audit_log)",
                [NO_HASH],
            )

    @contextmanager
    def unguarded(self) -> Iterator[psycopg.Connection[Row]]:
        """A transaction in which no trigger keeps rows as they are."""
        with self.open() as opened, opened.transaction():
            opened.execute("ALTER TABLE riskgate.audit_log DISABLE TRIGGER USER")
            yield opened
            opened.execute("ALTER TABLE riskgate.audit_log ENABLE TRIGGER USER")

    def open(self) -> psycopg.Connection[Row]:
        return psycopg.connect(self.database_url, autocommit=True, row_factory=dict_row)


def _dump(value: Any) -> str:
    return encode_canonical(value).decode()
