"""Rows of the kill switch: what is killed, who said so, and what engines have reported."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from psycopg.rows import DictRow

from server.kill_rows import Target, Times
from server.record import rows
from server.record.pool import Database

KIND: Final = "kill_switch"
EVENTS_MAX: Final = 20
_TABLE: Final = "kill_switch"
_ORDER: Final = ("scope", "provider_type", "name")
_TIMES: Final = tuple(f"{name}_at_ns" for name in Times._fields)

_MERGE: Final = """
INSERT INTO riskgate.kill_switch AS old (scope, provider_type, name, new_risk_killed_at_ns,
    new_risk_rearmed_at_ns, all_killed_at_ns, all_rearmed_at_ns)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (scope, provider_type, name) DO UPDATE SET updated_at = now(),
    new_risk_killed_at_ns = greatest(old.new_risk_killed_at_ns, EXCLUDED.new_risk_killed_at_ns),
    new_risk_rearmed_at_ns = greatest(old.new_risk_rearmed_at_ns, EXCLUDED.new_risk_rearmed_at_ns),
    all_killed_at_ns = greatest(old.all_killed_at_ns, EXCLUDED.all_killed_at_ns),
    all_rearmed_at_ns = greatest(old.all_rearmed_at_ns, EXCLUDED.all_rearmed_at_ns)"""
# Said twice to the same one, it is one event.
_ADD_EVENT: Final = """
INSERT INTO riskgate.kill_event (scope, provider_type, name, is_rearming, mode, at_ns, caller,
    actor, reason, said_to)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"""
_EVENTS: Final = """
SELECT is_rearming, mode, at_ns, caller, actor, reason, said_to, recorded_at
FROM riskgate.kill_event WHERE scope = %s AND provider_type = %s AND name = %s
ORDER BY at_ns DESC, kill_event_id DESC LIMIT %s"""
_PAGE: Final = """
SELECT * FROM riskgate.kill_switch
WHERE (scope, provider_type, name) > (%s, %s, %s) AND (%s
    OR new_risk_killed_at_ns > new_risk_rearmed_at_ns OR all_killed_at_ns > all_rearmed_at_ns)
ORDER BY scope, provider_type, name LIMIT %s"""
_REPORTS: Final = """
SELECT kill_report_id, change FROM riskgate.kill_report ORDER BY kill_report_id LIMIT %s"""
_DROP_REPORT: Final = "DELETE FROM riskgate.kill_report WHERE kill_report_id = %s"


@dataclass(frozen=True, slots=True, kw_only=True)
class KillEvent:
    """One kill or re-arming.

    Attributes:
        is_rearming: Else it is a kill.
        mode: riskgate.v1.KillMode.
        at_ns: Unix nanoseconds that count.
        caller: Identity of the caller.
        actor: Name that it gave.
        reason: Not empty.
        said_to: `control` or `engine I/N`.
        recorded_at: None before it is.
    """

    is_rearming: bool
    mode: int
    at_ns: int
    caller: str
    actor: str
    reason: str
    said_to: str
    recorded_at: datetime | None = None


class KillSwitchRepository:
    """Kill switches by target."""

    async def get(self, database: Database, target: Target) -> Times:
        """Return what is known of a target; all zeros when nothing is."""
        row = await rows.find(database, _TABLE, target._asdict())
        return Times() if row is None else _times(row)

    async def merge(self, database: Database, target: Target, times: Times) -> None:
        """Take in the newer one of each time; nothing goes back."""
        await database.execute(_MERGE, [*target, *times])

    async def add_event(self, database: Database, target: Target, event: KillEvent) -> None:
        """Keep what was said; the target has a row."""
        await database.execute(
            _ADD_EVENT,
            [
                *(*target, event.is_rearming, event.mode, event.at_ns),
                *(event.caller, event.actor, event.reason, event.said_to),
            ],
        )

    async def events(self, database: Database, target: Target) -> list[KillEvent]:
        """Return the newest events of a target, newest first."""
        found = await database.execute(_EVENTS, [*target, EVENTS_MAX])
        return [KillEvent(**row) for row in await found.fetchall()]

    async def page(
        self,
        database: Database,
        *,
        include_rearmed: bool,
        after: Sequence[Any] | None,
        limit: int,
    ) -> list[tuple[Target, Times]]:
        """Return switches in the order of scope, provider type and name."""
        values = [*(after or (0, 0, "")), include_rearmed, limit]
        found = await (await database.execute(_PAGE, values)).fetchall()
        return [(Target(*(row[name] for name in _ORDER)), _times(row)) for row in found]

    async def reports(self, database: Database, limit: int) -> list[tuple[int, bytes]]:
        """Return number and StateChange of kills that engines heard, oldest first."""
        found = await (await database.execute(_REPORTS, [limit])).fetchall()
        return [(row["kill_report_id"], bytes(row["change"])) for row in found]

    async def drop_report(self, database: Database, report_id: int) -> bool:
        """Take a report out; False: somebody else did."""
        return (await database.execute(_DROP_REPORT, [report_id])).rowcount > 0


def _times(row: DictRow) -> Times:
    return Times(*(row[name] for name in _TIMES))
