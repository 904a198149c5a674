"""The memory of answers.

The same client_order_id gets the same bytes, another request under it is a conflict.

Rows form one ring in the order of arrival; so do the stored answers. The oldest go when room is
needed and they are old enough; when they are not, new ids are denied instead of old ones being
forgotten.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from server.hotpath.jit import i64, kernel, routine
from server.hotpath.layout import ID_WORDS
from server.hotpath.memory import account_at, engine_of, idempotency_of, remembered_at, words_at_nb
from server.hotpath.records import REQUEST_DIGEST_WORDS
from server.hotpath.table import find_nb, link_nb, unlink_nb

ORDER_KEY_WORDS = 1 + ID_WORDS
DROPPED_MAX = 64
ANSWER_ROOM_SHARE = 4
ANSWER_ROOM_BYTES = 1 << 22
"""So much must be free before a decision is made: a whole batch is judged before it is stored."""

_SEED = i64(0x2545F4914F6CDD1D)
_MULTIPLIER = i64(-4417276706812531889)
_OTHER_MULTIPLIER = i64(-7070675565921424023)
_FACTOR_STEP = i64(0x1B873593CC9E2D50)  # even: factors stay odd
_OTHER_STEP = i64(0x38B34AE5A1E38B92)
FOLD_BEGIN = (_SEED, ~_SEED, _MULTIPLIER, _OTHER_MULTIPLIER)


@kernel
def fold_words_nb(address: int, count: int, sums: tuple[int, int, int, int]) -> Any:
    """Fold `count` words at an address into a digest that begins with FOLD_BEGIN.

    The first two of the returned numbers are the digest.
    """
    words = words_at_nb(address, count)
    first, second, factor, other = sums
    for position in range(count):
        word = words[position]
        first += (word ^ other) * factor
        second += (word ^ factor) * other
        factor += _FACTOR_STEP
        other += _OTHER_STEP
    return first, second, factor, other


@kernel
def fold_word_nb(word: int, sums: tuple[int, int, int, int]) -> Any:
    """Fold one word more into a digest."""
    first, second, factor, other = sums
    first += (word ^ other) * factor
    second += (word ^ factor) * other
    return first, second, factor + _FACTOR_STEP, other + _OTHER_STEP


@routine
def digest_nb(state: Any, digest: np.ndarray) -> None:
    """Write the 128-bit digest of the request (all before `explain`) into two words."""
    sums = fold_words_nb(state.request, REQUEST_DIGEST_WORDS, FOLD_BEGIN)
    digest[0] = sums[0]
    digest[1] = sums[1]


@kernel
def order_key_nb(state: Any, account_row: int, client_order_id: np.ndarray) -> None:
    """Write the key of an account's client_order_id into the scratch words."""
    state.scratch[0] = account_row
    for word in range(ID_WORDS):
        state.scratch[1 + word] = client_order_id[word]


@kernel
def find_order_nb(state: Any, account_row: int, client_order_id: np.ndarray) -> int:
    """Return the row of an account's client_order_id, 0 if it is not remembered."""
    order_key_nb(state, account_row, client_order_id)
    return find_nb(idempotency_of(state), state.scratch, ORDER_KEY_WORDS)


@routine
def _drop_oldest_nb(state: Any) -> None:
    engine = engine_of(state)
    row = engine.idempotency_oldest
    remembered = remembered_at(state, row)
    unlink_nb(idempotency_of(state), row, ORDER_KEY_WORDS)
    account_at(state, remembered.account_row).idempotency_count -= 1
    engine.answer_used -= remembered.answer_bytes
    engine.idempotency_count -= 1
    engine.idempotency_oldest = 1 if row == idempotency_of(state).capacity else row + 1


@kernel
def _is_full_nb(state: Any, account_row: int) -> bool:
    engine = engine_of(state)
    capacity = idempotency_of(state).capacity
    return (
        engine.idempotency_count >= capacity
        or account_at(state, account_row).idempotency_count >= max(capacity // 8, 1)
        or state.answer_capacity - engine.answer_used
        < min(ANSWER_ROOM_BYTES, state.answer_capacity // ANSWER_ROOM_SHARE)
    )


@routine
def make_room_nb(state: Any, account_row: int, now_ns: int) -> bool:
    """Drop ids that are old enough, at most 64, until one more of this account fits.

    Tell whether it does.
    """
    engine = engine_of(state)
    dropped = 0
    while _is_full_nb(state, account_row):
        if dropped == DROPPED_MAX or engine.idempotency_count == 0:
            return False
        oldest = remembered_at(state, engine.idempotency_oldest)
        if now_ns - oldest.made_at_ns <= engine.idempotency_min_age_ns:
            return False
        _drop_oldest_nb(state)
        dropped += 1
    return True


@kernel
def remember_order_nb(
    state: Any, account_row: int, client_order_id: np.ndarray, digest: np.ndarray
) -> int:
    """Remember an id and its request; return the row where the answer belongs.

    Room has been made before.
    """
    engine = engine_of(state)
    capacity = idempotency_of(state).capacity
    if engine.idempotency_oldest == 0:
        engine.idempotency_oldest = 1
    row = engine.idempotency_oldest + engine.idempotency_count
    if row > capacity:
        row -= capacity
    remembered = remembered_at(state, row)
    remembered.account_row = account_row
    for word in range(ID_WORDS):
        remembered.client_order_id[word] = client_order_id[word]
    remembered.digest[0] = digest[0]
    remembered.digest[1] = digest[1]
    remembered.decision_id = engine.sequence
    remembered.made_at_ns = engine.now_ns
    remembered.answer_bytes = 0
    remembered.answer_offset = 0
    link_nb(idempotency_of(state), row, ORDER_KEY_WORDS)
    engine.idempotency_count += 1
    account_at(state, account_row).idempotency_count += 1
    return row
