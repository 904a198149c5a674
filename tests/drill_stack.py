"""A stack of three engines with sandbox accounts, and exercises of its kill switch."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

import grpc
import yaml

import riskgate
from riskgate.shards import find_shard
from riskgate.v1 import kill_pb2 as pb
from riskgate.v1 import types_pb2 as types
from server.drilling import Sortie, exercise, is_passed
from server.embedded.process import wait_until
from server.kill_calls import Confirmation, KillCall, is_complete
from server.known_engines import find_local
from tests.kill_requests import kill, target
from tests.order_flow import order
from tests.stack_harness import Stack, riskgate_command, running_stack

ENGINES: Final = 3
DEADLINE_S: Final = 5.0
ARRIVAL_S: Final = 60.0
# A drill without Redis leaves its own accounts killed, so each takes fresh ones.
SANDBOXES: Final = 90
MANY_SANDBOXES: Final = 600
REAL: Final = "real"
ORDER_WORDS: Final = (
    *("--symbol", "EURUSD", "--entry", "1.1", "--stop", "1.098"),
    *("--provider", "channel_source/channel_12345"),
)


class DrillStack:
    """A running stack, and accounts of each engine that no test has used yet."""

    def __init__(self, stack: Stack, names: Sequence[str]) -> None:
        self.stack = stack
        self._unused: dict[int, list[str]] = {index: [] for index in range(ENGINES)}
        for name in names:
            self._unused[find_shard(name, ENGINES)].append(name)

    def take_accounts(self) -> list[str]:
        """Return one account of each engine, which nobody gets again."""
        return [self._unused[index].pop() for index in range(ENGINES)]

    def run(self, command: str, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a command as a person does."""
        return subprocess.run(
            [*riskgate_command(command, self.stack.data_dir), *words],
            check=False,
            capture_output=True,
            text=True,
            timeout=600,
        )

    def reasons(self, account_id: str, **fields: Any) -> set[int]:
        """Return why the order that is approved elsewhere is denied here; empty: it is not."""
        with riskgate.connect(self.stack.data_dir, deadline_s=DEADLINE_S) as gate:
            answer = gate.decide(**{**order(account_id), **fields}, dry_run=True)
        return set() if answer.lot_size > 0 else set(answer.reasons)

    def is_killed(self, account_id: str) -> bool:
        killed = {types.REASON_KILL_ALL, types.REASON_KILL_NEW_RISK}
        try:
            return bool(killed & self.reasons(account_id))
        except riskgate.NoDecisionError:
            return False

    def wait_until_approved(self, *accounts: str) -> None:
        def is_approved() -> bool:
            try:
                return not any(self.reasons(each) for each in accounts)
            except riskgate.NoDecisionError:
                return False

        assert wait_until(is_approved, timeout_s=ARRIVAL_S), [*map(self.reasons, accounts)]

    def say(self, request: pb.KillRequest, deadline_s: float = 3.0) -> list[Confirmation]:
        """Say a kill to every engine, and not to control."""
        return KillCall(self.stack.data_dir, [request], deadline_s).run()

    def exercise(self) -> pb.DrillReport:
        """Flood and kill one fresh account of each engine; they stay killed."""
        engines = find_local(self.stack.data_dir)
        accounts = self.take_accounts()
        sorties = [
            Sortie(self.stack.data_dir, account_id, engine, _flowing(account_id))
            for account_id, engine in zip(accounts, engines, strict=True)
        ]

        def kill_all(names: Sequence[str]) -> list[Confirmation]:
            now_ns = time.time_ns()
            requests = [kill(target(name=name), at_ns=now_ns) for name in names]
            said = KillCall(self.stack.data_dir, requests, 3.0, self._ask_control).run()
            assert is_complete(said), said
            return said

        return exercise(sorties, kill_all)

    def _ask_control(self, request: pb.KillRequest, left_s: float) -> pb.KillResponse:
        with riskgate.ControlClient.from_data_dir(self.stack.data_dir) as client:
            answer: pb.KillResponse = client.kills.Kill(request, timeout=left_s)
            return answer

    def kill_engines(self) -> None:
        """Kill every engine; return when its successor is there and approves."""
        before = {name: pid for name, pid in self.stack.state.pids.items() if "engine" in name}
        for pid in before.values():
            os.kill(pid, signal.SIGKILL)
        assert wait_until(
            lambda: all(self.stack.state.pids[name] != pid for name, pid in before.items()),
            timeout_s=ARRIVAL_S,
        )
        self.wait_until_approved(*self.take_accounts(), REAL)

    @contextmanager
    def away(self, service: str) -> Iterator[None]:
        """Stop a service as if its machine had been cut off."""
        pid = self.stack.state.pids[service]
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)


def exercise_often(stack: DrillStack, count: int, label: str) -> None:
    """Exercise so many times: whatever the figures, nothing is approved behind a confirmation."""
    last_ms, confirmed_ms = [], []
    for _ in range(count):
        report = stack.exercise()
        assert is_passed(report), report
        last_ms.append(max(each.last_approval_ns for each in report.replicas) / 1e6)
        confirmed_ms.append(max(each.confirmation_ns for each in report.replicas) / 1e6)
    within = sum(each <= 100 for each in last_ms)
    print(  # noqa: T201 - figures to read
        f"\n{label}: command to last approval at {ENGINES} engines, N = {count}: median"
        f" {median(last_ms):.1f} ms, largest {max(last_ms):.1f} ms, {within} within 100 ms; to the"
        f" last confirmation: median {median(confirmed_ms):.1f} ms, largest"
        f" {max(confirmed_ms):.1f} ms"
    )


@contextmanager
def drill_stack(sandboxes: int = SANDBOXES) -> Iterator[DrillStack]:
    """Start three engines whose accounts are approved."""
    names = [f"sandbox-{number}" for number in range(sandboxes)]
    with running_stack(f"--shards={ENGINES}") as stack:
        made = DrillStack(stack, names)
        path = stack.data_dir.with_name("entries.yaml")
        path.write_text(yaml.safe_dump(_entries(names)), encoding="utf-8")
        done = made.run("apply", "--reason", "test", "-f", str(path))
        assert done.returncode == 0, done.stdout + done.stderr
        made.wait_until_approved(*made.take_accounts(), REAL)
        yield made


def _entries(sandboxes: Sequence[str]) -> dict[str, Any]:
    text = Path(__file__).parent.joinpath("processes", "outages.yaml").read_text(encoding="utf-8")
    given = yaml.safe_load(text)
    account, configuration = given["accounts"][0], given["risk_configurations"][0]
    names = [*sandboxes, REAL]
    return {
        **given,
        "accounts": [{**account, "account_id": each, "sandbox": each != REAL} for each in names],
        "risk_configurations": [{**configuration, "account_id": each} for each in names],
        "circuit_breakers": [],
    }


def _flowing(account_id: str) -> riskgate.DecideRequest:
    words: dict[str, Any] = {
        **order(account_id),
        "side": types.SIDE_BUY,
        "provider_type": types.PROVIDER_TYPE_CHANNEL_SOURCE,
    }
    return riskgate.DecideRequest(**words, dry_run=True)


def code_of(error: grpc.RpcError) -> grpc.StatusCode:
    named: Any = error
    code: grpc.StatusCode = named.code()
    return code
