"""The way of changes into the engine: order, bounded waiting, one wake-up for each change."""

import os
import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from server.engine import Engine
from server.intake import Intake
from tests.small_engine import NOW_NS, new_small_engine, rate_change, rate_of

JOIN_S = 30


class Sleeper:
    """An owner that sleeps on a descriptor, as a compiled loop does, and takes a few at a time."""

    def __init__(self, engine: Engine, changes: int) -> None:
        self._engine = engine
        self._changes = changes
        self._descriptor = os.eventfd(0, os.EFD_CLOEXEC)
        self.thread = threading.Thread(target=self._run)
        self.longest = 0
        self.overslept = False

    def wake(self) -> None:
        os.eventfd_write(self._descriptor, 1)

    def _run(self) -> None:
        engine = self._engine
        while engine.taken_changes < self._changes:
            ready, _, _ = select.select([self._descriptor], [], [], JOIN_S)
            if not ready:
                self.overslept = True
                return
            os.eventfd_read(self._descriptor)
            taken = engine.taken_changes
            engine.drain(NOW_NS)
            self.longest = max(self.longest, engine.taken_changes - taken)

    def close(self) -> None:
        os.close(self._descriptor)


@contextmanager
def sleeping_owner(engine: Engine, changes: int) -> Iterator[Sleeper]:
    owner = Sleeper(engine, changes)
    owner.thread.start()
    try:
        yield owner
    finally:
        owner.thread.join(2 * JOIN_S)
        owner.close()


@pytest.mark.parametrize("waiting_max", [1, 3, 1_000])
def test_put_when_the_owner_sleeps_until_woken_then_nothing_is_lost_or_left(
    waiting_max: int,
) -> None:
    engine, changes = new_small_engine(), 2_000
    with sleeping_owner(engine, changes) as owner:
        intake = Intake(engine, owner.wake, waiting_max=waiting_max)
        for version in range(1, changes + 1):
            # Every fifth is no change at all: it is refused at its place.
            assert intake.put(rate_change(version) if version % 5 else b"\xff")
    assert not owner.overslept
    assert owner.longest <= waiting_max
    assert (intake.submitted, intake.applied, intake.depth) == (changes, changes, 0)
    assert engine.refused_changes == changes // 5
    assert engine.state_version == rate_of(engine) == changes - 1


def test_put_when_several_threads_put_then_no_more_wait_than_may() -> None:
    engine, changes, threads = new_small_engine(), 300, 4
    deepest: list[int] = []
    with sleeping_owner(engine, threads * changes) as owner:
        intake = Intake(engine, owner.wake, waiting_max=5)

        def produce() -> None:
            for version in range(1, changes + 1):
                assert intake.put(rate_change(version))
                deepest.append(intake.depth)

        producers = [threading.Thread(target=produce) for _ in range(threads)]
        for producer in producers:
            producer.start()
        for producer in producers:
            producer.join(JOIN_S)
    assert len(deepest) == engine.taken_changes == threads * changes
    assert min(deepest) >= 0
    assert max(deepest) <= 5


def test_put_when_there_is_room_then_it_wakes_once_and_never_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine, wakes = new_small_engine(), list[int]()
    intake = Intake(engine, lambda: wakes.append(engine.submitted_changes), waiting_max=5)

    def refuse(_pause_s: float) -> bool:
        raise AssertionError("it waited")

    monkeypatch.setattr(intake._closed, "wait", refuse)
    for version in range(1, 6):
        assert intake.put(rate_change(version))
    # Each came after its change was there to be seen.
    assert wakes == [1, 2, 3, 4, 5]
    with pytest.raises(AssertionError, match="it waited"):
        intake.put(rate_change(6))


def test_put_when_full_then_it_ends_as_soon_as_the_owner_has_taken_one() -> None:
    engine, wakes, results = new_small_engine(), list[int](), list[bool]()
    intake = Intake(engine, lambda: wakes.append(engine.submitted_changes), waiting_max=1)
    assert intake.put(rate_change(1))
    thread = threading.Thread(target=lambda: results.append(intake.put(rate_change(2))))
    thread.start()
    assert (intake.submitted, intake.depth) == (1, 1)
    assert engine.drain(NOW_NS) == 1
    thread.join(JOIN_S)
    assert results == [True]
    assert wakes == [1, 2]
    assert engine.drain(NOW_NS) == 1
    assert rate_of(engine) == 2


def test_put_when_closed_then_it_returns_false_even_while_it_waits() -> None:
    engine, results = new_small_engine(), list[bool]()
    intake = Intake(engine, lambda: None, waiting_max=1)
    assert intake.put(rate_change(1))
    thread = threading.Thread(target=lambda: results.append(intake.put(rate_change(2))))
    thread.start()
    intake.close()
    thread.join(JOIN_S)
    assert results == [False]
    assert not intake.put(rate_change(3))
    assert engine.drain(NOW_NS) == 1
    assert engine.state_version == 1
