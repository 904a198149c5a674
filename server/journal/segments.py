"""Files of the journal: their names, their headers, and how a new one is made.

A segment is *begun* once the engine has stored the magic in its header, which it does last. Before
that the file is only prepared and not part of the journal.
"""

import errno
import mmap
import os
import re
import time
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import google_crc32c
import numpy as np

from server.errors import JournalCorruptError, JournalFailedError, JournalFullError
from server.hotpath.journal.entries import FORMAT_VERSION, MAGIC, SEGMENT
from server.hotpath.layout import ARITHMETIC_VERSION, LAYOUT_VERSION, text, words

SEGMENT_SUFFIX: Final = ".segment"
HEADER_USED: Final = SEGMENT.itemsize

_NAME: Final = re.compile(r"\d{10}\.segment")
_TEXT_COLUMNS: Final = ("sources", "release", "boot")
_CHECKSUM_START: Final = 16  # behind magic and checksum
_ZEROS: Final = bytes(1 << 20)
_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_BOOT_FILE: Final = Path("/proc/sys/kernel/random/boot_id")


class Origin(NamedTuple):
    """Who writes a segment.

    Attributes:
        epoch: Of the engine process.
        shard: 0 to shards - 1.
        shards: 1 without sharding.
        sources: Hash of the sources of the hot path, at most 32 bytes of text.
        release: Version of riskgate, at most 32 bytes of text.
        boot: What `read_boot` returned, at most 40 bytes of text.
    """

    epoch: int
    shard: int = 0
    shards: int = 1
    sources: str = ""
    release: str = ""
    boot: str = ""


class Segment(NamedTuple):
    """What the header of a begun segment says; the columns of SEGMENT with the path."""

    path: Path
    number: int
    first_entry: int
    epoch: int
    segment_bytes: int
    shard: int
    shards: int
    arithmetic_version: int
    layout_version: int
    made_at_ns: int
    sources: str
    release: str
    boot: str


