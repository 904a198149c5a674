import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.sample_rows import make_fill
from trainer.encodings import ANY, Encodings, fit_encodings, read_encodings, shrink
from trainer.errors import ArtifactReadError, NotEnoughDataError

pips = st.floats(-20, 50)


@given(st.lists(pips, min_size=1, max_size=30), pips, pips, st.floats(0.1, 100))
def test_shrinking_lands_between_own_and_parent(
    own: list[float], q50: float, q90: float, strength: float
) -> None:
    unshrunk = shrink(own, (q50, q90), 1e-12)
    shrunk = shrink(own, (q50, q90), strength)
    for mine, above, result in zip(unshrunk, (q50, q90), shrunk, strict=True):
        assert min(mine, above) - 1e-6 <= result <= max(mine, above) + 1e-6


@given(st.lists(pips, min_size=1, max_size=30), pips, st.floats(0.1, 100))
def test_a_stronger_parent_pulls_nearer(own: list[float], parent: float, strength: float) -> None:
    weak = shrink(own, (parent, parent), strength)
    strong = shrink(own, (parent, parent), strength * 2)
    assert all(abs(b - parent) <= abs(a - parent) + 1e-9 for a, b in zip(weak, strong, strict=True))


def test_more_rows_of_the_same_kind_pull_away_from_the_parent() -> None:
    few = shrink([4.0] * 5, (1.0, 1.0), 20.0)
    many = shrink([4.0] * 500, (1.0, 1.0), 20.0)
    assert 1.0 < few[1] < many[1] < 4.0


def test_lookup_takes_the_narrowest_level() -> None:
    levels = {
        ("user", "p", "S"): (1.0, 1.0),
        ("user", "p", ANY): (2.0, 2.0),
        (ANY, ANY, "S"): (3.0, 3.0),
        (ANY, ANY, ANY): (4.0, 4.0),
    }
    encodings = Encodings(levels)
    assert encodings.find("user", "p", "S") == (1.0, 1.0)
    assert encodings.find("user", "p", "T") == (2.0, 2.0)
    assert encodings.find("channel_source", "p", "S") == (3.0, 3.0)
    assert encodings.find("user", "q", "T") == (4.0, 4.0)


def test_an_account_without_slippage_does_not_speak_for_unknown_providers() -> None:
    real = [make_fill(number, number / 10) for number in range(50)]
    demo = [make_fill(number, 0.0, provider_id="demo") for number in range(500)]
    alone, together = fit_encodings(real), fit_encodings([*real, *demo])
    assert together.find("user", "new", "EURUSD") == alone.find("user", "new", "EURUSD")
    assert together.find("channel_source", "demo", "EURUSD")[1] < 0.5


def test_encodings_survive_their_document() -> None:
    fitted = fit_encodings([make_fill(number, number / 7) for number in range(30)])
    assert read_encodings(fitted.to_document()) == fitted


def test_encodings_without_a_last_resort_are_refused() -> None:
    document = fit_encodings([make_fill()]).to_document()
    document["levels"] = [level for level in document["levels"] if level["provider_id"]]
    with pytest.raises(ArtifactReadError):
        read_encodings(document)


def test_a_repeated_level_is_refused() -> None:
    document = fit_encodings([make_fill()]).to_document()
    document["levels"].append(document["levels"][0])
    with pytest.raises(ArtifactReadError):
        read_encodings(document)


def test_no_rows_are_refused() -> None:
    with pytest.raises(NotEnoughDataError):
        fit_encodings([])
