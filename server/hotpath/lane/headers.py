"""Request headers: which method, how long the caller waits, and whether it is gRPC at all.

nghttp2 has checked the rules of HTTP/2 (pseudo headers first, lower case, …) before a header comes
here. Its announced limit on the header list is not enforced by it, so bytes are counted here.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from server.hotpath.intrinsics import load_byte
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.lane.foreign import memcmp
from server.hotpath.lane.structs import (
    HEADER_BAD_TIMEOUT,
    HEADER_COMPRESSED,
    HEADER_GRPC,
    HEADER_POST,
    HEADER_TOO_LARGE,
    METHOD_UNKNOWN,
)

HEADER_LIST_BYTES_MAX: Final = 8_192
# What HPACK adds to the length of each header (RFC 7541, section 4.1).
_HEADER_OVERHEAD_BYTES: Final = 32

# By METHOD_* less one.
PATHS: Final = (
    b"/riskgate.v1.DecisionService/Decide",
    b"/riskgate.v1.DecisionService/DecideBatch",
    b"/riskgate.v1.DecisionService/DecideStream",
    b"/riskgate.v1.DecisionService/ReportExecution",
    b"/riskgate.v1.DecisionService/SyncAccount",
    b"/riskgate.v1.DecisionService/WatchDirectives",
    b"/riskgate.v1.DecisionService/AckDirective",
    b"/grpc.health.v1.Health/Check",
    b"/grpc.health.v1.Health/Watch",
    b"/riskgate.v1.KillService/Kill",
)
_PATH_STRIDE: Final = 64
_PATH_BYTES: Final = np.frombuffer(b"".join(p.ljust(_PATH_STRIDE, b"\0") for p in PATHS), np.uint8)
_PATH_LENGTHS: Final = np.array([len(path) for path in PATHS], np.int64)


def _constant(text: bytes) -> Any:
    return np.frombuffer(text, np.uint8)


_PATH: Final = _constant(b":path")
_METHOD: Final = _constant(b":method")
_POST: Final = _constant(b"POST")
_CONTENT_TYPE: Final = _constant(b"content-type")
_GRPC: Final = _constant(b"application/grpc")
_GRPC_PROTO: Final = _constant(b"application/grpc+proto")
_TIMEOUT: Final = _constant(b"grpc-timeout")
_ENCODING: Final = _constant(b"grpc-encoding")
_IDENTITY: Final = _constant(b"identity")

# Nanoseconds of the unit letters of grpc-timeout.
_HOUR_NS: Final = 3_600_000_000_000
_TIMEOUT_DIGITS_MAX: Final = 8


@kernel
def _is_nb(address: int, length: int, constant: Any) -> bool:
    return length == constant.shape[0] and memcmp(address, constant.ctypes.data, length) == 0


@kernel
def _starts_with_nb(address: int, length: int, constant: Any) -> bool:
    size = constant.shape[0]
    return length >= size and memcmp(address, constant.ctypes.data, size) == 0


@routine
def find_method_nb(address: int, length: int) -> int:
    """Return the METHOD_* of a path."""
    for number in range(_PATH_LENGTHS.shape[0]):
        if length == _PATH_LENGTHS[number]:
            known = _PATH_BYTES.ctypes.data + number * _PATH_STRIDE
            if memcmp(address, known, length) == 0:
                return i64(number + 1)
    return i64(METHOD_UNKNOWN)


@routine
def read_timeout_ns_nb(address: int, length: int) -> int:
    """Return nanoseconds of a grpc-timeout (one to eight digits and a unit), −1 if malformed."""
    if length < 2 or length > _TIMEOUT_DIGITS_MAX + 1:
        return i64(-1)
    number = i64(0)
    for position in range(length - 1):
        digit = load_byte(address + position) - 48
        if digit < 0 or digit > 9:
            return i64(-1)
        number = number * 10 + digit
    unit = load_byte(address + length - 1)
    if unit == 72:  # H
        # 99,999,999 hours do not fit; a century is no deadline either.
        return min(number, i64(1_000_000)) * _HOUR_NS
    if unit == 77:  # M
        return number * i64(60_000_000_000)
    if unit == 83:  # S
        return number * i64(1_000_000_000)
    if unit == 109:  # m
        return number * i64(1_000_000)
    if unit == 117:  # u
        return number * i64(1_000)
    return number if unit == 110 else i64(-1)  # n


@kernel
def is_grpc_nb(address: int, length: int) -> bool:
    """Tell whether a content type is application/grpc, also with +suffix or ;parameter."""
    if not _starts_with_nb(address, length, _GRPC):
        return False
    if length == _GRPC.shape[0]:
        return True
    following = load_byte(address + _GRPC.shape[0])
    # '+proto' is us, another codec is not; ';' begins parameters.
    if following == 43:
        return _starts_with_nb(address, length, _GRPC_PROTO)
    return following == 59


@routine
def take_header_nb(call: Any, name: int, name_length: int, value: int, value_length: int) -> None:
    """Note what one header says about a call."""
    call.header_bytes += name_length + value_length + _HEADER_OVERHEAD_BYTES
    if call.header_bytes > HEADER_LIST_BYTES_MAX:
        call.header_flags |= HEADER_TOO_LARGE
    elif _is_nb(name, name_length, _PATH):
        call.method = find_method_nb(value, value_length)
    elif _is_nb(name, name_length, _METHOD):
        if _is_nb(value, value_length, _POST):
            call.header_flags |= HEADER_POST
    elif _is_nb(name, name_length, _CONTENT_TYPE):
        if is_grpc_nb(value, value_length):
            call.header_flags |= HEADER_GRPC
    elif _is_nb(name, name_length, _TIMEOUT):
        timeout_ns = read_timeout_ns_nb(value, value_length)
        if timeout_ns < 0:
            call.header_flags |= HEADER_BAD_TIMEOUT
        else:
            # A deadline of zero is one that has passed, not none.
            call.deadline_ns = max(call.opened_ns + timeout_ns, i64(1))
    elif _is_nb(name, name_length, _ENCODING) and not _is_nb(value, value_length, _IDENTITY):
        call.header_flags |= HEADER_COMPRESSED
