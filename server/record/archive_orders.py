"""Rows of earlier decisions: found again for a report, and changed by it.

Partitions are searched from the newest back, because reports come soon after their decisions.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, LiteralString, NamedTuple

from server.record.archive import Database


class Wanted(NamedTuple):
    """What a report says about its order; empty or 0 where it says nothing."""

    account_id: str
    client_order_id: str
    decision_id: int
    position_id: str
    # Of the report: a decision made later is not meant.
    epoch: int
    sequence: int


class Order(NamedTuple):
    """A recorded decision, as far as its reports need it."""

    epoch: int
    sequence: int
    decided_at: datetime
    client_order_id: str
    connection_id: str
    signal_id: str
    provider_id: str
    provider_type: str
    symbol: str
    side: str
    reduce_only: bool
    stop_price: Decimal | None
    request: bytes


class Fill(NamedTuple):
    """What came of a predicted slippage."""

    epoch: int
    sequence: int
    created_at: datetime
    actual_pips: Decimal
    execution_epoch: int
    execution_sequence: int
    execution_at: datetime


class Change(NamedTuple):
    """The new state of a hold."""

    epoch: int
    sequence: int
    made_at: datetime
    state: str
    held_lots: Decimal
    changed_at: datetime
    changed_by: str


_WANTED: Final = """
SELECT wanted.position, found.* FROM unnest(%s::integer[], %s::text[], %s::text[], %s::bigint[],
    %s::text[], %s::bigint[], %s::bigint[])
    AS wanted (position, account_id, client_order_id, decision_id, position_id, epoch, sequence)
CROSS JOIN LATERAL ("""
_COLUMNS: Final = """
SELECT d.epoch, d.sequence, d.decided_at, d.client_order_id, d.connection_id, d.signal_id,
    d.provider_id, d.provider_type, d.symbol, d.side, d.reduce_only, d.stop_price, d.request
FROM riskgate.decision AS d"""
_BEFORE: Final = """
    AND (d.epoch, d.sequence) < (wanted.epoch, wanted.sequence) AND NOT d.dry_run
ORDER BY d.decided_at DESC LIMIT 1) AS found"""
# The order whose fill last moved that position.
_OPENED: Final = """
JOIN LATERAL (
    SELECT e.decision_epoch, e.decision_sequence, e.decided_at FROM riskgate.execution_log AS e
    WHERE e.account_id = wanted.account_id AND e.position_id = wanted.position_id
        AND e.position_id <> '' AND e.decision_sequence IS NOT NULL
        AND e.kind IN ('fill', 'partial_fill') ORDER BY e.reported_at DESC LIMIT 1) AS opened
    ON d.sequence = opened.decision_sequence AND d.decided_at = opened.decided_at
    AND d.epoch = opened.decision_epoch"""
_BY_ORDER: Final[LiteralString] = f"""{_WANTED}{_COLUMNS}
WHERE d.account_id = wanted.account_id AND d.client_order_id = wanted.client_order_id
    AND d.client_order_id <> ''{_BEFORE}"""
_BY_DECISION: Final[LiteralString] = f"""{_WANTED}{_COLUMNS}
WHERE d.sequence = wanted.decision_id AND d.account_id = wanted.account_id{_BEFORE}"""
_BY_POSITION: Final[LiteralString] = f"""{_WANTED}{_COLUMNS}{_OPENED}
WHERE d.account_id = wanted.account_id{_BEFORE}"""
# Each with what a search by it needs.
_SEARCHES: Final = (
    (_BY_ORDER, "client_order_id"),
    (_BY_DECISION, "decision_id"),
    (_BY_POSITION, "position_id"),
)

_FILL: Final = """
UPDATE riskgate.prediction AS p SET actual_value = v.actual,
    accuracy_fraction = CASE WHEN greatest(abs(p.predicted_value), abs(v.actual)) = 0 THEN 1
        ELSE greatest(0, 1 - abs(p.predicted_value - v.actual)
            / greatest(abs(p.predicted_value), abs(v.actual))) END,
    filled_at = v.execution_at, execution_epoch = v.execution_epoch,
    execution_sequence = v.execution_sequence, execution_at = v.execution_at
