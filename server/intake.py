"""The way of changes into the engine: any thread puts them in, in order, and wakes the owner.

`put` blocks while many changes wait, so that the owner never has more than a few milliseconds of
changes to apply between two decisions, however large the state is that somebody loads. Who owns the
engine and takes the changes out is not known here: a compiled loop that sleeps on a descriptor, or
an event loop (`owner.py`). What went in and what came out is read from the ring itself.
"""

import threading
from collections.abc import Callable
from typing import Final, Protocol

from riskgate.v1 import state_pb2
from server.changes import state_change
from server.hotpath.layout import CHANGE_CLOCK

# About 3 ms of work for the owner.
WAITING_MAX: Final = 128
NO_SLOT: Final = -1
_FULL_PAUSE_S: Final = 0.001


class ChangeSink(Protocol):
    """The part of the engine that takes changes; all of it for any thread."""

    @property
    def submitted_changes(self) -> int:
        """Changes put into the ring so far."""

    @property
    def taken_changes(self) -> int:
        """Changes taken out so far and done with, applied or refused; never more than put in."""

    def submit(self, change: bytes, slot: int = NO_SLOT, *, is_partial: bool = False) -> bool:
        """Put a change into the ring; False when it is full."""


class Intake:
    """Feeds one engine.

    Args:
        engine: Receives the changes.
        wake: Makes the owner look at the ring soon; called after each change, in its thread.
            It must not block. One that comes while the owner is busy must not be lost.
        waiting_max: Changes that may wait before `put` blocks.
    """

    def __init__(
        self,
        engine: ChangeSink,
        wake: Callable[[], None],
        *,
        waiting_max: int = WAITING_MAX,
    ) -> None:
        self._engine = engine
        self._wake = wake
        self._waiting_max = waiting_max
        self._lock = threading.Lock()
        self._closed = threading.Event()

    @property
    def depth(self) -> int:
        """Changes that wait now."""
        # What was taken is read first: the other way round it could overtake what was put in.
        taken = self._engine.taken_changes
        return self._engine.submitted_changes - taken

    @property
    def submitted(self) -> int:
        """Changes put in so far."""
        return self._engine.submitted_changes

    @property
    def applied(self) -> int:
        """Changes taken out so far, applied or refused."""
        return self._engine.taken_changes

    def put(self, change: bytes, slot: int = NO_SLOT, *, is_partial: bool = False) -> bool:
        """Hand a serialised StateChange to the engine, in the order of the calls of one thread.

        Blocks while too many wait; never drops one.

        Args:
            change: Bytes of a riskgate.v1.StateChange.
            slot: Model slot that was filled for it, for changes of kind MODEL.
            is_partial: It is part of a load: the state's version does not change by it.

        Returns:
            False when the intake was closed and the change was not taken.
        """
        while not self._closed.is_set():
            with self._lock:
                taken = self.depth < self._waiting_max and self._engine.submit(
                    change, slot, is_partial=is_partial
                )
            if taken:
                # Always, even if others wait: the owner may have looked a moment before.
                self._wake()
                return True
            # The owner was woken for each change that it has not taken yet.
            self._closed.wait(_FULL_PAUSE_S)
        return False

    def complete(self, version: int) -> bool:
        """Number the state after a load, by a reading of the clock that has the version.

        Returns:
            False when the intake was closed.
        """
        rows = bytes(CHANGE_CLOCK.itemsize)
        change = state_change(state_pb2.CHANGE_KIND_CLOCK, "loaded", rows, version=version)
        return self.put(change.SerializeToString())

    def close(self) -> None:
        """Let every `put` that waits or comes later return False."""
        self._closed.set()
