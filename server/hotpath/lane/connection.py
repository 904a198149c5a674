"""The life of one connection: watched, given its session, read, closed."""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.intrinsics import load_long, store_half, store_long
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.lane.foreign import (
    close,
    session_del,
    session_mem_recv,
    session_server_new2,
    session_set_local_window_size,
    setsockopt,
    ssl_free,
    ssl_pending,
    ssl_shutdown,
    submit_settings,
)
from server.hotpath.lane.headers import HEADER_LIST_BYTES_MAX
from server.hotpath.lane.pool import CONNECTION_BYTES, detach_call_nb, give_connection_nb
from server.hotpath.lane.queue import end_call_nb, touch_connection_nb
from server.hotpath.lane.structs import (
    CONNECTION_FREE,
    CONNECTION_OPEN,
    SETTINGS_ENTRY_BYTES,
    call_at,
    connection_at,
    settings_entry_at,
)
from server.hotpath.lane.transport import AGAIN, ENDED, receive_nb
from server.hotpath.lane.watching import EPOLL_ADD, EPOLL_IN, watch_nb

STREAMS_MAX: Final = 100
STREAM_WINDOW_BYTES: Final = 65_535
CONNECTION_WINDOW_BYTES: Final = 1 << 20
# What one peer may bring in a turn, while the others wait.
INBOX_BYTES: Final = 1 << 14

_SETTINGS: Final = 4
_MAX_CONCURRENT_STREAMS: Final = 3
_INITIAL_WINDOW_SIZE: Final = 4
_MAX_HEADER_LIST_SIZE: Final = 6
_IPPROTO_TCP: Final = 6
_TCP_NODELAY: Final = 1


@routine
def begin_connection_nb(lane: Any, address: int) -> bool:
    """Watch a connection that was accepted; tell whether it could be done."""
    connection = connection_at(address)
    store_half(lane.chunk, 1)
    setsockopt(connection.fd, i64(_IPPROTO_TCP), i64(_TCP_NODELAY), lane.chunk, i64(4))
    connection.watched = EPOLL_IN
    return watch_nb(lane, connection.fd, i64(EPOLL_IN), address, i64(EPOLL_ADD)) == 0


@routine
def open_session_nb(lane: Any, address: int) -> bool:
    """Begin HTTP/2; tell whether there was memory for it."""
    connection = connection_at(address)
    store_long(lane.chunk, 0)
    if session_server_new2(lane.chunk, lane.callbacks, address, lane.options) != 0:
        return False
    connection.session = load_long(lane.chunk)
    connection.state = CONNECTION_OPEN
    _write_setting_nb(lane, 0, i64(_MAX_CONCURRENT_STREAMS), i64(STREAMS_MAX))
    _write_setting_nb(lane, 1, i64(_INITIAL_WINDOW_SIZE), i64(STREAM_WINDOW_BYTES))
    _write_setting_nb(lane, 2, i64(_MAX_HEADER_LIST_SIZE), i64(HEADER_LIST_BYTES_MAX))
    session = connection.session
    failed = submit_settings(session, 0, lane.chunk, 3) != 0
    window = i64(CONNECTION_WINDOW_BYTES)
    failed |= session_set_local_window_size(session, 0, 0, window) != 0
    touch_connection_nb(lane, address)
    return not failed


@kernel
def _write_setting_nb(lane: Any, position: int, name: int, value: int) -> None:
    entry = settings_entry_at(lane.chunk + position * i64(SETTINGS_ENTRY_BYTES))
    entry.id = name
    entry.value = value


@routine
def read_connection_nb(lane: Any, address: int) -> None:
    """Read once and let nghttp2 act on it; what TLS holds back is read at once."""
    connection = connection_at(address)
    while True:
        count = receive_nb(connection, lane.inbox, i64(INBOX_BYTES))
        if count == AGAIN:
            return
        if count == ENDED:
            connection.must_close = 1
        else:
            connection.active_ns = lane.now_ns
            lane.bytes_in += count
            if session_mem_recv(connection.session, lane.inbox, count) != count:
                # Flooded, not HTTP/2, or out of memory: what is queued is still sent.
                lane.connections_broken += 1
                connection.must_close = 1
        touch_connection_nb(lane, address)
        if connection.must_close != 0 or connection.ssl == 0 or ssl_pending(connection.ssl) <= 0:
            return


@routine
def close_connection_nb(lane: Any, address: int) -> None:
    """Give back everything a connection holds."""
    connection = connection_at(address)
    if connection.state == CONNECTION_FREE:
        return
    if connection.touched != 0:
        connection.must_close = 1  # when it leaves the list of those to flush
        return
    # session_del does not report the streams that it ends.
    while connection.first_call != 0:
        call_address = connection.first_call
        call = call_at(call_address)
        if call.finished == 0:
            lane.calls_cancelled += 1
        detach_call_nb(call)
        end_call_nb(lane, call_address)
    if connection.session != 0:
        session_del(connection.session)
    if connection.ssl != 0:
        if connection.state == CONNECTION_OPEN and connection.parted_ns == 0:
            ssl_shutdown(connection.ssl)
        ssl_free(connection.ssl)
    close(connection.fd)
    give_connection_nb(lane, address)


@kernel
def connection_number_nb(lane: Any, address: int) -> int:
    """Return the row of a connection record, 0 … connections_max − 1."""
    return (address - lane.connections) // i64(CONNECTION_BYTES)
