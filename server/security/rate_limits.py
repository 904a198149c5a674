"""How often each identity may call: a moving window, in memory, of this process alone.

`burst` calls fit into a window of burst ÷ calls_per_second seconds, so that is how many go at once,
and calls_per_second how many in the long run.
"""

import math
import time
from typing import Final

from limits.storage import MemoryStorage

from server.trust_errors import RateLimitedError

CALLS_PER_SECOND_DEFAULT: Final = 1_000
# The window keeps the time of each call: more than this at once are not for an administrative port.
BURST_MAX: Final = 10_000
_BURST_SECONDS_DEFAULT: Final = 2


class RateLimits:
    """Counts the calls of each identity."""

    def __init__(self) -> None:
        self._storage = MemoryStorage()
        self._newest_s = 0.0

    def take(self, uri: str, calls_per_second: int | None, burst: int | None) -> None:
        """Count one call.

        Args:
            uri: Of the identity.
            calls_per_second: In the long run; None: 1,000.
            burst: At once, cut to 10,000; None: those of two seconds.

        Raises:
            RateLimitedError: It has used up its calls; says when the next one fits.
        """
        rate = calls_per_second or CALLS_PER_SECOND_DEFAULT
        at_once = min(burst or rate * _BURST_SECONDS_DEFAULT, BURST_MAX)
        self._forget_the_future()
        # The storage takes any positive time, though it is annotated as whole seconds.
        window_s: int = at_once / rate  # type: ignore[assignment]
        key = f"{uri} {rate} {at_once}"
        if not self._storage.acquire_entry(key, at_once, window_s):
            begins_s, _ = self._storage.get_moving_window(key, at_once, window_s)
            wait_s = begins_s + window_s - time.time()
            raise RateLimitedError(max(1, math.ceil(wait_s * 1_000)))

    def _forget_the_future(self) -> None:
        # The window is kept in wall clock time. When that is set back, calls noted in what is now
        # the future would stay in their window until it comes: begin anew instead.
        now_s = time.time()
        if now_s < self._newest_s - 1:
            self._storage.reset()
        self._newest_s = now_s
