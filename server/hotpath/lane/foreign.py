"""Every C function that only the lane calls, by name: sockets of libc, libnghttp2, libssl."""

from __future__ import annotations

import ctypes
from typing import Final

from numba import types

from server.hotpath.libc import LIBC, declare, declare_int, declare_long

NGHTTP2: Final = ctypes.CDLL("libnghttp2.so.14")
SSL: Final = ctypes.CDLL("libssl.so.3")
CRYPTO: Final = ctypes.CDLL("libcrypto.so.3")

# --- libc: arguments that C takes as int are passed as long, which fills the same register ---

accept4 = declare_int(LIBC, "accept4", 4)
close = declare_int(LIBC, "close", 1)
epoll_ctl = declare_int(LIBC, "epoll_ctl", 4)
epoll_wait = declare_int(LIBC, "epoll_wait", 4)
setsockopt = declare_int(LIBC, "setsockopt", 5)
shutdown = declare_int(LIBC, "shutdown", 2)
recv = declare_long(LIBC, "recv", 4)
send = declare_long(LIBC, "send", 4)
read = declare_long(LIBC, "read", 3)
write = declare_long(LIBC, "write", 3)
memcmp = declare_int(LIBC, "memcmp", 3)
memmove = declare_long(LIBC, "memmove", 3)

# --- libnghttp2 ---

session_server_new2 = declare_int(NGHTTP2, "nghttp2_session_server_new2", 4)
session_del = declare(NGHTTP2, "nghttp2_session_del", types.void, types.int64)
session_mem_recv = declare_long(NGHTTP2, "nghttp2_session_mem_recv", 3)
session_mem_send = declare_long(NGHTTP2, "nghttp2_session_mem_send", 2)
session_want_read = declare_int(NGHTTP2, "nghttp2_session_want_read", 1)
session_want_write = declare_int(NGHTTP2, "nghttp2_session_want_write", 1)
session_consume_connection = declare_int(NGHTTP2, "nghttp2_session_consume_connection", 2)
session_consume_stream = declare_int(NGHTTP2, "nghttp2_session_consume_stream", 3)
session_resume_data = declare_int(NGHTTP2, "nghttp2_session_resume_data", 2)
session_set_local_window_size = declare_int(NGHTTP2, "nghttp2_session_set_local_window_size", 4)
session_get_stream_user_data = declare_long(NGHTTP2, "nghttp2_session_get_stream_user_data", 2)
session_set_stream_user_data = declare_int(NGHTTP2, "nghttp2_session_set_stream_user_data", 3)
session_get_last_proc_stream_id = declare_int(NGHTTP2, "nghttp2_session_get_last_proc_stream_id", 1)
submit_settings = declare_int(NGHTTP2, "nghttp2_submit_settings", 4)
submit_response = declare_int(NGHTTP2, "nghttp2_submit_response", 5)
submit_trailer = declare_int(NGHTTP2, "nghttp2_submit_trailer", 4)
submit_rst_stream = declare_int(NGHTTP2, "nghttp2_submit_rst_stream", 4)
submit_goaway = declare_int(NGHTTP2, "nghttp2_submit_goaway", 6)

# --- libssl and libcrypto ---

ssl_new = declare_long(SSL, "SSL_new", 1)
ssl_free = declare(SSL, "SSL_free", types.void, types.int64)
ssl_set_fd = declare_int(SSL, "SSL_set_fd", 2)
ssl_accept = declare_int(SSL, "SSL_accept", 1)
ssl_read = declare_int(SSL, "SSL_read", 3)
ssl_write = declare_int(SSL, "SSL_write", 3)
ssl_pending = declare_int(SSL, "SSL_pending", 1)
ssl_shutdown = declare_int(SSL, "SSL_shutdown", 1)
ssl_get_error = declare_int(SSL, "SSL_get_error", 2)
ssl_peer_certificate = declare_long(SSL, "SSL_get1_peer_certificate", 1)
ssl_hello_extension = declare_int(SSL, "SSL_client_hello_get0_ext", 4)
err_clear_error = declare(CRYPTO, "ERR_clear_error", types.void)
x509_to_der = declare_int(CRYPTO, "i2d_X509", 2)
x509_free = declare(CRYPTO, "X509_free", types.void, types.int64)
