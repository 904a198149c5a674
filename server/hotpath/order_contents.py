"""What orders were about: the same content again is a duplicate, whatever its client_order_id.

Contents form one ring of all accounts in the order of arrival; the oldest go when their time has
passed. One that comes again after its time moves to the end: its old row is emptied where it is.
"""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.checks import check_nb, check_numbers_nb
from server.hotpath.idempotency import FOLD_BEGIN, fold_word_nb, fold_words_nb
from server.hotpath.intrinsics import load_word
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.layout import ID_WORDS, SYMBOL_WORDS
from server.hotpath.memory import (
    account_at,
    configuration_at,
    content_at,
    contents_of,
    decision_of,
    engine_of,
    request_of,
    work_of,
)
from server.hotpath.reasons import (
    R_CONTENTS_FULL,
    R_DUPLICATE_ORDER,
    S_NOT_APPLICABLE,
)
from server.hotpath.records import HAS_REQUESTED_LOTS, HAS_TAKE_PROFIT, REQUEST
from server.hotpath.table import find_nb, link_nb, unlink_nb

CONTENT_KEY_WORDS: Final = 3
DROPPED_MAX: Final = 64
ACCOUNT_SHARE: Final = 8
"""No account may have more than one content in so many remembered."""

_PROVIDER_OFFSET: Final[int] = REQUEST.fields["provider_id"][1]  # type: ignore[index]
_STRATEGY_OFFSET: Final[int] = REQUEST.fields["strategy_id"][1]  # type: ignore[index]
_TARGET_OFFSET: Final[int] = REQUEST.fields["take_profit"][1]  # type: ignore[index]
# Side by side in REQUEST: id and type of the provider and symbol; strategy, side and order type.
_PROVIDER_AND_SYMBOL_WORDS: Final = ID_WORDS + 1 + SYMBOL_WORDS
_STRATEGY_AND_SIDE_WORDS: Final = ID_WORDS + 2


@kernel
def _digest_content_nb(state: Any) -> None:
    """Write the digest of what the order is about into the notes of the decision."""
    request, work = request_of(state), work_of(state)
    target = i64(0)
    if request.present & HAS_TAKE_PROFIT:
        target = load_word(state.request + _TARGET_OFFSET)
    asked = (request.present & HAS_REQUESTED_LOTS) != 0
    sums = FOLD_BEGIN
    sums = fold_words_nb(state.request + _PROVIDER_OFFSET, _PROVIDER_AND_SYMBOL_WORDS, sums)
    sums = fold_words_nb(state.request + _STRATEGY_OFFSET, _STRATEGY_AND_SIDE_WORDS, sums)
    sums = fold_word_nb(work.entry_ticks, sums)
    sums = fold_word_nb(work.stop_ticks, sums)
    sums = fold_word_nb(target, sums)
    sums = fold_word_nb(work.requested_steps if asked else i64(-1), sums)
    work.content_digest[0] = sums[0]
    work.content_digest[1] = sums[1]


@kernel
def _find_content_nb(state: Any) -> int:
    """Return the row of the order's content, 0 if it is not remembered."""
    work = work_of(state)
    state.scratch[0] = work.account_row
    state.scratch[1] = work.content_digest[0]
    state.scratch[2] = work.content_digest[1]
    return find_nb(contents_of(state), state.scratch, CONTENT_KEY_WORDS)


@kernel
def _empty_nb(state: Any, row: int) -> None:
    """Forget a content where it is; its row stays in the ring until it is the oldest."""
    content = content_at(state, row)
    unlink_nb(contents_of(state), row, CONTENT_KEY_WORDS)
    account_at(state, content.account_row).content_count -= 1
    content.account_row = 0


@kernel
def _drop_old_nb(state: Any, now_ns: int) -> None:
    """Drop the oldest contents whose time has passed, at most 64."""
    engine = engine_of(state)
    capacity = contents_of(state).capacity
    for _ in range(DROPPED_MAX):
        row = engine.content_oldest
        if engine.content_count == 0 or content_at(state, row).until_ns > now_ns:
            return
        if content_at(state, row).account_row != 0:
            _empty_nb(state, row)
        engine.content_count -= 1
        engine.content_oldest = 1 if row == capacity else row + 1


@routine
def _judge_content_nb(state: Any, window_ns: int) -> None:
    work, decision = work_of(state), decision_of(state)
    _drop_old_nb(state, work.now_ns)
    _digest_content_nb(state)
    row = _find_content_nb(state)
    check_nb(decision, R_DUPLICATE_ORDER, True)
    if row != 0 and content_at(state, row).until_ns > work.now_ns:
        age = work.now_ns - content_at(state, row).made_at_ns
        check_numbers_nb(decision, R_DUPLICATE_ORDER, False, window_ns, age)
    capacity = contents_of(state).capacity
    share = max(capacity // ACCOUNT_SHARE, 1)
    count = account_at(state, work.account_row).content_count
    room = engine_of(state).content_count < capacity and count < share
    check_numbers_nb(decision, R_CONTENTS_FULL, room, share, count)


@kernel
def check_content_nb(state: Any) -> None:
    """Deny an order whose content was let through a moment ago."""
    work, decision = work_of(state), decision_of(state)
    window_ns = configuration_at(state, work.account_row).duplicate_window_ns
    if window_ns == 0:
        decision.status[R_DUPLICATE_ORDER] = S_NOT_APPLICABLE
        decision.status[R_CONTENTS_FULL] = S_NOT_APPLICABLE
        return
    _judge_content_nb(state, window_ns)


@routine
def remember_content_nb(state: Any, window_ns: int) -> int:
    """Remember what the order is about; return its row. Room was judged before."""
    work, engine = work_of(state), engine_of(state)
    capacity = contents_of(state).capacity
    row = _find_content_nb(state)
    if row != 0:
        _empty_nb(state, row)
    if engine.content_oldest == 0:
        engine.content_oldest = 1
    row = engine.content_oldest + engine.content_count
    if row > capacity:
        row -= capacity
    content = content_at(state, row)
    content.account_row = work.account_row
    content.digest[0] = work.content_digest[0]
    content.digest[1] = work.content_digest[1]
    content.made_at_ns = work.now_ns
    content.until_ns = work.now_ns + window_ns
    link_nb(contents_of(state), row, CONTENT_KEY_WORDS)
    engine.content_count += 1
    account_at(state, work.account_row).content_count += 1
    return row


@kernel
def forget_content_nb(state: Any, row: int) -> None:
    """Forget a content whose order was never sent."""
    _empty_nb(state, row)
    content_at(state, row).until_ns = 0
