"""From the series of all rounds to the lines of the table: medians, ratios, goals, verdicts.

A ratio is taken within each round, where both sides met the same machine, and the median over the
rounds is what counts.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.lane.clients import Series

AT_LEAST: Final = "≥"
AT_MOST: Final = "≤"
_MEETS: Final[dict[str, Callable[[float, float], bool]]] = {
    AT_LEAST: operator.ge,
    AT_MOST: operator.le,
}
NOT_AVAILABLE: Final = "not available"


@dataclass(frozen=True)
class Line:
    """One line of the table.

    Attributes:
        name: what was measured.
        value: the figure; None: it could not be measured.
        unit: what stands behind the figure; empty: a ratio.
        sense: AT_LEAST, AT_MOST, or empty for a line without a goal.
        goal: bound of the figure.
        n: timed calls behind it, both sides and all rounds.
        failed: calls without a right answer; a goal with failures is missed.
    """

    name: str
    value: float | None
    unit: str = ""
    sense: str = ""
    goal: float = 0.0
    n: int = 0
    failed: int = 0

    @property
    def verdict(self) -> str:
        """`met`, `missed`, `not available`, or nothing without a goal."""
        if self.value is None:
            return NOT_AVAILABLE
        if not self.sense:
            return ""
        is_met = _MEETS[self.sense](self.value, self.goal) and self.failed == 0
        return "met" if is_met else "missed"


def median(figures: Sequence[float]) -> float:
    """Return the median of at least one figure."""
    return float(np.median(figures))


def median_ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """Return the median over the rounds of `above` ÷ `below`.

    Args:
        above: one figure per round.
        below: figures of the same rounds, > 0.

    Raises:
        ValueError: there is no round, or one side lacks some.
    """
    if not above or len(above) != len(below):
        raise ValueError("both sides need the same rounds")
    return median([one / other for one, other in zip(above, below, strict=True)])


def ratio_line(
    name: str,
    subject: Sequence[Series],
    baseline: Sequence[Series],
    figure: str,
    goal: tuple[str, float],
) -> Line:
    """Return the line of subject ÷ baseline of one figure of a series; empty sides: no value."""
    if not subject or not baseline:
        return Line(name, None, sense=goal[0], goal=goal[1])
    value = median_ratio(
        [getattr(one, figure) for one in subject], [getattr(one, figure) for one in baseline]
    )
    return Line(
        name,
        value,
        sense=goal[0],
        goal=goal[1],
        n=sum(one.n for one in (*subject, *baseline)),
        failed=sum(one.failed for one in subject),
    )


def format_lines(lines: Sequence[Line]) -> str:
    """Return the table as text."""
    rows = [("figure", "goal", "measured", "verdict", "N")]
    for line in lines:
        unit = line.unit and f" {line.unit}"
        goal = f"{line.sense} {line.goal:g}{unit}" if line.sense else ""
        value = "" if line.value is None else f"{line.value:.3g}{unit}"
        verdict = f"{line.verdict}, {line.failed} failed" if line.failed else line.verdict
        rows.append((line.name, goal, value, verdict, f"{line.n:,}" if line.n else ""))
    return _format(rows)


def format_series(series: dict[str, dict[str, list[Series]]]) -> str:
    """Return medians over the rounds of every series on every server as text."""
    rows: list[tuple[str, ...]]
    rows = [("series", "server", "rps", "p50 µs", "p99 µs", "p99.9 µs", "max µs", "server µs", "N")]
    for name, servers in series.items():
        for server, rounds in servers.items():
            if not rounds:
                continue
            figures = ("rps", "p50_us", "p99_us", "p999_us", "max_us", "server_cpu_us")
            values = [median([getattr(one, figure) for one in rounds]) for figure in figures]
            texts = [f"{value:,.0f}" if value >= 100 else f"{value:.1f}" for value in values]
            rows.append((name, server, *texts, f"{sum(one.n for one in rounds):,}"))
    return _format(rows)


def _format(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        first = row[0].ljust(widths[0])
        rest = [text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join([first, *rest]).rstrip())
    return "\n".join(lines)
