"""The machine operations that numba has no word for.

Wide division, loads and stores, references to records.

Only this module writes LLVM code. Addresses are int64; whoever passes one answers for it. A 128-bit
division becomes a call into libgcc, which is therefore loaded before anything compiled here runs;
without it the process would crash at the first wide product.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import from_dtype, types
from numba.core import cgutils
from numba.extending import intrinsic as untyped_intrinsic

llvmlite.binding.load_library_permanently("libgcc_s.so.1")

# What numba calls with one argument more than the kernel does has no static type.
intrinsic: Any = untyped_intrinsic

_I64 = ir.IntType(64)


def _to_pointer(builder: Any, address: Any, kind: Any) -> Any:
    """Turn an address into a pointer that LLVM may not take for one it knows something about.

    LLVM may compute the address a + b as an offset b from a pointer with the value a. In a loop
    whose first a is 0 it then sees an access through the null pointer and drops it, unless the
    function says that such pointers are valid. The attribute spreads to whatever inlines it.
    """
    # Past the check of names, which does not know this one.
    set.add(builder.function.attributes, "null_pointer_is_valid")
    return builder.inttoptr(address, kind)


_I128 = ir.IntType(128)


@intrinsic
def divide_product(typing_context: Any, a: Any, b: Any, c: Any) -> Any:  # noqa: ARG001 - numba calls it so
    """Divide the exact product a·b by c > 0.

    Returns:
        (quotient truncated toward zero, sign of the remainder −1/0/1, 1 if the quotient is outside
            int64), int64 each.
    """
    result = types.UniTuple(types.int64, 3)
    signature = result(types.int64, types.int64, types.int64)

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        left, right, divisor = arguments
        product = builder.mul(builder.sext(left, _I128), builder.sext(right, _I128))
        narrow = builder.trunc(product, _I64)
        fits = builder.icmp_signed("==", builder.sext(narrow, _I128), product)
        quotient = cgutils.alloca_once(builder, _I64)
        remainder = cgutils.alloca_once(builder, _I128)
        overflow = cgutils.alloca_once(builder, _I64)
        with builder.if_else(fits, likely=True) as (short, long):
            with short:
                builder.store(builder.sdiv(narrow, divisor), quotient)
                builder.store(builder.sext(builder.srem(narrow, divisor), _I128), remainder)
                builder.store(_I64(0), overflow)
            with long:
                wide_divisor = builder.sext(divisor, _I128)
                wide = builder.sdiv(product, wide_divisor)
                cut = builder.trunc(wide, _I64)
                builder.store(cut, quotient)
                builder.store(builder.sub(product, builder.mul(wide, wide_divisor)), remainder)
                outside = builder.icmp_signed("!=", builder.sext(cut, _I128), wide)
                builder.store(builder.zext(outside, _I64), overflow)
        rest = builder.load(remainder)
        sign = builder.sub(
            builder.zext(builder.icmp_signed(">", rest, _I128(0)), _I64),
            builder.zext(builder.icmp_signed("<", rest, _I128(0)), _I64),
        )
        return context.make_tuple(
            builder, result, (builder.load(quotient), sign, builder.load(overflow))
        )

    return signature, generate


@intrinsic
def load_word(typing_context: Any, address: Any) -> Any:  # noqa: ARG001
    """Return the int64 at an address."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.load(_to_pointer(builder, arguments[0], _I64.as_pointer()))

    return types.int64(types.int64), generate


