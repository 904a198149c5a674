"""Whether this machine can serve by the compiled lane: Linux with libnghttp2 and OpenSSL 3."""

import ctypes
import sys
from typing import Final

_LIBRARIES: Final = ("libnghttp2.so.14", "libssl.so.3", "libcrypto.so.3", "libgcc_s.so.1")


def is_lane_possible() -> bool:
    """Tell whether the libraries that the lane calls are there."""
    if sys.platform != "linux":
        return False
    try:
        for name in _LIBRARIES:
            ctypes.CDLL(name)
    except OSError:
        return False
    return True
