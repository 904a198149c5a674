"""Sizes worked by hand, asked of the engine and of its twin."""

from collections.abc import Callable
from typing import Any

import pytest

from server.engine import Engine
from server.hotpath.reasons import R_ARITHMETIC_RANGE, R_MAX_LOT, S_CUT, S_DENY
from tests.desk import NOW_NS, SMALL, Desk
from tests.reference import Reference

ALLOW, REDUCE, DENY = 1, 2, 3
Subject = Engine | Reference


@pytest.fixture(params=["engine", "twin"])
def subject(request: pytest.FixtureRequest) -> Subject:
    kinds: dict[str, Callable[[], Subject]] = {
        "engine": lambda: Engine(SMALL, started_at_ns=NOW_NS),
        "twin": lambda: Reference(SMALL, started_at_ns=NOW_NS),
    }
    return kinds[request.param]()


def _cost(answer: Any) -> tuple[float, float]:
    return float(answer["lot_size"]), float(answer["sl_buffer_pips"])


# Risk money 10,000 · 0.5 % = 50 USD, times 1.35 at score 87.5 (knot), 1 at 62.3 (between 50 and
# 65) and at 50. D = 0.00200 / 0.00001 = 200 ticks. ATR = 100 ticks, B = 0.05 · 100 = 5 ticks = 0.5
# pip. S = 0. Loss per lot (200 + 5) · 1 USD = 205. 67.5 / 205 = 0.3292..., 50 / 205 = 0.2439...
@pytest.mark.parametrize(("score", "lots"), [(87.5, 0.32), (62.3, 0.24), (50.0, 0.24)])
def test_eurusd(subject: Subject, score: float, lots: float) -> None:
    answer = Desk(subject, score=score).decide("buy", 1.1, 1.098, atr=0.001)
    assert _cost(answer) == (lots, 0.5)
    assert answer["verdict"] == ALLOW
    assert answer["stop_price"] == 1.09795


# A sell has its stop above, and the buffer goes above that. The same sizes.
def test_eurusd_sold(subject: Subject) -> None:
    answer = Desk(subject, score=87.5).decide("sell", 1.1, 1.102, atr=0.001)
    assert _cost(answer) == (0.32, 0.5)
    assert answer["stop_price"] == 1.10205


USDJPY = {"symbol": "USDJPY", "quote": "JPY", "tick_scale": 1_000, "tick_value_picos": 10**14,
          "tick_notional_picos": 10**14}  # fmt: skip


# D = 500 ticks, B = 0.05 · 400 = 20 ticks. 520 ticks · 100 JPY = 52,000 JPY · 0.0066667 = 346.6684
# USD per lot. 50 / 346.6684 = 0.1442..., 67.5 / 346.6684 = 0.1947...
@pytest.mark.parametrize(("score", "lots"), [(50.0, 0.14), (87.5, 0.19)])
def test_usdjpy_is_converted(subject: Subject, score: float, lots: float) -> None:
    desk = Desk(subject, instrument=USDJPY, score=score)
    desk.put_rate("JPY", "USD", 6_666_700_000)
    answer = desk.decide("buy", 150.0, 149.5, atr=0.4)
    assert _cost(answer) == (lots, 2.0)
    assert answer["loss_per_lot_micros"] == 346_668_400


# 100 ounces: a tick of 0.01 is 1 USD. D = 1,000. S = 0.5 pip = 5 ticks. Quality is 0.75 at score
# 87.5: B = ceil(5 · 0.75 + 0.05 · 1,500) = ceil(78.75) = 79. Loss per lot 1,000 + 79 + 5 = 1,084
# USD, 7 commission: 1,091. Equity 200,000 · 0.5 % · 1.35 = 1,350. 1,350 / 1,091 = 1.2373...
def test_xauusd_with_slippage_and_commission(subject: Subject) -> None:
    gold = {
        "symbol": "XAUUSD",
        "tick_scale": 100,
        "default_slippage_micropips": 500_000,
        "commission_per_lot_micros": 7_000_000,
    }
    answer = Desk(subject, instrument=gold, equity=200_000, score=87.5).decide(
        "buy", 2000.0, 1990.0, atr=15.0
    )
    assert _cost(answer) == (1.23, 7.9)
    assert answer["loss_per_lot_micros"] == 1_091_000_000
    assert answer["stop_price"] == 1989.21


