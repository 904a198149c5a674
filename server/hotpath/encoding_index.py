"""The index over a model's encoding keys: open addressing, filled once when a model is loaded.

A key is 13 int64 words: provider id (64 bytes, zero padded), provider type, symbol (32 bytes, zero
padded). Zeros are the wildcard. Provider and symbol are hashed apart, so that a lookup joins four
combinations from two hashes. The lookup is in `encodings.py`.
"""

import numpy as np
from numpy.typing import NDArray

from server.hotpath.jit import routine

PROBES_MAX = 128
"""A table that needs more is refused: at load factor one half it means keys made to collide."""

_MULTIPLIER = np.int64(-7046029254386353131)  # 2^64 / golden ratio, odd
PROVIDER_SEED = np.int64(0x5851F42D4C957F2D)
SYMBOL_SEED = np.int64(0x14057B7EF767814F)
TAG_MASK = np.int64(0x7FFFFFFF)
ROW_MASK = np.int64(0xFFFFFFFF)


def pack_text(text: str, word_count: int) -> NDArray[np.int64]:
    """Return the UTF-8 bytes of a text as little-endian words, zero padded.

    Raises:
        ValueError: The text needs more than `word_count` words, or holds a NUL, which padding could
            not tell apart.
    """
    raw = text.encode()
    if len(raw) > 8 * word_count or 0 in raw:
        raise ValueError(f"an id has a NUL or more than {8 * word_count} bytes")
    return np.frombuffer(raw.ljust(8 * word_count, b"\0"), "<i8").astype(np.int64)


@routine
def mix_nb(state: np.int64, word: np.int64) -> np.int64:
    """Return a hash state moved on by one word."""
    mixed = (state ^ word) * _MULTIPLIER
    return mixed ^ (mixed >> np.int64(32))


@routine
def hash_part_nb(words: NDArray[np.int64], start: int, count: int, seed: np.int64) -> np.int64:
    """Return the hash of `count` words from `start`."""
    state = seed
    for position in range(start, start + count):
        state = mix_nb(state, words[position])
    return state


@routine
def join_hashes_nb(provider_hash: np.int64, symbol_hash: np.int64) -> np.int64:
    """Return the hash of a key from those of its provider and its symbol."""
    # The final mix carries high bits down, since the cell is taken from the low ones.
    return mix_nb(mix_nb(provider_hash, symbol_hash), np.int64(0))


@routine
def _insert_nb(index: NDArray[np.int64], keys: NDArray[np.int64], row: int, index_mask: int) -> int:
    # Returns the number of cells looked at, 0 when the key is already present, -1 beyond the bound.
    key = keys[row]
    hashed = join_hashes_nb(
        hash_part_nb(key, 0, 9, PROVIDER_SEED), hash_part_nb(key, 9, 4, SYMBOL_SEED)
    )
    tag = (hashed >> np.int64(32)) & TAG_MASK
    for probe in range(PROBES_MAX):
        cell = (hashed + probe) & index_mask
        if index[cell] == 0:
            index[cell] = (tag << np.int64(32)) | np.int64(row + 1)
            return probe + 1
        other = keys[(index[cell] & ROW_MASK) - 1]
        same = True
        for word in range(13):
            same &= other[word] == key[word]
        if same:
            return 0
    return -1


def fill_levels(
    index: NDArray[np.int64], keys: NDArray[np.int64], level_count: int
) -> tuple[int, int]:
    """Build the index over the first `level_count` keys.

    Returns:
        The cell mask and the largest number of probes that a lookup needs.

    Raises:
        ValueError: A key occurs twice, or keys collide beyond `PROBES_MAX`.
    """
    # At most half full, and no larger than needed: a small table stays in the cache.
    index_size = max(8, 1 << (2 * level_count - 1).bit_length())
    index[:index_size] = 0
    probe_max = 0
    for row in range(level_count):
        probes = _insert_nb(index, keys, row, index_size - 1)
        if probes == 0:
            raise ValueError(f"encoding level {row} repeats an earlier key")
        if probes < 0:
            raise ValueError("encoding levels collide beyond the probe bound")
        probe_max = max(probe_max, probes)
    return index_size - 1, probe_max
