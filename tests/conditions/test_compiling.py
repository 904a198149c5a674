"""CEL text to programs: what is taken, what each mistake is told, that nothing hostile hurts."""

import json
import math
import random
import string
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.conditions import compile_condition, evaluate, holds
from server.errors import InvalidFieldError
from server.hotpath import condition_codes as codes
from tests.condition_expressions import TRUTHS

CORPUS_MIN = 200


def problem_of(text: str) -> str:
    with pytest.raises(InvalidFieldError) as caught:
        compile_condition(text)
    assert caught.value.field == "condition"
    assert caught.value.problem
    return caught.value.problem


def test_a_comparison_becomes_three_steps() -> None:
    condition = compile_condition("drawdown > 0.1")
    assert condition.program == (codes.LOAD | 2 << 8, codes.CONSTANT, codes.GREATER)
    assert condition.constants == (0.1,)
    assert condition.variables == ("drawdown",)
    assert not condition.over_request


def test_a_condition_that_names_the_request_is_judged_in_each_decision() -> None:
    assert compile_condition("spread_pips > 3 && drawdown > 0.05").over_request
    assert compile_condition("is_buy").over_request


def test_variables_stand_in_the_order_in_which_they_are_loaded() -> None:
    condition = compile_condition("day_loss > 0.02 || drawdown > 0.1 || day_loss > week_loss")
    assert condition.variables == ("day_loss", "drawdown", "week_loss")


def test_the_same_number_is_kept_once_but_zero_has_two_signs() -> None:
    condition = compile_condition("drawdown > 0.1 || day_loss > 0.1 || week_loss > 1e-1")
    assert condition.constants == (0.1,)
    signed = compile_condition("1.0 / equity > 0.0 || 1.0 / equity < -0.0")
    assert [math.copysign(1.0, number) for number in signed.constants] == [1.0, 1.0, -1.0]


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("consecutive_losses >= 3", "consecutive_losses >= 3.0"),
        ("equity<100000", "equity < 100000.0"),
        ("drawdown > 1e-1", "drawdown > 0.1"),
        ("drawdown*100>10", "drawdown * 100.0 > 10.0"),
        ("equity > -5", "equity > -5.0"),
        ("equity > 1.5e+2", "equity > 150.0"),
        ("hour>=9&&hour<17", "hour >= 9.0 && hour < 17.0"),
    ],
)
def test_a_whole_number_is_a_double(text: str, same: str) -> None:
    one, other = compile_condition(text), compile_condition(same)
    assert (one.program, one.constants) == (other.program, other.constants)
    assert one.text == text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is required"),
        (" \n\t ", "is required"),
        ("x" * 1_025, "longer than 1024 bytes"),
        ("é" * 513, "longer than 1024 bytes"),
        ("drawdwn > 0.1", "did you mean drawdown?"),
        ("margin > 1", "margin is no variable"),
        ("a.b.c > 1", "a.b.c is no variable"),
        ("drawdown", "must be true or false, this is of type double"),
        ("drawdown + 1", "must be true or false"),
        ("1 > 2", "names no variable"),
        ("true", "names no variable"),
        ("drawdown > true", "greater does not take (double, bool)"),
        ("is_buy + is_buy", "add does not take (bool, bool)"),
        ("is_buy && drawdown", "and does not take (bool, double)"),
        ("drawdown > 0x10", "greater does not take (double, int)"),
        ("drawdown > 5u", "greater does not take (double, uint)"),
        ("drawdown > 1e400", "beyond"),
        ("drawdown % 2 > 1", "a remainder at character 10"),
        ("drawdown in [1]", "a list at character 13"),
        ("{1: 2}[1] > drawdown", "a map at character 1"),
        ("'a' == 'b'", "a text at character 1"),
        ('"a" == "b"', "a text at character 1"),
        ("max(drawdown, day_loss) > 1", "a comma"),
        ("dyn(drawdown) > 1", "dyn is no operator"),
        ("double(1) > drawdown", "double is no operator"),
        ("int(drawdown) == drawdown", ""),
        ("type(drawdown) == double", "type is no operator"),
        ("null == null", "no number and neither true nor false"),
        ("drawdown > 0.1 &&", "syntax error"),
        ("drawdown > > 1", "syntax error"),
        ("(drawdown > 1", "syntax error"),
        ("drawdown > 1)", "syntax error"),
        ("drawdown = 1", "syntax error"),
        ("drawdown.exists(x)", "x is no variable"),
        ("has(drawdown.x)", "double"),
        ("drawdown > 1\0", "U+0000"),
        ("drawdown > \uff11", "U+FF11"),
        ("dr\u0430wdown > 1", "U+0430"),
        ("drawdown \u2028> 1", "U+2028"),
        ("drawdown > 1 \U0001f4a5", "U+1F4A5"),
        ("drawdown \ud800", "U+D800"),
        ("(" * 40 + "is_buy" + ")" * 40, "nests deeper than 32"),
        ("is_buy" + " && is_buy" * 40, "more than 64 steps"),
        (" || ".join(f"equity > {n}" for n in range(17)), "more than 16 different numbers"),
        ("equity > " + "+(1+" * 8, "syntax error"),
    ],
)
def test_each_mistake_is_named(text: str, problem: str) -> None:
    assert problem in problem_of(text)


