"""A journal on its way to another machine: read here, written there byte for byte.

The copy has the same segments with the same bytes at the same places, so everything that reads a
journal reads it: a standby, the replay, the seals. What has been answered and has not arrived is
the window: it is lost when this machine is, and both ends say how large it is.
"""

import logging
import os
import threading
import time
from collections import deque
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from server.errors import (
    JournalCorruptError,
    JournalError,
    JournalTrimmedError,
    UnavailableError,
)
from server.hotpath.journal.entries import HEADER_BYTES, SEGMENT
from server.journal.reader import Entry, Tail, read_entries
from server.journal.segments import HEADER_USED, list_segments, segment_path, sync_folder
from server.loaders.redis_journal import Shipped

log = logging.getLogger(__name__)

_STRETCH: Final = 500
_RETRY_S: Final = 0.5
_QUIET_S: Final = 0.05
_MAGIC_BYTES: Final = 8
_SIZE_AT: Final[int] = SEGMENT.fields["segment_bytes"][1]  # type: ignore[index]


class Window(NamedTuple):
    """What the other end does not have yet.

    Attributes:
        entries: How many.
        age_ms: For how long the oldest of them has been under way; 0 when there are none.
    """

    entries: int
    age_ms: float


class Sink(Protocol):
    """Where entries are put."""

    length_max: int

    def read_last(self) -> Shipped | None:
        """Return the newest entry in there; None: there is none."""

    def add(self, entries: list[Shipped], newest: int) -> int:
        """Put entries in; return the number that the other end has taken."""


class Shipper:
    """Puts the entries of one journal into a stream as they are written.

    Args:
        folder: Of the journal.
        sink: The stream.

    Raises:
        UnavailableError: The stream cannot be read.
        JournalError: The journal is damaged, or the stream is another one's.
    """

    def __init__(self, folder: Path, sink: Sink) -> None:
        self._folder = folder
        self._sink = sink
        self._shipped = self._find_start()
        self._tail = Tail(folder, self._shipped + 1)
        self._ready: list[Shipped] = []
        self._segment_number = 0
        self._under_way: deque[tuple[int, float]] = deque()
        self._taken = 0
        self._said_s = 0.0

    @property
    def shipped(self) -> int:
        """Number of the newest entry that is in the stream."""
        return self._shipped

    @property
    def window(self) -> Window:
        """What has been written and is not known to have arrived."""
        newest = self._ready[-1].number if self._ready else self._shipped
        if newest <= self._taken or not self._under_way:
            return Window(0, 0.0)
        return Window(newest - self._taken, (time.monotonic() - self._under_way[0][1]) * 1_000)

    def ship(self) -> int:
        """Ship what there is, at most some hundred entries; return how many.

        Raises:
            UnavailableError: The stream does not take them; the next call tries again.
            JournalError: The journal is damaged.
        """
        if not self._ready:
            self._ready = [self._prepare(entry) for entry in self._tail.read(_STRETCH)]
            if self._ready:
                self._under_way.append((self._ready[-1].number, time.monotonic()))
        if not self._ready and time.monotonic() - self._said_s < _QUIET_S:
            return 0
        newest = self._ready[-1].number if self._ready else self._shipped
        self._taken = self._sink.add(self._ready, newest)
        self._said_s = time.monotonic()
        count, self._ready, self._shipped = len(self._ready), [], newest
        while self._under_way and self._under_way[0][0] <= self._taken:
            self._under_way.popleft()
        return count

    def close(self) -> None:
        """Give the mapped segment back."""
        self._tail.close()

    def _prepare(self, entry: Entry) -> Shipped:
        header = b""
        if entry.segment_number != self._segment_number:
            self._segment_number = entry.segment_number
            with segment_path(self._folder, entry.segment_number).open("rb") as file:
                header = file.read(HEADER_USED)
        return Shipped(entry.number, entry.segment_number, entry.offset, header, entry.raw)

    def _find_start(self) -> int:
        """Return the newest entry that the stream has, which must be ours."""
        last = self._sink.read_last()
        if last is None:
            return self._first_number() - 1
        try:
            ours = [one.raw for one in read_entries(self._folder, last.number, last.number)]
        except JournalTrimmedError:
            return self._first_number() - 1
        if ours != [last.raw]:
            raise JournalError(
                f"entry {last.number} in redis is not that of {self._folder}: another engine has "
                "written it\n  Mend: if that one is of no use any more, delete the stream "
                "`riskgate:journal:…` of this shard"
            )
        return last.number

    def _first_number(self) -> int:
        """Return the oldest entry that still fits into the stream."""
        first = 1
        for segment in reversed(segments := list_segments(self._folder)):
            first = segment.first_entry
            if segments[-1].first_entry - first >= self._sink.length_max:
                break
        return first


