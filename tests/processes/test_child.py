from collections.abc import Callable, Iterator
from itertools import count

import pytest

from server.child import Child


class FakeService:
    """Runs until it is told to die; can refuse to start."""

    def __init__(self) -> None:
        self.alive = False
        self.starts = 0
        self.refuses = False
        self.hangs: Callable[[], object] = bool

    @property
    def pid(self) -> int | None:
        return self.starts if self.alive else None

    def is_running(self) -> bool:
        return self.alive

    def start(self) -> None:
        self.starts += 1
        self.hangs()
        if self.refuses:
            raise OSError("no such program")
        self.alive = True

    def stop(self) -> None:
        self.alive = False


class FakeClock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def child(service: FakeService, clock: FakeClock) -> Iterator[Child]:
    child = Child("thing", service, clock=clock)
    child.start()
    yield child
    child.stop()
    assert not service.alive


def _pause_s(child: Child, service: FakeService, clock: FakeClock) -> float:
    """Kill the service and return how long the child waits before it starts it again."""
    service.alive = False
    for tick in count():
        if child.watch():
            return tick * 0.1
        clock.now_s += 0.1
    raise AssertionError


def test_watch_when_it_runs_then_leaves_it_alone(child: Child, service: FakeService) -> None:
    assert not any(child.watch() for _ in range(10))
    assert service.starts == 1


def test_watch_when_it_keeps_dying_then_pauses_grow_up_to_a_bound(
    child: Child, service: FakeService, clock: FakeClock
) -> None:
    pauses_s = [_pause_s(child, service, clock) for _ in range(8)]
    assert pauses_s[0] == 0
    assert pauses_s[1:6] == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2], abs=0.15)
    assert pauses_s[6:] == pytest.approx([5.0] * 2, abs=0.15)
    assert child.early_deaths == 8


def test_watch_when_it_had_settled_then_it_is_started_again_at_once(
    child: Child, service: FakeService, clock: FakeClock
) -> None:
    for _ in range(5):
        _pause_s(child, service, clock)
    clock.now_s += 60
    assert _pause_s(child, service, clock) == 0
    assert child.early_deaths == 1


def test_watch_when_a_restart_hangs_and_then_fails_then_that_is_an_early_death(
    child: Child, service: FakeService, clock: FakeClock
) -> None:
    service.hangs = lambda: setattr(clock, "now_s", clock.now_s + 60)
    service.refuses = True
    service.alive = False
    assert not child.watch()
    assert (service.starts, child.early_deaths) == (2, 1)
    assert not child.watch()
    assert (service.starts, child.early_deaths) == (2, 2)


def test_watch_when_a_restart_fails_then_tries_again(
    child: Child, service: FakeService, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    service.refuses = True
    service.alive = False
    for _ in range(100):
        assert not child.watch()
        clock.now_s += 0.1
    assert service.starts > 3
    assert "could not be started" in caplog.text
    service.refuses = False
    assert any(_step(child, clock) for _ in range(100))
    assert service.alive


def _step(child: Child, clock: FakeClock) -> bool:
    clock.now_s += 0.1
    return child.watch()


def test_start_when_the_first_start_fails_then_the_caller_hears_of_it(clock: FakeClock) -> None:
    service = FakeService()
    service.refuses = True
    with pytest.raises(OSError, match="no such program"):
        Child("thing", service, clock=clock).start()
