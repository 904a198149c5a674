"""What a trial run may not do beside computing: no network, no other process, no file written.

Two independent means, each used where the system allows it; which of them are in force is told to
the parent. The network goes with a namespace of its own. The system calls go with a filter of
libseccomp: what a model needs to be computed is allowed, everything else fails with EPERM.
"""

import ctypes
import errno
import os
from enum import IntFlag
from typing import Any, Final

_CLONE_NEWUSER: Final = 0x1000_0000
_CLONE_NEWNET: Final = 0x4000_0000

_ALLOW: Final = 0x7FFF_0000
_REFUSE: Final = 0x0005_0000 | errno.EPERM
_FOR_ALL_THREADS: Final = 4
_EQUAL: Final = 4
_MASKED_EQUAL: Final = 7
_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

# Names that a machine does not have are passed over.
_ALLOWED: Final = (
    *("read", "readv", "pread64", "write", "writev", "close", "lseek", "fstat", "newfstatat"),
    *("stat", "lstat", "statx", "access", "faccessat", "faccessat2", "readlink", "readlinkat"),
    *("getcwd", "getdents64", "fcntl", "dup", "dup2", "dup3", "poll", "ppoll"),
    *("mmap", "munmap", "mremap", "mprotect", "madvise", "brk", "membarrier"),
    *("futex", "sched_yield", "sched_getaffinity", "rseq", "set_robust_list"),
    *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall"),
    *("clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time"),
    *("getpid", "gettid", "getppid", "getuid", "geteuid", "getgid", "getegid", "getrusage"),
    *("getrandom", "uname", "sysinfo", "getcpu", "getrlimit", "exit", "exit_group"),
)


class Isolation(IntFlag):
    """What is in force; the ready byte of a trial run carries it in its lowest bits."""

    NETWORK = 1
    SYSTEM_CALLS = 2


WHOLE: Final = Isolation.NETWORK | Isolation.SYSTEM_CALLS


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


def leave_network() -> Isolation:
    """Move this process, which has one thread, where there is no network; tell whether it is."""
    # Without rights only an owner of a user namespace may; with them files must stay readable.
    flags = _CLONE_NEWNET if os.geteuid() == 0 else _CLONE_NEWNET | _CLONE_NEWUSER
    try:
        done = ctypes.CDLL(None, use_errno=True).unshare(flags) == 0
    except (OSError, AttributeError):
        done = False
    return Isolation.NETWORK if done else Isolation(0)


def filter_system_calls() -> Isolation:
    """Refuse, for all threads and for good, what computing does not need; tell whether it is so."""
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        return Isolation(0)
    library.seccomp_init.restype = ctypes.c_void_p
    address = library.seccomp_init(ctypes.c_uint32(_REFUSE))
    if address is None:
        return Isolation(0)
    context = ctypes.c_void_p(address)
    library.seccomp_attr_set(context, _FOR_ALL_THREADS, ctypes.c_uint32(1))
    is_complete = all(_allow(library, context, name) for name in _ALLOWED)
    for name, condition in (
        ("open", _Comparison(1, _MASKED_EQUAL, _WRITING, 0)),
        ("openat", _Comparison(2, _MASKED_EQUAL, _WRITING, 0)),
        # Reads a limit, sets none.
        ("prlimit64", _Comparison(2, _EQUAL, 0, 0)),
        # Its own end by abort(), nobody else's.
        ("tgkill", _Comparison(0, _EQUAL, os.getpid(), 0)),
    ):
        is_complete &= _allow(library, context, name, condition)
    is_loaded = is_complete and library.seccomp_load(context) == 0
    library.seccomp_release(context)
    return Isolation.SYSTEM_CALLS if is_loaded else Isolation(0)


def _allow(library: Any, context: Any, name: str, *conditions: _Comparison) -> bool:
    number = library.seccomp_syscall_resolve_name(name.encode())
    if number < 0:
        return True
    array = (_Comparison * max(1, len(conditions)))(*conditions)
    added = library.seccomp_rule_add_array(
        context, ctypes.c_uint32(_ALLOW), number, ctypes.c_uint(len(conditions)), array
    )
    return bool(added == 0)