class JournalCopy:
    """Writes the entries of another machine's journal into a folder.

    Args:
        folder: Of the copy; made if it is not there. It goes on behind what stands in it.
        after: What a snapshot holds: an empty copy begins there or before; 0 without one.

    Raises:
        JournalError: What stands there is damaged.
    """

    def __init__(self, folder: Path, *, after: int = 0) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._fd = -1
        self._segment_number = 0
        self.skipped = 0
        self.number = after
        segments = list_segments(folder)
        if segments:
            self.number = segments[-1].first_entry - 1
            for entry in read_entries(folder, segments[-1].first_entry):
                self.number = entry.number
            self._open(segments[-1].number)

    @property
    def has_begun(self) -> bool:
        """Whether there is a segment already."""
        return bool(self._segment_number)

    def write(self, entries: list[Shipped]) -> None:
        """Write entries that follow the last one.

        Raises:
            JournalError: One is missing: the stream was trimmed or emptied meanwhile.
            OSError: The disk does not take them.
        """
        for one in entries:
            if not self._segment_number and one.offset != HEADER_BYTES:
                self.skipped = one.number  # a segment is copied from its beginning
                continue
            if self._segment_number and one.number <= self.number:
                continue
            if one.number > self.number + 1:
                raise JournalError(
                    f"entry {self.number + 1} is no longer in redis, the next is {one.number}\n"
                    "  Mend: stop the standby, replace `journal`, `snapshots`, `artifacts` and "
                    "`keys` in its folder `replica` by those of the active engine, start it again"
                )
            if one.segment_number != self._segment_number:
                self._begin(one)
            # The first word last, as the engine does: whoever finds it finds the rest.
            os.pwrite(self._fd, one.raw[8:], one.offset + 8)
            os.pwrite(self._fd, one.raw[:8], one.offset)
            self.number = one.number

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _begin(self, first: Shipped) -> None:
        if len(first.header) != HEADER_USED or first.offset != HEADER_BYTES:
            raise JournalCorruptError(
                "the stream does not have the beginning of this segment",
                path=segment_path(self._folder, first.segment_number),
                number=first.number,
            )
        path = segment_path(self._folder, first.segment_number)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(path, flags, 0o600)
        try:
            os.posix_fallocate(
                fd, 0, int.from_bytes(first.header[_SIZE_AT : _SIZE_AT + 8], "little")
            )
            os.pwrite(fd, first.header[_MAGIC_BYTES:], _MAGIC_BYTES)
            os.pwrite(fd, first.header[:_MAGIC_BYTES], 0)
        finally:
            os.close(fd)
        sync_folder(self._folder)
        self._open(first.segment_number)

    def _open(self, number: int) -> None:
        self.close()
        path = segment_path(self._folder, number)
        self._fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._segment_number = number


class Source(Protocol):
    """Where entries come from."""

    def read(self, after: int) -> tuple[list[Shipped], int]:
        """Return what follows an entry, and the newest number there is at the other end."""

    def confirm(self, number: int) -> None:
        """Say up to which entry everything was taken."""


class Receiver:
    """Keeps a copy up to date, in a thread of its own.

    Args:
        source: The stream.
        copy: Where its entries go.

    Attributes:
        newest: Newest entry of the other end, as it last said.
        failure: Why the thread has ended before it was told to; None: it has not.
    """

    def __init__(self, source: Source, copy: JournalCopy) -> None:
        self._source = source
        self._copy = copy
        self._is_away = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal-receiver", daemon=True)
        self.newest = 0
        self.failure: Exception | None = None

    @property
    def number(self) -> int:
        """Newest entry that has arrived."""
        return self._copy.number

    def start(self) -> None:
        """Begin to receive."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; waits for at most one read."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def close(self) -> None:
        """Give the file back; the thread has ended."""
        self._copy.close()

    def receive(self) -> int:
        """Take what there is; return how many entries.

        Raises:
            UnavailableError: The stream cannot be read.
            JournalError: An entry is missing.
        """
        # An empty copy looks for the beginning of a segment, from the oldest entry on.
        after = self._copy.number if self._copy.has_begun else self._copy.skipped
        entries, self.newest = self._source.read(after)
        self._copy.write(entries)
        if entries and self._copy.has_begun:
            self._source.confirm(self._copy.number)
        return len(entries)

    def finish(self) -> None:
        """End the thread and take what is still there, if the stream can be read."""
        self.stop()
        try:
            while self.receive():
                pass
        except UnavailableError as error:
            log.warning("the end of the stream cannot be read: %s", error)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.receive()
                self._is_away = False
            except UnavailableError as error:
                if not self._is_away:
                    log.warning("nothing arrives: %s", error)
                self._is_away = True
                self._stop.wait(_RETRY_S)
            except (JournalError, OSError) as error:
                log.critical("the copy cannot go on: %s", error)
                self.failure = error
                return