FROM unnest(%s::bigint[], %s::bigint[], %s::timestamptz[], %s::numeric[], %s::bigint[],
    %s::bigint[], %s::timestamptz[]) AS v (epoch, sequence, created_at, actual, execution_epoch,
    execution_sequence, execution_at)
WHERE (p.sequence, p.created_at, p.epoch) = (v.sequence, v.created_at, v.epoch)
    AND p.prediction_type = 'slippage' AND p.actual_value IS NULL"""
_CHANGE: Final = """
UPDATE riskgate.reservation AS r SET state = v.state, held_lots = v.held_lots,
    changed_at = v.changed_at, changed_by = v.changed_by
FROM unnest(%s::bigint[], %s::bigint[], %s::timestamptz[], %s::text[], %s::numeric[],
    %s::timestamptz[], %s::text[]) AS v (epoch, sequence, made_at, state, held_lots, changed_at,
    changed_by)
WHERE (r.sequence, r.made_at, r.epoch) = (v.sequence, v.made_at, v.epoch)"""
# What was made, or changed by a report, after the sync stays as it is.
_SYNC: Final = """
UPDATE riskgate.reservation AS r SET changed_at = %(at)s, changed_by = 'sync',
    state = CASE WHEN named.lots IS NULL THEN 'released' ELSE 'working' END,
    held_lots = coalesce(named.lots, 0)
FROM riskgate.reservation AS old LEFT JOIN unnest(%(orders)s::text[], %(lots)s::numeric[])
    AS named (client_order_id, lots) ON named.client_order_id = old.client_order_id
WHERE old.account_id = %(account_id)s AND old.state IN ('held', 'working')
    AND (old.epoch, old.sequence) < (%(epoch)s, %(sequence)s) AND old.changed_at <= %(at)s
    AND (old.state = 'working' OR old.expires_at > %(at)s)
    AND (r.sequence, r.made_at, r.epoch) = (old.sequence, old.made_at, old.epoch)"""


def find_orders(database: Database, wanted: Mapping[int, Wanted]) -> dict[int, Order]:
    """Return the decisions that are meant, under the keys of `wanted`.

    The order id is searched for first, then the decision id, then who opened the position. What
    is not found is not there.
    """
    found: dict[int, Order] = {}
    for statement, needed in _SEARCHES:
        rest = {
            key: each for key, each in wanted.items() if key not in found and getattr(each, needed)
        }
        if rest:
            columns = zip(*((key, *each) for key, each in rest.items()), strict=True)
            rows = database.execute(statement, [list(column) for column in columns])
            found |= {key: Order(*order) for key, *order in rows}
    return found


def fill_predictions(database: Database, fills: Sequence[Fill]) -> None:
    """Fill actual value and accuracy of slippage predictions that have none yet."""
    _update(database, _FILL, fills)


def change_reservations(database: Database, changes: Iterable[Change]) -> None:
    """Set the state of holds; at most one change for each."""
    _update(database, _CHANGE, list(changes))


def sync_reservations(
    database: Database,
    account_id: str,
    working: Mapping[str, Decimal],
    place: tuple[int, int],
    at: datetime,
) -> None:
    """Release the open holds of an account that are not named; the named ones work.

    Args:
        database: In the transaction of the sync.
        account_id: Whose holds.
        working: Order id → lots not yet filled.
        place: Epoch and sequence of the sync.
        at: Its clock reading.
    """
    epoch, sequence = place
    database.execute(
        _SYNC,
        {
            "at": at,
            "orders": list(working),
            "lots": list(working.values()),
            "account_id": account_id,
            "epoch": epoch,
            "sequence": sequence,
        },
    )


def _update(database: Database, statement: LiteralString, rows: Sequence[Sequence[Any]]) -> None:
    if rows:
        columns = zip(*rows, strict=True)
        database.execute(statement, [list(column) for column in columns])
