"""Canonical JSON and content digests of an artifact's files.

UTF-8, sorted keys, no white space, no NaN: the one byte form that is hashed and signed.
"""

import json
from hashlib import sha256


def encode_canonical(value: object) -> bytes:
    """Return the canonical bytes of a JSON value.

    Raises:
        ValueError: The value holds NaN or infinity.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def compute_digest(content: bytes) -> str:
    """Return the SHA-256 of bytes as 64 hex digits."""
    return sha256(content).hexdigest()
