"""Compiled code that reads memory after it was freed: what a memory checker must complain about."""

import ctypes
import sys

from server.hotpath.intrinsics import load_long
from server.hotpath.jit import routine

BYTES = 64


@routine
def peek_nb(address: int) -> int:
    """Return the int64 at an address."""
    found: int = load_long(address)
    return found


if __name__ == "__main__":
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.free.argtypes = [ctypes.c_void_p]
    memory = libc.malloc(ctypes.c_size_t(BYTES))
    ctypes.memset(memory, 0, BYTES)
    peek_nb(memory)  # loaded now: loading would hand the freed memory out again
    libc.free(memory)
    sys.stdout.write(f"{peek_nb(memory)} read\n")
