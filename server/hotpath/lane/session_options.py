"""The callbacks and options that every HTTP/2 session of a lane shares; made once, before start."""

from __future__ import annotations

import ctypes
from typing import Final

from server.hotpath.lane import callbacks
from server.hotpath.lane.foreign import NGHTTP2

# A peer may reset this many streams at once, and then so many per second.
RESETS_MAX: Final = 500
RESETS_PER_SECOND: Final = 100
ACKS_MAX: Final = 256
SETTINGS_MAX: Final = 32
CONTINUATIONS_MAX: Final = 8


def new_callbacks() -> int:
    """Return the address of a nghttp2_session_callbacks, never freed."""
    handle = ctypes.c_void_p()
    if NGHTTP2.nghttp2_session_callbacks_new(ctypes.byref(handle)) != 0:
        raise MemoryError
    for name, function in (
        ("on_begin_headers", callbacks.on_begin_headers),
        ("on_header", callbacks.on_header),
        ("on_frame_recv", callbacks.on_frame),
        ("on_data_chunk_recv", callbacks.on_data),
        ("on_frame_send", callbacks.on_frame_sent),
        ("on_stream_close", callbacks.on_stream_close),
    ):
        setter = getattr(NGHTTP2, f"nghttp2_session_callbacks_set_{name}_callback")
        setter(handle, ctypes.c_void_p(function.address))
    return int(handle.value or 0)


def new_options() -> int:
    """Return the address of a nghttp2_option, never freed.

    Windows are given back by hand, so that a stream whose requests wait is paused.
    """
    handle = ctypes.c_void_p()
    if NGHTTP2.nghttp2_option_new(ctypes.byref(handle)) != 0:
        raise MemoryError
    _set(handle, "no_auto_window_update", ctypes.c_int(1))
    _set(handle, "no_closed_streams", ctypes.c_int(1))
    _set(handle, "max_outbound_ack", ctypes.c_size_t(ACKS_MAX))
    _set(handle, "max_settings", ctypes.c_size_t(SETTINGS_MAX))
    _set(
        handle,
        "stream_reset_rate_limit",
        ctypes.c_uint64(RESETS_MAX),
        ctypes.c_uint64(RESETS_PER_SECOND),
    )
    _set(handle, "max_continuations", ctypes.c_size_t(CONTINUATIONS_MAX))
    return int(handle.value or 0)


def _set(handle: ctypes.c_void_p, name: str, *values: object) -> None:
    # The newest of these came with security fixes that distributions carried back: probe for each.
    setter = getattr(NGHTTP2, f"nghttp2_option_set_{name}", None)
    if setter is not None:
        setter(handle, *values)
