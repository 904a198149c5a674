"""Signed checkpoints of the journal, made beside the recorder: hashing must not wait for rows."""

import logging
import threading
from collections.abc import Callable
from typing import Final

from server.errors import RiskgateError
from server.journal.seals import Sealer

log = logging.getLogger(__name__)

_IDLE_S: Final = 1.0
_PAUSE_S: Final = 5.0


class Sealing:
    """Seals one journal as it grows, in a thread of its own.

    Args:
        sealer: Used by that thread only.
        newest_number: Returns the newest entry that is known; called from the thread.
    """

    def __init__(self, sealer: Sealer, newest_number: Callable[[], int]) -> None:
        self._sealer = sealer
        self._newest_number = newest_number
        self._stop_asked = threading.Event()
        self._problem = ""
        self._thread = threading.Thread(target=self._run, name="sealing", daemon=True)

    @property
    def sealed_number(self) -> int:
        """Newest entry that a checkpoint covers."""
        return self._sealer.sealed_number

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End it behind the step that it is at, and seal what is there."""
        self._stop_asked.set()
        self._thread.join()
        self._try(self._sealer.seal)

    def _run(self) -> None:
        while not self._stop_asked.is_set():
            is_well = self._try(lambda: self._sealer.advance(self._newest_number()))
            self._stop_asked.wait(_IDLE_S if is_well else _PAUSE_S)

    def _try(self, step: Callable[[], int]) -> bool:
        try:
            step()
        except RiskgateError as error:
            if str(error) != self._problem:
                log.error("the journal is not sealed: %s", error)  # noqa: TRY400 - no bug of ours
                self._problem = str(error)
            return False
        self._problem = ""
        return True
