"""The files of the trust set: its versions, the pinned fingerprint, the newest version seen."""

import fcntl
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from server.security.canonical import decode_canonical, encode_canonical
from server.security.new_file import write_new_file
from server.statement_errors import (
    TrustSetGapError,
    TrustSetMissingError,
    TrustSetRollbackError,
    TrustSetSeenError,
    TrustSetUnknownFileError,
    TrustSetUnpinnedError,
    TrustSetUnreadableError,
)

TRUST_FOLDER: Final = "trust"
PIN_FILE: Final = "trust.pin"
SEEN_FILE: Final = "trust.seen"

_BYTES_MAX: Final = 1 << 20
_NAME: Final = re.compile(r"([1-9][0-9]{0,6})\.trust\.json")
_PIN: Final = re.compile(rb"[0-9a-f]{64}\n?")


class _Seen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    version: int = Field(ge=1)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


def trust_file(keys_dir: Path, version: int) -> Path:
    """Return where a version stands."""
    return keys_dir / TRUST_FOLDER / f"{version}.trust.json"


def read_trust_files(keys_dir: Path) -> list[bytes]:
    """Return the bytes of all versions, the first one first.

    Raises:
        TrustSetMissingError: There is none.
        TrustSetUnknownFileError: Something else is in the folder.
        TrustSetGapError: A version between the first and the newest is missing.
        TrustSetUnreadableError: One is no regular file, too large, or cannot be read.
    """
    try:
        # A name with a dot in front is a file that is being written.
        names = {
            entry.name for entry in (keys_dir / TRUST_FOLDER).iterdir() if entry.name[0] != "."
        }
    except OSError as error:
        raise TrustSetMissingError(f"{keys_dir / TRUST_FOLDER}: {error.strerror}") from error
    if unknown := sorted(name for name in names if not _NAME.fullmatch(name)):
        raise TrustSetUnknownFileError(unknown[0][:64])
    if not names:
        raise TrustSetMissingError(f"{keys_dir / TRUST_FOLDER} is empty")
    paths = [trust_file(keys_dir, version) for version in range(1, len(names) + 1)]
    if {path.name for path in paths} != names:
        raise TrustSetGapError(f"there are {len(names)} files, not 1 to {len(names)}")
    return [_read_regular(path) for path in paths]


def read_pin(keys_dir: Path) -> str:
    """Return the fingerprint of the first version, hex.

    Raises:
        TrustSetUnpinnedError: The file is missing or holds something else.
    """
    try:
        raw = _read_regular(keys_dir / PIN_FILE)
    except TrustSetUnreadableError as error:
        raise TrustSetUnpinnedError(f"{keys_dir / PIN_FILE} cannot be read") from error
    if not _PIN.fullmatch(raw):
        raise TrustSetUnpinnedError(f"{keys_dir / PIN_FILE} holds no fingerprint")
    return raw.decode().strip()


def write_first(keys_dir: Path, envelope: bytes, fingerprint: str) -> None:
    """Write the first version and its pin unless they are there.

    The pin comes first: a first version without one is refused.
    """
    (keys_dir / TRUST_FOLDER).mkdir(mode=0o700, parents=True, exist_ok=True)
    write_new_file(keys_dir / PIN_FILE, f"{fingerprint}\n".encode(), mode=0o644)
    write_new_file(trust_file(keys_dir, 1), envelope, mode=0o644)


def remember_version(keys_dir: Path, version: int, fingerprint: str) -> None:
    """Refuse to go back below a version that was seen before; note a newer one.

    Args:
        keys_dir: Holds the note.
        version: Newest version there is.
        fingerprint: SHA-256 hex of its payload.

    Raises:
        TrustSetRollbackError: A newer one, or another one of this version, was seen before.
        TrustSetSeenError: The note cannot be read or written.
    """
    if not _is_newer(_read_seen(keys_dir), version, fingerprint):
        return
    try:
        with _only_one(keys_dir):
            # Again: another process may have met a still newer version meanwhile.
            if _is_newer(_read_seen(keys_dir), version, fingerprint):
                _write_seen(keys_dir, _Seen(version=version, sha256=fingerprint))
    except OSError as error:
        raise TrustSetSeenError(f"{keys_dir / SEEN_FILE}: {error.strerror}") from error


def _is_newer(seen: _Seen | None, version: int, fingerprint: str) -> bool:
    if seen is None or version > seen.version:
        return True
    if version < seen.version:
        raise TrustSetRollbackError(f"version {version}, but {seen.version} was in use")
    if fingerprint != seen.sha256:
        raise TrustSetRollbackError(f"another version {version} was in use")
    return False


def _read_seen(keys_dir: Path) -> _Seen | None:
    path = keys_dir / SEEN_FILE
    if not os.path.lexists(path):
        return None
    try:
        return _Seen.model_validate(decode_canonical(_read_regular(path)))
    except (ValidationError, ValueError, TrustSetUnreadableError) as error:
        raise TrustSetSeenError(f"{path} cannot be read") from error


def _write_seen(keys_dir: Path, seen: _Seen) -> None:
    aside = keys_dir / f".{SEEN_FILE}"
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.write(encode_canonical(seen.model_dump()))
        file.flush()
        os.fsync(file.fileno())
    aside.rename(keys_dir / SEEN_FILE)


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _read_regular(path: Path) -> bytes:
    try:
        # Non-blocking, so that a pipe put in a file's place cannot hold the reader.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise TrustSetUnreadableError(f"{path} is no regular file")
            raw = file.read(_BYTES_MAX + 1)
    except OSError as error:
        raise TrustSetUnreadableError(f"{path}: {error.strerror}") from error
    if len(raw) > _BYTES_MAX:
        raise TrustSetUnreadableError(f"{path} is too large")
    return raw
