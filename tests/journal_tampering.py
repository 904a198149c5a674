"""Changes a journal as somebody would who can write its files and knows the format.

Checksums, sizes, numbers and headers are repaired, so that nothing but a checkpoint can tell.
"""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from server.hotpath.journal.entries import ENTRY, HEADER_BYTES, SEGMENT
from server.journal.scan import map_segment, read_head, walk
from server.journal.segments import HEADER_USED, checksum_of_header, list_segments, segment_path
from tests.journal_builder import NOW_NS, JournalBuilder, seal_entry

KINDS = ("edit", "delete", "insert", "reorder", "cut", "rewrite")
# What a verification may call it. Where nothing behind the place is as it was, also "rewritten";
# near the end, where others that are not sealed take the place, what that looks like.
NAMES = {
    "edit": {"altered", "rewritten"},
    "delete": {"removed", "rewritten", "altered"},
    "insert": {"inserted", "rewritten"},
    "reorder": {"reordered", "rewritten", "altered", "inserted"},
    "cut": {"cut"},
    "rewrite": {"rewritten", "altered"},
}


def write_random(builder: JournalBuilder, rng: random.Random, count: int) -> None:
    """Append entries of all sizes, no two alike."""
    for _ in range(count):
        reading_ns = NOW_NS + rng.getrandbits(40)
        if rng.random() < 0.2:
            builder.clock(reading_ns)
        else:
            request, answer = rng.randbytes(rng.randint(0, 300)), rng.randbytes(rng.randint(1, 200))
            builder.call(request, answer, reading_ns=reading_ns, readings=rng.choice((0, 1, 1, 2)))


@dataclass
class OpenedSegment:
    """A segment taken apart."""

    path: Path
    header: bytearray
    entries: list[bytes]

    @classmethod
    def read(cls, path: Path, first_entry: int) -> "OpenedSegment":
        with map_segment(path) as memory:
            end = walk(memory, HEADER_BYTES, first_entry).offset
            entries = []
            offset = HEADER_BYTES
            while offset < end:
                size = read_head(memory, offset)[0]
                entries.append(memory[offset : offset + size])
                offset += size
            return cls(path, bytearray(memory[:HEADER_BYTES]), entries)

    def write(self, first_entry: int) -> int:
        """Write it with everything repaired; return the number of the entry behind it."""
        header = np.frombuffer(self.header[:HEADER_USED], SEGMENT).copy()
        header["first_entry"] = first_entry
        header["checksum"] = checksum_of_header(header.tobytes())
        self.header[:HEADER_USED] = header.tobytes()
        whole = [changed(raw, number=first_entry + i) for i, raw in enumerate(self.entries)]
        data = bytes(self.header) + b"".join(whole)
        self.path.write_bytes(data.ljust(self.size_bytes, b"\0"))
        return first_entry + len(whole)

    @property
    def size_bytes(self) -> int:
        return int(np.frombuffer(self.header[:HEADER_USED], SEGMENT)[0]["segment_bytes"])

    def take_surplus(self) -> list[bytes]:
        """Remove and return the entries that the file has no room for."""
        end = HEADER_BYTES
        for place, raw in enumerate(self.entries):
            end += len(raw)
            if end > self.size_bytes:
                surplus = self.entries[place:]
                del self.entries[place:]
                return surplus
        return []

    def make_next(self) -> "OpenedSegment":
        """Return an empty segment with the next number."""
        header = np.frombuffer(self.header[:HEADER_USED], SEGMENT).copy()
        header["number"] += 1
        path = segment_path(self.path.parent, int(header["number"][0]))
        return OpenedSegment(path, bytearray(header.tobytes().ljust(HEADER_BYTES, b"\0")), [])


def changed(raw: bytes, **columns: Any) -> bytes:
    """Return an entry with other columns of ENTRY and the checksum repaired."""
    head = np.frombuffer(raw[: ENTRY.itemsize], ENTRY).copy()
    for name, value in columns.items():
        head[name] = value
    return seal_entry(head.tobytes() + raw[ENTRY.itemsize :])


def edited(raw: bytes, rng: random.Random) -> bytes:
    """Return a valid entry that is not this one."""
    head = np.frombuffer(raw[: ENTRY.itemsize], ENTRY)[0]
    how = rng.choice(("column", "byte", "longer"))
    if how == "column" or len(raw) == ENTRY.itemsize:
        name = rng.choice(("sequence", "synced", "reading_ns"))
        return changed(raw, **{name: int(head[name]) + rng.randint(1, 1_000)})
    if how == "longer":
        return seal_entry(raw + rng.randbytes(8))
    body = bytearray(raw)
    body[rng.randrange(ENTRY.itemsize, len(raw))] ^= rng.randint(1, 255)
    return seal_entry(bytes(body))


