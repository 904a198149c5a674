import dataclasses

import pytest

from benchmarks.lane.clients import Series
from benchmarks.lane.figures import (
    AT_LEAST,
    AT_MOST,
    NOT_AVAILABLE,
    Line,
    format_lines,
    median_ratio,
    ratio_line,
)

SERIES = Series(
    n=10,
    total=12,
    failed=0,
    checked=1,
    rps=100.0,
    p50_us=50.0,
    p99_us=90.0,
    p999_us=95.0,
    max_us=99.0,
    client_cpu_s=0.1,
    server_cpu_us=20.0,
)


def rounds(**figures: list[float]) -> list[Series]:
    columns = zip(*figures.values(), strict=True)
    return [
        dataclasses.replace(SERIES, **dict(zip(figures, values, strict=True))) for values in columns
    ]


def test_ratio_when_the_machine_slows_between_rounds_then_is_taken_within_each() -> None:
    # 2.0, 3.0 and 4.0; the ratio of the medians would be 30 / 15 = 2.0.
    assert median_ratio([30.0, 3.0, 80.0], [15.0, 1.0, 20.0]) == 3.0


def test_ratio_when_one_side_lacks_a_round_then_is_refused() -> None:
    with pytest.raises(ValueError, match="same rounds"):
        median_ratio([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="same rounds"):
        median_ratio([], [])


@pytest.mark.parametrize(
    ("sense", "goal", "verdict"),
    [(AT_LEAST, 3.0, "met"), (AT_LEAST, 3.01, "missed"), (AT_MOST, 3.0, "met"),
     (AT_MOST, 2.99, "missed"), ("", 0.0, "")],
)  # fmt: skip
def test_verdict_when_the_figure_is_compared_then_the_bound_itself_meets_it(
    sense: str, goal: float, verdict: str
) -> None:
    assert Line("speed", 3.0, sense=sense, goal=goal).verdict == verdict


def test_verdict_when_a_call_failed_then_the_goal_is_missed() -> None:
    subject = [dataclasses.replace(SERIES, p999_us=10.0, failed=1)]
    line = ratio_line("open loop", subject, [SERIES], "p999_us", (AT_MOST, 1.0))
    assert line.value is not None
    assert line.value < 1.0
    assert line.verdict == "missed"
    assert "1 failed" in format_lines([line])


def test_line_when_there_is_no_lane_then_says_so() -> None:
    line = ratio_line("speed", [], [SERIES], "rps", (AT_LEAST, 3.0))
    assert line.verdict == NOT_AVAILABLE
    assert NOT_AVAILABLE in format_lines([line])


def test_line_when_it_is_made_then_counts_the_calls_of_both_sides() -> None:
    subject = rounds(rps=[200.0, 300.0], n=[5, 6])
    baseline = rounds(rps=[100.0, 100.0], n=[7, 8])
    line = ratio_line("speed", subject, baseline, "rps", (AT_LEAST, 3.0))
    assert (line.value, line.n, line.verdict) == (2.5, 26, "missed")
