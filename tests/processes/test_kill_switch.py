"""`riskgate kill | rearm | kills | drill` against three real engines, with stores away as well."""

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator

import pytest

from riskgate.shards import find_shard
from riskgate.v1 import kill_pb2 as pb
from riskgate.v1 import types_pb2 as types
from server.drilling import is_passed
from server.embedded.process import wait_until
from server.known_engines import find_local
from tests.drill_stack import (
    ARRIVAL_S,
    ENGINES,
    MANY_SANDBOXES,
    ORDER_WORDS,
    REAL,
    DrillStack,
    drill_stack,
    exercise_often,
)
from tests.kill_requests import kill, target

SHORT, LONG = 3, 50


@pytest.fixture(scope="module")
def stack() -> Iterator[DrillStack]:
    with drill_stack() as made:
        yield made


def test_a_kill_reaches_every_engine_and_control_and_ends_by_a_rearming(stack: DrillStack) -> None:
    accounts = stack.take_accounts()
    done = stack.run("kill", "--account", accounts[0], "--reason", "wild", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["complete"]
    assert [each["who"] for each in said["confirmations"]] == [
        *(f"engine {index}/{ENGINES}" for index in range(ENGINES)),
        "control",
    ]
    assert all(each["confirmed"] for each in said["confirmations"])
    assert stack.reasons(accounts[0]) == {types.REASON_KILL_NEW_RISK}
    assert not stack.reasons(accounts[1])
    assert f"account {accounts[0]}: new risk is stopped" in stack.run("kills").stdout
    rearmed = stack.run("rearm", "--account", accounts[0], "--reason", "mended")
    assert rearmed.returncode == 0, rearmed.stderr
    stack.wait_until_approved(accounts[0])
    assert accounts[0] not in stack.run("kills").stdout


def test_a_global_kill_stops_everybody_and_all_stops_exits_too(stack: DrillStack) -> None:
    accounts = stack.take_accounts()
    exit_order = {"reduce_only": True, "side": "sell"}
    assert stack.run("kill", "--global", "--reason", "wild").returncode == 0
    for each in (*accounts, REAL):
        assert stack.reasons(each) == {types.REASON_KILL_NEW_RISK}
        assert types.REASON_POSITION_UNKNOWN in stack.reasons(each, **exit_order)
    assert stack.run("kill", "--global", "--all", "--reason", "wild").returncode == 0
    for each in accounts:
        assert types.REASON_KILL_ALL in stack.reasons(each, **exit_order)
    assert stack.run("rearm", "--global", "--reason", "mended").returncode == 0
    assert types.REASON_KILL_ALL in stack.reasons(REAL)
    assert stack.run("rearm", "--global", "--all", "--reason", "mended").returncode == 0
    stack.wait_until_approved(*accounts, REAL)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("kill", "--account", "a"), "reason"),
        (("kill", "--reason", "why"), "name one of"),
        (("kill", "--global", "--account", "a", "--reason", "why"), "name one of"),
        (("kill", "--provider", "7", "--reason", "why"), "a slash between"),
        (("rearm", "--account", "nobody", "--reason", "why"), "is not killed"),
        (("rearm", "--account", "nobody"), "reason"),
    ],
)
def test_a_command_that_says_too_little_changes_nothing(
    stack: DrillStack, words: tuple[str, ...], problem: str
) -> None:
    done = stack.run(*words)
    assert done.returncode == 1
    assert problem in done.stderr


