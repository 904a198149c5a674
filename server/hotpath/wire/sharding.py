"""Whose an account is when several engines share them: CRC32C of its id, modulo their number."""

from __future__ import annotations

from typing import Any

from server.hotpath.intrinsics import load_byte
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.journal.checksum import checksum_bytes_nb
from server.hotpath.layout import ID_BYTES_MAX


@routine
def _is_ours_nb(wire: Any, account_id: int) -> bool:
    if load_byte(account_id) == 0:
        return True  # nobody's: refused by whoever is asked
    length = i64(0)
    while length < ID_BYTES_MAX and load_byte(account_id + length) != 0:
        length += 1
    return checksum_bytes_nb(account_id, length) % wire.shards == wire.shard


@kernel
def owns_account_nb(wire: Any, account_id: int) -> bool:
    """Tell whether this engine answers for the account whose zero padded id is at an address."""
    return wire.shards <= 1 or _is_ours_nb(wire, account_id)
