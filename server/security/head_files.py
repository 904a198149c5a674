"""Heads in a folder outside PostgreSQL: the witness of the audit log and of the ledger.

`heads.jsonl` holds one envelope per line and only ever grows. `rows.fingerprints` holds the first
eight bytes of the hash of each row that a head covers; it tells nothing by itself and may be lost,
but where the rows do not match the heads, it says which row is the first that differs.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from server.errors import UnavailableError
from server.security.heads import Head, check_follows, open_head
from server.security.statement_lines import StatementLines, write_at

HEADS_FOLDER: Final = "heads"
FINGERPRINT_BYTES: Final = 8
_HEADS_FILE: Final = "heads.jsonl"
_FINGERPRINTS_FILE: Final = "rows.fingerprints"


class HeadFiles:
    """The heads of one stack in a folder.

    Args:
        folder: `heads` in the data directory, or a copy of it elsewhere; made when first written
            to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lines = StatementLines(folder / _HEADS_FILE)

    def lock(self) -> AbstractContextManager[None]:
        """Keep others from adding heads meanwhile; see `StatementLines.lock`."""
        return self._lines.lock()

    def read(self, first_number: int = 1) -> Iterator[bytes]:
        """Return the envelopes in order, unverified."""
        return self._lines.read(first_number)

    def read_last(self, key: Ed25519PublicKey) -> Head | None:
        """Return the newest head; None before the first.

        Raises:
            AuditTamperedError: It is forged.
        """
        raw = self._lines.read_last()
        return open_head(raw, key) if raw else None

    def read_fingerprints(self) -> bytes:
        """Return the fingerprints from the first row on, unverified; empty if they are gone."""
        try:
            return (self.folder / _FINGERPRINTS_FILE).read_bytes()
        except FileNotFoundError:
            return b""

    def append(self, head: Head, fingerprints: bytes) -> None:
        """Add the next head and bring it to the disk; the lock must be held.

        Args:
            head: The next one.
            fingerprints: Of the rows up to its last one that no head has covered.

        Raises:
            UnavailableError: The disk does not take it; the next call mends what is half there.
        """
        first_row = head.statement.audit_rows - len(fingerprints) // FINGERPRINT_BYTES
        try:
            # First: nothing is said before what it rests on is there.
            if fingerprints:
                place = first_row * FINGERPRINT_BYTES
                write_at(self.folder / _FINGERPRINTS_FILE, place, fingerprints)
            self._lines.append(head.raw)
        except OSError as error:
            raise UnavailableError("heads", f"{self.folder}: {error}") from error

    def copy_lines(self, raw_lines: Iterator[bytes]) -> None:
        """Add envelopes as they are; the lock must be held.

        Raises:
            UnavailableError: The disk does not take them.
        """
        try:
            for raw in raw_lines:
                self._lines.append(raw)
        except OSError as error:
            raise UnavailableError("heads", f"{self.folder}: {error}") from error


def read_heads(files: HeadFiles, key: Ed25519PublicKey) -> list[Head]:
    """Return all heads of a folder, each verified and following the one before.

    Raises:
        AuditTamperedError: One is forged, missing or out of order.
    """
    heads: list[Head] = []
    for raw in files.read():
        head = open_head(raw, key)
        check_follows(heads[-1] if heads else None, head)
        heads.append(head)
    return heads
