"""Entries of identities as the record has them, at most 250 ms old.

That is how long a revoked or frozen identity goes on at most.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from server.entities import IdentityEntry
from server.record.identities import IdentityRepository
from server.record.pool import Pool, connection

AGE_NS_MAX: Final = 250_000_000
_ENTRIES_MAX: Final = 4_096


class _Lookup(NamedTuple):
    begun_ns: int
    task: asyncio.Task[IdentityEntry | None]


class IdentityCache:
    """Looks entries up, once for all calls that ask at the same time.

    Args:
        pool: Of the record.
        read_clock_ns: Monotonic nanoseconds.
    """

    def __init__(self, pool: Pool, *, read_clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._pool = pool
        self._read_clock_ns = read_clock_ns
        self._identities = IdentityRepository()
        self._lookups: dict[str, _Lookup] = {}

    async def find(self, uri: str) -> IdentityEntry | None:
        """Return the entry, or None.

        Raises:
            UnavailableError: PostgreSQL is away.
        """
        lookup = self._lookups.get(uri)
        now_ns = self._read_clock_ns()
        if lookup is None or now_ns - lookup.begun_ns > AGE_NS_MAX or _has_failed(lookup.task):
            if len(self._lookups) >= _ENTRIES_MAX:
                self._lookups.clear()
            lookup = _Lookup(now_ns, asyncio.create_task(self._look_up(uri)))
            self._lookups[uri] = lookup
        # A caller that goes away takes nobody's answer along.
        return await asyncio.shield(lookup.task)

    async def _look_up(self, uri: str) -> IdentityEntry | None:
        async with connection(self._pool) as database:
            return await self._identities.find(database, uri)


def _has_failed(task: asyncio.Task[IdentityEntry | None]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)