class OpenedJournal:
    """A journal taken apart, one list of entries for each segment.

    Args:
        folder: Of the journal; sound.
    """

    def __init__(self, folder: Path) -> None:
        headers = list_segments(folder)
        self._folder = folder
        self.first_entry = headers[0].first_entry
        self.segments = [OpenedSegment.read(item.path, item.first_entry) for item in headers]

    @property
    def entries(self) -> list[bytes]:
        return [raw for segment in self.segments for raw in segment.entries]

    def replace(self, start: int, old_count: int, new: list[bytes]) -> None:
        """Put entries in place of others, in the segment where the first of them stood."""
        place = start
        for segment in self.segments:
            here = len(segment.entries)
            if place < here or (place == here and segment is self.segments[-1]):
                gone = min(old_count, here - place)
                segment.entries[place : place + gone] = new
                old_count, new, place = old_count - gone, [], 0
                if not old_count:
                    return
            else:
                place -= here

    def pack(self, start: int, *, tight: bool) -> None:
        """Let no segment from one on hold more than its file; if `tight`, fill all of them."""
        if tight:
            gathered = [raw for segment in self.segments[start:] for raw in segment.entries]
            for segment in self.segments[start:]:
                segment.entries = []
            self.segments[start].entries = gathered
        while start < len(self.segments):
            too_many = self.segments[start].take_surplus()
            start += 1
            if start == len(self.segments) and too_many:
                self.segments.append(self.segments[-1].make_next())
            if too_many:
                self.segments[start].entries[:0] = too_many
        while not self.segments[-1].entries:
            self.segments.pop().path.unlink(missing_ok=True)

    def shift_sequences(self, start: int, by: int) -> None:
        """Leave no gap in the engine's sequences either."""
        place = 0
        for segment in self.segments:
            for index, raw in enumerate(segment.entries):
                if place >= start:
                    sequence = int(np.frombuffer(raw[: ENTRY.itemsize], ENTRY)[0]["sequence"])
                    segment.entries[index] = changed(raw, sequence=sequence + by)
                place += 1

    def find_segment(self, place: int) -> int:
        """Return the index of the segment of an entry."""
        for index, segment in enumerate(self.segments):
            place -= len(segment.entries)
            if place < 0:
                return index
        return len(self.segments) - 1

    def write(self) -> None:
        number = self.first_entry
        for segment in self.segments:
            number = segment.write(number)


def tamper(folder: Path, kind: str, last_number: int, rng: random.Random) -> int:
    """Tamper with a sound journal; return the number of the first entry that is not as it was.

    Args:
        folder: Of the journal.
        kind: One of KINDS.
        last_number: Newest entry that is sealed; the first one changed is not behind it.
        rng: Decides what is done.
    """
    journal = OpenedJournal(folder)
    old = journal.entries
    place = rng.randint(0, last_number - journal.first_entry)
    if kind == "cut":
        _cut(journal, folder, place)
        return journal.first_entry + place
    if kind in {"delete", "reorder"}:
        # Something must be left behind it, or it is a cut.
        place = min(place, len(old) - 2)
    start = journal.find_segment(place)
    repairs_sequences = rng.random() < 0.3
    if kind == "edit":
        journal.replace(place, 1, [edited(old[place], rng)])
    elif kind == "delete":
        count = rng.randint(1, min(5, len(old) - 1 - place))
        journal.replace(place, count, [])
        journal.shift_sequences(place, -count if repairs_sequences else 0)
    elif kind == "insert":
        forged = [edited(rng.choice(old), rng) for _ in range(rng.randint(1, 3))]
        journal.replace(place, 0, forged)
        journal.shift_sequences(place + len(forged), len(forged) if repairs_sequences else 0)
    elif kind == "reorder":
        other = rng.randint(place + 1, min(place + 20, len(old) - 1))
        journal.replace(other, 1, [old[place]])
        journal.replace(place, 1, [old[other]])
    elif kind == "rewrite":
        for later in range(place, len(old)):
            journal.replace(later, 1, [edited(old[later], rng)])
    journal.pack(start, tight=kind != "edit" and rng.random() < 0.3)
    journal.write()
    return journal.first_entry + _first_difference(old, journal.entries)


def _cut(journal: OpenedJournal, folder: Path, place: int) -> None:
    for segment in reversed(journal.segments):
        before = sum(len(item.entries) for item in journal.segments) - len(segment.entries)
        if before >= place and len(journal.segments) > 1:
            segment.path.unlink()
            journal.segments.remove(segment)
        else:
            del segment.entries[place - before :]
            break
    for path in folder.glob("*.segment"):
        if path > journal.segments[-1].path:
            path.unlink()
    journal.write()


def _first_difference(old: list[bytes], new: list[bytes]) -> int:
    # Numbers and first words are repaired, so they say nothing.
    for place, (one, other) in enumerate(zip(old, new, strict=False)):
        if one[16:] != other[16:]:
            return place
    return min(len(old), len(new))


def delete_oldest(folder: Path, count: int) -> None:
    """Do what the disk budget does."""
    for segment in list_segments(folder)[:count]:
        segment_path(folder, segment.number).unlink()
