"""Conditions made at random: text for people, and values of their variables."""

from hypothesis import strategies as st

from server.hotpath.condition_codes import BOOL_VARIABLES, VARIABLES

DOUBLES = sorted(set(VARIABLES) - BOOL_VARIABLES)
BOOLS = sorted(BOOL_VARIABLES)

_NUMBERS = st.sampled_from(["0", "1", "3", "0.1", "0.0", "2.5", ".5", "1e3", "1.5e-2", "100"])


def _numbers(below: st.SearchStrategy[str], truths: st.SearchStrategy[str]) -> object:
    return st.one_of(
        st.tuples(below, st.sampled_from("+-*/"), below).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
        below.map(lambda number: f"-({number})"),
        st.tuples(truths, below, below).map(lambda p: f"({p[0]} ? {p[1]} : {p[2]})"),
    )


_FLAT_TRUTHS = st.one_of(st.sampled_from([*BOOLS, "true", "false"]))
NUMBERS: st.SearchStrategy[str] = st.recursive(
    st.one_of(_NUMBERS, st.sampled_from(DOUBLES)),
    lambda below: _numbers(below, _FLAT_TRUTHS),  # type: ignore[arg-type, return-value]
    max_leaves=6,
)
_COMPARISONS = st.tuples(NUMBERS, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), NUMBERS).map(
    " ".join
)
TRUTHS: st.SearchStrategy[str] = st.recursive(
    st.one_of(_COMPARISONS, _FLAT_TRUTHS),
    lambda below: st.one_of(
        st.tuples(below, st.sampled_from(["&&", "||", "==", "!="]), below).map(
            lambda p: f"({p[0]}) {p[1]} ({p[2]})"
        ),
        below.map(lambda truth: f"!({truth})"),
        st.tuples(below, below, below).map(lambda p: f"({p[0]}) ? ({p[1]}) : ({p[2]})"),
    ),
    max_leaves=6,
)
VALUES = st.fixed_dictionaries(
    {
        **{
            name: st.one_of(
                st.floats(-1e6, 1e6, allow_nan=False), st.sampled_from([0.0, -0.0, 1.0, 3.0, 0.1])
            )
            for name in DOUBLES
        },
        **{name: st.booleans().map(float) for name in BOOLS},
    }
)
