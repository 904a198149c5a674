"""Programs against the CEL library's own evaluation, in plain Python and in the kernel."""

import math
import os
import struct
from functools import cache
from typing import Any, Final

import numpy as np
import pytest
from cel_expr_python import cel  # type: ignore[import-untyped]
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from server.conditions import compile_condition
from server.conditions.compiling import Condition
from server.conditions.evaluating import run
from server.errors import InvalidFieldError
from server.hotpath import condition_codes as codes
from server.hotpath.memory import Capacity, State, new_state
from server.hotpath.programs import run_program_nb
from tests.condition_expressions import TRUTHS, VALUES

EXAMPLES: Final = 5_000 if os.environ.get("RISKGATE_CAMPAIGN") == "1" else 150
SMALL: Final = Capacity(**{**dict.fromkeys(Capacity._fields, 4), "answer_bytes": 64})


@cache
def _state() -> State:
    return new_state(SMALL)


def _run_kernel(condition: Condition, values: dict[str, float]) -> float:
    state = _state()
    breaker = state.breakers.rows[1]
    breaker["program_length"] = len(condition.program)
    breaker["program"][: len(condition.program)] = condition.program
    breaker["constants"][: len(condition.constants)] = condition.constants
    variables = state.memory["variables"][0]
    variables[:] = np.nan
    for name, value in values.items():
        variables[codes.VARIABLES[name]] = value
    return float(run_program_nb(state.memory[0], breaker))


def _run_plain(condition: Condition, values: dict[str, float]) -> tuple[float, bool]:
    """Return the value, and whether any step on the way to it was unknown."""
    met_nan = False
    for end in range(1, len(condition.program) + 1):
        value = run(
            condition.program[:end],
            condition.constants,
            lambda number: values[codes.VARIABLE_NAMES[number]],
        )
        met_nan |= math.isnan(value)
    return value, met_nan


@cache
def _library() -> Any:
    kinds = {
        name: cel.Type.BOOL if name in codes.BOOL_VARIABLES else cel.Type.DOUBLE
        for name in codes.VARIABLES
    }
    return cel.NewEnv(variables=kinds)


def _run_library(text: str, values: dict[str, float]) -> float:
    data = {
        name: bool(value) if name in codes.BOOL_VARIABLES else value
        for name, value in values.items()
    }
    # Whole numbers are doubles for us: the text is given with their points.
    words = text.replace("(", " ( ").replace(")", " ) ").split(" ")
    doubles = " ".join(f"{word}.0" if word.isdigit() else word for word in words)
    return float(_library().compile(doubles).eval(data=data).value())


@settings(max_examples=EXAMPLES)
@given(TRUTHS, VALUES)
def test_a_program_says_what_the_library_says(text: str, values: dict[str, float]) -> None:
    try:
        condition = compile_condition(text)
    except InvalidFieldError:
        assume(False)
    value, met_nan = _run_plain(condition, values)
    # CEL has no unknown: where 0/0 and its like appear, the two part on purpose.
    assume(not met_nan)
    assert value == _run_library(text, values)
    assert _run_kernel(condition, values) == value


@settings(max_examples=EXAMPLES)
@given(TRUTHS, VALUES, st.sets(st.sampled_from(sorted(codes.VARIABLES))))
def test_the_kernel_says_what_plain_python_says_whatever_is_unknown(
    text: str, values: dict[str, float], unknown: set[str]
) -> None:
    try:
        condition = compile_condition(text)
    except InvalidFieldError:
        assume(False)
    values = {**values, **dict.fromkeys(unknown, math.nan)}
    plain, _ = _run_plain(condition, values)
    assert _same_bits(_run_kernel(condition, values), plain)


@settings(max_examples=EXAMPLES)
@given(st.data(), VALUES)
def test_the_kernel_runs_any_sound_program_as_plain_python_does(
    data: st.DataObject, values: dict[str, float]
) -> None:
    condition = _draw_program(data)
    plain, _ = _run_plain(condition, values)
    assert _same_bits(_run_kernel(condition, values), plain)


def _draw_program(data: st.DataObject) -> Condition:
    """Draw any operations that the stack allows: deeper and odder than text would give."""
    program: list[int] = []
    depth = 0
    while len(program) < 64 and (depth != 1 or data.draw(st.integers(0, 15))):
        usable = [
            operation
            for operation, taken in codes.TAKEN.items()
            if taken <= depth and depth + 1 - taken <= codes.STACK_MAX
        ]
        operation = data.draw(st.sampled_from(usable))
        operand = 0
        if operation == codes.LOAD:
            operand = data.draw(st.sampled_from(sorted(codes.VARIABLES.values())))
        elif operation == codes.CONSTANT:
            operand = data.draw(st.integers(0, 15))
        program.append(operation | operand << 8)
        depth += 1 - codes.TAKEN[operation]
    constants = (0.0, -0.0, 1.0, math.nan, math.inf, -math.inf, 0.1, 1e308, *map(float, range(8)))
    return Condition("", False, tuple(program), constants, ())


def _same_bits(one: float, other: float) -> bool:
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return struct.pack("<d", one) == struct.pack("<d", other)


def test_an_empty_program_holds() -> None:
    assert math.isnan(_run_kernel(Condition("", False, (), (), ()), {}))


@pytest.mark.parametrize("operation", sorted(codes.TAKEN))
def test_every_operation_is_one_that_a_condition_can_reach(operation: int) -> None:
    texts = (
        "-equity + 1 - 2 * 3 / drawdown < 1 && drawdown <= 1 || drawdown > 1 && drawdown >= 1",
        "!(drawdown == 1) && drawdown != 2 ? is_buy : drawdown > 1",
    )
    reached = {step & 0xFF for text in texts for step in compile_condition(text).program}
    assert operation in reached
