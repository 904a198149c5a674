"""The artifact directory: four files, pinned by the manifest, which the signature pins.

Written to a folder of its own beside the target and moved into place, so a half-written artifact
never carries the name of a whole one; an existing directory is refused, because releases are
write-once.
"""

import json
import os
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from trainer.canonical import compute_digest, encode_canonical
from trainer.encodings import Encodings, read_encodings
from trainer.errors import ArtifactReadError
from trainer.features import FEATURES, OUTPUTS

MODEL_FILE: Final = "model.onnx"
ENCODINGS_FILE: Final = "encodings.json"
MANIFEST_FILE: Final = "manifest.json"
ENVELOPE_FILE: Final = "envelope.dsse.json"
FILES: Final = frozenset({MODEL_FILE, ENCODINGS_FILE, MANIFEST_FILE, ENVELOPE_FILE})
FILE_BYTES_MAX: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Artifact:
    """A release as read from disk, its files checked against the manifest."""

    manifest: dict[str, Any]
    manifest_bytes: bytes
    model: bytes
    encodings: Encodings
    envelope: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest's exact bytes: the name of the release."""
        return compute_digest(self.manifest_bytes)

    @property
    def trained_until(self) -> datetime:
        """Time of the last training row, UTC."""
        return datetime.fromisoformat(self.manifest["training"]["to"]).astimezone(UTC)

    @property
    def embargo(self) -> timedelta:
        """Time after the last training row that belongs to no side."""
        return timedelta(hours=float(self.manifest["training"]["embargo_hours"]))


def write_artifact(path: Path, files: dict[str, bytes]) -> None:
    """Write all files or none.

    Args:
        path: A directory that does not exist, or is empty.
        files: Content by name, exactly the four of an artifact.

    Raises:
        FileExistsError: The directory holds something.
        ValueError: A file is missing or unknown.
    """
    if set(files) != FILES:
        raise ValueError("an artifact has exactly four files")
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise FileExistsError(f"{path} exists and is not empty: a release is written once")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".release-", dir=path.parent) as scratch:
        aside = Path(scratch) / "artifact"
        aside.mkdir()
        for name, content in files.items():
            with (aside / name).open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        aside.rename(path)  # replaces an empty directory, refuses a full one


def read_artifact(path: Path) -> Artifact:
    """Read a release and check its files against its manifest; the signature is checked by `sign`.

    Raises:
        ArtifactReadError: A file is missing, unknown, too large or altered, or the manifest is not
            of this format.
    """
    contents = read_files(path)
    manifest_bytes = contents[MANIFEST_FILE]
    manifest = _parse(manifest_bytes, MANIFEST_FILE)
    if encode_canonical(manifest) != manifest_bytes:
        raise ArtifactReadError("manifest.json is not in canonical form")
    try:
        for name in (MODEL_FILE, ENCODINGS_FILE):
            pinned = manifest["files"][name]
            if pinned != _pin(contents[name]):
                raise ArtifactReadError(f"{name} is not the file that the manifest names")
        features = [(feature["name"], feature["unit"]) for feature in manifest["features"]]
        if features != list(FEATURES) or manifest["outputs"] != list(OUTPUTS):
            raise ArtifactReadError("the manifest lists other features or outputs than ours")
        datetime.fromisoformat(manifest["training"]["to"])
        float(manifest["training"]["embargo_hours"])
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactReadError("manifest.json is malformed") from error
    encodings = read_encodings(_parse(contents[ENCODINGS_FILE], ENCODINGS_FILE))
    envelope = contents[ENVELOPE_FILE]
    return Artifact(manifest, manifest_bytes, contents[MODEL_FILE], encodings, envelope)


def pin_files(files: dict[str, bytes]) -> dict[str, dict[str, Any]]:
    """Return the manifest's entry for each file: digest and size in bytes."""
    return {name: _pin(content) for name, content in files.items()}


def _pin(content: bytes) -> dict[str, Any]:
    return {"sha256": compute_digest(content), "bytes": len(content)}


def read_files(path: Path) -> dict[str, bytes]:
    """Read the four files of an artifact; what is in them is not looked at.

    Raises:
        ArtifactReadError: A file is missing, unknown, too large, or cannot be read.
    """
    try:
        names = {entry.name for entry in path.iterdir()}
        if names != FILES:
            odd = ", ".join(sorted(names ^ FILES))
            raise ArtifactReadError(f"the artifact has a file too many or too few: {odd}")
        if any((path / name).stat().st_size > FILE_BYTES_MAX for name in FILES):
            raise ArtifactReadError("a file of the artifact is too large")
        return {name: (path / name).read_bytes() for name in FILES}
    except OSError as error:
        raise ArtifactReadError(f"the artifact cannot be read: {error.strerror}") from error


def _parse(content: bytes, name: str) -> Any:
    try:
        return json.loads(content)
    except ValueError as error:
        raise ArtifactReadError(f"{name} is not JSON") from error
