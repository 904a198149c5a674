"""Reading: what was written comes back, in order, across segments and while it is written."""

import mmap
import subprocess
import sys
import threading
from pathlib import Path

import google_crc32c
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.errors import JournalCorruptError, JournalTrimmedError
from server.hotpath.journal.entries import (
    CALL_KINDS,
    HEADER_BYTES,
    KIND_CHANGE,
    KIND_CLOCK,
    KIND_DECIDE,
    KIND_START,
    KIND_SYNC,
    READING,
)
from server.journal.reader import Entry, Tail, read_call, read_change, read_entries, read_start
from server.journal.scan import is_zero_word
from server.journal.segments import list_segments, segment_path
from tests.journal_builder import NOW_NS, JournalBuilder, Written, overwrite, seal_entry

SMALL = 2 * HEADER_BYTES


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def numbers(folder: Path, first: int | None = None, last: int | None = None) -> list[int]:
    return [entry.number for entry in read_entries(folder, first, last)]


def write_calls(folder: Path, count: int, segment_bytes: int = SMALL) -> list[Written]:
    with JournalBuilder(folder, segment_bytes=segment_bytes) as builder:
        for number in range(count):
            builder.call(b"request %d" % number, b"answer")
        return builder.written


def test_journal_when_there_is_none_then_nothing_is_read(folder: Path) -> None:
    assert numbers(folder) == []
    folder.mkdir()
    assert numbers(folder) == []
    with Tail(folder, 1) as tail:
        assert tail.read(10) == []


def test_entries_when_read_then_say_what_was_written_and_where(folder: Path) -> None:
    written = write_calls(folder, 100)
    entries = list(read_entries(folder))
    assert [entry.raw for entry in entries] == [place.raw for place in written]
    assert [(entry.number, entry.segment_number, entry.offset) for entry in entries] == [
        place[:3] for place in written
    ]
    assert len(list_segments(folder)) > 3
    assert {entry.epoch for entry in entries} == {1}
    assert entries[-1].sequence == 100
    assert entries[-1].reading_ns == NOW_NS


@pytest.mark.parametrize(("first", "last"), [(1, 1), (1, 50), (37, 52), (101, 101), (101, 200)])
def test_entries_when_a_range_is_asked_for_then_just_those_come(
    folder: Path, first: int, last: int
) -> None:
    write_calls(folder, 100)
    assert numbers(folder, first, last) == list(range(first, min(last, 101) + 1))


