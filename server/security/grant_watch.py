"""The thread beside a decision port that keeps its grants current and tells what was denied."""

import logging
import threading
from typing import Final

from server.security.denial_spool import DenialSpool
from server.security.grants import Grants

log = logging.getLogger(__name__)

LOOK_INTERVAL_S: Final = 0.25
# Looks between two writes of the spool.
_WRITE_EVERY: Final = 4


class GrantWatch:
    """Looks at the list of revoked certificates four times a second, and spools once a second.

    Args:
        grants: What the port reads.
        spool: Where denied calls go.
    """

    def __init__(self, grants: Grants, spool: DenialSpool) -> None:
        self._grants = grants
        self._spool = spool
        self._stop_asked = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Watch from now on, in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="grants", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and write what is left; when the port takes no more calls."""
        self._stop_asked.set()
        if self._thread is not None:
            self._thread.join()
            self._write()

    def _run(self) -> None:
        looks = 0
        while not self._stop_asked.wait(LOOK_INTERVAL_S):
            looks += 1
            try:
                self._grants.look_at_crl()
            except Exception:
                log.exception("the list of revoked certificates could not be looked at")
            if looks % _WRITE_EVERY == 0:
                self._write()

    def _write(self) -> None:
        try:
            self._spool.write(self._grants.denials())
        except Exception:
            log.exception("denied calls could not be spooled")
