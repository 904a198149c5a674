"""The one place where numba, which is untyped, meets the type checker.

And where its cache gets a safe name.

`kernel` compiles without fast-math, so NaN and the order of additions keep their meaning, and with
the numpy error model, so a division by zero gives inf or NaN and compiled code never raises.

numba's own cache looks only at the file of the cached function: after a change in a module that it
calls, it would go on serving the old code, and with a changed dtype that is memory corruption. So
the directory is named by a hash of every hot-path source and of the compiler's versions.
"""

import hashlib
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import llvmlite
import numba
import numpy as np

i64: Final[Any] = np.int64
"""A 64-bit integer in a kernel; anything for the type checker, as rows of tables are."""

Function = TypeVar("Function", bound=Callable[..., object])


def sources_digest(folder: Path) -> str:
    """Return a hash of all Python sources below a folder and of the compiler that will see them."""
    digest = hashlib.sha256()
    versions = (
        numba.__version__,
        llvmlite.__version__,
        np.__version__,
        platform.machine(),
        platform.python_version(),
    )
    digest.update("|".join(versions).encode())
    for path in sorted(folder.rglob("*.py")):
        digest.update(
            path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0"
        )
    return digest.hexdigest()[:24]


def cache_folder() -> Path:
    """Return where compiled kernels of exactly these sources are kept.

    RISKGATE_CACHE_DIR or the user's cache.
    """
    configured = os.environ.get("RISKGATE_CACHE_DIR")
    user_cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    base = Path(configured) if configured else Path(user_cache) / "riskgate"
    return base / "kernels" / sources_digest(Path(__file__).parent)


numba.config.CACHE_DIR = str(cache_folder())  # type: ignore[attr-defined]


def kernel(function: Function) -> Function:
    """Compile a kernel to cached machine code that is inlined wherever it is called.

    The steps of a decision are small and called once each; as calls they cost more than the work
    inside (a decision without a model: 0.38 µs inlined, 1.28 µs called).
    """
    compiled = numba.njit(cache=True, error_model="numpy", fastmath=False, forceinline=True)
    return cast("Function", compiled(function))


def routine(function: Function) -> Function:
    """Compile a kernel that stays a call: large, rare, or used in many places."""
    return cast("Function", numba.njit(cache=True, error_model="numpy", fastmath=False)(function))


def part(function: Function) -> Function:
    """Compile a kernel only as a part of its caller, of which there is one.

    Each `kernel` and `routine` is optimised with all that it calls, and again in each of its
    callers: on the long way from a socket to a decision that was a third of all compile time.
    """
    compiled = numba.njit(cache=True, error_model="numpy", fastmath=False, inline="always")
    return cast("Function", compiled(function))


def entry(function: Function) -> Function:
    """Compile a kernel that Python calls for a long time: it runs without the interpreter lock."""
    compiled = numba.njit(cache=True, error_model="numpy", fastmath=False, nogil=True)
    return cast("Function", compiled(function))


def callback(signature: Any) -> Callable[[Function], Any]:
    """Compile a function that C calls; `.address` is what C gets.

    It is compiled where it is decorated, so what it calls must be defined above. An exception would
    be printed and look like success to the caller; kernels never raise.
    """

    def compile_it(function: Function) -> Any:
        return numba.cfunc(signature, cache=True, error_model="numpy", fastmath=False)(function)

    return compile_it