@intrinsic
def prefetch(typing_context: Any, address: Any) -> Any:  # noqa: ARG001
    """Ask for the cache line at an address; any address is allowed, nothing is read."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        i32 = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, i32, i32, i32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        pointer = _to_pointer(builder, arguments[0], cgutils.voidptr_t)
        # Read, keep in every level, data.
        builder.call(function, [pointer, i32(0), i32(3), i32(1)])
        return context.get_dummy_value()

    return types.void(types.int64), generate


@intrinsic
def store_word(typing_context: Any, address: Any, value: Any) -> Any:  # noqa: ARG001
    """Write an int64 to an address."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        builder.store(arguments[1], _to_pointer(builder, arguments[0], _I64.as_pointer()))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def pointer_to(typing_context: Any, address: Any) -> Any:  # noqa: ARG001
    """Return an address as an untyped pointer, for `numba.carray`."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return _to_pointer(builder, arguments[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), generate


def row_reference(memory: np.dtype[np.void], column: str, row_dtype: np.dtype[np.void]) -> Any:
    """Make `at(state, row)`.

    A reference to a row of the table whose address is in a column of the memory record.

    A record that an ordinary compiled function returns is a copy; one from an intrinsic is the
    memory itself, so `account_at(state, row).equity_micros = 0` is a plain store.
    """
    record = from_dtype(row_dtype)
    offset = memory.fields[column][1]  # type: ignore[index]
    size = row_dtype.itemsize

    @intrinsic
    def at(typing_context: Any, state: Any, row: Any) -> Any:  # noqa: ARG001
        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            state_pointer, row_number = arguments
            raw = builder.bitcast(state_pointer, cgutils.voidptr_t)
            cell = builder.gep(raw, [_I64(offset)])
            base = builder.load(builder.bitcast(cell, _I64.as_pointer()))
            address = builder.add(base, builder.mul(row_number, _I64(size)))
            return _to_pointer(builder, address, context.get_value_type(record))

        return record(state, types.int64), generate

    return at


def part_reference(memory: np.dtype[np.void], column: str, part_dtype: np.dtype[np.void]) -> Any:
    """Make `of(state)`.

    A reference to the single record whose address is in a column of the memory record.
    """
    record = from_dtype(part_dtype)
    offset = memory.fields[column][1]  # type: ignore[index]

    @intrinsic
    def of(typing_context: Any, state: Any) -> Any:  # noqa: ARG001
        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            raw = builder.bitcast(arguments[0], cgutils.voidptr_t)
            cell = builder.gep(raw, [_I64(offset)])
            address = builder.load(builder.bitcast(cell, _I64.as_pointer()))
            return _to_pointer(builder, address, context.get_value_type(record))

        return record(state), generate

    return of


def _memory_access(bits: int, *, is_float: bool = False) -> tuple[Any, Any]:
    """Make load(address) → number and store(address, number) for one width, unaligned allowed.

    Whole numbers are widened without sign (32 bits and less) and cut when stored.
    """
    stored = ir.DoubleType() if is_float else ir.IntType(bits)
    number = types.float64 if is_float else types.int64

    @intrinsic
    def load(typing_context: Any, address: Any) -> Any:  # noqa: ARG001
        def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            value = builder.load(_to_pointer(builder, arguments[0], stored.as_pointer()), align=1)
            return value if is_float or bits == 64 else builder.zext(value, _I64)

        return number(types.int64), generate

    @intrinsic
    def store(typing_context: Any, address: Any, value: Any) -> Any:  # noqa: ARG001
        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            cut = arguments[1] if is_float or bits == 64 else builder.trunc(arguments[1], stored)
            builder.store(cut, _to_pointer(builder, arguments[0], stored.as_pointer()), align=1)
            return context.get_dummy_value()

        return types.void(types.int64, number), generate

    return load, store


load_byte, store_byte = _memory_access(8)
load_half, store_half = _memory_access(32)
load_long, store_long = _memory_access(64)
_, store_double = _memory_access(64, is_float=True)


@intrinsic
def copy_bytes(typing_context: Any, target: Any, source: Any, count: Any) -> Any:  # noqa: ARG001
    """Copy `count` ≥ 0 bytes between addresses that do not overlap."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(
            ir.VoidType(), [cgutils.voidptr_t, cgutils.voidptr_t, _I64, ir.IntType(1)]
        )
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.memcpy.p0.p0.i64")
        to = _to_pointer(builder, arguments[0], cgutils.voidptr_t)
        origin = _to_pointer(builder, arguments[1], cgutils.voidptr_t)
        builder.call(function, [to, origin, arguments[2], ir.Constant(ir.IntType(1), 0)])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


def address_reference(dtype: np.dtype[np.void]) -> Any:
    """Make `at(address)`: a reference to a record of that dtype at an address."""
    record = from_dtype(dtype)

    @intrinsic
    def at(typing_context: Any, address: Any) -> Any:  # noqa: ARG001
        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            return _to_pointer(builder, arguments[0], context.get_value_type(record))

        return record(types.int64), generate

    return at


@intrinsic
def address_of(typing_context: Any, record: Any) -> Any:  # noqa: ARG001
    """Return the address of a record reference."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ptrtoint(arguments[0], _I64)

    return types.int64(record), generate


@intrinsic
def load_acquire(typing_context: Any, address: Any) -> Any:  # noqa: ARG001
    """Return the int64 at an aligned address; no later access of this thread comes before it."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        pointer = _to_pointer(builder, arguments[0], _I64.as_pointer())
        return builder.load_atomic(pointer, "acquire", 8)

    return types.int64(types.int64), generate


@intrinsic
def store_release(typing_context: Any, address: Any, value: Any) -> Any:  # noqa: ARG001
    """Write an int64 to an aligned address; no earlier access of this thread comes after it."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        pointer = _to_pointer(builder, arguments[0], _I64.as_pointer())
        builder.store_atomic(arguments[1], pointer, "release", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def divide_exactly(typing_context: Any, a: Any, b: Any, factor: Any, divisor: Any) -> Any:  # noqa: ARG001
    """Return the double nearest to (a − b)·factor / divisor, ties to even.

    `factor` and `divisor` are > 0, the product below 2^127. The quotient is taken with more bits
    than a double has, and what is left over goes into its last bit, so that it is rounded once.
    """
    double = ir.DoubleType()

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        first, second, times, below = (builder.sext(number, _I128) for number in arguments)
        product = builder.mul(builder.sub(first, second), times)
        negative = builder.icmp_signed("<", product, _I128(0))
        size = builder.select(negative, builder.neg(product), product)
        # Room to shift: zero counts as one, whose quotient is not used.
        zeros = builder.ctlz(builder.or_(size, _I128(1)), ir.Constant(ir.IntType(1), 0))
        shift = builder.sub(zeros, _I128(1))
        shifted = builder.shl(size, shift)
        quotient = builder.udiv(shifted, below)
        rest = builder.sub(shifted, builder.mul(quotient, below))
        sticky = builder.zext(builder.icmp_unsigned("!=", rest, _I128(0)), _I128)
        rounded = builder.uitofp(builder.or_(quotient, sticky), double)
        # 2^-shift, by its bits.
        exponent = builder.sub(_I64(1023), builder.trunc(shift, _I64))
        scale = builder.bitcast(builder.shl(exponent, _I64(52)), double)
        found = builder.fmul(rounded, scale)
        signed = builder.select(negative, builder.fneg(found), found)
        is_zero = builder.icmp_signed("==", size, _I128(0))
        return builder.select(is_zero, ir.Constant(double, 0.0), signed)

    return types.float64(types.int64, types.int64, types.int64, types.int64), generate
