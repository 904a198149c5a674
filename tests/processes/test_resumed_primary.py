"""A standby takes over from an engine process that is stopped, and wakes up again."""

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from riskgate.v1 import types_pb2 as types
from server.embedded.process import wait_until
from server.journal.reader import read_entries
from server.readiness import read_status
from tests.faults.orders import client_of
from tests.faults.tracing import injecting, skip_without_ptrace
from tests.faults.victim import Victim
from tests.standby_processes import (
    BATCH_ITEMS,
    LATE_CALLS_MIN,
    REPEATS_MAX,
    SEGMENT_BYTES,
    WAIT_S,
    Call,
    Callers,
    Couple,
    couple_in,
    read_answers,
)


def stop_and_resume(
    folder: Path, redis_url: str, stop: Callable[[Victim], None], **settings: Any
) -> dict[str, int]:
    """Let a primary be stopped, promote its standby, resume it; return what there was."""
    settings = {"journal_segment_bytes": SEGMENT_BYTES, **settings}
    with couple_in(folder, redis_url, **settings) as couple:
        primary, reserve = couple
        callers = Callers(primary.address)
        stop(primary)
        said = reserve.promote()
        promoted_ns = time.time_ns()
        primary.process.send_signal(signal.SIGCONT)

        def late() -> list[Call]:
            return [call for call in callers.calls if call.sent_ns >= promoted_ns and call.raw]

        assert wait_until(lambda: len(late()) >= LATE_CALLS_MIN, timeout_s=WAIT_S)
        callers.stop()
        figures = check_calls(couple, callers.calls, late(), said, promoted_ns)
        assert wait_until(
            lambda: read_status(primary.address) == "NOT_SERVING", timeout_s=WAIT_S
        ), primary.read_log()
        reserve.wait_until_serving()
        check_repeats(reserve.address, callers.calls)
        assert reserve.stop() == 0, reserve.read_log()
        return figures


def check_calls(
    couple: Couple, calls: list[Call], late: list[Call], said: dict[str, Any], promoted_ns: int
) -> dict[str, int]:
    """Nobody was told a decision that was not taken over, and none for a call made later."""
    last = said["entry_number"]
    assert couple.fence.last_entry_number == last
    for call in late:
        for answer in call.answers:
            seen = (answer.decision_id, answer.verdict, answer.mode, list(answer.reasons))
            assert seen == (0, types.VERDICT_DENY, types.MODE_REFUSE, [types.REASON_FENCED])
    kept = read_answers(couple.primary.journal, 1, last)
    told = [answer for call in calls for answer in call.answers if answer.decision_id]
    assert len(told) > BATCH_ITEMS
    astray = [one for one in told if kept.get((one.epoch, one.decision_id)) != one]
    assert not astray, f"{len(astray)} of {len(told)} were not taken over, as {astray[0]}"
    # What was being written when it was fenced: at most one entry, and nobody heard of it.
    orphans = read_answers(couple.primary.journal, last + 1, last + 1_000_000)
    assert not orphans.keys() & {(one.epoch, one.decision_id) for one in told}
    behind = sum(1 for _ in read_entries(couple.primary.journal, last + 1))
    assert behind <= 1
    return {
        "decisions told": len(told),
        "calls answered after the promotion": sum(c.answered_ns >= promoted_ns for c in calls),
        "of these sent after it": len(late),
        "decisions among those": sum(bool(a.decision_id) for c in late for a in c.answers),
        "entries that nobody heard of": behind,
        "calls without an answer": sum(not call.raw for call in calls),
    }


def check_repeats(address: str, calls: list[Call]) -> None:
    """The new engine gives the same bytes again."""
    singles = [call for call in calls if len(call.answers) == 1 and call.answers[0].decision_id]
    with client_of(address) as client:
        for call in singles[-REPEATS_MAX:]:
            assert client.ask([call.request]) == [call.raw]


def stop_and_resume_often(folder: Path, redis_url: str, rounds: int) -> None:
    seed = time.time_ns()
    chance = random.Random(seed)

    def stop_soon(primary: Victim) -> None:
        time.sleep(0.3 + chance.random() / 2)
        primary.process.send_signal(signal.SIGSTOP)

    totals: dict[str, int] = {"rounds": 0}
    for number in range(rounds):
        for name, figure in stop_and_resume(folder / str(number), redis_url, stop_soon).items():
            totals[name] = totals.get(name, 0) + figure
        totals["rounds"] += 1
        if number % 10 == 9:
            print(f"\n{totals}", flush=True)  # noqa: T201 - figures to read
    print(f"\nSIGSTOP, promote, SIGCONT (seed {seed}): {totals}")  # noqa: T201 - figures to read


@pytest.mark.timeout(600)
def test_a_primary_that_wakes_up_decides_nothing_more(tmp_path: Path, redis_url: str) -> None:
    stop_and_resume_often(tmp_path, redis_url, 2)


@pytest.mark.campaign
@pytest.mark.timeout(3_600)
def test_a_primary_that_wakes_up_decides_nothing_more_fifty_times(
    tmp_path: Path, redis_url: str
) -> None:
    stop_and_resume_often(tmp_path, redis_url, 50)


def test_a_primary_stopped_between_entry_and_answer_lets_no_answer_go(
    tmp_path: Path, redis_url: str
) -> None:
    """It wakes up behind its sync, with answers ready to be sent and their entries taken over."""
    skip_without_ptrace()

    def stop_in_a_sync(primary: Victim) -> None:
        pid = primary.process.pid
        with injecting(pid, "inject=fdatasync:signal=SIGSTOP:when=30", tmp_path / "calls"):
            assert wait_until(lambda: _is_stopped(pid), timeout_s=WAIT_S), primary.read_log()

    figures = stop_and_resume(tmp_path / "pair", redis_url, stop_in_a_sync, durability="disk")
    print(f"\nSIGSTOP in fdatasync: {figures}")  # noqa: T201 - figures to read
    assert figures["calls without an answer"] >= 1


def _is_stopped(pid: int) -> bool:
    """Tell whether every thread is stopped; while a process runs, most of them sleep."""
    files = Path(f"/proc/{pid}/task").glob("*/status")
    texts = [file.read_text(encoding="utf-8") for file in files]
    return all("State:\tT" in text or "State:\tt" in text for text in texts)
