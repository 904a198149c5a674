"""A program in plain Python: for dry runs over past decisions, and as the twin of the kernel."""

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from server.hotpath import condition_codes as codes

if TYPE_CHECKING:
    from server.conditions.compiling import Condition

UNKNOWN: Final = math.nan


def evaluate(condition: "Condition", values: Mapping[str, float]) -> float:
    """Return the value of a condition: 1.0, 0.0, or NaN when it is unknown.

    Args:
        condition: Compiled.
        values: Of variables by name; one that is missing is unknown.
    """
    return run(
        condition.program,
        condition.constants,
        lambda number: float(values.get(codes.VARIABLE_NAMES[number], UNKNOWN)),
    )


def holds(condition: "Condition", values: Mapping[str, float]) -> bool:
    """Tell whether a breaker with this condition would trip; an unknown condition does."""
    return evaluate(condition, values) != 0.0


def run(
    program: Sequence[int], constants: Sequence[float], variable: Callable[[int], float]
) -> float:
    """Run a program; `variable` gives the value of a variable by its number."""
    stack: list[float] = []
    for step in program:
        operation, operand = step & 0xFF, step >> 8
        taken = codes.TAKEN[operation]
        arguments = stack[len(stack) - taken :]
        del stack[len(stack) - taken :]
        if operation == codes.LOAD:
            stack.append(variable(operand))
        elif operation == codes.CONSTANT:
            stack.append(constants[operand])
        else:
            stack.append(_OPERATIONS[operation](*arguments))
    return stack[-1] if stack else UNKNOWN


def _divide(a: float, b: float) -> float:
    if b == 0.0:
        if a == 0.0 or math.isnan(a):
            return UNKNOWN
        return math.copysign(math.inf, a) * math.copysign(1.0, b)
    return a / b


def _compare(holds_for: Callable[[float, float], bool]) -> Callable[[float, float], float]:
    def compare(a: float, b: float) -> float:
        if math.isnan(a) or math.isnan(b):
            return UNKNOWN
        return float(holds_for(a, b))

    return compare


def _and(a: float, b: float) -> float:
    if 0.0 in (a, b):
        return 0.0
    return UNKNOWN if math.isnan(a) or math.isnan(b) else 1.0


def _or(a: float, b: float) -> float:
    if any(value != 0.0 and not math.isnan(value) for value in (a, b)):
        return 1.0
    return UNKNOWN if math.isnan(a) or math.isnan(b) else 0.0


def _not(a: float) -> float:
    return UNKNOWN if math.isnan(a) else float(a == 0.0)


def _choose(condition: float, then: float, otherwise: float) -> float:
    if math.isnan(condition):
        return UNKNOWN
    return then if condition != 0.0 else otherwise


_OPERATIONS: Final[dict[int, Callable[..., float]]] = {
    codes.NEGATE: operator.neg,
    codes.ADD: operator.add,
    codes.SUBTRACT: operator.sub,
    codes.MULTIPLY: operator.mul,
    codes.DIVIDE: _divide,
    codes.LESS: _compare(operator.lt),
    codes.LESS_EQUAL: _compare(operator.le),
    codes.GREATER: _compare(operator.gt),
    codes.GREATER_EQUAL: _compare(operator.ge),
    codes.EQUAL: _compare(operator.eq),
    codes.NOT_EQUAL: _compare(operator.ne),
    codes.AND: _and,
    codes.OR: _or,
    codes.NOT: _not,
    codes.CHOOSE: _choose,
}