def test_entries_when_the_first_is_not_written_yet_then_none_come_until_it_is(
    folder: Path,
) -> None:
    with JournalBuilder(folder) as builder, Tail(folder, 4) as tail:
        builder.clock()
        assert tail.read(10) == []
        builder.clock()
        assert tail.read(10) == []
        builder.clock()
        builder.clock()
        assert [entry.number for entry in tail.read(10)] == [4, 5]
        assert tail.next_number == 6


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    kind=st.sampled_from(CALL_KINDS),
    request=st.binary(max_size=300),
    answer=st.binary(max_size=300),
    identity=st.binary(max_size=20),
    readings=st.integers(0, 5),
)
def test_calls_when_taken_apart_then_give_back_every_part(
    tmp_path_factory: pytest.TempPathFactory,
    kind: int,
    request: bytes,
    answer: bytes,
    identity: bytes,
    readings: int,
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    rows = np.zeros(readings, READING)
    rows["decided_ns"] = np.arange(readings) + NOW_NS
    rows["status"] = 3
    with JournalBuilder(folder) as builder:
        builder.call(request, answer, kind=kind, identity=identity, readings=rows)
    (entry,) = read_entries(folder, 2)
    call = read_call(entry)
    assert (entry.kind, call.request, call.answer, call.identity) == (
        *(kind, request, answer),
        identity,
    )
    assert call.readings.tobytes() == rows.tobytes()


@pytest.mark.parametrize("change_bytes", [0, 1, 8, 77])
def test_changes_when_taken_apart_then_give_back_rows_and_message(
    folder: Path, change_bytes: int
) -> None:
    change = bytes(range(1, change_bytes + 1))
    with JournalBuilder(folder) as builder:
        builder.change(5, b"r" * 24, change, version=12, deleted=True)
    (entry,) = read_entries(folder, 2)
    assert read_change(entry) == (5, 12, True, b"r" * 24, change)


def test_start_when_read_then_names_the_epoch(folder: Path) -> None:
    with JournalBuilder(folder, epoch=7, started=False) as builder:
        builder.start(restarted=1)
    (entry,) = read_entries(folder)
    assert (entry.kind, entry.epoch) == (KIND_START, 7)
    assert (read_start(entry)["epoch"], read_start(entry)["restarted"]) == (7, 1)


def test_entries_when_their_parts_do_not_fill_them_then_are_refused(folder: Path) -> None:
    with JournalBuilder(folder) as builder:
        builder.append(KIND_SYNC, bytes(24))
        builder.append(KIND_DECIDE, np.array([0, 9, 0, 0], "<i8").tobytes())
        builder.append(KIND_DECIDE, np.array([-1, 0, 0, 0], "<i8").tobytes() + bytes(120))
        builder.append(KIND_CHANGE, bytes(64))
        builder.append(KIND_CHANGE, bytes(8))
        builder.append(KIND_START, b"")
    readers = (read_call, read_call, read_call, read_change, read_change, read_start)
    for entry, reader in zip(read_entries(folder, 2), readers, strict=True):
        with pytest.raises(JournalCorruptError, match=f"entry {entry.number}"):
            reader(entry)
    first = next(iter(read_entries(folder)))
    for reader in (read_call, read_change):
        with pytest.raises(JournalCorruptError, match="it is no"):
            reader(first)


def test_tail_when_a_writer_goes_on_then_follows_it_through_segments(folder: Path) -> None:
    count = 5_000

    def write() -> None:
        with JournalBuilder(folder, segment_bytes=8 * SMALL) as builder:
            for number in range(count):
                builder.call(b"%d" % number, b"answer", readings=number % 3)

    writer = threading.Thread(target=write)
    seen: list[Entry] = []
    with Tail(folder, 1) as tail:
        writer.start()
        while len(seen) <= count:
            is_over = not writer.is_alive()
            batch = tail.read(100)
            assert len(batch) <= 100
            seen += batch
            assert batch or not is_over, f"{len(seen)} entries came"
    writer.join()
    assert [entry.number for entry in seen] == list(range(1, count + 2))
    assert [read_call(entry).request for entry in seen[1:]] == [b"%d" % n for n in range(count)]


def test_tail_when_another_process_writes_then_loses_nothing_and_sees_nothing_half_done(
    folder: Path,
) -> None:
    count = 3_000
    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(folder), str(count)], cwd=Path(__file__).parents[2]
    ) as writer:
        seen: list[Entry] = []
        with Tail(folder, 1) as tail:
            while len(seen) <= count:
                is_over = writer.poll() is not None
                batch = tail.read(1_000)
                seen += batch
                assert batch or not is_over, f"{len(seen)} entries came"
    assert writer.returncode == 0
    assert [entry.number for entry in seen] == list(range(1, count + 2))
    for number, entry in enumerate(seen[1:]):
        assert read_call(entry).request == b"%d" % number * (number % 50)


_WRITER = """
import sys
from pathlib import Path
from tests.journal_builder import JournalBuilder

with JournalBuilder(Path(sys.argv[1]), segment_bytes=65_536) as builder:
    for number in range(int(sys.argv[2])):
        builder.call(b"%d" % number * (number % 50), b"answer")
"""


def test_tail_when_the_next_segment_is_only_prepared_then_waits(folder: Path) -> None:
    write_calls(folder, 3)
    segment_path(folder, 2).write_bytes(bytes(SMALL))
    assert numbers(folder) == [1, 2, 3, 4]


def test_tail_when_an_engine_began_a_segment_and_died_then_goes_on_in_the_one_behind(
    folder: Path,
) -> None:
    with JournalBuilder(folder) as builder:
        builder.clock()
        builder.rotate()
    with JournalBuilder(folder, number=3, epoch=2) as builder:
        builder.clock()
    assert [(entry.number, entry.epoch) for entry in read_entries(folder)] == [
        *((1, 1), (2, 1)),
        *((3, 2), (4, 2)),
    ]


def test_entries_when_deleted_by_now_then_are_not_passed_over_in_silence(folder: Path) -> None:
    written = write_calls(folder, 100)
    with Tail(folder, 1) as tail:
        tail.read(1)
        for number in (1, 2):
            segment_path(folder, number).unlink()
        oldest = next(place.number for place in written if place.segment_number == 3)
        with pytest.raises(JournalTrimmedError, match=f"oldest is {oldest}"):
            numbers(folder, 1)
        assert numbers(folder) == list(range(oldest, 102))
        # The rest of the segment that it reads is still mapped.
        assert tail.read(1_000)[-1].number < oldest
        with pytest.raises(JournalTrimmedError):
            tail.read(1)


def test_entries_when_the_last_one_is_torn_then_the_others_are_read(folder: Path) -> None:
    last = write_calls(folder, 3)[-1]
    overwrite(last.path, last.offset + 60, b"\xff")
    assert numbers(folder) == [1, 2, 3]


