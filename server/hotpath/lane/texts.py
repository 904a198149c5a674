"""The fixed words of the lane's own refusals: what no decision says, because none was made."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from server.hotpath.jit import i64, kernel

# gRPC status codes that the lane gives by itself.
OK: Final = 0
INVALID_ARGUMENT: Final = 3
DEADLINE_EXCEEDED: Final = 4
RESOURCE_EXHAUSTED: Final = 8
PERMISSION_DENIED: Final = 7
UNIMPLEMENTED: Final = 12
UNAVAILABLE: Final = 14
UNAUTHENTICATED: Final = 16
NOT_FOUND: Final = 5

TEXTS: Final = (
    b"",
    b"the engine is not ready",
    b"the deadline has passed",
    b"the message is too large",
    b"the metadata is too large",
    b"this method does not exist",
    b"directives were lost: the reader was too slow",
    b"compressed messages are not supported",
    b"grpc-timeout is malformed",
    b"content-type must be application/grpc",
    b"the request ended inside a message",
    b"the method takes exactly one message",
    b"too many calls are open on this connection",
    b"the request was not finished in time",
    b"the server is stopping",
    b"the client certificate has expired",
    b"this service is not known",
    b"only POST is allowed",
    b"no acceptable client certificate",
    b"this certificate is revoked",
    b"this identity is frozen or revoked",
    b"this role may not call this method",
    b"too many calls",
)
(
    _NO_TEXT,
    T_NOT_READY,
    T_TOO_LATE,
    T_TOO_LARGE,
    T_METADATA_TOO_LARGE,
    T_UNKNOWN_METHOD,
    T_SLOW_READER,
    T_COMPRESSED,
    T_BAD_TIMEOUT,
    T_CONTENT_TYPE,
    T_TRUNCATED,
    T_ONE_MESSAGE,
    T_TOO_MANY_CALLS,
    T_UNFINISHED,
    T_STOPPING,
    T_CERTIFICATE_EXPIRED,
    T_UNKNOWN_SERVICE,
    T_POST,
    T_NO_CERTIFICATE,
    T_CERTIFICATE_REVOKED,
    T_IDENTITY_REVOKED,
    T_METHOD_DENIED,
    T_RATE,
) = range(len(TEXTS))

_STRIDE: Final = 64
_BYTES: Final = np.frombuffer(b"".join(text.ljust(_STRIDE, b"\0") for text in TEXTS), np.uint8)
_LENGTHS: Final = np.array([len(text) for text in TEXTS], np.int64)
_DIGITS: Final = np.frombuffer(
    b"".join(str(code).encode().ljust(2, b"\0") for code in range(17)), np.uint8
)


@kernel
def text_address_nb(text: int) -> int:
    """Return where a text is; it never moves."""
    return _BYTES.ctypes.data + i64(text) * _STRIDE


@kernel
def text_length_nb(text: int) -> int:
    """Return the length of a text, bytes."""
    return _LENGTHS[text]


@kernel
def code_digits_nb(code: int) -> Any:
    """Return address and length of a gRPC status code in digits; it never moves."""
    return _DIGITS.ctypes.data + i64(code) * 2, i64(1) if code < 10 else i64(2)
