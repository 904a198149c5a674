"""What the control port leaves in the audit log, and what of it may be read by whom."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest

from riskgate.v1 import admin_pb2, audit_pb2_grpc, identity_pb2, reference_pb2, rights_pb2
from riskgate.v1 import audit_pb2 as pb
from riskgate.v1 import identity_pb2_grpc as identity_grpc
from riskgate.v1 import reference_pb2_grpc as reference_grpc
from server.anomaly_watch import AnomalyWatch, freezer
from server.record.audit import DENIED, AuditEntry, append, record_refusal
from server.record.audit_chain import read_rows
from server.record.identities import IdentityRepository
from server.record.pool import connection
from server.security.anomalies import BULK_READS, MANY_DENIALS, RAPID_DEPLOYMENTS
from server.security.caller import Call, Caller
from tests.control_harness import eurusd, refusal
from tests.services.test_rights_matrix import METHODS, ask, build_request, right_of
from tests.trusted_control import ADMIN, AUDITOR, TRADER, TrustedControl, play_trusted

PUT = "/riskgate.v1.ReferenceService/PutInstrument"
ACTIVATE = "/riskgate.v1.ModelService/ActivateModel"


def put(lot: float = 100, reason: str = "it is traded now") -> Any:
    note = admin_pb2.ChangeNote(actor="desk 7", reason=reason)
    return reference_pb2.PutInstrumentRequest(instrument=eurusd(max_lot=lot), note=note)


def test_each_mutating_call_leaves_one_row_with_caller_difference_and_reason(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: TrustedControl) -> None:
        reference = reference_grpc.ReferenceServiceStub(parts.channel(ADMIN))
        await reference.PutInstrument(put())
        await reference.PutInstrument(put(50, "less is enough"))
        await reference.PutInstrument(put(50, "once more"))
        await reference.GetInstrument(reference_pb2.GetInstrumentRequest(symbol="EURUSD"))
        await refusal(reference.PutInstrument(put(-1)))
        rows = await list_rows(parts)
        assert [(row.action, row.outcome) for row in rows] == [
            ("create", pb.AUDIT_OUTCOME_DONE),
            ("update", pb.AUDIT_OUTCOME_DONE),
            ("PutInstrument", pb.AUDIT_OUTCOME_UNCHANGED),
            ("PutInstrument", pb.AUDIT_OUTCOME_REFUSED),
        ]
        assert {row.identity for row in rows} == {ADMIN}
        assert {row.method for row in rows} == {PUT}
        assert {row.address for row in rows} <= {"127.0.0.1", "::1"}
        second = rows[1]
        assert (second.subject, second.subject_key, second.state_version) == (
            "instrument",
            "EURUSD",
            2,
        )
        assert second.reason == "less is enough"
        assert second.old_value.struct_value["max_lot"] == "100"
        assert second.new_value.struct_value["max_lot"] == "50"
        assert second.previous_hash == rows[0].hash
        assert rows[3].new_value.struct_value["code"] == "INVALID_ARGUMENT"

    play_trusted(database_url, redis_url, tmp_path, scenario)


@pytest.mark.parametrize("uri", [ADMIN, TRADER])
def test_no_mutating_method_is_without_a_row(
    database_url: str, redis_url: str, tmp_path: Path, uri: str
) -> None:
    async def scenario(parts: TrustedControl) -> None:
        channel = parts.channel(uri)
        mutating = [path for path, method in METHODS.items() if right_of(method).mutates]
        assert len(mutating) >= 20
        for path in mutating:
            before = len(await parts.audited("audit_id"))
            await ask(channel, path, build_request(METHODS[path], "nobody", "1"))
            left = (await parts.audited("method", "identity", "outcome"))[before:]
            assert {row[:2] for row in left} == {(path, uri)}
            # A stream has a row since it began, and one more if it is refused in the middle.
            assert len(left) == 1 or (METHODS[path].client_streaming and len(left) == 2), left
            if uri == TRADER:
                assert [row[2] for row in left] == ["denied"]

    play_trusted(database_url, redis_url, tmp_path, scenario)


def test_the_log_is_read_by_pages_and_by_what_is_asked_for(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: TrustedControl) -> None:
        reference = reference_grpc.ReferenceServiceStub(parts.channel(ADMIN))
        for lot in range(1, 8):
            await reference.PutInstrument(put(lot))
        await refusal(
            reference_grpc.ReferenceServiceStub(parts.channel(TRADER)).PutInstrument(put())
        )
        assert [row.audit_id for row in await list_rows(parts)] == list(range(1, 9))
        assert [row.audit_id for row in await list_rows(parts, page_size=3)] == list(range(1, 9))
        (denied,) = await list_rows(parts, identity=TRADER)
        assert denied.outcome == pb.AUDIT_OUTCOME_DENIED
        assert len(await list_rows(parts, subject="instrument", subject_key="EURUSD")) == 7
        assert len(await list_rows(parts, method=PUT)) == 8
        assert not await list_rows(parts, method=ACTIVATE)

    play_trusted(database_url, redis_url, tmp_path, scenario)


def test_a_trader_may_not_read_the_log(database_url: str, redis_url: str, tmp_path: Path) -> None:
    async def scenario(parts: TrustedControl) -> None:
        audit = audit_pb2_grpc.AuditServiceStub(parts.channel(TRADER))
        for call, request in (
            (audit.ListAuditRows, pb.ListAuditRowsRequest()),
            (audit.ListLedgerEntries, pb.ListLedgerEntriesRequest()),
            (audit.ListAnomalies, pb.ListAnomaliesRequest()),
        ):
            code, _, _ = await refusal(call(request))
            assert code == grpc.StatusCode.PERMISSION_DENIED
        assert await parts.audited("outcome") == [("denied",)] * 3

    play_trusted(database_url, redis_url, tmp_path, scenario)


def test_many_reads_are_reported_and_freeze_who_may_be_frozen(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    watches: list[AnomalyWatch] = []

    def note_call(call: Call) -> None:
        for watch in watches:
            watch.note_read(call)

    async def scenario(parts: TrustedControl) -> None:
        watch = AnomalyWatch(parts.pool, freezer(parts.pool, lambda: None))
        watches.append(watch)
        audit = audit_pb2_grpc.AuditServiceStub(parts.channel(AUDITOR))
        for _ in range(BULK_READS.threshold - 1):
            await audit.ListAuditRows(pb.ListAuditRowsRequest())
        await watch.report()
        assert not await list_anomalies(parts)
        await audit.ListAuditRows(pb.ListAuditRowsRequest())
        await watch.report()
        (found,) = await list_anomalies(parts)
        assert (found.rule, found.identity, found.frozen) == ("bulk_reads", AUDITOR, True)
        assert (found.observed, found.threshold) == (BULK_READS.threshold,) * 2
        # The port looks at entries that are 250 ms old at most.
        who = identity_grpc.IdentityServiceStub(parts.channel(AUDITOR))
        code = await wait_for_refusal(who)
        assert code == grpc.StatusCode.PERMISSION_DENIED
        assert ("freeze", "control") in await parts.audited("action", "identity")

    play_trusted(
        database_url,
        redis_url,
        tmp_path,
        scenario,
        note_call=note_call,
    )


@pytest.mark.parametrize("freezes", [True, False])
def test_rapid_deployments_and_denials_are_found_in_the_log(
    database_url: str, redis_url: str, tmp_path: Path, freezes: bool
) -> None:
    async def scenario(parts: TrustedControl) -> None:
        freeze = freezer(parts.pool, lambda: None) if freezes else None
        watch = AnomalyWatch(parts.pool, freeze)
        deployer = Call(Caller(ADMIN, rights_pb2.ROLE_ADMIN), ACTIVATE)
        async with connection(parts.pool) as database:
            for _ in range(RAPID_DEPLOYMENTS.threshold):
                await append(database, deployer, AuditEntry(action="activate", subject="model"))
        stranger = Call(Caller("", rights_pb2.ROLE_UNSPECIFIED), ACTIVATE)
        for _ in range(MANY_DENIALS.threshold):
            await record_refusal(parts.pool, stranger, DENIED, code="X", problem="unknown")
        async with connection(parts.pool) as database:
            await watch.watch_rows(await read_rows(database, 0, 1_000))
        await watch.report()
        found = {(each.rule, each.identity, each.frozen) for each in await list_anomalies(parts)}
        assert found == {("rapid_deployments", ADMIN, freezes), ("many_denials", "", False)}
        async with connection(parts.pool) as database:
            entry = await IdentityRepository().find(database, ADMIN)
        assert (entry is not None and entry.status == "frozen") == freezes

    play_trusted(database_url, redis_url, tmp_path, scenario)


async def wait_for_refusal(who: Any) -> grpc.StatusCode:
    async with asyncio.timeout(10):
        while True:
            try:
                await who.WhoAmI(identity_pb2.WhoAmIRequest())
            except grpc.aio.AioRpcError as error:
                return error.code()


async def list_rows(parts: TrustedControl, **asked: Any) -> list[Any]:
    audit = audit_pb2_grpc.AuditServiceStub(parts.channel(AUDITOR))
    found: list[Any] = []
    first = 1
    while first:
        request = pb.ListAuditRowsRequest(from_audit_id=first, **asked)
        answer = await audit.ListAuditRows(request)
        found += answer.rows
        first = answer.next_audit_id
    return found


async def list_anomalies(parts: TrustedControl) -> list[Any]:
    # Another one than whose reads are counted.
    audit = audit_pb2_grpc.AuditServiceStub(parts.channel(f"{AUDITOR}-2"))
    return list((await audit.ListAnomalies(pb.ListAnomaliesRequest())).anomalies)
