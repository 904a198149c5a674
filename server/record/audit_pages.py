"""Pages of the audit log, of the ledger of models and of anomalies."""

from collections.abc import Mapping
from typing import Final

from psycopg.rows import DictRow
from psycopg.sql import SQL, Composed, Identifier, Placeholder

from server.record import rows
from server.record.pool import Database
from server.security.anomalies import Anomaly

_COLUMNS: Final = SQL(
    "audit_id, occurred_at, identity, address, method, action, subject, subject_key, outcome,"
    " reason, old_value::text AS old_text, new_value::text AS new_text, state_version,"
    " previous_hash, hash"
)


class AuditPages:
    """Reads; each method runs in the caller's transaction."""

    async def audit_rows(
        self, database: Database, *, first: int, where: Mapping[str, str], limit: int
    ) -> list[DictRow]:
        """Return rows from a number on, oldest first.

        Args:
            database: Where.
            first: Number of the first row wanted.
            where: Columns that must have a value.
            limit: Most rows.
        """
        conditions: list[Composed | SQL] = [SQL("audit_id >= %s")]
        conditions += [SQL("{} = {}").format(Identifier(column), Placeholder()) for column in where]
        query = SQL("SELECT {} FROM riskgate.audit_log WHERE {} ORDER BY audit_id LIMIT %s").format(
            _COLUMNS, SQL(" AND ").join(conditions)
        )
        return await (await database.execute(query, [first, *where.values(), limit])).fetchall()

    async def ledger_entries(self, database: Database, *, first: int, limit: int) -> list[DictRow]:
        """Return entries of the ledger from a number on, oldest first."""
        query = (
            "SELECT entry_id, entry FROM riskgate.ledger_entry WHERE entry_id >= %s"
            " ORDER BY entry_id LIMIT %s"
        )
        return await (await database.execute(query, [first, limit])).fetchall()

    async def anomalies(self, database: Database, *, limit: int) -> list[DictRow]:
        """Return anomalies, newest first."""
        query = "SELECT * FROM riskgate.anomaly ORDER BY anomaly_id DESC LIMIT %s"
        return await (await database.execute(query, [limit])).fetchall()

    async def add_anomaly(self, database: Database, anomaly: Anomaly, *, frozen: bool) -> None:
        """Record an anomaly, and whether its identity was frozen."""
        values = {
            "rule": anomaly.rule.name,
            "identity": anomaly.identity,
            "observed": anomaly.observed,
            "threshold": anomaly.rule.threshold,
            "frozen": frozen,
        }
        await rows.insert(database, "anomaly", values)
