"""Bytes from and to one socket, in plaintext or through TLS, never blocking."""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.jit import i64, kernel, routine
from server.hotpath.lane.foreign import (
    err_clear_error,
    recv,
    send,
    ssl_get_error,
    ssl_read,
    ssl_write,
)
from server.hotpath.libc import errno_nb

# Results besides a number of bytes.
AGAIN: Final = -1  # nothing now; epoll will tell
ENDED: Final = -2  # the peer has gone, or broke the protocol

_EINTR: Final = 4
_EAGAIN: Final = 11
_MSG_DONTWAIT: Final = 0x40
_MSG_NOSIGNAL: Final = 0x4000
_SSL_ERROR_WANT_READ: Final = 2
_SSL_ERROR_WANT_WRITE: Final = 3


@kernel
def _socket_result_nb(result: int) -> int:
    if result > 0:
        return result
    if result < 0 and errno_nb() in (_EAGAIN, _EINTR):
        return i64(AGAIN)
    return i64(ENDED)


@kernel
def tls_result_nb(ssl: int, result: int) -> int:
    """Translate the result of a libssl call."""
    if result > 0:
        return i64(result)
    error = ssl_get_error(ssl, result)
    waiting = error in (_SSL_ERROR_WANT_READ, _SSL_ERROR_WANT_WRITE)
    return i64(AGAIN) if waiting else i64(ENDED)


@routine
def receive_nb(connection: Any, target: int, room: int) -> int:
    """Return how many bytes were read, AGAIN or ENDED."""
    if connection.ssl == 0:
        return _socket_result_nb(recv(connection.fd, target, room, i64(_MSG_DONTWAIT)))
    err_clear_error()
    return tls_result_nb(connection.ssl, i64(ssl_read(connection.ssl, target, room)))


@routine
def transmit_nb(connection: Any, source: int, count: int) -> int:
    """Return how many bytes were written, at least one, or AGAIN or ENDED."""
    if connection.ssl == 0:
        flags = i64(_MSG_DONTWAIT | _MSG_NOSIGNAL)
        return _socket_result_nb(send(connection.fd, source, count, flags))
    err_clear_error()
    return tls_result_nb(connection.ssl, i64(ssl_write(connection.ssl, source, count)))
