"""All checkpoints of a journal, read from every place that keeps them, which must agree.

Each place is verified by itself: signatures, numbers, links and spans. A place that is wrong is
named, and the others are still used.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from server.errors import JournalTamperedError
from server.journal.checkpoint import Checkpoint, Statement, check_follows, open_checkpoint
from server.journal.finding import CHECKPOINT, Finding
from server.journal.seals import CheckpointStore

# What the file may lack: a crash came between PostgreSQL's commit and the file.
_FILE_BEHIND_MAX: Final = 1


class Agreed(NamedTuple):
    """The checkpoints.

    Attributes:
        statements: Those of the segments asked for, in order.
        checkpoint_count: Of all that were verified.
        last: Newest of all; None without any.
        findings: One for each place that is wrong.
    """

    statements: list[Statement]
    checkpoint_count: int
    last: Statement | None
    findings: list[Finding]


class _Chain:
    """One place while its checkpoints are read."""

    def __init__(self, store: CheckpointStore, key: Ed25519PublicKey, journal: str) -> None:
        self.name = store.name
        self.finding: Finding | None = None
        self.count = 0
        self.is_over = False
        self._key, self._journal = key, journal
        self._envelopes = iter(store.read())
        self._last: Checkpoint | None = None

    def take(self, known: Checkpoint | None) -> Checkpoint | None:
        """Return the next one; None at the end and from the first bad one on.

        Args:
            known: What another place has under this number, already verified.
        """
        if self.is_over:
            return None
        raw = next(self._envelopes, None)
        if raw is None:
            self.is_over = True
            return None
        try:
            same = known if known and known.raw == raw else None
            checkpoint = same or open_checkpoint(raw, self._key)
            check_follows(self._last, checkpoint, self._journal)
        except JournalTamperedError as error:
            self.refuse(f"checkpoint {self.count + 1} in {self.name}: {error}")
            return None
        self.count += 1
        self._last = checkpoint
        return checkpoint

    def refuse(self, problem: str) -> None:
        """Use this place no further."""
        self.finding = Finding(CHECKPOINT, problem)
        self.is_over = True


def read_agreed(
    stores: Sequence[CheckpointStore],
    key: Ed25519PublicKey,
    journal: str,
    first_segment: int = 1,
) -> Agreed:
    """Read and verify the checkpoints of all places side by side.

    Args:
        stores: In the order in which a checkpoint is written to them.
        key: That signed them.
        journal: Shard and number of shards, as in `0/1`.
        first_segment: Only statements of this segment and later ones are returned.

    Raises:
        UnavailableError: A place cannot be read.
    """
    chains = [_Chain(store, key, journal) for store in stores]
    statements: list[Statement] = []
    last: Statement | None = None
    for checkpoint in _read_side_by_side(chains):
        last = checkpoint.statement
        if last.segment >= first_segment:
            statements.append(last)
    count = last.number if last else 0
    for place, chain in enumerate(chains):
        behind_max = _FILE_BEHIND_MAX if place else 0
        if not chain.finding and count - chain.count > behind_max:
            chain.finding = Finding(
                CHECKPOINT, f"{chain.name} ends with checkpoint {chain.count}, there are {count}"
            )
    return Agreed(statements, count, last, [chain.finding for chain in chains if chain.finding])


def _read_side_by_side(chains: list[_Chain]) -> Iterator[Checkpoint]:
    while True:
        agreed: Checkpoint | None = None
        for chain in chains:
            found = chain.take(agreed)
            if found and agreed and found.raw != agreed.raw:
                others = " and ".join(other.name for other in chains)
                chain.refuse(
                    f"{others} have different checkpoints under number {found.statement.number}, "
                    "both signed"
                )
            agreed = agreed or found
        if agreed is None:
            return
        yield agreed
