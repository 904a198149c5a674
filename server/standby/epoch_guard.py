"""Watches the epoch of our shard in Redis: how an engine learns that one elsewhere has taken over.

On one machine the lane sees that by itself (server/journal/fencing.py). Between machines there is
this thread, and a bound: no heartbeat that was published after the takeover is let through, so that
30 s later the engine refuses new risk even if it never hears of it.
"""

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from server.engine import Engine
from server.errors import RiskgateError
from server.journal.active_epoch import ActiveEpoch
from server.journal.fencing import Fence, claim, read_fence

log = logging.getLogger(__name__)

INTERVAL_S: Final = 0.5


class EpochStore(Protocol):
    """Where the engines of one shard name their epochs."""

    def raise_to(self, epoch: int) -> int:
        """Name an epoch and return the highest one.

        Raises:
            UnavailableError: Nobody answers.
        """

    def close(self) -> None:
        """Close the connection."""


class EpochGuard:
    """Fences one engine when a higher epoch than its own is named.

    Args:
        store: Where epochs are named.
        epoch: Of the engine.
        fence: Fences it, given the higher epoch; called in any thread, perhaps again.
    """

    def __init__(self, store: EpochStore, epoch: int, fence: Callable[[int], None]) -> None:
        self._store = store
        self._epoch = epoch
        self._fence = fence
        self._is_away = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="epoch-guard", daemon=True)
        self.is_named = False

    def is_ours(self) -> bool:
        """Ask now whether no higher epoch is named; names ours.

        Raises:
            UnavailableError: Nobody answers.
        """
        highest = self._store.raise_to(self._epoch)
        self.is_named = True
        if highest > self._epoch:
            self._fence(highest)
        return highest <= self._epoch

    def may_beat(self) -> bool:
        """Tell whether a heartbeat that was read before may reach the engine."""
        try:
            return self.is_ours()
        except RiskgateError:
            return False  # the thread says why

    def start(self) -> None:
        """Look every half second, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; blocks for a moment."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._store.close()

    def _run(self) -> None:
        wait_s = 0.0
        while not self._stop.wait(wait_s):
            wait_s = INTERVAL_S
            try:
                self.is_ours()
            except RiskgateError as error:
                if not self._is_away:
                    log.warning("the epoch cannot be checked: %s", error)
                self._is_away = True
            else:
                self._is_away = False


class EngineFence:
    """Fences the engine of this process for good, on the word of Redis.

    Args:
        engine: May be running.
        folder: Of its journal; None when it keeps none.
    """

    def __init__(self, engine: Engine, folder: Path | None) -> None:
        self._engine = engine
        self._folder = folder
        self._lock = threading.Lock()
        self._is_done = False

    def __call__(self, epoch: int) -> None:
        """Let it answer nothing more, and no other engine of this journal start."""
        with self._lock:
            if self._is_done:
                return
            log.critical(
                "epoch %d is named in redis, ours is %d: another engine has taken over, this one "
                "decides nothing more. If no other engine was ever active, its data directory was "
                "exchanged: stop it, write %d into its file `epoch`, remove `fenced.json` and "
                "`active-epoch` from its journal's folder, and start it again",
                *(epoch, int(self._engine.state.engine[0]["epoch"]), epoch),
            )
            self._engine.journal["fenced"] = 1
            if self._folder is not None:
                _keep(self._folder, epoch)
            self._is_done = True


def _keep(folder: Path, epoch: int) -> None:
    """Note it where the lane looks, and the next start."""
    active = ActiveEpoch(folder)
    try:
        active.raise_to(epoch)
    finally:
        active.close()
    if read_fence(folder) is None:
        claim(folder, Fence.begin("redis", "redis").model_copy(update={"epoch": epoch}))
