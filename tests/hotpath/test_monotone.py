"""What must never turn the wrong way: scores, sizes, buffers, risk (S0-41, S0-44 to S0-49)."""

from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.engine import Engine
from server.hotpath.layout import MICROS, NOT_SET, PPM, packed_dtype
from server.hotpath.reasons import R_MAX_LOT, R_PROVIDER_SCORE_LOW, S_CUT, S_DENY
from server.hotpath.scores import score_micropoints_nb
from server.policy import default_policy_row
from tests.desk import NOW_NS, SMALL, Desk

DENY = 3
EXAMPLES = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)
RATIOS = st.integers(0, PPM)
ENTRY_TICKS = 110_000


@lru_cache(maxsize=1)
def _engine() -> Engine:
    return Engine(SMALL, started_at_ns=NOW_NS)


def _desk(**settings_: Any) -> Desk:
    return Desk(_engine(), **settings_)


def _price(ticks: int) -> float:
    return ticks / 100_000


def _score(*figures: int) -> int:
    fault = np.zeros(1, packed_dtype(("fault", "<i8")))[0]
    policy = default_policy_row()[0]
    return int(score_micropoints_nb(fault, policy, *figures))


# --- S0-41 --------------------------------------------------------------------------------------

FIGURES = st.tuples(
    RATIOS, st.integers(0, 2 * PPM), st.integers(0, 6 * PPM), RATIOS, st.integers(-1, 1)
)


@EXAMPLES
@given(figures=FIGURES, other=FIGURES, position=st.integers(0, 4))
def test_score_is_monotone_in_each_figure(
    figures: tuple[int, ...], other: tuple[int, ...], position: int
) -> None:
    moved = list(figures)
    moved[position] = other[position]
    low, high = sorted([list(figures), moved], key=lambda row: row[position])
    if position == 1:  # more drawdown is worse
        low, high = high, low
    assert 0 <= _score(*low) <= _score(*high) <= 100 * MICROS


def test_score_weights_sum_to_one_and_reach_both_ends() -> None:
    assert int(default_policy_row()["score_weights_ppm"].sum()) == PPM
    assert _score(PPM, 0, 3 * PPM, PPM, 1) == 100 * MICROS
    assert _score(0, PPM, 0, 0, -1) == 0


