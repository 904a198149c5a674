"""The window of calls of one identity."""

import time

import pytest

from server.security.rate_limits import BURST_MAX, CALLS_PER_SECOND_DEFAULT, RateLimits
from server.trust_errors import RateLimitedError


class Clock:
    """A wall clock that moves by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 1_800_000_000.0
        monkeypatch.setattr(time, "time", lambda: self.now_s)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def take_all(limits: RateLimits, uri: str, rate: int | None, burst: int | None) -> tuple[int, int]:
    """Return how many calls are taken at once, and after how many ms the next one is."""
    taken = 0
    while True:
        try:
            limits.take(uri, rate, burst)
        except RateLimitedError as error:
            return taken, error.retry_after_ms
        taken += 1


@pytest.mark.parametrize(
    ("rate", "burst", "at_once", "wait_ms"),
    [
        (10, 50, 50, 5_000),
        (100, 1, 1, 10),
        (3, 7, 7, 2_334),
        (5, None, 10, 2_000),
        (None, None, 2 * CALLS_PER_SECOND_DEFAULT, 2_000),
        (1_000_000, 1_000_000, BURST_MAX, 10),
    ],
)
def test_so_many_calls_go_at_once(
    clock: Clock, rate: int | None, burst: int | None, at_once: int, wait_ms: int
) -> None:
    taken, hint_ms = take_all(RateLimits(), "ann", rate, burst)
    assert taken == at_once
    # The clock has the precision of a double, some hundred nanoseconds.
    assert wait_ms - 1 <= hint_ms <= wait_ms + 1


def test_who_waits_as_told_is_taken_and_who_does_not_is_refused(clock: Clock) -> None:
    limits = RateLimits()
    _, wait_ms = take_all(limits, "ann", 10, 5)
    clock.now_s += wait_ms / 1_000 - 0.01
    with pytest.raises(RateLimitedError):
        limits.take("ann", 10, 5)
    clock.now_s += 0.02
    limits.take("ann", 10, 5)


def test_in_the_long_run_no_more_than_the_rate_is_taken(clock: Clock) -> None:
    limits = RateLimits()
    taken = 0
    for _ in range(1_000):
        try:
            limits.take("ann", 7, 3)
        except RateLimitedError:
            pass
        else:
            taken += 1
        clock.now_s += 0.01
    assert 60 <= taken <= 7 * 10 + 3


def test_identities_do_not_share_a_window(clock: Clock) -> None:
    limits = RateLimits()
    take_all(limits, "ann", 1, 1)
    limits.take("rob", 1, 1)


def test_a_clock_that_is_set_back_locks_nobody_out(clock: Clock) -> None:
    limits = RateLimits()
    take_all(limits, "ann", 1, 5)
    clock.now_s -= 3_600
    limits.take("ann", 1, 5)
