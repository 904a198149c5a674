"""grpc.health.v1: Check answers now, Watch answers again whenever the status changes.

Both messages have one field; unknown fields of a request are not looked at.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from server.hotpath.intrinsics import load_byte, store_byte
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.lane.foreign import memcmp
from server.hotpath.lane.frames import put_message_nb
from server.hotpath.lane.pool import CALL_BYTES
from server.hotpath.lane.queue import touch_connection_nb
from server.hotpath.lane.replies import begin_answer_nb, continue_answer_nb, refuse_with_nb
from server.hotpath.lane.structs import (
    CALL_ANSWERED,
    CALL_FREE,
    METHOD_HEALTH_WATCH,
    call_at,
)
from server.hotpath.lane.texts import NOT_FOUND, OK, T_UNKNOWN_SERVICE

SERVICE_UNKNOWN: Final = 3  # HealthCheckResponse.ServingStatus
_SERVICE: Final = np.frombuffer(b"riskgate.v1.DecisionService", np.uint8)
_SERVICE_TAG: Final = 0x0A  # field 1, length-delimited
_STATUS_TAG: Final = 0x08  # field 1, varint
_ANSWER_BYTES: Final = 2


@kernel
def _is_ours_nb(message: int, length: int) -> bool:
    """Tell whether a HealthCheckRequest names the whole server or the decision service."""
    size = _SERVICE.shape[0]
    if length == 0 or (length == 2 and load_byte(message + 1) == 0):
        return True
    return (
        length == size + 2
        and load_byte(message) == _SERVICE_TAG
        and load_byte(message + 1) == size
        and memcmp(message + 2, _SERVICE.ctypes.data, size) == 0
    )


@routine
def _put_status_nb(call: Any, status: int) -> None:
    if call.output_size - call.output_to < 16:
        return  # a watcher that has not read hundreds of changes: it hears a later one
    at = call.output + call.output_to
    store_byte(at + 5, _STATUS_TAG)
    store_byte(at + 6, status)
    put_message_nb(call, i64(_ANSWER_BYTES))
    call.said_health = status


@routine
def answer_health_nb(lane: Any, call: Any, address: int) -> None:
    """Answer a Check, or begin to answer a Watch."""
    known = _is_ours_nb(call.input, call.message_bytes)
    watching = call.method == METHOD_HEALTH_WATCH
    if not known and not watching:
        refuse_with_nb(lane, call, NOT_FOUND, T_UNKNOWN_SERVICE)
        return
    _put_status_nb(call, lane.health if known else i64(SERVICE_UNKNOWN))
    call.state = CALL_ANSWERED
    if not watching:
        call.finished = 1
        call.status = OK
    begin_answer_nb(lane, call, address)


@routine
def tell_watchers_nb(lane: Any) -> None:
    """Send the status to every watcher that has not heard it yet."""
    for number in range(lane.calls_fresh):
        call = call_at(lane.calls + number * i64(CALL_BYTES))
        if call.state == CALL_FREE or call.method != METHOD_HEALTH_WATCH or call.gone != 0:
            continue
        if call.said_health not in (0, SERVICE_UNKNOWN, lane.health) and call.finished == 0:
            _put_status_nb(call, lane.health)
            continue_answer_nb(call)
            touch_connection_nb(lane, call.connection)
