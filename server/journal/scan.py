"""One entry at an offset, judged; and whether anything valid lies behind a bad one.

The first word of an entry is stored last, so a writer that dies leaves a zero word and nothing
valid behind it. Whatever is valid behind a bad word was therefore whole once, and so was the bad
one: it is damage, not a torn tail.
"""

import mmap
import struct
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

import google_crc32c
import numpy as np

from server.hotpath.journal.entries import ENTRY_BYTES, HEADER_BYTES, KIND_NAMES

# size, CRC32C, number, sequence, kind, synced, reading_ns
read_head: Final = struct.Struct("<IIqqqqq").unpack_from
extend_checksum: Final = google_crc32c.extend
_WORD: Final = 8
_CHUNK_WORDS: Final = 1 << 20


class Found(NamedTuple):
    """A valid entry that was searched for without knowing where it begins."""

    path: Path
    offset: int
    number: int
    synced: int

    def describe(self) -> str:
        """Name it for an operator."""
        return f"entry {self.number} at offset {self.offset} of {self.path.name}"


class Walked(NamedTuple):
    """Where a walk over valid entries ended.

    Attributes:
        offset: Behind the last valid one, bytes.
        number: Of the entry that belongs there.
        sequence: Of the engine behind the last valid one; 0 if there was none.
    """

    offset: int
    number: int
    sequence: int


@lru_cache(maxsize=4_096)
def start_checksum(size: int) -> int:
    """Return the CRC32C of an entry's size, which all its other bytes extend; sizes recur."""
    return int(google_crc32c.value(size.to_bytes(_WORD, "little")))


def map_segment(path: Path) -> mmap.mmap:
    """Map a segment for reading; what a writer stores later shows up in it.

    Raises:
        FileNotFoundError: It was deleted meanwhile.
    """
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def is_zero_word(memory: mmap.mmap, offset: int) -> bool:
    """Tell whether no entry begins here, be it for lack of room."""
    if len(memory) - offset < ENTRY_BYTES:
        return True
    return memory[offset : offset + _WORD] == bytes(_WORD)


def find_problem(memory: mmap.mmap, offset: int, number: int) -> str:
    """Say what is wrong with the entry at an offset; nothing if it is valid.

    Args:
        memory: Mapped segment, with at least ENTRY_BYTES at the offset.
        offset: Of the entry, bytes.
        number: That it must have.
    """
    size, checksum, found, _, kind, _, _ = read_head(memory, offset)
    if size < ENTRY_BYTES or size % _WORD or offset + size > len(memory):
        return f"an entry cannot have {size} bytes here"
    if extend_checksum(start_checksum(size), memory[offset + _WORD : offset + size]) != checksum:
        return "the entry's checksum is wrong"
    if found != number:
        return f"the entry has number {found}, expected {number}"
    if not 0 < kind < len(KIND_NAMES):
        return f"an entry cannot have kind {kind}"
    return ""


def walk(memory: mmap.mmap, offset: int, number: int) -> Walked:
    """Go over the valid entries from an offset on.

    Args:
        memory: Mapped segment.
        offset: Of the first entry, bytes.
        number: That it must have.
    """
    end = len(memory)
    last_sequence = 0
    while end - offset >= ENTRY_BYTES:
        size, checksum, found, sequence, kind, _, _ = read_head(memory, offset)
        rest = memory[offset + _WORD : offset + size]
        if (
            found != number
            or len(rest) != size - _WORD
            or size < ENTRY_BYTES
            or size % _WORD
            or not 0 < kind < len(KIND_NAMES)
            or extend_checksum(start_checksum(size), rest) != checksum
        ):
            break
        offset += size
        number += 1
        last_sequence = sequence
    return Walked(offset, number, last_sequence)


def find_valid(path: Path, offset: int = HEADER_BYTES) -> Iterator[Found]:
    """Find every valid entry in a segment from an offset on, wherever it begins.

    Args:
        path: Of the segment; one that is not there holds none.
        offset: Where to begin, a multiple of 8.
    """
    try:
        memory = map_segment(path)
    except (FileNotFoundError, ValueError):  # ValueError: an empty file cannot be mapped
        return
    with memory:
        words_behind = max(0, len(memory) - offset) // _WORD
        for start in range(0, words_behind, _CHUNK_WORDS):
            first = offset + start * _WORD
            count = min(_CHUNK_WORDS, words_behind - start)
            sizes = np.frombuffer(memory[first : first + count * _WORD], "<u4")[::2]
            likely = np.flatnonzero((sizes >= ENTRY_BYTES) & (sizes % _WORD == 0))
            for position in likely.tolist():
                place = first + position * _WORD
                if place + ENTRY_BYTES > len(memory):
                    break
                _, _, number, _, kind, synced, _ = read_head(memory, place)
                # Before the checksum: among arbitrary bytes many look like the size of an entry.
                if number < 1 or not 0 < kind < len(KIND_NAMES):
                    continue
                if not find_problem(memory, place, number):
                    yield Found(path, place, number, synced)
