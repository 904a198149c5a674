"""Engine integers to the doubles of an answer, correctly rounded.

A quotient of integers has one right double, which Python's `/` gives. Dividing two doubles gives it
only while both are exact, that is up to 2^53; beyond, the division is done in integers first.
"""

from __future__ import annotations

from typing import Final

from server.hotpath.intrinsics import divide_exactly
from server.hotpath.jit import kernel, routine

_EXACT_MAX: Final = 1 << 53


@routine
def _nearest_large_nb(a: int, b: int, factor: int, divisor: int) -> float:
    return divide_exactly(a, b, factor, divisor)


@kernel
def nearest_nb(a: int, b: int, factor: int, divisor: int) -> float:
    """Return the double nearest to (a − b)·factor / divisor.

    Args:
        a: any int64.
        b: any int64.
        factor: 1 to 1e6, such as the mantissa of a lot step.
        divisor: 1 to 1e8, such as its scale.
    """
    bound = _EXACT_MAX // factor
    # A difference that has left int64 cannot come out small: a and b are then large themselves.
    if -bound <= a <= bound and -bound <= b <= bound and -bound <= a - b <= bound:
        return float((a - b) * factor) / float(divisor)
    return _nearest_large_nb(a, b, factor, divisor)