# Tick 0.1, worth 0.1 USDT per coin. D = 12,000, B = 0.05 · 9,000 = 450. 12,450 · 0.1 = 1,245 USDT.
# 1 USDT = 1.0002 USD: 1,245.249 USD. 50 / 1,245.249 = 0.0401..., in thousandths 0.040.
def test_btcusdt_has_small_lots(subject: Subject) -> None:
    coin = {"symbol": "BTCUSDT", "quote": "USDT", "tick_scale": 10, "tick_value_picos": 10**11,
            "tick_notional_picos": 10**11, "lot_scale": 1_000}  # fmt: skip
    desk = Desk(subject, instrument=coin)
    desk.put_rate("USDT", "USD", 1_000_200_000_000)
    answer = desk.decide("buy", 60_000.0, 58_800.0, atr=900.0)
    assert _cost(answer) == (0.04, 45.0)
    assert answer["loss_per_lot_micros"] == 1_245_249_000


# Risk money 50 EUR. 205 USD per lot · 0.92 = 188.6 EUR. 50 / 188.6 = 0.2651..., 67.5 / 188.6 =
# 0.3578...
@pytest.mark.parametrize(("score", "lots"), [(50.0, 0.26), (87.5, 0.35)])
def test_account_in_euro(subject: Subject, score: float, lots: float) -> None:
    desk = Desk(subject, currency="EUR", score=score)
    desk.put_rate("USD", "EUR", 920_000_000_000)
    answer = desk.decide("buy", 1.1, 1.098, atr=0.001)
    assert _cost(answer) == (lots, 0.5)
    assert answer["loss_per_lot_micros"] == 188_600_000


# 10^12 · 0.5 % = 5·10^9 USD. D = 2,000, B = 5: 2,005 USD per lot. 5·10^9 / 2,005 = 2,493,765.586...
# At score 87.5: 6.75·10^9 / 2,005 = 3,366,583.541...
@pytest.mark.parametrize(("score", "lots"), [(50.0, 2_493_765.58), (87.5, 3_366_583.54)])
def test_equity_of_a_million_millions(subject: Subject, score: float, lots: float) -> None:
    answer = Desk(subject, equity=10**12, score=score).decide("buy", 1.1, 1.08, atr=0.001)
    assert _cost(answer) == (lots, 0.5)
    assert answer["verdict"] == ALLOW


# 100 times 10^12 of leverage is more money than 64 bits hold in millionths. No order can reach
# such a limit, so it must not deny either: the limit counts as the largest number there is.
def test_limits_beyond_all_money_do_not_deny(subject: Subject) -> None:
    wide = 10_000_000_000
    desk = Desk(
        subject,
        equity=10**12,
        max_leverage_ppm=wide,
        max_position_size_ppm=wide,
        max_correlated_exposure_ppm=wide,
        daily_max_drawdown_ppm=1_000_000,
    )
    answer = desk.decide("buy", 1.1, 1.08, atr=0.001)
    assert answer["status"][R_ARITHMETIC_RANGE] != S_DENY
    assert _cost(answer) == (2_493_765.58, 0.5)


# D = 200: 5·10^9 / 205 = 24,390,243.9 lots, more than the instrument's 10^7 (10^9 steps).
def test_largest_lot_of_the_instrument_cuts(subject: Subject) -> None:
    answer = Desk(subject, equity=10**12).decide("buy", 1.1, 1.098, atr=0.001)
    assert answer["lot_size"] == 10_000_000.0
    assert answer["verdict"] == REDUCE
    assert answer["status"][R_MAX_LOT] == S_CUT
    assert answer["binding"] == R_MAX_LOT + 1


# 100 USD · 0.5 % = 0.50 USD. 0.5 / 205 = 0.0024 lots: below 0.01, never rounded up.
def test_below_the_smallest_lot_is_denied(subject: Subject) -> None:
    answer = Desk(subject, equity=100).decide("buy", 1.1, 1.098, atr=0.001)
    assert answer["verdict"] == DENY
    assert answer["lot_size"] == 0.0
    assert answer["largest_passing_lots"] == 0.0


# Used notional 0; 10,000 · 2 = 20,000 USD / 110,000 per lot = 0.1818...; asked for 0.24.
def test_leverage_cuts_to_the_step(subject: Subject) -> None:
    desk = Desk(subject, max_leverage_ppm=2_000_000)
    answer = desk.decide("buy", 1.1, 1.098, atr=0.001, lots=0.24)
    assert answer["verdict"] == REDUCE
    assert answer["lot_size"] == 0.18
    assert answer["largest_passing_lots"] == 0.18


# The day may lose 1 % = 100 USD; the first order of 0.24 holds 49.20, the second may risk 50.80 /
# 205 = 0.247... lots, the third 1.60 / 205 = 0.0078: below the smallest lot.
def test_holds_use_up_the_loss_budget(subject: Subject) -> None:
    desk = Desk(subject, daily_max_drawdown_ppm=10_000)
    sizes = [
        float(desk.decide("buy", 1.1, 1.098, atr=0.001, dry_run=False)["lot_size"])
        for _ in range(3)
    ]
    assert sizes == [0.24, 0.24, 0.0]
