"""One thread for each watched child, so that a restart that hangs holds up no other.

A process gets its death signal when the thread that started it ends. A child may have been started
again here, so this thread lives until it has stopped its child itself.
"""

import logging
import threading
from collections.abc import Callable

from server.child import Child

log = logging.getLogger(__name__)

_POLL_S = 0.05


class Watcher:
    """Keeps one child running from `start` to `stop`.

    Args:
        child: What to watch; its first start is the caller's.
        on_start: Called in the thread after each restart.
    """

    def __init__(self, child: Child, *, on_start: Callable[[], None]) -> None:
        self.child = child
        self._on_start = on_start
        self._held = threading.Event()
        self._stop_asked = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Watch from now on."""
        # A daemon: should we end without `stop`, the death signal ends the child.
        self._thread = threading.Thread(
            target=self._run, name=f"watch {self.child.name}", daemon=True
        )
        self._thread.start()

    def hold(self) -> None:
        """Begin no further restart; one that runs may still finish."""
        self._held.set()

    def stop(self) -> None:
        """Stop the child for good; blocks until it is gone, and for a start that runs before."""
        self.hold()
        self._stop_asked.set()
        if self._thread is None:
            self.child.stop()
        else:
            self._thread.join()

    def _run(self) -> None:
        while not self._stop_asked.wait(_POLL_S):
            if self._held.is_set():
                continue
            try:
                if self.child.watch():
                    self._on_start()
            except Exception:
                log.exception("%s could not be watched", self.child.name)
        try:
            self.child.stop()
        except Exception:
            log.exception("%s could not be stopped", self.child.name)
