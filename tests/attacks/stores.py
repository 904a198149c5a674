"""A store whose directory somebody changes, also between two system calls of the reader."""

import os
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final
from unittest import mock

from server.loaders import artifact_store
from server.loaders.artifact_store import ArtifactStore
from server.loaders.manifest import (
    ARTIFACT_BYTES_MAX,
    ENCODINGS_FILE,
    ENVELOPE_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    find_manifest_type,
)
from server.trust_errors import (
    ArtifactError,
    ArtifactExistsError,
    ArtifactHashMismatchError,
    ArtifactNotFoundError,
    ArtifactTooLargeError,
    ArtifactUnknownFileError,
)
from tests.attacks.bundles import FILES, bundle
from tests.attacks.cast import Attack

Change = Callable[[Path], object]


def replace(name: str, make: Change) -> Change:
    """Put something else in the place of a file."""

    def change(directory: Path) -> None:
        directory.chmod(0o700)
        path = directory / name
        path.unlink()
        make(path)

    return change


def write(content: bytes) -> Change:
    return lambda path: path.write_bytes(content)


def replace_all(*names: str) -> Change:
    """Put the files of another artifact in the place of ours."""

    def change(directory: Path) -> None:
        for name in names:
            replace(name, write(bundle("newer")[name]))(directory)

    return change


def exchange_directory(directory: Path) -> None:
    """Put another artifact's directory in the place of ours, in one move."""
    directory.rename(directory.with_name("elsewhere"))
    shutil.copytree(directory.parent / "newer", directory)


def link_directory(directory: Path) -> None:
    directory.rename(directory.with_name("elsewhere"))
    directory.symlink_to(directory.with_name("elsewhere"))


def _link_out(path: Path) -> None:
    outside = path.parent.parent / "outside"
    outside.write_bytes(bundle("own")[path.name])
    path.symlink_to(outside)


def read_changed(change: Change, *, during: bool) -> object:
    """Store an artifact and read it, changed before or between listing and opening its files."""
    with tempfile.TemporaryDirectory() as folder:
        store = ArtifactStore(Path(folder))
        digest = store.put(bundle("own"))
        directory = Path(folder) / "sha256" / digest
        newer = directory.parent / store.put(bundle("newer"))
        newer.rename(newer.with_name("newer"))
        if not during:
            change(directory)
            return store.read(digest)
        changed = False

        def change_once(names: set[str]) -> object:
            nonlocal changed
            if not changed:
                changed = True
                change(directory)
            return find_manifest_type(names)

        with mock.patch.object(artifact_store, "find_manifest_type", change_once):
            return store.read(digest)


def _read_name(name: str) -> object:
    with tempfile.TemporaryDirectory() as folder:
        store = ArtifactStore(Path(folder))
        store.put(bundle("own"))
        return store.read(name)


def _put_again(**changes: bytes) -> object:
    with tempfile.TemporaryDirectory() as folder:
        store = ArtifactStore(Path(folder))
        store.put(bundle("own"))
        return store.put(bundle("own") | {ENVELOPE_FILE: changes["envelope"]})


_CASES: Final[list[tuple[str, type[ArtifactError], Change]]] = [
    *(
        (f"{name} of another artifact", ArtifactHashMismatchError, replace_all(name))
        for name in (MODEL_FILE, ENCODINGS_FILE, MANIFEST_FILE)
    ),
    ("all files of another artifact", ArtifactHashMismatchError, replace_all(*FILES)),
    ("a link to the same bytes", ArtifactUnknownFileError, replace(MODEL_FILE, _link_out)),
    (
        "a link to nowhere",
        ArtifactUnknownFileError,
        replace(MODEL_FILE, lambda path: path.symlink_to("nowhere")),
    ),
    ("a pipe", ArtifactUnknownFileError, replace(MODEL_FILE, os.mkfifo)),
    ("a folder", ArtifactUnknownFileError, replace(MODEL_FILE, Path.mkdir)),
    (
        "a device",
        ArtifactUnknownFileError,
        replace(MODEL_FILE, lambda path: path.symlink_to("/dev/zero")),
    ),
    ("a file that is gone", ArtifactUnknownFileError, replace(MODEL_FILE, lambda _: None)),
    (
        "a file that has grown",
        ArtifactTooLargeError,
        replace(MODEL_FILE, write(bytes(ARTIFACT_BYTES_MAX + 1))),
    ),
    (
        "a file that is cut",
        ArtifactHashMismatchError,
        replace(MODEL_FILE, lambda path: path.write_bytes(bundle("own")[path.name][:-1])),
    ),
]

_BEFORE: Final[list[tuple[str, type[ArtifactError], Change]]] = [
    ("a directory that is a link", ArtifactNotFoundError, link_directory),
    ("the directory of another artifact", ArtifactHashMismatchError, exchange_directory),
    (
        "a file too many",
        ArtifactUnknownFileError,
        lambda directory: (directory / "readme.txt").write_bytes(b""),
    ),
]

ATTACKS: Final = [
    *(
        Attack(
            f"store: {name} {'while it is read' if during else 'on the disk'}",
            error,
            partial(read_changed, change, during=during),
        )
        for during in (False, True)
        for name, error, change in _CASES
    ),
    *(
        Attack(f"store: {name}", error, partial(read_changed, change, during=False))
        for name, error, change in _BEFORE
    ),
    *(
        Attack(f"store: the name {name!r}", ArtifactNotFoundError, partial(_read_name, name))
        for name in ("", ".", "..", "../../etc", "A" * 64, "0" * 63, "0" * 64 + "\n", "*")
    ),
    Attack(
        "store: another envelope for the same digest",
        ArtifactExistsError,
        lambda: _put_again(envelope=bundle("newer")[ENVELOPE_FILE]),
    ),
]
