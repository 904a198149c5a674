"""One watched child: start it, start it again, stop it.

The first death is repaired at once. Each further one within ten seconds of a start is followed by
a pause that doubles from 0.2 s to 5 s; all is forgotten once the child has lived for those seconds.
"""

import logging
import time
from collections.abc import Callable
from typing import Protocol

log = logging.getLogger(__name__)

_PAUSE_S_MIN = 0.2
_PAUSE_S_MAX = 5.0
_SETTLED_S = 10.0


class Service(Protocol):
    """What can be watched: an embedded service or one of our own processes."""

    @property
    def pid(self) -> int | None:
        """Process number while it runs under us."""

    def is_running(self) -> bool:
        """Tell whether it is up."""

    def start(self) -> None:
        """Start it; blocks for as long as the service needs to answer."""

    def stop(self) -> None:
        """Stop it; blocks until it is gone."""


class Child:
    """A service under watch.

    Args:
        name: For the log and state.json.
        service: What to keep running.
        clock: Monotonic seconds.
    """

    def __init__(
        self, name: str, service: Service, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = name
        self.service = service
        self.early_deaths = 0
        self._clock = clock
        self._started_at = 0.0
        self._next_start_at: float | None = None

    def start(self) -> None:
        """Start it for the first time; a failure is the caller's."""
        self.service.start()
        self._started_at = self._clock()

    def watch(self) -> bool:
        """Start it again when it has died and its pause is over; return whether it was started."""
        now = self._clock()
        if self._next_start_at is None:
            if self.service.is_running():
                return False
            settled = now - self._started_at >= _SETTLED_S
            self.early_deaths = 1 if settled else self.early_deaths + 1
            pause_s = _pause_s(self.early_deaths)
            log.warning("%s has stopped; starting it again in %.1f s", self.name, pause_s)
            self._next_start_at = now + pause_s
        if now < self._next_start_at:
            return False
        self._next_start_at = None
        try:
            self.service.start()
        except Exception:
            log.exception("%s could not be started", self.name)
            return False
        finally:
            # When the attempt was over: one that hung before it failed counts as an early death.
            self._started_at = self._clock()
        log.info("%s runs again as process %s", self.name, self.service.pid)
        return True

    def stop(self) -> None:
        """Stop it for good."""
        self.service.stop()


def _pause_s(early_deaths: int) -> float:
    if early_deaths == 1:
        return 0.0
    return min(_PAUSE_S_MIN * 2.0 ** (early_deaths - 2), _PAUSE_S_MAX)
