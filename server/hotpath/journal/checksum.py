"""CRC32C (Castagnoli, RFC 3720 appendix B.4), by the processor's own instruction where it has one.

A word per instruction, three cycles each; without the instruction one byte at a time by table.
"""

from __future__ import annotations

import platform
from typing import Any, Final

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from server.hotpath.intrinsics import intrinsic, load_byte, load_word
from server.hotpath.jit import i64, kernel, routine

_POLYNOMIAL: Final = 0x82F63B78
_MASK: Final = i64(0xFFFFFFFF)
_HAS_INSTRUCTION: Final = (
    platform.machine() == "x86_64" and llvmlite.binding.get_host_cpu_features()["sse4.2"]
)


def _new_table() -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    table = np.arange(256, dtype=np.int64)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ _POLYNOMIAL, table >> 1)
    return table


_TABLE: Final = _new_table()


@intrinsic
def _instruction(typing_context: Any, crc: Any, word: Any) -> Any:  # noqa: ARG001
    """Take one word into a checksum by the instruction crc32 of SSE 4.2."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        long = ir.IntType(64)
        kind = ir.FunctionType(long, [long, long])
        name = "llvm.x86.sse42.crc32.64.64"
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        return builder.call(function, arguments)

    return types.int64(types.int64, types.int64), generate


@kernel
def _by_table_nb(crc: int, word: int) -> int:
    for position in range(8):
        crc = (crc >> i64(8)) ^ _TABLE[(crc ^ (word >> i64(8 * position))) & i64(0xFF)]
    return crc


@kernel
def _take_word_nb(crc: int, word: int) -> int:
    if _HAS_INSTRUCTION:
        return _instruction(crc, word)
    return _by_table_nb(crc, word)


@routine
def checksum_nb(address: int, word_count: int, first: int) -> int:
    """Return the CRC32C of the word `first`, then of `word_count` words at an address."""
    crc = _take_word_nb(_MASK, first)
    for position in range(word_count):
        crc = _take_word_nb(crc, load_word(address + 8 * position))
    return ~crc & _MASK


@routine
def checksum_bytes_nb(address: int, length: int) -> int:
    """Return the CRC32C of bytes at an address."""
    crc = _MASK
    for position in range(length):
        crc = (crc >> i64(8)) ^ _TABLE[(crc ^ load_byte(address + position)) & i64(0xFF)]
    return ~crc & _MASK
