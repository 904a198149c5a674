"""Trips of breakers, and what became of their directives, in the recorder's transaction."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, NamedTuple

from psycopg.types.json import Jsonb

from server.record.archive import Database

# A breaker that was deleted meanwhile is named all the same; the lock keeps one that is there.
_ADD: Final = """
WITH named AS (
    SELECT breaker_id FROM riskgate.circuit_breaker WHERE breaker_id = %(breaker_id)s FOR KEY SHARE
)
INSERT INTO riskgate.circuit_breaker_event (breaker_id, account_id, breaker_name, occurred_at,
    triggered_values, action_taken, positions_affected, shard, epoch, sequence, directive_id)
VALUES ((SELECT breaker_id FROM named), %(account_id)s, %(breaker_name)s, %(occurred_at)s,
    %(triggered_values)s, %(action_taken)s, %(positions_affected)s, %(shard)s, %(epoch)s,
    %(sequence)s, %(directive_id)s)
"""
_ACKNOWLEDGE: Final = """
UPDATE riskgate.circuit_breaker_event
SET (action_result, acknowledged_at, acknowledged_by) = (%(result)s, %(at)s, %(by)s)
WHERE event_id = (
    SELECT event_id FROM riskgate.circuit_breaker_event
    WHERE shard = %(shard)s AND directive_id = %(directive_id)s
    ORDER BY event_id DESC LIMIT 1
)
"""


class BreakerEvent(NamedTuple):
    """One trip.

    Attributes:
        breaker_id: On record; None: it was never there.
        account_id: Whose breaker.
        breaker_name: At that time.
        occurred_at: Engine time.
        triggered_values: By name; None: unknown.
        action_taken: As the record names actions.
        positions_affected: Symbol and lots of each, negative is short.
        shard: Of the engine.
        epoch: Of the engine's start.
        sequence: Of the engine behind what tripped it.
        directive_id: Number in that engine.
    """

    breaker_id: int | None
    account_id: str
    breaker_name: str
    occurred_at: datetime
    triggered_values: dict[str, Any]
    action_taken: str
    positions_affected: list[dict[str, Any]]
    shard: int
    epoch: int
    sequence: int
    directive_id: int


class Acknowledgement(NamedTuple):
    """What a router says of a directive."""

    shard: int
    directive_id: int
    success: bool
    detail: str
    at: datetime
    by: str


def add_breaker_events(database: Database, events: Iterable[BreakerEvent]) -> None:
    """Write trips in their order."""
    for event in events:
        values = event._asdict()
        for name in ("triggered_values", "positions_affected"):
            values[name] = Jsonb(values[name])
        database.execute(_ADD, values)


def acknowledge_events(database: Database, said: Iterable[Acknowledgement]) -> None:
    """Write what became of directives; one whose trip is not on record changes nothing."""
    for each in said:
        result = Jsonb({"success": each.success, "detail": each.detail, "by": each.by})
        values = {**each._asdict(), "result": result}
        database.execute(_ACKNOWLEDGE, values)
