"""Reliability T12: what somebody changes in the journal is found, with the first entry concerned.

The one who tampers repairs checksums, sizes, numbers and headers; only the key is out of reach.
"""

import base64
import json
import random
from collections import Counter
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.errors import JournalTamperedError
from server.hotpath.journal.entries import HEADER_BYTES
from server.journal.checkpoint import check_follows, sign_statement
from server.journal.seals import Sealer
from server.journal.segments import list_segments
from server.journal.verification import verify_journal
from server.security.canonical import encode_canonical
from tests.journal_builder import overwrite
from tests.journal_tampering import (
    KINDS,
    NAMES,
    OpenedJournal,
    OpenedSegment,
    delete_oldest,
    tamper,
    write_random,
)
from tests.sealed_journal import KEY, Kept, write_plain, write_sealed


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def test_a_sound_journal_is_intact(kept: Kept) -> None:
    last = write_plain(kept)
    verified = kept.verify()
    assert verified.is_intact
    assert (verified.entry_count, verified.sealed_entry, verified.oldest_entry) == (last, last, 1)
    assert verified.segment_count == len(list_segments(kept.journal)) > 3
    assert verified.checkpoint_count == verified.segment_count


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("edit", "altered"),
        ("delete", "removed"),
        ("insert", "inserted"),
        ("reorder", "reordered"),
        ("cut", "cut"),
        ("rewrite", "rewritten"),
    ],
)
def test_each_kind_of_tampering_is_named_with_its_place(kept: Kept, kind: str, name: str) -> None:
    write_plain(kept)
    number = tamper(kept.journal, kind, 100, random.Random(3))
    finding = kept.find()
    assert (finding.kind, finding.entry_number) == (name, number)
    opened = OpenedJournal(kept.journal)
    assert f"entry {number}, segment {finding.segment}, offset" in finding.describe()
    assert finding.segment <= len(opened.segments)
    if kind == "cut":
        assert "entry 201 was sealed" in finding.problem


def run_instances(folder: Path, count: int, seed: int) -> None:
    """Tamper with `count` random journals, each kind in turn; all must be found where they are."""
    names: Counter[tuple[str, str]] = Counter()
    for instance in range(count):
        rng = random.Random(seed + instance)
        kept = Kept(folder / str(instance))
        last = write_sealed(kept, rng)
        if rng.random() < 0.3:  # what is not sealed does not help
            with kept.builder(epoch=9, number=last + 1) as builder:
                write_random(builder, rng, rng.randint(1, 30))
        assert kept.verify().is_intact, f"seed {seed + instance}"
        kind = KINDS[instance % len(KINDS)]
        number = tamper(kept.journal, kind, last, rng)
        finding = kept.find()
        said = f"seed {seed + instance}: {kind} of entry {number}, found {finding.describe()}"
        assert finding.entry_number == number, said
        assert finding.kind in NAMES[kind], said
        names[kind, finding.kind] += 1
    print(f"{count} instances found with position: {dict(names)}")  # noqa: T201 - the N is shown


def test_random_tampering_is_found_where_it_is(tmp_path: Path) -> None:
    run_instances(tmp_path, 60, seed=1)


@pytest.mark.campaign
@pytest.mark.timeout(1_800)
def test_a_thousand_random_instances_are_found_where_they_are(tmp_path: Path) -> None:
    run_instances(tmp_path, 1_000, seed=10_000)


def run_sound(folder: Path, count: int, seed: int) -> None:
    """Verify sound journals that grow, start anew, and lose their oldest segments."""
    for instance in range(count):
        rng = random.Random(seed + instance)
        kept = Kept(folder / str(instance))
        last = write_sealed(kept, rng)
        for _ in range(rng.randint(0, 3)):
            segments = list_segments(kept.journal)
            delete_oldest(kept.journal, rng.randrange(len(segments)))
            with kept.builder(epoch=9, number=last + 1) as builder:
                write_random(builder, rng, rng.randint(1, 100))
                last = builder.number - 1
            verified = kept.verify()
            assert verified.findings == [], f"seed {seed + instance}"
            assert verified.oldest_entry + verified.entry_count - 1 == last
            kept.seal()
        assert kept.verify().findings == [], f"seed {seed + instance}"


def test_sound_journals_raise_no_false_alarm(tmp_path: Path) -> None:
    run_sound(tmp_path, 20, seed=1)


@pytest.mark.campaign
@pytest.mark.timeout(1_800)
def test_hundred_sound_journals_raise_no_false_alarm(tmp_path: Path) -> None:
    run_sound(tmp_path, 100, seed=10_000)


def test_a_changed_header_is_named(kept: Kept) -> None:
    write_plain(kept)
    segment = list_segments(kept.journal)[1]
    opened = OpenedSegment.read(segment.path, segment.first_entry)
    header = opened.header
    header[header.index(b"0.1.0")] ^= 1
    opened.write(segment.first_entry)
    assert kept.find()[:3] == ("altered", "the header of the segment", 0)


def test_plain_damage_is_named_with_its_problem(kept: Kept) -> None:
    write_plain(kept)
    segment = list_segments(kept.journal)[1]
    overwrite(segment.path, HEADER_BYTES + 30, b"\xff")
    finding = kept.find()
    assert finding[:4] == (
        "damaged",
        "the entry's checksum is wrong",
        segment.first_entry,
        segment.number,
    )


