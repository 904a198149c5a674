"""Folders of trust sets with a file too many, too few, or of another kind."""

import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Final

from server.security.trust_files import PIN_FILE, SEEN_FILE
from server.statement_errors import (
    TrustSetForeignError,
    TrustSetNotCanonicalError,
    TrustSetSeenError,
    TrustSetUnknownFileError,
    TrustSetUnpinnedError,
    TrustSetUnreadableError,
)
from tests.attacks.cast import Attack
from tests.attacks.trust_sets import (
    CHAIN,
    FIRST_SIGNED,
    PIN,
    SECOND,
    SECOND_SIGNED,
    THIRD_SIGNED,
    Case,
    load,
)

_SECOND_FILE: Final = "trust/2.trust.json"


def _replace(name: str, make: Callable[[Path], object]) -> Callable[[Path], object]:
    def change(keys_dir: Path) -> None:
        (keys_dir / name).unlink(missing_ok=True)
        make(keys_dir / name)

    return change


def _write(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda keys_dir: (keys_dir / name).write_bytes(content)


def _link_to_good(path: Path) -> None:
    elsewhere = path.with_name("elsewhere")
    elsewhere.parent.parent.joinpath("elsewhere").write_bytes(SECOND_SIGNED)
    path.symlink_to(path.parent.parent / "elsewhere")


_CASES: Final[list[Case]] = [
    (
        "no pin",
        TrustSetUnpinnedError,
        lambda: load(*CHAIN, change=lambda keys_dir: (keys_dir / PIN_FILE).unlink()),
    ),
    ("an empty pin", TrustSetUnpinnedError, lambda: load(*CHAIN, change=_write(PIN_FILE, b""))),
    (
        "two pins",
        TrustSetUnpinnedError,
        lambda: load(*CHAIN, change=_write(PIN_FILE, f"{PIN}\n{PIN}\n".encode())),
    ),
    (
        "the pin of another",
        TrustSetForeignError,
        lambda: load(*CHAIN, change=_write(PIN_FILE, b"0" * 64)),
    ),
    (
        "the pin of the second",
        TrustSetForeignError,
        lambda: load(*CHAIN, change=_write(PIN_FILE, sha256(SECOND).hexdigest().encode())),
    ),
    (
        "a pin that is a link",
        TrustSetUnpinnedError,
        lambda: load(*CHAIN, change=_replace(PIN_FILE, lambda path: path.symlink_to("/dev/null"))),
    ),
    (
        "what was seen is damaged",
        TrustSetSeenError,
        lambda: load(*CHAIN, change=_write(SEEN_FILE, b"{}")),
    ),
    (
        "what was seen is empty",
        TrustSetSeenError,
        lambda: load(*CHAIN, change=_write(SEEN_FILE, b"")),
    ),
    (
        "what was seen is a link to nowhere",
        TrustSetSeenError,
        lambda: load(*CHAIN, change=lambda keys_dir: (keys_dir / SEEN_FILE).symlink_to("nowhere")),
    ),
    (
        "a version under a second name",
        TrustSetUnknownFileError,
        lambda: load(*CHAIN, change=_write("trust/04.trust.json", THIRD_SIGNED)),
    ),
    (
        "version zero",
        TrustSetUnknownFileError,
        lambda: load(*CHAIN, change=_write("trust/0.trust.json", FIRST_SIGNED)),
    ),
    (
        "a file beside them",
        TrustSetUnknownFileError,
        lambda: load(*CHAIN, change=_write("trust/README", b"")),
    ),
    (
        "a link",
        TrustSetUnreadableError,
        lambda: load(*CHAIN[:2], change=_replace(_SECOND_FILE, _link_to_good)),
    ),
    (
        "a folder",
        TrustSetUnreadableError,
        lambda: load(*CHAIN[:2], change=_replace(_SECOND_FILE, Path.mkdir)),
    ),
    (
        "a pipe",
        TrustSetUnreadableError,
        lambda: load(*CHAIN[:2], change=_replace(_SECOND_FILE, os.mkfifo)),
    ),
    (
        "a file without end",
        TrustSetUnreadableError,
        lambda: load(*CHAIN[:2], change=_write(_SECOND_FILE, b" " * ((1 << 20) + 1))),
    ),
    (
        "an empty file",
        TrustSetNotCanonicalError,
        lambda: load(*CHAIN[:2], change=_write(_SECOND_FILE, b"")),
    ),
]

ATTACKS: Final = [
    Attack(f"folder of trust sets: {name}", error, attempt) for name, error, attempt in _CASES
]
