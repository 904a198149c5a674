"""The artifact store: content-addressed, write-once, and suspicious of its own disk."""

import os
import stat
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.loaders.artifact_store import ArtifactStore
from server.loaders.manifest import ARTIFACT_BYTES_MAX
from server.trust_errors import (
    ArtifactExistsError,
    ArtifactHashMismatchError,
    ArtifactManifestInvalidError,
    ArtifactNotFoundError,
    ArtifactTooLargeError,
    ArtifactUnknownFileError,
)
from tests.artifact_builder import build_artifact, build_small_model

KEY = Ed25519PrivateKey.from_private_bytes(sha256(b"author").digest())
GOOD = build_artifact(KEY)
DIGEST = sha256(GOOD["manifest.json"]).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


@pytest.fixture
def directory(store: ArtifactStore, tmp_path: Path) -> Path:
    assert store.put(GOOD) == DIGEST
    return tmp_path / "artifacts" / "sha256" / DIGEST


def test_put_when_artifact_is_new_then_it_reads_back(store: ArtifactStore, directory: Path) -> None:
    assert store.read(DIGEST) == GOOD
    assert store.list_digests() == [DIGEST]
    for path in directory.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o222 == 0
    assert [path.name for path in directory.parent.iterdir()] == [DIGEST]


def test_put_when_same_bytes_again_then_nothing_changes(
    store: ArtifactStore, directory: Path
) -> None:
    before = {path.name: path.stat().st_ino for path in directory.iterdir()}
    assert store.put(GOOD) == DIGEST
    assert {path.name: path.stat().st_ino for path in directory.iterdir()} == before


def test_put_when_envelope_differs_then_not_overwritten(
    store: ArtifactStore, directory: Path
) -> None:
    with pytest.raises(ArtifactExistsError):
        store.put(GOOD | {"envelope.dsse.json": b"{}"})
    assert store.read(DIGEST) == GOOD
    assert [path.name for path in directory.parent.iterdir()] == [DIGEST]


def test_put_when_two_artifacts_then_both_are_kept(store: ArtifactStore, directory: Path) -> None:
    other = build_artifact(KEY, build_small_model(seed=9))
    digest = store.put(other)
    assert store.list_digests() == sorted([DIGEST, digest])
    assert (store.read(digest), store.read(DIGEST)) == (other, GOOD)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"x": b""}, ArtifactUnknownFileError),
        ({"../x": b""}, ArtifactUnknownFileError),
        ({"model.onnx": bytes(ARTIFACT_BYTES_MAX)}, ArtifactTooLargeError),
        ({"manifest.json": b"{}"}, ArtifactManifestInvalidError),
        ({"model.onnx": b"other"}, ArtifactHashMismatchError),
        ({"encodings.json": b"other"}, ArtifactHashMismatchError),
    ],
)
def test_put_when_files_are_unfit_then_refused_and_nothing_stored(
    store: ArtifactStore, tmp_path: Path, changes: dict[str, bytes], error: type[Exception]
) -> None:
    with pytest.raises(error):
        store.put(GOOD | changes)
    assert store.list_digests() == []
    assert not list(tmp_path.rglob("*.onnx"))


@pytest.mark.parametrize(
    "digest", ["0" * 64, "", "..", "../" + "0" * 61, DIGEST.upper(), DIGEST + "\n", DIGEST + "/"]
)
def test_read_when_digest_is_unknown_then_not_found(
    store: ArtifactStore, directory: Path, digest: str
) -> None:
    with pytest.raises(ArtifactNotFoundError):
        store.read(digest)


def _rewrite(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["model.onnx", "encodings.json", "manifest.json"])
def test_read_when_disk_changed_a_byte_then_refused(
    store: ArtifactStore, directory: Path, name: str
) -> None:
    content = bytearray(GOOD[name])
    # In the manifest: a digit inside the training hash, so that it still parses.
    at = content.index(b'"data_sha256":"0') + 15 if name == "manifest.json" else len(content) // 2
    content[at] ^= 1
    _rewrite(directory / name, bytes(content))
    with pytest.raises(ArtifactHashMismatchError):
        store.read(DIGEST)


def test_read_when_a_file_is_no_regular_file_then_refused(
    store: ArtifactStore, directory: Path, tmp_path: Path
) -> None:
    path = directory / "model.onnx"
    outside = tmp_path / "outside.onnx"
    outside.write_bytes(GOOD["model.onnx"])
    path.unlink()
    path.symlink_to(outside)
    with pytest.raises(ArtifactUnknownFileError):
        store.read(DIGEST)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ArtifactUnknownFileError):
        store.read(DIGEST)
    path.unlink()
    path.mkdir()
    with pytest.raises(ArtifactUnknownFileError):
        store.read(DIGEST)


def test_read_when_a_file_is_added_removed_or_grown_then_refused(
    store: ArtifactStore, directory: Path
) -> None:
    (directory / "extra").write_bytes(b"x")
    with pytest.raises(ArtifactUnknownFileError):
        store.read(DIGEST)
    (directory / "extra").unlink()
    _rewrite(directory / "model.onnx", bytes(ARTIFACT_BYTES_MAX + 1))
    with pytest.raises(ArtifactTooLargeError):
        store.read(DIGEST)
    (directory / "model.onnx").unlink()
    with pytest.raises(ArtifactUnknownFileError):
        store.read(DIGEST)


def test_read_when_directory_is_a_link_then_not_found(
    store: ArtifactStore, directory: Path
) -> None:
    moved = directory.with_name("moved")
    directory.rename(moved)
    directory.symlink_to(moved)
    with pytest.raises(ArtifactNotFoundError):
        store.read(DIGEST)
