"""Random well-formed programs of conditions: constants near what the variables are worth."""

from typing import Any, Final

import numpy as np

LOAD, CONSTANT, NEGATE = 1, 2, 3
ADD, SUBTRACT, MULTIPLY, DIVIDE = 4, 5, 6, 7
LESS, NOT_EQUAL, AND, OR, NOT, CHOOSE = 8, 13, 14, 15, 16, 17
STEPS_MAX, CONSTANTS_MAX, STACK_MAX = 64, 16, 16
FIRST_OVER_REQUEST: Final = 32

# Variable -> what it is often compared with. Equity and money: of any account.
_STATE: Final[dict[int, tuple[float, ...]]] = {
    0: (9_900.0, 250_000.0, 5e6, 1e12),
    1: (10_000.0, 251_000.0, 5e6),
    2: (0.0, 0.02, 0.06),
    3: (0.0, 0.005, 0.02),
    4: (0.0, 0.01, 0.04),
    5: (0.0, 0.03),
    6: (0.0, 1.0, 2.0, 3.0),
    7: (0.0, 50.0, 2_000.0),
    8: (0.0, 50.0, 2_000.0),
    9: (0.0, 11_000.0, 1e6),
    10: (0.0, 11_000.0, 1e6),
    11: (0.0, 1.0, 4.0, 9.0),
    12: (0.0, 1.0, 4.0, 7.0),
    13: (10_000.0, 250_000.0),
    14: (9_990.0, 250_000.0),
    15: (9_990.0, 5e6),
}
_REQUEST: Final[dict[int, tuple[float, ...]]] = {
    32: (1.1, 1.25, 150.0, 60_000.0),
    33: (0.1, 10.0, 25.0),
    34: (0.01, 0.12, 1.0, 20.0),
    36: (5.0, 9.0, 13.0, 90.0),
    37: (49.999999, 50.0, 62.0, 75.0),
    38: (33.333333, 50.0, 62.3, 87.5),
    39: (0.0, 0.1, 0.25, 1.0),
    40: (0.0, 1.0, 5.0, 60.0),
    41: (0.0, 3.0, 8.0, 23.0),
    42: (1.0, 5.0, 7.0),
    43: (0.5, 1.5, 12.0),
    44: (0.0, 0.3, 5.0),
    45: (-0.08, 0.0, 0.05, 1.0),
}
# What is unknown in many requests.
_UNSURE: Final = (33, 34, 36, 37, 39)
_BOOLEANS: Final = (35, 46)

Program = tuple[list[int], list[float]]


class _Writer:
    """Writes one program; numbers and truths come from `_number` and `_truth`."""

    def __init__(self, rng: np.random.Generator, *, over_request: bool) -> None:
        self.rng = rng
        self.typical = {**_STATE, **(_REQUEST if over_request else {})}
        self.variables = list(_REQUEST if over_request and rng.random() < 0.7 else self.typical)
        self.booleans = _BOOLEANS if over_request else ()
        self.steps: list[int] = []
        self.constants: list[float] = []

    def one(self, choices: Any) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def constant(self, value: float) -> None:
        if len(self.constants) < CONSTANTS_MAX:
            self.constants.append(value)
        self.steps.append(CONSTANT | (len(self.constants) - 1) << 8)

    def variable(self) -> int:
        unsure = self.booleans and self.rng.random() < 0.4
        number = int(self.one(_UNSURE if unsure else self.variables))
        self.steps.append(LOAD | number << 8)
        return number

    def number(self, depth: int) -> int:
        """Write a number and return a variable that it is about."""
        draw = self.rng.random()
        if depth <= 0 or draw < 0.55:
            return self.variable()
        if draw < 0.62:
            number = self.number(depth - 1)
            self.steps.append(NEGATE)
            return number
        if draw < 0.70:
            self.truth(depth - 1)
            number = self.number(depth - 2)
            self.number(depth - 2)
            self.steps.append(CHOOSE)
            return number
        number = self.number(depth - 1)
        if self.rng.random() < 0.5:
            self.constant(float(self.one((0.0, 0.5, 1.0, 2.0, -1.0, 1e308))))
        else:
            self.number(depth - 2)
        self.steps.append(self.one((ADD, SUBTRACT, MULTIPLY, DIVIDE)))
        return number

    def truth(self, depth: int) -> None:
        draw = self.rng.random()
        if self.booleans and draw < 0.08:
            self.steps.append(LOAD | self.one(self.booleans) << 8)
        elif depth <= 0 or draw < 0.55:
            self.constant(float(self.one(self.typical[self.number(depth - 1)])))
            self.steps.append(LESS + int(self.rng.integers(NOT_EQUAL - LESS + 1)))
        elif draw < 0.85:
            self.truth(depth - 1)
            self.truth(depth - 1)
            self.steps.append(self.one((AND, OR)))
        elif draw < 0.93:
            self.truth(depth - 1)
            self.steps.append(NOT)
        else:
            for _part in range(3):
                self.truth(depth - 2)
            self.steps.append(CHOOSE)


def _stack_needed(steps: list[int]) -> int:
    size = most = 0
    for step in steps:
        operation = step & 255
        size += {LOAD: 1, CONSTANT: 1, NEGATE: 0, NOT: 0, CHOOSE: -2}.get(operation, -1)
        most = max(most, size)
    return most


def random_program(rng: np.random.Generator, *, over_request: bool) -> Program:
    """Return steps and constants of a condition."""
    depth = int(rng.integers(0, 5))
    while True:
        writer = _Writer(rng, over_request=over_request)
        writer.truth(depth)
        steps = writer.steps
        if len(steps) <= STEPS_MAX and _stack_needed(steps) <= STACK_MAX:
            return steps, writer.constants
