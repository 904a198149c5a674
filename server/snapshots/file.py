"""One snapshot as a file: a header, then arrays, each under a checksum of its own.

    magic      8 bytes, with the version of this format
    size       uint32, bytes of the header's text
    checksum   uint32, CRC32C of size and text
    text       JSON: the meta, and of each array its name, columns, number of rows and CRC32C
    arrays     back to back in the order of the text, up to the end of the file

Numbers are little endian. Every byte lies under a checksum, nothing lies between or behind the
arrays, and the file appears under its name only when all of it is on disk.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from mmap import ACCESS_READ, mmap
from pathlib import Path
from struct import Struct
from typing import Any, BinaryIO, Final, Literal, NamedTuple

import google_crc32c
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from server.errors import SnapshotDamagedError

Array = np.ndarray[Any, np.dtype[Any]]

MAGIC: Final = b"RGSNAP01"
# One fixed name: what a killed writer left is replaced by the next one.
UNFINISHED_NAME: Final = "unfinished"
_PREFIX: Final = Struct("<8sII")
_TEXT_BYTES_MAX: Final = 1 << 20
_CHUNK_BYTES: Final = 1 << 22

# Name, format, shape: a column as a dtype describes it.
Format = Literal["<i8", "<f8", "|u1"]
Column = tuple[str, Format] | tuple[str, Format, list[int]]


class SnapshotMeta(BaseModel):
    """What a snapshot is of.

    Attributes:
        entry_number: Number of the newest journal entry that the state contains, ≥ 0.
        sequence: Of the engine.
        epoch: Of the engine.
        made_at_ns: Unix nanoseconds.
        arithmetic_version: Only an engine of the same one may go on from this state.
        layout_version: For information; columns are matched by name.
        sources: Hash of the hot-path sources, text.
        release: Version of riskgate that wrote it.
        capacity: Rows per table and `answer_bytes`, as in `Capacity`.
        models: Slot → digest of the model in it, hexadecimal. The caller loads them into these
            slots again before the engine decides anything.
        start: The numbers of START as the caller gave them.
    """

    model_config = ConfigDict(frozen=True)

    entry_number: int = Field(ge=0)
    sequence: int
    epoch: int
    made_at_ns: int
    arithmetic_version: int
    layout_version: int
    sources: str
    release: str
    capacity: dict[str, int]
    models: dict[int, str]
    start: dict[str, int | list[int]]


class Section(NamedTuple):
    """One array to be written, in contiguous pieces of one dtype."""

    name: str
    pieces: list[Array]


class _ArrayText(BaseModel):
    name: str
    columns: list[Column]
    rows: int = Field(ge=0)
    checksum: int

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(
            [(column[0], column[1], *map(tuple, column[2:])) for column in self.columns]
        )

    @property
    def size_bytes(self) -> int:
        return self.rows * self.dtype.itemsize


class _Text(BaseModel):
    meta: SnapshotMeta
    arrays: list[_ArrayText]


def write_file(path: Path, meta: SnapshotMeta, sections: Iterable[Section]) -> None:
    """Write a snapshot file so that it appears whole or not at all; one of this name is replaced.

    Raises:
        OSError: The disk is full or failed; nothing is left behind.
    """
    kept = list(sections)
    text = _Text(meta=meta, arrays=[_describe(section) for section in kept])
    unfinished = path.with_name(UNFINISHED_NAME)
    unfinished.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(unfinished, flags, 0o600), "wb") as file:
            file.write(_encode(text))
            for section in kept:
                for piece in section.pieces:
                    file.write(_bytes_of(piece))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_file(path: Path) -> tuple[SnapshotMeta, dict[str, Array]]:
    """Return the meta and the arrays of a snapshot file, all checksums compared.

    The arrays lie in the page cache and cannot be written to.

    Raises:
        SnapshotDamagedError: The file cannot be read, or is not what `write_file` wrote.
    """
    with _opened(path) as (file, text):
        at = file.tell()
        _check_arrays(path, file, text)
        mapped = mmap(file.fileno(), 0, access=ACCESS_READ)
    arrays = {}
    for entry in text.arrays:
        arrays[entry.name] = np.frombuffer(mapped, entry.dtype, entry.rows, at)
        at += entry.size_bytes
    return text.meta, arrays


def read_meta(path: Path) -> SnapshotMeta:
    """Return the meta of a snapshot file; all of it is read and compared, nothing else is kept.

    Raises:
        SnapshotDamagedError: As `read_file`.
    """
    with _opened(path) as (file, text):
        _check_arrays(path, file, text)
    return text.meta


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, _Text]]:
    """Open a snapshot file behind its header."""
    try:
        with path.open("rb") as file:
            text, size_bytes = _read_header(path, file)
            size_bytes += sum(entry.size_bytes for entry in text.arrays)
            if os.fstat(file.fileno()).st_size != size_bytes:
                raise SnapshotDamagedError(f"{path} is not {size_bytes} bytes long")
            yield file, text
    except OSError as error:
        raise SnapshotDamagedError(f"{path} cannot be read: {error.strerror}") from error


def _read_header(path: Path, file: BinaryIO) -> tuple[_Text, int]:
    """Return the header and its size in bytes."""
    prefix = file.read(_PREFIX.size)
    if len(prefix) < _PREFIX.size:
        raise SnapshotDamagedError(f"{path} is cut")
    magic, size_bytes, checksum = _PREFIX.unpack(prefix)
    if magic != MAGIC or size_bytes > _TEXT_BYTES_MAX:
        raise SnapshotDamagedError(f"{path} is no snapshot of this format")
    data = file.read(size_bytes)
    if google_crc32c.value(len(data).to_bytes(4, "little") + data) != checksum:
        raise SnapshotDamagedError(f"{path}: the header is damaged")
    try:
        return _Text.model_validate_json(data), _PREFIX.size + size_bytes
    except ValidationError as error:
        raise SnapshotDamagedError(f"{path}: the header has another form") from error


def _check_arrays(path: Path, file: Any, text: _Text) -> None:
    """Compare the checksum of every array with its bytes."""
    # Read and not mapped: what the disk cannot give is then an error and no signal.
    room = np.empty(_CHUNK_BYTES, np.uint8)
    for entry in text.arrays:
        checksum = 0
        for left in range(entry.size_bytes, 0, -_CHUNK_BYTES):
            piece = room[:left]
            if file.readinto(piece) != len(piece):
                raise SnapshotDamagedError(f"{path} is cut")
            checksum = google_crc32c.extend(checksum, _bytes_of(piece))
        if checksum != entry.checksum:
            raise SnapshotDamagedError(f"{path}: the bytes of {entry.name} are damaged")


def _bytes_of(piece: Array) -> Any:
    return np.ascontiguousarray(piece).view(np.uint8)


def _describe(section: Section) -> _ArrayText:
    checksum = 0
    for piece in section.pieces:
        checksum = google_crc32c.extend(checksum, _bytes_of(piece))
    dtype = section.pieces[0].dtype
    columns: Any = [(name, kind, *map(list, shape)) for name, kind, *shape in dtype.descr]
    rows = sum(map(len, section.pieces))
    return _ArrayText(name=section.name, columns=columns, rows=rows, checksum=checksum)


def _encode(text: _Text) -> bytes:
    data = text.model_dump_json().encode()
    # Arrays begin at whole words, so that they can be read where they lie.
    data = data.ljust(-(_PREFIX.size + len(data)) % 8 + len(data))
    checksum = google_crc32c.value(len(data).to_bytes(4, "little") + data)
    return _PREFIX.pack(MAGIC, len(data), checksum) + data
