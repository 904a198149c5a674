"""Ticks, lots, money, ratios: the only functions that round.

Integers are int64. A result that does not fit sets `state.fault` and becomes 0; whoever started the
decision turns the fault into DENY ARITHMETIC_RANGE. Doubles appear only where a caller's number
comes in or an answer's number goes out. Reference twin: `tests/reference`.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from server.hotpath.intrinsics import divide_product
from server.hotpath.jit import i64, kernel
from server.hotpath.layout import LOT_STEPS_MAX, MICROS, PPM, PRICE_TICKS_MAX

DOWN: Final = 0
UP: Final = 1

GRID_TOLERANCE: Final = 1e-6
INT64_MAX: Final = i64(2**63 - 1)
OFF_GRID: Final = -1
OUT_OF_RANGE: Final = -2


@kernel
def mul_div_nb(state: Any, a: int, b: int, c: int, rounding: int) -> int:
    """Return a·b/c over the whole numbers, rounded toward −∞ (DOWN) or +∞ (UP).

    Args:
        state: a record with a column `fault`, set to 1 when the result is outside int64 or c ≤ 0;
            the result is then 0.
        a: any int64.
        b: any int64.
        c: > 0.
        rounding: DOWN or UP.
    """
    if c <= 0:
        state.fault = 1
        return i64(0)
    quotient, rest_sign, overflow = divide_product(i64(a), i64(b), i64(c))
    if overflow != 0:
        state.fault = 1
        return i64(0)
    if rounding == UP and rest_sign > 0:
        if quotient == INT64_MAX:
            state.fault = 1
            return i64(0)
        return quotient + 1
    if rounding == DOWN and rest_sign < 0:
        if quotient == -INT64_MAX - 1:
            state.fault = 1
            return i64(0)
        return quotient - 1
    return quotient


@kernel
def allowance_nb(amount: int, ppm: int) -> int:
    """Return the share of an amount that a limit allows, rounded down.

    A share beyond int64 is the largest number there is, which is the stricter side.
    """
    return _saturating_nb(amount, ppm, PPM)


@kernel
def share_ppm_nb(part: int, whole: int) -> int:
    """Return part / whole in ppm, rounded up and at most int64; part ≥ 0, whole > 0."""
    quotient, rest_sign, overflow = divide_product(i64(part), i64(PPM), i64(whole))
    if overflow != 0 or quotient == INT64_MAX:
        return INT64_MAX
    return quotient + 1 if rest_sign > 0 else quotient


@kernel
def _saturating_nb(a: int, b: int, c: int) -> int:
    quotient, rest_sign, overflow = divide_product(i64(a), i64(b), i64(c))
    if overflow != 0:
        return INT64_MAX if (a > 0) == (b > 0) else -INT64_MAX
    return quotient - 1 if rest_sign < 0 else quotient


@kernel
def scale_nb(state: Any, amount: int, ppm: int) -> int:
    """Multiply by a ratio, rounded down."""
    return mul_div_nb(state, amount, ppm, PPM, DOWN)


@kernel
def add_nb(state: Any, a: int, b: int) -> int:
    """Add; a sum outside int64 is a fault and 0."""
    total = i64(a) + i64(b)
    if (a >= 0) == (b >= 0) and (total >= 0) != (a >= 0):
        state.fault = 1
        return i64(0)
    return total


@kernel
def add_latched_nb(total: int, part: int) -> int:
    """Add a part ≥ 0 to a sum ≥ 0; beyond int64 the sum stays the largest number (see below)."""
    return total + part if part <= INT64_MAX - total else INT64_MAX


@kernel
def take_off_latched_nb(total: int, part: int) -> int:
    """Take a part off a sum; one that left int64 is unknown and stays the largest number."""
    return total if total == INT64_MAX else total - part


@kernel
def largest_if_fault_nb(state: Any, amount: int) -> int:
    """Return an exposure that was just computed, the largest number if it left int64."""
    return INT64_MAX if state.fault != 0 else amount


@kernel
def price_ticks_nb(price: float, tick_size: float) -> int:
    """Return the ticks of a price, OFF_GRID, or OUT_OF_RANGE (not finite, < 1, > 2^31 ticks)."""
    scaled = price / tick_size
    if not (math.fabs(scaled) <= 2.0 * PRICE_TICKS_MAX):
        return i64(OUT_OF_RANGE)
    whole = np.rint(scaled)
    if not (math.fabs(scaled - whole) <= GRID_TOLERANCE):
        return i64(OFF_GRID)
    if not (1.0 <= whole <= PRICE_TICKS_MAX):
        return i64(OUT_OF_RANGE)
    return i64(whole)


@kernel
def atr_ticks_nb(atr: float, tick_size: float) -> int:
    """Return an average true range in ticks, taken up to at least 1, or OUT_OF_RANGE."""
    scaled = atr / tick_size
    if not (0.0 < scaled <= PRICE_TICKS_MAX):
        return i64(OUT_OF_RANGE)
    return max(i64(math.ceil(scaled - GRID_TOLERANCE)), i64(1))


@kernel
def volatility_micropoints_nb(index: float) -> int:
    """Return a volatility index of 0 to 100 in micropoints, taken up, or OUT_OF_RANGE."""
    if not (0.0 <= index <= 100.0):
        return i64(OUT_OF_RANGE)
    return max(i64(math.ceil(index * 1e6 - GRID_TOLERANCE)), i64(0))


@kernel
def lot_steps_nb(lots: float, lot_mantissa: int, lot_scale: int) -> tuple[int, int]:
    """Return (whole lot steps rounded down or OUT_OF_RANGE, 1 if something was rounded away)."""
    scaled = lots * np.float64(lot_scale) / np.float64(lot_mantissa)
    if not (0.0 < scaled <= LOT_STEPS_MAX):
        return i64(OUT_OF_RANGE), i64(0)
    steps = i64(math.floor(scaled + GRID_TOLERANCE))
    return steps, i64(1 if scaled - np.float64(steps) > GRID_TOLERANCE else 0)


@kernel
def steps_of_microlots_nb(microlots: int, lot_mantissa: int, lot_scale: int) -> int:
    """Return the lot steps of a limit in millionths of a lot, rounded down.

    More than int64 holds are the most it holds.
    """
    return _saturating_nb(microlots, lot_scale, MICROS * lot_mantissa)


@kernel
def quote_twice_ticks_nb(bid: float, ask: float, tick_size: float) -> int:
    """Return twice the middle of a quote, each side to the nearest tick; 0: one is out of range."""
    low, high = np.rint(bid / tick_size), np.rint(ask / tick_size)
    if not (1.0 <= low <= PRICE_TICKS_MAX and 1.0 <= high <= PRICE_TICKS_MAX):
        return i64(0)
    return i64(low) + i64(high)


@kernel
def decimal_nb(count: int, mantissa: int, scale: int) -> float:
    """Return count · mantissa / scale as the nearest double: ticks to a price, steps to lots."""
    return np.float64(count) * np.float64(mantissa) / np.float64(scale)


@kernel
def per_step_nb(state: Any, per_lot: int, lot_mantissa: int) -> int:
    """Return an amount per lot times the mantissa of the lot step (see `steps_nb`, `cost_nb`)."""
    return mul_div_nb(state, per_lot, lot_mantissa, 1, DOWN)


@kernel
def steps_nb(state: Any, money: int, per_lot: int, lot_mantissa: int, lot_scale: int) -> int:
    """Return how many lot steps an amount pays for, rounded down, at least 0.

    More than int64 holds are the most it holds: `max_lot` is smaller in any case.
    """
    per_step = per_step_nb(state, per_lot, lot_mantissa)
    if per_step <= 0:
        return i64(0)
    return max(_saturating_nb(money, lot_scale, per_step), i64(0))


@kernel
def cost_nb(state: Any, steps: int, per_lot: int, lot_mantissa: int, lot_scale: int) -> int:
    """Return what a number of lot steps costs, rounded up."""
    return mul_div_nb(state, steps, per_step_nb(state, per_lot, lot_mantissa), lot_scale, UP)


@kernel
def interpolate_nb(
    state: Any,
    at: int,
    count: int,
    knots_x: np.ndarray[Any, np.dtype[np.int64]],
    knots_y: np.ndarray[Any, np.dtype[np.int64]],
    rounding: int,
) -> int:
    """Return the piecewise linear function through `count` ≥ 1 knots at `at`.

    Constant beyond the ends.
    """
    if at <= knots_x[0]:
        return knots_y[0]
    for upper in range(1, count):
        if at < knots_x[upper]:
            low = upper - 1
            run = knots_x[upper] - knots_x[low]
            rise = knots_y[upper] - knots_y[low]
            return knots_y[low] + mul_div_nb(state, rise, at - knots_x[low], run, rounding)
    return knots_y[count - 1]
