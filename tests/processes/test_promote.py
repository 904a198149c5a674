"""A standby takes over from a real engine process that is stopped and resumed, or killed."""

import contextlib
import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import grpc
import pytest

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import types_pb2 as types
from server.embedded.process import wait_until
from server.fencing import Fence, read_fence
from server.hotpath.journal.entries import KIND_BATCH, KIND_DECIDE
from server.journal.reader import read_call, read_entries
from server.promotion_port import ask_for_promotion, socket_path
from server.readiness import read_status
from server.services.decision import SERVICE_NAME
from server.shards import WHOLE
from tests.decision_harness import good_request
from tests.faults.orders import OPTIONS, Orders, client_of, order_bytes
from tests.faults.promises import (
    check_holds,
    check_journal,
    check_memory,
    read_kept,
    read_last_number,
)
from tests.faults.source import feeding
from tests.faults.victim import Victim, victim_in

WAIT_S: Final = 60.0
DEADLINE_S: Final = 30.0
SINGLES: Final = 3
BATCH_ITEMS: Final = 100
LATE_CALLS_MIN: Final = 20
REPEATS_MAX: Final = 200
# Large enough that the keeper is never late.
SEGMENT_BYTES: Final = 16 << 20


class Reserve(Victim):
    """A standby process, which is an engine once it was promoted.

    Args:
        data_dir: Its own.
        redis_url: Where its state will come from.
        primary: Data directory of the engine that it follows; None: what that ships to Redis.
    """

    def __init__(
        self, data_dir: Path, redis_url: str, primary: Path | None, **settings: Any
    ) -> None:
        super().__init__(data_dir, redis_url, **settings)
        self._primary = primary

    @property
    def words(self) -> Sequence[str]:
        return ("standby", "--follow", str(self._primary)) if self._primary else ("standby",)

    @property
    def said(self) -> dict[str, Any]:
        """Its report on itself; empty before the first one."""
        try:
            return dict(json.loads((self.data_dir / "run" / "standby.json").read_bytes()))
        except FileNotFoundError:
            return {}

    def wait_until_following(self) -> None:
        """Wait until it has reached the end of the journal."""
        self.wait_for(lambda: self.said.get("state") == "following")

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait for something while it lives."""
        assert wait_until(lambda: self.is_dead or condition(), timeout_s=WAIT_S), self.read_log()
        assert not self.is_dead, self.read_log()

    def promote(self) -> dict[str, Any]:
        """Let it take over; return what it says."""
        path = socket_path(self.data_dir, WHOLE)
        return ask_for_promotion(path, primary_is_dead=False, timeout_s=WAIT_S)


class Shipping(Victim):
    """A process that ships the journal of an engine's directory to Redis."""

    @property
    def words(self) -> Sequence[str]:
        return ("ship",)


class Couple(NamedTuple):
    """An engine and the standby that follows it."""

    primary: Victim
    reserve: Reserve

    @property
    def fence(self) -> Fence:
        """What was left with the primary."""
        fence = read_fence(self.primary.journal)
        assert fence is not None
        return fence


@contextlib.contextmanager
def couple_in(folder: Path, redis_url: str, **settings: Any) -> Iterator[Couple]:
    """Start an engine and a standby that has caught up."""
    folder.mkdir(exist_ok=True)
    with feeding(redis_url), victim_in(folder / "primary", redis_url, **settings) as primary:
        primary.serve()
        (folder / "reserve").mkdir()
        reserve = Reserve(folder / "reserve", redis_url, primary.data_dir, **settings)
        try:
            reserve.start()
            reserve.wait_until_following()
            yield Couple(primary, reserve)
        finally:
            if reserve.starts:
                reserve.kill()


def run_command(*words: str) -> "subprocess.CompletedProcess[str]":
    command = [str(Path(sys.executable).with_name("riskgate")), *words]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=WAIT_S)


# --- A primary that dies ---------------------------------------------------------------------


