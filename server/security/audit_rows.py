"""What a row of the audit log is to its chain."""

from hashlib import sha256
from typing import Final, NamedTuple

# What stands before the first row.
NO_HASH: Final = bytes(32)


class ChainRow(NamedTuple):
    """One row as it stands in the record; nothing of it is believed yet.

    Attributes:
        audit_id: Its number.
        previous_hash: Of the row before, as it says.
        hash: Its own, as it says.
        text: What it says besides, as canonical JSON.
    """

    audit_id: int
    previous_hash: bytes
    hash: bytes
    text: bytes


def hash_row(before: bytes, text: bytes) -> bytes:
    """Return the hash of a row.

    Args:
        before: Hash of the row before, 32 bytes; NO_HASH for the first.
        text: The row as canonical JSON.
    """
    return sha256(before + text).digest()


def find_break(audit_id: int, before: bytes, row: ChainRow) -> str:
    """Tell why a row is not the next one of its chain; empty: it is.

    Args:
        audit_id: Number that it must have.
        before: Hash of the row before.
        row: To be looked at.
    """
    if row.audit_id != audit_id:
        return f"stands where row {audit_id} must be"
    if row.previous_hash != before:
        return "does not follow the row before"
    if sha256(before + row.text).digest() != row.hash:
        return "does not have the hash that it states"
    return ""
