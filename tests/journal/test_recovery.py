"""Recovery: a torn tail is cut to the byte, damage is refused and changes nothing."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.errors import JournalCorruptError, JournalFailedError
from server.hotpath.journal.entries import HEADER_BYTES
from server.journal.reader import read_entries
from server.journal.recovery import Recovered, recover
from server.journal.scan import Walked, walk
from server.journal.segments import create_segment, list_numbers, read_boot, segment_path
from tests.journal_builder import BOOT, JournalBuilder, Written, overwrite, seal_entry

SMALL = 2 * HEADER_BYTES
OTHER_BOOT = "the-boot-behind-it"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def write_calls(folder: Path, count: int, segment_bytes: int = SMALL) -> list[Written]:
    with JournalBuilder(folder, segment_bytes=segment_bytes) as builder:
        for number in range(count):
            builder.call(b"request %d" % number, b"answer")
        return builder.written


def numbers(folder: Path) -> list[int]:
    return [entry.number for entry in read_entries(folder)]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def expect_refusal(folder: Path, boot: str, text: str) -> JournalCorruptError:
    before = contents(folder)
    with pytest.raises(JournalCorruptError, match=text) as caught:
        recover(folder, boot=boot)
    assert contents(folder) == before
    return caught.value


def test_journal_when_empty_then_there_is_nothing_to_go_on_from(folder: Path) -> None:
    assert recover(folder, boot=BOOT) == Recovered()
    folder.mkdir()
    assert recover(folder, boot=BOOT) == Recovered()


def test_journal_when_whole_then_it_is_left_as_it_is(folder: Path) -> None:
    write_calls(folder, 100)
    before = contents(folder)
    recovered = recover(folder, boot=BOOT)
    assert contents(folder) == before
    assert recovered == Recovered(
        last_entry_number=101,
        last_sequence=100,
        last_epoch=1,
        last_segment_number=len(before),
        segment_count=len(before),
        checked_entries=101,
    )


def test_journal_when_a_snapshot_covers_the_start_then_only_the_rest_is_checked(
    folder: Path,
) -> None:
    written = write_calls(folder, 100)
    overwrite(written[5].path, written[5].offset + 50, b"\xff")
    third = [place.number for place in written if place.segment_number >= 3]
    recovered = recover(folder, boot=BOOT, first_number=third[0] + 1)
    assert (recovered.last_entry_number, recovered.checked_entries) == (101, len(third))
    expect_refusal(folder, BOOT, "entry 6")


def test_journal_when_the_snapshot_is_newer_than_its_end_then_says_where_it_ends(
    folder: Path,
) -> None:
    write_calls(folder, 10)
    assert recover(folder, boot=BOOT, first_number=5_000).last_entry_number == 11


def test_journal_when_the_last_segment_is_empty_then_the_one_before_gives_the_sequence(
    folder: Path,
) -> None:
    with JournalBuilder(folder) as builder:
        builder.call(b"", b"", sequence=40)
        builder.rotate()
    recovered = recover(folder, boot=BOOT, first_number=3)
    assert (recovered.last_entry_number, recovered.last_sequence) == (2, 40)
    assert (recovered.last_segment_number, recovered.segment_count) == (2, 2)


def test_segments_when_prepared_and_never_begun_then_are_deleted(folder: Path) -> None:
    with JournalBuilder(folder) as builder:
        create_segment(folder, 2, SMALL, builder.origin).close()
    segment_path(folder, 3).touch()
    assert recover(folder, boot=BOOT).last_segment_number == 1
    assert list_numbers(folder) == [1]


@pytest.mark.parametrize("tear", ["zeros", "ones", "truncated", "first word late"])
def test_a_torn_tail_is_cut_whichever_byte_it_begins_at(folder: Path, tear: str) -> None:
    *kept, last = write_calls(folder, 4)
    whole = last.path.read_bytes()
    for torn_at in range(len(last.raw)):
        place = last.offset + torn_at
        if tear == "truncated":
            last.path.write_bytes(whole[:place])
        elif tear == "first word late":
            body = whole[: last.offset] + bytes(8) + last.raw[8:torn_at]
            last.path.write_bytes(body.ljust(SMALL, b"\0"))
        else:
            filling = b"\0" if tear == "zeros" else b"\xff"
            last.path.write_bytes(whole[:place] + filling * (SMALL - place))
        if tear == "zeros" and not any(last.raw[torn_at:]):
            continue  # it was filled up with zeros: nothing is torn
        assert numbers(folder) == [place.number for place in kept], torn_at
        recovered = recover(folder, boot=BOOT)
        assert recovered.last_entry_number == kept[-1].number
        assert recovered.cut_entries == 0
        assert last.path.read_bytes() == whole[: last.offset] + bytes(SMALL - last.offset)
        assert recover(folder, boot=BOOT) == recovered._replace(cut_bytes=0)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_flipped_bit_is_found_wherever_it_is(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    written = write_calls(folder, 60)
    place = data.draw(st.sampled_from(written))
    bit = data.draw(st.integers(0, 8 * len(place.raw) - 1))
    flipped = bytes([place.raw[bit // 8] ^ 1 << bit % 8])
    overwrite(place.path, place.offset + bit // 8, flipped)
    if place is written[-1]:
        assert recover(folder, boot=BOOT).last_entry_number == 60
        assert numbers(folder) == list(range(1, 61))
    else:
        error = expect_refusal(folder, BOOT, "lies behind")
        assert (error.path, error.offset, error.number) == (place.path, place.offset, place.number)


def test_entries_when_swapped_then_it_is_corrupt(folder: Path) -> None:
    with JournalBuilder(folder) as builder:
        first, second = builder.clock(), builder.clock()
    overwrite(first.path, first.offset, second.raw + first.raw)
    expect_refusal(folder, BOOT, "number 3, expected 2")


def test_entry_when_put_in_twice_then_it_is_corrupt(folder: Path) -> None:
    with JournalBuilder(folder) as builder:
        place = builder.clock()
    overwrite(place.path, place.offset + len(place.raw), place.raw)
    expect_refusal(folder, BOOT, "number 2, expected 3")


@pytest.mark.parametrize("boot", [BOOT, OTHER_BOOT])
def test_segment_when_missing_between_others_then_it_is_corrupt(folder: Path, boot: str) -> None:
    with JournalBuilder(folder, segment_bytes=SMALL) as builder:
        for _ in range(300):
            builder.synced = builder.number - 1
            builder.clock()
    segment_path(folder, 2).unlink()
    expect_refusal(folder, boot, "segment 2 is missing")
    with pytest.raises(JournalCorruptError, match="segment 2 is missing"):
        recover(folder, boot=boot, first_number=10_000)


def test_segment_when_its_numbers_come_again_then_it_is_corrupt(folder: Path) -> None:
    write_calls(folder, 5)
    JournalBuilder(folder, number=4, epoch=2).close()
    expect_refusal(folder, BOOT, "segment 2 begins with entry 4")


def test_segment_when_of_another_shard_then_it_is_refused(folder: Path) -> None:
    write_calls(folder, 5)
    with pytest.raises(JournalCorruptError, match="shard 0 of 1, this is shard 1 of 2"):
        recover(folder, boot=BOOT, shard=1, shards=2)


def test_segment_when_its_epoch_goes_back_then_it_is_refused(folder: Path) -> None:
    JournalBuilder(folder, epoch=5).close()
    JournalBuilder(folder, epoch=4, number=2).close()
    JournalBuilder(folder, epoch=6, number=3).close()
    expect_refusal(folder, BOOT, "epoch 4")


def test_segment_when_its_header_is_wiped_then_its_entries_still_speak(folder: Path) -> None:
    last = write_calls(folder, 100)[-1]
    overwrite(last.path, 0, bytes(8))
    expect_refusal(folder, BOOT, "lies behind")
    overwrite(last.path, 0, bytes(HEADER_BYTES))
    expect_refusal(folder, OTHER_BOOT, "lies behind")


def test_journal_when_only_its_header_is_wiped_then_it_is_no_empty_one(folder: Path) -> None:
    place = write_calls(folder, 3)[0]
    overwrite(place.path, 0, bytes(8))
    expect_refusal(folder, BOOT, "never begun")


@pytest.mark.parametrize("synced", [0, 1])
def test_the_first_segment_is_missed_when_only_its_header_is_lost(
    folder: Path, synced: int
) -> None:
    with JournalBuilder(folder, segment_bytes=SMALL, epoch=3) as builder:
        builder.synced = synced
        for _ in range(200):
            builder.clock()
    overwrite(segment_path(folder, 1), 0, bytes(8))
    expect_refusal(folder, BOOT, "never begun")
    if synced:
        expect_refusal(folder, OTHER_BOOT, "never begun")
    else:
        recovered = recover(folder, boot=OTHER_BOOT)
        assert (recovered.last_entry_number, recovered.last_epoch) == (0, 3)
        assert recovered.cut_entries == 201
        assert list_numbers(folder) == []


def test_the_oldest_segment_of_a_trimmed_journal_is_missed_when_its_header_is_lost(
    folder: Path,
) -> None:
    with JournalBuilder(folder, segment_bytes=SMALL) as builder:
        for _ in range(300):
            builder.clock()
    segment_path(folder, 1).unlink()
    assert recover(folder, boot=BOOT).last_entry_number == 301
    overwrite(segment_path(folder, 2), 0, bytes(8))
    for boot in (BOOT, OTHER_BOOT):
        expect_refusal(folder, boot, "never begun")


def test_a_hole_is_cut_with_all_behind_it_when_the_power_was_off_and_nothing_promised(
    folder: Path,
) -> None:
    written = write_calls(folder, 100)
    hole = written[20]
    overwrite(hole.path, hole.offset, bytes(len(hole.raw)))
    expect_refusal(folder, BOOT, "lies behind")
    recovered = recover(folder, boot=OTHER_BOOT)
    assert (recovered.last_entry_number, recovered.last_sequence) == (20, 19)
    assert recovered.cut_entries == 80
    assert recovered.cut_bytes > 80 * 20
    assert numbers(folder) == list(range(1, 21))
    assert list_numbers(folder)[-1] == recovered.last_segment_number == hole.segment_number
    assert recover(folder, boot=OTHER_BOOT).cut_bytes == 0


@pytest.mark.parametrize(("synced", "refused"), [(20, False), (21, True), (60, True)])
def test_a_hole_is_corruption_when_the_lost_entry_was_known_to_be_on_disk(
    folder: Path, synced: int, refused: bool
) -> None:
    with JournalBuilder(folder, segment_bytes=SMALL) as builder:
        for number in range(2, 100):
            builder.synced = synced if number > synced else 0
            builder.call(b"request", b"answer")
    hole = builder.written[20]
    overwrite(hole.path, hole.offset, bytes(len(hole.raw)))
    if refused:
        expect_refusal(folder, OTHER_BOOT, "entry 21")
    else:
        assert recover(folder, boot=OTHER_BOOT).last_entry_number == 20


def test_a_hole_is_corruption_when_an_engine_went_on_behind_it_after_the_power_came_back(
    folder: Path,
) -> None:
    written = write_calls(folder, 100)
    JournalBuilder(folder, number=102, epoch=2, boot=OTHER_BOOT).close()
    hole = written[-3]
    overwrite(hole.path, hole.offset, bytes(len(hole.raw)))
    for boot in (BOOT, OTHER_BOOT, "a third one"):
        expect_refusal(folder, boot, f"entry {hole.number}")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_whatever_pages_a_power_cut_loses_what_was_synced_is_there_and_the_rest_is_a_prefix(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    on_disk: dict[str, bytes] = {}
    created: dict[str, bytes] = {}
    with JournalBuilder(folder, segment_bytes=4 * HEADER_BYTES) as builder:
        for size in data.draw(st.lists(st.integers(0, 3_000), min_size=1, max_size=40)):
            builder.call(bytes(size), b"answer")
            for name, content in contents(folder).items():
                # A segment is made with its header on disk, but for the magic.
                created.setdefault(name, bytes(8) + content[8:HEADER_BYTES])
            if size % 7 == 0:
                builder.synced = builder.number - 1
                on_disk = contents(folder)
    for name, content in contents(folder).items():
        before = on_disk.get(name, created[name]).ljust(len(content), b"\0")
        pages = [
            (content if data.draw(st.booleans()) else before)[at : at + HEADER_BYTES]
            for at in range(0, len(content), HEADER_BYTES)
        ]
        (folder / name).write_bytes(b"".join(pages))
    recovered = recover(folder, boot=OTHER_BOOT)
    assert recovered.last_entry_number >= builder.synced
    kept = [entry.raw for entry in read_entries(folder)]
    assert kept == [place.raw for place in builder.written][: recovered.last_entry_number]
    assert recover(folder, boot=OTHER_BOOT).cut_bytes == 0


@pytest.mark.parametrize("interrupted_at", range(6))
def test_a_cut_that_is_interrupted_is_finished_the_next_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch, interrupted_at: int
) -> None:
    written = write_calls(folder, 100)
    hole = written[20]
    overwrite(hole.path, hole.offset, bytes(len(hole.raw)))
    steps = iter(range(interrupted_at, -1, -1))

    def step(do: Callable[..., None]) -> Callable[..., None]:
        def fail_at_last(*words: Any) -> None:
            if next(steps) == 0:
                raise OSError(errno.EIO, "Input/output error")
            do(*words)

        return fail_at_last

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", step(Path.unlink))
        patch.setattr("os.ftruncate", step(os.ftruncate))
        patch.setattr("os.fsync", step(os.fsync))
        with pytest.raises(JournalFailedError, match="torn tail"):
            recover(folder, boot=OTHER_BOOT)
    assert recover(folder, boot=OTHER_BOOT).last_entry_number == 20
    assert numbers(folder) == list(range(1, 21))


def test_tail_when_it_cannot_be_cut_then_the_start_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = write_calls(folder, 3)[-1]
    overwrite(last.path, last.offset, b"\xff")

    def fail(_fd: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(JournalFailedError, match="torn tail"):
        recover(folder, boot=BOOT)


def test_journal_when_another_walk_is_given_then_it_goes_over_the_entries(folder: Path) -> None:
    write_calls(folder, 100)
    asked = []

    def compiled(memory: object, offset: int, number: int) -> Walked:
        asked.append(number)
        return walk(memory, offset, number)  # type: ignore[arg-type]

    recovered = recover(folder, boot=BOOT, walk=compiled)
    assert recovered.last_entry_number == 101
    assert len(asked) == recovered.segment_count


def test_entry_when_its_size_is_absurd_but_its_checksum_right_then_the_tail_is_cut(
    folder: Path,
) -> None:
    place = write_calls(folder, 3)[-1]
    overwrite(place.path, place.offset, seal_entry(place.raw[:40]))
    assert recover(folder, boot=BOOT).last_entry_number == 3


def test_boot_when_read_then_stays_the_same_while_the_system_runs() -> None:
    assert read_boot() == read_boot()
    assert 0 < len(read_boot()) <= 40
