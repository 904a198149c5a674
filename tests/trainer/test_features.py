from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.sample_rows import make_fill
from trainer.encodings import fit_encodings
from trainer.features import FEATURES, build_features_from, measure_release_distance
from trainer.rows import EPOCH


@pytest.mark.parametrize(
    ("clock", "minutes"),
    [
        ("12:00:00", 0.0),
        ("12:30:00", 0.0),
        ("12:15:00", 15.0),
        ("12:29:30", 0.5),
        ("12:44:00", 14.0),
    ],
)
def test_release_distance_is_to_the_nearest_half_hour(clock: str, minutes: float) -> None:
    moment = datetime.fromisoformat(f"2024-05-06T{clock}+00:00")
    assert measure_release_distance((moment - EPOCH) // timedelta(microseconds=1)) == minutes


@given(st.integers(0, 2**52))
def test_release_distance_stays_within_a_quarter_hour(ts_us: int) -> None:
    assert 0 <= measure_release_distance(ts_us) <= 15


def test_a_row_has_every_feature_in_the_order_of_the_manifest() -> None:
    moment = datetime(2024, 3, 6, 13, 31, 30, tzinfo=UTC)  # a Wednesday, New York and London open
    fill = make_fill(slippage_pips=1.0, ts=moment, side="sell", lots=0.25)
    row = build_features_from([fill], fit_encodings([fill]))[0]
    names = [name for name, _unit in FEATURES]
    assert row.dtype == np.float32
    assert dict(zip(names, row.tolist(), strict=True)) == {
        "encoding_q50_pips": 1.0,
        "encoding_q90_pips": 1.0,
        "release_distance_minutes": 1.5,
        "hour_utc": 13.0,
        "day_of_week": 3.0,
        "session_code": 5.0,
        "atr_pips": -1.0,
        "volatility_index": -1.0,
        "stop_distance_pips": -1.0,
        "requested_lots": 0.25,
        "side": -1.0,
    }


def test_features_do_not_depend_on_the_timezone_a_time_is_written_in() -> None:
    moment = datetime(2024, 3, 6, 23, 10, tzinfo=UTC)
    elsewhere = moment.astimezone(timezone(timedelta(hours=5)))
    encodings = fit_encodings([make_fill()])
    rows = build_features_from([make_fill(ts=moment), make_fill(ts=elsewhere)], encodings)
    assert np.array_equal(rows[0], rows[1])


def test_features_never_see_the_slippage_of_their_own_row() -> None:
    encodings = fit_encodings([make_fill(number, 0.5) for number in range(20)])
    rows = build_features_from([make_fill(1, 0.0), make_fill(1, 40.0)], encodings)
    assert np.array_equal(rows[0], rows[1])


def test_the_feature_list_is_the_one_the_server_accepts() -> None:
    from server.hotpath.model_features import SLIPPAGE_FEATURES

    assert SLIPPAGE_FEATURES == FEATURES
