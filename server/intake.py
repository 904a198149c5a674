"""The way of changes into the engine: any thread puts them in, only the owner takes them out.

`put` blocks while many changes wait, so that the owner never has more than a few milliseconds of
changes to apply between two decisions, however large the state is that somebody loads. The other
methods belong to the owner, which is the event loop of the engine process.
"""

import asyncio
import contextlib
import threading
import time
from typing import Final, Protocol

# About 3 ms of work for the owner.
WAITING_MAX: Final = 128
TICK_INTERVAL_S: Final = 0.1
_FULL_PAUSE_S: Final = 0.001
NO_SLOT: Final = -1


class ChangeSink(Protocol):
    """The part of the engine that takes changes."""

    refused_changes: int

    @property
    def state_version(self) -> int:
        """Version of the newest change that was applied."""

    def submit(self, change: bytes, slot: int = NO_SLOT) -> bool:
        """Put a change into the ring from any thread; False when it is full."""

    def drain(self, reading_ns: int) -> int:
        """Take all changes out of the ring; return how many were applied, not refused."""

    def tick(self, reading_ns: int) -> None:
        """Take in a reading of the clock."""


class Intake:
    """Feeds one engine.

    Args:
        engine: Receives the changes.
        loop: Event loop whose thread owns the engine.
        waiting_max: Changes that may wait before `put` blocks.
    """

    def __init__(
        self,
        engine: ChangeSink,
        loop: asyncio.AbstractEventLoop,
        *,
        waiting_max: int = WAITING_MAX,
    ) -> None:
        self._engine = engine
        self._loop = loop
        self._waiting_max = waiting_max
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._submitted = 0
        self._applied = 0
        self._woken = False
        self._news = asyncio.Event()

    # --- Any thread ---

    @property
    def depth(self) -> int:
        """Changes that wait now."""
        return self._submitted - self._applied

    @property
    def submitted(self) -> int:
        """Changes put in so far."""
        return self._submitted

    @property
    def applied(self) -> int:
        """Changes taken out so far, applied or refused."""
        return self._applied

    def put(self, change: bytes, slot: int = NO_SLOT) -> bool:
        """Hand a serialised StateChange to the engine, in the order of the calls of one thread.

        Blocks while too many wait; never drops one.

        Args:
            change: Bytes of a riskgate.v1.StateChange.
            slot: Model slot that was filled for it, for changes of kind MODEL.

        Returns:
            False when the intake was closed and the change was not taken.
        """
        while not self._closed.is_set():
            with self._lock:
                if self.depth < self._waiting_max and self._engine.submit(change, slot):
                    self._submitted += 1
                    break
            self._wake()
            time.sleep(_FULL_PAUSE_S)
        else:
            return False
        self._wake()
        return True

    def close(self) -> None:
        """Let every `put` that waits or comes later return False."""
        self._closed.set()

    def _wake(self) -> None:
        # One wake-up for any number of changes; a lost race only causes one more.
        if not self._woken:
            self._woken = True
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._drain_when_woken)

    # --- Owner only ---

    def _drain_when_woken(self) -> None:
        self._woken = False
        self.drain()

    def drain(self) -> None:
        """Apply what waits; cheap when nothing does."""
        if self._submitted == self._applied:
            return
        refused = self._engine.refused_changes
        applied = self._engine.drain(time.time_ns())
        self._applied += applied + self._engine.refused_changes - refused
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