def test_provider_without_stops_is_neutral_in_compliance() -> None:
    assert _score(0, PPM, 0, NOT_SET, -1) == _score(0, PPM, 0, PPM // 2, -1)


# --- S0-44: never more risk than allowed, rounding included -------------------------------------


@EXAMPLES
@given(
    equity=st.integers(1, 10**12),
    risk_ppm=st.integers(0, 20 * PPM // 100),
    score=st.integers(0, 100 * MICROS),
    distance=st.integers(1, 50_000),
    atr=st.integers(1, 2_000),
    slippage=st.integers(0, 30 * MICROS),
    commission=st.integers(0, 50 * MICROS),
    lot_scale=st.sampled_from([1, 10, 100, 1_000]),
    tick_value=st.integers(1, 10**15),
)
def test_risk_of_the_size_is_within_the_risk_money(  # noqa: PLR0913, PLR0917 - what sizes depend on
    equity: int,
    risk_ppm: int,
    score: int,
    distance: int,
    atr: int,
    slippage: int,
    commission: int,
    lot_scale: int,
    tick_value: int,
) -> None:
    desk = _desk(
        equity=equity,
        score=score / MICROS,
        risk_per_trade_ppm=risk_ppm,
        instrument={
            "lot_scale": lot_scale,
            "tick_value_picos": tick_value,
            "default_slippage_micropips": slippage,
            "commission_per_lot_micros": commission,
        },
    )
    answer = desk.decide(
        "buy", _price(ENTRY_TICKS), _price(ENTRY_TICKS - distance), atr=_price(atr)
    )
    steps = int(answer["lot_steps"])
    # In exact whole numbers, independent of the engine: what the order can lose, against what it
    # may lose.
    ticks = distance + int(answer["buffer_ticks"]) + int(answer["slippage_ticks"])
    loss_picos = steps * (ticks * tick_value + commission * MICROS)
    base_picos = equity * MICROS * risk_ppm
    assert loss_picos <= lot_scale * base_picos * int(answer["multiplier_ppm"]) // PPM
    assert int(answer["multiplier_ppm"]) <= 1_500_000
    assert (steps == 0) == (answer["verdict"] == DENY)


# --- S0-45 --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("score", "ppm"),
    [(0.0, 500_000), (50.0, PPM), (62.3, PPM), (65.0, PPM), (87.5, 1_350_000), (100.0, 1_500_000)],
)
def test_multiplier_at_the_knots(score: float, ppm: int) -> None:
    answer = _desk(score=score).decide("buy", 1.1, 1.098, atr=0.001)
    assert answer["multiplier_ppm"] == ppm


@EXAMPLES
@given(scores=st.tuples(st.integers(0, 100 * MICROS), st.integers(0, 100 * MICROS)))
def test_better_score_never_lowers_multiplier_or_lot(scores: tuple[int, int]) -> None:
    answers = []
    for score in sorted(scores):
        desk = _desk(score=score / MICROS, instrument={"default_slippage_micropips": 3 * MICROS})
        answers.append(desk.decide("buy", 1.1, 1.098, atr=0.001))
    worse, better = answers
    assert 500_000 <= worse["multiplier_ppm"] <= better["multiplier_ppm"] <= 1_500_000
    assert worse["lot_steps"] <= better["lot_steps"]
    assert worse["buffer_ticks"] >= better["buffer_ticks"]


# --- S0-46 --------------------------------------------------------------------------------------


@EXAMPLES
@given(
    slippages=st.tuples(st.integers(0, 60 * MICROS), st.integers(0, 60 * MICROS)),
    distance=st.integers(1, 2_000),
)
def test_more_slippage_never_raises_the_lot(slippages: tuple[int, int], distance: int) -> None:
    sizes, buffers = [], []
    for slippage in sorted(slippages):
        desk = _desk(instrument={"default_slippage_micropips": slippage})
        answer = desk.decide("buy", 1.1, _price(ENTRY_TICKS - distance), atr=0.001)
        sizes.append(int(answer["lot_steps"]))
        buffers.append(int(answer["buffer_ticks"]))
    assert sizes[0] >= sizes[1]
    assert buffers[0] <= buffers[1]


# --- S0-47 --------------------------------------------------------------------------------------


@EXAMPLES
@given(least=st.integers(1, 60), room=st.integers(0, 60), asked=st.integers(1, 200))
def test_smallest_and_largest_lot(least: int, room: int, asked: int) -> None:
    most = least + room
    desk = _desk(instrument={"min_lot_steps": least, "max_lot_steps": most})
    answer = desk.decide("buy", 1.1, 1.098, atr=0.001, lots=asked / 100)
    steps = int(answer["lot_steps"])
    fitting = min(asked, most, 24)  # 0.24 lots is what the risk money pays for
    assert steps == (fitting if fitting >= least else 0)
    assert steps == 0 or least <= steps <= most
    assert (answer["verdict"] == DENY) == (fitting < least)
    if asked > most:
        assert answer["status"][R_MAX_LOT] == S_CUT


# --- S0-48 --------------------------------------------------------------------------------------


@EXAMPLES
@given(
    side=st.sampled_from(["buy", "sell"]),
    distance=st.integers(1, 5_000),
    atr=st.integers(1, 5_000),
    slippage=st.integers(0, 40 * MICROS),
    score=st.integers(0, 100),
)
def test_buffer_lies_behind_the_stop(
    side: str, distance: int, atr: int, slippage: int, score: int
) -> None:
    sign = 1 if side == "buy" else -1
    desk = _desk(score=score, instrument={"default_slippage_micropips": slippage})
    stop = ENTRY_TICKS - sign * distance
    answer = desk.decide(side, _price(ENTRY_TICKS), _price(stop), atr=_price(atr))
    buffer = int(answer["buffer_ticks"])
    assert buffer >= 0
    assert answer["sl_buffer_pips"] == buffer / 10
    assert answer["stop_ticks"] == stop - sign * buffer
    assert sign * (answer["stop_price"] - _price(stop)) <= 0
    # The loss that sizes the order runs to the buffered stop, and the slippage of the fill beyond
    # it.
    ticks = abs(ENTRY_TICKS - int(answer["stop_ticks"])) + int(answer["slippage_ticks"])
    assert answer["loss_per_lot_micros"] == ticks * MICROS


# --- S0-49 --------------------------------------------------------------------------------------


@EXAMPLES
@given(score=st.integers(0, 100 * MICROS), least=st.integers(0, 100 * MICROS))
def test_score_below_the_minimum_is_denied_with_its_code(score: int, least: int) -> None:
    desk = _desk(score=score / MICROS, min_provider_score_micropoints=least)
    answer = desk.decide("buy", 1.1, 1.098, atr=0.001)
    assert (answer["status"][R_PROVIDER_SCORE_LOW] == S_DENY) == (score < least)
    if score < least:
        assert answer["verdict"] == DENY
        assert answer["binding"] == R_PROVIDER_SCORE_LOW + 1
