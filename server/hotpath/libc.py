"""The C library as kernels call it: clocks, synced files, and how a C function is declared.

A call goes to an address that is entered here under a private name, so that another copy of a
library in the process (gRPC brings its own TLS) is never bound by accident, and compiled callers
can be cached. Pointers, sizes and file descriptors are int64 in kernels; x86-64 and AArch64 pass
them alike. Results narrower than 64 bits are int32, because their upper half is undefined.
"""

from __future__ import annotations

import ctypes
from typing import Any, Final

import llvmlite.binding
from numba import types
from numba.core.types import ExternalFunction

from server.hotpath.intrinsics import load_half, load_long
from server.hotpath.jit import i64, kernel

_PREFIX: Final = "riskgate_"
_LONG: Final = types.int64
_INT: Final = types.int32

LIBC: Final = ctypes.CDLL(None)


def declare(library: ctypes.CDLL, name: str, result: Any, *arguments: Any) -> Any:
    """Make a C function callable from kernels."""
    address = ctypes.cast(getattr(library, name), ctypes.c_void_p).value
    llvmlite.binding.add_symbol(_PREFIX + name, address)
    return ExternalFunction(_PREFIX + name, result(*arguments))


def declare_long(library: ctypes.CDLL, name: str, arguments: int) -> Any:
    """Declare a function of whole numbers and addresses that returns a long or an address."""
    return declare(library, name, _LONG, *[_LONG] * arguments)


def declare_int(library: ctypes.CDLL, name: str, arguments: int) -> Any:
    """Declare one that returns an int."""
    return declare(library, name, _INT, *[_LONG] * arguments)


clock_gettime = declare_int(LIBC, "clock_gettime", 2)
fdatasync = declare_int(LIBC, "fdatasync", 1)
kill = declare_int(LIBC, "kill", 2)
getpid = declare_int(LIBC, "getpid", 0)
_errno_location = declare_long(LIBC, "__errno_location", 0)

_CLOCK_REALTIME: Final = 0
_CLOCK_MONOTONIC: Final = 1


@kernel
def errno_nb() -> int:
    """Return the error number of the last libc call of this thread; ask right after it."""
    return load_half(_errno_location())


@kernel
def _read_clock_nb(clock: int, timespec: int) -> int:
    clock_gettime(clock, timespec)
    return load_long(timespec) * i64(1_000_000_000) + load_long(timespec + 8)


@kernel
def realtime_ns_nb(timespec: int) -> int:
    """Return Unix nanoseconds; `timespec` is the address of 16 bytes that may be overwritten."""
    return _read_clock_nb(i64(_CLOCK_REALTIME), timespec)


@kernel
def monotonic_ns_nb(timespec: int) -> int:
    """Return nanoseconds since some time before the start of the machine."""
    return _read_clock_nb(i64(_CLOCK_MONOTONIC), timespec)
