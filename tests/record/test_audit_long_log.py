"""A long audit log is verified whole; how fast is printed (goal: 100,000 rows per second)."""

import time
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from server.security.audit_rows import NO_HASH, hash_row
from server.security.canonical import encode_canonical
from tests.audit_harness import METHOD, Book

ROWS = 500_000
AT = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
OLD, NEW = {"equity": "1000", "state": "active"}, {"equity": "1500", "state": "active"}
COLUMNS = {
    "action": "update",
    "actor": "desk 7",
    "address": "10.0.0.7",
    "identity": "spiffe://riskgate/admin/ann",
    "method": METHOD,
    "outcome": "done",
    "reason": "the desk asked for more room",
    "subject": "account",
}


def fill(book: Book, count: int) -> None:
    """Write a chain as `append` would, many rows at a time."""
    names = ("audit_id", "occurred_at", "subject_key", "state_version", "old_value", "new_value")
    columns = ", ".join([*COLUMNS, *names, "previous_hash", "hash"])
    before = NO_HASH
    old, new = encode_canonical(OLD).decode(), encode_canonical(NEW).decode()
    at_us = int(AT.timestamp()) * 1_000_000 + AT.microsecond
    with psycopg.connect(book.database_url) as opened:
        copied = opened.cursor().copy(f"COPY riskgate.audit_log ({columns}) FROM STDIN".encode())
        with copied as copy:
            for audit_id in range(1, count + 1):
                said = {
                    **COLUMNS,
                    "audit_id": audit_id,
                    "subject_key": f"account{audit_id}",
                    "state_version": audit_id,
                }
                text = {**said, "occurred_at_us": at_us, "old_value": OLD, "new_value": NEW}
                own = hash_row(before, encode_canonical(text))
                values = (audit_id, AT, f"account{audit_id}", audit_id, old, new, before, own)
                copy.write_row((*COLUMNS.values(), *values))
                before = own
        opened.execute(
            "UPDATE riskgate.audit_head SET row_count = %s, newest_hash = %s", [count, before]
        )


def test_a_log_of_several_heads_is_intact(database_url: str, tmp_path: Path) -> None:
    verify(Book(database_url, tmp_path / "heads"), 45_000)


@pytest.mark.campaign
@pytest.mark.timeout(1_800)
def test_a_log_of_half_a_million_rows_is_intact(database_url: str, tmp_path: Path) -> None:
    verify(Book(database_url, tmp_path / "heads"), ROWS)


def verify(book: Book, count: int) -> None:
    fill(book, count)
    with psycopg.connect(book.database_url, autocommit=True) as opened:
        opened.execute("VACUUM ANALYZE riskgate.audit_log")
    book.witness()
    for _ in range(3):
        begin_s = time.perf_counter()
        verified = book.verify()
        print(f"{count / (time.perf_counter() - begin_s):,.0f} rows/s")  # noqa: T201 - a figure
    assert verified.finding is None
    assert (verified.row_count, verified.covered_rows) == (count, count)
    assert verified.head_count == -(-count // 20_000)