def test_a_segment_missing_from_the_middle_is_named(kept: Kept) -> None:
    write_plain(kept)
    segment = list_segments(kept.journal)[1]
    segment.path.unlink()
    assert kept.find()[0::2][:2] == ("removed", segment.first_entry)


def test_a_journal_that_is_gone_as_a_whole_is_cut(kept: Kept) -> None:
    write_plain(kept)
    for path in kept.journal.iterdir():
        path.unlink()
    assert kept.find()[0::2][:2] == ("cut", 1)


def test_a_journal_that_was_begun_anew_is_named(kept: Kept) -> None:
    write_plain(kept)
    for path in kept.journal.iterdir():
        path.unlink()
    with kept.builder() as builder:
        write_random(builder, random.Random(8), 200)
    assert kept.find().kind == "rewritten"


def test_entries_appended_to_a_sealed_segment_are_named(kept: Kept) -> None:
    last = write_plain(kept)
    with kept.builder(epoch=2, number=last + 1) as builder:
        builder.clock()
    kept.seal()
    opened = OpenedJournal(kept.journal)
    opened.segments[-2].entries.append(opened.segments[0].entries[0])
    opened.write()
    assert kept.find()[0::2][:2] == ("inserted", last + 1)


def test_without_fingerprints_the_span_is_named(kept: Kept) -> None:
    last = write_plain(kept)
    for path in (kept.root / "checkpoints").glob("*.fingerprints"):
        path.unlink()
    number = tamper(kept.journal, "edit", last, random.Random(3))
    finding = kept.find()
    assert finding.kind == "altered"
    first, final = (int(word) for word in finding.problem.split() if word.isdecimal())
    assert first <= number <= final


def test_a_statement_missing_from_the_middle_is_named(kept: Kept) -> None:
    write_plain(kept)
    lines = kept.statements.read_bytes().splitlines(keepends=True)
    kept.statements.write_bytes(b"".join(lines[:1] + lines[2:]))
    finding = kept.find()
    assert finding.kind == "checkpoint"
    assert "checkpoint 2 in the file" in finding.problem


def forge(raw: bytes, **columns: object) -> bytes:
    envelope = json.loads(raw)
    statement = json.loads(base64.b64decode(envelope["payload"])) | columns
    envelope["payload"] = base64.b64encode(encode_canonical(statement)).decode()
    return encode_canonical(envelope)


@pytest.mark.parametrize("column", ["end_offset", "entry_count", "last_sequence", "made_at_ns"])
def test_a_changed_statement_does_not_verify(kept: Kept, column: str) -> None:
    write_plain(kept)
    lines = kept.statements.read_bytes().splitlines()
    lines[1] = forge(lines[1], **{column: 8})
    kept.statements.write_bytes(b"\n".join(lines) + b"\n")
    assert "checkpoint 2 in the file: the signature does not verify" in kept.find().problem


def test_statements_of_another_key_are_refused(kept: Kept) -> None:
    write_plain(kept)
    stranger = Ed25519PrivateKey.from_private_bytes(bytes(32))
    verified = verify_journal(kept.journal, stranger.public_key(), kept.files, None)
    assert "not signed by the checkpoint key" in verified.findings[0].problem
    other = Sealer(kept.journal, stranger, kept.files, None)
    with pytest.raises(JournalTamperedError, match="not signed"):
        other.seal()


def test_a_journal_without_checkpoints_is_not_called_intact(kept: Kept) -> None:
    with kept.builder() as builder:
        builder.clock()
    assert kept.find().kind == "checkpoint"
    assert Kept(kept.root / "nothing").verify().is_intact


def test_a_sealed_journal_that_is_gone_but_for_a_prepared_segment_is_cut(kept: Kept) -> None:
    with kept.builder() as builder:
        builder.clock()
        builder.rotate()
    kept.seal()
    delete_oldest(kept.journal, 1)
    assert kept.verify().is_intact
    overwrite(next(kept.journal.iterdir()), 0, bytes(8))
    assert kept.find().kind == "cut"


def test_a_segment_that_repeats_sealed_entries_is_named(kept: Kept) -> None:
    last = write_plain(kept)
    with kept.builder(epoch=2, number=last - 3) as builder:
        builder.clock()
    finding = kept.find()
    assert (finding.kind, finding.entry_number) == ("inserted", last + 1)


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        ("previous_sha256", "1" * 64, "does not follow the one before"),
        ("start_offset", 8, "its span does not follow"),
        ("first_entry", 1, "its span does not follow"),
        ("segment", 9, "its span does not follow"),
        ("journal", "1/2", "belongs to journal 1/2"),
    ],
)
def test_a_signed_statement_that_is_out_of_its_chain_is_refused(
    kept: Kept, column: str, value: object, problem: str
) -> None:
    write_plain(kept)
    first, second, *_ = kept.checkpoints()
    check_follows(first, second, "0/1")
    astray = sign_statement(second.statement.model_copy(update={column: value}), KEY)
    with pytest.raises(JournalTamperedError, match=problem):
        check_follows(first, astray, "0/1")