class MappedSegment:
    """A prepared segment in memory.

    Attributes:
        path: Of the file.
        number: Of the segment.
        size_bytes: Of the file and of the mapping.
        fd: Open for reading and writing until `close`.
        address: Of the first byte of the mapping, valid until `close`.
    """

    def __init__(self, path: Path, number: int, fd: int, size_bytes: int) -> None:
        self.path = path
        self.number = number
        self.size_bytes = size_bytes
        self.fd = fd
        self._memory = mmap.mmap(fd, size_bytes)
        self.address = int(np.frombuffer(self._memory, np.uint8).ctypes.data)

    def sync(self) -> None:
        """Bring all bytes to the disk.

        Raises:
            OSError: They may be lost; asking again would not tell the truth.
        """
        os.fdatasync(self.fd)

    def close(self) -> None:
        """Give back mapping and descriptor; `address` must not be used any more."""
        self._memory.close()
        os.close(self.fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def segment_path(folder: Path, number: int) -> Path:
    """Return where a segment stands."""
    return folder / f"{number:010d}{SEGMENT_SUFFIX}"


def list_numbers(folder: Path) -> list[int]:
    """Return the numbers of all segment files in rising order, begun or not."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 - asked many times a second
    except FileNotFoundError:
        return []
    return sorted(int(name[:10]) for name in names if _NAME.fullmatch(name))


def list_segments(folder: Path, *, after: int = 0) -> list[Segment]:
    """Return the begun segments in order.

    Args:
        folder: Of the journal; one that is not there has none.
        after: Only segments with a larger number than this.

    Raises:
        JournalCorruptError: A header is damaged.
    """
    numbers = (number for number in list_numbers(folder) if number > after)
    headers = (read_header(segment_path(folder, number)) for number in numbers)
    return [segment for segment in headers if segment is not None]


def read_header(path: Path) -> Segment | None:
    """Read and check the header of a segment; None if it is not there or not begun.

    Raises:
        JournalCorruptError: It is damaged, of another format, or belongs to another file.
    """
    # A second look: the engine may be writing it while the bytes are copied.
    for attempt in range(2):
        try:
            with path.open("rb") as file:
                data = file.read(HEADER_USED).ljust(HEADER_USED, b"\0")
                size_bytes = os.fstat(file.fileno()).st_size
        except FileNotFoundError:
            return None
        header = np.frombuffer(data, SEGMENT)[0]
        if header["magic"] == 0:
            return None
        problem = _find_problem(header, data, path, size_bytes)
        if problem and attempt:
            raise JournalCorruptError(problem, path=path)
        if not problem:
            break
    return Segment._make([path, *(_to_plain(header[name]) for name in Segment._fields[1:])])


def _to_plain(column: Any) -> int | str:
    return text(column) if column.shape else int(column)


def checksum_of_header(data: bytes) -> int:
    """Return the CRC32C over the columns behind magic and checksum."""
    return int(google_crc32c.value(data[_CHECKSUM_START:HEADER_USED]))


def _find_problem(header: Any, data: bytes, path: Path, size_bytes: int) -> str:
    if header["magic"] != MAGIC:
        return "this is no segment of a journal"
    if header["checksum"] != checksum_of_header(data):
        return "the header's checksum is wrong"
    if header["format_version"] != FORMAT_VERSION:
        return f"format {header['format_version']}, this release reads {FORMAT_VERSION}"
    if header["number"] != int(path.name[:10]):
        return f"the header is that of segment {header['number']}"
    if header["first_entry"] < 1:
        return f"its first entry cannot be {header['first_entry']}"
    if header["segment_bytes"] < size_bytes:
        return f"{size_bytes} bytes, the header says {header['segment_bytes']}"
    return ""


def new_header(number: int, segment_bytes: int, origin: Origin) -> Any:
    """Return a SEGMENT with all but what the engine writes when it begins the segment."""
    header = np.zeros(1, SEGMENT)
    header["format_version"] = FORMAT_VERSION
    header["segment_bytes"] = segment_bytes
    header["number"] = number
    header["epoch"] = origin.epoch
    header["shard"] = origin.shard
    header["shards"] = origin.shards
    header["arithmetic_version"] = ARITHMETIC_VERSION
    header["layout_version"] = LAYOUT_VERSION
    header["made_at_ns"] = time.time_ns()
    for name in _TEXT_COLUMNS:
        header[name][0] = words(getattr(origin, name), header.dtype[name].shape[0])
    return header


def create_segment(
    folder: Path, number: int, segment_bytes: int, origin: Origin, *, zero_filled: bool = False
) -> MappedSegment:
    """Make a file of full size with its header prepared, and map it.

    Args:
        folder: Of the journal; must exist.
        number: Of the segment; its file must not exist.
        segment_bytes: Size of the file, whole pages.
        origin: Who will write it.
        zero_filled: Write all zeros, so that a later fdatasync has data to write and nothing
            to book.

    Raises:
        JournalFullError: There is no space for it.
        JournalFailedError: It cannot be made for another reason.
    """
    path = segment_path(folder, number)
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _to_journal_error(error, path) from error
    try:
        _fill(fd, segment_bytes, new_header(number, segment_bytes, origin), zero_filled=zero_filled)
        sync_folder(folder)
        return MappedSegment(path, number, fd, segment_bytes)
    except OSError as error:
        os.close(fd)
        path.unlink()
        raise _to_journal_error(error, path) from error


def _fill(fd: int, segment_bytes: int, header: Any, *, zero_filled: bool) -> None:
    os.posix_fallocate(fd, 0, segment_bytes)
    if zero_filled:
        for start in range(0, segment_bytes, len(_ZEROS)):
            _write_all(fd, _ZEROS[: segment_bytes - start], start)
    _write_all(fd, header.tobytes(), 0)
    # On disk in any case: when the power was off, recovery must know whose segment it was.
    os.fsync(fd)


def _write_all(fd: int, data: bytes, offset: int) -> None:
    rest = memoryview(data)
    while rest:
        written = os.pwrite(fd, rest, offset)
        rest, offset = rest[written:], offset + written


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def read_boot() -> str:
    """Return what tells this run of the operating system from any other."""
    return _BOOT_FILE.read_text(encoding="ascii").strip()


def _to_journal_error(error: OSError, path: Path) -> JournalFullError | JournalFailedError:
    kind = JournalFullError if error.errno in _FULL else JournalFailedError
    return kind(f"{kind.public_text}: {path}: {error.strerror}")


def read_boot_of(path: Path) -> str:
    """Return the `boot` in a header that may not be begun; empty if there is none."""
    with path.open("rb") as file:
        data = file.read(HEADER_USED)
    if len(data) < HEADER_USED:
        return ""
    return text(np.frombuffer(data, SEGMENT)[0]["boot"])
