"""Tampering with the audit log inside PostgreSQL is found, with the row at which it begins."""

import asyncio
import random
import threading
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.record.pool import Pool
from server.security.head_files import HeadFiles
from server.trust_errors import AuditTamperedError
from server.witness import Witness
from tests.audit_harness import KEY, Book, entry
from tests.audit_tampering import KINDS, tamper

ROWS = 24
SEED = 7


@pytest.fixture
def book(database_url: str, tmp_path: Path) -> Book:
    """A log of some rows under several heads."""
    made = Book(database_url, tmp_path / "heads")
    dice = random.Random(SEED)
    written = 0
    while written < ROWS:
        count = min(dice.randint(1, 6), ROWS - written)
        made.write([entry(written + number) for number in range(1, count + 1)])
        made.witness()
        written += count
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_tampering_is_found_at_its_place(book: Book, kind: str) -> None:
    try_often(book, [kind] * 5)


@pytest.mark.campaign
@pytest.mark.timeout(3_600)
def test_a_thousand_random_tamperings_are_found_at_their_places(book: Book) -> None:
    try_often(book, [KINDS[number % len(KINDS)] for number in range(1_000)])


def try_often(book: Book, kinds: list[str]) -> None:
    dice = random.Random(f"{SEED} {kinds}")
    rows = book.rows()
    assert book.verify().finding is None
    for number, kind in enumerate(kinds):
        done = tamper(book, rows, kind, dice)
        finding = book.verify().finding
        assert finding is not None, f"{number}: {done}"
        assert finding.audit_id == done.audit_id, f"{number}: {done} {finding}"
        assert finding.kind in done.found_as, f"{number}: {done} {finding}"
        # Without the fingerprints it is found too, though perhaps not at its very place.
        assert book.verify(with_fingerprints=False).finding is not None, f"{number}: {done}"
        book.replace(rows)
        book.mend_head_row()
        assert book.verify().finding is None, f"false alarm after {done}"


def test_a_log_that_grows_gives_no_alarm(database_url: str, tmp_path: Path) -> None:
    book = Book(database_url, tmp_path / "heads")
    assert book.verify().finding is None
    dice = random.Random(SEED)
    for _ in range(25):
        book.write([entry(number) for number in range(dice.randint(0, 4))])
        if dice.random() < 0.6:
            book.witness()
        assert book.verify().finding is None


def test_rows_behind_the_newest_head_are_held_by_the_chain(book: Book) -> None:
    book.write([entry(number) for number in range(5)])
    rows = book.rows()
    rows[ROWS + 2]["reason"] = "nobody asked"
    book.replace(rows)
    finding = book.verify().finding
    assert finding is not None
    assert (finding.kind, finding.audit_id) == ("altered", ROWS + 3)


def test_a_cut_tail_shows_although_the_log_has_grown_again(book: Book) -> None:
    book.replace(book.rows()[:10])
    book.mend_head_row()
    book.write([entry(99)] * 30)
    finding = book.verify().finding
    assert finding is not None
    assert finding.audit_id == 11
    with pytest.raises(AuditTamperedError, match=f"row {ROWS}"):
        book.witness()


def test_nothing_is_signed_over_rows_that_were_altered_before_they_were_signed(book: Book) -> None:
    book.write([entry(number) for number in range(3)])
    rows = book.rows()
    rows[ROWS + 1]["identity"] = "spiffe://riskgate/admin/bob"
    book.replace(rows)
    with pytest.raises(AuditTamperedError, match=f"row {ROWS + 2}"):
        book.witness()
    assert book.verify().covered_rows == ROWS


def test_a_head_row_that_lies_stops_the_witness(book: Book) -> None:
    with book.open() as opened:
        opened.execute(
            "UPDATE riskgate.audit_head SET newest_hash = pg_catalog.sha256('other'::bytea)"
        )
    with pytest.raises(AuditTamperedError, match="head row"):
        book.witness()


