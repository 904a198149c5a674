"""Verify a whole journal against its checkpoints; no server needs to run.

Every entry is walked over (checksums, numbers) and every sealed span is hashed. The oldest segments
may be missing: the disk budget deletes them. Then the chain begins with the first one that is
there, whose predecessor's link is in a checkpoint. Entries behind the newest checkpoint are walked
only: nobody has signed them yet.
"""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from server.errors import JournalCorruptError, JournalTrimmedError
from server.hotpath.journal.entries import HEADER_BYTES
from server.journal.agreement import read_agreed
from server.journal.checkpoint import Statement
from server.journal.checkpoint_files import CheckpointFiles
from server.journal.differences import Sight, find_difference
from server.journal.finding import CHECKPOINT, CUT, DAMAGED, INSERTED, REMOVED, Finding
from server.journal.fingerprints import fingerprint, split
from server.journal.reader import read_entries
from server.journal.scan import map_segment, walk
from server.journal.seals import CheckpointStore
from server.journal.segments import list_numbers, read_header, segment_path
from server.shards import WHOLE, Shard


class Verified(NamedTuple):
    """What was verified, up to the first finding in the journal.

    Attributes:
        findings: What is wrong: places of the checkpoints first, then the first one in the journal.
        entry_count: Valid entries.
        segment_count: Segments with valid entries, or begun.
        checkpoint_count: All of them, also of segments that are gone.
        used_bytes: Of headers and entries.
        oldest_entry: First one counted; 0 if there is none.
        sealed_entry: Newest that a checkpoint covers; 0 without any.
    """

    findings: list[Finding]
    entry_count: int
    segment_count: int
    checkpoint_count: int
    used_bytes: int
    oldest_entry: int
    sealed_entry: int

    @property
    def is_intact(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


class _Count:
    def __init__(self) -> None:
        self.entries = 0
        self.segments: set[int] = set()
        self.bytes = 0
        self.oldest = 0


def verify_journal(
    folder: Path,
    key: Ed25519PublicKey,
    files: CheckpointFiles,
    record: CheckpointStore | None,
    shard: Shard = WHOLE,
) -> Verified:
    """Compare a journal with its checkpoints.

    An engine and a sealer may be at work meanwhile.

    Args:
        folder: Of the journal; it may be empty or not there.
        key: That signed the checkpoints.
        files: Checkpoints outside the journal's folder.
        record: Checkpoints in PostgreSQL; None: they are not asked.
        shard: Whose journal it is.

    Raises:
        UnavailableError: PostgreSQL is away.
    """
    stores: list[CheckpointStore] = [record, files] if record else [files]
    numbers = list_numbers(folder)
    with files.lock(shared=True):
        agreed = read_agreed(stores, key, str(shard), numbers[0] if numbers else 1)
    count = _Count()
    finding = (
        _check_beginning(folder, numbers, agreed.statements, agreed.last)
        or _check_sealed(folder, agreed.statements, stores, count)
        or _check_rest(folder, numbers, agreed.last, count)
    )
    findings = [*agreed.findings, *([finding] if finding else [])]
    if count.entries and not agreed.checkpoint_count and not findings:
        problem = "there are none: only checksums and numbers could be verified"
        findings.append(Finding(CHECKPOINT, problem))
    return Verified(
        findings=findings,
        entry_count=count.entries,
        segment_count=len(count.segments),
        checkpoint_count=agreed.checkpoint_count,
        used_bytes=count.bytes,
        oldest_entry=count.oldest,
        sealed_entry=agreed.last.next_entry - 1 if agreed.last else 0,
    )


def _check_beginning(
    folder: Path, numbers: list[int], statements: list[Statement], last: Statement | None
) -> Finding | None:
    """Make sure that the oldest segment is one that a checkpoint leads to."""
    if last is None:
        return None
    if statements and numbers and statements[0].segment > numbers[0]:
        problem = "the segment is older than the first that was sealed"
        return Finding(INSERTED, problem, 0, numbers[0], 0)
    if statements:
        return None
    # Everything that was sealed is gone; the budget never deletes the newest segment.
    is_following = last.sealed and numbers[:1] == [last.segment + 1]
    if is_following and _is_begun_behind(folder, last.segment):
        return None
    problem = f"of the entries up to {last.next_entry - 1}, which were sealed, none is there"
    return Finding(CUT, problem, last.segment_first_entry, last.segment, 0)


def _check_sealed(
    folder: Path,
    statements: list[Statement],
    stores: Sequence[CheckpointStore],
    count: _Count,
) -> Finding | None:
    sealed_entry = statements[-1].next_entry - 1 if statements else 0
    segments = [list(spans) for _, spans in groupby(statements, lambda span: span.segment)]
    for place, spans in enumerate(segments):
        behind = segments[place + 1] if place + 1 < len(segments) else []
        if finding := _check_segment(folder, spans, behind, sealed_entry, stores, count):
            return finding
    return None


def _check_segment(
    folder: Path,
    spans: list[Statement],
    spans_behind: list[Statement],
    sealed_entry: int,
    stores: Sequence[CheckpointStore],
    count: _Count,
) -> Finding | None:
    number, first_entry = spans[0].segment, spans[0].segment_first_entry
    is_newest = not _is_begun_behind(folder, number)
    path = segment_path(folder, number)
    try:
        if read_header(path) is None:
            if number < min(list_numbers(folder), default=0):
                return None  # the budget has deleted it meanwhile
            return _name_missing(spans, sealed_entry, is_newest=is_newest)
    except JournalCorruptError as error:
        return Finding(DAMAGED, f"the header: {error.problem}", first_entry, number, 0)
    with map_segment(path) as memory:
        walked = walk(memory, HEADER_BYTES, first_entry)
        sight = Sight(memory, walked, [], is_newest, sealed_entry)
        finding = find_difference(sight, spans, spans_behind, stores)
        if finding:
            # Once more, with what is needed to explain it.
            sight = sight._replace(behind=_read_behind(folder, number + 1))
            return find_difference(sight, spans, spans_behind, stores)
    count.oldest = count.oldest or first_entry
    count.entries += spans[-1].next_entry - first_entry
    count.segments.add(number)
    count.bytes += spans[-1].end_offset
    return None


def _is_begun_behind(folder: Path, number: int) -> bool:
    for later in list_numbers(folder):
        try:
            if later > number and read_header(segment_path(folder, later)):
                return True
        except JournalCorruptError:
            return True
    return False


def _name_missing(spans: list[Statement], sealed_entry: int, *, is_newest: bool) -> Finding:
    first = spans[0]
    if is_newest:
        kind, last_entry = CUT, first.first_entry - 1
        problem = f"it ends with entry {last_entry}, entry {sealed_entry} was sealed"
    else:
        kind = REMOVED
        problem = f"the segment with entries up to {spans[-1].next_entry - 1} is gone"
    return Finding(kind, problem, first.segment_first_entry, first.segment, 0)


def _read_behind(folder: Path, number: int) -> list[bytes]:
    """Return the fingerprints of a segment as it is now, as far as it is valid."""
    path = segment_path(folder, number)
    try:
        header = read_header(path)
    except JournalCorruptError:
        return []
    if header is None:
        return []
    with map_segment(path) as memory:
        walked = walk(memory, HEADER_BYTES, header.first_entry)
        return split(fingerprint(memory, HEADER_BYTES, walked.offset))


def _check_rest(
    folder: Path, numbers: list[int], last: Statement | None, count: _Count
) -> Finding | None:
    """Walk over what is not sealed yet."""
    next_number = last.next_entry if last else None
    try:
        if last and (finding := _check_following(folder, last)):
            return finding
        for entry in read_entries(folder, next_number):
            if entry.segment_number > max(numbers, default=0):
                break  # begun meanwhile: an engine may be as fast as this
            count.oldest = count.oldest or entry.number
            count.entries += 1
            count.bytes += len(entry.raw)
            if entry.segment_number not in count.segments:
                count.segments.add(entry.segment_number)
                count.bytes += HEADER_BYTES
    except JournalCorruptError as error:
        stem = Path(str(error.path)).stem
        segment = int(stem) if stem.isdecimal() else 0
        return Finding(DAMAGED, error.problem, error.number, segment, error.offset)
    except JournalTrimmedError as error:
        return Finding(REMOVED, str(error), next_number or 0)
    return None


def _check_following(folder: Path, last: Statement) -> Finding | None:
    """Make sure that the first segment without a checkpoint does not repeat or leave out entries.

    Raises:
        JournalCorruptError: Its header is damaged.
    """
    header = read_header(segment_path(folder, last.segment + 1))
    if header is None or header.first_entry == last.next_entry:
        return None
    if header.first_entry > last.next_entry and not last.sealed:
        return None  # what is between stands in the segment before, and is walked over
    problem = f"the segment begins with entry {header.first_entry}, expected {last.next_entry}"
    kind = INSERTED if header.first_entry < last.next_entry else REMOVED
    return Finding(kind, problem, last.next_entry, header.number, 0)
