"""The inputs of the slippage model: names, units and order, as every manifest lists them.

All are float32. "-1 when absent" holds for the market and request inputs. Changing anything here
changes the contract with the trainer: artifacts that were made for another list are refused.
"""

from typing import Final

ENCODING_Q50: Final = 0
ENCODING_Q90: Final = 1
RELEASE_DISTANCE: Final = 2
HOUR: Final = 3
DAY_OF_WEEK: Final = 4
SESSION: Final = 5
ATR: Final = 6
VOLATILITY_INDEX: Final = 7
STOP_DISTANCE: Final = 8
REQUESTED_LOTS: Final = 9
SIDE: Final = 10

SLIPPAGE_FEATURES: Final[tuple[tuple[str, str], ...]] = (
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
SLIPPAGE_OUTPUTS: Final[tuple[str, ...]] = ("q50_pips", "q90_pips")
FEATURE_COUNT: Final = len(SLIPPAGE_FEATURES)
