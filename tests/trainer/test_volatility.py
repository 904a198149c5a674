import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.errors import NotEnoughDataError
from trainer.volatility import measure_atr, measure_volatility_index

positive = st.floats(1e-6, 1e6)


def test_atr_follows_wilder_by_hand() -> None:
    high, low, close = [10.0, 11.0, 13.0, 12.0], [8.0, 9.0, 10.0, 9.0], [9.0, 10.0, 12.0, 9.5]
    # True ranges 2, 2, 3 and 3; the mean of the first two is 2, then (2 + 3)/2 and (2.5 + 3)/2.
    atr = measure_atr(high, low, close, bars=2)
    assert np.isnan(atr[0])
    assert atr[1:].tolist() == [2.0, 2.5, 2.75]


def test_atr_counts_a_gap_from_the_previous_close() -> None:
    atr = measure_atr([10.0, 20.0], [9.0, 19.0], [9.5, 19.5], bars=2)
    assert atr[1] == pytest.approx((1.0 + 10.5) / 2)


def test_atr_refuses_too_few_bars() -> None:
    with pytest.raises(NotEnoughDataError):
        measure_atr([1.0], [1.0], [1.0])


@given(positive, positive, positive, positive, st.floats(1.0, 100.0))
def test_index_is_bounded_and_grows_with_atr(
    atr: float, usual: float, deviation: float, usual_deviation: float, factor: float
) -> None:
    calm = measure_volatility_index(atr, usual, deviation, usual_deviation)
    wild = measure_volatility_index(atr * factor, usual, deviation, usual_deviation)
    assert 0 <= calm <= wild <= 100


def test_index_is_fifty_when_the_market_is_as_usual() -> None:
    assert measure_volatility_index(2.0, 2.0, 0.1, 0.1) == pytest.approx(50.0)
