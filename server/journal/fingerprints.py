"""Eight bytes for each entry, by which an altered one is found inside a span.

They are only an index: what proves anything is the SHA-256 of the whole span, which is signed. An
entry of a valid walk is fixed by its place and all its bytes behind number and first word, so those
two are left out; entries that merely moved are then known again.

Cost: 8 bytes and about a microsecond for each entry, against some 800 bytes of the entry itself.
"""

from hashlib import sha256
from mmap import mmap
from typing import Final

from server.journal.scan import read_head

FINGERPRINT_BYTES: Final = 8
_SKIPPED_BYTES: Final = 16  # first word and number


def hash_bytes(memory: mmap, start: int, end: int) -> str:
    """Return the SHA-256 of a part of a segment, without copying it."""
    with memoryview(memory) as view, view[start:end] as part:
        return sha256(part).hexdigest()


def fingerprint(memory: mmap, start: int, end: int) -> bytes:
    """Return the fingerprints of valid entries, one behind the other.

    Args:
        memory: Mapped segment.
        start: Of the first entry, bytes.
        end: Behind the last one; all between must be valid.
    """
    fingerprints = bytearray()
    while start < end:
        size: int = read_head(memory, start)[0]
        digest = sha256(memory[start + _SKIPPED_BYTES : start + size]).digest()
        fingerprints += digest[:FINGERPRINT_BYTES]
        start += size
    return bytes(fingerprints)


def split(fingerprints: bytes) -> list[bytes]:
    """Return each fingerprint by itself."""
    return [
        fingerprints[start : start + FINGERPRINT_BYTES]
        for start in range(0, len(fingerprints), FINGERPRINT_BYTES)
    ]
