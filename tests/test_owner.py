"""An event loop as the owner: changes are applied when it is woken, waits end, the clock ticks."""

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from server.engine import Engine
from server.intake import Intake
from server.owner import LoopOwner
from tests.small_engine import SMALL, rate_change, rate_of

LIMIT_S = 30


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


def run(loop: asyncio.AbstractEventLoop, coroutine: Any) -> Any:
    return loop.run_until_complete(asyncio.wait_for(coroutine, LIMIT_S))


def owned_engine(
    loop: asyncio.AbstractEventLoop, waiting_max: int = 128
) -> tuple[Engine, LoopOwner, Intake]:
    engine = Engine(SMALL, started_at_ns=time.time_ns())
    owner = LoopOwner(engine, loop)
    return engine, owner, Intake(engine, owner.wake, waiting_max=waiting_max)


@pytest.mark.parametrize("waiting_max", [1, 3, 1_000])
def test_owner_when_only_woken_then_it_applies_all_that_other_threads_put(
    loop: asyncio.AbstractEventLoop, waiting_max: int
) -> None:
    engine, _, intake = owned_engine(loop, waiting_max)

    def produce() -> None:
        for version in range(1, 2_001):
            assert intake.put(rate_change(version))

    async def consume() -> None:
        thread = threading.Thread(target=produce)
        thread.start()
        while intake.applied < 2_000:  # noqa: ASYNC110 - it waits for a thread
            await asyncio.sleep(0.001)
        thread.join()

    run(loop, consume())
    assert intake.depth == 0
    assert engine.state_version == rate_of(engine) == 2_000


def test_wait_for_version_when_it_comes_then_the_wait_ends(
    loop: asyncio.AbstractEventLoop,
) -> None:
    _, owner, intake = owned_engine(loop)

    async def wait() -> tuple[bool, bool]:
        waiting = asyncio.create_task(owner.wait_for_version(5, 2 * LIMIT_S))
        await asyncio.sleep(0)
        older = await asyncio.to_thread(intake.put, rate_change(4))
        assert older
        assert not waiting.done()
        await asyncio.to_thread(intake.put, rate_change(6))
        return await waiting, await owner.wait_for_version(7, 0.01)

    assert run(loop, wait()) == (True, False)


def test_wait_for_version_when_it_waits_in_the_ring_then_it_is_applied_first(
    loop: asyncio.AbstractEventLoop,
) -> None:
    engine, owner, _ = owned_engine(loop)
    assert engine.submit(rate_change(3))
    assert run(loop, owner.wait_for_version(3, 0.0))


def test_wake_when_the_loop_has_ended_then_nothing_happens(
    loop: asyncio.AbstractEventLoop,
) -> None:
    engine, _, intake = owned_engine(loop)
    loop.close()
    assert intake.put(rate_change(1))
    assert (intake.depth, engine.state_version) == (1, 0)


def test_tick_forever_when_nobody_calls_then_clock_and_changes_go_on(
    loop: asyncio.AbstractEventLoop,
) -> None:
    engine, owner, _ = owned_engine(loop)
    # Put past the intake, so that nothing but a tick can find it.
    assert engine.submit(rate_change(1))

    async def tick() -> set[int]:
        task, readings = asyncio.create_task(owner.tick_forever()), set[int]()
        while len(readings) < 3:
            await asyncio.sleep(0.01)
            readings.add(engine.now_ns)
        task.cancel()
        return readings

    assert 0 not in run(loop, tick())
    assert engine.state_version == 1
