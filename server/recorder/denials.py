"""Calls that engines have denied become rows of the audit log, each exactly once.

An engine does without PostgreSQL and spools its denials (server/security/denial_spool.py). A file
and the note that it was taken over are committed together, so one that could not be deleted, or
that two recorders see, is not told twice.
"""

import asyncio
import logging
import threading
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Final

from riskgate.v1 import rights_pb2
from server.errors import RiskgateError
from server.record.audit import DENIED, AuditEntry, action_of, append
from server.record.denial_files import take_file
from server.record.pool import Database, connect
from server.security.caller import Call, Caller
from server.security.denial_spool import SpooledDenial, forget, read_spool

log = logging.getLogger(__name__)

EVERY_S: Final = 1.0
_PAUSE_S: Final = 5.0
_MICROSECOND_NS: Final = 1_000


class DenialRecording:
    """Takes spools over in a thread of its own.

    Args:
        data_dir: Of the stack.
        database_url: Of the record.
    """

    def __init__(self, data_dir: Path, database_url: str) -> None:
        self._data_dir = data_dir
        self._database_url = database_url
        self._stop_asked = threading.Event()
        self._problem = ""
        self._thread = threading.Thread(target=self._run, name="denials", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End it behind the step that it is at."""
        self._stop_asked.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop_asked.is_set():
            is_well = self._advance()
            self._stop_asked.wait(EVERY_S if is_well else _PAUSE_S)

    def _advance(self) -> bool:
        try:
            record_denials(self._data_dir, self._database_url)
        except (RiskgateError, OSError, ValueError, TypeError) as error:
            if str(error) != self._problem:
                log.error("denials of engines are not recorded: %s", error)  # noqa: TRY400 - no bug
                self._problem = str(error)
            return False
        self._problem = ""
        return True


def record_denials(data_dir: Path, database_url: str) -> int:
    """Take over what is spooled.

    Returns:
        Rows written.

    Raises:
        UnavailableError: PostgreSQL is away; what is left stays spooled.
        OSError: A spool cannot be read or deleted.
        ValueError: One is malformed.
    """
    spooled = read_spool(data_dir)
    files = [(name, list(lines)) for name, lines in groupby(spooled, lambda line: line.file)]
    if not files:
        return 0
    return asyncio.run(_take_over(data_dir, database_url, files))


async def _take_over(
    data_dir: Path, database_url: str, files: Iterable[tuple[str, list[SpooledDenial]]]
) -> int:
    written = 0
    async with connect(database_url) as database:
        for name, lines in files:
            written += await _record_file(database, name, lines)
            forget(data_dir, [name])
    return written


async def _record_file(database: Database, name: str, lines: list[SpooledDenial]) -> int:
    async with database.transaction():
        if not await take_file(database, name, len(lines)):
            return 0
        for line in lines:
            caller = Caller(line.identity, rights_pb2.ROLE_UNSPECIFIED)
            call = Call(caller, line.method)
            told = {"problem": line.reason, "at_us": line.at_ns // _MICROSECOND_NS}
            if line.count > 1:
                told["calls"] = line.count
            entry = AuditEntry(action=action_of(call), outcome=DENIED, new=told)
            await append(database, call, entry)
    return len(lines)
