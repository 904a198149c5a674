"""`kill.sock` and the errand of the decision port: a kill straight into one engine."""

import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from riskgate.v1 import admin_pb2, kill_pb2_grpc, state_pb2
from riskgate.v1 import kill_pb2 as pb
from riskgate.v1.decision_pb2 import RequestError
from server.changes import state_change
from server.embedded.process import wait_until
from server.engine import Engine
from server.errors import ConfigurationError
from server.hotpath.journal.entries import KIND_CHANGE
from server.hotpath.memory import Capacity
from server.journal.reader import read_change, read_entries
from server.kill_port import KillPort
from server.kill_rows import (
    Target,
    Times,
    engine_kill,
    is_engine_kill,
    kill_rows,
    read_engine_kill,
)
from server.services.kill_errand import find_times, kill_errand, try_kill
from server.services.refusal import Refusal
from server.shards import Shard
from tests.journaled_engine import JournaledEngine
from tests.kill_requests import ALL, NEW_RISK, WHY, kill, target

SHARD = Shard(1, 3)
SMALL = Capacity(**dict.fromkeys(Capacity._fields, 16))
ACCOUNT_A = Target(pb.KILL_SCOPE_ACCOUNT, 0, "A")
WAIT_S = 20.0


class Owner:
    """Owns an engine as the lane does: takes what waits in the ring when it is woken."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._woken = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def wake(self) -> None:
        self._woken.set()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self.wake()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._woken.wait()
            self._woken.clear()
            self.engine.drain(time.time_ns())


@pytest.fixture
def owner() -> Iterator[Owner]:
    made = Owner(Engine(SMALL, epoch=4, started_at_ns=1))
    yield made
    made.stop()


@pytest.fixture
def port(owner: Owner, tmp_path: Path) -> Iterator[KillPort]:
    made = KillPort(tmp_path / "kill.sock", owner.engine, owner.wake, SHARD)
    made.start()
    assert wait_until((tmp_path / "kill.sock").exists, timeout_s=WAIT_S)
    yield made
    made.stop()


def ask(port: KillPort, request: pb.KillRequest) -> Any:
    with grpc.insecure_channel(port.address) as channel:
        stub: Any = kill_pb2_grpc.KillServiceStub(channel)
        return stub.Kill(request, timeout=WAIT_S, wait_for_ready=True)


def test_a_kill_over_the_socket_is_answered_when_it_counts(port: KillPort, owner: Owner) -> None:
    owner.start()
    at_ns = time.time_ns()
    answer = ask(port, kill(at_ns=at_ns))
    assert (answer.confirmed_by, answer.latched, answer.epoch) == ("engine 1/3", True, 4)
    assert answer.killed_at_ns == at_ns
    assert answer.sequence == owner.engine.state.engine[0]["sequence"]
    assert owner.engine.state.engine[0]["kills_of_new_risk"][pb.KILL_SCOPE_ACCOUNT] == 1
    again = ask(port, kill(at_ns=at_ns))
    assert again.latched
    assert owner.engine.state.engine[0]["kills_of_new_risk"][pb.KILL_SCOPE_ACCOUNT] == 1


def test_a_kill_of_everything_does_not_stand_for_one_of_new_risk(
    port: KillPort, owner: Owner
) -> None:
    owner.start()
    assert ask(port, kill(target("global", ""), ALL)).latched
    row = owner.engine.state.engine[0]
    assert row["kills_of_all"][pb.KILL_SCOPE_GLOBAL] == 1
    assert row["kills_of_new_risk"][pb.KILL_SCOPE_GLOBAL] == 0


def test_a_kill_before_the_engine_is_warm_waits_and_is_applied_first(
    port: KillPort, owner: Owner
) -> None:
    answers: list[Any] = []
    asking = threading.Thread(target=lambda: answers.append(ask(port, kill())))
    asking.start()
    assert wait_until(lambda: owner.engine.submitted_changes == 1, timeout_s=WAIT_S)
    assert not answers
    owner.start()
    asking.join()
    assert answers[0].latched


def test_a_request_without_a_reason_is_refused_and_changes_nothing(
    port: KillPort, owner: Owner
) -> None:
    owner.start()
    with pytest.raises(grpc.RpcError) as caught:
        ask(port, kill(note=admin_pb2.ChangeNote(actor="ann", reason=" ")))
    refused: Any = caught.value
    assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "note.reason" in refused.details()
    assert owner.engine.submitted_changes == 0


def test_the_socket_is_for_its_owner_alone_and_gone_at_the_end(
    port: KillPort, owner: Owner, tmp_path: Path
) -> None:
    owner.start()
    path = tmp_path / "kill.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(ConfigurationError, match="in use"):
        KillPort(path, owner.engine, owner.wake, SHARD)
    port.stop()
    assert not path.exists()


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_a_folder_that_others_can_write_is_refused(owner: Owner, tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(ConfigurationError, match="other accounts can write"):
        KillPort(folder / "kill.sock", owner.engine, owner.wake, SHARD)


def test_a_file_in_the_place_of_the_socket_is_refused(owner: Owner, tmp_path: Path) -> None:
    (tmp_path / "kill.sock").write_text("mine")
    with pytest.raises(ConfigurationError, match="is no socket"):
        KillPort(tmp_path / "kill.sock", owner.engine, owner.wake, SHARD)


def test_a_path_that_no_socket_can_have_leaves_the_decision_port(
    owner: Owner, tmp_path: Path
) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    port = KillPort(deep / "kill.sock", owner.engine, owner.wake, SHARD)
    port.start()
    assert port.address == ""
    port.stop()


# --- The errand of the decision port, on the owner's thread ---


def said(raw: bytes | Refusal | RequestError) -> pb.KillResponse:
    assert isinstance(raw, bytes), raw
    return pb.KillResponse.FromString(raw)


def test_the_errand_holds_when_it_returns() -> None:
    engine = Engine(SMALL, epoch=2, started_at_ns=1)
    at_ns = time.time_ns()
    raw = kill(at_ns=at_ns).SerializeToString()
    answer = said(kill_errand(engine, raw, at_ns, "spiffe://riskgate/admin/ann", SHARD))
    assert (answer.latched, answer.killed_at_ns, answer.epoch) == (True, at_ns, 2)
    assert find_times(engine, ACCOUNT_A) == Times(new_risk_killed=at_ns)
    assert said(try_kill(engine, raw, at_ns, "spiffe://riskgate/admin/ann", SHARD)) is not None


def test_the_errand_takes_room_in_a_ring_that_is_full() -> None:
    engine = Engine(SMALL, started_at_ns=1)
    change = engine_kill(
        Target(pb.KILL_SCOPE_ACCOUNT, 0, "filler"), NEW_RISK, 5, state_pb2.KillReason()
    ).SerializeToString()
    while engine.submit(change):
        pass
    assert said(kill_errand(engine, kill().SerializeToString(), 9, "ann")).latched


def test_a_late_kill_is_told_that_it_does_not_hold() -> None:
    engine = Engine(SMALL, started_at_ns=1)
    known = Times(new_risk_killed=70, new_risk_rearmed=70)
    apply_times(engine, ACCOUNT_A, known)
    late = said(kill_errand(engine, kill(at_ns=60).SerializeToString(), 9, "ann"))
    assert (late.latched, late.killed_at_ns) == (False, 70)
    assert find_times(engine, ACCOUNT_A) == known
    assert said(kill_errand(engine, kill(at_ns=71).SerializeToString(), 9, "ann")).latched


def test_a_rearming_of_an_older_kill_leaves_a_newer_one() -> None:
    engine = Engine(SMALL, started_at_ns=1)
    said(kill_errand(engine, kill(at_ns=80).SerializeToString(), 9, "ann"))
    apply_times(engine, ACCOUNT_A, Times(new_risk_killed=70, new_risk_rearmed=70))
    assert find_times(engine, ACCOUNT_A) == Times(new_risk_killed=80, new_risk_rearmed=70)
    assert engine.state.engine[0]["kills_of_new_risk"][pb.KILL_SCOPE_ACCOUNT] == 1


def test_a_table_of_kills_that_is_full_kills_everything() -> None:
    engine = Engine(SMALL._replace(kills=1), started_at_ns=1)
    for name in ("one", "two", "three"):
        answer = said(kill_errand(engine, kill(target(name=name)).SerializeToString(), 9, "ann"))
        assert answer.latched
    assert engine.state.engine[0]["kills_lost"] > 0


@pytest.mark.parametrize("raw", [b"\xff", b"", kill(target(name="")).SerializeToString()])
def test_what_is_no_kill_is_refused_and_changes_nothing(raw: bytes) -> None:
    engine = Engine(SMALL, started_at_ns=1)
    refused = kill_errand(engine, raw, 9, "ann")
    assert isinstance(refused, Refusal)
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert isinstance(try_kill(engine, raw, 9, "ann"), RequestError)
    assert engine.submitted_changes == 0


def test_a_kill_stands_in_the_journal_with_who_and_why(tmp_path: Path) -> None:
    with JournaledEngine(tmp_path) as journaled:
        at_ns = time.time_ns()
        raw = kill(at_ns=at_ns).SerializeToString()
        said(kill_errand(journaled.engine, raw, at_ns, "spiffe://riskgate/admin/ann", SHARD))
    entries = [entry for entry in read_entries(tmp_path) if entry.kind == KIND_CHANGE]
    changes = [state_pb2.StateChange.FromString(read_change(entry).change) for entry in entries]
    (change,) = [each for each in changes if is_engine_kill(each)]
    assert read_engine_kill(change) == (ACCOUNT_A, Times(new_risk_killed=at_ns))
    assert (change.kill.caller, change.kill.said_to) == (
        "spiffe://riskgate/admin/ann",
        "engine 1/3",
    )
    assert (change.kill.actor, change.kill.reason) == (WHY.actor, WHY.reason)


def apply_times(engine: Engine, what: Target, times: Times) -> None:
    """Apply what control publishes."""
    change = state_change(state_pb2.CHANGE_KIND_KILL, what.key, kill_rows(what, times), version=1)
    assert engine.submit(change.SerializeToString())
    engine.drain(time.time_ns())
