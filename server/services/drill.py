"""DrillService: what exercises of the kill switch have measured."""

from typing import Any, Final

from riskgate.v1 import kill_pb2 as pb
from riskgate.v1 import kill_pb2_grpc
from server.errors import InvalidFieldError, PreconditionError
from server.forms import fields
from server.forms.kill import read_note
from server.record.admin_change import admin_change
from server.record.drills import DrillRepository
from server.record.paging import decode_token, encode_token, page_size
from server.record.pool import Database, connection
from server.record.reference import AccountRepository
from server.services.writing import Parts
from server.shards import SHARDS_MAX, Shard

_ADDRESS_BYTES_MAX: Final = 256


class DrillService(kill_pb2_grpc.DrillServiceServicer):
    """Exercises; see protos/riskgate/v1/kill.proto."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._drills = DrillRepository()
        self._accounts = AccountRepository()

    async def RecordDrill(
        self, request: pb.RecordDrillRequest, context: Any
    ) -> pb.RecordDrillResponse:
        """Keep a report for good, here and in the audit log."""
        report = _read_report(fields.require(request, "report"))
        async with admin_change(self._parts.pool, read_note(request)) as change:
            for replica in report.replicas:
                await self._require_sandbox(change.database, replica.account_id)
            stored = await self._drills.add(change.database, report)
            await change.audit("drill", "kill_switch", stored.drill_id, new=_plain(stored))
        return pb.RecordDrillResponse(report=stored)

    async def ListDrills(
        self, request: pb.ListDrillsRequest, context: Any
    ) -> pb.ListDrillsResponse:
        """Return a page of reports, newest first."""
        limit = page_size(request.page_size)
        after = decode_token(request.page_token, 1)
        before = int(after[0]) if after and after[0].isdecimal() else None
        async with connection(self._parts.pool) as database:
            found = await self._drills.page(database, before=before, limit=limit)
        token = encode_token([found[-1].drill_id]) if len(found) == limit else ""
        return pb.ListDrillsResponse(reports=found, next_page_token=token)

    async def _require_sandbox(self, database: Database, account_id: str) -> None:
        account = await self._accounts.get(database, account_id)
        if account is None or not account.sandbox:
            raise PreconditionError(f"account {account_id} is not marked as a sandbox")


def _read_report(message: pb.DrillReport) -> pb.DrillReport:
    if message.commanded_at_ns <= 0:
        raise InvalidFieldError("report.commanded_at_ns", "is required")
    if not 1 <= len(message.replicas) <= SHARDS_MAX:
        raise InvalidFieldError("report.replicas", f"must be 1 to {SHARDS_MAX}")
    for index, replica in enumerate(message.replicas):
        path = f"report.replicas[{index}]"
        try:
            Shard.parse(replica.shard)
        except ValueError as error:
            raise InvalidFieldError(f"{path}.shard", str(error)) from error
        fields.prose(replica.address, "address", bytes_max=_ADDRESS_BYTES_MAX, path=path)
        fields.identifier(replica.account_id, "account_id", path=path)
    report = pb.DrillReport()
    report.CopyFrom(message)
    report.ClearField("drill_id")
    report.ClearField("recorded_at")
    return report


def _plain(report: pb.DrillReport) -> dict[str, Any]:
    return {
        "commanded_at_ns": report.commanded_at_ns,
        "replicas": [
            {field.name: getattr(replica, field.name) for field in replica.DESCRIPTOR.fields}
            for replica in report.replicas
        ],
    }
