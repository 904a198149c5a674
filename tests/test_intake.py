"""The way of changes into the engine: order, bounded waiting, wake-ups, waiting for a version."""

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

from server.intake import Intake


class SlowEngine:
    """Takes numbers as changes; a ring of four."""

    def __init__(self) -> None:
        self.ring: list[bytes] = []
        self.taken: list[int] = []
        self.longest = 0
        self.ticks = 0
        self.refused_changes = 0
        self.state_version = 0
        self.owner = threading.current_thread()

    def submit(self, change: bytes, slot: int = -1) -> bool:
        assert slot == -1
        if len(self.ring) >= 4:
            return False
        self.ring.append(change)
        return True

    def drain(self, reading_ns: int) -> int:
        assert threading.current_thread() is self.owner
        assert reading_ns > 0
        waiting, self.ring = self.ring, []
        self.longest = max(self.longest, len(waiting))
        for change in waiting:
            number = int(change)
            self.taken.append(number)
            self.refused_changes += number % 2
            self.state_version = max(self.state_version, number)
        return sum(int(change) % 2 == 0 for change in waiting)

    def tick(self, reading_ns: int) -> None:
        assert reading_ns > 0
        self.ticks += 1


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


def run_with_producer(loop: asyncio.AbstractEventLoop, intake: Intake, count: int) -> None:
    def produce() -> None:
        for number in range(count):
            assert intake.put(b"%d" % number)

    async def consume() -> None:
        thread = threading.Thread(target=produce)
        thread.start()
        while intake.applied < count:  # noqa: ASYNC110 - it waits for a thread
            await asyncio.sleep(0.001)
        thread.join()

    loop.run_until_complete(asyncio.wait_for(consume(), 20))


@pytest.mark.parametrize("waiting_max", [1, 3, 1_000])
def test_put_when_the_ring_is_full_then_it_waits_and_nothing_is_lost(
    loop: asyncio.AbstractEventLoop, waiting_max: int
) -> None:
    engine = SlowEngine()
    intake = Intake(engine, loop, waiting_max=waiting_max)
    run_with_producer(loop, intake, 2_000)
    assert engine.taken == list(range(2_000))
    assert engine.longest <= min(waiting_max, 4)
    assert (intake.depth, intake.applied, engine.refused_changes) == (0, 2_000, 1_000)


def test_put_when_closed_then_it_returns_false_even_while_it_waits(
    loop: asyncio.AbstractEventLoop,
) -> None:
    engine = SlowEngine()
    intake = Intake(engine, loop, waiting_max=1)
    assert intake.put(b"0")
    results: list[bool] = []
    thread = threading.Thread(target=lambda: results.append(intake.put(b"1")))
    thread.start()
    time.sleep(0.05)
    assert results == []
    intake.close()
    thread.join(5)
    assert results == [False]
    assert not intake.put(b"2")
    assert engine.ring == [b"0"]


def test_wait_for_version_when_it_comes_then_it_returns_at_once(
    loop: asyncio.AbstractEventLoop,
) -> None:
    engine = SlowEngine()
    intake = Intake(engine, loop)

    async def wait() -> tuple[bool, bool, float]:
        timer = threading.Timer(0.02, intake.put, [b"6"])
        timer.start()
        started = time.monotonic()
        arrived = await intake.wait_for_version(5, 5.0)
        waited_s = time.monotonic() - started
        missed = await intake.wait_for_version(7, 0.05)
        timer.join()
        return arrived, missed, waited_s

    arrived, missed, waited_s = loop.run_until_complete(wait())
    assert (arrived, missed) == (True, False)
    assert waited_s < 1.0


def test_tick_forever_when_idle_then_the_clock_is_read_ten_times_a_second(
    loop: asyncio.AbstractEventLoop,
) -> None:
    engine = SlowEngine()
    intake = Intake(engine, loop)

    async def idle() -> None:
        task = asyncio.create_task(intake.tick_forever())
        await asyncio.sleep(0.55)
        task.cancel()

    loop.run_until_complete(idle())
    assert 3 <= engine.ticks <= 6
