"""May this certificate make this call, and may it use this account and provider?

Asked by both lanes with the same records, so both give the same answers. The calls of an identity
are counted by one number, the moment at which its bucket is full again; a call moves it on by one
interval, and is denied while that would be further away than the burst allows.
"""

from __future__ import annotations

from typing import Any

from server.hotpath.intrinsics import (
    copy_bytes,
    load_acquire,
    store_long,
    store_release,
)
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.layout import ID_BYTES_MAX, ID_WORDS
from server.hotpath.wire.grant_record import (
    D_CERTIFICATE_EXPIRED,
    D_METHOD,
    D_NO_CERTIFICATE,
    D_NONE,
    D_RATE,
    DENIALS,
    IDENTITY_AT,
    SCOPE_AT,
    grant_at,
    holder_at,
    scope_at,
)
from server.hotpath.wire.ownership import find_foreign_nb
from server.hotpath.wire.refusal_texts import (
    NOT_YOURS,
)
from server.hotpath.wire.refusals import refuse_fixed_nb


@kernel
def _scope_address_nb(grant: Any) -> int:
    return load_acquire(grant.holder + SCOPE_AT)


@routine
def count_denial_nb(holder: int, method: int, denial: int) -> None:
    """Count a denied call; `holder` is the address of a HOLDER, 0: nobody's."""
    if holder != 0:
        holder_at(holder).denials[method * DENIALS + denial] += 1


@routine
def count_call_denial_nb(address: int, method: int, denial: int) -> None:
    """Count a call that a GRANT denied; 0: there is none, so nobody counts it."""
    if address != 0:
        count_denial_nb(grant_at(address).holder, method, denial)


@routine
def publish_scope_nb(holder: int, scope: int) -> None:
    """Let another SCOPE of a HOLDER count from now on; both are addresses."""
    store_release(holder + SCOPE_AT, scope)


@routine
def find_denial_nb(address: int, method: int, now_ns: int) -> int:
    """Return the D_* for which a GRANT allows no call of a method now.

    Args:
        address: of the GRANT; 0: there is none.
        method: METHOD_* of the lane.
        now_ns: Unix time.
    """
    if address == 0:
        return i64(D_NO_CERTIFICATE)
    grant = grant_at(address)
    if grant.bar != D_NONE:
        return i64(grant.bar)
    if grant.not_after_ns != 0 and now_ns > grant.not_after_ns:
        return i64(D_CERTIFICATE_EXPIRED)
    scope = scope_at(_scope_address_nb(grant))
    if scope.bar != D_NONE:
        return i64(scope.bar)
    return i64(D_NONE) if (scope.methods >> method) & 1 else i64(D_METHOD)


@routine
def take_call_nb(address: int, now_ns: int) -> int:
    """Take one call out of the bucket of a GRANT that allows it.

    Returns:
        0, or after how many nanoseconds there will be one; `now_ns` is monotonic.
    """
    grant = grant_at(address)
    scope, holder = scope_at(_scope_address_nb(grant)), holder_at(grant.holder)
    interval_ns = scope.interval_ns
    if interval_ns == 0:
        return i64(0)
    full_at_ns = max(holder.full_at_ns, now_ns)
    wait_ns = full_at_ns + interval_ns - now_ns - scope.burst_ns
    if wait_ns > 0:
        return wait_ns
    holder.full_at_ns = full_at_ns + interval_ns
    return i64(0)


@routine
def charge_items_nb(wire: Any) -> None:
    """Let a batch that was let in as one call pay for its other items."""
    if wire.holder != 0 and wire.items > 1:
        owed_ns = (wire.items - 1) * scope_at(wire.scope).interval_ns
        holder_at(wire.holder).full_at_ns += owed_ns


@routine
def begin_grant_nb(wire: Any, address: int, method: int) -> None:
    """Say whose call the wire works for: address of its GRANT, 0: a replay, which checks none."""
    wire.holder = wire.scope = 0
    wire.caller = wire.caller_bytes = 0
    wire.method = method
    wire.items = 1
    wire.is_limited = 0
    if address != 0:
        wire.holder = grant_at(address).holder
        wire.scope = load_acquire(wire.holder + SCOPE_AT)
        wire.caller = wire.holder + IDENTITY_AT
        wire.caller_bytes = identity_bytes_nb(wire.holder)


@routine
def copy_caller_nb(wire: Any, target: int) -> None:
    """Write the identity of the caller, zero padded, to ID_WORDS words at an address."""
    for word in range(ID_WORDS):
        store_long(target + 8 * word, i64(0))
    if wire.caller_bytes > 0:
        copy_bytes(target, wire.caller, min(wire.caller_bytes, i64(ID_BYTES_MAX)))


@routine
def identity_bytes_nb(holder: int) -> int:
    """Return the length of the identity of a HOLDER, bytes; 0 for address 0."""
    return holder_at(holder).identity_bytes if holder != 0 else i64(0)


@kernel
def is_limited_nb(wire: Any) -> bool:
    """Tell whether the caller may use only some accounts or providers."""
    if wire.scope == 0:
        return False
    scope = scope_at(wire.scope)
    return scope.every_account == 0 or scope.every_provider == 0


@kernel
def may_see_nb(wire: Any, account: int) -> bool:
    """Tell whether the caller may use the account whose id is at an address; nothing is counted."""
    if not is_limited_nb(wire):
        return True
    return find_foreign_nb(scope_at(wire.scope), account, i64(0)) == D_NONE


@kernel
def may_use_nb(wire: Any, account: int, provider: int) -> bool:
    """Tell whether the caller may use an account and a provider; refuse and count if it may not.

    Args:
        wire: WIRE record.
        account: Address of the zero padded id.
        provider: The same; 0: the message names none.
    """
    if not is_limited_nb(wire):
        return True
    denial = find_foreign_nb(scope_at(wire.scope), account, provider)
    if denial == D_NONE:
        return True
    count_denial_nb(wire.holder, wire.method, denial)
    refuse_fixed_nb(wire, i64(NOT_YOURS))
    return False


@routine
def limit_item_nb(wire: Any, address: int, now_ns: int) -> None:
    """Take one message of a stream out of the bucket; note and count if it is one too many."""
    if take_call_nb(address, now_ns) > 0:
        wire.is_limited = 1
        count_denial_nb(wire.holder, wire.method, i64(D_RATE))