def test_a_long_log_whose_first_row_was_altered_is_read_once_more(book: Book) -> None:
    book.write([entry(number) for number in range(3_000)])
    with book.unguarded() as opened:
        opened.execute("UPDATE riskgate.audit_log SET actor = 'eve' WHERE audit_id = 1")
    finding = book.verify().finding
    assert finding is not None
    assert (finding.kind, finding.audit_id) == ("altered", 1)


# --- Heads ---


def test_a_copy_gets_every_head_also_those_that_it_has_missed(book: Book, tmp_path: Path) -> None:
    copy = HeadFiles(tmp_path / "elsewhere" / "heads")
    book.write([entry()])
    book.witness(copy)
    assert list(copy.read()) == list(book.files.read())
    book.write([entry()])
    book.witness()
    book.write([entry()])
    book.witness(copy)
    assert list(copy.read()) == list(book.files.read())


def test_a_copy_that_cannot_be_written_keeps_no_head_from_being_signed(
    book: Book, tmp_path: Path
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    book.write([entry()])
    book.witness(HeadFiles(in_the_way / "heads"))
    assert book.verify().covered_rows == ROWS + 1


@pytest.mark.parametrize("number", [0, 2, -1])
def test_a_forged_head_is_refused(book: Book, number: int) -> None:
    lines = list(book.files.read())
    lines[number] = lines[number].replace(b'"sig":"', b'"sig":"AAAA', 1)
    write_lines(book, lines)
    with pytest.raises(AuditTamperedError, match="forged"):
        book.verify()


@pytest.mark.parametrize("change", ["drop", "swap", "repeat"])
def test_heads_out_of_their_order_are_refused(book: Book, change: str) -> None:
    lines = list(book.files.read())
    if change == "drop":
        del lines[1]
    elif change == "swap":
        lines[1], lines[2] = lines[2], lines[1]
    else:
        lines.insert(1, lines[1])
    write_lines(book, lines)
    with pytest.raises(AuditTamperedError, match="does not follow"):
        book.verify()


def test_heads_of_another_key_are_refused(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    stranger = Ed25519PrivateKey.from_private_bytes(b"\5" * 32)
    monkeypatch.setattr("tests.audit_harness.KEY", stranger)
    with pytest.raises(AuditTamperedError, match="not signed by the witness key"):
        book.verify()


def test_a_head_that_was_half_written_is_none_and_is_mended(book: Book) -> None:
    whole = book.lines_path.read_bytes()
    book.lines_path.write_bytes(whole + list(book.files.read())[-1][:100])
    assert book.verify().finding is None
    book.write([entry()])
    book.witness()
    assert book.lines_path.read_bytes().startswith(whole)
    assert book.verify().covered_rows == ROWS + 1


def test_lost_fingerprints_change_nothing_about_an_intact_log(book: Book) -> None:
    (book.folder / "rows.fingerprints").unlink()
    assert book.verify().finding is None
    book.write([entry()])
    book.witness()
    assert book.verify().finding is None


def test_two_witnesses_never_sign_at_once(book: Book) -> None:
    book.write([entry()])
    with book.files.lock(), pytest.raises(Exception, match="another process"):
        book.witness()


def test_a_witness_that_is_cancelled_while_it_writes_leaves_one_chain(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_end = threading.Event(), threading.Event()
    whole = HeadFiles.append

    def append_slowly(*arguments: Any) -> None:
        begun.set()
        may_end.wait()
        whole(*arguments)

    async def cancel(pool: Pool) -> None:
        witness = Witness(pool, KEY, book.files)
        with monkeypatch.context() as patched:
            patched.setattr(HeadFiles, "append", append_slowly)
            running = asyncio.create_task(witness.run())
            await asyncio.to_thread(begun.wait)
            running.cancel()
            await asyncio.sleep(0)
            assert not running.done()
            may_end.set()
            with pytest.raises(asyncio.CancelledError):
                await running
        assert await witness.advance()

    book.write([entry()])
    book.run(cancel)
    assert book.verify().covered_rows == ROWS + 1


def write_lines(book: Book, lines: list[bytes]) -> None:
    book.lines_path.write_bytes(b"".join(line + b"\n" for line in lines))