def test_a_standby_of_a_dead_engine_goes_on_with_all_that_was_answered(
    tmp_path: Path, redis_url: str
) -> None:
    with couple_in(tmp_path, redis_url) as (primary, reserve):
        orders = Orders(primary.address)
        orders.start()
        orders.wait_for_answers(400)
        primary.kill()
        orders.stop()
        done = run_command("promote", "--data-dir", str(reserve.data_dir), "--json")
        assert done.returncode == 0, done.stdout + done.stderr + reserve.read_log()
        said = json.loads(done.stdout)
        assert said["proof"] == "it is dead"
        check_journal(orders, read_kept(primary.journal))
        reserve.wait_until_serving()
        check_memory(reserve.address, orders, list(orders.told))
        check_holds(reserve.address, orders, 0)
        _serves_on(reserve, said["epoch"], "before")
        # Again with what stands in its own directory, and under the name it is run by.
        assert reserve.stop() == 0, reserve.read_log()
        reserve.serve()
        check_memory(reserve.address, orders, list(orders.told))
        _serves_on(reserve, said["epoch"] + 1, "after")
        # The one before does not come back.
        primary.start()
        assert primary.wait_until_dead() == 1
        assert (
            f"reserve/journal has taken over with epoch {said['epoch'] - 1}" in primary.read_log()
        )
        assert reserve.stop() == 0, reserve.read_log()


def _serves_on(reserve: Reserve, epoch: int, name: str) -> None:
    with client_of(reserve.address) as client:
        (raw,) = client.ask([order_bytes(name)])
    answer = pb.DecideResponse.FromString(raw)
    assert (answer.epoch, answer.verdict) == (epoch, types.VERDICT_ALLOW), str(answer)


def test_a_second_standby_is_told_that_it_came_too_late(tmp_path: Path, redis_url: str) -> None:
    with couple_in(tmp_path, redis_url) as couple:
        (tmp_path / "third").mkdir()
        third = Reserve(tmp_path / "third", redis_url, couple.primary.data_dir)
        try:
            third.start()
            third.wait_until_following()
            couple.primary.kill()
            couple.reserve.promote()
            done = run_command("promote", "--data-dir", str(third.data_dir))
            assert done.returncode == 1
            assert "this standby knows of 1: another engine has decided" in done.stderr
            assert third.stop() == 0, third.read_log()
            third.start()
            assert third.wait_until_dead() == 1
            assert "reserve/journal has taken over" in third.read_log()
        finally:
            third.kill()


# --- A primary on another machine ------------------------------------------------------------


def test_a_standby_elsewhere_goes_on_with_what_was_shipped(tmp_path: Path, redis_url: str) -> None:
    with contextlib.ExitStack() as stack:
        stack.enter_context(feeding(redis_url))
        primary = stack.enter_context(victim_in(tmp_path / "primary", redis_url))
        primary.serve()
        shipping = Shipping(primary.data_dir, redis_url)
        stack.callback(shipping.kill)
        shipping.start()
        (tmp_path / "reserve").mkdir()
        reserve = Reserve(tmp_path / "reserve", redis_url, None)
        stack.callback(reserve.kill)
        reserve.start()
        reserve.wait_until_following()
        orders = Orders(primary.address)
        orders.start()
        orders.wait_for_answers(400)
        orders.stop()
        last = read_last_number(primary.journal)
        reserve.wait_for(lambda: reserve.said.get("entry_number", 0) >= last)
        window = json.loads((primary.data_dir / "run" / "shipping.json").read_bytes())
        print(f"\nshipped through redis: {window}")  # noqa: T201 - figures to read
        # It lives on and is fenced by Redis alone.
        words = ("promote", "--data-dir", str(reserve.data_dir), "--primary-is-dead", "--json")
        done = run_command(*words)
        assert done.returncode == 0, done.stdout + done.stderr + reserve.read_log()
        assert json.loads(done.stdout)["missing_entries"] == 0
        reserve.wait_until_serving()
        check_memory(reserve.address, orders, list(orders.told))
        check_holds(reserve.address, orders, 0)
        assert wait_until(
            lambda: read_status(primary.address) == "NOT_SERVING", timeout_s=WAIT_S
        ), primary.read_log()
        with client_of(primary.address) as client:
            (raw,) = client.ask([order_bytes("late")])
        assert pb.DecideResponse.FromString(raw).reasons == [types.REASON_FENCED]
        assert primary.stop() == 0, primary.read_log()
        primary.start()
        assert primary.wait_until_dead() == 1
        assert "redis has taken over" in primary.read_log()
        assert shipping.stop() == 0, shipping.read_log()
        assert reserve.stop() == 0, reserve.read_log()


