"""Provider and symbol encodings of a model: the most specific level that a key has.

The lookup tries (provider, symbol), (provider, any), (any, symbol), (any, any) and probes at most
`probe_max` cells each time, a bound found while filling; each hit is a full key comparison. No
allocation, no floats compared. Keys and their index: `encoding_index.py`. Reference twin:
`tests/model_reference.py`.
"""

import numpy as np
from numpy.typing import NDArray

from server.hotpath.encoding_index import (
    PROVIDER_SEED,
    ROW_MASK,
    SYMBOL_SEED,
    TAG_MASK,
    hash_part_nb,
    join_hashes_nb,
    mix_nb,
)
from server.hotpath.jit import routine
from server.hotpath.model_tables import ModelTables

LEVEL_NONE = -1
LEVEL_PROVIDER_SYMBOL = 0
LEVEL_PROVIDER = 1
LEVEL_SYMBOL = 2
LEVEL_GLOBAL = 3


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
def lookup_encoding_nb(
    tables: ModelTables,
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
    provider_hash = mix_nb(
        hash_part_nb(provider_words, 0, 8, PROVIDER_SEED), np.int64(provider_type)
    )
    symbol_hash = hash_part_nb(symbol_words, 0, 4, SYMBOL_SEED)
    any_provider_hash = PROVIDER_SEED
    for _word in range(9):
        any_provider_hash = mix_nb(any_provider_hash, np.int64(0))
    any_symbol_hash = SYMBOL_SEED
    for _word in range(4):
        any_symbol_hash = mix_nb(any_symbol_hash, np.int64(0))
    for level in range(4):
        use_provider = level < LEVEL_SYMBOL
        use_symbol = level in (LEVEL_PROVIDER_SYMBOL, LEVEL_SYMBOL)
        hashed = join_hashes_nb(
            provider_hash if use_provider else any_provider_hash,
            symbol_hash if use_symbol else any_symbol_hash,
        )
        tag = (hashed >> np.int64(32)) & TAG_MASK
        for probe in range(record["probe_max"]):
            entry = index[(hashed + probe) & record["index_mask"]]
            if entry == 0:
                break
            if (entry >> np.int64(32)) != tag:
                continue
            row = (entry & ROW_MASK) - 1
            if _row_matches_nb(
                keys[row], provider_words, provider_type, symbol_words, use_provider, use_symbol
            ):
                out2[0] = tables.level_values[slot, row, 0]
                out2[1] = tables.level_values[slot, row, 1]
                return level
    return LEVEL_NONE