def test_what_needs_more_than_sixteen_numbers_at_once_is_refused() -> None:
    text = "equity" + "".join(f" + ({name}" for name in ["drawdown"] * 15) + ")" * 15 + " > 1"
    assert evaluate(compile_condition(text), dict.fromkeys(codes.VARIABLES, 1.0)) == 1.0
    deeper = text.replace("equity", "equity + (equity", 1).replace(" > 1", ") > 1")
    assert "more than 16 values at once" in problem_of(deeper)


def test_sixty_four_steps_fit() -> None:
    text = "!is_buy" + " && is_buy" * 31
    assert len(compile_condition(text).program) == 64


def _bombs() -> list[str]:
    """Return texts that were made to hurt whoever reads them."""
    sizes = (8, 31, 33, 120, 500, 1_000)
    made = [
        text
        for n in sizes
        for text in (
            "(" * n,
            ")" * n,
            "(" * n + "is_buy" + ")" * n,
            "!" * n + "is_buy",
            "-" * n + "equity > 0",
            "- " * n + "equity > 0",
            "equity" + "+equity" * n + ">0",
            "equity" + "/0" * n + ">0",
            "is_buy" + "?is_buy:is_buy" * n,
            "is_buy ? " * n + "is_buy" + " : is_buy" * n,
            "is_buy" + "&&is_buy" * n,
            "is_buy" + "||is_buy" * n,
            "equity" + "<equity" * n,
            "equity" + "==equity" * n,
            "equity > " + "9" * n,
            "equity > 0." + "0" * n + "1",
            "equity > 1e" + "9" * n,
            "equity > 1e-" + "9" * n,
            "a" * n + " > 1",
            "a." * n + "a > 1",
            "a(" * n + ")" * n,
            "[" * n + "]" * n,
            "{" * n + "}" * n,
            "'" * n,
            '"' * n,
            '"""' * n,
            "r'" * n,
            "\\" * n,
            "//" * n,
            "/*" * n,
            " " * n + "is_buy",
            "\n" * n + "is_buy",
            "\r\n" * n + "is_buy",
            "`" * n,
            "é" * n,
            "\u202e" * n + "is_buy",
            "\0" * n,
            "1" * n + "u",
            "0x" + "f" * n,
            "." * n,
            "_" * n,
            "b''" * n,
            "[1].map(x," * n,
            "[1].exists(x, x > " * n,
        )
    ]
    words = ["true", "false", "null", "in", "as", "break", "const", "else", "for", "function"]
    words += [
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ]
    macros = ["has", "all", "exists", "exists_one", "map", "filter", "cel.bind", "size", "matches"]
    made += [f"{word} > 1" for word in words] + [f"{word}(equity)" for word in macros]
    made += [f"equity.{word}(x, x > 1)" for word in macros]
    return made


