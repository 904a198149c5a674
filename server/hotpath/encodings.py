"""Provider and symbol encodings of a model: an open-addressing hash with full key comparison.

A key is 13 int64 words: provider id (64 bytes, zero padded), provider type, symbol (32 bytes, zero
padded). Zeros are the wildcard. The lookup tries (provider, symbol), (provider, any), (any,
symbol), (any, any) and probes at most `probe_max` cells each time, a bound found while filling. No
allocation, no floats compared. Reference twin: `tests/model_reference.py`.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from server.hotpath.jit import routine

if TYPE_CHECKING:
    from server.hotpath.model_tables import ModelTables

LEVEL_NONE = -1
LEVEL_PROVIDER_SYMBOL = 0
LEVEL_PROVIDER = 1
LEVEL_SYMBOL = 2
LEVEL_GLOBAL = 3

PROBES_MAX = 128
"""A table that needs more is refused: at load factor one half it means keys made to collide."""

_MULTIPLIER = np.int64(-7046029254386353131)  # 2^64 / golden ratio, odd
_PROVIDER_SEED = np.int64(0x5851F42D4C957F2D)
_SYMBOL_SEED = np.int64(0x14057B7EF767814F)
_TAG_MASK = np.int64(0x7FFFFFFF)
_ROW_MASK = np.int64(0xFFFFFFFF)


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
def _mix_nb(state: np.int64, word: np.int64) -> np.int64:
    mixed = (state ^ word) * _MULTIPLIER
    return mixed ^ (mixed >> np.int64(32))


@routine
def _hash_part_nb(words: NDArray[np.int64], start: int, count: int, seed: np.int64) -> np.int64:
    state = seed
    for position in range(start, start + count):
        state = _mix_nb(state, words[position])
    return state


@routine
def _join_hashes_nb(provider_hash: np.int64, symbol_hash: np.int64) -> np.int64:
    # The final mix carries high bits down, since the cell is taken from the low ones.
    return _mix_nb(_mix_nb(provider_hash, symbol_hash), np.int64(0))


@routine
def _row_matches_nb(
    key: NDArray[np.int64],
    provider_words: NDArray[np.int64],
    provider_type: int,
    symbol_words: NDArray[np.int64],
    use_provider: bool,
    use_symbol: bool,
) -> bool:
    same = key[8] == (provider_type if use_provider else 0)
    for word in range(8):
        same &= key[word] == (provider_words[word] if use_provider else 0)
    for word in range(4):
        same &= key[9 + word] == (symbol_words[word] if use_symbol else 0)
    return bool(same)


@routine
def _insert_nb(index: NDArray[np.int64], keys: NDArray[np.int64], row: int, index_mask: int) -> int:
    # Returns the number of cells looked at, 0 when the key is already present, -1 beyond the bound.
    key = keys[row]
    hashed = _join_hashes_nb(
        _hash_part_nb(key, 0, 9, _PROVIDER_SEED), _hash_part_nb(key, 9, 4, _SYMBOL_SEED)
    )
    tag = (hashed >> np.int64(32)) & _TAG_MASK
    for probe in range(PROBES_MAX):
        cell = (hashed + probe) & index_mask
        if index[cell] == 0:
            index[cell] = (tag << np.int64(32)) | np.int64(row + 1)
            return probe + 1
        other = keys[(index[cell] & _ROW_MASK) - 1]
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


@routine
def lookup_encoding_nb(
    tables: "ModelTables",
    slot: int,
    provider_words: NDArray[np.int64],
    provider_type: int,
    symbol_words: NDArray[np.int64],
    out2: NDArray[np.float32],
) -> int:
    """Find the most specific encoding of a provider and symbol.

    Args:
        tables: Model memory.
        slot: A loaded slot; the caller checks `kind`.
        provider_words: int64[8], zeros when unknown.
        provider_type: 1 channel_source, 2 user.
        symbol_words: int64[4], zeros when unknown.
        out2: float32[2], receives q50 and q90 in pips; unchanged when nothing is found.

    Returns:
        `LEVEL_PROVIDER_SYMBOL` (0) to `LEVEL_GLOBAL` (3), or `LEVEL_NONE` for an empty slot.
    """
    record = tables.slots[slot]
    index = tables.level_index[slot]
    keys = tables.level_keys[slot]
    provider_hash = _mix_nb(
        _hash_part_nb(provider_words, 0, 8, _PROVIDER_SEED), np.int64(provider_type)
    )
    symbol_hash = _hash_part_nb(symbol_words, 0, 4, _SYMBOL_SEED)
    any_provider_hash = _PROVIDER_SEED
    for _word in range(9):
        any_provider_hash = _mix_nb(any_provider_hash, np.int64(0))
    any_symbol_hash = _SYMBOL_SEED
    for _word in range(4):
        any_symbol_hash = _mix_nb(any_symbol_hash, np.int64(0))
    for level in range(4):
        use_provider = level < LEVEL_SYMBOL
        use_symbol = level in (LEVEL_PROVIDER_SYMBOL, LEVEL_SYMBOL)
        hashed = _join_hashes_nb(
            provider_hash if use_provider else any_provider_hash,
            symbol_hash if use_symbol else any_symbol_hash,
        )
        tag = (hashed >> np.int64(32)) & _TAG_MASK
        for probe in range(record["probe_max"]):
            entry = index[(hashed + probe) & record["index_mask"]]
            if entry == 0:
                break
            if (entry >> np.int64(32)) != tag:
                continue
            row = (entry & _ROW_MASK) - 1
            if _row_matches_nb(
                keys[row], provider_words, provider_type, symbol_words, use_provider, use_symbol
            ):
                out2[0] = tables.level_values[slot, row, 0]
                out2[1] = tables.level_values[slot, row, 1]
                return level
    return LEVEL_NONE
