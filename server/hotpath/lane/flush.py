"""What a connection has to say, sent as far as the socket takes it; and its last words."""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.intrinsics import copy_bytes, load_long
from server.hotpath.jit import i64, routine
from server.hotpath.lane.connection import close_connection_nb
from server.hotpath.lane.foreign import (
    session_mem_send,
    session_want_read,
    session_want_write,
    shutdown,
    ssl_shutdown,
    submit_goaway,
)
from server.hotpath.lane.queue import touch_connection_nb
from server.hotpath.lane.structs import CONNECTION_FREE, CONNECTION_OPEN, connection_at
from server.hotpath.lane.transport import AGAIN, ENDED, transmit_nb
from server.hotpath.lane.watching import EPOLL_IN, EPOLL_OUT, watch_connection_nb

# One send takes up to this much; one more frame may follow before it is looked at.
OUTBOX_FULL_BYTES: Final = 1 << 16
OUTBOX_BYTES: Final = OUTBOX_FULL_BYTES + (1 << 15)
_SHUT_WR: Final = 1


@routine
def _gather_nb(lane: Any, connection: Any) -> int:
    """Collect frames that are ready into the outbox; return how many bytes."""
    gathered = i64(0)
    while gathered < OUTBOX_FULL_BYTES:
        count = session_mem_send(connection.session, lane.chunk)
        if count <= 0:
            if count < 0:
                connection.must_close = 1
            break
        copy_bytes(lane.outbox + gathered, load_long(lane.chunk), count)
        gathered += count
    return gathered


@routine
def _send_nb(lane: Any, connection: Any, source: int, count: int) -> int:
    """Send until all is out or the socket is full; return the bytes sent."""
    sent = i64(0)
    while sent < count:
        result = transmit_nb(connection, source + sent, count - sent)
        if result == AGAIN:
            break
        if result == ENDED:
            connection.must_close = 1
            break
        sent += result
    lane.bytes_out += sent
    if sent > 0:
        connection.active_ns = lane.now_ns
    return sent


@routine
def _part_nb(lane: Any, address: int) -> None:
    """End our side after the last word; the peer closes when it has read that.

    Closing at once would answer a request that is on its way with a reset, and its caller could not
    know that nobody looked at it.
    """
    connection = connection_at(address)
    if connection.goaway == 0:
        close_connection_nb(lane, address)
        return
    if connection.parted_ns == 0:
        connection.parted_ns = lane.now_ns
        if connection.ssl != 0:
            ssl_shutdown(connection.ssl)
        shutdown(connection.fd, i64(_SHUT_WR))
    watch_connection_nb(lane, address, i64(EPOLL_IN))


@routine
def flush_connection_nb(lane: Any, address: int) -> None:
    """Send what is ready; keep what the socket does not take, and then stop reading."""
    connection = connection_at(address)
    connection.touched = 0
    if connection.state != CONNECTION_OPEN:
        if connection.must_close != 0 and connection.state != CONNECTION_FREE:
            close_connection_nb(lane, address)
        return
    if connection.unsent_to > 0:
        left = connection.unsent_to - connection.unsent_from
        sent = _send_nb(lane, connection, connection.unsent + connection.unsent_from, left)
        connection.unsent_from += sent
        if sent == left:
            connection.unsent_from = connection.unsent_to = 0
    while connection.unsent_to == 0:
        gathered = _gather_nb(lane, connection)
        if gathered == 0:
            break
        sent = _send_nb(lane, connection, lane.outbox, gathered)
        if sent < gathered:
            if connection.must_close == 0:
                copy_bytes(connection.unsent, lane.outbox + sent, gathered - sent)
                connection.unsent_to = gathered - sent
            break
    session = connection.session
    over = session_want_read(session) == 0 and session_want_write(session) == 0
    if connection.must_close != 0:
        close_connection_nb(lane, address)
    elif over and connection.unsent_to == 0:
        _part_nb(lane, address)
    else:
        watch_connection_nb(
            lane, address, i64(EPOLL_OUT) if connection.unsent_to > 0 else i64(EPOLL_IN)
        )


@routine
def say_goodbye_nb(lane: Any, address: int, last_stream_id: int) -> None:
    """Tell the peer that no call above this stream is taken; calls that run are finished."""
    connection = connection_at(address)
    submit_goaway(connection.session, 0, last_stream_id, 0, 0, 0)
    connection.goaway = 1
    touch_connection_nb(lane, address)