def test_a_hostile_corpus_is_refused_or_taken_and_never_more() -> None:
    corpus = _bombs()
    chance = random.Random(614)
    pieces = [*codes.VARIABLES, *"+-*/<>=!&|?:(). \n", "&&", "||", "==", "1", "2.5", "1e9", "true"]
    corpus += ["".join(chance.choices(pieces, k=chance.randrange(60))) for _ in range(2_000)]
    corpus += ["".join(chance.choices(string.printable, k=80)) for _ in range(500)]
    assert len(corpus) >= CORPUS_MIN
    taken = sum(_is_taken(text) for text in corpus)
    assert 0 < taken < len(corpus) / 2


def _is_taken(text: str) -> bool:
    try:
        condition = compile_condition(text)
    except InvalidFieldError as error:
        refusal = error
    else:
        assert len(condition.program) <= 64
        assert len(condition.constants) <= 16
        assert isinstance(evaluate(condition, {}), float)
        return True
    assert refusal.field == "condition"
    assert 0 < len(refusal.problem) <= 160
    return False


_BOUNDED = """
import json, resource, sys, time
from server.conditions import compile_condition
from server.errors import InvalidFieldError
texts = json.load(sys.stdin)
compile_condition("is_buy")
before = resource.getrusage(resource.RUSAGE_SELF)
for text in texts:
    try: compile_condition(text)
    except InvalidFieldError: pass
after = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([after.ru_maxrss - before.ru_maxrss, after.ru_utime - before.ru_utime]))
"""


def test_a_hostile_corpus_takes_little_memory_and_little_time() -> None:
    corpus = [*_bombs(), "(" * 100_000, "is_buy" + "||is_buy" * 100_000, "9" * 10_000_000]
    found = subprocess.run(
        [sys.executable, "-c", _BOUNDED],
        input=json.dumps(corpus), capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    grown_kib, seconds = json.loads(found.stdout)
    assert grown_kib < 64 * 1_024
    # Bounded by what was sent: a second of processor time each would be a door for anybody.
    assert seconds < len(corpus)


@given(st.text(max_size=1_200))
def test_any_text_is_refused_or_taken(text: str) -> None:
    _is_taken(text)


@given(st.text(alphabet="edrawon_iybu0123456789.+-*/<>=!&|?:() ", max_size=200))
def test_any_text_of_known_characters_is_refused_or_taken(text: str) -> None:
    _is_taken(text)


@given(TRUTHS, st.integers(0, 400), st.sampled_from([*"()+-!?:.", "&&", "x", "9", "", "\0", "é"]))
def test_a_condition_with_a_spot_on_it_is_refused_or_taken(text: str, at: int, spot: str) -> None:
    _is_taken(text[:at] + spot + text[at + 1 :])


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("drawdown > 0.1", {"drawdown": 0.12}, 1.0),
        ("drawdown > 0.1", {"drawdown": 0.1}, 0.0),
        ("drawdown > 0.1", {}, math.nan),
        ("drawdown > 0.1 || is_buy", {"is_buy": 1.0}, 1.0),
        ("drawdown > 0.1 || is_buy", {"is_buy": 0.0}, math.nan),
        ("drawdown > 0.1 && is_buy", {"is_buy": 0.0}, 0.0),
        ("!(drawdown > 0.1)", {}, math.nan),
        ("drawdown != drawdown", {}, math.nan),
        ("is_buy ? drawdown > 0.1 : hour < 9", {"is_buy": 0.0, "hour": 8.0}, 1.0),
        ("drawdown > 0.1 ? is_buy : is_buy", {"is_buy": 1.0}, math.nan),
        ("1 / equity > 5", {"equity": 0.0}, 1.0),
        ("-1 / equity < -5", {"equity": 0.0}, 1.0),
        ("equity / equity > 5", {"equity": 0.0}, math.nan),
    ],
)
def test_what_is_unknown_stays_unknown_unless_it_does_not_matter(
    text: str, values: dict[str, float], expected: float
) -> None:
    condition = compile_condition(text)
    assert evaluate(condition, values) == pytest.approx(expected, nan_ok=True)
    assert holds(condition, values) is (expected != 0.0)


@pytest.mark.parametrize("name", codes.VARIABLES)
def test_every_variable_of_the_page_can_be_named(name: str) -> None:
    condition = compile_condition(name if name in codes.BOOL_VARIABLES else f"{name} > 1")
    assert condition.variables == (name,)
