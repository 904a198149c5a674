"""Writes journals as an engine does, entry by entry, in plain Python."""

import os
from pathlib import Path
from typing import Any, NamedTuple, Self

import google_crc32c
import numpy as np

from server.hotpath.journal.entries import (
    CALL,
    ENTRY,
    HEADER_BYTES,
    KIND_CHANGE,
    KIND_CLOCK,
    KIND_DECIDE,
    KIND_START,
    MAGIC,
    READING,
    SEGMENT,
    START,
)
from server.hotpath.ring_frame import FRAME, FRAME_BYTES
from server.journal.segments import (
    HEADER_USED,
    MappedSegment,
    Origin,
    checksum_of_header,
    create_segment,
    list_numbers,
)

BOOT = "boot-of-the-tests"
NOW_NS = 1_790_000_000_000_000_000


class Written(NamedTuple):
    """Where an entry stands."""

    number: int
    segment_number: int
    offset: int
    raw: bytes
    path: Path


def padded(data: bytes) -> bytes:
    """Return the bytes filled up to whole words."""
    return data + bytes(-len(data) % 8)


def seal_entry(raw: bytes) -> bytes:
    """Return the bytes of an entry with size and checksum in its first word."""
    assert len(raw) % 8 == 0
    checksum = int(google_crc32c.value(len(raw).to_bytes(8, "little") + raw[8:]))
    return (len(raw) | checksum << 32).to_bytes(8, "little") + raw[8:]


def begin_segment(segment: MappedSegment, first_entry: int) -> None:
    """Do what the engine does when it begins a prepared segment."""
    header = np.frombuffer(os.pread(segment.fd, HEADER_USED, 0), SEGMENT).copy()
    header["first_entry"] = first_entry
    header["checksum"] = checksum_of_header(header.tobytes())
    os.pwrite(segment.fd, header.tobytes()[8:], 8)
    os.pwrite(segment.fd, MAGIC.to_bytes(8, "little"), 0)


class JournalBuilder:
    """Writes one journal; each instance is one engine process, that is one epoch.

    Args:
        folder: Of the journal; made if it is not there. Numbers go on behind its segments.
        segment_bytes: Size of each segment.
        number: Of the first entry.
        epoch: Of the engine.
        boot: Of the operating system.
        started: Whether to write the START entry at once.
    """

    def __init__(
        self,
        folder: Path,
        *,
        segment_bytes: int = 1 << 16,
        number: int = 1,
        epoch: int = 1,
        boot: str = BOOT,
        started: bool = True,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.origin = Origin(epoch=epoch, boot=boot, sources="sources", release="0.1.0")
        self.number = number
        self.sequence = 0
        self.synced = 0
        self.written: list[Written] = []
        self._segment_bytes = segment_bytes
        self._segment: MappedSegment | None = None
        self._offset = 0
        if started:
            self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the current segment; what was written stays."""
        if self._segment is not None:
            self._segment.close()
            self._segment = None

    def rotate(self) -> None:
        """Begin the next segment."""
        self.close()
        number = max(list_numbers(self.folder), default=0) + 1
        self._segment = create_segment(self.folder, number, self._segment_bytes, self.origin)
        begin_segment(self._segment, self.number)
        self._offset = HEADER_BYTES

    def start(self, **columns: Any) -> Written:
        """Write a START."""
        entry = np.zeros(1, START)
        values = {"epoch": self.origin.epoch, "shards": 1, "started_at_ns": NOW_NS, **columns}
        for name, value in values.items():
            entry[name] = value
        return self.append(KIND_START, entry.tobytes()[ENTRY.itemsize :])

    def clock(self, reading_ns: int = NOW_NS) -> Written:
        """Write a reading of the clock."""
        return self.append(KIND_CLOCK, b"", reading_ns=reading_ns)

    def change(
        self, kind: int, rows: bytes, change: bytes, *, version: int = 1, deleted: bool = False
    ) -> Written:
        """Write a change; `rows` are whole words."""
        frame = np.zeros(1, FRAME)
        frame[0] = (0, kind, version, deleted, -1, 1, len(rows), len(change))
        frame["frame_bytes"] = FRAME_BYTES + len(rows) + len(padded(change))
        return self.append(KIND_CHANGE, frame.tobytes() + rows + padded(change))

    def frame(self, frame: bytes) -> Written:
        """Write a change that is packed already, by server.change_packing."""
        return self.append(KIND_CHANGE, frame)

    def call(
        self,
        request: bytes,
        answer: bytes,
        *,
        kind: int = KIND_DECIDE,
        identity: bytes = b"",
        readings: int | np.ndarray[Any, Any] = 1,
        reading_ns: int = NOW_NS,
        sequence: int | None = None,
    ) -> Written:
        """Write a call; `readings` are rows of READING or their number."""
        rows = np.zeros(readings, READING) if isinstance(readings, int) else readings
        self.sequence = self.sequence + len(rows) if sequence is None else sequence
        head = np.zeros(1, CALL)
        head["reading_count"] = len(rows)
        head["request_bytes"] = len(request)
        head["answer_bytes"] = len(answer)
        head["identity_bytes"] = len(identity)
        parts = (rows.tobytes(), padded(request), padded(answer), padded(identity))
        body = head.tobytes()[ENTRY.itemsize :] + b"".join(parts)
        return self.append(kind, body, reading_ns=reading_ns)

    def append(self, kind: int, body: bytes, *, reading_ns: int = NOW_NS) -> Written:
        """Write any entry; its first word comes last."""
        head = np.zeros(1, ENTRY)
        head[0] = (0, self.number, self.sequence, kind, self.synced, reading_ns)
        raw = seal_entry(head.tobytes() + body)
        if self._segment is None or self._offset + len(raw) > self._segment_bytes:
            self.rotate()
        assert self._segment is not None
        place = Written(self.number, self._segment.number, self._offset, raw, self._segment.path)
        os.pwrite(self._segment.fd, raw[8:], self._offset + 8)
        os.pwrite(self._segment.fd, raw[:8], self._offset)
        self._offset += len(raw)
        self.number += 1
        self.written.append(place)
        return place


def overwrite(path: Path, offset: int, data: bytes) -> None:
    """Change bytes of a file in place."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)
