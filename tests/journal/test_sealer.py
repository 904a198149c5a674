"""Sealing while the journal grows: in pieces, after crashes, and not where it must not."""

import os
import random
import threading
from pathlib import Path

import pytest

from server.errors import (
    JournalCorruptError,
    JournalFailedError,
    JournalTamperedError,
    JournalTrimmedError,
    UnavailableError,
)
from server.hotpath.journal.entries import HEADER_BYTES
from server.journal.seals import Sealer
from server.journal.segments import list_segments
from tests.journal_builder import overwrite
from tests.journal_tampering import OpenedJournal, delete_oldest, tamper, write_random
from tests.sealed_journal import KEY, Kept, write_plain


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def test_a_segment_of_another_shard_is_not_sealed(kept: Kept) -> None:
    with kept.builder() as builder:
        builder.origin = builder.origin._replace(shards=2)
        builder.rotate()
        builder.clock()
    with pytest.raises(JournalTamperedError, match="shard 0/2"):
        kept.seal()


def test_sealing_goes_on_where_it_stopped(kept: Kept) -> None:
    rng = random.Random(5)
    with kept.builder() as builder:
        for _ in range(20):
            write_random(builder, rng, 17)
            assert kept.seal() == builder.number - 1
        assert kept.sealer().seal() == 0
    statements = [checkpoint.statement for checkpoint in kept.checkpoints()]
    assert [item.number for item in statements] == list(range(1, len(statements) + 1))
    assert sum(item.entry_count for item in statements) == builder.number - 1
    sealed = [item.segment for item in statements if item.sealed]
    assert sealed == [item.number for item in list_segments(kept.journal)[:-1]]
    assert statements[-1].last_sequence == builder.sequence
    assert kept.verify().is_intact


def test_a_segment_that_was_begun_and_left_empty_is_sealed(kept: Kept) -> None:
    with kept.builder() as builder:
        builder.clock()
        builder.rotate()
    kept.seal()
    with kept.builder(epoch=2, number=builder.number) as builder:
        builder.clock()
    assert kept.seal() == builder.number - 1
    assert kept.verify().is_intact
    assert [item.statement.segment for item in kept.checkpoints() if item.statement.sealed] == [
        1,
        2,
    ]


def test_a_crash_inside_a_line_costs_nothing(kept: Kept) -> None:
    write_plain(kept)
    whole = kept.statements.read_bytes()
    for cut_bytes in (1, 100, len(whole.splitlines()[-1])):
        kept.statements.write_bytes(whole[:-cut_bytes])
        assert kept.verify().is_intact
        kept.seal()
        assert len(kept.checkpoints()) == len(whole.splitlines())
        assert kept.verify().is_intact


def test_sealing_waits_until_it_is_time(kept: Kept) -> None:
    with kept.builder() as builder:
        sealer = Sealer(kept.journal, KEY, kept.files, None, every_s=3_600, every_entries=10)
        assert sealer.advance(1) == 1
        builder.clock()
        assert sealer.advance(2) == 0
        write_random(builder, random.Random(1), 10)
        assert sealer.advance(11) == 1
        builder.clock()
        assert sealer.advance(13) == 0
        assert sealer.seal() == 1
        assert sealer.sealed_number == 13


def test_nothing_is_sealed_on_top_of_a_journal_that_was_cut(kept: Kept) -> None:
    last = write_plain(kept)
    tamper(kept.journal, "cut", last // 2, random.Random(3))
    left = OpenedJournal(kept.journal)
    with kept.builder(epoch=2, number=1 + len(left.entries)) as builder:
        write_random(builder, random.Random(4), 3)
    with pytest.raises((JournalTamperedError, JournalCorruptError)):
        kept.seal()


def test_segments_deleted_before_they_were_sealed_are_reported(kept: Kept) -> None:
    with kept.builder() as builder:
        builder.clock()
        kept.seal()
        write_random(builder, random.Random(4), 200)
    delete_oldest(kept.journal, 2)
    with pytest.raises(JournalTrimmedError):
        kept.seal()


def test_a_damaged_segment_is_not_sealed(kept: Kept) -> None:
    with kept.builder() as builder:
        write_random(builder, random.Random(4), 200)
    overwrite(list_segments(kept.journal)[0].path, HEADER_BYTES + 40, b"\xff")
    with pytest.raises(JournalCorruptError):
        kept.seal()
    assert kept.checkpoints() == []


def test_fingerprints_go_with_their_segment(kept: Kept) -> None:
    write_plain(kept)
    delete_oldest(kept.journal, 2)
    kept.files.forget_fingerprints(3)
    assert min(path.name for path in (kept.root / "checkpoints").glob("*.fingerprints")) == (
        "0000000003.fingerprints"
    )
    assert kept.verify().is_intact


def test_files_are_for_the_owner_alone(kept: Kept) -> None:
    write_plain(kept)
    modes = {path.stat().st_mode & 0o777 for path in (kept.root / "checkpoints").iterdir()}
    assert modes == {0o600}
    assert (kept.root / "checkpoints").stat().st_mode & 0o777 == 0o700


def test_what_does_not_reach_the_disk_is_not_signed(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    with kept.builder() as builder:
        builder.clock()

    def refuse(_: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", refuse)
        with pytest.raises(JournalFailedError, match="Input/output error"):
            kept.seal()
    assert kept.checkpoints() == []
    assert kept.seal() == 2


def test_a_journal_is_intact_at_any_instant_while_it_grows(kept: Kept) -> None:
    stop = threading.Event()

    def write() -> None:
        rng = random.Random(6)
        with kept.builder() as builder:
            while not stop.wait(0.02):
                write_random(builder, rng, 20)

    def seal() -> None:
        while not stop.wait(0.02):
            try:
                kept.seal()
            except UnavailableError:
                continue  # a verification was reading

    threads = [threading.Thread(target=write), threading.Thread(target=seal)]
    for thread in threads:
        thread.start()
    try:
        while not kept.statements.exists():
            stop.wait(0.001)
        findings = [kept.verify().findings for _ in range(20)]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert findings == [[]] * 20
    kept.seal()
    assert kept.verify().is_intact


def test_a_torn_line_longer_than_the_next_one_leaves_nothing_behind(kept: Kept) -> None:
    last = write_plain(kept)
    count = len(kept.checkpoints())
    kept.statements.write_bytes(kept.statements.read_bytes() + b"x" * 5_000)
    with kept.builder(epoch=2, number=last + 1) as builder:
        builder.clock()
    made = Sealer(kept.journal, KEY, kept.files, None).seal()
    assert kept.statements.read_bytes().count(b"x" * 100) == 0
    assert len(kept.checkpoints()) == count + made
    assert kept.verify().is_intact
