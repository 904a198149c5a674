"""Rules on unusual behaviour: when they speak, and that they do so once."""

from hypothesis import given
from hypothesis import strategies as st

from server.security.anomalies import (
    BULK_READS,
    MANY_DENIALS,
    RAPID_DEPLOYMENTS,
    WINDOW_S,
    CallCounts,
    Rule,
)

ANN, BOB = "spiffe://riskgate/admin/ann", "spiffe://riskgate/admin/bob"


def test_five_deployments_in_a_minute_are_unusual() -> None:
    counts = CallCounts()
    found = [counts.add(RAPID_DEPLOYMENTS, ANN, at_s) for at_s in (0.0, 10.0, 20.0, 30.0, 59.0)]
    assert found[:4] == [None] * 4
    assert found[4] is not None
    assert (found[4].identity, found[4].observed) == (ANN, 5)


def test_five_deployments_in_more_than_a_minute_are_not() -> None:
    counts = CallCounts()
    assert not any(counts.add(RAPID_DEPLOYMENTS, ANN, at_s * 15.5) for at_s in range(40))


def test_what_goes_on_is_reported_once_and_again_after_a_pause() -> None:
    counts = CallCounts()
    found = [counts.add(RAPID_DEPLOYMENTS, ANN, float(at_s)) for at_s in range(30)]
    assert [place for place, each in enumerate(found) if each] == [4]
    later = [counts.add(RAPID_DEPLOYMENTS, ANN, 200.0 + at_s) for at_s in range(30)]
    assert [place for place, each in enumerate(later) if each] == [4]


def test_identities_and_rules_are_counted_apart() -> None:
    counts = CallCounts()
    for at_s in range(4):
        assert counts.add(RAPID_DEPLOYMENTS, ANN, float(at_s)) is None
        assert counts.add(RAPID_DEPLOYMENTS, BOB, float(at_s)) is None
        assert counts.add(MANY_DENIALS, ANN, float(at_s)) is None
    assert counts.add(RAPID_DEPLOYMENTS, BOB, 5.0) is not None


def test_a_row_that_stands_for_many_calls_counts_as_many() -> None:
    found = CallCounts().add(MANY_DENIALS, ANN, 0.0, 1_000)
    assert found is not None
    assert found.observed == 1_000


def test_a_flood_of_names_takes_no_more_memory_than_its_bound() -> None:
    counts = CallCounts()
    for number in range(10_000):
        counts.add(MANY_DENIALS, f"stranger {number}", 0.0)
    assert len(counts) <= 4_096


@given(
    st.lists(st.floats(0, 50), max_size=60),
    st.sampled_from([RAPID_DEPLOYMENTS, BULK_READS, Rule("any", 3)]),
)
def test_a_rule_speaks_when_its_threshold_is_reached_and_never_below(
    pauses: list[float], rule: Rule
) -> None:
    counts, at_s, times, was_above = CallCounts(), 0.0, list[float](), False
    for pause in pauses:
        at_s += pause
        times = [each for each in times if each > at_s - WINDOW_S]
        was_above = was_above and len(times) >= rule.threshold
        times.append(at_s)
        found = counts.add(rule, ANN, at_s)
        is_above = len(times) >= rule.threshold
        assert (found is not None) == (is_above and not was_above)
        was_above = is_above
