"""KillService and DrillService on the control port: a latch in the record, from all sides."""

import time
from pathlib import Path
from typing import Any, Self

import grpc
import numpy as np
import psycopg
import pytest
from psycopg import errors

from riskgate.v1 import admin_pb2, kill_pb2_grpc, state_pb2
from riskgate.v1 import kill_pb2 as pb
from server.hotpath.layout import CHANGE_KILL, LAYOUT_VERSION
from server.kill_merging import KillMerging
from server.kill_rows import Target, Times, engine_kill, read_kill_times
from server.record.kill_reports import report_engine_kills
from server.record.pool import connection
from tests.control_harness import Control, Scenario, play, put_account, refusal, stream_entries
from tests.kill_requests import ALL, NEW_RISK, WHY, kill, rearm, target

ACCOUNT_A = Target(pb.KILL_SCOPE_ACCOUNT, 0, "A")


@pytest.fixture
def run(database_url: str, redis_url: str, tmp_path: Path) -> Any:
    def run_it(scenario: Scenario) -> None:
        play(database_url, redis_url, tmp_path, scenario)

    return run_it


class Kills:
    """Stubs of both services, on a channel of their own."""

    def __init__(self, parts: Control) -> None:
        self._channel: Any = grpc.aio.insecure_channel(parts.address)
        self.kills: Any = kill_pb2_grpc.KillServiceStub(self._channel)
        self.drills: Any = kill_pb2_grpc.DrillServiceStub(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()


async def published(parts: Control) -> list[Times]:
    """Return the kills that went out, in order."""
    changes = [
        state_pb2.StateChange.FromString(raw) for _, _, raw in await stream_entries(parts.redis)
    ]
    return [
        read_kill_times(np.frombuffer(each.rows, CHANGE_KILL)[0])
        for each in changes
        if each.kind == state_pb2.CHANGE_KIND_KILL
    ]


def test_a_kill_is_on_record_in_the_audit_log_and_on_its_way_to_all_engines(run: Any) -> None:
    async def scenario(parts: Control) -> None:
        async with Kills(parts) as stubs:
            at_ns = time.time_ns()
            answer = await stubs.kills.Kill(kill(at_ns=at_ns))
            assert (answer.confirmed_by, answer.latched) == ("control", True)
            assert answer.killed_at_ns == at_ns
            await parts.published(answer.state_version)
            assert await published(parts) == [Times(new_risk_killed=at_ns)]
            (switch,) = (await stubs.kills.ListKills(pb.ListKillsRequest())).kill_switches
            assert (switch.stops_new_risk, switch.stops_all) == (True, False)
            (event,) = switch.events
            assert (event.actor, event.reason) == (WHY.actor, WHY.reason)
            assert (event.said_to, event.is_rearming) == ("control", False)
        async with connection(parts.pool) as database:
            found = await database.execute(
                "SELECT action, subject, subject_key, reason FROM riskgate.audit_log"
            )
            assert await found.fetchall() == [
                {
                    "action": "kill",
                    "subject": "kill_switch",
                    "subject_key": "account:A",
                    "reason": WHY.reason,
                }
            ]

    run(scenario)


def test_a_rearming_ends_the_kill_and_keeps_what_was_said(run: Any) -> None:
    async def scenario(parts: Control) -> None:
        async with Kills(parts) as stubs:
            killed = await stubs.kills.Kill(kill())
            answer = await stubs.kills.Rearm(rearm())
            await parts.published(answer.state_version)
            assert (await published(parts))[-1].new_risk_rearmed == killed.killed_at_ns
            assert not (await stubs.kills.ListKills(pb.ListKillsRequest())).kill_switches
            every = await stubs.kills.ListKills(pb.ListKillsRequest(include_rearmed=True))
            (switch,) = every.kill_switches
            assert not switch.stops_new_risk
            assert [event.is_rearming for event in switch.events] == [True, False]
            again = await stubs.kills.Kill(kill())
            assert again.latched
            assert again.killed_at_ns > killed.killed_at_ns

    run(scenario)


def test_a_kill_that_comes_late_after_a_rearming_changes_nothing(run: Any) -> None:
    async def scenario(parts: Control) -> None:
        async with Kills(parts) as stubs:
            first = await stubs.kills.Kill(kill())
            rearmed = await stubs.kills.Rearm(rearm())
            late = await stubs.kills.Kill(kill(at_ns=first.killed_at_ns - 5))
            assert not late.latched
            same = await stubs.kills.Kill(kill(at_ns=first.killed_at_ns))
            assert not same.latched
            assert same.state_version == rearmed.state_version
            assert not (await stubs.kills.ListKills(pb.ListKillsRequest())).kill_switches

    run(scenario)


def test_a_clock_that_is_slow_cannot_keep_a_kill_from_holding(run: Any) -> None:
    async def scenario(parts: Control) -> None:
        async with Kills(parts) as stubs:
            ahead_ns = time.time_ns() + 30_000_000_000
            await stubs.kills.Kill(kill(at_ns=ahead_ns))
            await stubs.kills.Rearm(rearm())
            answer = await stubs.kills.Kill(kill())
            assert answer.latched
            assert answer.killed_at_ns == ahead_ns + 1

    run(scenario)


def test_modes_and_targets_are_killed_and_rearmed_each_by_itself(run: Any) -> None:
    async def scenario(parts: Control) -> None:
        async with Kills(parts) as stubs:
            wanted = [
                target("global", ""),
                target("account", "A"),
                target("connection", "spiffe://riskgate/trader/one"),
                target("provider", "7", 1),
                target("provider", "7", 2),
                target("symbol", "EURUSD"),
                target("strategy", "trend"),
            ]
            for each in wanted:
                await stubs.kills.Kill(kill(each))
            await stubs.kills.Kill(kill(wanted[1], ALL))
            listed = await stubs.kills.ListKills(pb.ListKillsRequest())
            assert [each.target for each in listed.kill_switches] == wanted
            both = await stubs.kills.Rearm(rearm(wanted[1], wanted[3]))
            states = [(each.stops_new_risk, each.stops_all) for each in both.kill_switches]
            assert states == [(False, True), (False, False)]
            token, seen = "", []
            while True:
                request = pb.ListKillsRequest(page_size=2, page_token=token)
                page = await stubs.kills.ListKills(request)
                seen += [each.target for each in page.kill_switches]
                token = page.next_page_token
                if not token:
                    break
            assert seen == [each for each in wanted if each != wanted[3]]

    run(scenario)


def test_what_is_not_killed_cannot_be_rearmed_and_then_nothing_is(run: Any) -> None:
    async def scenario(parts: Control) -> None:
        async with Kills(parts) as stubs:
            await stubs.kills.Kill(kill())
            for request in (rearm(target(), target(name="B")), rearm(mode=ALL)):
                code, text, _ = await refusal(stubs.kills.Rearm(request))
                assert code is grpc.StatusCode.FAILED_PRECONDITION
                assert "is not killed" in text
            (switch,) = (await stubs.kills.ListKills(pb.ListKillsRequest())).kill_switches
            assert switch.stops_new_risk

    run(scenario)


def test_requests_that_name_no_target_or_no_reason_are_refused_by_field(run: Any) -> None:
    async def scenario(parts: Control) -> None:
        bad = {
            "target": pb.KillRequest(note=WHY),
            "target.scope": kill(pb.KillTarget(name="A")),
            "target.name": kill(target(name="")),
            "target.provider_type": kill(target("provider", "7")),
            "note.reason": kill(note=admin_pb2.ChangeNote(actor="ann")),
            "killed_at_ns": kill(at_ns=time.time_ns() + 120_000_000_000),
            "mode": pb.KillRequest(target=target(), mode=9, note=WHY),  # type: ignore[arg-type]
        }
        bad_too = {
            "target.name": kill(target("global", "A")),
            "target.provider_type": kill(target("account", "A", 1)),
            "killed_at_ns": kill(at_ns=0),
        }
        async with Kills(parts) as stubs:
            for field, request in (*bad.items(), *bad_too.items()):
                code, _, named = await refusal(stubs.kills.Kill(request))
                assert (code, named) == (grpc.StatusCode.INVALID_ARGUMENT, field)
            twice = await refusal(stubs.kills.Rearm(rearm(target(), target())))
            assert twice[2] == "targets"
            assert not (await stubs.kills.ListKills(pb.ListKillsRequest())).kill_switches

    run(scenario)


def report(database_url: str, *changes: state_pb2.StateChange) -> None:
    """Do what the recorder does with kills that its engine heard."""
    with psycopg.connect(database_url) as database:
        report_engine_kills(database, changes)


def heard(at_ns: int, what: Target = ACCOUNT_A) -> state_pb2.StateChange:
    said = state_pb2.KillReason(
        caller="local", actor="ann", reason=WHY.reason, said_to="engine 1/3"
    )
    return engine_kill(what, NEW_RISK, at_ns, said)


def test_a_kill_that_only_an_engine_heard_reaches_all_others_by_the_record(
    run: Any, database_url: str
) -> None:
    async def scenario(parts: Control) -> None:
        at_ns = time.time_ns()
        report(database_url, heard(at_ns), heard(at_ns))
        assert await KillMerging(parts.pool, parts.publisher).merge() == 2
        async with Kills(parts) as stubs:
            (switch,) = (await stubs.kills.ListKills(pb.ListKillsRequest())).kill_switches
            assert switch.new_risk_killed_at_ns == at_ns
            (event,) = switch.events
            assert (event.caller, event.said_to) == ("local", "engine 1/3")
        await parts.published(1)
        assert await published(parts) == [Times(new_risk_killed=at_ns)]
        assert await KillMerging(parts.pool, parts.publisher).merge() == 0

    run(scenario)


def test_a_rearming_does_not_end_a_newer_kill_that_only_an_engine_heard(
    run: Any, database_url: str
) -> None:
    async def scenario(parts: Control) -> None:
        async with Kills(parts) as stubs:
            first = await stubs.kills.Kill(kill())
            newer_ns = first.killed_at_ns + 1
            report(database_url, heard(newer_ns))
            answer = await stubs.kills.Rearm(rearm())
            assert not answer.kill_switches[0].stops_new_risk
            await KillMerging(parts.pool, parts.publisher).merge()
            (switch,) = (await stubs.kills.ListKills(pb.ListKillsRequest())).kill_switches
            assert switch.stops_new_risk
            assert switch.new_risk_killed_at_ns == newer_ns

    run(scenario)


def test_an_old_report_after_a_rearming_changes_nothing(run: Any, database_url: str) -> None:
    async def scenario(parts: Control) -> None:
        async with Kills(parts) as stubs:
            first = await stubs.kills.Kill(kill())
            rearmed = await stubs.kills.Rearm(rearm())
            report(database_url, heard(first.killed_at_ns))
            assert await KillMerging(parts.pool, parts.publisher).merge() == 1
            assert not (await stubs.kills.ListKills(pb.ListKillsRequest())).kill_switches
            await parts.published(rearmed.state_version)
            assert parts.publisher.published_version == rearmed.state_version

    run(scenario)


def test_a_report_that_cannot_be_read_stops_no_other(run: Any, database_url: str) -> None:
    async def scenario(parts: Control) -> None:
        foreign = heard(5)
        foreign.layout_version = LAYOUT_VERSION + 1
        broken = heard(5)
        broken.rows = b"\1"
        report(database_url, foreign, broken, heard(time.time_ns()))
        merging = KillMerging(parts.pool, parts.publisher)
        assert await merging.merge() == 1
        assert await merging.merge() == 0

    run(scenario)


def test_nothing_turns_the_record_of_a_kill_back(run: Any, database_url: str) -> None:
    async def scenario(parts: Control) -> None:
        async with Kills(parts) as stubs:
            await stubs.kills.Kill(kill())

    run(scenario)
    statements = (
        "UPDATE riskgate.kill_switch SET new_risk_killed_at_ns = 1",
        "UPDATE riskgate.kill_switch SET name = 'B'",
        "DELETE FROM riskgate.kill_switch",
        "TRUNCATE riskgate.kill_switch CASCADE",
        "UPDATE riskgate.kill_event SET reason = 'another'",
        "DELETE FROM riskgate.kill_event",
    )
    with psycopg.connect(database_url, autocommit=True) as database:
        for statement in statements:
            with pytest.raises(errors.RestrictViolation):
                database.execute(statement)
        with pytest.raises(errors.CheckViolation, match="known_kill"):
            database.execute("UPDATE riskgate.kill_switch SET all_rearmed_at_ns = 1")


def drill_report(account_id: str = "sandbox") -> pb.DrillReport:
    replica = pb.DrillReplica(
        shard="0/1", address="127.0.0.1:1", account_id=account_id, confirmed=True,
        confirmation_ns=5, last_approval_ns=3, approvals_before=10, denials_by_kill=4,
    )  # fmt: skip
    return pb.DrillReport(commanded_at_ns=time.time_ns(), replicas=[replica])


def test_reports_of_drills_are_kept_newest_first(run: Any) -> None:
    async def scenario(parts: Control) -> None:
        await put_account(parts, "sandbox", sandbox=True)
        async with Kills(parts) as stubs:
            kept = []
            for _ in range(3):
                request = pb.RecordDrillRequest(report=drill_report(), note=WHY)
                kept.append((await stubs.drills.RecordDrill(request)).report)
            assert len({each.drill_id for each in kept}) == 3
            first = await stubs.drills.ListDrills(pb.ListDrillsRequest(page_size=2))
            rest = pb.ListDrillsRequest(page_token=first.next_page_token)
            listed = [*first.reports, *(await stubs.drills.ListDrills(rest)).reports]
            assert listed == kept[::-1]
            assert listed[0].replicas[0].last_approval_ns == 3

    run(scenario)


def test_a_drill_on_money_of_somebody_is_not_taken(run: Any) -> None:
    async def scenario(parts: Control) -> None:
        await put_account(parts, "real")
        async with Kills(parts) as stubs:
            for name in ("real", "nobody"):
                request = pb.RecordDrillRequest(report=drill_report(name), note=WHY)
                code, text, _ = await refusal(stubs.drills.RecordDrill(request))
                assert code is grpc.StatusCode.FAILED_PRECONDITION
                assert "is not marked as a sandbox" in text
            assert not (await stubs.drills.ListDrills(pb.ListDrillsRequest())).reports

    run(scenario)