# --- A primary that is stopped and wakes up again --------------------------------------------


class Call(NamedTuple):
    """One call with its times, Unix nanoseconds; without answers it failed."""

    sent_ns: int
    answered_ns: int
    request: bytes
    answers: tuple[pb.DecideResponse, ...]
    raw: bytes


class Callers:
    """Clients that call one engine without a pause and keep everything.

    Args:
        address: Of the engine.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._stop = threading.Event()
        self.calls: list[Call] = []
        item = good_request(requested_lots=0.01, client_order_id=None)
        self._batch = pb.DecideBatchRequest(requests=[item] * BATCH_ITEMS).SerializeToString()
        self._threads = [
            threading.Thread(target=self._run, args=(number,), daemon=True)
            for number in range(SINGLES + 1)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let them end."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        channel: Any
        with grpc.insecure_channel(self._address, OPTIONS) as channel:
            decide = channel.unary_unary(f"/{SERVICE_NAME}/Decide")
            batch = channel.unary_unary(f"/{SERVICE_NAME}/DecideBatch")
            turn = 0
            while not self._stop.is_set():
                turn += 1
                is_batch = number == SINGLES
                request = self._batch if is_batch else order_bytes(f"caller-{number}-{turn}")
                sent_ns, raw = time.time_ns(), b""
                with contextlib.suppress(grpc.RpcError):
                    raw = (batch if is_batch else decide)(request, timeout=DEADLINE_S)
                answered_ns = time.time_ns()
                self.calls.append(Call(sent_ns, answered_ns, request, _answers(raw, is_batch), raw))
                if not raw:
                    time.sleep(0.02)


def _answers(raw: bytes, is_batch: bool) -> tuple[pb.DecideResponse, ...]:
    if not raw:
        return ()
    if is_batch:
        return tuple(one.response for one in pb.DecideBatchResponse.FromString(raw).results)
    return (pb.DecideResponse.FromString(raw),)


def read_answers(journal: Path, first: int, last: int) -> dict[tuple[int, int], pb.DecideResponse]:
    """Return the decisions of some entries by epoch and id."""
    found = {}
    for entry in read_entries(journal, first):
        if entry.number > last:
            break
        if entry.kind in {KIND_DECIDE, KIND_BATCH}:
            for answer in _answers(read_call(entry).answer, entry.kind == KIND_BATCH):
                found[answer.epoch, answer.decision_id] = answer
    return found


def stop_and_resume(folder: Path, redis_url: str, chance: random.Random) -> dict[str, int]:
    """Stop a primary at any moment, promote its standby, resume it; return what there was."""
    with couple_in(folder, redis_url, journal_segment_bytes=SEGMENT_BYTES) as couple:
        primary, reserve = couple
        callers = Callers(primary.address)
        time.sleep(0.3 + chance.random() / 2)
        primary.process.send_signal(signal.SIGSTOP)
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
            told = (answer.decision_id, answer.verdict, answer.mode, list(answer.reasons))
            assert told == (0, types.VERDICT_DENY, types.MODE_REFUSE, [types.REASON_FENCED])
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
    totals: dict[str, int] = {"rounds": 0}
    for number in range(rounds):
        for name, figure in stop_and_resume(folder / str(number), redis_url, chance).items():
            totals[name] = totals.get(name, 0) + figure
        totals["rounds"] += 1
    print(f"\nSIGSTOP, promote, SIGCONT (seed {seed}): {totals}")  # noqa: T201 - figures to read


@pytest.mark.timeout(600)
def test_a_primary_that_wakes_up_decides_nothing_more(tmp_path: Path, redis_url: str) -> None:
    stop_and_resume_often(tmp_path, redis_url, 5)


@pytest.mark.campaign
@pytest.mark.timeout(3_600)
def test_a_primary_that_wakes_up_decides_nothing_more_fifty_times(
    tmp_path: Path, redis_url: str
) -> None:
    stop_and_resume_often(tmp_path, redis_url, 50)
