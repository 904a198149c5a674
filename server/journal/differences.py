"""Where a segment first differs from what was sealed, and what kind of change explains it.

The hash of a span says only that something in it differs; fingerprints say which entry. Whichever
is found again at another place has moved: so removing, inserting and reordering are told apart.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from mmap import mmap
from typing import NamedTuple

from server.hotpath.journal.entries import HEADER_BYTES
from server.journal.checkpoint import Statement
from server.journal.finding import (
    ALTERED,
    CUT,
    DAMAGED,
    INSERTED,
    REMOVED,
    REORDERED,
    REWRITTEN,
    Finding,
)
from server.journal.fingerprints import fingerprint, hash_bytes, split
from server.journal.scan import Walked, find_problem, is_zero_word, read_head
from server.journal.seals import CheckpointStore


class Sight(NamedTuple):
    """A segment as it is now.

    Attributes:
        memory: Mapped.
        walked: Where its valid entries end.
        behind: Fingerprints of the segment behind it, in order; none if there is none.
        is_newest: Whether no begun segment follows.
        sealed_entry: Newest entry of the journal that was sealed.
    """

    memory: mmap
    walked: Walked
    behind: list[bytes]
    is_newest: bool
    sealed_entry: int


def find_difference(
    sight: Sight,
    spans: Sequence[Statement],
    spans_behind: Sequence[Statement],
    stores: Sequence[CheckpointStore],
) -> Finding | None:
    """Compare a segment with its checkpoints; None: all is as it was sealed.

    Args:
        sight: Of the segment.
        spans: Its statements, the first of which begins with the header.
        spans_behind: Those of the segment behind it, if any.
        stores: Where fingerprints may be found.
    """
    for place, span in enumerate(spans):
        if hash_bytes(sight.memory, span.start_offset, span.end_offset) != span.bytes_sha256:
            wanted = read_fingerprints(span, stores)
            if wanted is None:
                return _name_span(span)
            later = [*spans[place + 1 :], *spans_behind]
            return _locate(sight, span, wanted, _gather(later, stores))
    last = spans[-1]
    if not last.sealed:
        return None
    if sight.walked.offset > last.end_offset:
        count = sight.walked.number - last.next_entry
        problem = f"{count} entries are appended to a sealed segment"
        return Finding(INSERTED, problem, last.next_entry, last.segment, last.end_offset)
    if not is_zero_word(sight.memory, last.end_offset):
        problem = "something stands behind the last entry of a sealed segment"
        return Finding(DAMAGED, problem, last.next_entry, last.segment, last.end_offset)
    return None


def read_fingerprints(span: Statement, stores: Sequence[CheckpointStore]) -> list[bytes] | None:
    """Return the fingerprints of a span from the first place that has them as signed."""
    for store in stores:
        found = store.read_fingerprints(span)
        if sha256(found).hexdigest() == span.fingerprints_sha256:
            return split(found)
    return None


def _gather(spans: Iterable[Statement], stores: Sequence[CheckpointStore]) -> list[bytes]:
    return [item for span in spans for item in read_fingerprints(span, stores) or []]


def _name_span(span: Statement) -> Finding:
    problem = (
        f"one of the entries {span.first_entry} to {span.next_entry - 1} or more; which one "
        "cannot be told without fingerprints"
    )
    return Finding(ALTERED, problem, span.first_entry, span.segment, span.start_offset)


def _locate(sight: Sight, span: Statement, wanted: list[bytes], later: list[bytes]) -> Finding:
    """Name the first entry of a span that is not as it was sealed; all before it are."""
    offset = max(span.start_offset, HEADER_BYTES)
    found = split(fingerprint(sight.memory, offset, sight.walked.offset))
    same = 0
    for one, other in zip(wanted, found, strict=False):
        if one != other:
            break
        offset += read_head(sight.memory, offset)[0]
        same += 1
    number = span.first_entry + same
    if same == len(wanted):
        return _judge_equal(span)
    wanted, found = wanted[same:] + later, found[same:]
    is_end = not found and is_zero_word(sight.memory, sight.walked.offset)
    # What stands at the beginning of the next segment may stand in place of this entry.
    is_moved = is_end and sight.behind[:1] not in ([], wanted[:1])
    if found or is_moved:
        kind, problem = _judge(wanted, [*found, *sight.behind])
    else:
        kind, problem = _judge_end(sight, number, span.next_entry - 1)
    return Finding(kind, problem, number, span.segment, offset)


def _judge_equal(span: Statement) -> Finding:
    if span.start_offset == 0:
        return Finding(ALTERED, "the header of the segment", 0, span.segment, 0)
    # Somebody spent the work to make an entry with the same fingerprint as another.
    return _name_span(span)


def _judge_end(sight: Sight, number: int, last_number: int) -> tuple[str, str]:
    """Judge a walk that ends before the span does."""
    if not is_zero_word(sight.memory, sight.walked.offset):
        return DAMAGED, find_problem(sight.memory, sight.walked.offset, sight.walked.number)
    if sight.is_newest:
        return CUT, f"it ends with entry {number - 1}, entry {sight.sealed_entry} was sealed"
    return REMOVED, f"the segment ends here, it had the entries up to {last_number}"


def _judge(wanted: list[bytes], found: list[bytes]) -> tuple[str, str]:
    """Explain two runs of entries of which the first ones differ."""
    is_later = wanted[0] in found
    was_later = found[0] in wanted
    if is_later and was_later:
        return REORDERED, "another entry stands here, and this one stands behind it"
    if is_later:
        return INSERTED, f"{found.index(wanted[0])} entries stand before it that were not sealed"
    if was_later:
        return REMOVED, f"{wanted.index(found[0])} entries are missing from here on"
    if len(wanted) == 1 or any(one == other for one, other in zip(wanted, found, strict=False)):
        return ALTERED, "the entry is valid, but not the one that was sealed"
    return REWRITTEN, "the entries are valid, but none from here on is the one that was sealed"
