"""The numbers of a change that compiled code takes at its word: counts, scopes, times, programs.

Behind the ring nothing checks any more: an index that is wrong would read or write elsewhere.
"""

from typing import Any, Final

import numpy as np

from server.hotpath.change_kinds import (
    BREAKER,
    INSTRUMENT,
    KILL,
    POLICY,
    RISK_CONFIGURATION,
)
from server.hotpath.condition_codes import (
    CONSTANT,
    FIRST_OVER_REQUEST,
    LOAD,
    STACK_MAX,
    TAKEN,
    VARIABLE_NAMES,
)
from server.hotpath.kills import KILL_GLOBAL, KILL_STRATEGY
from server.hotpath.layout import (
    BREAKER_EXCHANGES_MAX,
    BREAKER_PROVIDERS_MAX,
    BREAKER_STRATEGIES_MAX,
    BREAKER_SYMBOLS_MAX,
    KNOTS_MAX,
    PPM,
    PROGRAM_CONSTANTS_MAX,
    PROGRAM_STEPS_MAX,
    REGIMES_MAX,
    TRADING_HOURS_MAX,
)
from server.hotpath.programs import EXPRESSION

Rows = np.ndarray[Any, np.dtype[Any]]

# Added to the time of the engine, so it must leave room up to 2^63: 146 years.
_DURATION_NS_MAX: Final = 2**62
# Kind -> column, smallest and largest value.
_RANGES: Final[dict[int, tuple[tuple[str, int, int], ...]]] = {
    INSTRUMENT: (("hours_count", 0, TRADING_HOURS_MAX),),
    RISK_CONFIGURATION: (
        ("regime_count", 0, REGIMES_MAX),
        *(
            (column, 0, _DURATION_NS_MAX)
            for column in (
                "cooling_off_ns", "message_window_ns", "repeat_window_ns", "duplicate_window_ns",
            )
        ),
    ),
    BREAKER: (
        ("symbol_count", 0, BREAKER_SYMBOLS_MAX),
        ("exchange_count", 0, BREAKER_EXCHANGES_MAX),
        ("provider_count", 0, BREAKER_PROVIDERS_MAX),
        ("strategy_count", 0, BREAKER_STRATEGIES_MAX),
        ("enabled", 0, 1),
        ("over_request", 0, 1),
        ("multiplier_ppm", 0, PPM),
        ("cooling_off_ns", 0, _DURATION_NS_MAX),
        ("half_open_ns", 0, _DURATION_NS_MAX),
        ("program_length", 0, PROGRAM_STEPS_MAX),
    ),
    POLICY: (("multiplier_count", 0, KNOTS_MAX), ("quality_count", 0, KNOTS_MAX)),
    KILL: (("scope", KILL_GLOBAL, KILL_STRATEGY), ("provider_type", 0, 2)),
}  # fmt: skip


class MalformedChangeError(ValueError):
    """A change must not reach the engine; the text says what is wrong with it."""


def check_numbers(kind: int, rows: Rows) -> None:
    """Refuse rows of a kind whose numbers lead out of their tables.

    Raises:
        MalformedChangeError: Names the column, or says what is wrong with a program.
    """
    for column, smallest, largest in _RANGES.get(kind, ()):
        numbers = rows[column]
        if not ((numbers >= smallest) & (numbers <= largest)).all():
            raise MalformedChangeError(f"{column} is outside {smallest} to {largest}")
    if kind == BREAKER:
        for row in rows:
            if row["condition"] == EXPRESSION or row["program_length"]:
                _check_program(row)


def _check_program(row: Any) -> None:
    """Refuse a program that would leave its stack, its constants or its variables."""
    depth = 0
    for step in row["program"][: row["program_length"]].tolist():
        operation, operand = step & 0xFF, step >> 8
        if operation not in TAKEN:
            raise MalformedChangeError(f"the program has no operation {operation}")
        if operation == LOAD:
            _check_variable(operand, over_request=bool(row["over_request"]))
        elif not 0 <= operand < (PROGRAM_CONSTANTS_MAX if operation == CONSTANT else 1):
            raise MalformedChangeError(f"operand {operand} of the program does not exist")
        if depth < TAKEN[operation]:
            raise MalformedChangeError("the program takes more than its stack holds")
        depth += 1 - TAKEN[operation]
        if depth > STACK_MAX:
            raise MalformedChangeError(f"the program stacks more than {STACK_MAX} numbers")
    if depth != 1:
        raise MalformedChangeError(f"the program leaves {depth} numbers, not one")


def _check_variable(number: int, *, over_request: bool) -> None:
    if number not in VARIABLE_NAMES:
        raise MalformedChangeError(f"variable {number} does not exist")
    if number >= FIRST_OVER_REQUEST and not over_request:
        # When the account's state is judged there is no request, only what is left of the last.
        raise MalformedChangeError(f"variable {number} is of the request, the breaker is not")
