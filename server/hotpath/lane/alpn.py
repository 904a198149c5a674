"""The protocol of a TLS connection: `h2`, or the handshake is refused.

libssl calls these two inside `SSL_accept`, in the lane's thread, so they are compiled: a Python
callback would wait for the interpreter lock there. A client that offers protocols is judged by
`select_protocol`; for one that offers none libssl does not ask, so `check_hello` looks for the
extension first.
"""

from __future__ import annotations

from typing import Final

from server.hotpath.intrinsics import load_byte, store_byte, store_half, store_long
from server.hotpath.jit import callback, i64
from server.hotpath.lane.foreign import ssl_hello_extension

_ACCEPTED: Final = 0  # SSL_TLSEXT_ERR_OK
_REFUSED: Final = 2  # SSL_TLSEXT_ERR_ALERT_FATAL
_HELLO_ACCEPTED: Final = 1  # SSL_CLIENT_HELLO_SUCCESS
_HELLO_REFUSED: Final = 0  # SSL_CLIENT_HELLO_ERROR
_EXTENSION_ALPN: Final = 16  # RFC 7301
_ALERT_NO_APPLICATION_PROTOCOL: Final = 120
_H: Final = ord("h")
_TWO: Final = ord("2")


@callback("int32(int64, int64, int64, int64, uint32, int64)")
def select_protocol(
    _ssl: int, selected: int, selected_length: int, offered: int, offered_bytes: int, _unused: int
) -> int:
    """Answer `SSL_CTX_set_alpn_select_cb`: take `h2` from a list of length-prefixed names.

    Args:
        selected: Where the address of the chosen name goes; it stays inside the client's list.
        selected_length: Where its length goes, one byte.
        offered: Address of the client's list, which libssl has checked.
        offered_bytes: Its length.
    """
    end = i64(offered_bytes)
    position = i64(0)
    while position < end:
        length = load_byte(offered + position)
        if length == 2 and position + 2 < end:
            name = offered + position + 1
            if load_byte(name) == _H and load_byte(name + 1) == _TWO:
                store_long(selected, name)
                store_byte(selected_length, i64(2))
                return _ACCEPTED
        position += 1 + length
    return _REFUSED


@callback("int32(int64, int64, int64)")
def check_hello(ssl: int, alert: int, _unused: int) -> int:
    """Answer `SSL_CTX_set_client_hello_cb`: refuse a client that offers no protocol at all."""
    if ssl_hello_extension(ssl, _EXTENSION_ALPN, 0, 0) == 1:
        return _HELLO_ACCEPTED
    store_half(alert, i64(_ALERT_NO_APPLICATION_PROTOCOL))
    return _HELLO_REFUSED
