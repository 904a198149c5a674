"""Versions of artifacts: MAJOR.MINOR.PATCH, compared by their numbers."""

import re
from typing import Final

_WRITTEN: Final = re.compile(r"[vV]?(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})(?:\.(0|[1-9]\d{0,8}))?")


def normalise(written: str) -> str:
    """Return a version in full: "v2.1" is "2.1.0".

    Raises:
        ValueError: It is none, or one with a suffix.
    """
    found = _WRITTEN.fullmatch(written)
    if found is None or not written.isascii():
        raise ValueError("not MAJOR.MINOR.PATCH")
    return ".".join(part or "0" for part in found.groups())
