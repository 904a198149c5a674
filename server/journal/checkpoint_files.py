"""Checkpoints in a folder outside the journal's: the witness that needs no PostgreSQL.

`statements.jsonl` holds one envelope per line and only ever grows; shipping its lines to another
machine makes that a witness too. `{segment:010d}.fingerprints` holds what names an altered entry;
it is an index, may be lost, and goes when its segment has gone.
"""

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from server.errors import JournalFailedError
from server.journal.checkpoint import Checkpoint, Statement
from server.journal.fingerprints import FINGERPRINT_BYTES
from server.security.statement_lines import StatementLines, write_at

_LOG: Final = logging.getLogger(__name__)
_STATEMENTS_FILE: Final = "statements.jsonl"
_SUFFIX: Final = ".fingerprints"


class CheckpointFiles:
    """The checkpoints of one journal in a folder.

    Args:
        folder: `checkpoints` in the data directory, with the shard's suffix; made when first
            written to.
    """

    name: Final = "the file"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lines = StatementLines(folder / _STATEMENTS_FILE)

    def lock(self, *, shared: bool = False) -> AbstractContextManager[None]:
        """Keep others from adding checkpoints meanwhile; see `StatementLines.lock`."""
        return self._lines.lock(shared=shared)

    def read(self, first_number: int = 1) -> Iterator[bytes]:
        """Return the envelopes in order; a line that a crash has left half written is none."""
        return self._lines.read(first_number)

    def read_last(self) -> bytes | None:
        """Return the newest envelope; None before the first."""
        return self._lines.read_last()

    def read_fingerprints(self, statement: Statement) -> bytes:
        """Return the fingerprints of a span, unverified; too few or none if they are gone."""
        try:
            with self._path_of(statement).open("rb") as file:
                file.seek(_place_of(statement))
                return file.read(statement.entry_count * FINGERPRINT_BYTES)
        except FileNotFoundError:
            return b""

    def append(self, checkpoint: Checkpoint, fingerprints: bytes) -> None:
        """Add the next checkpoint and bring it to the disk; the lock must be held.

        Raises:
            JournalFailedError: The disk does not take it; the next call mends what is half there.
        """
        try:
            # The fingerprints first: nothing is said before what it rests on is there.
            statement = checkpoint.statement
            write_at(self._path_of(statement), _place_of(statement), fingerprints)
            self._lines.append(checkpoint.raw)
        except OSError as error:
            raise JournalFailedError(f"a checkpoint cannot be written: {error}") from error

    def forget_fingerprints(self, oldest_segment: int) -> None:
        """Delete the fingerprints of segments that are gone."""
        for path in self._folder.glob(f"*{_SUFFIX}"):
            if path.stem.isdecimal() and int(path.stem) < oldest_segment:
                path.unlink(missing_ok=True)
                _LOG.debug("%s is gone with its segment", path.name)

    def _path_of(self, statement: Statement) -> Path:
        return self._folder / f"{statement.segment:010d}{_SUFFIX}"


def _place_of(statement: Statement) -> int:
    return (statement.first_entry - statement.segment_first_entry) * FINGERPRINT_BYTES
