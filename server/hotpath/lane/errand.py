"""The end of an errand: what Python has found out becomes the answer of a call.

Called by the lane's own thread between two runs of the loop, so nothing else moves meanwhile. But
the turn that found the errand has ended since then, and may have closed the call's connection.
"""

from __future__ import annotations

from typing import Any

from server.hotpath.jit import kernel, routine
from server.hotpath.lane.frames import put_message_nb
from server.hotpath.lane.latency import count_answer_nb
from server.hotpath.lane.pool import give_call_nb
from server.hotpath.lane.queue import touch_connection_nb
from server.hotpath.lane.replies import begin_answer_nb, end_answer_nb, refuse_nb
from server.hotpath.lane.structs import call_at
from server.hotpath.lane.texts import OK


@kernel
def _end_errand_nb(lane: Any, address: int) -> bool:
    """Tell whether somebody still waits for the answer; a call that is gone is freed."""
    call = call_at(address)
    lane.errand = 0
    call.queued = 0
    if call.gone == 0:
        return True
    give_call_nb(lane, address)
    return False


@routine
def answer_errand_nb(lane: Any, message_bytes: int) -> None:
    """Send the message that stands in the call's output behind gRPC's prefix."""
    address = lane.errand
    if not _end_errand_nb(lane, address):
        return
    call = call_at(address)
    put_message_nb(call, message_bytes)
    end_answer_nb(call, OK)
    begin_answer_nb(lane, call, address)
    count_answer_nb(lane, call.method, call.received_ns)
    touch_connection_nb(lane, call.connection)


@routine
def refuse_errand_nb(
    lane: Any, status: int, message: int, message_bytes: int, field: int, field_bytes: int
) -> None:
    """Refuse the call; message and field are addresses of texts."""
    address = lane.errand
    if not _end_errand_nb(lane, address):
        return
    call = call_at(address)
    refuse_nb(lane, call, status, message, message_bytes, field, field_bytes, 0)
    touch_connection_nb(lane, call.connection)
