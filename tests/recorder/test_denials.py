"""What engines have denied becomes rows of the audit log, each exactly once."""

from pathlib import Path

import psycopg
import pytest

from server.errors import UnavailableError
from server.record.audit import append
from server.recorder.denials import DenialRecording, record_denials
from server.security.denial_spool import DenialSpool, read_spool
from server.security.grants import DenialCount
from tests.audit_harness import Book

TOM = "spiffe://riskgate/trader/tom"
DECIDE = "/riskgate.v1.DecisionService/Decide"
AT_NS = 1_700_000_000_123_456_789


@pytest.fixture
def book(database_url: str, tmp_path: Path) -> Book:
    return Book(database_url, tmp_path / "heads")


def spool(data_dir: Path, owner: str = "0-17", **counts: int) -> None:
    writer = DenialSpool(data_dir, owner, read_clock_ns=lambda: AT_NS)
    for reason, count in counts.items():
        writer.write([DenialCount(TOM, DECIDE, reason, count)])


def test_each_line_becomes_one_row_and_the_spool_is_empty(book: Book, tmp_path: Path) -> None:
    spool(tmp_path, account=1, method=250)
    assert record_denials(tmp_path, book.database_url) == 2
    rows = book.rows()
    assert {row["identity"] for row in rows} == {TOM}
    assert {row["method"] for row in rows} == {DECIDE}
    assert {row["outcome"] for row in rows} == {"denied"}
    at_us = AT_NS // 1_000
    assert [row["new_value"] for row in rows] == [
        {"problem": "account", "at_us": at_us},
        {"problem": "method", "at_us": at_us, "calls": 250},
    ]
    assert not list(read_spool(tmp_path))
    assert record_denials(tmp_path, book.database_url) == 0
    book.witness()
    assert book.verify().finding is None


def test_a_spool_that_could_not_be_deleted_is_not_told_twice(
    book: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool(tmp_path, account=3)
    with monkeypatch.context() as patched:
        patched.setattr("server.recorder.denials.forget", lambda *_: None)
        assert record_denials(tmp_path, book.database_url) == 1
    assert list(read_spool(tmp_path))
    assert record_denials(tmp_path, book.database_url) == 0
    assert not list(read_spool(tmp_path))
    assert len(book.rows()) == 1


def test_a_file_is_taken_over_whole_or_not_at_all(
    book: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = DenialSpool(tmp_path, "0-17", read_clock_ns=lambda: AT_NS)
    writer.write([DenialCount(TOM, DECIDE, reason, 1) for reason in ("account", "method", "rate")])
    written = 0

    async def fail_at_the_third(*arguments: object) -> int:
        nonlocal written
        written += 1
        if written == 3:
            raise UnavailableError("record", "away")
        return await append(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr("server.recorder.denials.append", fail_at_the_third)
        with pytest.raises(UnavailableError):
            record_denials(tmp_path, book.database_url)
    assert book.rows() == []
    assert record_denials(tmp_path, book.database_url) == 3


def test_while_postgresql_is_away_the_spool_is_kept(tmp_path: Path) -> None:
    spool(tmp_path, account=1)
    with pytest.raises(UnavailableError):
        record_denials(tmp_path, "postgresql://nobody@127.0.0.1:1/nothing")
    assert list(read_spool(tmp_path))


def test_a_thread_takes_over_what_comes_and_stops_when_asked(book: Book, tmp_path: Path) -> None:
    recording = DenialRecording(tmp_path, book.database_url)
    spool(tmp_path, account=1)
    recording.start()
    try:
        while not book.rows():
            pass
    finally:
        recording.stop()
    assert len(book.rows()) == 1


def test_what_two_recorders_see_at_once_is_told_once(book: Book, tmp_path: Path) -> None:
    for number in range(20):
        spool(tmp_path, f"0-{number}", account=1)
    first, second = (DenialRecording(tmp_path, book.database_url) for _ in range(2))
    first.start()
    second.start()
    try:
        while list(read_spool(tmp_path)):
            pass
    finally:
        first.stop()
        second.stop()
    with psycopg.connect(book.database_url) as opened:
        count = opened.execute("SELECT count(*) FROM riskgate.audit_log").fetchone()
    assert count == (20,)
