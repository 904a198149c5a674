"""The keeper beside a writer that behaves like the engine: takes what lies ready, never waits."""

import contextlib
import ctypes
import errno
import logging
import mmap
import os
import resource
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from server.errors import JournalFailedError, JournalFullError
from server.hotpath.journal.entries import ENTRY, HEADER_BYTES, KIND_CLOCK, MAGIC, SEGMENT
from server.hotpath.journal.journal_record import MODE_DISK, MODE_PROCESS, new_journal
from server.journal.budget import JournalBudget
from server.journal.keeper import JournalKeeper
from server.journal.reader import read_entries
from server.journal.recovery import recover
from server.journal.segments import (
    HEADER_USED,
    Origin,
    checksum_of_header,
    list_numbers,
    list_segments,
)
from tests.journal_builder import BOOT, NOW_NS, JournalBuilder, seal_entry

SEGMENT_BYTES = 1 << 20

Record = np.ndarray[Any, np.dtype[np.void]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "journal"
    folder.mkdir()
    return folder


def new_record(mode: int = MODE_PROCESS, entry_number: int = 0) -> Record:
    record = new_journal()
    record["mode"] = mode
    record["entry_number"] = entry_number
    return record


def new_keeper(record: Record, folder: Path, **options: Any) -> JournalKeeper:
    return JournalKeeper(record, folder, SEGMENT_BYTES, Origin(epoch=3, boot=BOOT), **options)


def full_entry(number: int, body_bytes: int) -> bytes:
    head = np.zeros(1, ENTRY)
    head[0] = (0, number, number, KIND_CLOCK, 0, NOW_NS)
    return seal_entry(head.tobytes() + bytes(body_bytes))


class Writer:
    """Does with the record what the engine does."""

    def __init__(self, record: Record) -> None:
        self._row = record[0]

    def append(self, body_bytes: int = 1_000) -> bool:
        """Write one entry; False: there is no room for it now."""
        row = self._row
        raw = full_entry(int(row["entry_number"]) + 1, body_bytes)
        if row["at"] + len(raw) > row["segment_bytes"] and not self._rotate():
            return False
        if row["at"] == 0:
            self._begin()
        place = int(row["segment"] + row["at"])
        ctypes.memmove(place + 8, raw[8:], len(raw) - 8)
        ctypes.memmove(place, raw[:8], 8)
        row["at"] += len(raw)
        row["entry_number"] += 1
        return True

    def _rotate(self) -> bool:
        row = self._row
        if not row["next_ready"]:
            return False
        row["segment"], row["segment_bytes"] = row["next_segment"], row["next_bytes"]
        row["segment_fd"], row["at"] = row["next_fd"], 0
        self._begin()
        row["segment_number"] = row["next_number"]
        row["next_ready"] = 0
        return True

    def _begin(self) -> None:
        row = self._row
        start = int(row["segment"])
        header = np.frombuffer(ctypes.string_at(start, HEADER_USED), SEGMENT).copy()
        header["first_entry"] = row["entry_number"] + 1
        header["checksum"] = checksum_of_header(header.tobytes())
        ctypes.memmove(start + 8, header.tobytes()[8:], HEADER_USED - 8)
        ctypes.memmove(start, MAGIC.to_bytes(8, "little"), 8)
        row["at"] = HEADER_BYTES


def test_keeper_when_opened_then_one_segment_is_current_and_the_next_lies_ready(
    folder: Path,
) -> None:
    record = new_record()
    keeper = new_keeper(record, folder)
    keeper.open()
    keeper.advance()
    row = record[0]
    assert (row["segment_number"], row["segment_bytes"], row["at"]) == (1, SEGMENT_BYTES, 0)
    assert (row["next_ready"], row["next_number"], row["next_bytes"]) == (1, 2, SEGMENT_BYTES)
    assert row["reserve_bytes"] == SEGMENT_BYTES // 4
    assert os.fstat(int(row["segment_fd"])).st_size == SEGMENT_BYTES
    assert list_segments(folder) == []  # prepared, not begun
    keeper.stop()
    assert list_numbers(folder) == []
    assert (row["segment"], row["next_ready"], row["segment_fd"]) == (0, 0, -1)


@pytest.mark.parametrize("mode", [MODE_PROCESS, MODE_DISK])
def test_keeper_when_the_engine_writes_on_and_on_then_it_never_lacks_a_segment_for_long(
    folder: Path, mode: int
) -> None:
    record = new_record(mode)
    keeper = new_keeper(record, folder)
    keeper.open()
    keeper.start()
    writer = Writer(record)
    waiting = threading.Event()
    for _ in range(6_000):
        while not writer.append():
            waiting.wait(0.001)
    keeper.stop()
    entries = list(read_entries(folder))
    assert [entry.number for entry in entries] == list(range(1, 6_001))
    assert {entry.epoch for entry in entries} == {3}
    assert list_numbers(folder) == [segment.number for segment in list_segments(folder)]
    assert len(list_segments(folder)) == 6_000 // ((SEGMENT_BYTES - HEADER_BYTES) // 1_048) + 1
    assert recover(folder, boot=BOOT).last_entry_number == 6_000


def test_keeper_when_the_engine_has_left_a_segment_then_it_is_synced_and_given_back(
    folder: Path,
) -> None:
    record = new_record()
    keeper = new_keeper(record, folder)
    keeper.open()
    keeper.advance()
    old_fd, old_address = int(record[0]["segment_fd"]), int(record[0]["segment"])
    writer = Writer(record)
    while record[0]["segment_number"] == 1:
        assert writer.append()
    last = int(record[0]["entry_number"]) - 1
    assert record[0]["synced_number"] == 0
    assert keeper.advance()
    assert record[0]["synced_number"] == last
    assert record[0]["next_number"] == 3
    assert not is_mapped(old_address, folder / "0000000001.segment")
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(old_fd)
    keeper.stop()


def is_mapped(address: int, path: Path) -> bool:
    maps = Path("/proc/self/maps").read_text(encoding="utf-8")
    return any(
        line.startswith(f"{address:x}-") and line.endswith(str(path)) for line in maps.splitlines()
    )


def test_keeper_when_a_journal_is_there_then_goes_on_behind_it(folder: Path) -> None:
    with JournalBuilder(folder) as builder:
        builder.clock()
    record = new_record(MODE_DISK, entry_number=2)
    keeper = new_keeper(record, folder)
    keeper.open()
    assert record[0]["segment_number"] == 2
    assert record[0]["synced_number"] == 2
    Writer(record).append()
    keeper.stop()
    assert [entry.number for entry in read_entries(folder)] == [1, 2, 3]


def test_keeper_when_earlier_segments_may_not_be_on_disk_then_says_nothing_before_they_are(
    folder: Path,
) -> None:
    JournalBuilder(folder).close()
    record = new_record(MODE_PROCESS, entry_number=1)
    keeper = new_keeper(record, folder)
    keeper.open()
    keeper.advance()
    writer = Writer(record)
    while record[0]["segment_number"] == 2:
        assert writer.append()
    keeper.advance()
    assert record[0]["synced_number"] == 0
    keeper.start()
    while not record[0]["synced_number"]:
        if not writer.append():
            threading.Event().wait(0.001)
    keeper.stop()
    assert record[0]["synced_number"] < record[0]["entry_number"]


def test_segment_when_prepared_for_disk_then_it_has_no_hole_left(folder: Path) -> None:
    keeper = new_keeper(new_record(MODE_DISK), folder)
    keeper.open()
    path = folder / "0000000001.segment"
    assert path.stat().st_blocks * 512 >= SEGMENT_BYTES
    with path.open("rb") as file:
        assert os.lseek(file.fileno(), 0, os.SEEK_HOLE) == SEGMENT_BYTES
    keeper.stop()


@contextlib.contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[None]:
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if os.geteuid() or mount is None or umount is None:
        pytest.skip("a small disk can be mounted by root only")
    options = ("-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs")
    if subprocess.run([mount, *options, str(folder)], capture_output=True, check=False).returncode:
        pytest.skip("this system does not let root mount a small disk")
    try:
        yield
    finally:
        subprocess.run([umount, "--lazy", str(folder)], check=True)


def test_disk_when_full_then_it_is_said_once_and_tried_again_until_there_is_space(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with small_disk(folder, 3 * SEGMENT_BYTES + (1 << 16)):
        filler = folder / "filler"
        filler.write_bytes(bytes(2 * SEGMENT_BYTES))
        record = new_record()
        keeper = new_keeper(record, folder)
        with caplog.at_level(logging.INFO, "server.journal"):
            keeper.open()
            assert not keeper.advance()
            assert not keeper.advance()
        assert [entry.levelname for entry in caplog.records] == ["ERROR"]
        assert "no space left" in caplog.text
        assert record[0]["next_ready"] == 0
        assert list_numbers(folder) == [1]  # nothing half made is left
        writer = Writer(record)
        while writer.append():
            pass
        filler.unlink()
        with caplog.at_level(logging.INFO, "server.journal"):
            assert keeper.advance()
        assert "space again" in caplog.text
        assert writer.append()
        assert [entry.number for entry in read_entries(folder)][-1] == record[0]["entry_number"]
        keeper.stop()


def test_disk_when_full_at_the_start_then_the_engine_is_told(folder: Path) -> None:
    with small_disk(folder, SEGMENT_BYTES // 2):
        with pytest.raises(JournalFullError, match="no space left"):
            new_keeper(new_record(), folder).open()
        assert list_numbers(folder) == []


@contextlib.contextmanager
def file_size_limit(size_bytes: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("mode", [MODE_PROCESS, MODE_DISK])
def test_disk_when_it_refuses_large_files_then_that_is_full_too(folder: Path, mode: int) -> None:
    record = new_record(mode)
    keeper = new_keeper(record, folder)
    with file_size_limit(SEGMENT_BYTES - 1), pytest.raises(JournalFullError):
        keeper.open()
    assert list_numbers(folder) == []
    keeper.open()
    keeper.advance()
    assert record[0]["next_ready"] == 1
    keeper.stop()


def test_disk_when_the_folder_is_gone_then_the_engine_is_told(folder: Path) -> None:
    with pytest.raises(JournalFailedError, match="No such file"):
        new_keeper(new_record(), folder / "away").open()


def test_budget_when_used_up_then_no_segment_is_made_until_some_are_gone(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record = new_record()
    budget = JournalBudget(folder, 3 * SEGMENT_BYTES)
    keeper = new_keeper(record, folder, budget=budget)
    keeper.open()
    keeper.advance()
    writer = Writer(record)
    while record[0]["segment_number"] < 3:
        assert keeper.advance()
        assert writer.append()
    assert not keeper.advance()
    assert "journal_budget_bytes" in caplog.text
    assert budget.release(int(record[0]["entry_number"]), int(record[0]["entry_number"]))
    assert keeper.advance()
    keeper.stop()


@pytest.mark.parametrize("mode", [MODE_PROCESS, MODE_DISK])
def test_disk_when_a_sync_fails_then_it_is_latched_and_not_tried_again(
    folder: Path, mode: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = new_record(mode)
    keeper = new_keeper(record, folder)
    keeper.open()
    keeper.advance()
    writer = Writer(record)
    asked = []

    def fail(fd: int) -> None:
        asked.append(fd)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("os.fdatasync", fail)
    while record[0]["segment_number"] == 1:
        assert writer.append()
    assert keeper.advance()
    keeper.advance()
    assert len(asked) == 1
    assert record[0]["failed"] == errno.EIO
    assert record[0]["synced_number"] == 0
    monkeypatch.undo()
    keeper.stop()
    assert record[0]["failed"] == errno.EIO


def test_disk_when_earlier_entries_cannot_be_synced_then_the_start_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    JournalBuilder(folder).close()

    def fail(_fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("os.fdatasync", fail)
    with pytest.raises(JournalFailedError, match="cannot be brought to the disk"):
        new_keeper(new_record(MODE_DISK, entry_number=1), folder).open()


def test_segment_when_ready_then_writing_it_faults_no_more(folder: Path) -> None:
    record = new_record()
    keeper = new_keeper(record, folder)
    keeper.open()
    keeper.advance()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    start = int(record[0]["next_segment"])
    for at in range(0, SEGMENT_BYTES, mmap.PAGESIZE):
        ctypes.memset(start + at, 0, 1)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 50
    keeper.stop()
