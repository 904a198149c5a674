"""The one way into the engine for changes: a byte ring between one producer and the owner.

Frames are `length (8 bytes) | tag (8 bytes) | payload padded to 8 bytes`. `marks[0]` counts bytes
ever written, `marks[1]` bytes ever read; the producer only moves the first, the owner only the
second, each after it is done with the bytes. A full ring refuses: the producer waits and tries
again, nothing is dropped.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from server.hotpath.jit import i64, routine

_HEADER_BYTES = 16


class Ring(NamedTuple):
    """Bytes (uint8, a power of two of them) and marks (int64[2])."""

    data: np.ndarray[Any, np.dtype[np.uint8]]
    marks: np.ndarray[Any, np.dtype[np.int64]]


def new_ring(size_bytes: int) -> Ring:
    """Allocate a ring.

    Raises:
        ValueError: the size is not a power of two of at least 4 KiB.
    """
    if size_bytes < 4_096 or size_bytes & (size_bytes - 1):
        msg = "a ring has a power of two of at least 4096 bytes"
        raise ValueError(msg)
    return Ring(np.zeros(size_bytes, np.uint8), np.zeros(2, np.int64))


@routine
def _span_nb(payload_bytes: int) -> int:
    return _HEADER_BYTES + ((payload_bytes + 7) & ~7)


@routine
def _put_word_nb(ring: Ring, at: int, value: int) -> None:
    mask = ring.data.shape[0] - 1
    for byte in range(8):
        ring.data[(at + byte) & mask] = (value >> (8 * byte)) & 0xFF


@routine
def _get_word_nb(ring: Ring, at: int) -> int:
    mask = ring.data.shape[0] - 1
    value = i64(0)
    for byte in range(8):
        value |= i64(ring.data[(at + byte) & mask]) << i64(8 * byte)
    return value


@routine
def push_nb(ring: Ring, payload: np.ndarray[Any, np.dtype[np.uint8]], tag: int) -> bool:
    """Append a frame; tell whether there was room."""
    size = ring.data.shape[0]
    start = ring.marks[0]
    span = _span_nb(payload.shape[0])
    if start + span - ring.marks[1] > size:
        return False
    _put_word_nb(ring, start, payload.shape[0])
    _put_word_nb(ring, start + 8, tag)
    for position in range(payload.shape[0]):
        ring.data[(start + _HEADER_BYTES + position) & (size - 1)] = payload[position]
    ring.marks[0] = start + span
    return True


@routine
def pop_nb(ring: Ring, payload: np.ndarray[Any, np.dtype[np.uint8]]) -> tuple[int, int]:
    """Take the oldest frame into `payload` (as large as the ring).

    Return (its length, its tag), (−1, 0) when empty.
    """
    start = ring.marks[1]
    if start == ring.marks[0]:
        return i64(-1), i64(0)
    length = _get_word_nb(ring, start)
    tag = _get_word_nb(ring, start + 8)
    mask = ring.data.shape[0] - 1
    for position in range(length):
        payload[position] = ring.data[(start + _HEADER_BYTES + position) & mask]
    ring.marks[1] = start + _span_nb(length)
    return length, tag
