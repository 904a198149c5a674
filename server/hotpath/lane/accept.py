"""New connections: taken as long as there is room, each with a time limit for its greeting."""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.jit import i64, kernel, routine
from server.hotpath.lane.connection import (
    begin_connection_nb,
    close_connection_nb,
    connection_number_nb,
    open_session_nb,
)
from server.hotpath.lane.flush import OUTBOX_BYTES
from server.hotpath.lane.foreign import accept4, close
from server.hotpath.lane.handshake import begin_handshake_nb
from server.hotpath.lane.pool import take_connection_nb
from server.hotpath.lane.structs import connection_at
from server.hotpath.lane.watching import EPOLL_ADD, EPOLL_DEL, EPOLL_IN, watch_nb
from server.hotpath.libc import errno_nb

ACCEPTS_PER_TURN: Final = 64
_SOCK_NONBLOCK_CLOEXEC: Final = 0o2004000
_ENFILE: Final = 23
_EMFILE: Final = 24
TAG_LISTENER: Final = 1  # bits: both may be told at once
TAG_LOCAL: Final = 2


@kernel
def _listen_at_nb(lane: Any, fd: int, tag: int, wanted: bool) -> None:
    if fd >= 0:
        operation = i64(EPOLL_ADD if wanted else EPOLL_DEL)
        watch_nb(lane, fd, i64(EPOLL_IN if wanted else 0), i64(tag), operation)


@routine
def listen_nb(lane: Any, wanted: bool) -> None:
    """Begin or stop to take new connections; others wait in the socket's backlog."""
    if wanted != (lane.listening != 0):
        _listen_at_nb(lane, lane.listen_fd, TAG_LISTENER, wanted)
        _listen_at_nb(lane, lane.local_fd, TAG_LOCAL, wanted)
        lane.listening = 1 if wanted else 0


@routine
def _welcome_nb(lane: Any, fd: int, is_local: bool) -> None:
    address = take_connection_nb(lane)
    if address == 0:
        # At once, so that the caller hears it now and not after a timeout.
        lane.connections_refused += 1
        close(fd)
        return
    lane.connections_accepted += 1
    connection = connection_at(address)
    connection.fd = fd
    connection.serial = lane.connections_accepted
    connection.opened_ns = lane.now_ns
    connection.active_ns = lane.now_ns
    connection.grant = lane.local_grant if is_local else lane.open_grant
    connection.unsent = lane.unsent_memory + connection_number_nb(lane, address) * OUTBOX_BYTES
    good = begin_connection_nb(lane, address)
    if good and lane.tls_context != 0 and not is_local:
        good = begin_handshake_nb(lane, address)
    elif good:
        good = open_session_nb(lane, address)
    if not good:
        connection.must_close = 1
        close_connection_nb(lane, address)


@routine
def accept_connections_nb(lane: Any, is_local: bool) -> None:
    """Take the connections that wait at one listener, a bounded number per turn."""
    listener = lane.local_fd if is_local else lane.listen_fd
    for _ in range(ACCEPTS_PER_TURN):
        fd = i64(accept4(listener, i64(0), i64(0), i64(_SOCK_NONBLOCK_CLOEXEC)))
        if fd < 0:
            if errno_nb() in (_EMFILE, _ENFILE):
                listen_nb(lane, False)  # the sweep tries again
            return
        _welcome_nb(lane, fd, is_local)
