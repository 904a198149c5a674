"""Segments as compiled code writes them, read by Python: one format on both sides."""

import threading
from pathlib import Path

import pytest

from server.errors import JournalFullError
from server.hotpath.journal.entries import KIND_DECIDE, KIND_START
from server.hotpath.journal.journal_record import MODE_DISK, MODE_PROCESS
from server.journal.calls import CallJournal
from server.journal.keeper import JournalKeeper
from server.journal.reader import read_entries, read_start
from server.journal.recovery import recover
from server.journal.segments import Origin, list_segments
from server.journal.writer import append_start, new_start
from server.replays.replayer import begin_epoch
from tests.journal_builder import BOOT, NOW_NS
from tests.small_engine import new_small_engine

SEGMENT_BYTES = 1 << 20


@pytest.mark.parametrize("mode", [MODE_PROCESS, MODE_DISK])
def test_entries_when_the_engine_writes_them_then_python_reads_and_recovers_them(
    tmp_path: Path, mode: int
) -> None:
    engine = new_small_engine()
    engine.journal["mode"] = mode
    keeper = JournalKeeper(engine.journal, tmp_path, SEGMENT_BYTES, Origin(epoch=5, boot=BOOT))
    keeper.open()
    keeper.start()
    start = new_start(
        engine,
        epoch=5,
        started_at_ns=NOW_NS,
        restarted=True,
        idempotency_min_age_ns=1,
        request_bytes_max=2,
    )
    count = 2_000 if mode == MODE_DISK else 15_000
    written = 0
    while written < count:
        try:
            append_start(engine, start)
            written += 1
        except JournalFullError:  # the keeper makes the next segment
            threading.Event().wait(0.001)
    keeper.stop()
    entries = list(read_entries(tmp_path))
    assert [entry.number for entry in entries] == list(range(1, count + 1))
    assert {int(read_start(entry)["epoch"]) for entry in entries} == {5}
    assert entries[-1].reading_ns == NOW_NS
    assert [segment.boot for segment in list_segments(tmp_path)] == [BOOT] * (
        1 + count * 216 // (SEGMENT_BYTES - 4_096)
    )
    assert recover(tmp_path, boot=BOOT).last_entry_number == count


def test_a_refused_call_when_no_time_was_taken_in_yet_then_leaves_no_entry(tmp_path: Path) -> None:
    engine = new_small_engine()
    engine.journal["mode"] = MODE_PROCESS
    keeper = JournalKeeper(engine.journal, tmp_path, 32 << 20, Origin(epoch=1, boot=BOOT))
    keeper.open()
    start = new_start(
        engine,
        epoch=1,
        started_at_ns=NOW_NS,
        restarted=False,
        idempotency_min_age_ns=1,
        request_bytes_max=2,
    )
    begin_epoch(engine, start[0])
    append_start(engine, start)
    calls = CallJournal(engine)
    calls.begin(KIND_DECIDE, b"refused")
    assert calls.end(KIND_DECIDE, NOW_NS + 1, b"refused", b"")
    keeper.stop()
    assert [entry.kind for entry in read_entries(tmp_path)] == [KIND_START]
