"""Kills that engines heard by themselves become part of the record, and so reach all others.

If any store says killed, it is killed: recorders leave reports (`server/record/kill_reports.py`),
this task of the control process latches them. A report that cannot be read stays, and is said.
"""

import asyncio
import logging
from typing import Final

from google.protobuf.message import DecodeError

from riskgate.v1 import kill_pb2, state_pb2
from server.errors import RiskgateError
from server.kill_rows import Times, read_engine_kill
from server.note import Note
from server.publisher import Publisher
from server.record.admin_change import admin_change
from server.record.kill_latch import latch
from server.record.kill_switches import KillEvent, KillSwitchRepository
from server.record.pool import Pool, connection
from server.security.caller import Call, own_process, set_current_call

log = logging.getLogger(__name__)

EVERY_S: Final = 0.2
_BATCH: Final = 64
_PROCESS: Final = "control"


class KillMerging:
    """Takes reports over.

    Args:
        pool: Of the record.
        publisher: Woken when there is something to publish.
    """

    def __init__(self, pool: Pool, publisher: Publisher) -> None:
        self._pool = pool
        self._publisher = publisher
        self._switches = KillSwitchRepository()
        self._problem = ""
        self._unreadable: set[int] = set()

    async def run(self) -> None:
        """Take reports over until cancelled."""
        while True:
            try:
                await self.merge()
                self._problem = ""
            except RiskgateError as error:
                self._say(f"reports of engines are not merged: {error}")
            except Exception:
                # A defect must not end the merging for good.
                log.exception("reports of engines are not merged")
            await asyncio.sleep(EVERY_S)

    async def merge(self) -> int:
        """Take over what is there; returns how many reports.

        Raises:
            RiskgateError: The record is away; what is left is taken the next time.
        """
        set_current_call(Call(own_process(_PROCESS)))
        async with connection(self._pool) as database:
            reports = await self._switches.reports(database, _BATCH + len(self._unreadable))
        merged = 0
        for report_id, raw in reports:
            if report_id not in self._unreadable:
                merged += await self._take(report_id, raw)
        if merged:
            self._publisher.wake()
        return merged

    async def _take(self, report_id: int, raw: bytes) -> int:
        try:
            message = state_pb2.StateChange.FromString(raw)
            target, times = read_engine_kill(message)
        except (DecodeError, ValueError) as error:
            self._unreadable.add(report_id)
            log.error("report %d of a kill cannot be read: %s", report_id, error)  # noqa: TRY400 - no bug
            return 0
        note = Note(message.kill.actor, message.kill.reason)
        async with admin_change(self._pool, note) as change:
            if not await self._switches.drop_report(change.database, report_id):
                return 0
            for event in _events_of(times, message.kill):
                await latch(change, target, event)
        log.warning("%s was killed at %s", target.key, message.kill.said_to)
        return 1

    def _say(self, line: str) -> None:
        # An outage is tried several times a second and is one line all the same.
        if line != self._problem:
            self._problem = line
            log.error("%s", line)


def _events_of(times: Times, said: state_pb2.KillReason) -> list[KillEvent]:
    return [
        KillEvent(
            is_rearming=False,
            mode=mode,
            at_ns=times.killed_at(mode),
            caller=said.caller,
            actor=said.actor,
            reason=said.reason,
            said_to=said.said_to,
        )
        for mode in (kill_pb2.KILL_MODE_NEW_RISK, kill_pb2.KILL_MODE_ALL)
        if times.killed_at(mode)
    ]
