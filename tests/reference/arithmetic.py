"""Whole-number arithmetic over Python ints, and the few doubles at the edge (page, section 1)."""

import math
from collections.abc import Sequence
from typing import Any

from server.hotpath.layout import LOT_STEPS_MAX, MICROS, NOT_SET, PPM, PRICE_TICKS_MAX
from server.hotpath.records import P_OFF_TICK, P_RANGE

INT64_MAX = 2**63 - 1
INT64_MIN = -(2**63)


class Exact:
    """Arithmetic that remembers whether a result ever left int64; such a result counts as 0."""

    __slots__ = ("out_of_range",)

    def __init__(self) -> None:
        self.out_of_range = False

    def kept(self, value: int) -> int:
        if INT64_MIN <= value <= INT64_MAX:
            return value
        self.out_of_range = True
        return 0

    def mul_div(self, a: int, b: int, c: int, *, up: bool = False) -> int:
        if c <= 0:
            self.out_of_range = True
            return 0
        return self.kept(-(-a * b // c) if up else a * b // c)

    def ppm(self, value: int, ratio_ppm: int, *, up: bool = False) -> int:
        return self.mul_div(value, ratio_ppm, PPM, up=up)

    @staticmethod
    def allowance(whole: int, ratio_ppm: int) -> int:
        """Return a share of some money as a limit; beyond int64 it is the largest number."""
        return max(-INT64_MAX, min(whole * ratio_ppm // PPM, INT64_MAX))

    def steps(self, money: int, per_lot: int, instrument: Any) -> int:
        """Return the lot steps that some money pays for, at most the largest number."""
        per_step = self.mul_div(per_lot, instrument.lot_mantissa, 1)
        if per_step <= 0:
            return 0
        steps: int = money * instrument.lot_scale // per_step
        return min(max(0, steps), INT64_MAX)

    def cost(self, lot_steps: int, per_lot: int, instrument: Any) -> int:
        """Return the money that some lot steps cost."""
        per_step = self.mul_div(per_lot, instrument.lot_mantissa, 1)
        return self.mul_div(lot_steps, per_step, instrument.lot_scale, up=True)

    def knots(self, x: int, xs: Sequence[int], ys: Sequence[int], *, up: bool = False) -> int:
        if not xs:
            return 0
        if x < xs[0]:
            return ys[0]
        for index in range(len(xs) - 1):
            if xs[index] <= x < xs[index + 1]:
                rise, run = ys[index + 1] - ys[index], xs[index + 1] - xs[index]
                return ys[index] + self.mul_div(rise, x - xs[index], run, up=up)
        return ys[-1]


def price_ticks(price: float, instrument: Any) -> tuple[int, int]:
    """Return (ticks, 0), or (0, the problem) of a finite price > 0."""
    exact: float = price / instrument.tick_size
    # Far out of range the grid is finer than a double can tell.
    if not exact <= 2 * PRICE_TICKS_MAX:
        return 0, P_RANGE
    ticks = round(exact)
    if abs(exact - ticks) > 1e-6:
        return 0, P_OFF_TICK
    return (ticks, 0) if 1 <= ticks <= PRICE_TICKS_MAX else (0, P_RANGE)


def nearest_ticks(price: float, instrument: Any) -> int:
    """Return the nearest tick of an execution price, which may be an average; 0 if out of range."""
    exact: float = price / instrument.tick_size
    if not math.isfinite(exact):
        return 0
    ticks: int = round(exact)
    return ticks if 1 <= ticks <= PRICE_TICKS_MAX else 0


def atr_ticks(atr: float, instrument: Any) -> int:
    """Return the ticks of an ATR, 0 if it is no valid one."""
    if not (math.isfinite(atr) and atr > 0):
        return 0
    exact: float = atr / instrument.tick_size - 1e-6
    if not math.isfinite(exact) or math.ceil(exact) > PRICE_TICKS_MAX:
        return 0
    return max(1, math.ceil(exact))


def volatility_micropoints(index: float) -> int:
    return max(0, math.ceil(index * 1e6 - 1e-6))


def lot_steps(lots: float, instrument: Any) -> tuple[int, bool] | None:
    """Return (whole steps, whether something was left over), None when out of range."""
    exact = lots * float(instrument.lot_scale) / float(instrument.lot_mantissa)
    if not 0 < exact <= LOT_STEPS_MAX:
        return None
    steps = math.floor(exact + 1e-6)
    return steps, exact - steps > 1e-6


def price_of(ticks: int, instrument: Any) -> float:
    return float(ticks * instrument.tick_mantissa) / float(instrument.tick_scale)


def lots_of(steps: int, instrument: Any) -> float:
    return float(steps * instrument.lot_mantissa) / float(instrument.lot_scale)


def stricter(account: int, row: Any, column: str) -> int:
    """Return the limit that counts, given the account's and the symbol's override row (or None)."""
    if row is None:
        return account
    value: int = getattr(row, column)
    if row.override == 1:
        return value if value >= 0 else account
    stated = [limit for limit in (account, value) if limit >= 0]
    return min(stated, default=NOT_SET)


def stricter0(account: int, row: Any, column: str) -> int:
    """Return the limit that counts where 0 is no limit; `row` is the symbol's override or None."""
    value: int = 0 if row is None else getattr(row, column)
    if value == 0:
        return account
    return value if row.override == 1 or account == 0 else min(account, value)


def steps_of_microlots(microlots: int, instrument: Any) -> int:
    """Return the lot steps of so many microlots, at most the largest number."""
    steps: int = microlots * instrument.lot_scale // (PPM * instrument.lot_mantissa)
    return min(steps, INT64_MAX)


def micros(money: float) -> int:
    """Return money of a report in micros, to the nearest."""
    return round(money * MICROS)
