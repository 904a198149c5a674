"""Checkpoints in a folder outside the journal's: the witness that needs no PostgreSQL.

`statements.jsonl` holds one envelope per line and only ever grows; shipping its lines to another
machine makes that a witness too. `{segment:010d}.fingerprints` holds what names an altered entry;
it is an index, may be lost, and goes when its segment has gone.
"""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Final

from server.errors import JournalFailedError, UnavailableError
from server.journal.checkpoint import Checkpoint, Statement
from server.journal.fingerprints import FINGERPRINT_BYTES
from server.journal.segments import sync_folder

_LOG: Final = logging.getLogger(__name__)
_STATEMENTS_FILE: Final = "statements.jsonl"
_LOCK_FILE: Final = "lock"
_SUFFIX: Final = ".fingerprints"
_LINE_BYTES_MAX: Final = 1 << 14


class CheckpointFiles:
    """The checkpoints of one journal in a folder.

    Args:
        folder: `checkpoints` in the data directory, with the shard's suffix; made when first
            written to.
    """

    name: Final = "the file"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._statements = folder / _STATEMENTS_FILE

    @contextmanager
    def lock(self, *, shared: bool = False) -> Iterator[None]:
        """Keep others from adding checkpoints meanwhile.

        Args:
            shared: To read only; waits, and does nothing where there is no folder. Otherwise it
                never waits.

        Raises:
            UnavailableError: Another process holds it.
        """
        path = self._folder / _LOCK_FILE
        if shared and not path.exists():
            yield
            return
        if not shared:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDONLY if shared else os.O_RDWR | os.O_CREAT
        fd = os.open(path, flags | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_SH if shared else fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            raise UnavailableError("checkpoints", "another process is at them") from error
        finally:
            os.close(fd)

    def read(self, first_number: int = 1) -> Iterator[bytes]:
        """Return the envelopes in order; a line that a crash has left half written is none."""
        try:
            file = self._statements.open("rb")
        except FileNotFoundError:
            return
        with file:
            for line in islice(file, first_number - 1, None):
                if line.endswith(b"\n"):
                    yield line[:-1]

    def read_last(self) -> bytes | None:
        """Return the newest envelope; None before the first."""
        try:
            with self._statements.open("rb") as file:
                size_bytes = file.seek(0, os.SEEK_END)
                file.seek(max(0, size_bytes - 2 * _LINE_BYTES_MAX))
                lines = file.read().split(b"\n")
        except FileNotFoundError:
            return None
        # What stands behind the last line break is half a line or nothing.
        return lines[-2] if len(lines) > 1 else None

    def read_fingerprints(self, statement: Statement) -> bytes:
        """Return the fingerprints of a span, unverified; too few or none if they are gone."""
        try:
            with self._path_of(statement).open("rb") as file:
                file.seek(_place_of(statement))
                return file.read(statement.entry_count * FINGERPRINT_BYTES)
        except FileNotFoundError:
            return b""

    def append(self, checkpoint: Checkpoint, fingerprints: bytes) -> None:
        """Add the next checkpoint and bring it to the disk; the lock must be held.

        Raises:
            JournalFailedError: The disk does not take it; the next call mends what is half there.
        """
        try:
            # First, and to a fixed place: to do it again changes nothing.
            statement = checkpoint.statement
            flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
            fd = os.open(self._path_of(statement), flags, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.seek(_place_of(statement))
                file.write(fingerprints)
                file.flush()
                os.fsync(file.fileno())
            self._append_line(checkpoint.raw)
        except OSError as error:
            raise JournalFailedError(f"a checkpoint cannot be written: {error}") from error

    def _append_line(self, raw: bytes) -> None:
        fd = os.open(self._statements, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "r+b") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _LINE_BYTES_MAX))
            torn_bytes = len(file.read().rpartition(b"\n")[2])
            end = file.seek(-torn_bytes, os.SEEK_END)
            file.truncate(end)
            file.write(raw + b"\n")
            file.flush()
            os.fsync(file.fileno())
        if not end:
            sync_folder(self._folder)

    def forget_fingerprints(self, oldest_segment: int) -> None:
        """Delete the fingerprints of segments that are gone."""
        for path in self._folder.glob(f"*{_SUFFIX}"):
            if path.stem.isdecimal() and int(path.stem) < oldest_segment:
                path.unlink(missing_ok=True)
                _LOG.debug("%s is gone with its segment", path.name)

    def _path_of(self, statement: Statement) -> Path:
        return self._folder / f"{statement.segment:010d}{_SUFFIX}"


def _place_of(statement: Statement) -> int:
    return (statement.first_entry - statement.segment_first_entry) * FINGERPRINT_BYTES
