"""What happens behind the recorder: snapshots of the engine, and segments that are over go.

In a thread of its own: a snapshot takes seconds, which entries must not wait for, and it is needed
just as much while PostgreSQL is away.
"""

import logging
import threading
from collections.abc import Callable
from typing import Final, Protocol

from server.errors import RiskgateError
from server.journal.budget import JournalBudget

log = logging.getLogger(__name__)

# So that it can be asked to stop, and segments go meanwhile.
STEP_ENTRIES: Final = 20_000
_IDLE_S: Final = 0.25
_PAUSE_S: Final = 5.0


class Follower(Protocol):
    """Replays what is journaled and writes snapshots (server/replays/follower.py)."""

    @property
    def snapshotted_number(self) -> int:
        """Newest entry that a snapshot on disk holds; 0 without one."""

    @property
    def followed_number(self) -> int:
        """Newest entry that was replayed."""

    def advance(self, last_number: int) -> bool:
        """Replay up to an entry or as far as the journal goes; tell whether it was reached."""

    def close(self) -> None:
        """Give back what it holds."""


class Housekeeper:
    """Follows one journal and deletes what is recorded and snapshotted.

    Args:
        open_follower: Opened when there is something to follow, and again after a failure.
        budget: Of the journal.
        recorded_number: Returns the newest entry in PostgreSQL; called from the thread.
    """

    def __init__(
        self,
        open_follower: Callable[[], Follower],
        budget: JournalBudget,
        recorded_number: Callable[[], int],
    ) -> None:
        self._open_follower = open_follower
        self._budget = budget
        self._recorded_number = recorded_number
        self._stop_asked = threading.Event()
        self._problem = ""
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End it behind the step that it is at."""
        self._stop_asked.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop_asked.is_set():
            try:
                self._follow()
            except (RiskgateError, OSError) as error:
                if str(error) != self._problem:
                    log.error("no snapshots are written: %s", error)  # noqa: TRY400 - no bug of ours
                    self._problem = str(error)
                self._stop_asked.wait(_PAUSE_S)

    def _follow(self) -> None:
        follower = self._open_follower()
        try:
            while not self._stop_asked.is_set():
                is_behind = follower.advance(follower.followed_number + STEP_ENTRIES)
                self._budget.release(self._recorded_number(), follower.snapshotted_number)
                self._problem = ""
                if not is_behind:
                    self._stop_asked.wait(_IDLE_S)
        finally:
            follower.close()
