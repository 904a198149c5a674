"""What both ports do when there is no room in the journal, and what they keep when there is."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import types_pb2 as types
from server.engine import Engine
from server.hotpath.journal.entries import KIND_NAMES
from server.hotpath.journal.journal_record import MODE_DISK, MODE_PROCESS
from server.journal.reader import read_call, read_entries
from server.journal.segments import MappedSegment, Origin, create_segment
from tests.decision_harness import PortCalls, good_request, new_engine
from tests.lane_harness import OPENERS

SEGMENT_BYTES = 32 << 20
CALLS = ("decide", "batch", "stream", "report", "sync")


@contextmanager
def journaled(folder: Path, segment_bytes: int = SEGMENT_BYTES) -> Iterator[Engine]:
    """An engine whose journal is one segment, and never gets another."""
    engine = new_engine()
    with create_segment(folder, 1, segment_bytes, Origin(epoch=7)) as segment:
        _give(engine.journal, segment)
        yield engine


def _give(journal: Any, segment: MappedSegment) -> None:
    journal["segment"] = segment.address
    journal["segment_bytes"] = segment.size_bytes
    journal["segment_fd"] = segment.fd
    journal["segment_number"] = 1
    journal["mode"] = MODE_PROCESS


def order(name: str, **fields: Any) -> bytes:
    return good_request(client_order_id=name, **fields).SerializeToString()


def assert_barred(answer: pb.DecideResponse, reason: int) -> None:
    assert (answer.verdict, answer.mode) == (types.VERDICT_DENY, types.MODE_REFUSE)
    assert list(answer.reasons) == [reason]
    assert (answer.decision_id, answer.lot_size) == (0, 0)


@pytest.mark.parametrize("lane", OPENERS)
def test_what_is_answered_is_journaled_byte_for_byte(lane: str, tmp_path: Path) -> None:
    with journaled(tmp_path) as engine:
        with OPENERS[lane](engine) as port:
            answer = port.call("Decide", order("a"))
            assert port.call("Decide", order("a")) == answer
            with pytest.raises(grpc.RpcError):
                port.call("Decide", order("b", stop_loss=1.2))
            port.batch(good_request(client_order_id="c"), good_request(client_order_id="d"))
            port.report(
                report_id="r", account_id="A", client_order_id="a", kind=3, lots=0.1, price=1.1
            )
        calls = [entry for entry in read_entries(tmp_path) if KIND_NAMES[entry.kind] in CALLS]
    assert [KIND_NAMES[entry.kind] for entry in calls] == ["decide", "batch", "report"]
    kept = read_call(calls[0])
    assert (kept.request, kept.answer) == (order("a"), answer)
    assert pb.DecideResponse.FromString(answer).durability == types.DURABILITY_PROCESS
    assert len(read_call(calls[1]).readings) == 2


@pytest.mark.parametrize("lane", OPENERS)
def test_a_full_journal_lets_out_exits_reports_and_old_answers_only(
    lane: str, tmp_path: Path
) -> None:
    with journaled(tmp_path) as engine, OPENERS[lane](engine) as port:
        before = port.call("Decide", order("a"))
        engine.journal["reserve_bytes"] = SEGMENT_BYTES
        assert_barred(_decide(port, order("b")), types.REASON_JOURNAL_FULL)
        assert_barred(_decide(port, order("b")), types.REASON_JOURNAL_FULL)
        assert port.call("Decide", order("a")) == before
        leave = port.decide(good_request(side=2, stop_loss=None, reduce_only=True))
        assert list(leave.reasons) == [types.REASON_POSITION_UNKNOWN]
        assert leave.decision_id
        outcome = port.report(
            report_id="r", account_id="A", client_order_id="a", kind=4, lots=0.1
        ).outcome
        assert outcome == pb.REPORT_OUTCOME_APPLIED
        (item,) = port.batch(good_request(client_order_id="c"))
        assert_barred(item.response, types.REASON_JOURNAL_FULL)
        engine.journal["reserve_bytes"] = 0
        assert _decide(port, order("b")).verdict == types.VERDICT_ALLOW


@pytest.mark.parametrize("lane", OPENERS)
def test_a_batch_needs_room_for_as_many_answers_as_it_has_items(lane: str, tmp_path: Path) -> None:
    with journaled(tmp_path, 1 << 20) as engine, OPENERS[lane](engine) as port:
        few = port.batch(*(good_request(client_order_id=f"few-{number}") for number in range(3)))
        assert [item.response.verdict for item in few] == [types.VERDICT_ALLOW] * 3
        many = port.batch(
            *(good_request(client_order_id=f"many-{number}") for number in range(200))
        )
        for item in many:
            assert_barred(item.response, types.REASON_JOURNAL_FULL)


@pytest.mark.parametrize("lane", OPENERS)
@pytest.mark.parametrize(
    ("trouble", "reason"),
    [("failed", types.REASON_JOURNAL_FAILED), ("fenced", types.REASON_FENCED)],
)
def test_after_a_failed_sync_or_a_take_over_nothing_is_decided(
    lane: str, trouble: str, reason: int, tmp_path: Path
) -> None:
    with journaled(tmp_path) as engine, OPENERS[lane](engine) as port:
        port.call("Decide", order("a"))
        engine.journal[trouble] = 5
        for request in (order("a"), order("b"), order("c", reduce_only=True, stop_loss=None)):
            assert_barred(_decide(port, request), reason)
        with pytest.raises(grpc.RpcError) as refused:
            port.report(report_id="r", account_id="A", client_order_id="a", kind=4)
        error: Any = refused.value
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert error.details() == "the journal cannot be written"
        engine.journal[trouble] = 0


def _decide(port: PortCalls, raw: bytes) -> pb.DecideResponse:
    return pb.DecideResponse.FromString(port.call("Decide", raw))


@pytest.mark.parametrize("lane", OPENERS)
def test_an_answer_whose_sync_fails_never_leaves(lane: str, tmp_path: Path) -> None:
    with journaled(tmp_path) as engine:
        engine.journal["mode"] = MODE_DISK
        with OPENERS[lane](engine) as port:
            assert _decide(port, order("a")).durability == types.DURABILITY_DISK
            engine.journal["segment_fd"] = -1
            with pytest.raises(grpc.RpcError) as lost:
                port.call("Decide", order("b"))
            error: Any = lost.value
            assert error.code() is grpc.StatusCode.UNAVAILABLE
            assert engine.journal["failed"][0] == errno.EBADF
            assert_barred(_decide(port, order("c")), types.REASON_JOURNAL_FAILED)
