"""Control's watch over unusual behaviour: counts calls, reports what the rules find, may freeze.

Deployments and denials are counted from the rows of the audit log, so those of engines and of other
processes count too. Reads leave no row; the port tells them.
"""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from riskgate.v1 import rights_pb2
from server.errors import RiskgateError
from server.record.admin_change import Note, admin_change
from server.record.audit import DENIED, DONE
from server.record.audit_pages import AuditPages
from server.record.identities import set_identity_status
from server.record.pool import Pool, connection
from server.security.anomalies import (
    BULK_READS,
    MANY_DENIALS,
    RAPID_DEPLOYMENTS,
    Anomaly,
    CallCounts,
)
from server.security.audit_rows import ChainRow
from server.security.caller import Call, own_process, set_current_call
from server.security.rights import RIGHTS

log = logging.getLogger(__name__)

EVERY_S: Final = 1.0
_MICROSECONDS: Final = 1_000_000
_PENDING_MAX: Final = 1_000
_PROCESS: Final = "control"
_URI_PREFIX: Final = "spiffe://"

# Freezes an identity for a reason; tells whether it is out of action now.
Freeze = Callable[[str, str], Awaitable[bool]]


def freezer(pool: Pool, wake: Callable[[], None]) -> Freeze:
    """Return what freezes identities on record.

    Args:
        pool: Of the record.
        wake: Called after a commit, so that engines hear of it at once.
    """

    async def freeze(uri: str, reason: str) -> bool:
        # Who has no certificate has no entry either.
        if not uri.startswith(_URI_PREFIX):
            return False
        async with admin_change(pool, Note(actor=_PROCESS, reason=reason)) as change:
            _, entry = await set_identity_status(change, uri, "frozen")
        wake()
        return not entry.is_active

    return freeze


class AnomalyWatch:
    """Counts the calls of one stack.

    Args:
        pool: Of the record.
        freeze: Freezes an identity for a reason; None: anomalies are only reported.
        read_clock_s: Unix seconds.
    """

    def __init__(
        self,
        pool: Pool,
        freeze: Freeze | None = None,
        *,
        read_clock_s: Callable[[], float] = time.time,
    ) -> None:
        self._pool = pool
        self._freeze = freeze
        self._read_clock_s = read_clock_s
        self._pages = AuditPages()
        self._counts = CallCounts()
        self._pending: list[Anomaly] = []
        self._problem = ""

    def note_read(self, call: Call) -> None:
        """Count a call that may go on, if it is one that reads many rows."""
        right = RIGHTS.get(call.method)
        if right is not None and right.watch == rights_pb2.WATCH_BULK_READ:
            self._take(self._counts.add(BULK_READS, call.caller.uri, self._read_clock_s()))

    async def watch_rows(self, rows: list[ChainRow]) -> None:
        """Count the calls that rows of the audit log tell of."""
        for row in rows:
            said = json.loads(row.text)
            at_s = said["occurred_at_us"] / _MICROSECONDS
            right = RIGHTS.get(said["method"])
            is_deployment = right is not None and right.watch == rights_pb2.WATCH_DEPLOYMENT
            if said["outcome"] == DONE and is_deployment:
                self._take(self._counts.add(RAPID_DEPLOYMENTS, said["identity"], at_s))
            elif said["outcome"] == DENIED:
                # One row stands for many calls where an engine has counted them.
                calls = int((said["new_value"] or {}).get("calls", 1))
                self._take(self._counts.add(MANY_DENIALS, said["identity"], at_s, calls))

    async def run(self) -> None:
        """Report what is found until cancelled."""
        while True:
            await self.advance()
            await asyncio.sleep(EVERY_S)

    async def advance(self) -> bool:
        """Report what was found; what is in the way is logged, and tried again the next time."""
        try:
            await self.report()
        except Exception as error:
            if str(error) != self._problem:
                trace = None if isinstance(error, RiskgateError) else error
                log.error("anomalies are not recorded: %s", error, exc_info=trace)  # noqa: TRY400 - see trace
                self._problem = str(error)
            return False
        self._problem = ""
        return True

    async def report(self) -> None:
        """Record what was found, and freeze whom it is about if that is wanted.

        Raises:
            RiskgateError: It was not possible; what is left is kept for the next time.
        """
        set_current_call(Call(own_process(_PROCESS)))
        while self._pending:
            anomaly = self._pending[0]
            frozen = self._freeze is not None and await self._freeze(
                anomaly.identity, f"rule {anomaly.rule.name}: {anomaly.observed} calls in a minute"
            )
            async with connection(self._pool) as database:
                await self._pages.add_anomaly(database, anomaly, frozen=frozen)
            self._pending.pop(0)

    def _take(self, anomaly: Anomaly | None) -> None:
        if anomaly is None:
            return
        log.warning(
            "anomaly %s: %d calls of %s in a minute, unusual from %d on",
            *(anomaly.rule.name, anomaly.observed, anomaly.identity, anomaly.rule.threshold),
        )
        if len(self._pending) < _PENDING_MAX:
            self._pending.append(anomaly)
