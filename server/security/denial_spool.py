"""Denied calls on their way to the audit log: counted in the engine, kept in files of their own.

An engine does without PostgreSQL, so once a second it writes what was denied since into a new file
`denials/SHARD-EPOCH-N.jsonl` below the data directory: whole, synced, then renamed into place. Who
has taken the lines of a file over into the record forgets it. Each line is one JSON object:

    {"at_ns": …, "identity": "…", "method": "…", "reason": "…", "count": …}

While nobody takes files away, counts stay in memory and are written when there is room.
"""

import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    # The recorder reads spools, and begins without the kernels that this would load.
    from server.security.grants import DenialCount

log = logging.getLogger(__name__)

SPOOL_FOLDER: Final = "denials"
FILES_MAX: Final = 1_000
_SUFFIX: Final = ".jsonl"
_NUMBER_DIGITS: Final = 9


class SpooledDenial(NamedTuple):
    """One line of a spool; file and line name it for ever.

    Attributes:
        file: Name of its file.
        line: From 1.
        at_ns: When it was written, Unix nanoseconds; it was denied in the second before, or longer
            ago when the spool was full.
        identity: SAN URI; empty: nothing is known about the caller.
        method: Path of the method; empty: the connection was refused.
        reason: What `server.security.grants.DenialCount` says.
        count: How many times, ≥ 1.
    """

    file: str
    line: int
    at_ns: int
    identity: str
    method: str
    reason: str
    count: int  # type: ignore[assignment] # not the method of a tuple


class DenialSpool:
    """Writes the spool of one engine; one thread.

    Args:
        data_dir: Of the stack.
        owner: Shard and epoch of the engine, such as `0-17`: no other writes under that name.
        read_clock_ns: Unix nanoseconds.
        files_max: Files of all engines that may wait.
    """

    def __init__(
        self,
        data_dir: Path,
        owner: str,
        *,
        read_clock_ns: Callable[[], int],
        files_max: int = FILES_MAX,
    ) -> None:
        self._folder = data_dir / SPOOL_FOLDER
        self._owner = owner
        self._read_clock_ns = read_clock_ns
        self._files_max = files_max
        self._number = 0
        self._waiting: Counter[tuple[str, str, str]] = Counter()
        self._is_full = False

    def write(self, denials: "Iterable[DenialCount]") -> None:
        """Keep what was denied; without any nothing is written.

        Raises:
            OSError: It could not be written; it will be tried again with the next ones.
        """
        for identity, method, reason, count in denials:
            self._waiting[identity, method, reason] += count
        if not self._waiting or not self._has_room():
            return
        at_ns = self._read_clock_ns()
        lines = [
            json.dumps(
                {
                    "at_ns": at_ns,
                    "identity": identity,
                    "method": method,
                    "reason": reason,
                    "count": count,
                }
            )
            for (identity, method, reason), count in sorted(self._waiting.items())
        ]
        self._number += 1
        name = f"{self._owner}-{self._number:0{_NUMBER_DIGITS}d}{_SUFFIX}"
        _write_file(self._folder / name, "".join(f"{line}\n" for line in lines).encode())
        self._waiting.clear()

    def _has_room(self) -> bool:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        was_full, self._is_full = self._is_full, len(_files(self._folder)) >= self._files_max
        if self._is_full and not was_full:
            log.error("denied calls are not taken over into the record: %s is full", SPOOL_FOLDER)
        return not self._is_full


def read_spool(data_dir: Path) -> Iterator[SpooledDenial]:
    """Yield all lines, of each engine in the order in which they were written."""
    for file in _files(data_dir / SPOOL_FOLDER):
        try:
            content = file.read_text(encoding="utf-8")
        except FileNotFoundError:
            # Another recorder has taken it over meanwhile.
            continue
        for line, text in enumerate(content.splitlines(), start=1):
            yield SpooledDenial(file.name, line, **json.loads(text))


def forget(data_dir: Path, files: Iterable[str]) -> None:
    """Delete files whose lines are in the record, by the names that `read_spool` gave."""
    folder = data_dir / SPOOL_FOLDER
    for name in set(files):
        (folder / Path(name).name).unlink(missing_ok=True)
    if folder.is_dir():
        _sync_folder(folder)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{_SUFFIX}"))


def _write_file(path: Path, content: bytes) -> None:
    aside = path.with_suffix(".part")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
