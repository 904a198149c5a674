"""Whoever was replaced answers nothing more, and does not come back."""

from pathlib import Path
from typing import Any

import grpc
import pytest

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import types_pb2 as types
from server.engine_start import start_engine
from server.errors import (
    JournalFencedError,
    UnavailableError,
)
from server.journal.active_epoch import ActiveEpoch
from server.journal.fencing import (
    Fence,
    claim,
    complete,
    keep_counted,
    raise_active_epoch,
)
from server.journal.reader import read_entries
from tests.journal_builder import JournalBuilder
from tests.lane_harness import OPENERS
from tests.port_calls import refused
from tests.standby_harness import (
    order,
    primary_in,
    settings_of,
)


@pytest.mark.parametrize("lane", OPENERS)
def test_a_fenced_engine_denies_everything_before_its_next_answer(
    tmp_path: Path, lane: str
) -> None:
    with primary_in(tmp_path / "data", lane) as primary:
        port = primary.port
        before = port.decide(order("before"))
        assert (before.verdict, before.decision_id > 0) == (types.VERDICT_ALLOW, True)
        newest = int(primary.engine.journal["entry_number"][0])
        primary.fence()
        asked = [order("new"), order("exit", reduce_only=True), order("before")]
        answers = [port.decide(request) for request in asked]
        answers += [one.response for one in port.batch(*asked)]
        for answer in answers:
            told = (answer.verdict, answer.mode, list(answer.reasons), answer.decision_id)
            assert told == (types.VERDICT_DENY, types.MODE_REFUSE, [types.REASON_FENCED], 0)
        report = pb.ExecutionReport(report_id="r", account_id="A", client_order_id="before")
        raw = pb.ReportExecutionRequest(report=report).SerializeToString()
        assert refused(port, "ReportExecution", raw)[0] == grpc.StatusCode.UNAVAILABLE
        raw = pb.SyncAccountRequest(account_id="A", equity=1.0).SerializeToString()
        assert refused(port, "SyncAccount", raw)[0] == grpc.StatusCode.UNAVAILABLE
        assert primary.engine.journal["entry_number"][0] == newest


def test_an_answer_that_was_on_its_way_when_the_engine_was_fenced_never_leaves(
    tmp_path: Path,
) -> None:
    with primary_in(tmp_path / "data") as primary:
        port = primary.port
        errands = port.lane._errands

        def fence_then_answer(raw: bytes, received_ns: int, grant: int) -> Any:
            # The call was admitted and its entry is not written yet.
            primary.fence()
            return errands.sync(raw, received_ns, grant)

        port.lane._errands = errands._replace(sync=fence_then_answer)
        newest = int(primary.engine.journal["entry_number"][0])
        raw = pb.SyncAccountRequest(account_id="A", equity=1.0).SerializeToString()
        assert refused(port, "SyncAccount", raw)[0] == grpc.StatusCode.UNAVAILABLE
        assert primary.engine.journal["entry_number"][0] > newest
        assert primary.engine.journal["fenced"][0] == 1


@pytest.mark.parametrize("durability", ["process", "memory"])
def test_an_engine_that_was_replaced_does_not_start_again(tmp_path: Path, durability: str) -> None:
    with primary_in(tmp_path / "data") as primary:
        folder, settings = primary.folder, primary.settings
    claim(folder, Fence.begin("elsewhere:/there", "somebody"))
    for epoch in (0, 9):
        with pytest.raises(JournalFencedError, match="elsewhere:/there has taken over") as refusal:
            start_engine(settings.model_copy(update={"durability": durability}))
        assert "riskgate standby --follow" in str(refusal.value)
        (settings.data_dir / "epoch").write_text(f"{epoch}\n")


def test_an_engine_that_starts_while_it_is_replaced_gives_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever comes first: the claim, or the epoch of the engine that starts."""
    settings = settings_of(tmp_path / "data")
    folder = settings.data_dir / "journal"
    raise_to = ActiveEpoch.raise_to

    def claim_meanwhile(active: ActiveEpoch, epoch: int) -> None:
        claim(folder, Fence.begin("elsewhere:/there", "somebody"))
        raise_to(active, epoch)

    monkeypatch.setattr(ActiveEpoch, "raise_to", claim_meanwhile)
    with pytest.raises(JournalFencedError, match="has taken over"):
        start_engine(settings)
    monkeypatch.undo()
    assert raise_active_epoch(folder, lambda above: above + 1) == 2


def test_only_one_can_take_over_and_may_try_again(tmp_path: Path) -> None:
    first, second = (Fence.begin(f"host:/{name}", "somebody") for name in ("one", "two"))
    claim(tmp_path, first)
    claim(tmp_path, first.model_copy(update={"epoch": 3}))
    with pytest.raises(JournalFencedError, match="host:/one has taken over with epoch 3"):
        claim(tmp_path, second)
    assert [path.name for path in tmp_path.iterdir()] == ["fenced.json"]


def test_entries_that_nobody_was_answered_for_do_not_count(tmp_path: Path) -> None:
    with JournalBuilder(tmp_path) as builder:
        for _ in range(4):
            builder.clock()
    entries = list(read_entries(tmp_path))
    assert keep_counted(tmp_path, entries) == entries
    fence = Fence.begin("host:/there", "somebody")
    claim(tmp_path, fence)
    with pytest.raises(UnavailableError, match="being taken over by host:/there"):
        keep_counted(tmp_path, entries)
    complete(tmp_path, fence.model_copy(update={"epoch": 2, "last_entry_number": 3}))
    assert [entry.number for entry in keep_counted(tmp_path, entries)] == [1, 2, 3]
