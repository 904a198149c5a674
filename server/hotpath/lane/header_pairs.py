"""Names and values of response headers in the form that libnghttp2 takes them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from server.hotpath.intrinsics import load_byte, store_byte
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.lane.structs import DATA_PROVIDER, NAME_VALUE, name_value_at

NAME_VALUE_BYTES: Final = NAME_VALUE.itemsize
# The lane's `headers` memory: constant pairs, pairs under construction, a provider, and text.
_STATUS_200: Final = 0
TRAILERS_OK: Final = 2
BUILT: Final = 3
PAIRS: Final = 12
PROVIDER_OFFSET: Final = PAIRS * NAME_VALUE_BYTES
TEXT_OFFSET: Final = PROVIDER_OFFSET + DATA_PROVIDER.itemsize
MESSAGE_BYTES_MAX: Final = 512
HEADERS_MEMORY_BYTES: Final = TEXT_OFFSET + 3 * MESSAGE_BYTES_MAX
NUMBER_OFFSET: Final = TEXT_OFFSET + 2 * MESSAGE_BYTES_MAX
_NUMBER_BYTES_MAX: Final = 20

CONSTANT: Final = 6  # NO_COPY_NAME | NO_COPY_VALUE
COPY_VALUE: Final = 2  # NO_COPY_NAME


def _constant(text: bytes) -> Any:
    return np.frombuffer(text, np.uint8)


NAME_STATUS: Final = _constant(b":status")
HTTP_200: Final = _constant(b"200")
HTTP_405: Final = _constant(b"405")
HTTP_415: Final = _constant(b"415")
NAME_CONTENT_TYPE: Final = _constant(b"content-type")
GRPC: Final = _constant(b"application/grpc")
NAME_GRPC_STATUS: Final = _constant(b"grpc-status")
_ZERO: Final = _constant(b"0")
NAME_MESSAGE: Final = _constant(b"grpc-message")
NAME_FIELD: Final = _constant(b"riskgate-field")
NAME_ACCEPT_ENCODING: Final = _constant(b"grpc-accept-encoding")
IDENTITY: Final = _constant(b"identity")
NAME_PUSHBACK: Final = _constant(b"grpc-retry-pushback-ms")
_HEX: Final = _constant(b"0123456789ABCDEF")


@kernel
def write_pair_nb(
    lane: Any, pair: int, name: Any, value: int, value_length: int, flags: int
) -> None:
    """Write one pair of the lane's memory; the name is a constant, the value an address."""
    entry = name_value_at(lane.headers + pair * i64(NAME_VALUE_BYTES))
    entry.name = name.ctypes.data
    entry.name_length = name.shape[0]
    entry.value = value
    entry.value_length = value_length
    entry.flags = flags


@routine
def prepare_headers_nb(lane: Any) -> None:
    """Write the pairs that every good answer has; once, at start."""
    write_pair_nb(lane, _STATUS_200, NAME_STATUS, HTTP_200.ctypes.data, 3, CONSTANT)
    write_pair_nb(lane, 1, NAME_CONTENT_TYPE, GRPC.ctypes.data, GRPC.shape[0], CONSTANT)
    write_pair_nb(lane, TRAILERS_OK, NAME_GRPC_STATUS, _ZERO.ctypes.data, 1, CONSTANT)


@routine
def percent_encode_nb(source: int, length: int, target: int, target_max: int) -> int:
    """Write a grpc-message: all but printable ASCII, and the percent sign, as %XX; return bytes."""
    written = i64(0)
    for position in range(length):
        byte = load_byte(source + position)
        if written + 3 > target_max:
            break
        if 32 <= byte <= 126 and byte != 37:
            store_byte(target + written, byte)
            written += 1
        else:
            store_byte(target + written, 37)
            store_byte(target + written + 1, i64(_HEX[byte >> 4]))
            store_byte(target + written + 2, i64(_HEX[byte & 15]))
            written += 3
    return written


@routine
def put_number_pair_nb(lane: Any, pair: int, name: Any, number: int) -> None:
    """Write a pair whose value is a whole number ≥ 0 in digits; copied when it is submitted."""
    end = lane.headers + NUMBER_OFFSET + _NUMBER_BYTES_MAX
    at = end
    while True:
        at -= 1
        store_byte(at, 48 + number % 10)
        number //= 10
        if number == 0:
            break
    write_pair_nb(lane, pair, name, at, end - at, COPY_VALUE)
