"""Numbers of a change that would lead compiled code out of its tables are refused by name."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.change_numbers import MalformedChangeError, check_numbers
from server.conditions import compile_condition
from server.errors import InvalidFieldError
from server.hotpath.change_kinds import BREAKER, INSTRUMENT, KILL, RISK_CONFIGURATION
from server.hotpath.condition_codes import ADD, CHOOSE, CONSTANT, LOAD, NOT, TAKEN, VARIABLES
from server.hotpath.layout import CHANGE_ROWS
from tests.condition_expressions import TRUTHS

EXPRESSION = 7


def row_of(kind: int, **columns: Any) -> np.ndarray[Any, np.dtype[Any]]:
    row = np.zeros(1, CHANGE_ROWS[kind])
    for name, value in columns.items():
        row[name] = value
    return row


def program_row(*steps: int, **columns: Any) -> np.ndarray[Any, np.dtype[Any]]:
    row = row_of(BREAKER, condition=EXPRESSION, program_length=len(steps), **columns)
    row["program"][0][: len(steps)] = steps
    return row


@pytest.mark.parametrize(
    ("kind", "column", "smallest", "largest"),
    [
        (INSTRUMENT, "hours_count", 0, 14),
        (RISK_CONFIGURATION, "regime_count", 0, 8),
        (RISK_CONFIGURATION, "message_window_ns", 0, 2**62),
        (RISK_CONFIGURATION, "duplicate_window_ns", 0, 2**62),
        (BREAKER, "symbol_count", 0, 32),
        (BREAKER, "exchange_count", 0, 8),
        (BREAKER, "provider_count", 0, 8),
        (BREAKER, "strategy_count", 0, 8),
        (BREAKER, "multiplier_ppm", 0, 1_000_000),
        (BREAKER, "half_open_ns", 0, 2**62),
        (BREAKER, "cooling_off_ns", 0, 2**62),
        (BREAKER, "enabled", 0, 1),
        (KILL, "scope", 1, 6),
        (KILL, "provider_type", 0, 2),
    ],
)
def test_a_number_may_be_at_its_bounds_and_not_beyond(
    kind: int, column: str, smallest: int, largest: int
) -> None:
    good = {"scope": 1} if kind == KILL else {}
    for value in (smallest, largest):
        check_numbers(kind, row_of(kind, **{**good, column: value}))
    for value in (smallest - 1, largest + 1, -(2**63), 2**63 - 1):
        with pytest.raises(MalformedChangeError, match=f"{column} is outside"):
            check_numbers(kind, row_of(kind, **{**good, column: value}))


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (program_row(), "leaves 0 numbers"),
        (program_row(0), "no operation 0"),
        (program_row(18), "no operation 18"),
        (program_row(255), "no operation 255"),
        (program_row(LOAD | 16 << 8), "variable 16 does not exist"),
        (program_row(LOAD | 48 << 8), "variable 48 does not exist"),
        (program_row(LOAD | -1 << 8), "variable -1 does not exist"),
        (program_row(LOAD | 2**40 << 8), "does not exist"),
        (program_row(LOAD | 35 << 8), "variable 35 is of the request, the breaker is not"),
        (program_row(CONSTANT | 16 << 8), "operand 16 of the program does not exist"),
        (program_row(CONSTANT | -1 << 8), "operand -1 of the program does not exist"),
        (program_row(LOAD, NOT | 1 << 8), "operand 1 of the program does not exist"),
        (program_row(NOT), "takes more than its stack holds"),
        (program_row(LOAD, ADD), "takes more than its stack holds"),
        (program_row(LOAD, LOAD, CHOOSE), "takes more than its stack holds"),
        (program_row(LOAD, LOAD), "leaves 2 numbers"),
        (program_row(*[LOAD] * 17, *[ADD] * 16), "stacks more than 16 numbers"),
        (row_of(BREAKER, condition=1, program_length=1), "no operation 0"),
        (row_of(BREAKER, condition=EXPRESSION, program_length=65), "program_length is outside"),
        (row_of(BREAKER, condition=EXPRESSION, program_length=-1), "program_length is outside"),
        (row_of(BREAKER, over_request=2), "over_request is outside"),
    ],
)
def test_a_program_that_would_leave_its_stack_or_tables_is_refused(
    row: np.ndarray[Any, np.dtype[Any]], problem: str
) -> None:
    with pytest.raises(MalformedChangeError, match=problem):
        check_numbers(BREAKER, row)


def test_sixteen_numbers_on_the_stack_fit() -> None:
    check_numbers(BREAKER, program_row(*[LOAD] * 16, *[ADD] * 15))


@given(TRUTHS.filter(lambda text: any(name in text for name in VARIABLES)))
def test_what_the_compiler_makes_is_taken(text: str) -> None:
    try:
        condition = compile_condition(text)
    except InvalidFieldError:
        return  # too long, or without a variable
    over_request = int(condition.over_request)
    check_numbers(BREAKER, program_row(*condition.program, over_request=over_request))


@given(st.lists(st.integers(-(2**40), 2**40) | st.sampled_from(sorted(TAKEN)), max_size=64))
def test_any_program_is_refused_by_name_or_stays_on_its_stack(steps: list[int]) -> None:
    row = program_row(*steps)
    try:
        check_numbers(BREAKER, row)
    except MalformedChangeError:
        return
    depth = 0
    for step in steps:
        depth += 1 - TAKEN[step & 0xFF]
        assert 1 <= depth <= 16
    assert depth == 1
