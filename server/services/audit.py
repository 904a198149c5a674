"""AuditService: the audit log, the ledger of models and anomalies, to be read."""

from typing import Any, Final

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Value

from riskgate.v1 import audit_pb2 as pb
from riskgate.v1 import audit_pb2_grpc
from server.record.audit_pages import AuditPages
from server.record.paging import page_size
from server.record.pool import connection
from server.services.writing import Parts

_OUTCOMES: Final = {
    "done": pb.AUDIT_OUTCOME_DONE,
    "unchanged": pb.AUDIT_OUTCOME_UNCHANGED,
    "denied": pb.AUDIT_OUTCOME_DENIED,
    "refused": pb.AUDIT_OUTCOME_REFUSED,
}
_FILTERS: Final = ("identity", "method", "subject", "subject_key")


class AuditService(audit_pb2_grpc.AuditServiceServicer):
    """See protos/riskgate/v1/audit.proto."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._pages = AuditPages()

    async def ListAuditRows(
        self, request: pb.ListAuditRowsRequest, context: Any
    ) -> pb.ListAuditRowsResponse:
        """Return a page of the audit log."""
        limit = page_size(request.page_size)
        where = {name: value for name in _FILTERS if (value := getattr(request, name))}
        async with connection(self._parts.pool) as database:
            found = await self._pages.audit_rows(
                database, first=request.from_audit_id, where=where, limit=limit
            )
        return pb.ListAuditRowsResponse(
            rows=map(_write_row, found),
            next_audit_id=found[-1]["audit_id"] + 1 if len(found) == limit else 0,
        )

    async def ListLedgerEntries(
        self, request: pb.ListLedgerEntriesRequest, context: Any
    ) -> pb.ListLedgerEntriesResponse:
        """Return a page of the ledger."""
        limit = page_size(request.page_size)
        async with connection(self._parts.pool) as database:
            found = await self._pages.ledger_entries(
                database, first=request.from_entry_id, limit=limit
            )
        return pb.ListLedgerEntriesResponse(
            entries=[
                pb.LedgerEntry(entry_id=row["entry_id"], entry=row["entry"].encode())
                for row in found
            ],
            next_entry_id=found[-1]["entry_id"] + 1 if len(found) == limit else 0,
        )

    async def ListAnomalies(
        self, request: pb.ListAnomaliesRequest, context: Any
    ) -> pb.ListAnomaliesResponse:
        """Return the newest anomalies."""
        limit = page_size(request.page_size)
        async with connection(self._parts.pool) as database:
            found = await self._pages.anomalies(database, limit=limit)
        return pb.ListAnomaliesResponse(anomalies=map(_write_anomaly, found))


def _write_row(row: dict[str, Any]) -> pb.AuditRow:
    message = pb.AuditRow(
        audit_id=row["audit_id"],
        identity=row["identity"],
        address=row["address"],
        method=row["method"],
        action=row["action"],
        subject=row["subject"],
        subject_key=row["subject_key"],
        outcome=_OUTCOMES[row["outcome"]],
        reason=row["reason"],
        state_version=row["state_version"] or 0,
        previous_hash=bytes(row["previous_hash"]),
        hash=bytes(row["hash"]),
    )
    message.occurred_at.FromDatetime(row["occurred_at"])
    for name in ("old", "new"):
        text = row[f"{name}_text"]
        if text is not None:
            getattr(message, f"{name}_value").CopyFrom(json_format.Parse(text, Value()))
    return message


def _write_anomaly(row: dict[str, Any]) -> pb.Anomaly:
    message = pb.Anomaly(
        anomaly_id=row["anomaly_id"],
        rule=row["rule"],
        identity=row["identity"],
        observed=row["observed"],
        threshold=row["threshold"],
        frozen=row["frozen"],
    )
    message.occurred_at.FromDatetime(row["occurred_at"])
    return message
