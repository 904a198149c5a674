"""The records of grants, read by their addresses as the lane reads them."""

import ctypes
from typing import Any

import numpy as np

from server.hotpath.wire.grant_record import GRANT, HOLDER


def grant_of(address: int) -> Any:
    """Return a copy of a GRANT."""
    return np.frombuffer(ctypes.string_at(int(address), GRANT.itemsize), GRANT)[0]


def identity_of(address: int) -> str:
    """Return the identity that a GRANT belongs to; "" for no grant, and for the open one."""
    if address == 0:
        return ""
    holder = ctypes.string_at(int(grant_of(address)["holder"]), HOLDER.itemsize)
    return bytes(np.frombuffer(holder, HOLDER)[0]["identity"]).rstrip(b"\0").decode()


def holder_of(address: int) -> Any:
    """Return a copy of the HOLDER of a GRANT."""
    holder = ctypes.string_at(int(grant_of(address)["holder"]), HOLDER.itemsize)
    return np.frombuffer(holder, HOLDER)[0]
