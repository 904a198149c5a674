"""What the headers of a call already rule out, before a byte of its message is looked at."""

from __future__ import annotations

from typing import Any

from server.hotpath.jit import routine
from server.hotpath.lane.replies import refuse_with_nb
from server.hotpath.lane.structs import (
    HEADER_BAD_TIMEOUT,
    HEADER_COMPRESSED,
    HEADER_GRPC,
    HEADER_POST,
    HEADER_TOO_LARGE,
    METHOD_UNKNOWN,
)
from server.hotpath.lane.texts import (
    INVALID_ARGUMENT,
    RESOURCE_EXHAUSTED,
    T_BAD_TIMEOUT,
    T_COMPRESSED,
    T_CONTENT_TYPE,
    T_METADATA_TOO_LARGE,
    T_POST,
    T_UNKNOWN_METHOD,
    UNIMPLEMENTED,
)


@routine
def judge_headers_nb(lane: Any, call: Any) -> None:
    """Refuse what the headers already rule out."""
    flags = call.header_flags
    if flags & HEADER_TOO_LARGE:
        refuse_with_nb(lane, call, RESOURCE_EXHAUSTED, T_METADATA_TOO_LARGE)
    elif not flags & HEADER_POST:
        refuse_with_nb(lane, call, INVALID_ARGUMENT, T_POST)
    elif not flags & HEADER_GRPC:
        refuse_with_nb(lane, call, INVALID_ARGUMENT, T_CONTENT_TYPE)
    elif call.method == METHOD_UNKNOWN:
        refuse_with_nb(lane, call, UNIMPLEMENTED, T_UNKNOWN_METHOD)
    elif flags & HEADER_COMPRESSED:
        refuse_with_nb(lane, call, UNIMPLEMENTED, T_COMPRESSED)
    elif flags & HEADER_BAD_TIMEOUT:
        refuse_with_nb(lane, call, INVALID_ARGUMENT, T_BAD_TIMEOUT)
