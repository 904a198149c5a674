"""What the archive says of the decisions and positions of accounts."""

from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple

from psycopg.rows import class_row

from server.record.pool import Database

_NEWEST: Final = """
SELECT d.epoch, d.sequence, d.decided_at, d.client_order_id, d.symbol, d.provider_id,
    d.provider_type, d.strategy_id, d.request, d.answer, i.exchange, i.tick_size, i.pip_size
FROM riskgate.decision AS d LEFT JOIN riskgate.instrument AS i ON i.symbol = d.symbol
WHERE d.account_id = %s AND NOT d.reduce_only
ORDER BY d.decided_at DESC, d.epoch DESC, d.sequence DESC LIMIT %s"""
# Account by account: each finds its newest report by the index.
_WITH_POSITION: Final = """
SELECT a.account_id FROM riskgate.account AS a CROSS JOIN LATERAL (
    SELECT e.position_lots FROM riskgate.execution_log AS e
    WHERE e.symbol = %(symbol)s AND e.account_id = a.account_id
    ORDER BY e.reported_at DESC, e.epoch DESC, e.sequence DESC LIMIT 1) AS newest
WHERE newest.position_lots <> 0
UNION ALL
SELECT r.account_id FROM riskgate.reservation AS r
WHERE r.symbol = %(symbol)s AND r.held_lots > 0
    AND (r.state = 'working' OR (r.state = 'held' AND r.expires_at > now()))
LIMIT 1"""


class RecordedDecision(NamedTuple):
    """One decision on new risk.

    Attributes:
        request: DecideRequest as it was on the wire.
        answer: DecideResponse.
        exchange: Of the instrument as it is now, like the two that follow; None: it is gone.
    """

    epoch: int
    sequence: int
    decided_at: datetime
    client_order_id: str
    symbol: str
    provider_id: str
    provider_type: str
    strategy_id: str
    request: bytes
    answer: bytes
    exchange: str | None
    tick_size: Decimal | None
    pip_size: Decimal | None


class DecisionRepository:
    """Recorded decisions, newest first; the recorder alone writes them."""

    async def newest(
        self, database: Database, account_id: str, limit: int
    ) -> list[RecordedDecision]:
        """Return the newest decisions of an account on new risk, newest first."""
        async with database.cursor(row_factory=class_row(RecordedDecision)) as cursor:
            await cursor.execute(_NEWEST, [account_id, limit])
            return await cursor.fetchall()

    async def find_open(self, database: Database, symbol: str) -> str | None:
        """Return an account with a position or an order in a symbol, None when none is known.

        Known is what was reported; what a broker's view of an account (SyncAccount) changed is not
        in the archive.
        """
        row = await (await database.execute(_WITH_POSITION, {"symbol": symbol})).fetchone()
        return None if row is None else str(row["account_id"])
