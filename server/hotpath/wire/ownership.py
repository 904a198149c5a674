"""Whether an account and a provider stand in the lists of a SCOPE."""

from __future__ import annotations

from typing import Any

from server.hotpath.intrinsics import load_long
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.layout import ID_WORDS
from server.hotpath.wire.grant_record import D_ACCOUNT, D_NONE, D_PROVIDER


@kernel
def _compare_nb(one: int, other: int) -> int:
    for word in range(ID_WORDS):
        left, right = load_long(one + 8 * word), load_long(other + 8 * word)
        if left != right:
            return i64(-1) if left < right else i64(1)
    return i64(0)


@routine
def _holds_nb(ids: int, count: int, wanted: int) -> bool:
    """Tell whether an id stands in an ascending list; nobody's, which is refused later, always."""
    if load_long(wanted) == 0:
        return True
    low, high = i64(0), count
    while low < high:
        middle = (low + high) >> 1
        order = _compare_nb(ids + middle * i64(8 * ID_WORDS), wanted)
        if order == 0:
            return True
        if order < 0:
            low = middle + 1
        else:
            high = middle
    return False


@routine
def find_foreign_nb(scope: Any, account: int, provider: int) -> int:
    """Return the D_* for which a SCOPE does not allow an account and a provider.

    Both are addresses of zero padded ids; provider 0: none is named.
    """
    if scope.every_account == 0 and not _holds_nb(scope.accounts, scope.account_count, account):
        return i64(D_ACCOUNT)
    if provider == 0 or scope.every_provider != 0:
        return i64(D_NONE)
    known = _holds_nb(scope.providers, scope.provider_count, provider)
    return i64(D_NONE) if known else i64(D_PROVIDER)
