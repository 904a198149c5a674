"""The manifest of an artifact: its fields, their bounds, and the hashes that pin the other files.

There are two kinds of artifact, a model and a risk policy; the names of the files tell which.
Parsing believes nothing: unknown fields, other types, numbers that are not finite and any spelling
but the canonical one are refused. Whether the manifest itself may be believed is decided before, by
its signature.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Annotated, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator

from server.security.canonical import decode_canonical
from server.trust_errors import (
    ArtifactHashMismatchError,
    ArtifactManifestInvalidError,
    ArtifactTooLargeError,
    ArtifactUnknownFileError,
)

MANIFEST_FILE = "manifest.json"
MODEL_FILE = "model.onnx"
ENCODINGS_FILE = "encodings.json"
ENVELOPE_FILE = "envelope.dsse.json"
POLICY_FILE = "policy.json"

ARTIFACT_BYTES_MAX = 16 << 20
MANIFEST_BYTES_MAX = 4 << 20
GOLDEN_ROWS_MIN = 16
GOLDEN_ROWS_MAX = 1_024

_TRAINING_FIELDS = frozenset({"rows", "from", "to", "data_sha256", "embargo_hours", "split"})
VERSION_PATTERN = r"^(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})$"
_TIME_PATTERN = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|\+00:00)$"

Name = Annotated[str, Field(min_length=1, max_length=128)]
Sha256Hex = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class FileEntry(_Strict):
    """Hash and length of one file."""

    sha256: Sha256Hex
    bytes: int = Field(ge=1, le=ARTIFACT_BYTES_MAX)


class FeatureEntry(_Strict):
    """Name and unit of one model input."""

    name: Name
    unit: Name


class GoldenRow(_Strict):
    """Inputs with the outputs that the trainer's runtime gave for them, in pips."""

    features: list[float] = Field(min_length=1, max_length=256)
    outputs: list[float] = Field(min_length=2, max_length=2)


class ReleaseManifest(_Strict):
    """What the manifest of every artifact says."""

    CONTENT: ClassVar[frozenset[str]]
    """Files beside the manifest and the envelope."""

    format: Literal[1]
    purpose: str
    version: str = Field(pattern=VERSION_PATTERN)
    author: Name
    created_at: str = Field(pattern=_TIME_PATTERN)
    files: dict[str, FileEntry]

    @field_validator("created_at")
    @classmethod
    def _check_time(cls, text: str) -> str:
        datetime.fromisoformat(text)  # raises ValueError for a date that does not exist
        return text

    @field_validator("files")
    @classmethod
    def _check_files(cls, files: dict[str, FileEntry]) -> dict[str, FileEntry]:
        if set(files) != cls.CONTENT:
            raise ValueError(f"files lists exactly {' and '.join(sorted(cls.CONTENT))}")
        return files

    @property
    def version_numbers(self) -> tuple[int, int, int]:
        """Major, minor, patch: compares in the order of releases."""
        major, minor, patch = self.version.split(".")
        return int(major), int(minor), int(patch)


class Manifest(ReleaseManifest):
    """The manifest of a model."""

    CONTENT = frozenset({MODEL_FILE, ENCODINGS_FILE})

    purpose: Literal["slippage"]
    algorithm: Literal["tree_ensemble", "linear"]
    features: list[FeatureEntry] = Field(min_length=1, max_length=256)
    outputs: list[Name] = Field(min_length=1, max_length=16)
    training: dict[str, JsonValue]
    metrics: dict[str, JsonValue]
    hyperparameters: dict[str, JsonValue]
    golden: list[GoldenRow] = Field(min_length=GOLDEN_ROWS_MIN, max_length=GOLDEN_ROWS_MAX)

    @field_validator("training")
    @classmethod
    def _check_training(cls, training: dict[str, JsonValue]) -> dict[str, JsonValue]:
        missing = _TRAINING_FIELDS - set(training)
        if missing:
            raise ValueError(f"training lacks {', '.join(sorted(missing))}")
        return training


class PolicyManifest(ReleaseManifest):
    """The manifest of a risk policy."""

    CONTENT = frozenset({POLICY_FILE})

    purpose: Literal["risk_policy"]
    algorithm: Literal["knots"]


AnyManifest = TypeVar("AnyManifest", bound=ReleaseManifest)


def find_manifest_type(names: Collection[str]) -> type[Manifest | PolicyManifest]:
    """Return the kind of manifest that goes with these files.

    Raises:
        ArtifactUnknownFileError: A file too many or too few.
    """
    kind = PolicyManifest if POLICY_FILE in names else Manifest
    odd = sorted(set(names) ^ kind.CONTENT ^ {MANIFEST_FILE, ENVELOPE_FILE})
    if odd:
        raise ArtifactUnknownFileError(f"unknown or missing: {', '.join(odd)[:256]}")
    return kind


def check_sizes(files: Mapping[str, bytes]) -> None:
    """Refuse an artifact that is too large or does not have exactly its files.

    Raises:
        ArtifactTooLargeError: More than `ARTIFACT_BYTES_MAX` together, or a too large manifest or
            envelope.
        ArtifactUnknownFileError: A file too many or too few.
    """
    if sum(map(len, files.values())) > ARTIFACT_BYTES_MAX:
        raise ArtifactTooLargeError(f"more than {ARTIFACT_BYTES_MAX} bytes")
    for name in (MANIFEST_FILE, ENVELOPE_FILE):
        if len(files.get(name, b"")) > MANIFEST_BYTES_MAX:
            raise ArtifactTooLargeError(f"{name}: more than {MANIFEST_BYTES_MAX} bytes")
    find_manifest_type(files)


def parse_manifest(raw: bytes, kind: type[AnyManifest]) -> AnyManifest:
    """Parse the bytes of `manifest.json`.

    Args:
        raw: The bytes.
        kind: What manifest it must be.

    Raises:
        ArtifactManifestInvalidError: Not canonical JSON, or a field is unknown, missing or out of
            range.
    """
    try:
        return kind.model_validate(decode_canonical(raw))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ArtifactManifestInvalidError(f"{place}: {first['msg']}") from error
    except ValueError as error:
        raise ArtifactManifestInvalidError(f"the manifest is {error}") from error


def check_file_hashes(manifest: ReleaseManifest, files: Mapping[str, bytes]) -> None:
    """Compare the files with the lengths and hashes that the manifest names.

    Raises:
        ArtifactHashMismatchError: Names the file that differs.
    """
    for name, entry in manifest.files.items():
        content = files[name]
        if len(content) != entry.bytes or sha256(content).hexdigest() != entry.sha256:
            raise ArtifactHashMismatchError(f"{name} is not the file that the manifest names")
