"""CEL text to the program that engines run. The library parses and checks; this walks its tree."""

import math
import re
import struct
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, lru_cache
from typing import Any, Final

from cel_expr_python import cel  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError

from server.conditions.checked_expr import read_expression
from server.errors import InvalidFieldError
from server.hotpath import condition_codes as codes
from server.hotpath.layout import PROGRAM_CONSTANTS_MAX, PROGRAM_STEPS_MAX

TEXT_BYTES_MAX: Final = 1_024
# The library's own limit, at which it stops; named here so that the error can say it.
NESTING_MAX: Final = 32

# All that numbers, names and operators need. Lists, maps, texts and calls with several arguments
# are refused by it before anything is parsed.
_FOREIGN: Final = re.compile(r"[^A-Za-z0-9_.+\-*/!&|<>=?:() \t\r\n]")
# A name, or a number with whatever is glued to it.
_WORD: Final = re.compile(r"[A-Za-z_]\w*|(?:\d*\.\d+|\d+)(?:[eE][+-]?\d+)?\w*", re.ASCII)
_PROBLEM: Final = re.compile(r"ERROR: <input>:-?\d+:-?\d+: (.*)")
_UNKNOWN_NAME: Final = re.compile(r"undeclared reference to '([^']*)'")
_NO_OVERLOAD: Final = re.compile(r"no matching overload for '([^']*)' applied to '\(([^)]*)\)'")

