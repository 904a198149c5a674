"""gRPC's own framing: a flag and a length before each message of an answer."""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.intrinsics import store_byte
from server.hotpath.jit import kernel

PREFIX_BYTES: Final = 5


@kernel
def put_message_nb(call: Any, length: int) -> None:
    """Append a message whose bytes stand PREFIX_BYTES behind the end of the call's output."""
    at = call.output + call.output_to
    store_byte(at, 0)
    store_byte(at + 1, length >> 24)
    store_byte(at + 2, length >> 16)
    store_byte(at + 3, length >> 8)
    store_byte(at + 4, length)
    call.output_to += PREFIX_BYTES + length
