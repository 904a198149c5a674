"""Rows of the audit log about calls that were denied, and about mutating calls that failed.

Each leaves one row before its refusal is answered. Whoever floods the port with what it may not do
must not fill the log, nor keep others from it: beyond 50 rows in 10 seconds, the denied calls of
one identity are counted, and one row at the end of those seconds says how many there were and what
the last one was.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Final

from server.errors import RiskgateError
from server.record.audit import DENIED, REFUSED, Outcome, record_refusal
from server.record.pool import Pool
from server.security.caller import Call
from server.trust_errors import AccessError

log = logging.getLogger(__name__)

ROWS_MAX: Final = 50
WINDOW_S: Final = 10.0
# Work that goes on although its caller has gone away; control waits for it before it ends.
TASK_NAME: Final = "call without caller"


@dataclass(frozen=True, slots=True)
class _Refusal:
    call: Call
    outcome: Outcome
    code: str
    problem: str
    reason: str


@dataclass(slots=True)
class _Window:
    """What one identity was denied since its window was opened."""

    rows: int = 0
    unwritten: int = 0
    newest: _Refusal | None = None


class RefusedCalls:
    """Writes the rows.

    Args:
        pool: Of the record.
        window_s: How long rows of one identity are counted together.
    """

    def __init__(self, pool: Pool, *, window_s: float = WINDOW_S) -> None:
        self._pool = pool
        self._window_s = window_s
        self._windows: dict[str, _Window] = {}
        self._writing: set[asyncio.Task[None]] = set()

    async def record(self, call: Call, error: Exception, *, reason: str = "") -> None:
        """Write the row of a refused call; it is written even if the caller goes away meanwhile.

        Args:
            call: Who called what.
            error: Why it is refused.
            reason: Justification that the request gave.
        """
        refusal = _describe(call, error, reason)
        if refusal.outcome == DENIED:
            window = self._open_window(call.caller.uri)
            if window.rows >= ROWS_MAX:
                window.unwritten += 1
                window.newest = refusal
                return
            window.rows += 1
        await asyncio.shield(self._start(refusal))

    def _open_window(self, uri: str) -> _Window:
        if uri not in self._windows:
            self._windows[uri] = _Window()
            asyncio.get_running_loop().call_later(self._window_s, self._close_window, uri)
        return self._windows[uri]

    def _close_window(self, uri: str) -> None:
        window = self._windows.pop(uri)
        if window.newest is not None:
            self._start(window.newest, more=window.unwritten)

    def _start(self, refusal: _Refusal, *, more: int = 0) -> asyncio.Task[None]:
        task = asyncio.create_task(self._write(refusal, more), name=TASK_NAME)
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
        return task

    async def _write(self, refusal: _Refusal, more: int) -> None:
        problem = refusal.problem
        if more:
            problem = f"{more} calls in {self._window_s:g} s, the last one: {problem}"
        try:
            await record_refusal(
                self._pool,
                refusal.call,
                refusal.outcome,
                code=refusal.code,
                problem=problem,
                reason=refusal.reason,
                calls=more or 1,
            )
        except RiskgateError as error:
            # The call is refused all the same; what is lost is said here.
            log.error(  # noqa: TRY400 - the reason is in the text
                "no audit row of %s by %s, %s: %s",
                refusal.call.method,
                refusal.call.caller.uri,
                problem,
                error,
            )


def _describe(call: Call, error: Exception, reason: str) -> _Refusal:
    outcome = DENIED if isinstance(error, AccessError) else REFUSED
    named = error if isinstance(error, RiskgateError) else RiskgateError()
    return _Refusal(call, outcome, named.grpc_code, named.public_message(), reason)