def test_a_drill_measures_every_engine_keeps_the_report_and_rearms(stack: DrillStack) -> None:
    accounts = stack.take_accounts()
    names = [word for each in accounts for word in ("--account", each)]
    done = stack.run("drill", *names, *ORDER_WORDS, "--reason", "weekly", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["passed"]
    assert {each["shard"] for each in report["replicas"]} == {f"{n}/{ENGINES}" for n in range(3)}
    assert all(each["approvals_before"] > 0 for each in report["replicas"])
    stack.wait_until_approved(*accounts)


def test_a_drill_refuses_real_accounts_and_engines_without_orders(stack: DrillStack) -> None:
    accounts = stack.take_accounts()
    names = [word for each in accounts for word in ("--account", each)]
    for words, problem in (
        ((*names, "--account", REAL), f"account {REAL} is not marked as a sandbox"),
        (names[:2], "decides about none of the accounts"),
        ((), "Missing option"),
    ):
        done = stack.run("drill", *words, *ORDER_WORDS, "--reason", "weekly")
        assert done.returncode != 0
        assert problem in done.stderr
    assert stack.run("kill", "--account", accounts[0], "--reason", "wild").returncode == 0
    killed = stack.run("drill", *names, *ORDER_WORDS, "--reason", "weekly")
    assert "are denied without a kill: KILL_NEW_RISK" in killed.stderr


def test_nothing_is_approved_behind_a_confirmation(stack: DrillStack) -> None:
    exercise_often(stack, SHORT, "all there")


@pytest.mark.parametrize("service", ["redis", "postgres"])
def test_nothing_is_approved_behind_a_confirmation_while_a_store_is_away(
    stack: DrillStack, service: str
) -> None:
    with stack.away(service):
        exercise_often(stack, 1, f"without {service}")
    stack.wait_until_approved(*stack.take_accounts())


def test_a_kill_goes_on_without_control_and_says_so(stack: DrillStack) -> None:
    (account, *_) = stack.take_accounts()
    with stack.away("control"):
        done = stack.run("kill", "--account", account, "--reason", "wild", "--timeout", "2")
    assert done.returncode == 0, done.stderr
    assert "control did not take it" in done.stderr
    assert stack.is_killed(account)


def test_a_kill_that_an_engine_does_not_confirm_is_not_complete(stack: DrillStack) -> None:
    (account, *_) = stack.take_accounts()
    with stack.away("engine-1"):
        words = ("--account", account, "--reason", "wild", "--timeout", "1")
        done = stack.run("kill", *words)
    assert done.returncode == 2
    assert f"NOT STOPPED EVERYWHERE: engine 1/{ENGINES}\n" in done.stderr
    assert stack.run("kill", *words).returncode == 0


def test_a_kill_that_only_one_engine_heard_outlives_its_death(stack: DrillStack) -> None:
    accounts = stack.take_accounts()
    for engine, account in zip(find_local(stack.stack.data_dir), accounts, strict=True):
        assert find_shard(account, ENGINES) == int(engine.shard[0])
    said = stack.say(kill(target(name=accounts[2]), pb.KILL_MODE_ALL))
    assert [each.confirmed for each in said] == [True] * ENGINES
    pid = stack.stack.state.pids["engine-2"]
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: stack.stack.state.pids["engine-2"] != pid, timeout_s=ARRIVAL_S)
    assert wait_until(lambda: stack.is_killed(accounts[2]), timeout_s=ARRIVAL_S)
    assert types.REASON_KILL_ALL in stack.reasons(accounts[2])


@pytest.mark.campaign
def test_fifty_drills_after_restarts() -> None:
    with drill_stack(MANY_SANDBOXES) as stack:
        for number in range(LONG // 5):
            if number % 5 == 4:
                stack.stack.end(signal.SIGTERM)
                stack.stack.start()
                stack.wait_until_approved(*stack.take_accounts(), REAL)
            else:
                stack.kill_engines()
            exercise_often(stack, 5, "after a restart")


@pytest.mark.campaign
def test_fifty_drills_with_everything_there_and_fifty_with_each_store_away() -> None:
    with drill_stack(MANY_SANDBOXES) as stack:
        exercise_often(stack, LONG, "all there")
        for service in ("redis", "postgres"):
            for _ in range(LONG // 5):
                # Behind half a minute without a feed an engine denies new risk by itself.
                with stack.away(service):
                    exercise_often(stack, 5, f"without {service}")
                stack.wait_until_approved(*stack.take_accounts())


# The last one: it leaves the engines without a past.
def test_what_the_record_says_is_killed_is_killed_in_engines_that_know_nothing(
    stack: DrillStack,
) -> None:
    accounts = stack.take_accounts()
    for account in accounts:
        done = stack.run("kill", "--account", account, "--reason", "wild")
        assert done.returncode == 0, done.stderr
    stack.stack.end(signal.SIGTERM)
    for folder in ("journal", "snapshots", "checkpoints"):
        for path in stack.stack.data_dir.glob(f"{folder}*"):
            shutil.rmtree(path)
    stack.stack.start()
    began_s = time.monotonic()
    while not all(map(stack.is_killed, accounts)):
        assert time.monotonic() - began_s < ARRIVAL_S
        time.sleep(0.1)
    report = json.loads(stack.run("kills", "--json").stdout)
    names = [each["target"]["name"] for each in report]
    assert [names.count(account) for account in accounts] == [1] * ENGINES
    assert not is_passed(pb.DrillReport(replicas=[pb.DrillReplica(shard="0/1")]))
