"""Random circuit breakers: every condition, action and scope; times short enough to run out."""

from typing import Any, Final

import numpy as np

from server.hotpath.layout import (
    BREAKER_EXCHANGES_MAX,
    CHANGE_BREAKER,
    CHANGE_BREAKER_RESET,
    SECOND_NS,
    words,
)
from tests.cases.markets import MARKETS
from tests.cases.names import ACCOUNT_NAMES, PROVIDERS, STRATEGIES, Mood
from tests.cases.programs import Program, random_program

Array = np.ndarray[Any, np.dtype[Any]]

CONSECUTIVE_LOSSES, VOLATILITY, EXPRESSION = 5, 6, 7
_BLOCK, _REDUCE_ONLY, _REDUCE_SIZE, _CLOSE, _ALERT = range(1, 6)
_COOLING_NS: Final = (0, 0, SECOND_NS // 10, SECOND_NS, 4 * SECOND_NS, 100 * SECOND_NS)
_HALF_OPEN_NS: Final = (0, 0, SECOND_NS // 10, 2 * SECOND_NS, 90 * SECOND_NS)


class BreakerMaker:
    """Makes rows of breakers; of a crowded account so many that not all are listed."""

    def __init__(self, rng: np.random.Generator, mood: Mood) -> None:
        self._rng = rng
        self._mood = mood
        self._each = 24 if mood.crowded else 7
        self._programs: dict[int, tuple[int, Program]] = {}
        self._retired: set[int] = set()
        self._made: set[int] = set()

    def initial(self) -> list[Array]:
        each = 12 if self._mood.crowded else 2
        return [self.row(index) for index in range(each * len(ACCOUNT_NAMES))]

    def next(self) -> Array:
        return self.row(int(self._rng.integers(self._each * len(ACCOUNT_NAMES))))

    def retire(self, rows: Array) -> None:
        """Note a deletion: a deleted id is not given out again."""
        name = bytes(rows["breaker_id"][0].tobytes()).rstrip(b"\0").decode()
        self._retired.add(int(name.split("-")[1]))

    def _one(self, *choices: int) -> int:
        return choices[int(self._rng.integers(len(choices)))]

    def row(self, index: int) -> Array:
        if index in self._retired:
            index = min(set(range(1_000)) - self._retired - {index}) + 1_000
        self._made.add(index)
        row, rng = np.zeros(1, CHANGE_BREAKER), self._rng
        owner = ACCOUNT_NAMES[index % len(ACCOUNT_NAMES)]
        row["breaker_id"] = words(f"breaker-{index}")
        row["name"] = words(f"the name of {index}")
        row["account_id"] = words("nobody" if rng.random() < 0.01 else owner)
        # The condition mostly stays: a change of it while tripped is the rare case.
        steady = 1 + (index * 3 + index // 7) % 7
        row["condition"] = steady if rng.random() < 0.93 else self._one(1, 2, 3, 4, 5, 6, 7)
        row["action"] = self._one(
            _BLOCK, _REDUCE_ONLY, _CLOSE, *(_REDUCE_SIZE,) * 5, *(_ALERT,) * 3
        )
        if not self._mood.breakers or (self._mood.crowded and rng.random() < 0.8):
            row["action"] = self._one(_REDUCE_SIZE, _ALERT)
        row["enabled"] = rng.random() < (0.95 if self._mood.crowded else 0.5)
        row["multiplier_ppm"] = self._one(0, 333_333, 500_000, 900_001, 10**6, 10**6)
        row["cooling_off_ns"] = self._one(*_COOLING_NS)
        row["half_open_ns"] = self._one(*_HALF_OPEN_NS)
        row["lock_after_trips"] = self._one(0, 0, 0, 0, 1, 2, 3)
        self._set_condition(row, index)
        self._set_scope(row)
        return row

    def _set_condition(self, row: Array, index: int) -> None:
        condition = int(row["condition"][0])
        row["threshold"] = self._one(0, 20_000, 60_000, 150_000)
        if condition == CONSECUTIVE_LOSSES:
            row["threshold"] = self._one(1, 2, 3)
        elif condition == VOLATILITY:
            row["threshold"] = self._one(50_000_000, 55_000_000, 75_000_000, 99_999_999)
            row["over_request"] = 1
        elif condition == EXPRESSION:
            self._set_program(row, index)

    def _set_program(self, row: Array, index: int) -> None:
        if index not in self._programs or self._rng.random() < 0.1:
            over_request = self._one(0, 1)
            written = random_program(self._rng, over_request=over_request == 1)
            self._programs[index] = over_request, written
        over_request, (steps, constants) = self._programs[index]
        row["threshold"] = 0
        row["over_request"] = over_request
        row["program_length"] = len(steps)
        row["program"][0, : len(steps)] = steps
        row["constants"][0, : len(constants)] = constants

    def _set_scope(self, row: Array) -> None:
        rng = self._rng
        if self._mood.crowded and rng.random() < 0.8:
            return
        row["symbol_count"] = self._one(0, 0, 0, 1, 2, 32)
        for number in range(int(row["symbol_count"][0])):
            symbol = MARKETS[int(rng.integers(len(MARKETS)))].symbol
            row["symbols"][0, 4 * number : 4 * number + 4] = words(symbol, 4)
        row["exchange_count"] = self._one(0, 0, 0, 1, BREAKER_EXCHANGES_MAX)
        for number in range(int(row["exchange_count"][0])):
            name = ("FX", "CRYPTO", f"EX-{number}")[0 if rng.random() < 0.6 else self._one(1, 2)]
            row["exchanges"][0, 4 * number : 4 * number + 4] = words(name, 4)
        row["provider_count"] = self._one(0, 0, 0, 1, 3, 8)
        for number in range(int(row["provider_count"][0])):
            name, kind = PROVIDERS[int(rng.integers(len(PROVIDERS)))]
            row["providers"][0, 9 * number : 9 * number + 8] = words(name)
            row["providers"][0, 9 * number + 8] = kind if rng.random() < 0.9 else 3 - kind
        row["strategy_count"] = self._one(0, 0, 0, 1, 3, 8)
        for number in range(int(row["strategy_count"][0])):
            name = STRATEGIES[int(rng.integers(len(STRATEGIES)))]
            row["strategies"][0, 8 * number : 8 * number + 8] = words(name)

    def reset(self, now: int) -> Array:
        """Return a person's reset of one breaker; seldom of one that is unknown."""
        row = np.zeros(1, CHANGE_BREAKER_RESET)
        numbers = sorted(self._made)
        number = numbers[int(self._rng.integers(len(numbers)))]
        row["breaker_id"] = words("unheard" if self._rng.random() < 0.02 else f"breaker-{number}")
        row["reset_at_ns"] = now - self._one(0, 0, 0, 1, SECOND_NS, 100 * SECOND_NS)
        return row