_OPERATIONS: Final[dict[str, int]] = {
    "-_": codes.NEGATE,
    "_+_": codes.ADD,
    "_-_": codes.SUBTRACT,
    "_*_": codes.MULTIPLY,
    "_/_": codes.DIVIDE,
    "_<_": codes.LESS,
    "_<=_": codes.LESS_EQUAL,
    "_>_": codes.GREATER,
    "_>=_": codes.GREATER_EQUAL,
    "_==_": codes.EQUAL,
    "_!=_": codes.NOT_EQUAL,
    "_&&_": codes.AND,
    "_||_": codes.OR,
    "!_": codes.NOT,
    "_?_:_": codes.CHOOSE,
}
_WORDS: Final[dict[int, str]] = {
    getattr(codes, name): name.lower().replace("_", " ")
    for name in (
        "NEGATE", "ADD", "SUBTRACT", "MULTIPLY", "DIVIDE", "LESS", "LESS_EQUAL", "GREATER",
        "GREATER_EQUAL", "EQUAL", "NOT_EQUAL", "AND", "OR", "NOT", "CHOOSE",
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Condition:
    """A checked expression and its program; see docs/conditions.md.

    Attributes:
        text: As it was written.
        over_request: Judged in each decision; else whenever the account's state changes.
        program: Steps, `operation | operand << 8`.
        constants: Numbers that steps name by their place.
        variables: Names in the order in which the program first loads them.
    """

    text: str
    over_request: bool
    program: tuple[int, ...]
    constants: tuple[float, ...]
    variables: tuple[str, ...]


@lru_cache(maxsize=1_024)
def compile_condition(text: str) -> Condition:
    """Check an expression and turn it into a program.

    Args:
        text: CEL over the variables of docs/conditions.md, at most TEXT_BYTES_MAX bytes. A whole
            number such as 3 is the double 3.0.

    Raises:
        InvalidFieldError: Of the field `condition`; says what is wrong with it.
    """
    _check_text(text)
    tree = _parse(_WORD.sub(_write_double, text))
    draft = _Draft()
    draft.add(tree)
    numbers = dict.fromkeys(step >> 8 for step in draft.program if step & 0xFF == codes.LOAD)
    if not numbers:
        raise _refusal("names no variable: it would always say the same")
    return Condition(
        text=text,
        over_request=any(number >= codes.FIRST_OVER_REQUEST for number in numbers),
        program=tuple(draft.program),
        constants=tuple(draft.constants),
        variables=tuple(codes.VARIABLE_NAMES[number] for number in numbers),
    )


def _refusal(problem: str) -> InvalidFieldError:
    return InvalidFieldError("condition", problem)


def _check_text(text: str) -> None:
    if not text.strip():
        raise _refusal("is required")
    # A lone surrogate has no UTF-8 form; it is foreign below.
    if len(text) > TEXT_BYTES_MAX or len(text.encode("utf-8", "replace")) > TEXT_BYTES_MAX:
        raise _refusal(f"is longer than {TEXT_BYTES_MAX} bytes")
    foreign = _FOREIGN.search(text)
    if foreign:
        raise _refusal(
            f"has {_name_character(foreign[0])} at character {foreign.start() + 1}; only "
            "variables, numbers, true, false, parentheses and operators are known"
        )


def _name_character(character: str) -> str:
    names = {
        "[": "a list",
        "{": "a map",
        "'": "a text",
        '"': "a text",
        ",": "a comma",
        "%": "a remainder",
    }
    return names.get(character, f"the character U+{ord(character):04X}")


def _write_double(word: re.Match[str]) -> str:
    return f"{word[0]}.0" if word[0].isdigit() else word[0]


@cache
def _environment() -> Any:
    kinds = {
        name: cel.Type.BOOL if name in codes.BOOL_VARIABLES else cel.Type.DOUBLE
        for name in codes.VARIABLES
    }
    return cel.NewEnv(variables=kinds)


def _parse(text: str) -> Any:
    """Return the tree of an expression that the library finds to be true or false."""
    try:
        checked = _environment().compile(text)
        if checked.return_type() != cel.Type.BOOL:
            kind = checked.return_type().name().lower()
            raise _refusal(f"must be true or false, this is of type {kind}")
        return read_expression(checked.serialize())
    except RuntimeError as error:
        raise _refusal(_explain(str(error))) from error
    except DecodeError as error:
        raise _refusal(_TOO_DEEP) from error


_TOO_DEEP: Final = f"nests deeper than {NESTING_MAX} levels"


def _explain(story: str) -> str:
    """Turn what the library says into one sentence."""
    if "recursion" in story:
        return _TOO_DEEP
    found = _PROBLEM.search(story)
    problem = found[1] if found else story
    unknown = _UNKNOWN_NAME.search(problem)
    if unknown:
        near = get_close_matches(unknown[1], codes.VARIABLES, 1)
        hint = f", did you mean {near[0]}?" if near else ""
        return f"{unknown[1][:40]} is no variable of conditions{hint}"
    overload = _NO_OVERLOAD.search(problem)
    if overload:
        return f"{_name_operator(overload[1])} does not take ({overload[2]})"
    problem = problem.partition(" expecting ")[0].replace("<EOF>", "end of the text")
    return problem.replace("'", "").lower()[:120]


def _name_operator(function: str) -> str:
    """Return words for an operator: most signs may not stand in an error."""
    operation = _OPERATIONS.get(function)
    return _WORDS[operation] if operation else function.strip("_@[]")[:40] or "indexing"


class _Draft:
    """A program as it grows; operands stand before their operation."""

    def __init__(self) -> None:
        self.program: list[int] = []
        self.constants: list[float] = []
        self._depth = 0

    def add(self, tree: Any) -> None:
        kind = tree.WhichOneof("expr_kind")
        if kind == "const_expr":
            self._step(codes.CONSTANT, self._place_of(tree.const_expr))
        elif kind == "ident_expr":
            name = tree.ident_expr.name
            if name not in codes.VARIABLES:
                raise _refusal(f"{name[:40]} is no variable of conditions")
            self._step(codes.LOAD, codes.VARIABLES[name])
        elif kind == "call_expr":
            self._call(tree.call_expr)
        else:
            raise _refusal("uses a field, list, map or macro; only variables and operators count")

    def _call(self, call: Any) -> None:
        operation = _OPERATIONS.get(call.function)
        if operation is None or len(call.args) != codes.TAKEN[operation]:
            name = _name_operator(call.function)
            raise _refusal(f"{name} is no operator of conditions; functions cannot be called")
        for argument in call.args:
            self.add(argument)
        self._step(operation)

    def _step(self, operation: int, operand: int = 0) -> None:
        self.program.append(operation | operand << 8)
        self._depth += 1 - codes.TAKEN[operation]
        if len(self.program) > PROGRAM_STEPS_MAX:
            raise _refusal(f"takes more than {PROGRAM_STEPS_MAX} steps")
        if self._depth > codes.STACK_MAX:
            raise _refusal(f"needs more than {codes.STACK_MAX} values at once; reorder it")

    def _place_of(self, constant: Any) -> int:
        kind = constant.WhichOneof("constant_kind")
        if kind is None:
            raise _refusal("has a constant that is no number and neither true nor false")
        value = float(getattr(constant, kind))
        if not math.isfinite(value):
            raise _refusal("has a number beyond 1.7e308")
        for place, known in enumerate(self.constants):
            # By its bits: 0.0 and -0.0 are two constants.
            if struct.pack("<d", known) == struct.pack("<d", value):
                return place
        if len(self.constants) == PROGRAM_CONSTANTS_MAX:
            raise _refusal(f"has more than {PROGRAM_CONSTANTS_MAX} different numbers")
        self.constants.append(value)
        return len(self.constants) - 1
