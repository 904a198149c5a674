"""Conditions as programs for a stack of doubles. Operations and truth: docs/conditions.md.

A program runs once through its steps, of which there are at most PROGRAM_STEPS_MAX, and there is
no jump: whatever it says, it ends. Operands, opcodes and the depth of the stack were checked where
the change was packed, so nothing is checked here.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from server.hotpath.condition_codes import (
    ADD,
    AND,
    CHOOSE,
    CONSTANT,
    DIVIDE,
    EQUAL,
    GREATER,
    GREATER_EQUAL,
    LESS,
    LESS_EQUAL,
    LOAD,
    MULTIPLY,
    NEGATE,
    NOT,
    NOT_EQUAL,
    OR,
    SUBTRACT,
)
from server.hotpath.jit import i64, kernel, routine

EXPRESSION: Final = 7

# The stack stands behind the variables, in MEMORY.variables.
STACK_AT: Final = 48

_OPERATION_MASK: Final = i64(0xFF)


@kernel
def is_expression_nb(breaker: Any) -> bool:
    """Tell whether a breaker's condition is a program."""
    return breaker.condition == EXPRESSION


@kernel
def loaded_nb(step: int) -> int:
    """Return the number of the variable that a step loads, -1 if it loads none."""
    return step >> i64(8) if (step & _OPERATION_MASK) == LOAD else i64(-1)


@kernel
def _truth_nb(a: float, b: float, holds: bool) -> float:
    """Return a comparison of two numbers: unknown when one of them is."""
    if a != a or b != b:  # noqa: PLR0124 - only NaN differs from itself
        return np.nan
    return 1.0 if holds else 0.0


@kernel
def _and_nb(a: float, b: float) -> float:
    if a == 0.0 or b == 0.0:
        return 0.0
    return np.nan if a != a or b != b else 1.0  # noqa: PLR0124


@kernel
def _or_nb(a: float, b: float) -> float:
    if (a == a and a != 0.0) or (b == b and b != 0.0):  # noqa: PLR0124
        return 1.0
    return np.nan if a != a or b != b else 0.0  # noqa: PLR0124


@kernel
def _not_nb(a: float) -> float:
    if a != a:  # noqa: PLR0124
        return np.nan
    return 1.0 if a == 0.0 else 0.0


@kernel
def _pair_nb(operation: int, a: float, b: float) -> float:
    """Do an operation on the two numbers on top of the stack."""
    result = 0.0
    if operation == GREATER:
        result = _truth_nb(a, b, a > b)
    elif operation == LESS:
        result = _truth_nb(a, b, a < b)
    elif operation == AND:
        result = _and_nb(a, b)
    elif operation == OR:
        result = _or_nb(a, b)
    elif operation == GREATER_EQUAL:
        result = _truth_nb(a, b, a >= b)
    elif operation == LESS_EQUAL:
        result = _truth_nb(a, b, a <= b)
    elif operation == ADD:
        result = a + b
    elif operation == SUBTRACT:
        result = a - b
    elif operation == MULTIPLY:
        result = a * b
    elif operation == DIVIDE:
        result = a / b
    elif operation == EQUAL:
        result = _truth_nb(a, b, a == b)
    elif operation == NOT_EQUAL:
        result = _truth_nb(a, b, a != b)
    return result


@routine
def run_program_nb(state: Any, breaker: Any) -> float:
    """Return the value of a breaker's program by the variables in MEMORY; an empty one holds."""
    variables = state.variables
    # The top of the stack stays in a register; `below` counts what lies under it in memory.
    top = np.nan
    below = i64(STACK_AT - 1)
    for number in range(breaker.program_length):
        step = breaker.program[number]
        operation = step & _OPERATION_MASK
        if operation <= CONSTANT:
            below += 1
            variables[below] = top
            operand = step >> i64(8)
            top = variables[operand] if operation == LOAD else breaker.constants[operand]
        elif operation == NEGATE:
            top = -top
        elif operation == NOT:
            top = _not_nb(top)
        elif operation == CHOOSE:
            condition = variables[below - 1]
            chosen = variables[below] if condition != 0.0 else top
            top = np.nan if condition != condition else chosen  # noqa: PLR0124
            below -= 2
        else:
            top = _pair_nb(operation, variables[below], top)
            below -= 1
    return top
