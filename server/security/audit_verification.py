"""Verification of the audit log: rows against each other, against the signed heads, and where.

The chain and the heads alone decide whether the log is intact. If it is not, the fingerprints that
were kept beside the heads say which row is the first that differs, and what happened to it.
"""

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

from server.security.audit_rows import NO_HASH, ChainRow, find_break, hash_row
from server.security.head_files import FINGERPRINT_BYTES
from server.security.heads import Head

Kind = Literal["altered", "deleted", "inserted", "reordered", "cut", "rewritten", "head"]
ReadRows = Callable[[], Iterable[ChainRow]]


class Finding(NamedTuple):
    """What is wrong.

    Attributes:
        kind: What happened, as far as it can be told.
        audit_id: First row that is not as it was.
        problem: One sentence.
    """

    kind: Kind
    audit_id: int
    problem: str

    def describe(self) -> str:
        """Return a line for people."""
        return f"row {self.audit_id}: {self.kind}: {self.problem}"


class Verified(NamedTuple):
    """What was read and found.

    Attributes:
        row_count: Rows of the log.
        head_count: Signed heads.
        covered_rows: Rows that the newest head vouches for.
        finding: The first that is wrong; None: the log is intact.
    """

    row_count: int
    head_count: int
    covered_rows: int
    finding: Finding | None = None


def verify_log(
    read_rows: ReadRows, head_row: tuple[int, bytes], heads: list[Head], fingerprints: bytes
) -> Verified:
    """Verify a log.

    Args:
        read_rows: Returns all rows by their numbers; called again if something is wrong.
        head_row: Row count and newest hash as the record itself says.
        heads: Verified signatures and links, oldest first, read before the rows.
        fingerprints: Kept beside the heads, unverified.
    """
    expected = {
        head.statement.audit_rows: bytes.fromhex(head.statement.audit_hash) for head in heads
    }
    covered = heads[-1].statement.audit_rows if heads else 0
    count, newest = 0, NO_HASH
    broken, problem = 0, ""
    for row in read_rows():
        problem = find_break(count + 1, newest, row)
        if not problem:
            count, newest = row.audit_id, row.hash
            if expected.get(count, newest) != newest:
                problem = "is another than the signed head says"
        if problem:
            broken = row.audit_id
            break
    verified = Verified(count, len(heads), covered)
    if problem:
        kept = _Kept(read_rows(), fingerprints[: covered * FINGERPRINT_BYTES])
        return verified._replace(finding=kept.locate(broken, problem))
    if count < covered:
        words = f"rows {count + 1} to {covered} were cut off, a signed head names them"
        return verified._replace(finding=Finding("cut", count + 1, words))
    if head_row != (count, newest):
        return verified._replace(finding=_judge_head_row(head_row, count))
    return verified


def _judge_head_row(head_row: tuple[int, bytes], count: int) -> Finding:
    if head_row[0] > count:
        words = f"rows {count + 1} to {head_row[0]} were cut off, the head row counts them"
        return Finding("cut", count + 1, words)
    return Finding("head", count, "the head row of the log names another newest row")


class _Kept:
    """The rows as they are beside what was kept of them, to find the first difference."""

    def __init__(self, rows: Iterable[ChainRow], fingerprints: bytes) -> None:
        self._before = [
            fingerprints[at : at + FINGERPRINT_BYTES]
            for at in range(0, len(fingerprints), FINGERPRINT_BYTES)
        ]
        # Number → what the row says its hash is, and whether that is so.
        self._now: dict[int, tuple[bytes, bool]] = {}
        for row in rows:
            is_sound = hash_row(row.previous_hash, row.text) == row.hash
            self._now[row.audit_id] = (row.hash[:FINGERPRINT_BYTES], is_sound)

    def locate(self, broken: int, problem: str) -> Finding:
        """Return the first row that is not as it was.

        Args:
            broken: Where the chain or a head was first contradicted.
            problem: How.
        """
        if min(self._now) < 1:
            first = min(self._now)
            return Finding("inserted", first, "no row has such a number")
        for place, kept in enumerate(self._before, 1):
            now = self._now.get(place)
            if now is None or now != (kept, True):
                return self._judge(place, now, kept)
        # Behind the newest head, or nothing was kept: the chain alone speaks.
        covered = len(self._before)
        newer = (place for place in range(covered + 1, broken + 1) if place not in self._now)
        if missing := next(newer, 0):
            return self._missing(missing)
        is_sound = self._now[broken][1]
        return Finding("rewritten" if is_sound else "altered", broken, f"it {problem}")

    def _judge(self, place: int, now: tuple[bytes, bool] | None, kept: bytes) -> Finding:
        if now is None:
            return self._missing(place)
        if now[0] == kept:
            return Finding("altered", place, "its content does not have its hash")
        places = {hash_: number for number, (hash_, _) in self._now.items()}
        moved_to = places.get(kept)
        came_from = self._before.index(now[0]) + 1 if now[0] in self._before else None
        if came_from and moved_to:
            return Finding(
                "reordered", place, f"row {came_from} stands here, this one at {moved_to}"
            )
        if came_from:
            return Finding("deleted", place, f"row {came_from} was moved up to its place")
        if moved_to:
            return Finding("inserted", place, f"what was here is row {moved_to} now")
        behind = self._now.get(place + 1)
        if place < len(self._before) and behind and behind[0] == self._before[place]:
            return Finding("altered", place, "content and hash are others")
        if place == len(self._before):
            return Finding("altered", place, "content and hash are others")
        return Finding("rewritten", place, "this row and those behind it were made anew")

    def _missing(self, place: int) -> Finding:
        later = [number for number in self._now if number > place]
        if not later:
            return Finding("cut", place, f"rows from {place} on are missing")
        last = min(later) - 1
        words = "is missing" if last == place else f"to row {last} are missing"
        return Finding("deleted", place, words)
