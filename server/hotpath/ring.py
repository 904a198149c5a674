"""The one way into the engine for changes: a ring of frames between one producer and the owner.

A frame is a run of whole words whose first word is its length in bytes; the rest is the business of
whoever writes and reads frames (`change_frame.py`). The producer moves `written_bytes`, the owner
moves `read_bytes`, each after it is done with the bytes in between, so neither ever waits for the
other. A full ring refuses: the producer tries again, nothing is dropped and nothing overwritten.

Each mark is published by a release store and read by an acquire load. On x86-64 both are plain
moves and only keep the compiler from moving the bytes of a frame across the mark; on processors
that reorder stores (AArch64) they are the instructions that make the order hold.

The record is reached by its address alone, so a compiled loop can keep it beside its own. What the
producer writes, what the owner writes and what nobody writes lie 128 bytes apart: wherever the
record begins, no two of them share a cache line or a pair that is fetched together.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from server.hotpath.intrinsics import (
    address_of,
    address_reference,
    copy_bytes,
    load_acquire,
    load_word,
    store_release,
)
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.layout import packed_dtype

RING_BYTES_MIN: Final = 4_096

_I8 = "<i8"

RING: Final = packed_dtype(
    ("data", _I8),  # address of the bytes
    ("size_bytes", _I8),  # a power of two
    ("popped", _I8),  # address of the buffer, as large as the ring, into which the owner pops
    ("gap_before_producer", (_I8, (13,))),
    ("written_bytes", _I8),  # ever written
    ("frames_pushed", _I8),
    ("gap_before_owner", (_I8, (14,))),
    ("read_bytes", _I8),  # ever read
    ("frames_popped", _I8),  # ever taken and done with, the refused ones included
    ("frames_refused", _I8),
    ("gap_behind", (_I8, (13,))),
)

ring_at = address_reference(RING)


def _offset_of(column: str) -> int:
    return int(RING.fields[column][1])  # type: ignore[index]


_WRITTEN_AT: Final = _offset_of("written_bytes")
_READ_AT: Final = _offset_of("read_bytes")
_POPPED_AT: Final = _offset_of("frames_popped")


class Ring(NamedTuple):
    """A ring and its memory, which must outlive every kernel that uses it.

    Attributes:
        record: RING[1], the way in for kernels.
        data: the bytes, as int64 words.
        popped: the frame that the owner took last, as int64 words.
    """

    record: np.ndarray[Any, np.dtype[Any]]
    data: np.ndarray[Any, np.dtype[np.int64]]
    popped: np.ndarray[Any, np.dtype[np.int64]]


def new_ring(size_bytes: int) -> Ring:
    """Allocate a ring; its memory is touched only as it is used.

    Raises:
        ValueError: the size is not a power of two of at least 4 KiB.
    """
    if size_bytes < RING_BYTES_MIN or size_bytes & (size_bytes - 1):
        msg = "a ring has a power of two of at least 4096 bytes"
        raise ValueError(msg)
    data, popped = np.zeros(size_bytes // 8, np.int64), np.zeros(size_bytes // 8, np.int64)
    record = np.zeros(1, RING)
    record["data"] = data.ctypes.data
    record["size_bytes"] = size_bytes
    record["popped"] = popped.ctypes.data
    return Ring(record, data, popped)


@routine
def push_nb(ring: Any, frame_address: int) -> bool:
    """Append a frame; tell whether there was room. One producer at a time.

    Args:
        ring: RING record.
        frame_address: of a frame; its first word is its length in bytes, a positive multiple of 8.
    """
    frame_bytes = load_word(frame_address)
    start = ring.written_bytes
    if start + frame_bytes - load_acquire(address_of(ring) + _READ_AT) > ring.size_bytes:
        return False
    place = start & (ring.size_bytes - 1)
    first_bytes = min(frame_bytes, ring.size_bytes - place)
    copy_bytes(ring.data + place, frame_address, first_bytes)
    copy_bytes(ring.data, frame_address + first_bytes, frame_bytes - first_bytes)
    # Counted before it can be seen, so that never more frames are done with than were pushed.
    ring.frames_pushed += 1
    store_release(address_of(ring) + _WRITTEN_AT, start + frame_bytes)
    return True


@kernel
def next_frame_bytes_nb(ring: Any) -> int:
    """Return the length of the oldest frame, 0 when the ring is empty. Owner only."""
    start = ring.read_bytes
    if start == load_acquire(address_of(ring) + _WRITTEN_AT):
        return i64(0)
    return load_word(ring.data + (start & (ring.size_bytes - 1)))


@routine
def pop_nb(ring: Any) -> int:
    """Take the oldest frame into the buffer `popped`; return its length in bytes, 0 when empty.

    Owner only. The frame is counted by `settle_nb` once it is done with.
    """
    start = ring.read_bytes
    if start == load_acquire(address_of(ring) + _WRITTEN_AT):
        return i64(0)
    place = start & (ring.size_bytes - 1)
    # Frames are whole words, so the length is never split by the end of the ring.
    frame_bytes = load_word(ring.data + place)
    first_bytes = min(frame_bytes, ring.size_bytes - place)
    copy_bytes(ring.popped, ring.data + place, first_bytes)
    copy_bytes(ring.popped + first_bytes, ring.data, frame_bytes - first_bytes)
    store_release(address_of(ring) + _READ_AT, start + frame_bytes)
    return frame_bytes


@routine
def settle_nb(ring: Any, refused: bool) -> None:
    """Count the frame that was popped last as done with. Owner only.

    Whoever sees the count also sees what the frame has changed.
    """
    if refused:
        ring.frames_refused += 1
    store_release(address_of(ring) + _POPPED_AT, ring.frames_popped + 1)
