"""Signed statements in a file that only grows: one envelope per line, each brought to the disk.

What they say and whether they follow each other is not looked at here. Shipping the lines to
another machine makes that a witness too.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Final

from server.errors import UnavailableError

LINE_BYTES_MAX: Final = 1 << 14


class StatementLines:
    """One such file and the lock beside it.

    Args:
        path: Of the file; its folder is made when first written to.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock_path = path.with_name("lock")

    @contextmanager
    def lock(self, *, shared: bool = False) -> Iterator[None]:
        """Keep others from adding statements meanwhile.

        Args:
            shared: To read only; waits, and does nothing where there is no folder. Otherwise it
                never waits.

        Raises:
            UnavailableError: Another process holds it.
        """
        if shared and not self._lock_path.exists():
            yield
            return
        if not shared:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDONLY if shared else os.O_RDWR | os.O_CREAT
        fd = os.open(self._lock_path, flags | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_SH if shared else fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            raise UnavailableError(self._path.parent.name, "another process is at them") from error
        finally:
            os.close(fd)

    def read(self, first_number: int = 1) -> Iterator[bytes]:
        """Return the envelopes in order; a line that a crash has left half written is none."""
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            return
        with file:
            for line in islice(file, first_number - 1, None):
                if line.endswith(b"\n"):
                    yield line[:-1]

    def read_last(self) -> bytes | None:
        """Return the newest envelope; None before the first."""
        try:
            with self._path.open("rb") as file:
                size_bytes = file.seek(0, os.SEEK_END)
                file.seek(max(0, size_bytes - 2 * LINE_BYTES_MAX))
                lines = file.read().split(b"\n")
        except FileNotFoundError:
            return None
        # What stands behind the last line break is half a line or nothing.
        return lines[-2] if len(lines) > 1 else None

    def append(self, raw: bytes) -> None:
        """Add an envelope and bring it to the disk; the lock must be held.

        Raises:
            OSError: The disk does not take it; the next call mends what is half there.
        """
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "r+b") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LINE_BYTES_MAX))
            torn_bytes = len(file.read().rpartition(b"\n")[2])
            end = file.seek(-torn_bytes, os.SEEK_END)
            file.truncate(end)
            file.write(raw + b"\n")
            file.flush()
            os.fsync(file.fileno())
        if not end:
            _sync_folder(self._path.parent)


def write_at(path: Path, offset: int, content: bytes) -> None:
    """Write bytes to a fixed place of a file and bring them to the disk.

    To do it again changes nothing, so a crash between this and the statement needs no mending.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.seek(offset)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
