"""Denied calls in their files: whole, once, in order, and never more files than there is room."""

from pathlib import Path

import pytest

from server.security.denial_spool import (
    SPOOL_FOLDER,
    DenialSpool,
    SpooledDenial,
    forget,
    read_spool,
)
from server.security.grant_watch import GrantWatch
from server.security.grants import DenialCount, Grants

DENIED = DenialCount("spiffe://riskgate/trader/x", "/riskgate.v1.DecisionService/Decide", "rate", 3)


def spool_of(folder: Path, *, files_max: int = 10) -> DenialSpool:
    return DenialSpool(folder, "0-7", read_clock_ns=lambda: 123, files_max=files_max)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / SPOOL_FOLDER).glob("*"))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    spool = spool_of(tmp_path)
    spool.write([DENIED, DENIED._replace(identity="", method="", reason="expired", count=1)])
    spool.write([DENIED])
    assert list(read_spool(tmp_path)) == [
        SpooledDenial("0-7-000000001.jsonl", 1, 123, "", "", "expired", 1),
        SpooledDenial("0-7-000000001.jsonl", 2, 123, *DENIED),
        SpooledDenial("0-7-000000002.jsonl", 1, 123, *DENIED),
    ]
    assert (tmp_path / SPOOL_FOLDER).stat().st_mode & 0o777 == 0o700


def test_without_denials_nothing_is_written(tmp_path: Path) -> None:
    spool_of(tmp_path).write([])
    assert list(tmp_path.iterdir()) == []
    assert list(read_spool(tmp_path)) == []


def test_what_was_forgotten_is_gone_and_the_rest_is_not(tmp_path: Path) -> None:
    spool = spool_of(tmp_path)
    spool.write([DENIED])
    spool.write([DENIED])
    first, second = read_spool(tmp_path)
    forget(tmp_path, [first.file])
    forget(tmp_path, [first.file])
    assert list(read_spool(tmp_path)) == [second]


def test_a_name_from_elsewhere_deletes_nothing_outside(tmp_path: Path) -> None:
    outside = tmp_path / "kept.jsonl"
    outside.write_text("{}")
    forget(tmp_path, ["../kept.jsonl"])
    assert outside.exists()


def test_when_nobody_takes_files_away_counts_wait_and_none_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = spool_of(tmp_path, files_max=2)
    for _ in range(10):
        spool.write([DENIED])
    assert len(names(tmp_path)) == 2
    assert caplog.text.count("are not taken over") == 1
    forget(tmp_path, names(tmp_path))
    spool.write([])
    (line,) = read_spool(tmp_path)
    assert line.count == 8 * DENIED.count


def test_a_file_that_was_not_finished_is_not_read(tmp_path: Path) -> None:
    spool_of(tmp_path).write([DENIED])
    (tmp_path / SPOOL_FOLDER / "0-7-000000002.part").write_text('{"at_ns": 1')
    assert len(list(read_spool(tmp_path))) == 1


def test_a_disk_that_fails_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / SPOOL_FOLDER).write_text("in the way")
    spool = spool_of(tmp_path)
    with pytest.raises(OSError, match=SPOOL_FOLDER):
        spool.write([DENIED])
    (tmp_path / SPOOL_FOLDER).unlink()
    spool.write([])
    assert [line.count for line in read_spool(tmp_path)] == [DENIED.count]


def test_a_watch_that_ends_writes_what_is_left(tmp_path: Path) -> None:
    grants = Grants("riskgate")
    watch = GrantWatch(grants, spool_of(tmp_path))
    watch.start()
    grants.note_refused("", "expired")
    watch.stop()
    assert [line.reason for line in read_spool(tmp_path)] == ["expired"]
