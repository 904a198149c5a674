"""Control's witness: says outside PostgreSQL what the audit log and the ledger are, signed.

Once a second it looks at the head row of the log. If it has grown, it reads the new rows, makes
sure that they continue what the newest head has signed, and signs the next head. Where they do not,
nothing more is signed: that would bless it. The rows that it has read go on to whoever watches for
unusual behaviour, so those rules see the calls of every process.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.errors import RiskgateError
from server.record.audit_chain import count_ledger_entries, read_head_row, read_rows
from server.record.ledger import read_tree
from server.record.pool import Database, Pool, connection
from server.security.audit_rows import NO_HASH, ChainRow, find_break
from server.security.head_files import FINGERPRINT_BYTES, HEADS_FOLDER, HeadFiles
from server.security.heads import (
    NO_LINK,
    Head,
    HeadStatement,
    check_follows,
    sign_head,
)
from server.security.keys import ensure_witness_key
from server.security.ledger_tree import LedgerHead
from server.settings import Settings
from server.trust_errors import AuditTamperedError

log = logging.getLogger(__name__)

EVERY_S: Final = 1.0
# Rows that one head adds at most: it is made in one transaction, which must not last.
_ROWS_PER_HEAD: Final = 20_000

# Rows, newest hash and ledger entries before the first head.
_NOTHING: Final = (0, NO_HASH.hex(), 0)

Watcher = Callable[[list[ChainRow]], Awaitable[None]]


class Witness:
    """Makes the heads of one stack.

    Args:
        pool: Of the record.
        key: Signs; see `ensure_witness_key`.
        files: Where heads stand.
        copy: Another folder that gets each head as well, such as one on another machine's disk.
        watch: Gets the rows that a head adds, once that is written; those of a process that was
            killed just then are not given again.
    """

    def __init__(
        self,
        pool: Pool,
        key: Ed25519PrivateKey,
        files: HeadFiles,
        *,
        copy: HeadFiles | None = None,
        watch: Watcher | None = None,
    ) -> None:
        self._pool = pool
        self._key = key
        self._files = files
        self._copy = copy
        self._watch = watch
        self._problem = ""

    async def run(self) -> None:
        """Make heads until cancelled; what is in the way is logged once, and tried again."""
        while True:
            await self.advance()
            await asyncio.sleep(EVERY_S)

    async def advance(self) -> bool:
        """Make the heads that are due; tell whether nothing was in the way."""
        try:
            while await self.write_head():
                pass
        except Exception as error:
            if str(error) != self._problem:
                trace = None if isinstance(error, RiskgateError) else error
                log.error("no head is signed: %s", error, exc_info=trace)  # noqa: TRY400 - see trace
                self._problem = str(error)
            return False
        self._problem = ""
        return True

    async def write_head(self) -> bool:
        """Make the next head if there is anything new.

        Returns:
            Whether there was.

        Raises:
            AuditTamperedError: The log is not what the newest head says, or a head is forged.
            UnavailableError: PostgreSQL or the disk is away, or another process makes heads.
        """
        last = await asyncio.to_thread(self._files.read_last, self._key.public_key())
        async with connection(self._pool) as database:
            await database.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            found = await self._look(database, last)
        if found is None:
            return False
        head, rows = found
        await _finish(asyncio.to_thread(self._keep, head, rows))
        if self._watch is not None and rows:
            await self._watch(rows)
        return True

    async def _look(
        self, database: Database, last: Head | None
    ) -> tuple[Head, list[ChainRow]] | None:
        """Return the next head with the rows that it adds; None: all is as the newest one says."""
        said = last.statement if last else None
        count, newest = await read_head_row(database)
        books = await _read_ledger(database, said)
        signed = (said.audit_rows, said.audit_hash, said.ledger_entries) if said else _NOTHING
        if (count, newest.hex(), books.entries) == signed:
            return None
        rows = await _read_new_rows(database, said)
        if not rows and books.entries == signed[2]:
            raise AuditTamperedError("the head row of the audit log names another newest row")
        statement = HeadStatement(
            number=said.number + 1 if said else 1,
            audit_rows=signed[0] + len(rows),
            audit_hash=rows[-1].hash.hex() if rows else signed[1],
            ledger_entries=books.entries,
            ledger_root=books.root,
            made_at_ns=time.time_ns(),
            previous_sha256=last.link if last else NO_LINK,
        )
        head = sign_head(statement, self._key)
        check_follows(last, head)
        return head, rows

    def _keep(self, head: Head, rows: list[ChainRow]) -> None:
        fingerprints = b"".join(row.hash[:FINGERPRINT_BYTES] for row in rows)
        with self._files.lock():
            check_follows(self._files.read_last(self._key.public_key()), head)
            self._files.append(head, fingerprints)
        if self._copy is None:
            return
        # A copy that was away gets what it has missed; it is never what others wait for.
        try:
            with self._copy.lock():
                newest = self._copy.read_last(self._key.public_key())
                self._copy.copy_lines(
                    self._files.read(newest.statement.number + 1 if newest else 1)
                )
        except (RiskgateError, OSError) as error:
            log.error("the copy of the heads is behind: %s", error)  # noqa: TRY400 - as above


async def _finish(work: Coroutine[Any, Any, None]) -> None:
    """Wait for work to end, also when cancelled: what writes a file is not left to itself."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


async def _read_ledger(database: Database, said: HeadStatement | None) -> LedgerHead:
    """Return entries and root of the ledger; the tree is only built when it has grown.

    Raises:
        AuditTamperedError: It does not continue what the newest head says.
    """
    count = await count_ledger_entries(database)
    if said and count == said.ledger_entries:
        return LedgerHead(count, said.ledger_root)
    tree = await read_tree(database)
    signed = said.ledger_entries if said else 0
    if said and signed and (count < signed or tree.root(signed) != said.ledger_root):
        raise AuditTamperedError(
            f"the first {signed} entries of the ledger are not what a head says"
        )
    return tree.head


async def _read_new_rows(database: Database, said: HeadStatement | None) -> list[ChainRow]:
    """Return the rows that no head covers yet, each following the one before.

    Raises:
        AuditTamperedError: They do not.
    """
    count, newest = (said.audit_rows, bytes.fromhex(said.audit_hash)) if said else (0, NO_HASH)
    rows = await read_rows(database, max(0, count - 1), _ROWS_PER_HEAD + bool(count))
    if count:
        # The newest row that was signed is looked at once more: a cut shows at once.
        signed, rows = rows[:1], rows[1:]
        if not signed or (signed[0].audit_id, signed[0].hash) != (count, newest):
            raise AuditTamperedError(f"row {count} of the audit log is not what its head says")
    for row in rows:
        if problem := find_break(count + 1, newest, row):
            raise AuditTamperedError(f"row {row.audit_id} of the audit log {problem}")
        count, newest = row.audit_id, row.hash
    return rows


def open_witness(settings: Settings, pool: Pool, watch: Watcher | None = None) -> Witness:
    """Return the witness of a data directory, with the copy that the settings name.

    Raises:
        TrustSetInvalidError: Its key cannot be used.
    """
    key = ensure_witness_key(settings.data_dir / "keys")
    copy_dir = settings.heads_copy_dir
    return Witness(
        pool,
        key,
        HeadFiles(settings.data_dir / HEADS_FOLDER),
        copy=None if copy_dir is None else HeadFiles(copy_dir),
        watch=watch,
    )
