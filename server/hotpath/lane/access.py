"""Whether a call may be made at all: certificate, identity, right to the method, rate.

What it may be about is asked later, when its message is read (`server/hotpath/wire/grants.py`).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from server.hotpath.jit import i64, routine
from server.hotpath.lane.replies import refuse_with_nb
from server.hotpath.lane.structs import METHOD_DECIDE_STREAM, METHOD_KILL, connection_at
from server.hotpath.lane.texts import (
    PERMISSION_DENIED,
    RESOURCE_EXHAUSTED,
    T_CERTIFICATE_EXPIRED,
    T_CERTIFICATE_REVOKED,
    T_IDENTITY_REVOKED,
    T_METHOD_DENIED,
    T_NO_CERTIFICATE,
    T_RATE,
    UNAUTHENTICATED,
)
from server.hotpath.wire.grant_record import (
    D_CERTIFICATE_EXPIRED,
    D_CERTIFICATE_REVOKED,
    D_IDENTITY_REVOKED,
    D_METHOD,
    D_NO_CERTIFICATE,
    D_NONE,
    D_RATE,
    DENIALS,
)
from server.hotpath.wire.grants import count_call_denial_nb, find_denial_nb, take_call_nb

# Status and text by D_*.
DENIED_AS: Final = {
    D_NO_CERTIFICATE: (UNAUTHENTICATED, T_NO_CERTIFICATE),
    D_CERTIFICATE_EXPIRED: (UNAUTHENTICATED, T_CERTIFICATE_EXPIRED),
    D_CERTIFICATE_REVOKED: (UNAUTHENTICATED, T_CERTIFICATE_REVOKED),
    D_IDENTITY_REVOKED: (PERMISSION_DENIED, T_IDENTITY_REVOKED),
    D_METHOD: (PERMISSION_DENIED, T_METHOD_DENIED),
    D_RATE: (RESOURCE_EXHAUSTED, T_RATE),
}
_DENIED_AS: Final = np.zeros((DENIALS, 2), np.int64)
for _denial, _answer in DENIED_AS.items():
    _DENIED_AS[_denial] = _answer


@routine
def may_call_nb(lane: Any, call: Any) -> bool:
    """Tell whether the peer may make a call now; refuse and count it if not.

    Of a stream each message is counted against the rate, when it is judged. No rate stops a kill.
    """
    address = connection_at(call.connection).grant
    denial = find_denial_nb(address, call.method, lane.received_ns)
    is_counted = call.method not in (METHOD_DECIDE_STREAM, METHOD_KILL)
    if denial == D_NONE and is_counted and call.parked_until_ns == 0:
        lane.pushback_ns = take_call_nb(address, lane.now_ns)
        if lane.pushback_ns > 0:
            denial = i64(D_RATE)
    return _deny_nb(lane, call, address, denial)


@routine
def may_go_on_nb(lane: Any, call: Any) -> bool:
    """Tell whether the peer may still have what it was let in for; end the call if not."""
    address = connection_at(call.connection).grant
    return _deny_nb(lane, call, address, find_denial_nb(address, call.method, lane.received_ns))


@routine
def _deny_nb(lane: Any, call: Any, address: int, denial: int) -> bool:
    """Tell whether nothing denies a call; else refuse and count it."""
    if denial == D_NONE:
        return True
    count_call_denial_nb(address, call.method, denial)
    refuse_with_nb(lane, call, _DENIED_AS[denial, 0], _DENIED_AS[denial, 1])
    return False
