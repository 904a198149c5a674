"""An event loop as the owner of an engine: it takes changes out of the ring between two calls.

Everything here runs on the loop, but `wake`, which any thread may call.
"""

import asyncio
import contextlib
import time
from typing import Final, Protocol

TICK_INTERVAL_S: Final = 0.1


class OwnedEngine(Protocol):
    """The part of the engine that its owner alone may use."""

    @property
    def submitted_changes(self) -> int:
        """Changes put into the ring so far."""

    @property
    def taken_changes(self) -> int:
        """Changes taken out so far and done with, applied or refused."""

    @property
    def state_version(self) -> int:
        """Version of the newest change that was applied."""

    def drain(self, reading_ns: int) -> int:
        """Take all changes out of the ring; return how many were applied, not refused."""

    def tick(self, reading_ns: int) -> None:
        """Take in a reading of the clock."""


class LoopOwner:
    """Owns one engine from one event loop.

    Args:
        engine: Used by nobody else from now on.
        loop: Event loop whose thread owns the engine.
    """

    def __init__(self, engine: OwnedEngine, loop: asyncio.AbstractEventLoop) -> None:
        self._engine = engine
        self._loop = loop
        self._woken = False
        self._news = asyncio.Event()

    def wake(self) -> None:
        """Let the loop apply soon what waits; any thread."""
        # One call for any number of changes; a lost race only causes one more.
        if not self._woken:
            self._woken = True
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._drain_when_woken)

    def _drain_when_woken(self) -> None:
        self._woken = False
        self.drain()

    def drain(self) -> None:
        """Apply what waits; cheap when nothing does."""
        engine = self._engine
        if engine.submitted_changes == engine.taken_changes:
            return
        engine.drain(time.time_ns())
        self._news.set()
        self._news = asyncio.Event()

    async def wait_for_version(self, version: int, wait_s: float) -> bool:
        """Wait until the state is at least that new; return whether it is."""
        self.drain()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                while self._engine.state_version < version:
                    await self._news.wait()
        return self._engine.state_version >= version

    async def tick_forever(self) -> None:
        """Give the engine a reading of the clock ten times a second, until cancelled."""
        while True:
            self.drain()
            self._engine.tick(time.time_ns())
            await asyncio.sleep(TICK_INTERVAL_S)
