"""What epoll reports about a descriptor, and how that is changed."""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.jit import i64, kernel, routine
from server.hotpath.lane.foreign import epoll_ctl
from server.hotpath.lane.structs import connection_at, epoll_event_at

EPOLL_IN: Final = 1
EPOLL_OUT: Final = 4
EPOLL_ADD: Final = 1
EPOLL_DEL: Final = 2
_EPOLL_MOD: Final = 3


@kernel
def watch_nb(lane: Any, fd: int, events: int, tag: int, operation: int) -> int:
    """Tell epoll what to report about a descriptor; returns its result."""
    event = epoll_event_at(lane.chunk)
    event.events = events
    event.data = tag
    return epoll_ctl(lane.epoll_fd, operation, fd, lane.chunk)


@routine
def watch_connection_nb(lane: Any, address: int, events: int) -> None:
    """Change what epoll reports about a connection."""
    connection = connection_at(address)
    if connection.watched != events:
        watch_nb(lane, connection.fd, events, address, i64(_EPOLL_MOD))
        connection.watched = events
