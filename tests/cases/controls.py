"""Random controls on orders: limits of configurations, of instruments, hours, kills, strategies."""

from typing import Any, Final

import numpy as np

from server.hotpath.layout import (
    CHANGE_KILL,
    CHANGE_STRATEGY,
    CHANGE_WINDOW,
    MILLISECOND_NS,
    SECOND_NS,
    words,
)
from tests.cases.markets import MARKETS
from tests.cases.names import (
    ACCOUNT_NAMES,
    HOURS_ZONES,
    IDENTITIES,
    PROVIDERS,
    STRATEGIES,
    Mood,
)

Array = np.ndarray[Any, np.dtype[Any]]

HOUR_NS: Final = 3_600 * SECOND_NS
WEEK_MINUTES: Final = 10_080
_KILLS_LATEST: Final = 6


class ControlMaker:
    """Makes the columns and rows that control orders."""

    def __init__(self, rng: np.random.Generator, mood: Mood) -> None:
        self._rng = rng
        self._mood = mood
        self._killed: list[Array] = []

    def _one(self, *choices: int) -> int:
        return choices[int(self._rng.integers(len(choices)))]

    def _seldom(self, share: float, *choices: int) -> int:
        """Return a limit in so many of all cases, else 0."""
        if self._rng.random() >= share:
            return 0
        if self._mood.extreme and self._rng.random() < 0.2:
            return self._one(1, 2**62)
        return max(1, self._one(*choices) + self._one(-1, 0, 1))

    # --- Limits of a configuration --------------------------------------------------------------

    def fill_limits(self, row: Any, whole_micros: int, lot_microlots: int) -> None:
        """Set the limits that a symbol's override may have too."""
        row["restricted"] = self._rng.random() < 0.05
        if not self._mood.orders:
            return
        row["max_order_value_micros"] = self._seldom(
            0.2, whole_micros // 10, whole_micros, 3 * whole_micros
        )
        for name in ("max_order_microlots", "max_long_microlots", "max_short_microlots"):
            row[name] = self._seldom(0.2, *(steps * lot_microlots for steps in (3, 12, 33, 200)))

    def fill_flow(self, row: Any, whole_micros: int) -> None:
        """Set the limits that only an account has."""
        if not self._mood.flow:
            return
        row["max_notional_micros"] = self._seldom(
            0.2, whole_micros // 2, 2 * whole_micros, 9 * whole_micros
        )
        row["max_strategy_notional_micros"] = self._seldom(
            0.2, whole_micros // 2, 2 * whole_micros, 5 * whole_micros
        )
        if self._rng.random() < 0.25:
            row["message_limit"] = self._one(1, 2, 5, 20, 7_000)
            row["message_window_ns"] = self._one(
                1_000, 100 * MILLISECOND_NS, SECOND_NS, 10 * SECOND_NS + 1
            )
        if self._rng.random() < 0.25:
            row["repeat_limit"] = self._one(1, 3, 10, 20)
            row["repeat_window_ns"] = self._one(0, 300 * MILLISECOND_NS, 10 * SECOND_NS)
        row["duplicate_window_ns"] = self._seldom(
            0.3, 30 * MILLISECOND_NS, 300 * MILLISECOND_NS, 3 * SECOND_NS, 60 * SECOND_NS
        )

    # --- Limits of an instrument ----------------------------------------------------------------

    def fill_instrument(self, row: Array) -> None:
        rng = self._rng
        row["restricted"] = rng.random() < 0.03
        if self._mood.collars:
            row["collar_ppm"] = self._one(0, 0, 0, 100, 300, 1_000, 50_000)
            row["collar_window_ppm"] = self._one(0, 0, 0, 150, 400, 2_000)
            row["collar_window_ns"] = self._one(0, 1, SECOND_NS, 20 * SECOND_NS, HOUR_NS)
        if self._mood.hours and rng.random() < 0.4:
            self._fill_hours(row)

    def _fill_hours(self, row: Array) -> None:
        zone = self._one(0, 0, 0, 0, 1, 1, 1, 1, 2, 3)
        row["hours_timezone"] = words((*HOURS_ZONES, "Asia/Tokyo")[zone], 4)
        count = self._one(1, 2, 14)
        row["hours_count"] = count
        # Open for two thirds of each interval, from full hour to full hour.
        length = WEEK_MINUTES // count
        for index in range(count):
            start = index * length + 60 * self._one(0, 1, 2)
            row["hours_open_minute"][0, index] = start
            row["hours_close_minute"][0, index] = min(
                start + 60 * max(1, length // 90 + self._one(0, 1)), (index + 1) * length
            )

    def hours_window(self, index: int, now: int) -> Array:
        """Return a real day of a time zone: of 23, 24 or 25 hours, of any weekday."""
        row, rng = np.zeros(1, CHANGE_WINDOW), self._rng
        row["timezone"] = words(HOURS_ZONES[index], 4)
        length = HOUR_NS * self._one(23, 24, 24, 25)
        passed = HOUR_NS * int(rng.integers(0, length // HOUR_NS))
        edge = self._one(0, 0, 1, 59 * SECOND_NS, 30 * 60 * SECOND_NS)
        start = now - passed - edge
        row["day_start_ns"] = start
        if rng.random() < 0.9:
            row["day_next_ns"] = start + length
        weekday = self._one(0, 1, 2, 3, 4, 5, 6)
        row["week_start_ns"] = start - 24 * HOUR_NS * weekday + HOUR_NS * self._one(-1, 0, 0, 0, 1)
        row["week_next_ns"] = row["week_start_ns"] + 168 * HOUR_NS
        row["month_start_ns"] = start - 24 * HOUR_NS * 9
        if rng.random() < 0.05:
            row[("day_start_ns", "week_start_ns")[self._one(0, 1)]] = 0
        return row

    # --- Kill switch and strategies -------------------------------------------------------------

    def kill(self, now: int) -> Array:
        """Return a kill, or the re-arming of one that was given lately."""
        rng = self._rng
        if self._killed and (len(self._killed) >= _KILLS_LATEST or rng.random() < 0.7):
            row = self._killed.pop(int(rng.integers(len(self._killed))))
            row["new_risk_rearmed_at_ns"] = row["new_risk_killed_at_ns"] + self._one(0, 1)
            row["all_rearmed_at_ns"] = row["all_killed_at_ns"] + self._one(0, 1)
            return row
        scope = self._one(2, 3, 4, 5, 6) if rng.random() < 0.94 else self._one(0, 1, 1, 1, 7, -1)
        row = np.zeros(1, CHANGE_KILL)
        row["scope"] = scope
        names: dict[int, tuple[str, ...]] = {
            2: ACCOUNT_NAMES,
            3: IDENTITIES,
            5: tuple(market.symbol for market in MARKETS),
            6: STRATEGIES,
        }
        if scope == 4:
            name, kind = PROVIDERS[int(rng.integers(len(PROVIDERS)))]
            row["name"], row["provider_type"] = words(name), kind
        elif scope in names:
            row["name"] = words(names[scope][int(rng.integers(len(names[scope])))])
        which = self._one(1, 1, 1, 2, 3)
        if which & 1:
            row["new_risk_killed_at_ns"] = now - self._one(0, 1, SECOND_NS)
        if which & 2:
            row["all_killed_at_ns"] = now - self._one(0, 1, SECOND_NS)
        self._killed.append(row)
        return row.copy()

    def strategy(self, now: int) -> Array:
        """Return a person's leave for a strategy to go on."""
        row, rng = np.zeros(1, CHANGE_STRATEGY), self._rng
        name = ACCOUNT_NAMES[int(rng.integers(len(ACCOUNT_NAMES)))]
        row["account_id"] = words("nobody" if rng.random() < 0.01 else name)
        row["strategy_id"] = words(STRATEGIES[int(rng.integers(len(STRATEGIES)))])
        row["enabled_at_ns"] = now - self._one(0, 0, 0, 1, SECOND_NS)
        return row