@pytest.mark.parametrize("segment_bytes", [SMALL, 16 * SMALL])
@pytest.mark.parametrize("at", [0, 4, 8, 16, 24, 40, 60, 200])
def test_entries_when_one_in_the_middle_is_damaged_then_it_is_named(
    folder: Path, segment_bytes: int, at: int
) -> None:
    written = write_calls(folder, 50, segment_bytes)
    bad = written[20]
    overwrite(bad.path, bad.offset + at, bytes([bad.raw[at] ^ 0x10]))
    seen: list[Entry] = []
    with pytest.raises(JournalCorruptError) as caught:
        seen.extend(read_entries(folder))
    assert len(seen) == 20
    error = caught.value
    assert (error.path, error.offset, error.number) == (bad.path, bad.offset, bad.number)
    for text in (bad.path.name, str(bad.offset), f"entry {bad.number}"):
        assert text in str(error)


@pytest.mark.parametrize("segment_bytes", [SMALL, 16 * SMALL])
def test_entries_when_one_in_the_middle_is_wiped_then_the_end_is_not_believed(
    folder: Path, segment_bytes: int
) -> None:
    written = write_calls(folder, 50, segment_bytes)
    overwrite(written[20].path, written[20].offset, bytes(len(written[20].raw)))
    with pytest.raises(JournalCorruptError, match="entry 21: the entry is missing"):
        numbers(folder)


def test_tail_when_an_entry_comes_between_two_looks_then_it_is_no_damage(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with JournalBuilder(folder, segment_bytes=SMALL) as builder, Tail(folder, 1) as tail:

        def look_before_the_writer(memory: mmap.mmap, offset: int) -> bool:
            was_zero = is_zero_word(memory, offset)
            builder.clock()
            return was_zero

        monkeypatch.setattr("server.journal.reader.is_zero_word", look_before_the_writer)
        for _ in range(20):
            tail.read(10)
        monkeypatch.undo()
        while tail.read(10):
            pass
        assert tail.next_number == builder.number


def test_end_when_a_writer_goes_on_behind_it_then_it_is_no_damage(folder: Path) -> None:
    with JournalBuilder(folder, segment_bytes=SMALL) as builder, Tail(folder, 1) as tail:
        for grow in (builder.clock, builder.rotate, lambda: [builder.clock() for _ in range(300)]):
            while tail.read(10):
                pass
            tail.check_end()
            grow()
            tail.check_end()
        while tail.read(10):
            pass
        assert tail.next_number == builder.number


def test_entries_when_one_has_a_foreign_number_or_kind_then_it_is_refused(folder: Path) -> None:
    written = write_calls(folder, 10)
    place = written[5]
    for offset, name in ((8, "number"), (24, "kind")):
        raw = bytearray(place.raw)
        raw[offset] = 77
        overwrite(place.path, place.offset, seal_entry(bytes(raw)))
        with pytest.raises(JournalCorruptError, match=f"{name} 77"):
            numbers(folder)


def test_entries_when_a_segment_is_missing_then_it_is_corrupt(folder: Path) -> None:
    write_calls(folder, 100)
    segment_path(folder, 3).unlink()
    with pytest.raises(JournalCorruptError, match="is missing"):
        numbers(folder)


def test_header_when_damaged_then_the_segment_is_named(folder: Path) -> None:
    write_calls(folder, 100)
    for at in (0, 8, 17, 25, 33, 41, 199):
        path = segment_path(folder, 3)
        before = path.read_bytes()
        overwrite(path, at, bytes([before[at] ^ 1]))
        with pytest.raises(JournalCorruptError, match=path.name):
            list_segments(folder)
        path.write_bytes(before)
    assert len(numbers(folder)) == 101


def test_segments_when_a_file_is_renamed_then_its_header_tells(folder: Path) -> None:
    write_calls(folder, 100)
    segment_path(folder, 3).rename(segment_path(folder, 9))
    with pytest.raises(JournalCorruptError, match="header is that of segment 3"):
        list_segments(folder)


def test_checksum_when_taken_then_covers_the_size(folder: Path) -> None:
    raw = write_calls(folder, 1)[-1].raw
    size, checksum = int.from_bytes(raw[:4], "little"), int.from_bytes(raw[4:8], "little")
    assert size == len(raw)
    assert checksum == google_crc32c.value(size.to_bytes(8, "little") + raw[8:])


def test_clock_readings_when_read_then_carry_their_time(folder: Path) -> None:
    with JournalBuilder(folder) as builder:
        builder.clock(NOW_NS + 5)
    (entry,) = read_entries(folder, 2)
    assert (entry.kind, entry.reading_ns) == (KIND_CLOCK, NOW_NS + 5)
