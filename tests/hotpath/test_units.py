"""Rounding against Python's unbounded integers, and the grid rules of prices and lots."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.hotpath.layout import packed_dtype
from server.hotpath.units import (
    DOWN,
    OFF_GRID,
    OUT_OF_RANGE,
    UP,
    add_nb,
    atr_ticks_nb,
    cost_nb,
    decimal_nb,
    interpolate_nb,
    lot_steps_nb,
    mul_div_nb,
    price_ticks_nb,
    steps_nb,
    volatility_micropoints_nb,
)

FAULT = packed_dtype(("fault", "<i8"))
INT64 = st.integers(-(2**63), 2**63 - 1)
EDGES = st.sampled_from([0, 1, -1, 10**6, 10**12, 2**62, -(2**62), 2**63 - 1, -(2**63)])


def fresh() -> np.void:
    state: np.void = np.zeros(1, FAULT)[0]
    return state


def exact(a: int, b: int, c: int, rounding: int) -> int | None:
    product = a * b
    quotient = product // c if rounding == DOWN else -(-product // c)
    return quotient if -(2**63) <= quotient < 2**63 else None


@settings(max_examples=3_000, deadline=None)
@given(
    INT64 | EDGES,
    INT64 | EDGES,
    st.integers(1, 2**63 - 1) | st.sampled_from([1, 10**6, 10**12]),
    st.booleans(),
)
def test_mul_div_when_any_int64_then_equals_the_whole_numbers(
    a: int, b: int, c: int, up: bool
) -> None:
    state = fresh()
    got = mul_div_nb(state, a, b, c, UP if up else DOWN)
    expected = exact(a, b, c, UP if up else DOWN)
    assert (got, int(state["fault"])) == ((0, 1) if expected is None else (expected, 0))


@pytest.mark.parametrize("divisor", [0, -1])
def test_mul_div_when_divisor_is_not_positive_then_fault(divisor: int) -> None:
    state = fresh()
    assert mul_div_nb(state, 1, 1, divisor, DOWN) == 0
    assert state["fault"] == 1


@given(INT64, INT64)
def test_add_when_sum_leaves_int64_then_fault(a: int, b: int) -> None:
    state = fresh()
    got = add_nb(state, a, b)
    fits = -(2**63) <= a + b < 2**63
    assert (got, int(state["fault"])) == ((a + b, 0) if fits else (0, 1))


@pytest.mark.parametrize(
    ("price", "tick", "ticks"),
    [
        (1.1, 1e-5, 110_000),
        (1.098, 1e-5, 109_800),
        (156.123, 0.001, 156_123),
        (2_345.67, 0.01, 234_567),
        (64_123.5, 0.1, 641_235),
        (1.100004, 1e-5, OFF_GRID),
        (1e308, 1e-5, OUT_OF_RANGE),
        (math.inf, 1e-5, OUT_OF_RANGE),
        (math.nan, 1e-5, OUT_OF_RANGE),
        (2.0**31, 1.0, 2**31),
        (2.0**31 + 1, 1.0, OUT_OF_RANGE),
    ],
)
def test_price_ticks_when_on_or_off_the_grid_then_ticks_or_refusal(
    price: float, tick: float, ticks: int
) -> None:
    assert price_ticks_nb(price, tick) == ticks


@pytest.mark.parametrize(
    ("atr", "tick", "ticks"),
    [(0.001, 1e-5, 100), (0.0010001, 1e-5, 101), (1e-9, 1e-5, 1), (0.0, 1e-5, OUT_OF_RANGE)],
)
def test_atr_ticks_when_between_ticks_then_taken_up(atr: float, tick: float, ticks: int) -> None:
    assert atr_ticks_nb(atr, tick) == ticks


@pytest.mark.parametrize(
    ("lots", "steps", "off"),
    [(0.32, 32, 0), (0.29, 29, 0), (0.015, 1, 1), (0.009, 0, 1), (1e9, OUT_OF_RANGE, 0)],
)
def test_lot_steps_when_not_a_whole_step_then_rounded_down(
    lots: float, steps: int, off: int
) -> None:
    assert lot_steps_nb(lots, 1, 100) == (steps, off)


@pytest.mark.parametrize("index", [-0.1, 100.1, math.nan, math.inf])
def test_volatility_when_outside_0_to_100_then_out_of_range(index: float) -> None:
    assert volatility_micropoints_nb(index) == OUT_OF_RANGE


@settings(max_examples=500, deadline=None)
@given(st.integers(0, 10**15), st.integers(1, 10**12))
def test_steps_when_bought_then_their_cost_fits_the_money(money: int, per_lot: int) -> None:
    state = fresh()
    steps = steps_nb(state, money, per_lot, 1, 100)
    assert cost_nb(state, steps, per_lot, 1, 100) <= money
    assert cost_nb(state, steps + 1, per_lot, 1, 100) > money
    assert state["fault"] == 0


def test_decimal_when_lots_then_the_nearest_double() -> None:
    assert [decimal_nb(steps, 1, 100) for steps in (29, 32, 35, 57)] == [0.29, 0.32, 0.35, 0.57]


@pytest.mark.parametrize(
    ("score", "ppm"),
    [
        (0, 500_000),
        (25, 750_000),
        (50, 1_000_000),
        (62.3, 1_000_000),
        (87.5, 1_350_000),
        (100, 1_500_000),
    ],
)
def test_interpolate_when_default_multiplier_then_the_seed_samples(score: float, ppm: int) -> None:
    knots = np.array([0, 50, 65, 87.5, 100]) * 1_000_000
    values = np.array([0.5, 1.0, 1.0, 1.35, 1.5]) * 1_000_000
    got = interpolate_nb(
        fresh(), int(score * 1_000_000), 5, knots.astype(np.int64), values.astype(np.int64), DOWN
    )
    assert got == ppm
