"""Fencing: an engine that another one has replaced never decides again, however it was stopped.

Two things stand in the journal's folder of the engine before. `active-epoch` is mapped by its lane,
which looks at it before each call and again before any answer leaves; that stops a process which
runs or wakes up again. `fenced.json` is for its next start, which would otherwise take a higher
epoch and be active again. It is made before anything else of a takeover, and only one taker can
make it, so two standbys of one engine never both become active.

Where the journal goes on elsewhere it ends here: an entry behind `last_entry_number` was being
written when the engine was fenced, its caller never got the answer, and no reader may use it.
"""

import ctypes
import logging
import os
import platform
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from server.errors import JournalError, JournalFencedError, UnavailableError
from server.journal.active_epoch import ActiveEpoch
from server.journal.reader import Entry
from server.journal.segments import sync_folder

log = logging.getLogger(__name__)

FENCE_FILE: Final = "fenced.json"
# membarrier(2), which the C library does not wrap.
_MEMBARRIER: Final = {"x86_64": 324, "aarch64": 283}
_BARRIER_GLOBAL: Final = 1
_BARRIER_PAUSE_S: Final = 0.05
_LIBC: Final = ctypes.CDLL(None)


class Fence(BaseModel):
    """Who has taken over a journal.

    Attributes:
        taken_by: Host and journal folder of the one that goes on.
        asked_by: Who asked for it.
        at: When, RFC 3339.
        epoch: From which the one that goes on may answer; 0 until it is known.
        last_entry_number: Newest entry that counts; None until it is known.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    taken_by: str
    asked_by: str
    at: str
    epoch: int = 0
    last_entry_number: int | None = None

    @classmethod
    def begin(cls, taken_by: str, asked_by: str) -> Self:
        """Return the fence of a takeover that begins now."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        return cls(taken_by=taken_by, asked_by=asked_by, at=now)

    def describe(self) -> str:
        """Return one line for the operator."""
        epoch = f"epoch {self.epoch}" if self.epoch else "an epoch to come"
        return f"{self.taken_by} has taken over with {epoch} at {self.at}, asked by {self.asked_by}"


def name_taker(folder: Path) -> str:
    """Return how a fence names the one whose journal stands in a folder of this machine."""
    return f"{socket.gethostname()}:{folder.resolve()}"


def read_fence(folder: Path) -> Fence | None:
    """Return who has taken over the journal of a folder; None: nobody.

    Raises:
        JournalError: Something stands there that cannot be read: nobody may write this journal.
    """
    path = folder / FENCE_FILE
    try:
        return Fence.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise JournalError(f"{path} cannot be read: {error}") from error


def refuse_fenced(folder: Path) -> None:
    """Let nobody begin to write a journal that goes on elsewhere.

    Raises:
        JournalFencedError: It names who has taken over and what to do.
    """
    fence = read_fence(folder)
    if fence is None:
        return
    raise JournalFencedError(
        fence.epoch,
        f"{folder}: {fence.describe()}; this engine must not decide any more\n"
        "  Mend: to let it follow the new one, move this folder and its snapshots away and run "
        "`riskgate standby --follow DIRECTORY_OF_THE_NEW_ONE`; only if that one never served and "
        f"never will, remove {folder / FENCE_FILE}",
    )


def claim(folder: Path, fence: Fence) -> None:
    """Mark a journal as taken over; only the first taker can, and it may come again.

    Raises:
        JournalFencedError: Somebody else has taken it over.
        OSError: The folder cannot be written.
    """
    aside = _write_aside(folder, fence)
    try:
        os.link(aside, folder / FENCE_FILE)
    except FileExistsError:
        earlier = read_fence(folder)
        if earlier is None or earlier.taken_by != fence.taken_by:
            refuse_fenced(folder)
        aside.replace(folder / FENCE_FILE)
    finally:
        aside.unlink(missing_ok=True)
    sync_folder(folder)


def complete(folder: Path, fence: Fence) -> None:
    """Replace our own mark by one that says more.

    Raises:
        OSError: The folder cannot be written.
    """
    _write_aside(folder, fence).replace(folder / FENCE_FILE)
    sync_folder(folder)


def keep_counted(folder: Path, entries: list[Entry]) -> list[Entry]:
    """Return those of some entries that count, also where the journal goes on elsewhere.

    Args:
        folder: Of the journal.
        entries: In order, and read before this is called: no entry that does not count is
            written before the mark is there.

    Raises:
        UnavailableError: It is being taken over and nobody can tell yet; ask again.
        JournalError: The mark cannot be read.
    """
    fence = read_fence(folder)
    if fence is None or not entries:
        return entries
    last = fence.last_entry_number
    if last is None and fence.epoch == 0:
        raise UnavailableError("journal", f"{folder} is being taken over by {fence.taken_by}")
    return [entry for entry in entries if last is None or entry.number <= last]


def raise_active_epoch(folder: Path, take_epoch: Callable[[int], int]) -> int:
    """Let no engine of this journal answer from now on; return the epoch that may.

    The journal must be claimed: an engine that starts meanwhile looks for that once it has named
    its own epoch, so either it sees the claim or we see its epoch.

    Args:
        folder: Of the journal.
        take_epoch: Returns a new epoch above the one that it is given.

    Raises:
        OSError: The folder cannot be written.
    """
    active = ActiveEpoch(folder)
    try:
        epoch = take_epoch(active.value)
        while active.value < epoch:
            active.raise_to(epoch)
        order_memory()
    finally:
        active.close()
    return epoch


def order_memory() -> None:
    """Let every thread of this machine pass a memory barrier before this returns.

    A lane stores an entry and then looks whether it is fenced; we fence and then look for entries.
    Without a barrier between the two on both sides both might see nothing. The lane cannot afford
    one for each answer, so this side makes all processors pass one.
    """
    number = _MEMBARRIER.get(platform.machine())
    if number is None or _LIBC.syscall(number, _BARRIER_GLOBAL, 0) != 0:
        # Stores wait for less than a microsecond in a processor.
        time.sleep(_BARRIER_PAUSE_S)


def _write_aside(folder: Path, fence: Fence) -> Path:
    aside = folder / f"{FENCE_FILE}.{os.getpid()}"
    aside.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(aside, flags, 0o600), "w", encoding="utf-8") as file:
        file.write(fence.model_dump_json(indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())
    return aside
