"""Content-addressed, write-once store of artifacts: read-only files in `sha256/<digest>/`.

An artifact appears by one rename or not at all, and is never changed afterwards. Bytes are read
once, checked against their hashes, and handed on in memory: nobody opens a path again. Signatures
are the loader's business.
"""

import os
import re
import shutil
import stat
import tempfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from server.loaders.manifest import (
    ARTIFACT_BYTES_MAX,
    MANIFEST_FILE,
    check_file_hashes,
    check_sizes,
    find_manifest_type,
    parse_manifest,
)
from server.trust_errors import (
    ArtifactExistsError,
    ArtifactHashMismatchError,
    ArtifactNotFoundError,
    ArtifactTooLargeError,
    ArtifactUnknownFileError,
)

_DIGEST = re.compile(r"[0-9a-f]{64}")
_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


class Store(Protocol):
    """Where artifacts are kept: a directory, a bucket, or one in front of the other."""

    def put(self, files: Mapping[str, bytes]) -> str:
        """Store an artifact and return its digest."""

    def read(self, digest: str) -> Mapping[str, bytes]:
        """Read an artifact and check every hash."""

    def list_digests(self) -> list[str]:
        """Return the digests of all stored artifacts, sorted."""


class ArtifactStore:
    """The artifacts under one directory, found by digest (SHA-256 hex of the manifest's bytes)."""

    def __init__(self, root: Path) -> None:
        self._root = root / "sha256"

    def put(self, files: Mapping[str, bytes]) -> str:
        """Store an artifact and return its digest; storing the same bytes again changes nothing.

        Args:
            files: Exactly the files of an artifact.

        Raises:
            ArtifactTooLargeError: Above the size cap.
            ArtifactUnknownFileError: A file too many or too few.
            ArtifactManifestInvalidError: The manifest cannot be read.
            ArtifactHashMismatchError: A file is not the one that the manifest names.
            ArtifactExistsError: This digest is stored with other bytes (another envelope).
        """
        digest = check_content(files)
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        incoming = Path(tempfile.mkdtemp(prefix=".incoming-", dir=self._root))
        try:
            for name, content in files.items():
                _write_read_only(incoming / name, content)
            _sync_directory(incoming)
            try:
                incoming.rename(self._root / digest)
            except OSError as error:
                # The target exists and is not empty: rename never replaces it.
                if self.read(digest) != dict(files):
                    raise ArtifactExistsError(f"{digest} is stored with other bytes") from error
            _sync_directory(self._root)
        finally:
            shutil.rmtree(incoming, ignore_errors=True)
        return digest

    def read(self, digest: str) -> Mapping[str, bytes]:
        """Read an artifact into memory and check every hash.

        Raises:
            ArtifactNotFoundError: No artifact of this digest.
            ArtifactTooLargeError: Above the size cap.
            ArtifactUnknownFileError: A file too many or too few, or something that is no regular
                file.
            ArtifactManifestInvalidError: The manifest cannot be read.
            ArtifactHashMismatchError: Some bytes changed since they were stored.
        """
        check_digest(digest)
        files = read_artifact_directory(self._root / digest)
        if check_content(files) != digest:
            raise ArtifactHashMismatchError(f"{MANIFEST_FILE} does not have the digest {digest}")
        return files

    def list_digests(self) -> list[str]:
        """Return the digests of all stored artifacts, sorted."""
        if not self._root.is_dir():
            return []
        return sorted(path.name for path in self._root.iterdir() if _DIGEST.fullmatch(path.name))


def read_artifact_directory(path: Path) -> dict[str, bytes]:
    """Read the files of an artifact directory once; only names, kinds and size are checked.

    Raises:
        ArtifactNotFoundError: The directory cannot be opened.
        ArtifactTooLargeError: Above the size cap.
        ArtifactUnknownFileError: A file too many or too few, or something that is no regular file.
    """
    try:
        directory = os.open(path, _DIRECTORY_FLAGS)
    except OSError as error:
        raise ArtifactNotFoundError("no such artifact") from error
    try:
        # Of the opened directory, not of a path that may point elsewhere by now.
        names = set(os.listdir(directory))  # noqa: PTH208
        find_manifest_type(names)
        files: dict[str, bytes] = {}
        bytes_left = ARTIFACT_BYTES_MAX
        for name in sorted(names):
            files[name] = _read_file(directory, name, bytes_left)
            bytes_left -= len(files[name])
    finally:
        os.close(directory)
    return files


def check_digest(digest: str) -> None:
    """Refuse a name that is no digest.

    Raises:
        ArtifactNotFoundError: It is not SHA-256 in lower-case hex.
    """
    if not _DIGEST.fullmatch(digest):
        raise ArtifactNotFoundError("not a digest")


def check_content(files: Mapping[str, bytes]) -> str:
    """Check the files of an artifact against its manifest and return its digest.

    Raises:
        ArtifactError: Too large, a file too many or too few, a manifest that cannot be read, or a
            file that is not the one that the manifest names.
    """
    check_sizes(files)
    manifest_bytes = files[MANIFEST_FILE]
    check_file_hashes(parse_manifest(manifest_bytes, find_manifest_type(files)), files)
    return sha256(manifest_bytes).hexdigest()


def _read_file(directory: int, name: str, bytes_max: int) -> bytes:
    try:
        # Non-blocking, so that a pipe put in a file's place cannot hold the loader.
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
    except OSError as error:
        raise ArtifactUnknownFileError(f"{name} is no regular file") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ArtifactUnknownFileError(f"{name} is no regular file")
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(bytes_max + 1)
    if len(content) > bytes_max:
        raise ArtifactTooLargeError(f"more than {ARTIFACT_BYTES_MAX} bytes")
    return content


def _write_read_only(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o444)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, _DIRECTORY_FLAGS)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
