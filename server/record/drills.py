"""Reports of exercises of the kill switch, by number."""

from typing import Final

from psycopg.rows import DictRow

from riskgate.v1 import kill_pb2 as pb
from server.record.pool import Database

_ADD: Final = """
INSERT INTO riskgate.drill_report (report) VALUES (%s) RETURNING drill_id, report, recorded_at"""
_PAGE: Final = """
SELECT drill_id, report, recorded_at FROM riskgate.drill_report
WHERE drill_id < %s ORDER BY drill_id DESC LIMIT %s"""
_LAST: Final = 2**63 - 1


class DrillRepository:
    """Reports; none is ever changed."""

    async def add(self, database: Database, report: pb.DrillReport) -> pb.DrillReport:
        """Keep a report and return it as stored."""
        row = await (await database.execute(_ADD, [report.SerializeToString()])).fetchone()
        assert row is not None  # noqa: S101 - INSERT … RETURNING has a row
        return _read(row)

    async def page(
        self, database: Database, *, before: int | None, limit: int
    ) -> list[pb.DrillReport]:
        """Return reports, newest first, older than the one of this number."""
        values = [_LAST if before is None else min(before, _LAST), limit]
        return [_read(row) for row in await (await database.execute(_PAGE, values)).fetchall()]


def _read(row: DictRow) -> pb.DrillReport:
    report = pb.DrillReport.FromString(bytes(row["report"]))
    report.drill_id = str(row["drill_id"])
    report.recorded_at.FromDatetime(row["recorded_at"])
    return report
