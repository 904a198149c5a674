"""Every C function that the lane calls, by name: libc, libnghttp2, libssl.

A call goes to an address that is entered here under a private name, so that another copy of a
library in the process (gRPC brings its own TLS) is never bound by accident, and compiled callers
can be cached. Pointers, sizes and file descriptors are int64 in kernels; x86-64 and AArch64 pass
them alike. Results narrower than 64 bits are int32, because their upper half is undefined.
"""

from __future__ import annotations

import ctypes
from typing import Any, Final

import llvmlite.binding
from numba import types
from numba.core.types import ExternalFunction

from server.hotpath.intrinsics import load_half, load_long
from server.hotpath.jit import i64, kernel

_PREFIX: Final = "riskgate_lane_"
_LONG: Final = types.int64
_INT: Final = types.int32

LIBC: Final = ctypes.CDLL(None)
NGHTTP2: Final = ctypes.CDLL("libnghttp2.so.14")
SSL: Final = ctypes.CDLL("libssl.so.3")
CRYPTO: Final = ctypes.CDLL("libcrypto.so.3")


def _declare(library: ctypes.CDLL, name: str, result: Any, *arguments: Any) -> Any:
    """Make a C function callable from kernels."""
    address = ctypes.cast(getattr(library, name), ctypes.c_void_p).value
    llvmlite.binding.add_symbol(_PREFIX + name, address)
    return ExternalFunction(_PREFIX + name, result(*arguments))


def _long(library: ctypes.CDLL, name: str, arguments: int) -> Any:
    return _declare(library, name, _LONG, *[_LONG] * arguments)


def _int(library: ctypes.CDLL, name: str, arguments: int) -> Any:
    return _declare(library, name, _INT, *[_LONG] * arguments)


# --- libc: arguments that C takes as int are passed as long, which fills the same register ---

accept4 = _int(LIBC, "accept4", 4)
close = _int(LIBC, "close", 1)
epoll_ctl = _int(LIBC, "epoll_ctl", 4)
epoll_wait = _int(LIBC, "epoll_wait", 4)
clock_gettime = _int(LIBC, "clock_gettime", 2)
setsockopt = _int(LIBC, "setsockopt", 5)
shutdown = _int(LIBC, "shutdown", 2)
recv = _long(LIBC, "recv", 4)
send = _long(LIBC, "send", 4)
read = _long(LIBC, "read", 3)
write = _long(LIBC, "write", 3)
memcmp = _int(LIBC, "memcmp", 3)
memmove = _long(LIBC, "memmove", 3)
_errno_location = _long(LIBC, "__errno_location", 0)

# --- libnghttp2 ---

session_server_new2 = _int(NGHTTP2, "nghttp2_session_server_new2", 4)
session_del = _declare(NGHTTP2, "nghttp2_session_del", types.void, _LONG)
session_mem_recv = _long(NGHTTP2, "nghttp2_session_mem_recv", 3)
session_mem_send = _long(NGHTTP2, "nghttp2_session_mem_send", 2)
session_want_read = _int(NGHTTP2, "nghttp2_session_want_read", 1)
session_want_write = _int(NGHTTP2, "nghttp2_session_want_write", 1)
session_consume_connection = _int(NGHTTP2, "nghttp2_session_consume_connection", 2)
session_consume_stream = _int(NGHTTP2, "nghttp2_session_consume_stream", 3)
session_resume_data = _int(NGHTTP2, "nghttp2_session_resume_data", 2)
session_set_local_window_size = _int(NGHTTP2, "nghttp2_session_set_local_window_size", 4)
session_get_stream_user_data = _long(NGHTTP2, "nghttp2_session_get_stream_user_data", 2)
session_set_stream_user_data = _int(NGHTTP2, "nghttp2_session_set_stream_user_data", 3)
session_get_last_proc_stream_id = _int(NGHTTP2, "nghttp2_session_get_last_proc_stream_id", 1)
submit_settings = _int(NGHTTP2, "nghttp2_submit_settings", 4)
submit_response = _int(NGHTTP2, "nghttp2_submit_response", 5)
submit_trailer = _int(NGHTTP2, "nghttp2_submit_trailer", 4)
submit_rst_stream = _int(NGHTTP2, "nghttp2_submit_rst_stream", 4)
submit_goaway = _int(NGHTTP2, "nghttp2_submit_goaway", 6)

# --- libssl and libcrypto ---

ssl_new = _long(SSL, "SSL_new", 1)
ssl_free = _declare(SSL, "SSL_free", types.void, _LONG)
ssl_set_fd = _int(SSL, "SSL_set_fd", 2)
ssl_accept = _int(SSL, "SSL_accept", 1)
ssl_read = _int(SSL, "SSL_read", 3)
ssl_write = _int(SSL, "SSL_write", 3)
ssl_pending = _int(SSL, "SSL_pending", 1)
ssl_shutdown = _int(SSL, "SSL_shutdown", 1)
ssl_get_error = _int(SSL, "SSL_get_error", 2)
ssl_peer_certificate = _long(SSL, "SSL_get1_peer_certificate", 1)
ssl_hello_extension = _int(SSL, "SSL_client_hello_get0_ext", 4)
err_clear_error = _declare(CRYPTO, "ERR_clear_error", types.void)
x509_to_der = _int(CRYPTO, "i2d_X509", 2)
x509_free = _declare(CRYPTO, "X509_free", types.void, _LONG)


@kernel
def errno_nb() -> int:
    """Return the error number of the last libc call of this thread; ask right after it."""
    return load_half(_errno_location())


_CLOCK_REALTIME: Final = 0
_CLOCK_MONOTONIC: Final = 1


@kernel
def _read_clock_nb(clock: int, timespec: int) -> int:
    clock_gettime(clock, timespec)
    return load_long(timespec) * i64(1_000_000_000) + load_long(timespec + 8)


@kernel
def realtime_ns_nb(timespec: int) -> int:
    """Return Unix nanoseconds; `timespec` is the address of 16 bytes that may be overwritten."""
    return _read_clock_nb(_CLOCK_REALTIME, timespec)


@kernel
def monotonic_ns_nb(timespec: int) -> int:
    """Return nanoseconds that never go back; for deadlines and time limits."""
    return _read_clock_nb(_CLOCK_MONOTONIC, timespec)
