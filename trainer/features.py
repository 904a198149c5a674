"""The inputs of the slippage model, in the order, units and float32 form that the manifest lists.

A fill knows its provider, symbol, side, size and time. What it does not know (ATR, volatility
index, distance of the stop as it was ordered) is -1, "absent", and the model may not depend on it:
the final stop of a recorded trade has often been trailed, so its distance would leak the outcome.
"""

from collections.abc import Sequence
from datetime import UTC
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trainer.encodings import Encodings
from trainer.rows import StopFill
from trainer.sessions import find_session

FEATURES: Final = (
    ("encoding_q50_pips", "pips"),
    ("encoding_q90_pips", "pips"),
    ("release_distance_minutes", "minutes"),
    ("hour_utc", "hour"),
    ("day_of_week", "iso_day"),
    ("session_code", "code"),
    ("atr_pips", "pips"),
    ("volatility_index", "index"),
    ("stop_distance_pips", "pips"),
    ("requested_lots", "lots"),
    ("side", "sign"),
)
OUTPUTS: Final = ("q50_pips", "q90_pips")
ABSENT: Final = -1.0
_HALF_HOUR_US: Final = 1_800_000_000
_MINUTE_US: Final = 60_000_000


def measure_release_distance(ts_us: int) -> float:
    """Return the minutes to the nearest :00 or :30, 0 to 15.

    Args:
        ts_us: Microseconds since 1970.
    """
    into = ts_us % _HALF_HOUR_US
    return min(into, _HALF_HOUR_US - into) / _MINUTE_US


def build_features(fills: Sequence[StopFill], pairs: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the model's inputs, shape (rows, 11), float32.

    Args:
        fills: The rows.
        pairs: Their encodings in pips, shape (rows, 2).
    """
    context = [
        (
            measure_release_distance(fill.ts_us),
            moment.hour,
            moment.isoweekday(),
            find_session(moment),
            ABSENT,
            ABSENT,
            ABSENT,
            fill.lots,
            1.0 if fill.side == "buy" else -1.0,
        )
        for fill in fills
        for moment in (fill.ts.astimezone(UTC),)
    ]
    matrix = np.array(context, dtype=np.float64).reshape(-1, len(FEATURES) - 2)
    return np.hstack([pairs, matrix]).astype(np.float32)


def build_features_from(fills: Sequence[StopFill], encodings: Encodings) -> NDArray[np.float32]:
    """Return the model's inputs with each row's encoding looked up; see `build_features`."""
    return build_features(fills, encodings.find_rows(fills))
