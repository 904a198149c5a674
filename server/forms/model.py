"""Model versions: rows of the register to messages, and the files of a push."""

import json
import re
from typing import Any, Final

from riskgate.v1 import model_pb2 as pb
from server.errors import InvalidFieldError
from server.forms import fields

_VERSION: Final = re.compile(r"(0|[1-9]\d{0,8})(\.(0|[1-9]\d{0,8})){2}")
_STATUSES: Final = {
    "registered": pb.MODEL_STATUS_REGISTERED,
    "testing": pb.MODEL_STATUS_TESTING,
    "approved": pb.MODEL_STATUS_APPROVED,
    "active": pb.MODEL_STATUS_ACTIVE,
    "deprecated": pb.MODEL_STATUS_DEPRECATED,
    "rejected": pb.MODEL_STATUS_REJECTED,
}


def read_files(message: pb.PushModelRequest) -> dict[str, bytes]:
    """Return the files of a push by name.

    Raises:
        InvalidFieldError: there is none, or a name occurs twice.
    """
    if not message.files:
        raise InvalidFieldError("files", "is required")
    files = {file.name: file.content for file in message.files}
    if len(files) != len(message.files):
        raise InvalidFieldError("files", "must not name one file twice")
    return files


def read_version(purpose: str, version: str) -> tuple[str, str]:
    """Return a checked purpose and semantic version."""
    fields.identifier(purpose, "purpose")
    if not _VERSION.fullmatch(version):
        raise InvalidFieldError("version", "must be MAJOR.MINOR.PATCH")
    return purpose, version


def write_model(row: dict[str, Any]) -> pb.ModelVersion:
    """Return the message that describes a registered version."""
    return pb.ModelVersion(
        purpose=row["purpose"],
        version=row["version"],
        algorithm=row["algorithm"],
        status=_STATUSES[row["status"]],
        digest=row["digest"],
        author=row["author"],
        serial=row["serial"],
        pushed_at=fields.timestamp(row["pushed_at"]),
        approved_at=fields.timestamp(row["approved_at"]),
        activated_at=fields.timestamp(row["activated_at"]),
        deprecated_at=fields.timestamp(row["deprecated_at"]),
        approvers=row["approvers"],
        metrics_json=_canonical(row["manifest"].get("metrics", {})),
        training_json=_canonical(row["manifest"].get("training", {})),
    )


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
