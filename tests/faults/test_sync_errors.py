"""fdatasync fails or is slow: what is not known to be on disk is never answered as if it were."""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import grpc
import pytest

from riskgate.v1 import types_pb2 as types
from tests.faults.orders import PADDING_BYTES, Orders, client_of, report_bytes
from tests.faults.promises import check_journal, check_memory, read_kept
from tests.faults.source import feeding
from tests.faults.tracing import injecting, skip_without_ptrace
from tests.faults.victim import victim_in

BARRED: Final = 100
DELAY_US: Final = 20_000


@pytest.mark.parametrize("number", [1, 7, 40])
def test_after_a_failed_sync_nothing_is_approved_and_the_file_is_left_alone(
    tmp_path: Path, redis_url: str, number: int
) -> None:
    skip_without_ptrace()
    trace = tmp_path / "trace"
    fault = f"inject=fdatasync:error=EIO:when={number}"
    with ExitStack() as stack:
        stack.enter_context(feeding(redis_url))
        victim = stack.enter_context(victim_in(tmp_path / "data", redis_url, durability="disk"))
        victim.serve()
        orders = Orders(victim.address)
        with injecting(victim.process.pid, fault, trace):
            orders.start()
            orders.wait_until(lambda: len(orders.barred) >= BARRED)
            told = len(orders.told)
            orders.wait_until(lambda: len(orders.barred) >= 2 * BARRED)
            orders.stop()
            assert len(orders.told) == told, "decided after the disk had failed"
            with client_of(victim.address) as client:
                leave = orders.place(client, "exit", side=2, stop_loss=None, reduce_only=True)
                assert leave.decision_id == 0
                with pytest.raises(grpc.RpcError) as refusal:
                    client.report(report_bytes("report", "exit", types.REPORT_KIND_CANCEL))
                assert refusal.value.code() == grpc.StatusCode.UNAVAILABLE
            assert victim.stop() == 0, victim.read_log()
        for answer in [*orders.barred, leave]:
            assert answer.reasons[0] == types.REASON_JOURNAL_FAILED, str(answer)
            assert (answer.verdict, answer.mode) == (types.VERDICT_DENY, types.MODE_REFUSE)
            assert answer.lot_size == 0
        for one in orders.told.values():
            assert one.decision.durability == types.DURABILITY_DISK
        check_never_retried(trace)
        victim.serve()
        check_memory(victim.address, orders, list(orders.told))
        orders.start()
        orders.wait_for_answers(20)
        orders.stop()
        assert victim.stop() == 0, victim.read_log()
        check_journal(orders, read_kept(victim.journal))
    print(  # noqa: T201 - figures to read
        f"\nEIO at sync {number}: {told} decisions before, approvals after it 0, "
        f"{len(orders.barred)} barred, failed calls {dict(orders.failures)}"
    )


def check_never_retried(trace: Path) -> None:
    """No file is synced again after that has failed, by no thread and under no descriptor."""
    calls = [line for line in trace.read_text(encoding="utf-8").splitlines() if "sync(" in line]
    failed = [number for number, line in enumerate(calls) if "EIO" in line]
    assert failed, "no sync has failed"
    for number in failed:
        path = calls[number].partition("<")[2].partition(">")[0]
        assert path.endswith(".segment"), calls[number]
        again = [line for line in calls[number + 1 :] if f"<{path}>" in line and "EIO" not in line]
        assert not again, again


def test_a_slow_sync_only_slows(tmp_path: Path, redis_url: str) -> None:
    skip_without_ptrace()
    fault = f"inject=fdatasync:delay_exit={DELAY_US}"
    with feeding(redis_url), victim_in(tmp_path / "data", redis_url, durability="disk") as victim:
        victim.serve()
        orders = Orders(victim.address)
        with injecting(victim.process.pid, fault, tmp_path / "trace"):
            begun_s = time.monotonic()
            orders.start(padding_bytes=PADDING_BYTES)
            orders.wait_for_answers(200)
            rate = 200 / (time.monotonic() - begun_s)
            orders.stop()
        assert not orders.failures
        assert not orders.barred
        assert victim.stop() == 0, victim.read_log()
        check_journal(orders, read_kept(victim.journal))
    print(f"\nsync {DELAY_US / 1_000:.0f} ms late: {rate:.0f} decisions/s")  # noqa: T201
